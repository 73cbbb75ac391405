#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "policy/store_local_inside.h"
#include "policy/store_local_seat.h"
#include "policy/window.h"

#define TURN_US (US_PER_S / 4)
#define BATCH 50                       /* so many are added to Redis before the tenant's sessions may go on counting, */
#define HOLD_US (50 * INT64_C(1000))   /* and none is begun that long after the first */
#define LEFT_MAX ((size_t)64 << 20)    /* octets of names, and of a batch */

/* --- what was counted alone */

struct leftover {
	struct leftover *next;
	struct str key, value;         /* key as in the own store */
	int64_t expires_us;
};

struct leftovers {
	struct store_local *st;
	const struct store_local_tenant *slot;         /* whose tenants' */
	struct arena arena;
	struct leftover *first;
	size_t count;
	bool is_cut;                   /* and there are others: they did not fit */
};

static bool collect(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct leftovers *all = arg;
	struct leftover *one;

	if (store_local_tenant(all->st, store_local_tenant_of(key)) != all->slot)
		return true;
	one = arena_new(&all->arena, struct leftover);
	all->is_cut = !one || !arena_copy(&all->arena, key, &one->key) || !arena_copy(&all->arena, value, &one->value);
	if (all->is_cut)
		return false;
	one->expires_us = expires_us;
	one->next = all->first;
	all->first = one;
	return ++all->count < BATCH;
}

/* What was sent to Redis, and nobody learnt whether it arrived: under its id it can be sent again. */
struct store_local_sent {
	struct store_local_sent *next;
	uint64_t key_hash;
	int64_t n;
	char id[200];
};

static struct store_local_sent **find_sent(struct store_local *st, uint64_t key_hash)
{
	struct store_local_sent **at = &st->sent;

	while (*at && (*at)->key_hash != key_hash)
		at = &(*at)->next;
	return at;
}

static struct store_local_sent *new_sent(struct store_local *st, uint64_t key_hash, int64_t n, struct err *err)
{
	struct store_local_sent *sent = calloc(1, sizeof *sent);
	uint64_t nonce[2];

	if (!sent || getrandom(nonce, sizeof nonce, 0) != sizeof nonce) {
		free(sent);
		err_memory(err);
		return NULL;
	}
	*sent = (struct store_local_sent){ .next = st->sent, .key_hash = key_hash, .n = n };
	snprintf(sent->id, sizeof sent->id, "merge:" STR_FMT ":%016llx%016llx", STR_ARG(str_slice(st->node, 0, 128)),
		 (unsigned long long)nonce[0], (unsigned long long)nonce[1]);
	st->sent = sent;
	return sent;
}

/* A window or a counter that goes over. */
struct going {
	struct store_take take;        /* of a counter the key alone */
	int64_t ttl_us;                /* of a counter */
	uint64_t key_hash;             /* of its own key */
	bool (*send)(struct store_local *st, const struct going *going, int64_t n, struct str id, struct err *err);
};

static bool send_window(struct store_local *st, const struct going *going, int64_t n, struct str id, struct err *err)
{
	struct store_take take = going->take;
	struct store_taken taken;
	struct store_charged charged = { .taken = &taken };
	const struct store_charge charge = { .tenant = store_local_tenant_of(take.key), .id = id, .takes = &take, .count = 1,
					     .is_once = true };

	take.cost = n;
	if (!st->shared->ops->charge(st->shared, &charge, &charged, err))
		return false;
	/* Or it would be given out again, were Redis lost before a message is answered there. */
	left_note(&st->left, &charge, &charged, clock_now_us());
	return true;
}

static bool send_counter(struct store_local *st, const struct going *going, int64_t n, struct str id, struct err *err)
{
	struct str key = going->take.key;

	return st->shared->ops->count_once(st->shared, store_local_tenant_of(key), id, key, n, going->ttl_us, err);
}

/*
 * All of `n`, once, however often it is called: what was sent before and may have arrived goes out under the same id until
 * that is known, and then what has come since.
 */
static bool send_once(struct store_local *st, const struct going *going, int64_t n, struct err *err)
{
	while (n > 0) {
		struct store_local_sent **at = find_sent(st, going->key_hash);
		struct store_local_sent *sent = *at ? *at : new_sent(st, going->key_hash, n, err);

		if (!sent || !going->send(st, going, sent->n, str_from_c(sent->id), err))
			return false;
		n -= sent->n;
		at = find_sent(st, going->key_hash);
		*at = sent->next;
		free(sent);
	}
	return true;
}

/* Without whose it is. */
static struct str shared_key(const struct leftover *one)
{
	struct str seat, key = STR_EMPTY;

	str_cut(one->key, ':', &seat, &key);
	return key;
}

static bool merge_window(struct store_local *st, const struct leftover *one, struct err *err)
{
	struct going going = { .take = { .key = shared_key(one), .limit = LIMIT_NONE },
			       .key_hash = str_hash(one->key), .send = send_window };
	struct window_state state;
	struct store_taken taken;

	if (!window_shape(one->value, &going.take))
		return true;
	window_decode(&going.take, one->value, &state);
	window_look(&going.take, &state, clock_now_us(), &taken);
	/* A bucket without a limit would keep nothing. */
	if (going.take.window == WINDOW_BURST)
		going.take.limit = state.drain;
	return send_once(st, &going, taken.used, err);
}

