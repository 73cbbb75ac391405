#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "policy/store_local_inside.h"
#include "policy/window.h"

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
	struct store_take take = { .key = str_from(one->key, STORE_LOCAL.len), .limit = LIMIT_NONE };
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

	return st->shared->ops->count_add(st->shared, str_from(one->key, STORE_LOCAL.len), n, ttl_us > 0 ? ttl_us : 1, &total,
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
	ok = st->own->ops->scan(st->own, STORE_LOCAL, collect, &all, &err);
	for (struct leftover *one = all.first; ok && one; one = one->next) {
		ok = merge_one(st, one, &err);
		merged += ok;
	}
	pthread_rwlock_unlock(&st->merging);
	if (merged)
		log_info("store: %zu local counts added to the shared ones", merged);
	if (!ok && !store_local_is_away(&err))
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

	return st->own->ops->scan(st->own, STORE_LOCAL, stop_at_first, &has, NULL) && has;
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
			store_local_note_mode(st, false, NULL);
			if (may_merge(st))
				merge_all(st);
		}
		pthread_mutex_lock(&st->mutex);
	}
	pthread_mutex_unlock(&st->mutex);
	return NULL;
}

/* --- the thread */

bool store_local_start_merger(struct store_local *st, struct err *err)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&st->merger, NULL, merge_in_turns, st);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	st->has_merger = errno == 0;
	return st->has_merger || err_errno(err, ERR_BUSY, "store: thread");
}

void store_local_stop_merger(struct store_local *st)
{
	if (!st->has_merger)
		return;
	pthread_mutex_lock(&st->mutex);
	st->is_stopping = true;
	pthread_cond_signal(&st->stopping);
	pthread_mutex_unlock(&st->mutex);
	pthread_join(st->merger, NULL);
}
