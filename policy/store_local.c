/*
 * Redis with the embedded store behind it: on_store_failure: local.
 *
 * While Redis does not answer, this relay counts by itself, against store.local_share per cent of each limit; so in the
 * worst case that share more is sent by each relay for each window in which Redis was away. What it counted is added to
 * Redis once it is back, as if charged then: it leaves the windows a little late, never early. What it knew of values
 * (suspensions, suppressions) it goes on knowing for a day; writing them and listing them needs Redis.
 *
 *     local:KEY          in counts/: a window or counter of the time without Redis; gone when Redis has it
 *     seen:KEY           in facts/: when(8, highest first), then the value that Redis had
 *
 * A merge that was cut short is begun again: a window goes over under an id made of its bytes, and is_once keeps it
 * from being counted twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "policy/bytes.h"
#include "policy/store_local.h"
#include "policy/window.h"

#define LOCAL STR("local:")
#define SEEN STR("seen:")
#define SEEN_TTL_US DAY_US
#define SEEN_FRESH_US (INT64_C(3600) * US_PER_S)       /* younger copies need not be written again */
#define RETRY_SHARE_US (60 * US_PER_S)                 /* for what fits into the limit but not into our share of it */
#define KEY_ROOM (STORE_KEY_MAX + 1)

struct store_local {
	struct store store;
	struct store *shared, *own;
	struct str node;
	int64_t share;                 /* per cent */
	pthread_rwlock_t merging;      /* held for reading while counting locally */

	int lock;                      /* on store.path/merge: one process of this relay merges; -1: not we */
	char lock_path[PATH_MAX];
	pthread_t merger;
	bool has_merger;
	pthread_mutex_t mutex;
	pthread_cond_t stopping;
	bool is_stopping;
};

static struct store_local *self(struct store *st)
{
	return (struct store_local *)st;
}

static bool is_away(const struct err *err)
{
	return err->kind == ERR_BUSY || err->kind == ERR_FULL;
}

static bool prefixed(struct str prefix, struct str key, char room[KEY_ROOM], struct str *out, struct err *err)
{
	int len = snprintf(room, KEY_ROOM, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(key));

	if (len < 0 || len >= KEY_ROOM)
		return err_set(err, ERR_INPUT, "store: a key of %zu octets is too long to be kept locally", key.len);
	*out = str_of(room, (size_t)len);
	return true;
}

/* Said once each way. */
static void note_mode(struct store_local *st, bool is_local, const struct err *why)
{
	if (atomic_exchange(&st->store.is_local, is_local) == is_local)
		return;
	if (is_local)
		log_warn("store: %s; counting locally, up to %lld%% of each limit", why->text, (long long)st->share);
	else
		log_info("store: shared again");

	store_local_fn *tell = atomic_load(&st->store.on_local);

	if (tell)
		tell(st->store.on_local_arg, is_local, is_local ? why->text : "");
}

/* --- counting locally */

static int64_t share_of(const struct store_local *st, int64_t limit)
{
	if (limit <= 0 || limit == LIMIT_NONE)
		return limit;
	int64_t share = limit / 100 * st->share + limit % 100 * st->share / 100;

	return share > 0 ? share : 1;
}

static bool charge_own(struct store_local *st, const struct store_charge *charge, struct store_charged *out,
		       struct err *err)
{
	struct store_take *takes = calloc(charge->count + 1, sizeof *takes);
	char (*rooms)[KEY_ROOM] = calloc(charge->count + 1, sizeof *rooms);
	struct store_charge own = *charge;
	bool ok = (takes && rooms) || err_memory(err);

	for (size_t i = 0; ok && i < charge->count; i++) {
		takes[i] = charge->takes[i];
		takes[i].limit = share_of(st, takes[i].limit);
		ok = prefixed(LOCAL, charge->takes[i].key, rooms[i], &takes[i].key, err);
	}
	own.takes = takes;
	ok = ok && st->own->ops->charge(st->own, &own, out, err);
	for (size_t i = 0; ok && i < charge->count; i++)
		if (out->taken[i].retry_after_us == STORE_NEVER_US && charge->takes[i].cost <= charge->takes[i].limit)
			out->taken[i].retry_after_us = RETRY_SHARE_US;
	free(rooms);
	free(takes);
	return ok;
}

