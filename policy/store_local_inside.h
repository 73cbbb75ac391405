/*
 * store_local_inside - what the two halves of store_local share: counting and knowing alone (store_local.c), and adding that to
 * Redis once it is back (store_local_merge.c). For nobody else.
 */
#ifndef SEKISHO_STORE_LOCAL_INSIDE_H
#define SEKISHO_STORE_LOCAL_INSIDE_H

#include <limits.h>
#include <pthread.h>

#include "config/base/task.h"
#include "policy/store_local.h"
#include "policy/store_local_left.h"

#define STORE_LOCAL_TENANTS 4096

/* Tenants, by their hash. */
struct store_local_tenant {
	atomic_bool is_aside;          /* counted alone, until that has gone over, though Redis may answer: it would give once more */
	atomic_bool is_news;           /* something was counted alone since the merger looked who has something left */
	pthread_rwlock_t merging;      /* held for reading while counting alone */
	unsigned left;                 /* the merger's own: how many have something left at the seat it merges */
};

struct store_local {
	struct store store;
	struct store *shared, *own;
	struct str node;
	int64_t share;                 /* per cent */
	struct left left;
	struct store_local_tenant tenants[STORE_LOCAL_TENANTS];

	char path[PATH_MAX];           /* store.path */
	int seat, seat_fd;             /* where this process counts; -1: none yet */
	struct task merger;
	struct store_local_sent *sent; /* the merger's own */
	pthread_mutex_t mutex;         /* guards what follows */
	char lost[STORE_KEY_MAX];      /* the tenant whose server was lost last */
};

/* Gone or full, as opposed to asked in vain. */
bool store_local_is_away(const struct err *err);
/* Said once: all are counted in Redis again. */
void store_local_note_shared(struct store_local *st);
/* Its slot, which others may share whose hash is the same. */
struct store_local_tenant *store_local_tenant(struct store_local *st, struct str name);
/* "sekisho:{acme}:..." */
struct str store_local_tenant_of(struct str key);

bool store_local_start_merger(struct store_local *st, struct err *err);
void store_local_stop_merger(struct store_local *st);

#endif
