#include "policy/store_lmdb_record.h"

#include "policy/bytes.h"

#define DISK_KEY_MAX 511               /* LMDB's own bound, as it is built everywhere */

_Static_assert(1 + 8 + STORE_KEY_MAX <= DISK_KEY_MAX, "a reminder holds the longest key");

int64_t lmdb_later_us(int64_t now_us, int64_t ttl_us)
{
	int64_t at_us;

	return __builtin_add_overflow(now_us, ttl_us, &at_us) ? INT64_MAX : at_us;
}

static MDB_val disk_key(char kind, struct str key, char room[DISK_KEY_MAX])
{
	room[0] = kind;
	memcpy(room + 1, key.ptr, key.len);
	return (MDB_val){ .mv_data = room, .mv_size = 1 + key.len };
}

static MDB_val reminder_key(int64_t when_us, struct str key, char room[DISK_KEY_MAX])
{
	char *at = room;

	*at++ = 'x';
	at = bytes_put_be64(at, when_us > 0 ? when_us : 0);
	memcpy(at, key.ptr, key.len);
	return (MDB_val){ .mv_data = room, .mv_size = 9 + key.len };
}

static struct str val_str(const MDB_val *val)
{
	return str_of(val->mv_data, val->mv_size);
}

static bool record_read(struct str bytes, struct record *out)
{
	unsigned char kind;

	if (!bytes_take_octet(&bytes, &kind) || !bytes_take_be64(&bytes, &out->expires_us))
		return false;
	out->kind = (enum record_kind)kind;
	out->payload = bytes;
	return true;
}

/* Whatever stands there, expired or not; bytes that are no record count as nothing. */
static bool find(struct lmdb_txn *txn, struct str key, struct record *out, bool *out_found, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at = disk_key('k', key, room), value;
	int code = mdb_get(txn->txn, txn->dbi, &at, &value);

	*out_found = code == 0 && record_read(val_str(&value), out);
	return code == 0 || code == MDB_NOTFOUND || lmdb_fail(txn->env, code, err);
}

bool lmdb_get(struct lmdb_txn *txn, struct str key, int kind, struct record *out, bool *out_found, struct err *err)
{
	bool found;

	if (!store_key_fits(key, err) || !find(txn, key, out, &found, err))
		return false;
	*out_found = found && out->expires_us > txn->now_us && (kind == 0 || out->kind == (enum record_kind)kind);
	return true;
}

static bool remind(struct lmdb_txn *txn, struct str key, int64_t when_us, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at = reminder_key(when_us, key, room), nothing = { 0 };
	int code = mdb_put(txn->txn, txn->dbi, &at, &nothing, 0);

	txn->reminders++;
	return code == 0 || lmdb_fail(txn->env, code, err);
}

bool lmdb_put(struct lmdb_txn *txn, struct str key, const struct record *record, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at, value = { .mv_size = 9 + record->payload.len };
	struct record before;
	bool found;

	if (!store_key_fits(key, err) || !find(txn, key, &before, &found, err))
		return false;
	/* The one before may lie in the page that is about to move. */
	bool has_reminder = found && before.expires_us <= record->expires_us;

	at = disk_key('k', key, room);
	int code = mdb_put(txn->txn, txn->dbi, &at, &value, MDB_RESERVE);

	if (code)
		return lmdb_fail(txn->env, code, err);
	char *to = value.mv_data;

	*to++ = (char)record->kind;
	to = bytes_put_be64(to, record->expires_us);
	if (record->payload.len)
		memcpy(to, record->payload.ptr, record->payload.len);
	return has_reminder || remind(txn, key, record->expires_us, err);
}

bool lmdb_remove(struct lmdb_txn *txn, struct str key, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at;

	if (!store_key_fits(key, err))
		return false;
	at = disk_key('k', key, room);
	int code = mdb_del(txn->txn, txn->dbi, &at, NULL);

	/* Its reminder stays, comes due and finds nothing. */
	return code == 0 || code == MDB_NOTFOUND || lmdb_fail(txn->env, code, err);
}

/* --- sweeping */

