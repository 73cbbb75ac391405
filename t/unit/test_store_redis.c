/* The shared store: the same table as the embedded one, relays that share it, and copies from one to the other. */
#include "t/lib/redis_fixture.h"
#include "t/lib/store_random.h"
#include "t/lib/unit.h"

#include <pthread.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "policy/store_copy.h"

/* Nothing is slow here but the machine, and that is no failure of the store. */
static void patient_setup(struct config *config, bool by_socket)
{
	redis_setup(config, by_socket);
	config->store_timeout_us = 20 * US_PER_S;
}

START_TEST(rows)
{
	struct config config;

	patient_setup(&config, _i % 2);
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

	patient_setup(&config, true);
	redis_set_quiet_time();

	struct store_under_test under = { .st = redis_open(&config), .advance = redis_pass_time };

	store_beside_run(&under);
	store_close(under.st);
}
END_TEST

START_TEST(random_operations)
{
	struct config config;

	patient_setup(&config, true);
	redis_set_quiet_time();

	struct store_under_test under = { .st = redis_open(&config), .advance = redis_pass_time };

	store_random_run(&under, (unsigned int)_i + 1, 1500);
	store_close(under.st);
}
END_TEST

/* --- a tenant's keys of one kind, without a walk over everybody's */

struct listing {
	char keys[64][100];
	size_t count;
	const char *prefix;            /* those alone */
};

static bool note_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct listing *l = arg;

	ck_assert_int_gt(expires_us, 0);
	(void)value;
	if (str_starts(key, str_from_c(l->prefix))) {
		ck_assert_uint_lt(l->count, 64);
		snprintf(l->keys[l->count++], sizeof *l->keys, STR_FMT, STR_ARG(key));
	}
	return true;
}

static void list(struct store *st, const char *from, struct listing *out)
{
	struct err err = { 0 };

	ck_assert_msg(st->ops->scan(st, str_from_c(from), note_key, out, &err), "%s", err.text);
}

static const struct {
	const char *prefix;
	size_t count;
} lists[] = {
	{ "sekisho:{acme}:bounce:2026-11-21:", 3 },     { "sekisho:{acme}:bounced:2026-11-21:", 1 },
	{ "sekisho:{acme}:bounced:2026-11-22:", 0 },    { "sekisho:{acme}:suppress:", 2 },
	{ "sekisho:{acme}:suspended", 3 },              { "sekisho:{acme}:suspended:login:", 1 },
	{ "sekisho:{acme}:q:hourly:r1h.rcpt.auth:", 3 }, { "sekisho:{acme}:q:all:r1h.rcpt.tenant:", 1 },
	{ "sekisho:{acme}:over:hourly:r1h.rcpt.auth:", 1 }, { "sekisho:{acme}:warn80:hourly:r1h.rcpt.auth:", 1 },
	{ "sekisho:{acme}:hits:message:M1:", 2 },       { "sekisho:{acme}:hits:reader:R1:", 1 },
	{ "sekisho:{none}:suppress:", 0 },
};

static void use_quota(struct store *st, const char *key)
{
	struct store_take take = { .key = str_from_c(key), .window = WINDOW_ROLLING, .period_us = 3600 * US_PER_S, .limit = 9,
				   .cost = 1, .is_enforced = true };
	const struct store_mark mark = { .key = STR("sekisho:{acme}:warn80:hourly:r1h.rcpt.auth:bob"), .reaches = 1 };
	int64_t marked;
	struct store_taken taken;
	struct store_charged charged = { .taken = &taken, .marked = &marked };
	struct store_charge charge = { .tenant = STR("acme"), .id = str_from_c(key), .takes = &take, .count = 1, .marks = &mark,
				       .mark_count = 1 };
	struct err err = { 0 };

	ck_assert_msg(st->ops->charge(st, &charge, &charged, &err) && charged.is_taken, "%s", err.text);
}

static void fill(struct store *st)
{
	static const char *const counters[] = { "bounce:2026-11-21:userunknown:hard", "bounce:2026-11-21:delivered:soft",
						"bounce:2026-11-21:expired:soft", "bounced:2026-11-21:hard:x.test",
						"bounce:2026-11-20:expired:soft", "over:hourly:r1h.rcpt.auth:bob",
						"hits:message:M1:opens", "hits:message:M2:opens", "hits:reader:R1:M1:opens" };
	static const char *const values[] = { "suppress:a@x.test", "suppress:b@x.test", "suppress:c@x.test", "suspended",
					      "suspended:login:bob", "suspended:sender:a@b.test", "hits:message:M1:url:1" };
	char key[100];
	struct err err = { 0 };
	int64_t total;

	for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
		snprintf(key, sizeof key, "sekisho:{acme}:%s", counters[i]);
		ck_assert(st->ops->count_add(st, str_from_c(key), 1, DAY_US, &total, &err));
		ck_assert(st->ops->count_add(st, str_from_c(key), 1, DAY_US, &total, &err) && total == 2);
	}
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		snprintf(key, sizeof key, "sekisho:{acme}:%s", values[i]);
		ck_assert(st->ops->put(st, str_from_c(key), STR("x"), DAY_US, &err));
	}
	ck_assert(st->ops->put(st, STR("sekisho:{acme}:suppress:b@x.test"), STR(""), 0, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{other}:suppress:b@x.test"), STR("x"), DAY_US, &err));
	use_quota(st, "sekisho:{acme}:q:hourly:r1h.rcpt.auth:bob");
	use_quota(st, "sekisho:{acme}:q:hourly:r1h.rcpt.auth:carol");
	use_quota(st, "sekisho:{acme}:q:hourly:r1h.rcpt.auth:odd:%*[");
	use_quota(st, "sekisho:{acme}:q:all:r1h.rcpt.tenant:");
}

static int64_t asked_number(const char *command)
{
	int64_t n;

	ck_assert(num_parse_i64(str_from_c(redis_server_ask(&the_redis, command)), &n));
	return n;
}

START_TEST(lists_without_a_walk)
{
	struct config config;

	patient_setup(&config, true);
	redis_set_quiet_time();

	struct store *st = redis_open(&config);

	redis_server_ask(&the_redis, "DEBUG POPULATE 20000");
	fill(st);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct listing l = { .prefix = lists[i].prefix };

		list(st, lists[i].prefix, &l);
		ck_assert_msg(l.count == lists[i].count, "%s: %zu keys", lists[i].prefix, l.count);
	}
	ck_assert_ptr_null(strstr(redis_server_ask(&the_redis, "INFO commandstats"), "cmdstat_scan:"));
	/* A walk finds the same. */
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct listing walked = { .prefix = lists[i].prefix }, listed = { .prefix = lists[i].prefix };

		list(st, "sekisho:{", &walked);
		list(st, lists[i].prefix, &listed);
		ck_assert_uint_eq(walked.count, listed.count);
		for (size_t j = 0; j < listed.count; j++)
			ck_assert_str_eq(walked.keys[j], listed.keys[j]);
	}
	store_close(st);
}
END_TEST

