#include "policy/store_lmdb_env.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "policy/bytes.h"

#define READERS_MAX 1024
#define SWEEP_LEAST 8                  /* reminders looked at in each transaction, beside one for each made */
#define SWEEP_TEND 500                 /* and when there is time */
#define DISK_KEY_MAX 511               /* LMDB's own bound, as it is built everywhere */

_Static_assert(1 + 8 + STORE_KEY_MAX <= DISK_KEY_MAX, "a reminder holds the longest key");

struct waiter {
	struct waiter *next;
	lmdb_work *work;
	void *arg;
	struct err *err;
	bool is_ok, is_done;
	pthread_cond_t turned;         /* done, or first of those who wait */
};

struct lmdb_env {
	MDB_env *env;
	MDB_dbi dbi;
	char path[PATH_MAX];
	bool is_durable;
	atomic_bool is_dirty;          /* committed, not synced */
	pthread_rwlock_t resize;       /* held for reading by every transaction: the map may only move without them */

	pthread_mutex_t mutex;         /* guards what follows */
	struct waiter *first, **last;  /* those whose work nobody has begun */
	bool is_led;                   /* somebody is inside a transaction for all before them */
};

/* LMDB's codes into words. */
static bool fail(const struct lmdb_env *env, int code, struct err *err)
{
	switch (code) {
	case MDB_MAP_FULL:
		return err_set(err, ERR_FULL, "store %s: full; raise store.size_max", env->path);
	case ENOSPC:
	case EDQUOT:
		return err_set(err, ERR_FULL, "store %s: %s", env->path, mdb_strerror(code));
	case MDB_READERS_FULL:
		return err_set(err, ERR_BUSY, "store %s: more than %d readers at once", env->path, READERS_MAX);
	case EACCES:
	case EPERM:
		return err_set(err, ERR_CONFIG,
			       "store %s: %s; the files belong to the store's group, which this user must be in", env->path,
			       mdb_strerror(code));
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return err_set(err, ERR_CONFIG, "store %s: data.mdb is not a store of this program (%s); move it away or restore it",
			       env->path, mdb_strerror(code));
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PANIC:
		return err_set(err, ERR_BUSY, "store %s: damaged (%s); stop all that use it and restore it", env->path,
			       mdb_strerror(code));
	default:
		return err_set(err, ERR_BUSY, "store %s: %s", env->path, mdb_strerror(code));
	}
}

/* --- opening */

/* LMDB's own modes are cut by the umask; the group must be able to write. */
static bool create_file(const struct lmdb_env *env, const char *name, struct err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", env->path, name) >= (int)sizeof path)
		return err_set(err, ERR_CONFIG, "store %s: path too long", env->path);

	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);

	if (fd < 0)
		return errno == EEXIST || fail(env, errno, err);

	bool ok = fchmod(fd, 0660) == 0 || fail(env, errno, err);

	close(fd);
	return ok;
}

static bool open_tree(struct lmdb_env *env, struct err *err)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);

	if (code)
		return fail(env, code, err);
	code = mdb_dbi_open(txn, NULL, 0, &env->dbi);
	mdb_txn_abort(txn);
	return code == 0 || fail(env, code, err);
}

static bool open_files(struct lmdb_env *env, int64_t size_max, struct err *err)
{
	unsigned int flags = MDB_NOTLS | (env->is_durable ? 0 : MDB_NOSYNC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = size_max > 0 ? (size_t)size_max : page;
	int code;

	if (!create_file(env, "data.mdb", err) || !create_file(env, "lock.mdb", err))
		return false;
	if ((code = mdb_env_create(&env->env)) != 0)
		return fail(env, code, err);
	if ((code = mdb_env_set_mapsize(env->env, (size + page - 1) / page * page)) != 0 ||
	    (code = mdb_env_set_maxreaders(env->env, READERS_MAX)) != 0 ||
	    (code = mdb_env_open(env->env, env->path, flags, 0660)) != 0)
		return fail(env, code, err);
	mdb_reader_check(env->env, NULL);
	return open_tree(env, err);
}

bool lmdb_env_open(const char *dir, int64_t size_max, bool is_durable, struct lmdb_env **out, struct err *err)
{
	struct lmdb_env *env = calloc(1, sizeof *env);

	if (!env)
		return err_memory(err);
	env->is_durable = is_durable;
	env->last = &env->first;
	pthread_rwlock_init(&env->resize, NULL);
	pthread_mutex_init(&env->mutex, NULL);
	if (snprintf(env->path, sizeof env->path, "%s", dir) >= (int)sizeof env->path) {
		lmdb_env_close(env);
		return err_set(err, ERR_CONFIG, "store %.200s: path too long", dir);
	}
	if (!open_files(env, size_max, err)) {
		lmdb_env_close(env);
		return false;
	}
	*out = env;
	return true;
}

static void sync_now(struct lmdb_env *env)
{
	if (atomic_exchange(&env->is_dirty, false) && mdb_env_sync(env->env, 1) != 0)
		atomic_store(&env->is_dirty, true);
}

void lmdb_env_close(struct lmdb_env *env)
{
	if (!env)
		return;
	if (env->env) {
		sync_now(env);
		mdb_env_close(env->env);
	}
	pthread_mutex_destroy(&env->mutex);
	pthread_rwlock_destroy(&env->resize);
	free(env);
}

/* --- transactions */

/*
 * Another process opened the store with a larger size_max and used it: our map grows to what the file says. The wait is
 * bounded, for a scan's callback may be waiting for us.
 */
static void follow_size(struct lmdb_env *env)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (pthread_rwlock_timedwrlock(&env->resize, &until) != 0)
		return;
	mdb_env_set_mapsize(env->env, 0);
	pthread_rwlock_unlock(&env->resize);
}