static bool local_charge(struct store *base, const struct store_charge *charge, struct store_charged *out,
			 struct err *err)
{
	struct store_local *st = self(base);
	struct err why = { 0 };

	out->is_local = false;
	if (st->shared->ops->charge(st->shared, charge, out, &why)) {
		note_mode(st, false, NULL);
		return true;
	}
	if (!is_away(&why)) {
		if (err)
			*err = why;
		return false;
	}
	note_mode(st, true, &why);
	pthread_rwlock_rdlock(&st->merging);
	bool ok = charge_own(st, charge, out, err);

	pthread_rwlock_unlock(&st->merging);
	out->is_local = ok;
	return ok;
}

/* Whichever has it gives it back; the shared store remembers to, when it is away. */
static bool local_refund(struct store *base, struct str tenant, struct str id, struct err *err)
{
	struct store_local *st = self(base);

	pthread_rwlock_rdlock(&st->merging);
	bool ok = st->own->ops->refund(st->own, tenant, id, err);

	pthread_rwlock_unlock(&st->merging);
	return st->shared->ops->refund(st->shared, tenant, id, err) && ok;
}

static bool local_count_add(struct store *base, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total,
			    struct err *err)
{
	struct store_local *st = self(base);
	char room[KEY_ROOM];
	struct str own;
	struct err why = { 0 };

	if (st->shared->ops->count_add(st->shared, key, n, ttl_us, out_total, &why))
		return true;
	if (!is_away(&why)) {
		if (err)
			*err = why;
		return false;
	}
	note_mode(st, true, &why);
	if (!prefixed(LOCAL, key, room, &own, err))
		return false;
	pthread_rwlock_rdlock(&st->merging);
	bool ok = st->own->ops->count_add(st->own, own, n, ttl_us, out_total, err);

	pthread_rwlock_unlock(&st->merging);
	return ok;
}

/* --- values: what was seen last */

static bool read_seen(struct store_local *st, struct str key, struct arena *arena, struct str *out_value,
		      int64_t *out_when_us, bool *out_found, struct err *err)
{
	char room[KEY_ROOM];
	struct str own, bytes;

	if (!prefixed(SEEN, key, room, &own, err) || !st->own->ops->get(st->own, own, arena, &bytes, out_found, err))
		return false;
	if (*out_found && bytes_take_be64(&bytes, out_when_us))
		*out_value = bytes;
	else
		*out_found = false;
	return true;
}

static void write_seen(struct store_local *st, struct str key, struct str value, bool is_there)
{
	char room[KEY_ROOM], when[8];
	struct str own;
	struct err err = { 0 };
	struct buf bytes;

	if (!prefixed(SEEN, key, room, &own, NULL))
		return;
	bytes_put_be64(when, clock_now_us());
	buf_init(&bytes, STORE_VALUE_MAX);
	buf_add(&bytes, str_of(when, sizeof when));
	buf_add(&bytes, value);
	if (!bytes.failed && !st->own->ops->put(st->own, own, buf_view(&bytes), is_there ? SEEN_TTL_US : 0, &err))
		log_warn("store: no copy of a value could be kept: %s", err.text);
	buf_clear(&bytes);
}

/* The copy follows what Redis says, written only when that is news. */
static void follow(struct store_local *st, struct str key, struct str value, bool is_there)
{
	int64_t when_us = 0, now_us = clock_now_us();
	struct arena arena;
	struct str seen;
	bool found;

	arena_init(&arena, STORE_VALUE_MAX * 2);
	if (read_seen(st, key, &arena, &seen, &when_us, &found, NULL) && (found || is_there) &&
	    (found != is_there || !str_eq(seen, value) || now_us - when_us > SEEN_FRESH_US))
		write_seen(st, key, value, is_there);
	arena_clear(&arena);
}

static bool local_get(struct store *base, struct str key, struct arena *arena, struct str *out_value, bool *out_found,
		      struct err *err)
{
	struct store_local *st = self(base);
	struct err why = { 0 };
	int64_t when_us;

	if (st->shared->ops->get(st->shared, key, arena, out_value, out_found, &why)) {
		follow(st, key, *out_found ? *out_value : STR_EMPTY, *out_found);
		return true;
	}
	if (is_away(&why)) {
		note_mode(st, true, &why);
		return read_seen(st, key, arena, out_value, &when_us, out_found, err);
	}
	if (err)
		*err = why;
	return false;
}

