/*
 * Redis with the embedded store behind it: on_store_failure: local.
 *
 * While Redis does not answer, this relay counts by itself, against store.local_share per cent of each limit, and no more
 * than was left of it when this relay heard of it last. So a relay that is alone passes no limit it has seen; of several,
 * each can send once more what was left, up to its share. What it counted is added to Redis once it is back, as if charged
 * then (it leaves the windows a little late, never early), and until that is done its tenant goes on being counted here. What
 * it knew of values (suspensions, suppressions) it goes on knowing for a day; writing them and listing them needs Redis.
 *
 *     local:KEY          in counts/: a window or counter of the time without Redis; gone when Redis has it. Of a second process
 *                        of this relay local1:KEY, and so on (see store_local_seat.h)
 *     seen:KEY           in facts/: when(8, highest first), then the value that Redis had
 *
 * A merge that was cut short is begun again: each window and counter goes over under an id of its own, which keeps it from
 * being counted twice. Only a process that dies while its answer is under way may count it once more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "policy/bytes.h"
#include "policy/store_local_inside.h"
#include "policy/store_local_seat.h"

#define SEEN STR(STORE_LOCAL_SEEN)
#define SEEN_TTL_US DAY_US
#define SEEN_FRESH_US (INT64_C(3600) * US_PER_S)       /* younger copies need not be written again */
#define RETRY_SHARE_US (60 * US_PER_S)                 /* for what fits into the limit but not into our share of it */
#define KEY_ROOM (STORE_KEY_MAX + 1)

static struct store_local *self(struct store *st)
{
	return (struct store_local *)st;
}

bool store_local_is_away(const struct err *err)
{
	return err->kind == ERR_BUSY || err->kind == ERR_FULL;
}

/* That memory ran out here says nothing of Redis, which may know more than we do: the message waits. */
static bool is_away(const struct err *why, unsigned long shortages)
{
	return store_local_is_away(why) && memory_shortages() == shortages;
}

static bool prefixed(struct str prefix, struct str key, char room[KEY_ROOM], struct str *out, struct err *err)
{
	int len = snprintf(room, KEY_ROOM, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(key));

	if (len < 0 || len >= KEY_ROOM)
		return err_set(err, ERR_INPUT, "store: a key of %zu octets is too long to be kept locally", key.len);
	*out = str_of(room, (size_t)len);
	return true;
}

/* --- which way it goes */

struct str store_local_tenant_of(struct str key)
{
	struct str before, rest, tenant, after;

	return str_cut(key, '{', &before, &rest) && str_cut(rest, '}', &tenant, &after) ? tenant : STR_EMPTY;
}

struct store_local_tenant *store_local_tenant(struct store_local *st, struct str name)
{
	return &st->tenants[str_hash(name) % STORE_LOCAL_TENANTS];
}

/* With `merging` held for reading. `begins`: from now on it is, and so before a merge can end. */
static bool is_alone(struct store_local_tenant *tenant, bool begins)
{
	if (begins)
		atomic_store(&tenant->is_aside, true);
	return begins || atomic_load(&tenant->is_aside);
}

static void tell(struct store_local *st, bool is_local, const char *why)
{
	store_local_fn *fn = atomic_load(&st->store.on_local);

	if (fn)
		fn(st->store.on_local_arg, is_local, why);
}

static void note_lost(struct store_local *st, struct str tenant, const struct err *why)
{
	pthread_mutex_lock(&st->mutex);
	snprintf(st->lost, sizeof st->lost, STR_FMT, STR_ARG(tenant));
	pthread_mutex_unlock(&st->mutex);
	if (atomic_exchange(&st->store.is_local, true))
		return;
	log_warn("store: %s; counting locally, up to %lld%% of each limit", why->text, (long long)st->share);
	tell(st, true, why->text);
}

void store_local_note_shared(struct store_local *st)
{
	if (!atomic_exchange(&st->store.is_local, false))
		return;
	log_info("store: shared again");
	tell(st, false, "");
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
	if (!buf_done(&bytes, &value, &err) || !st->own->ops->put(st->own, own, value, is_there ? SEEN_TTL_US : 0, &err))
		log_warn("store: no copy of a value could be kept: %s", err.text);
	buf_clear(&bytes);
}

