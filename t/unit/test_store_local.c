/* on_store_failure: local. Redis goes, and comes back: what is counted where, and that nothing is counted twice. */
#include "t/lib/local_fixture.h"
#include "t/lib/proxy.h"
#include "t/lib/unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/memory.h"

/* In the place of config/base/memory.c: the n-th allocation that is counted fails. */
static _Thread_local unsigned long shortages;
static _Thread_local int allocations_left;

unsigned long memory_shortages(void)
{
	return shortages;
}

void memory_ran_out(void)
{
	shortages++;
}

void *memory_calloc(size_t count, size_t size)
{
	void *ptr = --allocations_left == 0 ? NULL : calloc(count, size);

	shortages += !ptr;
	return ptr;
}

static void note_change(void *arg, bool is_local, const char *why)
{
	ck_assert_int_eq(is_local, why[0] != '\0');
	atomic_fetch_add((atomic_int *)arg, is_local ? 1 : 100);
}

START_TEST(without_redis_counts_locally)
{
	atomic_int changes = 0;
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	int64_t total;

	local_setup(&config, 50);
	struct store *st = redis_open(&config);

	st->on_local_arg = &changes;
	atomic_store(&st->on_local, note_change);
	local_charge_shared(st, 7);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 2, DAY_US, &total, &err));
	kill(the_redis.pid, SIGSTOP);
	local_charge_alone(st, 12, 20, 10);
	ck_assert(atomic_load(&st->is_local));
	ck_assert_int_eq(changes, 1);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 3, DAY_US, &total, &err));
	ck_assert_int_eq(total, 3);
	/* Each where it was taken, though one of them cannot be reached. */
	ck_assert_msg(st->ops->refund(st, STR("acme"), STR("alone-3"), &err), "%s", err.text);
	ck_assert_msg(st->ops->refund(st, STR("acme"), STR("shared-3"), &err), "%s", err.text);

	if (_i) {                       /* our process dies before Redis is back */
		store_close(st);
		st = redis_open(&config);
	}
	kill(the_redis.pid, SIGCONT);
	/* With the process died what it still wanted undone: one refund, and three charges that were never answered. */
	local_wait_for_merged(st, 7 - 1 + 9, 7 - 1 + 9 + (_i ? 4 : 0));
	while (!_i && atomic_load(&changes) == 1)       /* it is told after it is so */
		usleep(20000);
	ck_assert_int_eq(changes, _i ? 1 : 101);
	/* counters are merged after the windows */
	for (int i = 0; i < 2000; i++) {
		ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 0, DAY_US, &total, &err));
		if (total == 5)
			break;
		usleep(5000);
	}
	ck_assert_int_eq(total, 5);
	ck_assert(redis_charge_one(st, "full", 15, &is_taken, &err));
	ck_assert(!is_taken);
	store_close(st);
}
END_TEST

/* What Redis has given out already is not given out again, and what was given out alone is not given out by Redis. */
START_TEST(no_more_than_was_left)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	local_charge_shared(st, 15);
	kill(the_redis.pid, SIGSTOP);
	local_charge_alone(st, 10, 20, 5);
	kill(the_redis.pid, SIGCONT);
	for (int i = 0; i < 200 && atomic_load(&st->is_local); i++, usleep(10000)) {
		ck_assert(redis_charge_one(st, "back", 20, &is_taken, &err));
		ck_assert(!is_taken);
	}
	local_wait_for_merged(st, 20, 20);
	store_close(st);
}
END_TEST

/* It comes and goes, and never answers a message between: what went over is not given out again. */
START_TEST(no_more_however_often)
{
	struct config config;
	struct err err = { 0 };
	int taken = 1;
	bool is_taken;
	char id[32];

	local_setup(&config, 25);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "shared");
	for (int times = 0; times < 6; times++) {
		kill(the_redis.pid, SIGSTOP);
		for (int i = 0; i < 6; i++) {
			snprintf(id, sizeof id, "alone-%d-%d", times, i);
			ck_assert_msg(redis_charge_one(st, id, 20, &is_taken, &err), "%s", err.text);
			taken += is_taken;
		}
		kill(the_redis.pid, SIGCONT);
		local_wait_for_merged(st, taken, taken);
	}
	ck_assert_int_eq(taken, 20);
	store_close(st);
}
END_TEST

