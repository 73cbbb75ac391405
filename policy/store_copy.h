/*
 * store_copy - all that one store holds, into another of whichever kind.
 *
 * What the target has under the same keys is replaced, so copying twice is copying once. Windows arrive as one sum, as
 * if charged now: they leave a little late, never early. Charges that could still be given back are not copied; they
 * live fifteen minutes. Nobody should count meanwhile, or what is counted in the source is lost.
 */
#ifndef SEKISHO_STORE_COPY_H
#define SEKISHO_STORE_COPY_H

#include "policy/store.h"

struct store_copied {
	int64_t windows, counters, values, skipped; /* skipped: charges, copies of one relay, what is not understood */
};

/* `progress` may be NULL; it is told how many of all keys are done. */
bool store_copy(struct store *from, struct store *to, void (*progress)(int64_t done, int64_t total),
		struct store_copied *out, struct err *err);

#endif