/* On success the caller holds `resize` for reading until end(). */
static bool begin(struct lmdb_env *env, unsigned int flags, struct lmdb_txn *out, struct err *err)
{
	int code = 0;

	*out = (struct lmdb_txn){ .dbi = env->dbi, .env = env };
	for (int tries = 0; tries < 3; tries++) {
		pthread_rwlock_rdlock(&env->resize);
		code = mdb_txn_begin(env->env, NULL, flags, &out->txn);
		if (code == 0) {
			out->now_us = clock_now_us();
			return true;
		}
		pthread_rwlock_unlock(&env->resize);
		if (code == MDB_MAP_RESIZED)
			follow_size(env);
		else if (code == MDB_READERS_FULL)
			mdb_reader_check(env->env, NULL);
		else
			break;
	}
	return fail(env, code, err);
}

static void end(struct lmdb_txn *txn)
{
	mdb_txn_abort(txn->txn);
	pthread_rwlock_unlock(&txn->env->resize);
}

static bool commit(struct lmdb_txn *txn, struct err *err)
{
	int code = mdb_txn_commit(txn->txn);

	pthread_rwlock_unlock(&txn->env->resize);
	if (code)
		return fail(txn->env, code, err);
	if (!txn->env->is_durable)
		atomic_store(&txn->env->is_dirty, true);
	return true;
}

bool lmdb_env_read(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err)
{
	struct lmdb_txn txn;

	if (!begin(env, MDB_RDONLY, &txn, err))
		return false;

	bool ok = work(&txn, arg, err);

	end(&txn);
	return ok;
}

static bool sweep(struct lmdb_txn *txn, size_t most, struct err *err);

/* All of the row, or only its first, in one transaction. False: not one of them was done. */
static bool write_row(struct lmdb_env *env, struct waiter *first, bool is_row, struct err *err)
{
	struct lmdb_txn txn;
	bool ok = true;

	if (!begin(env, 0, &txn, err))
		return false;
	for (struct waiter *waiter = first; ok && waiter; waiter = is_row ? waiter->next : NULL)
		ok = waiter->work(&txn, waiter->arg, err);
	ok = ok && sweep(&txn, txn.reminders + SWEEP_LEAST, err);
	if (ok)
		return commit(&txn, err);
	end(&txn);
	return false;
}

static bool sweep_alone(struct lmdb_env *env, size_t most)
{
	struct lmdb_txn txn;

	if (!begin(env, 0, &txn, NULL))
		return false;
	if (sweep(&txn, most, NULL))
		return commit(&txn, NULL);
	end(&txn);
	return false;
}

/* A full map may only be full of what has expired. */
static bool write_one(struct lmdb_env *env, struct waiter *waiter)
{
	struct err err = { 0 };

	if (write_row(env, waiter, false, &err))
		return true;
	if (err.kind == ERR_FULL && sweep_alone(env, SWEEP_LEAST) && write_row(env, waiter, false, &err))
		return true;
	if (waiter->err)
		*waiter->err = err;
	return false;
}

/* Called with the mutex, and the row's first waiter being the caller: works for all who wait, then wakes them. */
static void lead(struct lmdb_env *env)
{
	struct waiter *row = env->first, *next;

	env->first = NULL;
	env->last = &env->first;
	env->is_led = true;
	pthread_mutex_unlock(&env->mutex);

	bool is_all = row->next && write_row(env, row, true, NULL);

	for (struct waiter *waiter = row; waiter; waiter = waiter->next)
		waiter->is_ok = is_all || write_one(env, waiter);

	pthread_mutex_lock(&env->mutex);
	env->is_led = false;
	for (struct waiter *waiter = row; waiter; waiter = next) {
		next = waiter->next;            /* once it is done, it is gone as soon as the mutex is free */
		waiter->is_done = true;
		pthread_cond_signal(&waiter->turned);
	}
	if (env->first)
		pthread_cond_signal(&env->first->turned);
}

