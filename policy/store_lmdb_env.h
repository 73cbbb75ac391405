/*
 * store_lmdb_env - one LMDB environment: a sorted map of keys to records on disk, which several processes share.
 *
 * Record   kind(1) expires(8, highest first) payload. A record that has expired is absent, and is removed soon after
 * Layout   one tree for everything, told apart by the first octet of the key:
 *              'k' KEY            a record
 *              'x' WHEN(8) KEY    a reminder, empty: look at KEY then. Every record has one that is not later than its end;
 *                                 when it comes due and the record lives longer, the reminder moves there. So a window
 *                                 that is charged every second costs one reminder an hour, not one a charge
 * Writes   are grouped: whoever comes first does the work of all who wait in one transaction, each in its own turn. One
 *          whose work fails does not harm the others
 * Death    of a process at any instant, also inside a transaction, leaves the last commit; the robust mutex goes to the
 *          next one, and a dead reader's slot is cleared within a second
 * Power    a durable environment has every commit on disk on return. One that is not is synced every second by
 *          store_lmdb_env_tend, and must not be trusted after a power failure: see store_lmdb_mend.h
 * Errors   ERR_FULL when the map (store.size_max) or the disk is full, ERR_CONFIG for files that are not ours to open
 */
#ifndef SEKISHO_STORE_LMDB_ENV_H
#define SEKISHO_STORE_LMDB_ENV_H

#include <lmdb.h>

#include "policy/store.h"

enum record_kind {
	RECORD_VALUE = 'v',
	RECORD_COUNTER = 'c',          /* 64 bits, highest first */
	RECORD_WINDOW = 'w',           /* see window.h */
	RECORD_CHARGE = 'r',           /* see store_lmdb.c */
};

struct record {
	enum record_kind kind;
	int64_t expires_us;
	struct str payload;            /* until the transaction's next write, or its end */
};

struct lmdb_env;

/* What work sees of the transaction it runs in. */
struct lmdb_txn {
	MDB_txn *txn;
	MDB_dbi dbi;
	int64_t now_us;                /* one moment for the whole transaction */
	struct lmdb_env *env;
	size_t reminders;              /* made so far: as many are looked at in the end */
};

/* Runs inside a transaction, perhaps on another thread and, when a neighbour failed, a second time. */
typedef bool lmdb_work(struct lmdb_txn *txn, void *arg, struct err *err);

/* `dir` exists. size_max bounds the data file. */
bool lmdb_env_open(const char *dir, int64_t size_max, bool is_durable, struct lmdb_env **out, struct err *err);
void lmdb_env_close(struct lmdb_env *env);             /* NULL is fine; what is not durable yet is synced */

bool lmdb_env_write(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err);
bool lmdb_env_read(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err);
/* To be called about once a second by one thread: sync, dead readers, expired records. */
void lmdb_env_tend(struct lmdb_env *env);

/* now + ttl, as far as there is time. */
int64_t lmdb_later_us(int64_t now_us, int64_t ttl_us);

/* Inside work. A record of another kind than `kind` is absent too (0: any kind will do). */
bool lmdb_get(struct lmdb_txn *txn, struct str key, int kind, struct record *out, bool *out_found, struct err *err);
/* The payload does not lie in the map. */
bool lmdb_put(struct lmdb_txn *txn, struct str key, const struct record *record, struct err *err);
bool lmdb_remove(struct lmdb_txn *txn, struct str key, struct err *err);

/* The live records from `from` on, in byte order. */
struct lmdb_cursor {
	MDB_cursor *cursor;
	struct lmdb_txn *txn;
	bool is_at_end;
	struct str key;
	struct record record;
};
bool lmdb_cursor_open(struct lmdb_txn *txn, struct str from, struct lmdb_cursor *out, struct err *err);
bool lmdb_cursor_next(struct lmdb_cursor *cursor, struct err *err);
void lmdb_cursor_close(struct lmdb_cursor *cursor);

#endif