/* Two that look alike are still two. */
START_TEST(the_same_count_again)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	char id[32];

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	for (int i = 1; i <= 4; i++) {
		kill(the_redis.pid, SIGSTOP);
		snprintf(id, sizeof id, "alone-%d", i);
		ck_assert_msg(redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
		kill(the_redis.pid, SIGCONT);
		local_wait_for_merged(st, i, i);
	}
	store_close(st);
}
END_TEST

/* It answers, but takes no more: that is away too, and not back every second. */
START_TEST(a_full_redis_is_away)
{
	atomic_int changes = 0;
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	st->on_local_arg = &changes;
	atomic_store(&st->on_local, note_change);
	redis_charge_until_taken(st, "before");
	redis_server_ask(&the_redis, "CONFIG SET maxmemory 1");
	for (int i = 0; i < 12; i++) {
		char id[24];

		snprintf(id, sizeof id, "full-%d", i);
		ck_assert_msg(redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
		usleep(100000);
	}
	ck_assert_int_eq(changes, 1);
	redis_server_ask(&the_redis, "CONFIG SET maxmemory 0");
	local_wait_for_merged(st, 13, 13);
	ck_assert_int_eq(changes, 101);
	store_close(st);
}
END_TEST

START_TEST(without_redis_knows_what_it_knew)
{
	struct config config;
	struct err err = { 0 };
	struct arena arena;
	struct str value;
	bool found;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	arena_init(&arena, SIZE_MAX);
	ck_assert(st->ops->put(st, STR("sekisho:{acme}:suspended"), STR("yes"), DAY_US, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{beta}:suspended"), STR("yes"), DAY_US, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{beta}:suspended"), STR(""), 0, &err));
	redis_server_ask(&the_redis, "SET sekisho:{gamma}:suspended elsewhere PX 100000");
	ck_assert(st->ops->get(st, STR("sekisho:{gamma}:suspended"), &arena, &value, &found, &err) && found);
	redis_server_stop(&the_redis);

	while (!atomic_load(&st->is_local))
		ck_assert(st->ops->get(st, STR("sekisho:{acme}:suspended"), &arena, &value, &found, &err));
	ck_assert(st->ops->get(st, STR("sekisho:{acme}:suspended"), &arena, &value, &found, &err) && found);
	ck_assert_str_is(value, STR("yes"));
	ck_assert(st->ops->get(st, STR("sekisho:{beta}:suspended"), &arena, &value, &found, &err) && !found);
	ck_assert(st->ops->get(st, STR("sekisho:{gamma}:suspended"), &arena, &value, &found, &err) && found);
	ck_assert_str_is(value, STR("elsewhere"));
	ck_assert(!st->ops->put(st, STR("sekisho:{acme}:suspended"), STR("no"), DAY_US, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	arena_clear(&arena);
	store_close(st);
}
END_TEST

/* That we have no memory to ask Redis with is no reason to do without it. */
START_TEST(without_memory_is_not_without_redis)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken, ok = false;
	int64_t total;
	int n = 0;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	while (!ok && ++n < 100) {
		allocations_left = n;
		ok = redis_charge_one(st, "one", 20, &is_taken, &err);
		ck_assert(!atomic_load(&st->is_local));
	}
	ck_assert_int_gt(n, 3);
	for (ok = false, n = 0; !ok && ++n < 100;) {
		allocations_left = n;
		ok = st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 1, DAY_US, &total, &err);
		ck_assert(!atomic_load(&st->is_local));
	}
	ck_assert_int_gt(n, 1);
	ck_assert_int_eq(total, 1);
	store_close(st);
}
END_TEST

static int64_t count_in_redis(const char *key)
{
	char command[200];

	snprintf(command, sizeof command, "GET %s", key);
	return strtoll(redis_server_ask(&the_redis, command), NULL, 10);
}