static bool local_put(struct store *base, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	struct store_local *st = self(base);

	if (!st->shared->ops->put(st->shared, key, value, ttl_us, err))
		return false;
	follow(st, key, value, ttl_us > 0);
	return true;
}

static bool local_scan(struct store *base, struct str prefix, store_scan_fn *fn, void *arg, struct err *err)
{
	return self(base)->shared->ops->scan(self(base)->shared, prefix, fn, arg, err);
}

/* --- merging */

struct leftover {
	struct leftover *next;
	struct str key, value;         /* key as in the own store */
	int64_t expires_us;
};

struct leftovers {
	struct arena arena;
	struct leftover *first;
	bool is_short_of_memory;
};

static bool collect(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct leftovers *all = arg;
	struct leftover *one = arena_new(&all->arena, struct leftover);

	if (!one || !arena_copy(&all->arena, key, &one->key) || !arena_copy(&all->arena, value, &one->value)) {
		all->is_short_of_memory = true;         /* the rest with the next turn */
		return false;
	}
	one->expires_us = expires_us;
	one->next = all->first;
	all->first = one;
	return true;
}

/* "sekisho:{acme}:..." */
static struct str tenant_of(struct str key)
{
	struct str before, rest, tenant, after;

	return str_cut(key, '{', &before, &rest) && str_cut(rest, '}', &tenant, &after) ? tenant : STR_EMPTY;
}

static bool merge_window(struct store_local *st, const struct leftover *one, struct err *err)
{
	struct store_take take = { .key = str_from(one->key, LOCAL.len), .limit = LIMIT_NONE };
	struct window_state state;
	struct store_taken taken;
	char id[200];

	if (!window_shape(one->value, &take))
		return true;
	window_decode(&take, one->value, &state);
	window_look(&take, &state, clock_now_us(), &taken);
	take.cost = taken.used;
	/* A bucket without a limit would keep nothing. */
	if (take.window == WINDOW_BURST)
		take.limit = state.drain;
	if (take.cost == 0)
		return true;
	snprintf(id, sizeof id, "merge:" STR_FMT ":%016llx%016llx", STR_ARG(st->node),
		 (unsigned long long)str_hash(one->key), (unsigned long long)str_hash(one->value));

	struct store_charge charge = { .tenant = tenant_of(take.key), .id = str_from_c(id), .takes = &take, .count = 1,
				       .is_once = true };
	struct store_charged charged = { .taken = &taken };

	return st->shared->ops->charge(st->shared, &charge, &charged, err);
}

static bool merge_counter(struct store_local *st, const struct leftover *one, int64_t n, struct err *err)
{
	int64_t total, ttl_us = one->expires_us - clock_now_us();

	return st->shared->ops->count_add(st->shared, str_from(one->key, LOCAL.len), n, ttl_us > 0 ? ttl_us : 1, &total,
					  err);
}

/* Nobody counts meanwhile, so what goes over is all there was. */
static bool merge_one(struct store_local *st, const struct leftover *one, struct err *err)
{
	int64_t n;
	bool is_counter = num_parse_i64(one->value, &n);

	return (is_counter ? merge_counter(st, one, n, err) : merge_window(st, one, err)) &&
	       st->own->ops->put(st->own, one->key, STR_EMPTY, 0, err);
}

static void merge_all(struct store_local *st)
{
	struct leftovers all = { 0 };
	struct err err = { 0 };
	size_t merged = 0;
	bool ok;

	arena_init(&all.arena, (size_t)64 << 20);
	pthread_rwlock_wrlock(&st->merging);
	ok = st->own->ops->scan(st->own, LOCAL, collect, &all, &err);
	for (struct leftover *one = all.first; ok && one; one = one->next) {
		ok = merge_one(st, one, &err);
		merged += ok;
	}
	pthread_rwlock_unlock(&st->merging);
	if (merged)
		log_info("store: %zu local counts added to the shared ones", merged);
	if (!ok && !is_away(&err))
		log_warn("store: local counts cannot be added to the shared ones: %s", err.text);
	arena_clear(&all.arena);
}

