/*
 * store_rows - what every store must do, as a table that each backend's test runs.
 *
 * The test hands over an open, empty store and a way to let its time pass; a row is a list of steps against it.
 */
#ifndef SEKISHO_STORE_ROWS_H
#define SEKISHO_STORE_ROWS_H

#include "policy/store.h"

struct store_under_test {
	struct store *st;
	void (*advance)(void *arg, int64_t us);        /* the store's clock, not ours */
	void *arg;
};

extern const int store_row_count;
const char *store_row_name(int row);
/* Fails the check test that it is called from. */
void store_row_run(int row, const struct store_under_test *under);

/* What goes along with a charge: values that are asked for, marks that are made. */
void store_beside_run(const struct store_under_test *under);

#endif