/* The copy follows what Redis says, written only when that is news, or nobody can tell. */
static void follow(struct store_local *st, struct str key, struct str value, bool is_there)
{
	int64_t when_us = 0, now_us = clock_now_us();
	struct arena arena;
	struct str seen;
	bool found;

	arena_init(&arena, STORE_VALUE_MAX * 2);
	if (!read_seen(st, key, &arena, &seen, &when_us, &found, NULL) ||
	    ((found || is_there) && (found != is_there || !str_eq(seen, value) || now_us - when_us > SEEN_FRESH_US)))
		write_seen(st, key, value, is_there);
	arena_clear(&arena);
}

/* --- counting locally */

/* No more than our share, and no more than was free when Redis was heard last. */
static int64_t own_limit(struct store_local *st, const struct store_take *take, int64_t now_us)
{
	if (take->limit <= 0 || take->limit == LIMIT_NONE)
		return take->limit;
	int64_t share = take->limit / 100 * st->share + take->limit % 100 * st->share / 100;
	int64_t left = left_of(&st->left, take, now_us);

	return left < share ? left : share > 0 ? share : 1;
}

/* A charge under the keys of the own store: takes, marks and questions, with the room their names need. */
struct own_charge {
	struct store_charge charge;
	const struct store_charge *asked;      /* by whom */
	struct store_take *takes;
	struct store_mark *marks;
	struct str *keys;
	char (*rooms)[KEY_ROOM];
};

static void tell_seen(void *arg, size_t index, struct str value)
{
	const struct store_charge *asked = arg;
	int64_t when_us;

	if (bytes_take_be64(&value, &when_us))
		asked->on_found(asked->on_found_arg, index, value);
}

static bool rename_all(struct store_local *st, struct own_charge *own, struct err *err)
{
	const struct str prefix = store_local_seat_prefix(st->seat);
	const struct store_charge *asked = own->asked;
	char (*room)[KEY_ROOM] = own->rooms;
	int64_t now_us = clock_now_us();
	bool ok = true;

	for (size_t i = 0; ok && i < asked->count; i++) {
		own->takes[i] = asked->takes[i];
		own->takes[i].limit = own_limit(st, &asked->takes[i], now_us);
		ok = prefixed(prefix, asked->takes[i].key, *room++, &own->takes[i].key, err);
	}
	for (size_t i = 0; ok && i < asked->mark_count; i++) {
		own->marks[i] = asked->marks[i];
		ok = prefixed(prefix, asked->marks[i].key, *room++, &own->marks[i].key, err);
	}
	for (size_t i = 0; ok && i < asked->asked_count; i++)
		ok = prefixed(SEEN, asked->asked[i], *room++, &own->keys[i], err);
	return ok;
}

static bool begin_own(struct store_local *st, const struct store_charge *charge, struct own_charge *out, struct err *err)
{
	size_t keys = charge->count + charge->mark_count + charge->asked_count;

	*out = (struct own_charge){
		.charge = *charge,
		.asked = charge,
		.takes = memory_calloc(charge->count + 1, sizeof *out->takes),
		.marks = memory_calloc(charge->mark_count + 1, sizeof *out->marks),
		.keys = memory_calloc(charge->asked_count + 1, sizeof *out->keys),
		.rooms = memory_calloc(keys + 1, sizeof *out->rooms),
	};
	out->charge.takes = out->takes;
	out->charge.marks = out->marks;
	out->charge.asked = out->keys;
	out->charge.on_found = tell_seen;
	out->charge.on_found_arg = (void *)(uintptr_t)charge;
	return ((out->takes && out->marks && out->keys && out->rooms) || err_memory(err)) && rename_all(st, out, err);
}

static void end_own(struct own_charge *own)
{
	free(own->rooms);
	free(own->keys);
	free(own->marks);
	free(own->takes);
}

static bool charge_own(struct store_local *st, const struct store_charge *charge, struct store_charged *out,
		       struct err *err)
{
	struct own_charge own;
	bool ok = begin_own(st, charge, &own, err) && st->own->ops->charge(st->own, &own.charge, out, err);

	for (size_t i = 0; ok && i < charge->count; i++)
		if (out->taken[i].retry_after_us == STORE_NEVER_US && charge->takes[i].cost <= charge->takes[i].limit)
			out->taken[i].retry_after_us = RETRY_SHARE_US;
	end_own(&own);
	return ok;
}

/* What Redis says of values on the way is followed like what it is asked for. */
struct listening {
	struct store_local *st;
	const struct store_charge *asked;
	bool *was_found;
};

static void hear(void *arg, size_t index, struct str value)
{
	struct listening *l = arg;

	l->was_found[index] = true;
	follow(l->st, l->asked->asked[index], value, true);
	l->asked->on_found(l->asked->on_found_arg, index, value);
}

