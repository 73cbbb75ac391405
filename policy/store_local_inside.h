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
	atomic_bool is_aside;          /* counted alone, until that has gone over */
	pthread_rwlock_t merging;      /* held for reading while counting alone */
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
/* All are counted in Redis again; said once. */
void store_local_note_shared(struct store_local *st);
/* Is it to be counted alone, though Redis may answer? Before its local counts have gone over, it would be given once more
 * what it has had. */
struct store_local_tenant *store_local_tenant(struct store_local *st, struct str name);
/* "sekisho:{acme}:..." */
struct str store_local_tenant_of(struct str key);

bool store_local_start_merger(struct store_local *st, struct err *err);
void store_local_stop_merger(struct store_local *st);

#endif