/* The earliest reminder, if it is due; its key is copied into `room`, for the page will change. */
static bool next_due(struct lmdb_txn *txn, MDB_cursor *cursor, char room[DISK_KEY_MAX], struct str *out_key, int *code)
{
	MDB_val at = { .mv_data = (char[]){ 'x' }, .mv_size = 1 };
	struct str rest;
	int64_t when_us;

	*code = mdb_cursor_get(cursor, &at, NULL, MDB_SET_RANGE);
	if (*code || at.mv_size < 9 || at.mv_size > DISK_KEY_MAX || *(const char *)at.mv_data != 'x')
		return false;
	memcpy(room, at.mv_data, at.mv_size);
	rest = str_of(room + 1, at.mv_size - 1);
	if (!bytes_take_be64(&rest, &when_us) || when_us > txn->now_us)
		return false;
	*out_key = rest;
	return true;
}

/* The reminder under the cursor goes; so does its record, or it gets a later reminder. */
static bool settle(struct lmdb_txn *txn, MDB_cursor *cursor, struct str key, struct err *err)
{
	struct record record;
	bool found;
	int code = mdb_cursor_del(cursor, 0);

	if (code)
		return lmdb_fail(txn->env, code, err);
	if (key.len == 0 || key.len > STORE_KEY_MAX)
		return true;
	if (!find(txn, key, &record, &found, err))
		return false;
	if (found && record.expires_us > txn->now_us)
		return remind(txn, key, record.expires_us, err);
	return lmdb_remove(txn, key, err);
}

bool lmdb_is_due(struct lmdb_txn *txn, void *arg, struct err *err)
{
	char room[DISK_KEY_MAX];
	struct str key;
	MDB_cursor *cursor;
	int code = mdb_cursor_open(txn->txn, txn->dbi, &cursor);
	bool due = false;

	(void)arg;
	if (code)
		return lmdb_fail(txn->env, code, err);
	due = next_due(txn, cursor, room, &key, &code);
	mdb_cursor_close(cursor);
	return due;
}

bool lmdb_sweep(struct lmdb_txn *txn, size_t most, struct err *err)
{
	char room[DISK_KEY_MAX];
	struct str key;
	MDB_cursor *cursor;
	int code = mdb_cursor_open(txn->txn, txn->dbi, &cursor);
	bool ok = code == 0 || lmdb_fail(txn->env, code, err);

	if (!ok)
		return false;
	for (size_t done = 0; ok && done < most && next_due(txn, cursor, room, &key, &code); done++)
		ok = settle(txn, cursor, key, err);
	if (ok && code && code != MDB_NOTFOUND)
		ok = lmdb_fail(txn->env, code, err);
	mdb_cursor_close(cursor);
	return ok;
}

/* --- walking */

/* From where LMDB's cursor stands to the next live record, itself included. */
static bool cursor_stand(struct lmdb_cursor *cursor, int code, MDB_val *at, MDB_val *value, struct err *err)
{
	for (; code == 0; code = mdb_cursor_get(cursor->cursor, at, value, MDB_NEXT)) {
		struct str key = val_str(at);

		if (key.len < 2 || key.ptr[0] != 'k')
			break;
		cursor->key = str_from(key, 1);
		if (record_read(val_str(value), &cursor->record) && cursor->record.expires_us > cursor->txn->now_us)
			return true;
	}
	cursor->is_at_end = true;
	return code == 0 || code == MDB_NOTFOUND || lmdb_fail(cursor->txn->env, code, err);
}

bool lmdb_cursor_open(struct lmdb_txn *txn, struct str from, struct lmdb_cursor *out, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at, value;

	if (from.len > STORE_KEY_MAX)
		return store_key_fits(from, err);
	*out = (struct lmdb_cursor){ .txn = txn };

	int code = mdb_cursor_open(txn->txn, txn->dbi, &out->cursor);

	if (code)
		return lmdb_fail(txn->env, code, err);
	at = disk_key('k', from, room);
	code = mdb_cursor_get(out->cursor, &at, &value, MDB_SET_RANGE);
	if (cursor_stand(out, code, &at, &value, err))
		return true;
	lmdb_cursor_close(out);
	return false;
}

bool lmdb_cursor_next(struct lmdb_cursor *cursor, struct err *err)
{
	MDB_val at, value;
	int code = mdb_cursor_get(cursor->cursor, &at, &value, MDB_NEXT);

	return cursor_stand(cursor, code, &at, &value, err);
}

void lmdb_cursor_close(struct lmdb_cursor *cursor)
{
	mdb_cursor_close(cursor->cursor);
	cursor->cursor = NULL;
}