static bool charge_shared(struct store_local *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	struct listening l = { .st = st, .asked = charge, .was_found = memory_calloc(charge->asked_count + 1, sizeof *l.was_found) };
	struct store_charge heard = *charge;

	heard.on_found = hear;
	heard.on_found_arg = &l;

	bool ok = l.was_found ? st->shared->ops->charge(st->shared, &heard, out, err) : err_memory(err);

	for (size_t i = 0; ok && i < charge->asked_count; i++)
		if (!l.was_found[i])
			follow(st, charge->asked[i], STR_EMPTY, false);
	if (ok)
		left_note(&st->left, charge, out, clock_now_us());
	free(l.was_found);
	return ok;
}

/*
 * From the first that is counted alone, all of its tenant are, until that has gone over. `begins`: this is the first, lest
 * the charge went to Redis again under the id that is being undone there.
 */
static bool charge_alone(struct store_local *st, const struct store_charge *charge, bool begins, struct store_charged *out,
			 bool *out_done, struct err *err)
{
	struct store_local_tenant *tenant = store_local_tenant(st, charge->tenant);
	bool ok = true;

	pthread_rwlock_rdlock(&tenant->merging);
	*out_done = is_alone(tenant, begins);
	if (*out_done) {
		ok = charge_own(st, charge, out, err);
		atomic_store(&tenant->is_news, true);
	}
	pthread_rwlock_unlock(&tenant->merging);
	out->is_local = *out_done && ok;
	return ok;
}

/* That a tenant is counted alone is said last, and taken back first: none stays aside unnoticed. */
static bool local_charge(struct store *base, const struct store_charge *charge, struct store_charged *out,
			 struct err *err)
{
	struct store_local *st = self(base);
	unsigned long shortages = memory_shortages();
	struct err why = { 0 };
	bool is_done, ok;

	if (!charge_alone(st, charge, false, out, &is_done, err))
		return false;
	if (is_done || charge_shared(st, charge, out, &why))
		return true;
	if (!is_away(&why, shortages)) {
		if (err)
			*err = why;
		return false;
	}
	ok = charge_alone(st, charge, true, out, &is_done, err);
	note_lost(st, charge->tenant, &why);
	return ok;
}

/* Whichever has it gives it back; the shared store remembers to, when it is away. */
static bool local_refund(struct store *base, struct str tenant, struct str id, struct err *err)
{
	struct store_local *st = self(base);
	pthread_rwlock_t *merging = &store_local_tenant(st, tenant)->merging;

	pthread_rwlock_rdlock(merging);
	bool ok = st->own->ops->refund(st->own, tenant, id, err);

	pthread_rwlock_unlock(merging);
	return st->shared->ops->refund(st->shared, tenant, id, err) && ok;
}

/* Redis remembers by itself for how long it may be given back. */
static void local_settle(struct store *base, struct str tenant, struct str id)
{
	struct store *own = self(base)->own;

	own->ops->settle(own, tenant, id);
}

static bool count_alone(struct store_local *st, struct str key, int64_t n, int64_t ttl_us, bool begins, int64_t *out_total,
			bool *out_done, struct err *err)
{
	struct store_local_tenant *tenant = store_local_tenant(st, store_local_tenant_of(key));
	char room[KEY_ROOM];
	struct str own;
	bool ok = true;

	pthread_rwlock_rdlock(&tenant->merging);
	*out_done = is_alone(tenant, begins);
	if (*out_done) {
		ok = prefixed(store_local_seat_prefix(st->seat), key, room, &own, err) &&
		     st->own->ops->count_add(st->own, own, n, ttl_us, out_total, err);
		atomic_store(&tenant->is_news, true);
	}
	pthread_rwlock_unlock(&tenant->merging);
	return ok;
}

/* One that was sent and not answered may be counted twice, here and there; a charge would be undone there. */
static bool local_count_add(struct store *base, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total,
			    struct err *err)
{
	struct store_local *st = self(base);
	unsigned long shortages = memory_shortages();
	struct err why = { 0 };
	bool is_done, ok;

	if (!count_alone(st, key, n, ttl_us, false, out_total, &is_done, err))
		return false;
	if (is_done || st->shared->ops->count_add(st->shared, key, n, ttl_us, out_total, &why))
		return true;
	if (!is_away(&why, shortages)) {
		if (err)
			*err = why;
		return false;
	}
	ok = count_alone(st, key, n, ttl_us, true, out_total, &is_done, err);
	note_lost(st, store_local_tenant_of(key), &why);
	return ok;
}

