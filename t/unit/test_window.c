/* The three windows: what a store's rows cannot reach. */
#include "t/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "policy/window.h"

#define NOW (INT64_C(1795186800) * US_PER_S)           /* 2026-11-21 00:00 JST, a Saturday */
#define HOUR (3600 * US_PER_S)

static const struct store_take hour = { .window = WINDOW_ROLLING, .period_us = HOUR, .limit = 10, .cost = 1 };
static const struct store_take bucket = { .window = WINDOW_BURST, .period_us = HOUR, .limit = 10, .cost = 1 };
static const struct store_take day = { .window = WINDOW_CALENDAR, .calendar = CALENDAR_DAY, .limit = 10, .cost = 1 };

static struct store_take with(struct store_take take, int64_t cost, int64_t limit)
{
	take.cost = cost;
	take.limit = limit;
	return take;
}

/* Takes whatever the limit says, and gives back what a look said before. */
static struct store_taken pour(const struct store_take *take, struct window_state *state, int64_t now_us,
			       struct window_mark *mark)
{
	struct window_mark own;
	struct store_taken taken;

	window_look(take, state, now_us, &taken);
	window_take(take, state, now_us, mark ? mark : &own);
	return taken;
}

static int64_t used_at(struct store_take take, const struct window_state *state, int64_t now_us)
{
	struct window_state copy = *state;
	struct store_taken taken;

	take.cost = 0;
	window_look(&take, &copy, now_us, &taken);
	return taken.used;
}

/* What is used up at `at` is free again at `resets`, and not a microsecond before. */
static const struct { const char *name; enum calendar_unit unit; const char *at, *resets; } unit_rows[] = {
	{ "day",                CALENDAR_DAY,   "2026-11-21T23:59:59.999999+09:00", "2026-11-22T00:00:00+09:00" },
	{ "day, in Japan",      CALENDAR_DAY,   "2026-11-21T15:00:00Z",             "2026-11-22T15:00:00Z" },
	{ "week, on Sunday",    CALENDAR_WEEK,  "2026-11-22T23:00:00+09:00",        "2026-11-23T00:00:00+09:00" },
	{ "week, on Monday",    CALENDAR_WEEK,  "2026-11-23T00:00:00+09:00",        "2026-11-30T00:00:00+09:00" },
	{ "month",              CALENDAR_MONTH, "2026-11-21T00:00:00+09:00",        "2026-12-01T00:00:00+09:00" },
	{ "month, of the year", CALENDAR_MONTH, "2026-12-31T23:59:59+09:00",        "2027-01-01T00:00:00+09:00" },
	{ "month, leap year",   CALENDAR_MONTH, "2028-02-29T12:00:00+09:00",        "2028-03-01T00:00:00+09:00" },
	{ "no unit is a day",   CALENDAR_NONE,  "2026-11-21T12:00:00+09:00",        "2026-11-22T00:00:00+09:00" },
};
START_TEST(units)
{
	struct store_take take = with(day, 10, 10);
	struct window_state state = { 0 };
	struct store_taken taken;
	int64_t at_us, resets_us;

	take.calendar = unit_rows[_i].unit;
	ck_assert(jst_parse_time(str_from_c(unit_rows[_i].at), &at_us));
	ck_assert(jst_parse_time(str_from_c(unit_rows[_i].resets), &resets_us));
	pour(&take, &state, at_us, NULL);
	window_look(&take, &state, at_us, &taken);
	ck_assert_msg(taken.is_over && taken.resets_us == resets_us && taken.retry_after_us == resets_us - at_us, "%s",
		      unit_rows[_i].name);
	ck_assert_int_eq(window_expires_us(&take, &state), resets_us);
	ck_assert_int_eq(used_at(take, &state, resets_us - 1), 10);
	ck_assert_int_eq(used_at(take, &state, resets_us), 0);
}
END_TEST

static const struct { const char *name; const struct store_take *take; int64_t used_us[3]; } back_rows[] = {
	/* used after the clock went: back a little, back far, forward again from back a little */
	{ "rolling", &hour, { 7, 7, 7 } },
	{ "day", &day, { 7, 7, 7 } },
	{ "burst", &bucket, { 7, 7, 7 } },
};
START_TEST(clock_goes_back)
{
	struct store_take take = with(*back_rows[_i].take, 7, 10);
	struct window_state state = { 0 }, copy;

	pour(&take, &state, NOW + 10, NULL);
	ck_assert_int_eq(used_at(take, &state, NOW - US_PER_S), back_rows[_i].used_us[0]);
	ck_assert_int_eq(used_at(take, &state, NOW - 400 * DAY_US), back_rows[_i].used_us[1]);

	/* A clock that was a year ahead must not keep the quota used up for a year. */
	copy = state;
	take.cost = 0;
	struct store_taken taken;

	window_look(&take, &copy, NOW - 400 * DAY_US, &taken);
	ck_assert_int_eq(used_at(take, &copy, NOW - 397 * DAY_US), 0);

	/* And one that only stumbled goes on counting where it was. */
	window_look(&take, &state, NOW - US_PER_S, &taken);
	ck_assert_int_eq(used_at(take, &state, NOW + 10), back_rows[_i].used_us[2]);
}
END_TEST