/* Does it take writes? A full server, or a replica, answers, and is of no use. Asked only when there is a reason to. */
static bool is_back(struct store_local *st)
{
	int64_t total;

	return st->shared->ops->count_add(st->shared, STR("sekisho:{}:back"), 0, US_PER_S, &total, NULL);
}

static bool stop_at_first(void *arg, struct str key, struct str value, int64_t expires_us)
{
	(void)key;
	(void)value;
	(void)expires_us;
	*(bool *)arg = true;
	return false;
}

static bool has_leftovers(struct store_local *st)
{
	bool has = false;

	return st->own->ops->scan(st->own, LOCAL, stop_at_first, &has, NULL) && has;
}

/* The daemon gets it first and keeps it, so that a tool that looks in does not take away what is still being counted. */
static bool may_merge(struct store_local *st)
{
	if (st->lock >= 0)
		return true;
	int fd = open(st->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		st->lock = fd;
		return true;
	}
	if (fd >= 0)
		close(fd);
	return false;
}

static void *merge_in_turns(void *arg)
{
	struct store_local *st = arg;
	struct timespec until;

	pthread_mutex_lock(&st->mutex);
	while (!st->is_stopping) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		while (!st->is_stopping && pthread_cond_timedwait(&st->stopping, &st->mutex, &until) != ETIMEDOUT)
			;
		pthread_mutex_unlock(&st->mutex);
		if ((atomic_load(&st->store.is_local) || has_leftovers(st)) && is_back(st)) {
			note_mode(st, false, NULL);
			if (may_merge(st))
				merge_all(st);
		}
		pthread_mutex_lock(&st->mutex);
	}
	pthread_mutex_unlock(&st->mutex);
	return NULL;
}

/* --- open, close */

static bool start_merger(struct store_local *st, struct err *err)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&st->merger, NULL, merge_in_turns, st);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	st->has_merger = errno == 0;
	return st->has_merger || err_errno(err, ERR_BUSY, "store: thread");
}

static void local_close(struct store *base)
{
	struct store_local *st = self(base);

	if (st->has_merger) {
		pthread_mutex_lock(&st->mutex);
		st->is_stopping = true;
		pthread_cond_signal(&st->stopping);
		pthread_mutex_unlock(&st->mutex);
		pthread_join(st->merger, NULL);
	}
	store_close(st->shared);
	store_close(st->own);
	if (st->lock >= 0)
		close(st->lock);
	pthread_cond_destroy(&st->stopping);
	pthread_mutex_destroy(&st->mutex);
	pthread_rwlock_destroy(&st->merging);
	free((void *)(uintptr_t)st->node.ptr);
	free(st);
}

static struct store_local *new_store(const struct config *config)
{
	struct store_local *st = calloc(1, sizeof *st);
	char *node = strndup(config->node.len ? config->node.ptr : "", config->node.len);
	pthread_condattr_t attr;

	if (!st || !node) {
		free(node);
		free(st);
		return NULL;
	}
	st->store.ops = &store_local;
	st->lock = -1;
	snprintf(st->lock_path, sizeof st->lock_path, STR_FMT "/merge", STR_ARG(config->store_path));
	st->node = str_of(node, strlen(node));
	st->share = config->store_local_share > 0 ? config->store_local_share : 100;
	pthread_rwlock_init(&st->merging, NULL);
	pthread_mutex_init(&st->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&st->stopping, &attr);
	pthread_condattr_destroy(&attr);
	return st;
}

static bool local_open(const struct config *config, struct store **out, struct err *err)
{
	struct store_local *st = new_store(config);

	if (!st)
		return err_memory(err);
	if (!store_lmdb.open(config, &st->own, err) || !store_redis.open(config, &st->shared, err) ||
	    !start_merger(st, err)) {
		local_close(&st->store);
		return false;
	}
	snprintf(st->store.notice, sizeof st->store.notice, "%.250s%s%.250s", st->own->notice,
		 st->own->notice[0] && st->shared->notice[0] ? "; " : "", st->shared->notice);
	*out = &st->store;
	return true;
}

const struct store_ops store_local = {
	.name = "redis, or embedded while it is away",
	.open = local_open,
	.close = local_close,
	.charge = local_charge,
	.refund = local_refund,
	.get = local_get,
	.put = local_put,
	.count_add = local_count_add,
	.scan = local_scan,
};
