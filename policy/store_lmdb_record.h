/*
 * store_lmdb_record - what stands in an environment's tree, and how it leaves again.
 *
 *     'k' KEY            kind(1) expires(8, highest first) payload: a record
 *     'x' WHEN(8) KEY    a reminder, empty: look at KEY then
 *
 * A record that has expired is absent. Every record has a reminder that is not later than its end; each transaction
 * looks at those that are due, and removes the record or, when it lives longer by now, moves the reminder to its end.
 * So a window that is charged every second costs a reminder an hour, not one a charge, and what nobody asks for goes
 * all the same. A reminder without a record is harmless.
 */
#ifndef SEKISHO_STORE_LMDB_RECORD_H
#define SEKISHO_STORE_LMDB_RECORD_H

#include "policy/store_lmdb_env.h"

enum record_kind {
	RECORD_VALUE = 'v',
	RECORD_COUNTER = 'c',          /* 64 bits, highest first */
	RECORD_WINDOW = 'w',           /* see window.h */
};

struct record {
	enum record_kind kind;
	int64_t expires_us;
	struct str payload;            /* until the transaction's next write, or its end */
};

/* now + ttl, as far as there is time. */
int64_t lmdb_later_us(int64_t now_us, int64_t ttl_us);

/* All that follows is for work. A record of another kind than `kind` is absent too (0: any kind will do). */
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

/* Looks at no more than `most` of the reminders that are due. */
bool lmdb_sweep(struct lmdb_txn *txn, size_t most, struct err *err);
/* True when one is due: work for lmdb_env_read. */
bool lmdb_is_due(struct lmdb_txn *txn, void *arg, struct err *err);

#endif