/* --- values */

static bool local_may_have(struct store *base, struct str key)
{
	struct store_local *st = self(base);
	struct arena arena;
	struct str seen;
	int64_t when_us;
	bool found = false;

	if (st->shared->ops->may_have(st->shared, key))
		return true;
	arena_init(&arena, STORE_VALUE_MAX * 2);
	/* What cannot be read is worth a question. */
	bool may = !read_seen(st, key, &arena, &seen, &when_us, &found, NULL) || found;

	arena_clear(&arena);
	return may;
}

static bool local_get(struct store *base, struct str key, struct arena *arena, struct str *out_value, bool *out_found,
		      struct err *err)
{
	struct store_local *st = self(base);
	unsigned long shortages = memory_shortages();
	struct err why = { 0 };
	int64_t when_us;

	if (st->shared->ops->get(st->shared, key, arena, out_value, out_found, &why)) {
		follow(st, key, *out_found ? *out_value : STR_EMPTY, *out_found);
		return true;
	}
	if (is_away(&why, shortages)) {
		note_lost(st, store_local_tenant_of(key), &why);
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

/* --- open, close */

static void local_close(struct store *base)
{
	struct store_local *st = self(base);

	store_local_stop_merger(st);
	store_close(st->shared);
	store_close(st->own);
	if (st->seat_fd >= 0)
		close(st->seat_fd);
	pthread_mutex_destroy(&st->left.mutex);
	pthread_mutex_destroy(&st->mutex);
	for (size_t i = 0; i < STORE_LOCAL_TENANTS; i++)
		pthread_rwlock_destroy(&st->tenants[i].merging);
	free((void *)(uintptr_t)st->node.ptr);
	free(st);
}

/* Where a tenant's sessions never all pause at once, the C library would keep the merger waiting for as long as they go on. */
static void init_tenants(struct store_local *st)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (size_t i = 0; i < STORE_LOCAL_TENANTS; i++)
		pthread_rwlock_init(&st->tenants[i].merging, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static struct store_local *new_store(const struct config *config)
{
	struct store_local *st = calloc(1, sizeof *st);
	char *node = strndup(config->node.len ? config->node.ptr : "", config->node.len);

	if (!st || !node) {
		free(node);
		free(st);
		return NULL;
	}
	st->seat = st->seat_fd = -1;
	snprintf(st->path, sizeof st->path, STR_FMT, STR_ARG(config->store_path));
	st->node = str_of(node, strlen(node));
	st->share = config->store_local_share > 0 ? config->store_local_share : 100;
	init_tenants(st);
	pthread_mutex_init(&st->mutex, NULL);
	pthread_mutex_init(&st->left.mutex, NULL);
	return st;
}

/* The program's own, for what it counted before is there; or else the first that is nobody's own and free. */
static bool sit_down(struct store_local *st, enum store_seat own, struct err *err)
{
	for (int i = (int)own; i < STORE_LOCAL_SEATS && st->seat_fd < 0; i = i < STORE_SEAT_OTHERS ? STORE_SEAT_OTHERS : i + 1) {
		if (!store_local_seat_take(st->path, i, &st->seat_fd, err))
			return false;
		st->seat = i;
	}
	return st->seat_fd >= 0 ||
	       err_set(err, ERR_CONFIG, "store %s: too many processes would count in it (or this user must be in its group)", st->path);
}

static const struct store_ops store_local = {
	.name = "redis, or embedded while it is away",
	.close = local_close,
	.charge = local_charge,
	.refund = local_refund,
	.settle = local_settle,
	.may_have = local_may_have,
	.get = local_get,
	.put = local_put,
	.count_add = local_count_add,
	.scan = local_scan,
};

bool store_local_open(const struct config *config, enum store_seat seat, struct store **out, struct err *err)
{
	struct store_local *st = new_store(config);

	if (!st)
		return err_memory(err);
	st->store.ops = &store_local;
	if (!store_lmdb.open(config, &st->own, err) || !sit_down(st, seat, err) ||
	    !store_redis.open(config, &st->shared, err) || !store_local_start_merger(st, err)) {
		local_close(&st->store);
		return false;
	}
	snprintf(st->store.notice, sizeof st->store.notice, "%.250s%s%.250s", st->own->notice,
		 st->own->notice[0] && st->shared->notice[0] ? "; " : "", st->shared->notice);
	*out = &st->store;
	return true;
}
