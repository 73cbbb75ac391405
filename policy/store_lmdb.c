/*
 * The embedded store: two LMDB environments below store.path.
 *
 *     counts/    windows, counters, notes: never waited for, synced about once a second
 *     facts/     what `put` was given: on disk before it returns
 *
 * charge, refund, count_add and note know only counts, put only facts; get and scan look into both, facts first, and removing
 * a key removes it from both.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/base/io.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "policy/bytes.h"
#include "policy/store_lmdb_charge.h"
#include "policy/store_lmdb_mend.h"
#include "policy/store_steps.h"

struct store_lmdb {
	struct store store;
	struct lmdb_env *counts, *facts;
	struct lmdb_guard guard;
	struct charge_book *book;

	struct task tender;
};

static struct store_lmdb *self(struct store *st)
{
	return (struct store_lmdb *)st;
}

struct value_work {
	struct str key;
	struct arena *arena;
	struct str value;
	bool found;
	int64_t n, ttl_us, total;
};

/* As scan and get show it; `room` is for a counter's digits. */
static struct str shown(const struct record *record, char room[24])
{
	struct str payload = record->payload;
	int64_t count;

	if (record->kind != RECORD_COUNTER || !bytes_take_be64(&payload, &count))
		return record->payload;
	return str_of(room, (size_t)snprintf(room, 24, "%lld", (long long)count));
}

static bool get_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct value_work *work = arg;
	struct record record;
	char room[24];

	if (!lmdb_get(txn, work->key, 0, &record, &work->found, err))
		return false;
	return !work->found || arena_copy(work->arena, shown(&record, room), &work->value) || err_memory(err);
}

static bool lmdb_get_value(struct store *st, struct str key, struct arena *arena, struct str *out_value,
			   bool *out_found, struct err *err)
{
	struct value_work work = { .key = key, .arena = arena };

	if (!lmdb_env_read(self(st)->facts, get_work, &work, err) ||
	    (!work.found && !lmdb_env_read(self(st)->counts, get_work, &work, err)))
		return false;
	*out_found = work.found;
	if (work.found)
		*out_value = work.value;
	return true;
}

static bool put_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	const struct value_work *work = arg;
	struct record record = {
		.kind = RECORD_VALUE,
		.expires_us = lmdb_later_us(txn->now_us, work->ttl_us),
		.payload = work->value,
	};

	return lmdb_put(txn, work->key, &record, err);
}

static bool remove_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	const struct value_work *work = arg;

	return lmdb_remove(txn, work->key, err);
}

static bool put_in(struct store *st, struct lmdb_env *env, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	struct value_work work = { .key = key, .value = value, .ttl_us = ttl_us };

	if (ttl_us <= 0)
		return lmdb_env_write(self(st)->facts, remove_work, &work, err) &&
		       lmdb_env_write(self(st)->counts, remove_work, &work, err);
	if (value.len > STORE_VALUE_MAX)
		return err_set(err, ERR_INPUT, "store: a value of %zu octets (at most %d)", value.len, STORE_VALUE_MAX);
	return lmdb_env_write(env, put_work, &work, err);
}

static bool lmdb_put_value(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	return put_in(st, self(st)->facts, key, value, ttl_us, err);
}

static bool lmdb_note(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	return put_in(st, self(st)->counts, key, value, ttl_us, err);
}

static bool count_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct value_work *work = arg;
	struct record record;
	int64_t total = 0;
	char bytes[8];
	bool found;

	if (!lmdb_get(txn, work->key, RECORD_COUNTER, &record, &found, err))
		return false;
	if (!found || !bytes_take_be64(&record.payload, &total))
		record = (struct record){ .kind = RECORD_COUNTER,
					  .expires_us = lmdb_later_us(txn->now_us, work->ttl_us) };
	if (__builtin_add_overflow(total, work->n, &total))
		total = work->n > 0 ? INT64_MAX : INT64_MIN;
	bytes_put_be64(bytes, total);
	record.payload = str_of(bytes, sizeof bytes);
	work->total = total;
	return lmdb_put(txn, work->key, &record, err);
}

static bool lmdb_count_add(struct store *st, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total,
			   struct err *err)
{
	struct value_work work = { .key = key, .n = n, .ttl_us = ttl_us };

	if (!lmdb_env_write(self(st)->counts, count_work, &work, err))
		return false;
	*out_total = work.total;
	return true;
}

/* --- scan: two sorted walks become one */

struct scan_work {
	struct store_lmdb *st;
	struct str prefix;
	store_scan_fn *fn;
	void *arg;
	struct lmdb_cursor *facts;     /* while counts are opened */
};

static bool has_more(const struct lmdb_cursor *cursor, struct str prefix)
{
	return !cursor->is_at_end && str_starts(cursor->key, prefix);
}

static bool merge(const struct scan_work *scan, struct lmdb_cursor *facts, struct lmdb_cursor *counts, struct err *err)
{
	char room[24];

	for (;;) {
		bool in_facts = has_more(facts, scan->prefix), in_counts = has_more(counts, scan->prefix);

		if (!in_facts && !in_counts)
			return true;

		int order = !in_facts ? 1 : !in_counts ? -1 : str_cmp(facts->key, counts->key);
		struct lmdb_cursor *next = order <= 0 ? facts : counts;

		if (!scan->fn(scan->arg, next->key, shown(&next->record, room), next->record.expires_us))
			return true;
		if (order == 0 && !lmdb_cursor_next(counts, err))
			return false;
		if (!lmdb_cursor_next(next, err))
			return false;
	}
}

static bool scan_counts(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct scan_work *scan = arg;
	struct lmdb_cursor cursor;

	if (!lmdb_cursor_open(txn, scan->prefix, &cursor, err))
		return false;

	bool ok = merge(scan, scan->facts, &cursor, err);

	lmdb_cursor_close(&cursor);
	return ok;
}