static bool merge_counter(struct store_local *st, const struct leftover *one, int64_t n, struct err *err)
{
	int64_t ttl_us = one->expires_us - clock_now_us();
	const struct going going = { .take = { .key = shared_key(one) }, .ttl_us = ttl_us > 0 ? ttl_us : 1,
				     .key_hash = str_hash(one->key), .send = send_counter };

	return send_once(st, &going, n, err);
}

static bool merge_one(struct store_local *st, const struct leftover *one, struct err *err)
{
	int64_t n;
	bool is_counter = num_parse_i64(one->value, &n);

	return (is_counter ? merge_counter(st, one, n, err) : merge_window(st, one, err)) &&
	       st->own->ops->put(st->own, one->key, STR_EMPTY, 0, err);
}

/* A few at a time, for the tenant's sessions wait meanwhile. True: these are over; *out_is_done: and none is left. */
static bool merge_some(struct store_local *st, const struct store_local_tenant *slot, struct str prefix, int64_t hold_us,
		       bool *out_is_done, struct err *err)
{
	int64_t until_us = clock_mono_us() + hold_us;
	struct leftovers some = { .st = st, .slot = slot };
	struct leftover *one;
	bool ok;

	arena_init(&some.arena, LEFT_MAX);
	ok = st->own->ops->scan(st->own, prefix, collect, &some, err) && (!some.is_cut || some.count || err_memory(err));
	for (one = some.first; ok && one && (one == some.first || clock_mono_us() < until_us); one = one->next)
		ok = merge_one(st, one, err);
	*out_is_done = !one && some.count < BATCH && !some.is_cut;
	arena_clear(&some.arena);
	return ok;
}

/*
 * None of the tenant's are counted while some go over, so that no charge sees them twice, or nowhere. Each time it may take
 * longer, or where Redis is slow as many would come as go. `lets_go`: then its sessions count in Redis again, and so do those of
 * all that share its slot. Who is none of them may have come since they were listed: what is new there goes over too.
 */
static bool merge_tenant(struct store_local *st, int seat, struct str name, bool lets_go)
{
	struct store_local_tenant *slot = store_local_tenant(st, name);
	char room[STORE_KEY_MAX + 32];
	struct str prefix = str_of(room, (size_t)snprintf(room, sizeof room, STR_FMT "sekisho:{" STR_FMT "}:",
							  STR_ARG(store_local_seat_prefix(seat)), STR_ARG(name)));
	struct err err = { 0 };
	bool ok = true, is_done = false, is_whole = false;

	for (int64_t hold_us = HOLD_US; ok && !is_done; hold_us += HOLD_US) {
		pthread_rwlock_wrlock(&slot->merging);
		ok = merge_some(st, slot, prefix, hold_us, &is_done, &err);
		if (ok && is_done && lets_go && (is_whole || !atomic_load(&slot->is_news))) {
			atomic_store(&slot->is_aside, false);
		} else if (is_done && lets_go) {
			prefix = store_local_seat_prefix(seat);
			is_whole = true;
			is_done = false;
		}
		pthread_rwlock_unlock(&slot->merging);
	}
	if (!ok && !store_local_is_away(&err))
		log_warn("store: local counts of tenant " STR_FMT " cannot be added to the shared ones: %s", STR_ARG(name), err.text);
	return ok;
}

/* Does the server that has this tenant take writes? A full one, or a replica, answers, and is of no use. */
static bool is_back(struct store_local *st, struct str tenant)
{
	char key[STORE_KEY_MAX + 32];
	int64_t total;
	int len = snprintf(key, sizeof key, "sekisho:{" STR_FMT "}:back", STR_ARG(tenant));

	return st->shared->ops->count_add(st->shared, str_of(key, (size_t)len), 0, US_PER_S, &total, NULL);
}

/* --- tenants, one after the other */

struct left_tenant {
	struct left_tenant *next;
	struct str name;
	struct store_local_tenant *slot;
};

/* Who has something left at a seat. */
struct left_tenants {
	struct store_local *st;
	struct arena arena;
	struct left_tenant *first;
	bool is_cut;                   /* and others have: they did not fit */
};

/* A tenant's keys stand together. */
static bool note_tenant(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct left_tenants *left = arg;
	struct str name = store_local_tenant_of(key);
	struct left_tenant *one;

	(void)value;
	(void)expires_us;
	if (left->first && str_eq(left->first->name, name))
		return true;
	one = arena_new(&left->arena, struct left_tenant);
	left->is_cut = !one || !arena_copy(&left->arena, name, &one->name);
	if (left->is_cut)
		return false;
	one->slot = store_local_tenant(left->st, name);
	one->slot->left++;
	one->next = left->first;
	left->first = one;
	return true;
}

