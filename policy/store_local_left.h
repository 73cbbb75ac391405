/*
 * store_local_left - how much of each window was used when Redis was heard last.
 *
 * While Redis is away a relay must not give out again what it knows to be used up. One entry a window in a table of fixed
 * size; a window that falls on another's place takes it, and one that is not known is taken for unused.
 *
 * Memory   LEFT_ENTRIES entries of 24 octets
 * Threads  any, at any time
 */
#ifndef SEKISHO_STORE_LOCAL_LEFT_H
#define SEKISHO_STORE_LOCAL_LEFT_H

#include <pthread.h>

#include "policy/store.h"

#define LEFT_ENTRIES 16384

struct left {
	pthread_mutex_t mutex;
	struct left_entry {
		uint64_t hash;
		int64_t used, until_us;        /* by then all of it has left the window */
	} entries[LEFT_ENTRIES];
};

/* What Redis answered to a charge. */
void left_note(struct left *left, const struct store_charge *charge, const struct store_charged *charged, int64_t now_us);
/* What is still free of take's limit, as far as anybody knows: 0 to its limit. */
int64_t left_of(struct left *left, const struct store_take *take, int64_t now_us);

#endif