static const struct {
	const char *name;
	const struct store_take *take;
	int64_t cost, limit;
	bool is_over;
	int64_t used;
} edge_rows[] = {
	{ "all there is, rolling", &hour, INT64_MAX, INT64_MAX - 1, true, INT64_MAX },
	{ "all there is, day", &day, INT64_MAX, INT64_MAX - 1, true, INT64_MAX },
	{ "all there is, burst", &bucket, INT64_MAX, INT64_MAX - 1, true, 0 },
	{ "without a limit", &hour, INT64_MAX, INT64_MAX, false, INT64_MAX },
	{ "without a limit a bucket keeps nothing", &bucket, INT64_MAX, INT64_MAX, false, 0 },
	{ "half of it", &bucket, INT64_MAX / 2, INT64_MAX / 2 + 1, true, INT64_MAX / 2 },
	{ "negative cost", &hour, -5, 10, false, 0 },
	{ "negative limit", &hour, 1, -5, true, 2 },
	{ "a bucket spills over its rim", &bucket, 25, 10, true, 10 },
};
START_TEST(edges)
{
	struct store_take take = with(*edge_rows[_i].take, edge_rows[_i].cost, edge_rows[_i].limit);
	struct window_state state = { 0 };
	struct window_mark mark;

	pour(&take, &state, NOW, NULL);

	struct store_taken taken = pour(&take, &state, NOW, &mark);

	ck_assert_msg(taken.is_over == edge_rows[_i].is_over, "%s", edge_rows[_i].name);
	ck_assert_msg(used_at(take, &state, NOW) == edge_rows[_i].used, "%s: %lld", edge_rows[_i].name,
		      (long long)used_at(take, &state, NOW));
	window_give_back(&take, &state, NOW, &mark);
	ck_assert_int_ge(used_at(take, &state, NOW), 0);
}
END_TEST

START_TEST(changed_limit_of_a_bucket)
{
	struct window_state state = { 0 };
	struct store_take take = with(bucket, 10, 10), more = with(bucket, 1, 20), less = with(bucket, 1, 5);
	struct store_taken taken;

	pour(&take, &state, NOW, NULL);
	ck_assert_int_eq(used_at(more, &state, NOW + 1), 10); /* raised: the past stays, there is room for ten */
	ck_assert_int_eq(used_at(more, &state, NOW + HOUR / 2), 5); /* drained at the old rate until somebody looked */
	window_look(&more, &state, NOW + 1, &taken);
	ck_assert_int_eq(used_at(more, &state, NOW + 1 + HOUR / 4), 5);        /* and at the new one from then on */
	window_look(&less, &state, NOW + 1, &taken);
	ck_assert(taken.is_over);                                      /* lowered: full, but no fuller than full */
	ck_assert_int_eq(taken.used, 5);
	ck_assert_int_eq(taken.retry_after_us, HOUR / 5);
}
END_TEST

/* Each charge of a full bucket goes back in any order, and never lets more through than if it had not been. */
START_TEST(bucket_returns_what_has_not_drained)
{
	struct window_state state = { 0 };
	struct store_take a = with(bucket, 4, 10), b = with(bucket, 6, 10);
	struct window_mark mark_a, mark_b;

	pour(&a, &state, NOW, &mark_a);
	pour(&b, &state, NOW, &mark_b);

	int64_t later = NOW + HOUR / 5;                                /* two of a have drained */

	window_give_back(&a, &state, later, &mark_a);
	ck_assert_int_eq(used_at(a, &state, later), 6);
	window_give_back(&b, &state, later, &mark_b);
	ck_assert_int_le(used_at(b, &state, later), 2);

	pour(&b, &state, later + HOUR, &mark_b);                       /* another filling: the old marks are dead */
	window_give_back(&a, &state, later + HOUR, &mark_a);
	ck_assert_int_eq(used_at(b, &state, later + HOUR), 6);
}
END_TEST