static bool scan_facts(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct scan_work *scan = arg;
	struct lmdb_cursor cursor;

	if (!lmdb_cursor_open(txn, scan->prefix, &cursor, err))
		return false;
	scan->facts = &cursor;

	bool ok = lmdb_env_read(scan->st->counts, scan_counts, scan, err);

	lmdb_cursor_close(&cursor);
	return ok;
}

static bool lmdb_scan(struct store *st, struct str prefix, store_scan_fn *fn, void *arg, struct err *err)
{
	struct scan_work scan = { .st = self(st), .prefix = prefix, .fn = fn, .arg = arg };

	return lmdb_env_read(scan.st->facts, scan_facts, &scan, err);
}

/* --- open, tend, close */

/* Once a second, and when it is closed. */
static void tend(void *arg)
{
	struct store_lmdb *st = arg;
	bool goes_on;

	do {
		goes_on = task_wait(&st->tender, US_PER_S);
		lmdb_env_tend(st->counts);
		lmdb_env_tend(st->facts);
	} while (goes_on);
}

static void lmdb_close(struct store *base)
{
	struct store_lmdb *st = self(base);

	task_stop(&st->tender);
	bool is_synced = st->counts && lmdb_env_close(st->counts);

	lmdb_env_close(st->facts);
	lmdb_guard_close(&st->guard, is_synced);
	charge_book_free(st->book);
	free(st);
}

/* store.path or a directory in it. */
static bool path_of(const struct config *config, const char *name, char out[PATH_MAX], struct err *err)
{
	if (config->store_path.len &&
	    snprintf(out, PATH_MAX, STR_FMT "%s", STR_ARG(config->store_path), name) < PATH_MAX)
		return true;
	return err_set(err, ERR_CONFIG, "store.path: %s", config->store_path.len ? "too long" : "empty");
}

/* The umask cuts what mkdir is asked for; the group must be able to write. */
static bool make_dir(const char *path, struct err *err)
{
	if (mkdir(path, 0770) == 0)
		return chmod(path, 02770) == 0 || err_errno(err, ERR_CONFIG, "store %s", path);
	if (errno == EACCES)
		return err_errno(err, ERR_CONFIG, "store %s (this user must be in the group that owns its directory)",
				 path);
	return errno == EEXIST || err_errno(err, ERR_CONFIG, "store %s", path);
}

static bool open_all(struct store_lmdb *st, const struct config *config, struct err *err)
{
	char dir[PATH_MAX], counts[PATH_MAX], facts[PATH_MAX];
	int64_t size_max = config->store_size_max;

	return path_of(config, "", dir, err) && path_of(config, "/counts", counts, err) &&
	       path_of(config, "/facts", facts, err) && io_make_dirs(dir, 0770, err) && make_dir(counts, err) &&
	       make_dir(facts, err) &&
	       lmdb_guard_open(dir, size_max, &st->guard, st->store.notice, err) &&
	       lmdb_env_open(counts, size_max, false, &st->counts, err) &&
	       lmdb_env_open(facts, size_max, true, &st->facts, err) && task_start(&st->tender, "store tender", tend, st, err);
}

static struct store_lmdb *new_store(void)
{
	struct store_lmdb *st = calloc(1, sizeof *st);

	if (!st)
		return NULL;
	st->store.ops = &store_lmdb;
	st->guard.fd = -1;
	return st;
}

static bool lmdb_open(const struct config *config, struct store **out, struct err *err)
{
	struct store_lmdb *st = new_store();

	if (!st)
		return err_memory(err);
	st->book = charge_book_new();
	if (!st->book || !open_all(st, config, err)) {
		if (!st->book)
			err_memory(err);
		lmdb_close(&st->store);
		return false;
	}
	*out = &st->store;
	return true;
}

static bool charge_windows(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	return lmdb_env_charge(self(st)->counts, self(st)->book, charge, out, err);
}

struct look_work {
	const struct store_charge *charge;
	bool found;
};

static bool look_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct look_work *work = arg;
	const struct store_charge *charge = work->charge;

	for (size_t i = 0; i < charge->asked_count; i++) {
		struct record record;
		bool found;

		if (!lmdb_get(txn, charge->asked[i], RECORD_VALUE, &record, &found, err))
			return false;
		if (found)
			charge->on_found(charge->on_found_arg, i, record.payload);
		work->found |= found;
	}
	return true;
}

static bool look_up_facts(struct store *st, const struct store_charge *charge, bool *out_found, struct err *err)
{
	struct look_work work = { .charge = charge };
	bool ok = lmdb_env_read(self(st)->facts, look_work, &work, err);

	*out_found = work.found;
	return ok;
}

static const struct store_steps steps = { .look_up = look_up_facts, .windows = charge_windows };

static bool lmdb_charge(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	return store_charge_in_steps(st, &steps, charge, out, err);
}

static bool lmdb_refund(struct store *st, struct str tenant, struct str id, struct err *err)
{
	return lmdb_env_refund(self(st)->counts, self(st)->book, tenant, id, err);
}

static void lmdb_settle(struct store *st, struct str tenant, struct str id)
{
	free(charge_book_take(self(st)->book, tenant, id, 0));
}

const struct store_ops store_lmdb = {
	.name = "embedded",
	.open = lmdb_open,
	.close = lmdb_close,
	.charge = lmdb_charge,
	.refund = lmdb_refund,
	.settle = lmdb_settle,
	.get = lmdb_get_value,
	.put = lmdb_put_value,
	.note = lmdb_note,
	.count_add = lmdb_count_add,
	.scan = lmdb_scan,
};
