/*
 * store_steps - a charge with its marks and questions, for stores on this host, where steps cost nothing.
 *
 * The windows are taken in one step, as ever; what is asked is looked up before it, marks are made after it with count_add.
 * A value that appears between them is met by the next message.
 */
#ifndef SEKISHO_STORE_STEPS_H
#define SEKISHO_STORE_STEPS_H

#include "policy/store.h"

struct store_steps {
	/* Tells on_found of each value of `asked`. */
	bool (*look_up)(struct store *st, const struct store_charge *charge, bool *out_found, struct err *err);
	/* Takes the windows of a charge, and looks at nothing else of it. */
	bool (*windows)(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err);
};

bool store_charge_in_steps(struct store *st, const struct store_steps *steps, const struct store_charge *charge,
			   struct store_charged *out, struct err *err);

#endif