/* A list holds what lives, and dies with the last of it. In minutes, so that a slow machine's seconds change nothing. */
START_TEST(lists_forget)
{
	const int64_t minute_us = 60 * US_PER_S;
	struct config config;
	struct err err = { 0 };
	int64_t total;
	char key[64];

	patient_setup(&config, true);
	redis_set_quiet_time();

	struct store *st = redis_open(&config);

	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof key, "sekisho:{acme}:bounced:2026-11-21:hard:h%d.test", i);
		ck_assert(st->ops->count_add(st, str_from_c(key), 1, minute_us * (i + 1), &total, &err));
	}
	ck_assert_int_eq(asked_number("ZCARD sekisho:{acme}:keys:bounced:2026-11-21"), 300);
	redis_pass_time(NULL, 250 * minute_us + minute_us / 2);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounced:2026-11-21:hard:new.test"), 1, minute_us, &total, &err));
	ck_assert_int_eq(asked_number("ZCARD sekisho:{acme}:keys:bounced:2026-11-21"), 51);
	ck_assert_int_gt(asked_number("PTTL sekisho:{acme}:keys:bounced:2026-11-21"), 48 * 60000);
	redis_pass_time(NULL, 60 * minute_us);
	ck_assert_int_eq(asked_number("EXISTS sekisho:{acme}:keys:bounced:2026-11-21"), 0);
	store_close(st);
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

	patient_setup(&config, false);
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

static void find_nothing(void *arg, size_t index, struct str value)
{
	(void)arg;
	(void)value;
	ck_abort_msg("found %zu", index);
}

/* What ended elsewhere, a suspension say, costs one trip more, and not one with each message from then on. */
START_TEST(what_is_gone_is_no_hint)
{
	static const struct str keys[] = { STR_INIT("sekisho:{acme}:suspended"), STR_INIT("sekisho:{acme}:suspended:login:a") };
	const struct store_charge peek = { .tenant = STR("acme"), .asked = keys, .asked_count = 2, .on_found = find_nothing,
					   .is_peek = true };
	struct store_charged charged = { 0 };
	struct config config;
	struct err err = { 0 };

	patient_setup(&config, false);
	struct store *st = redis_open(&config);

	for (int i = 0; i < 2; i++) {
		ck_assert_msg(st->ops->put(st, keys[i], STR("yes"), DAY_US, &err), "%s", err.text);
		ck_assert(st->ops->may_have(st, keys[i]));
	}
	redis_server_ask(&the_redis, "FLUSHALL");
	ck_assert_msg(st->ops->charge(st, &peek, &charged, &err), "%s", err.text);
	for (int i = 0; i < 2; i++)
		ck_assert(!st->ops->may_have(st, keys[i]));
	store_close(st);
}
END_TEST

/* A value that was there and found no room here is not one that is away. */
START_TEST(what_finds_no_room_stays_a_hint)
{
	const struct str key = STR("sekisho:{acme}:suspended");
	struct arena arena;
	struct config config;
	struct err err = { 0 };
	struct str value;
	bool found;

	patient_setup(&config, false);
	struct store *st = redis_open(&config);

	ck_assert_msg(st->ops->put(st, key, STR("a value of more than four octets"), DAY_US, &err), "%s", err.text);
	arena_init(&arena, 4);
	ck_assert(!st->ops->get(st, key, &arena, &value, &found, &err));
	ck_assert(st->ops->may_have(st, key));
	arena_clear(&arena);
	store_close(st);
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

	patient_setup(&config, true);
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
	tcase_add_checked_fixture(tc, redis_begin, redis_end);
	tcase_add_loop_test(tc, rows, 0, store_row_count);
	tcase_add_test(tc, beside_a_charge);
	tcase_add_loop_test(tc, random_operations, 0, 4);
	tcase_add_test(tc, lists_without_a_walk);
	tcase_add_test(tc, lists_forget);
	tcase_add_test(tc, relays_take_exactly_the_limit);
	tcase_add_test(tc, what_is_gone_is_no_hint);
	tcase_add_test(tc, what_finds_no_room_stays_a_hint);
	tcase_add_test(tc, copies_both_ways);
	return unit_main(suite);
}