/* What is counted from now on, and may be too late for the list, is news. */
static bool find_tenants(struct store_local *st, int seat, struct left_tenants *out)
{
	for (size_t i = 0; seat == st->seat && i < STORE_LOCAL_TENANTS; i++)
		atomic_store(&st->tenants[i].is_news, false);
	*out = (struct left_tenants){ .st = st };
	arena_init(&out->arena, LEFT_MAX);
	return st->own->ops->scan(st->own, store_local_seat_prefix(seat), note_tenant, out, NULL) && !out->is_cut;
}

/* Our own seat, or one where nobody sits: who does adds by himself what he counted. */
static bool sits_at(struct store_local *st, int seat, int *fd)
{
	return seat == st->seat || *fd >= 0 || (store_local_seat_take(st->path, seat, fd, NULL) && *fd >= 0);
}

static void forget_tenants(struct left_tenants *left)
{
	for (const struct left_tenant *one = left->first; one; one = one->next)
		one->slot->left = 0;
	arena_clear(&left->arena);
}

/* Those whose server is back; the others wait, at another's seat for who comes back to it. True: nothing is left. */
static bool merge_seat(struct store_local *st, int seat)
{
	struct left_tenants left;
	size_t merged = 0;
	int fd = -1;
	bool is_all = find_tenants(st, seat, &left);

	for (const struct left_tenant *one = left.first; one; one = one->next) {
		bool lets_go = seat == st->seat && one->slot->left == 1, ok = is_back(st, one->name);

		if (ok && !sits_at(st, seat, &fd))
			break;
		ok = ok && merge_tenant(st, seat, one->name, lets_go);
		one->slot->left -= ok;
		merged += ok;
		is_all &= ok;
	}
	if (fd >= 0)
		close(fd);
	forget_tenants(&left);
	if (merged)
		log_info("store: local counts of %zu tenants added to the shared ones", merged);
	return is_all;
}

/* True: nothing of ours is left. What others left behind goes over before that is said, as far as it can. */
static bool merge_all(struct store_local *st)
{
	for (int i = 0; i < STORE_LOCAL_SEATS; i++)
		if (i != st->seat)
			merge_seat(st, i);
	return merge_seat(st, st->seat);
}

/* --- shared again */

struct slot_search {
	struct store_local *st;
	const struct store_local_tenant *slot;
	bool is_found;
};

static bool look_at_slot(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct slot_search *search = arg;

	(void)value;
	(void)expires_us;
	search->is_found = store_local_tenant(search->st, store_local_tenant_of(key)) == search->slot;
	return !search->is_found;
}

/* Unless something was counted there since it was looked through. */
static bool let_go(struct store_local *st, struct store_local_tenant *slot)
{
	struct slot_search search = { .st = st, .slot = slot };

	pthread_rwlock_wrlock(&slot->merging);
	bool ok = st->own->ops->scan(st->own, store_local_seat_prefix(st->seat), look_at_slot, &search, NULL) && !search.is_found;

	if (ok)
		atomic_store(&slot->is_aside, false);
	pthread_rwlock_unlock(&slot->merging);
	return ok;
}

static bool let_all_go(struct store_local *st)
{
	bool is_all = true;

	for (size_t i = 0; i < STORE_LOCAL_TENANTS; i++)
		is_all &= !atomic_load(&st->tenants[i].is_aside) || let_go(st, &st->tenants[i]);
	return is_all;
}

static bool is_any_aside(struct store_local *st)
{
	bool is_any = false;

	for (size_t i = 0; i < STORE_LOCAL_TENANTS && !is_any; i++)
		is_any = atomic_load(&st->tenants[i].is_aside);
	return is_any;
}

static struct str lost_tenant(struct store_local *st, char room[STORE_KEY_MAX])
{
	pthread_mutex_lock(&st->mutex);
	size_t len = strnlen(st->lost, sizeof st->lost);

	memcpy(room, st->lost, len);
	pthread_mutex_unlock(&st->mutex);
	return str_of(room, len);
}

/* Back only when the server that was lost last is, and all that was counted without it has gone over. */
static void take_turn(struct store_local *st)
{
	bool is_alone = atomic_load(&st->store.is_local) || is_any_aside(st);
	char room[STORE_KEY_MAX];

	if (merge_all(st) && is_alone && is_back(st, lost_tenant(st, room)) && let_all_go(st))
		store_local_note_shared(st);
}

/* --- the thread */

/* One turn more when it is stopped. */
static void merge_in_turns(void *arg)
{
	struct store_local *st = arg;
	bool goes_on;

	do {
		goes_on = task_wait(&st->merger, TURN_US);
		take_turn(st);
	} while (goes_on);
}

bool store_local_start_merger(struct store_local *st, struct err *err)
{
	return task_start(&st->merger, "store merger", merge_in_turns, st, err);
}

void store_local_stop_merger(struct store_local *st)
{
	task_stop(&st->merger);
	for (struct store_local_sent *next; st->sent; st->sent = next) {
		next = st->sent->next;
		free(st->sent);
	}
}
