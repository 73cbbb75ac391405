/*
 * store_local_inside - what the two halves of store_local share: counting and knowing alone (store_local.c), and adding that to
 * Redis once it is back (store_local_merge.c). For nobody else.
 */
#ifndef SEKISHO_STORE_LOCAL_INSIDE_H
#define SEKISHO_STORE_LOCAL_INSIDE_H

#include <limits.h>
#include <pthread.h>

#include "policy/store_local.h"
#include "policy/store_local_left.h"

#define STORE_LOCAL STR("local:")

struct store_local {
	struct store store;
	struct store *shared, *own;
	struct str node;
	int64_t share;                 /* per cent */
	struct left left;
	pthread_rwlock_t merging;      /* held for reading while counting locally */

	int lock;                      /* on store.path/merge: one process of this relay merges; -1: not we */
	char lock_path[PATH_MAX];
	pthread_t merger;
	bool has_merger;
	pthread_mutex_t mutex;
	pthread_cond_t stopping;
	bool is_stopping;
};

/* Gone or full, as opposed to asked in vain. */
bool store_local_is_away(const struct err *err);
/* Said once each way; `why` for is_local. */
void store_local_note_mode(struct store_local *st, bool is_local, const struct err *why);

bool store_local_start_merger(struct store_local *st, struct err *err);
void store_local_stop_merger(struct store_local *st);

#endif