/* --- bytes */

static const struct store_take *const shapes[] = { &hour, &bucket, &day };
#define SHAPES (sizeof shapes / sizeof *shapes)

/* A state with a past, of each shape. */
static void make_state(const struct store_take *shape, struct window_state *out)
{
	struct store_take take = with(*shape, 3, 1000);

	*out = (struct window_state){ 0 };
	for (int64_t i = 0; i < 40; i++)
		pour(&take, out, NOW + i * i * 2 * US_PER_S, NULL);
}

static void use(const struct store_take *take, struct window_state *state)
{
	struct window_mark mark = { .at = state->at, .before = 1, .delta = INT64_MAX };
	struct store_taken taken;
	char bytes[WINDOW_STATE_MAX];

	window_give_back(take, state, NOW + HOUR, &mark);
	window_look(take, state, NOW + HOUR, &taken);
	ck_assert_int_ge(taken.used, 0);
	ck_assert(!taken.is_over || taken.retry_after_us > 0);
	window_take(take, state, NOW + HOUR, &mark);
	ck_assert_uint_le(window_encode(take, state, bytes), WINDOW_STATE_MAX);
	ck_assert_int_ge(window_expires_us(take, state), 0);
}

START_TEST(bytes_round_trip)
{
	const struct store_take *take = shapes[_i];
	struct window_state state, back;
	char bytes[WINDOW_STATE_MAX], again[WINDOW_STATE_MAX];

	make_state(take, &state);
	size_t len = window_encode(take, &state, bytes);

	window_decode(take, str_of(bytes, len), &back);
	ck_assert_int_gt(used_at(*take, &back, NOW + 39 * 39 * 2 * US_PER_S), 0);
	ck_assert_str_is(str_of(again, window_encode(take, &back, again)), str_of(bytes, len));
	for (int64_t i = 0; i < 100; i++)
		ck_assert_int_eq(used_at(*take, &back, NOW + i * 100 * US_PER_S),
				 used_at(*take, &state, NOW + i * 100 * US_PER_S));
}
END_TEST

START_TEST(bytes_of_another_shape)
{
	struct store_take longer = hour, week = day;
	struct window_state state, back;
	char bytes[WINDOW_STATE_MAX];

	longer.period_us++;
	week.calendar = CALENDAR_WEEK;
	make_state(&hour, &state);
	struct str of_hour = str_of(bytes, window_encode(&hour, &state, bytes));

	window_decode(&longer, of_hour, &back);
	ck_assert_int_eq(used_at(longer, &back, NOW), 0);
	window_decode(&bucket, of_hour, &back);
	ck_assert_int_eq(used_at(bucket, &back, NOW), 0);

	make_state(&day, &state);
	window_decode(&week, str_of(bytes, window_encode(&day, &state, bytes)), &back);
	ck_assert_int_eq(used_at(week, &back, NOW), 0);
}
END_TEST

/* Cut anywhere, against a wall, or with octets changed: some state, never a crash. */
START_TEST(bytes_that_are_hostile)
{
	const struct store_take *take = shapes[_i];
	struct window_state state, back;
	char bytes[WINDOW_STATE_MAX];
	unsigned int seed = 1;

	make_state(take, &state);
	size_t len = window_encode(take, &state, bytes);

	for (size_t cut = 0; cut <= len; cut++) {
		struct str walled = unit_wall(str_of(bytes, cut));

		window_decode(take, walled, &back);
		use(take, &back);
		unit_wall_free(walled);
	}
	for (int i = 0; i < 20000; i++) {
		char wild[WINDOW_STATE_MAX];

		memcpy(wild, bytes, len);
		for (int changes = rand_r(&seed) % 4; changes >= 0; changes--)
			wild[4 + (size_t)rand_r(&seed) % (len - 4)] = (char)rand_r(&seed);
		window_decode(take, str_of(wild, len), &back);
		use(take, &back);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("window");
	TCase *tc = tcase_create("window");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, units, unit_rows);
	unit_add_rows(tc, clock_goes_back, back_rows);
	unit_add_rows(tc, edges, edge_rows);
	tcase_add_test(tc, changed_limit_of_a_bucket);
	tcase_add_test(tc, bucket_returns_what_has_not_drained);
	tcase_add_loop_test(tc, bytes_round_trip, 0, (int)SHAPES);
	tcase_add_test(tc, bytes_of_another_shape);
	tcase_add_loop_test(tc, bytes_that_are_hostile, 0, (int)SHAPES);
	return unit_main(suite);
}
