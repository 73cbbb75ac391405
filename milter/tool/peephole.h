/*
 * peephole - a store that only looks.
 *
 * Whoever asks through it gets the answers of the store behind it, and changes nothing there: charges are peeks, what
 * would be written succeeds and is forgotten, and each counter counts as for the first time. So the policy itself, and
 * no copy of its rules, tells what it would decide.
 */
#ifndef SEKISHO_PEEPHOLE_H
#define SEKISHO_PEEPHOLE_H

#include "policy/store.h"

struct peephole {
	struct store store;
	struct store *behind;          /* borrowed */
};

void peephole_init(struct peephole *peephole, struct store *behind);

#endif
