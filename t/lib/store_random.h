/*
 * store_random - a store against the slow model: charges, refunds, double refunds, peeks, and time going by, at random.
 */
#ifndef SEKISHO_STORE_RANDOM_H
#define SEKISHO_STORE_RANDOM_H

#include "t/lib/store_rows.h"

/* `steps` operations from `seed`, over all windows at once. Fails the check test that it is called from. */
void store_random_run(const struct store_under_test *under, unsigned int seed, size_t steps);

#endif
