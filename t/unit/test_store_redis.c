/* The shared store: the same table as the embedded one, relays that share it, and copies from one to the other. */
#include "t/lib/redis_fixture.h"
#include "t/lib/store_random.h"
#include "t/lib/unit.h"

#include <pthread.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "policy/store_copy.h"

START_TEST(rows)
{
	struct config config;

	redis_setup(&config, _i % 2);
	redis_set_quiet_time();

	struct store_under_test under = { .st = redis_open(&config), .advance = redis_pass_time };

	ck_assert_str_eq(under.st->notice, "");
	store_row_run(_i, &under);
	store_close(under.st);
}
END_TEST

START_TEST(beside_a_charge)
{
	struct config config;

	redis_setup(&config, true);
	redis_set_quiet_time();

	struct store_under_test under = { .st = redis_open(&config), .advance = redis_pass_time };

	store_beside_run(&under);
	store_close(under.st);
}
END_TEST

START_TEST(random_operations)
{
	struct config config;

	redis_setup(&config, true);
	redis_set_quiet_time();

	struct store_under_test under = { .st = redis_open(&config), .advance = redis_pass_time };

	store_random_run(&under, (unsigned int)_i + 1, 1500);
	store_close(under.st);
}
END_TEST

/* --- many at once */

#define LIMIT 300

struct crowd {
	pthread_t thread;
	struct store *st;
	int number, taken;
};

static void *crowd_work(void *arg)
{
	struct crowd *own = arg;
	char id[32];

	for (int i = 0; i < 12; i++) {
		bool is_taken = false;
		struct err err = { 0 };

		snprintf(id, sizeof id, "crowd-%d-%d", own->number, i);
		ck_assert_msg(redis_charge_one(own->st, id, LIMIT, &is_taken, &err), "%s", err.text);
		own->taken += is_taken;
	}
	return NULL;
}

/* Two relays with 32 sessions each, one quota; and each decision is one command, whatever else is going on. */
START_TEST(relays_take_exactly_the_limit)
{
	struct config config;
	struct crowd crowd[64];
	struct store *relays[2];
	int taken = 0;

	redis_setup(&config, false);
	config.store_timeout_us = 10 * US_PER_S;
	for (int i = 0; i < 2; i++)
		relays[i] = redis_open(&config);
	redis_server_ask(&the_redis, "CONFIG RESETSTAT");
	for (int i = 0; i < 64; i++) {
		crowd[i] = (struct crowd){ .st = relays[i % 2], .number = i };
		ck_assert_int_eq(pthread_create(&crowd[i].thread, NULL, crowd_work, &crowd[i]), 0);
	}
	for (int i = 0; i < 64; i++) {
		pthread_join(crowd[i].thread, NULL);
		taken += crowd[i].taken;
	}
	ck_assert_int_eq(taken, LIMIT);
	ck_assert_ptr_nonnull(strstr(redis_server_ask(&the_redis, "INFO commandstats"), "cmdstat_evalsha:calls=768,"));
	ck_assert_ptr_null(strstr(redis_server_ask(&the_redis, "INFO commandstats"), "cmdstat_eval:"));
	ck_assert_int_eq(redis_used(relays[1]), LIMIT);
	for (int i = 0; i < 2; i++)
		store_close(relays[i]);
}
END_TEST

/* --- copying */

#define Q "sekisho:{acme}:q:"

static const struct store_take copied[] = {
	{ .key = STR_INIT(Q "r"),
	  .window = WINDOW_ROLLING,
	  .period_us = DAY_US,
	  .limit = 100,
	  .cost = 7,
	  .is_enforced = true },
	{ .key = STR_INIT(Q "c"),
	  .window = WINDOW_CALENDAR,
	  .calendar = CALENDAR_MONTH,
	  .limit = 100,
	  .cost = 8,
	  .is_enforced = true },
	{ .key = STR_INIT(Q "b"),
	  .window = WINDOW_BURST,
	  .period_us = DAY_US,
	  .limit = 100,
	  .cost = 9,
	  .is_enforced = true },
};

static void check_copy(struct store *st)
{
	struct store_taken taken[3];
	struct store_charge peek = { .tenant = STR("acme"), .takes = copied, .count = 3, .is_peek = true };
	struct store_charged charged = { .taken = taken };
	struct err err = { 0 };
	struct arena arena;
	struct str value;
	int64_t total = 0;
	bool found;

	arena_init(&arena, SIZE_MAX);
	ck_assert_msg(st->ops->charge(st, &peek, &charged, &err), "%s", err.text);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(taken[i].used, copied[i].cost);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 0, DAY_US, &total, &err));
	ck_assert_int_eq(total, 5);
	ck_assert(st->ops->get(st, STR("sekisho:{acme}:suppress:a@b"), &arena, &value, &found, &err) && found);
	ck_assert_str_is(value, STR("bounce since ever"));
	arena_clear(&arena);
}

/* From the embedded store to Redis and into another embedded store: twice each, and all is as it was. */
START_TEST(copies_both_ways)
{
	static char paths[2][400];
	struct config config;
	struct store *own[2], *shared;
	struct store_taken taken[3];
	struct store_charge charge_all = { .tenant = STR("acme"), .id = STR("x"), .takes = copied, .count = 3 };
	struct store_charged charged = { .taken = taken };
	struct store_copied counts;
	struct err err = { 0 };
	int64_t total;

	redis_setup(&config, true);
	shared = redis_open(&config);
	config.store_backend = STORE_EMBEDDED;
	config.store_size_max = 16 << 20;
	for (int i = 0; i < 2; i++) {
		snprintf(paths[i], sizeof paths[i], "%s/own-%d", the_redis.dir, i);
		config.store_path = str_from_c(paths[i]);
		own[i] = redis_open(&config);
	}
	ck_assert(own[0]->ops->charge(own[0], &charge_all, &charged, &err) && charged.is_taken);
	ck_assert(own[0]->ops->count_add(own[0], STR("sekisho:{acme}:bounce:x"), 5, DAY_US, &total, &err));
	ck_assert(own[0]->ops->put(own[0], STR("sekisho:{acme}:suppress:a@b"), STR("bounce since ever"), DAY_US, &err));
	check_copy(own[0]);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(store_copy(own[0], shared, NULL, &counts, &err), "%s", err.text);
	ck_assert(counts.windows == 3 && counts.counters == 1 && counts.values == 1);
	check_copy(shared);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(store_copy(shared, own[1], NULL, &counts, &err), "%s", err.text);
	ck_assert(counts.windows == 3 && counts.counters == 1 && counts.values == 1);
	check_copy(own[1]);
	store_close(shared);
	store_close(own[0]);
	store_close(own[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store redis");
	TCase *tc = tcase_create("store redis");

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, redis_begin, redis_end);
	tcase_add_loop_test(tc, rows, 0, store_row_count);
	tcase_add_test(tc, beside_a_charge);
	tcase_add_loop_test(tc, random_operations, 0, 4);
	tcase_add_test(tc, relays_take_exactly_the_limit);
	tcase_add_test(tc, copies_both_ways);
	return unit_main(suite);
}
