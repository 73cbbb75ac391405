/*
 * store_lmdb_env - one LMDB environment: a sorted map on disk, which several processes share.
 *
 * What stands in it is the business of store_lmdb_record.h.
 *
 * Writes   are grouped: whoever comes first does the work of all who wait in one transaction, each in its own turn. One
 *          whose work fails does not harm the others
 * Death    of a process at any instant, also inside a transaction, leaves the last commit; the robust mutex goes to the
 *          next one, and a dead reader's slot is cleared within a second
 * Power    a durable environment has every commit on disk on return. One that is not is synced every second by
 *          lmdb_env_tend, and must not be trusted after a power failure: see store_lmdb_mend.h
 * Errors   ERR_FULL when the map (store.size_max) or the disk is full, ERR_CONFIG for files that are not ours to open
 */
#ifndef SEKISHO_STORE_LMDB_ENV_H
#define SEKISHO_STORE_LMDB_ENV_H

#include <lmdb.h>

#include "policy/store.h"

struct lmdb_env;

/* What work sees of the transaction it runs in. */
struct lmdb_txn {
	MDB_txn *txn;
	MDB_dbi dbi;
	int64_t now_us;                /* one moment for the whole transaction */
	struct lmdb_env *env;
	size_t reminders;              /* made so far: as many are looked at in the end, and a few more */
};

/* Runs inside a transaction, perhaps on another thread and, when a neighbour failed, a second time. */
typedef bool lmdb_work(struct lmdb_txn *txn, void *arg, struct err *err);

/* `dir` exists. size_max bounds the data file, but for one that is larger already. */
bool lmdb_env_open(const char *dir, int64_t size_max, bool is_durable, struct lmdb_env **out, struct err *err);
/* NULL is fine. What is not durable yet is synced; false: it may not be on disk. */
bool lmdb_env_close(struct lmdb_env *env);

/* The data file is shorter than what its header speaks of: reading it could end in SIGBUS. */
bool lmdb_env_is_cut(const struct lmdb_env *env);

/* LMDB's code into words, for work; false. */
bool lmdb_fail(const struct lmdb_env *env, int code, struct err *err);

bool lmdb_env_write(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err);
bool lmdb_env_read(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err);
/* To be called about once a second by one thread: sync, dead readers, expired records. */
void lmdb_env_tend(struct lmdb_env *env);

#endif