/* Answers are lost while it goes over (the last key first), each twice: what was done, though nobody learnt of it, is done once. */
START_TEST(a_merge_whose_answers_are_lost_counts_once)
{
	static const char *const lost[] = { "watch:two", "watch:two", "watch:one", "watch:one", "quota:crowd", "quota:crowd" };
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	bool is_taken = false;
	int64_t total;

	proxy_start(&proxy, the_redis.port);
	local_setup(&config, 100);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "shared");
	kill(the_redis.pid, SIGSTOP);
	ck_assert_msg(redis_charge_one(st, "alone", LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
	ck_assert(atomic_load(&st->is_local));
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:watch:one"), 3, DAY_US, &total, &err));
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:watch:two"), 5, DAY_US, &total, &err));
	atomic_store(&proxy.loses, lost[0]);
	kill(the_redis.pid, SIGCONT);
	for (size_t i = 1; i <= sizeof lost / sizeof *lost; i++) {
		while (atomic_load(&proxy.loses))
			usleep(1000);
		/* More is counted alone meanwhile, and goes over behind it. */
		if (i == 3)
			ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:watch:one"), 4, DAY_US, &total, &err));
		atomic_store(&proxy.loses, i < sizeof lost / sizeof *lost ? lost[i] : NULL);
	}
	while (atomic_load(&st->is_local))
		usleep(10000);
	redis_wait_for_used(st, 2);
	ck_assert_int_eq(count_in_redis("sekisho:{acme}:watch:one"), 7);
	ck_assert_int_eq(count_in_redis("sekisho:{acme}:watch:two"), 5);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

/* --- a bucket */

static bool pour(struct store *st, const char *id, int64_t cost, bool is_peek, int64_t *out_used)
{
	const struct store_take take = { .key = STR("sekisho:{acme}:q:m"), .window = WINDOW_BURST, .period_us = DAY_US,
					 .limit = 100, .cost = cost, .is_enforced = true };
	struct store_taken taken = { 0 };
	const struct store_charge one = { .tenant = STR("acme"), .id = str_from_c(id), .takes = &take, .count = 1, .is_peek = is_peek };
	struct store_charged charged = { .taken = &taken };
	struct err err = { 0 };

	ck_assert_msg(st->ops->charge(st, &one, &charged, &err), "%s", err.text);
	*out_used = taken.used;
	return charged.is_taken;
}

/* What was left when Redis went is the limit of who counts alone; the bucket that it goes over to keeps its own. */
START_TEST(a_bucket_goes_over_whole)
{
	struct config config;
	int64_t used;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	ck_assert(pour(st, "shared", 60, false, &used));
	kill(the_redis.pid, SIGSTOP);
	ck_assert(pour(st, "alone", 40, false, &used) && atomic_load(&st->is_local));
	kill(the_redis.pid, SIGCONT);
	while (atomic_load(&st->is_local))
		usleep(20000);
	pour(st, "", 1, true, &used);
	ck_assert_int_eq(used, 100);
	ck_assert(!pour(st, "more", 40, false, &used));
	store_close(st);
}
END_TEST

/* The second comes while the merger is at the first, and stands behind it among the keys, but not among the names. */
START_TEST(shared_again_is_when_all_have_gone_over)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	int64_t total;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	kill(the_redis.pid, SIGSTOP);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme-mail}:bounce:x"), 1, DAY_US, &total, &err));
	ck_assert_msg(redis_charge_one(st, "alone", 20, &is_taken, &err) && is_taken, "%s", err.text);
	kill(the_redis.pid, SIGCONT);
	while (atomic_load(&st->is_local))
		usleep(1000);
	ck_assert_int_eq(redis_used(st), 1);
	store_close(st);
}
END_TEST

/* Nobody gives it back: it need not be remembered for a quarter of an hour. */
START_TEST(what_is_settled_alone_is_forgotten)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	kill(the_redis.pid, SIGSTOP);
	ck_assert_msg(redis_charge_one(st, "alone", 1, &is_taken, &err) && is_taken, "%s", err.text);
	ck_assert_ptr_nonnull(st->ops->settle);
	st->ops->settle(st, STR("acme"), STR("alone"));
	ck_assert(st->ops->refund(st, STR("acme"), STR("alone"), &err));
	ck_assert(redis_charge_one(st, "more", 1, &is_taken, &err) && !is_taken);
	kill(the_redis.pid, SIGCONT);
	store_close(st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store local");
	TCase *tc = tcase_create("store local");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, redis_begin, redis_end);
	tcase_add_loop_test(tc, without_redis_counts_locally, 0, 2);
	tcase_add_test(tc, no_more_than_was_left);
	tcase_add_test(tc, no_more_however_often);
	tcase_add_test(tc, the_same_count_again);
	tcase_add_test(tc, a_full_redis_is_away);
	tcase_add_test(tc, a_merge_whose_answers_are_lost_counts_once);
	tcase_add_test(tc, without_redis_knows_what_it_knew);
	tcase_add_test(tc, without_memory_is_not_without_redis);
	tcase_add_test(tc, a_bucket_goes_over_whole);
	tcase_add_test(tc, shared_again_is_when_all_have_gone_over);
	tcase_add_test(tc, what_is_settled_alone_is_forgotten);
	return unit_main(suite);
}