bool lmdb_env_write(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err)
{
	struct waiter own = { .work = work, .arg = arg, .err = err, .turned = PTHREAD_COND_INITIALIZER };

	pthread_mutex_lock(&env->mutex);
	*env->last = &own;
	env->last = &own.next;
	while (!own.is_done) {
		if (env->is_led || env->first != &own)
			pthread_cond_wait(&own.turned, &env->mutex);
		else
			lead(env);
	}
	pthread_mutex_unlock(&env->mutex);
	pthread_cond_destroy(&own.turned);
	return own.is_ok;
}

void lmdb_env_tend(struct lmdb_env *env)
{
	mdb_reader_check(env->env, NULL);
	sweep_alone(env, SWEEP_TEND);
	sync_now(env);
}

/* --- records */

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

static bool key_fits(struct str key, struct err *err)
{
	if (key.len > 0 && key.len <= STORE_KEY_MAX)
		return true;
	return err_set(err, ERR_INPUT, "store: a key of %zu octets (1 to %d are possible)", key.len, STORE_KEY_MAX);
}

/* Whatever stands there, expired or not; bytes that are no record count as nothing. */
static bool find(struct lmdb_txn *txn, struct str key, struct record *out, bool *out_found, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at = disk_key('k', key, room), value;
	int code = mdb_get(txn->txn, txn->dbi, &at, &value);

	*out_found = code == 0 && record_read(val_str(&value), out);
	return code == 0 || code == MDB_NOTFOUND || fail(txn->env, code, err);
}

bool lmdb_get(struct lmdb_txn *txn, struct str key, int kind, struct record *out, bool *out_found, struct err *err)
{
	bool found;

	if (!key_fits(key, err) || !find(txn, key, out, &found, err))
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
	return code == 0 || fail(txn->env, code, err);
}

bool lmdb_put(struct lmdb_txn *txn, struct str key, const struct record *record, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at, value = { .mv_size = 9 + record->payload.len };
	struct record before;
	bool found;

	if (!key_fits(key, err) || !find(txn, key, &before, &found, err))
		return false;
	/* The one before may lie in the page that is about to move. */
	bool has_reminder = found && before.expires_us <= record->expires_us;

	at = disk_key('k', key, room);
	int code = mdb_put(txn->txn, txn->dbi, &at, &value, MDB_RESERVE);

	if (code)
		return fail(txn->env, code, err);
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

	if (!key_fits(key, err))
		return false;
	at = disk_key('k', key, room);
	int code = mdb_del(txn->txn, txn->dbi, &at, NULL);

	/* Its reminder stays, comes due and finds nothing. */
	return code == 0 || code == MDB_NOTFOUND || fail(txn->env, code, err);
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
		return fail(txn->env, code, err);
	if (key.len == 0 || key.len > STORE_KEY_MAX)
		return true;
	if (!find(txn, key, &record, &found, err))
		return false;
	if (found && record.expires_us > txn->now_us)
		return remind(txn, key, record.expires_us, err);
	return lmdb_remove(txn, key, err);
}

static bool sweep(struct lmdb_txn *txn, size_t most, struct err *err)
{
	char room[DISK_KEY_MAX];
	struct str key;
	MDB_cursor *cursor;
	int code = mdb_cursor_open(txn->txn, txn->dbi, &cursor);
	bool ok = code == 0 || fail(txn->env, code, err);

	if (!ok)
		return false;
	for (size_t done = 0; ok && done < most && next_due(txn, cursor, room, &key, &code); done++)
		ok = settle(txn, cursor, key, err);
	if (ok && code && code != MDB_NOTFOUND)
		ok = fail(txn->env, code, err);
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
	return code == 0 || code == MDB_NOTFOUND || fail(cursor->txn->env, code, err);
}

bool lmdb_cursor_open(struct lmdb_txn *txn, struct str from, struct lmdb_cursor *out, struct err *err)
{
	char room[DISK_KEY_MAX];
	MDB_val at, value;

	if (from.len > STORE_KEY_MAX)
		return key_fits(from, err);
	*out = (struct lmdb_cursor){ .txn = txn };

	int code = mdb_cursor_open(txn->txn, txn->dbi, &out->cursor);

	if (code)
		return fail(txn->env, code, err);
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
