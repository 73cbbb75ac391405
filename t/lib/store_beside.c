/* What goes along with a charge, at any store: one story, told step by step. */
#include "t/lib/store_rows.h"

#include <stdio.h>

#include "t/lib/unit.h"

#define KEY(name) STR_INIT("sekisho:{acme}:" name)
#define LIMIT 10

static const struct store_mark marks[] = {
	{ .key = KEY("over:a"), .take = 1, .reaches = STORE_REFUSED },
	{ .key = KEY("warn50:a"), .take = 1, .reaches = 5 },
	{ .key = KEY("warn100:a"), .take = 1, .reaches = 10 },
	{ .key = KEY("warn1:wide"), .take = 0, .reaches = 1 },
};
#define MARKS (sizeof marks / sizeof *marks)
#define PERIOD_US (3600 * US_PER_S)
static const struct str asked[] = { KEY("v:absent"), KEY("v:x"), KEY("v:y"), KEY("v:gone") };

static const struct row {
	const char *name;
	int64_t cost;
	bool is_asking, is_barred, is_peek, want_taken;
	const char *want_found;
	int64_t want_used, want_marks[MARKS];
} rows[] = {
	{ "what is there is told, and bars nothing", 3, true, false, false, true, "1=one 2=two ", 0, { 0, 0, 0, 1 } },
	{ "what is there bars", 3, true, true, false, false, "1=one 2=two ", 3, { 0, 0, 0 } },
	{ "barred, nothing is marked either", 30, true, true, false, false, "1=one 2=two ", 3, { 0, 0, 0 } },
	{ "a level would be reached", 2, false, false, true, true, "", 3, { 0, 1, 0 } },
	{ "a level is reached", 2, false, false, false, true, "", 3, { 0, 1, 0 } },
	{ "not again", 1, false, false, false, true, "", 5, { 0, 0, 0 } },
	{ "refused", 5, false, false, false, false, "", 6, { 1, 0, 0 } },
	{ "refused again", 9, false, false, false, false, "", 6, { 2, 0, 0 } },
	{ "never", 99, false, false, false, false, "", 6, { 3, 0, 0 } },
	{ "the last level", 4, false, false, false, true, "", 6, { 0, 0, 1 } },
	{ "nothing wanted", 0, true, true, false, false, "1=one 2=two ", 10, { 0, 0, 0 } },
};

static void take_down(void *arg, size_t index, struct str value)
{
	char *found = arg;
	size_t len = strlen(found);

	snprintf(found + len, 80 - len, "%zu=" STR_FMT " ", index, STR_ARG(value));
}

/* How long the day has still to run. */
static int64_t run_row(const struct row *row, struct store *st)
{
	char id[40], found[80] = "";
	const struct store_take takes[] = {
		{ .key = KEY("q:wide"), .window = WINDOW_CALENDAR, .calendar = CALENDAR_DAY, .limit = LIMIT_NONE, .cost = row->cost,
		  .is_enforced = true },
		{ .key = KEY("q:a"), .window = WINDOW_ROLLING, .period_us = PERIOD_US, .limit = LIMIT, .cost = row->cost,
		  .is_enforced = true },
	};
	const struct store_charge charge = {
		.tenant = STR("acme"), .id = str_of(id, (size_t)snprintf(id, sizeof id, "beside-%d", (int)(row - rows))),
		.takes = takes, .count = 2, .marks = marks, .mark_count = MARKS, .asked = asked,
		.asked_count = row->is_asking ? 4 : 0, .on_found = take_down, .on_found_arg = found,
		.is_barred = row->is_barred, .is_peek = row->is_peek,
	};
	struct store_taken taken[2];
	int64_t marked[MARKS] = { -1, -1, -1, -1 };
	struct store_charged charged = { .taken = taken, .marked = marked };
	struct err err = { 0 };

	ck_assert_msg(st->ops->charge(st, &charge, &charged, &err), "%s: %s", row->name, err.text);
	ck_assert_msg(charged.is_taken == row->want_taken, "%s: taken %d", row->name, charged.is_taken);
	ck_assert_msg(taken[1].used == row->want_used, "%s: used %lld", row->name, (long long)taken[1].used);
	ck_assert_msg(strcmp(found, row->want_found) == 0, "%s: found %s", row->name, found);
	for (size_t i = 0; i < MARKS; i++)
		ck_assert_msg(marked[i] == row->want_marks[i], "%s: mark %zu at %lld", row->name, i, (long long)marked[i]);
	return taken[0].resets_us - charged.now_us;
}

static void check_counter(struct store *st, struct str key, const char *want)
{
	struct arena arena;
	struct err err = { 0 };
	struct str value = STR_EMPTY;
	bool found;

	arena_init(&arena, SIZE_MAX);
	ck_assert_msg(st->ops->get(st, key, &arena, &value, &found, &err), "%s", err.text);
	ck_assert_msg(found == (want != NULL), STR_FMT " there: %d", STR_ARG(key), found);
	if (want)
		ck_assert_str_is(value, str_from_c(want));
	arena_clear(&arena);
}

void store_beside_run(const struct store_under_test *under)
{
	struct store *st = under->st;
	struct err err = { 0 };
	int64_t day_left_us = 0;

	ck_assert(st->ops->put(st, asked[1], STR("one"), 3600 * US_PER_S, &err));
	ck_assert(st->ops->put(st, asked[2], STR("two"), 3600 * US_PER_S, &err));
	ck_assert(st->ops->put(st, asked[3], STR("three"), US_PER_S, &err));
	under->advance(under->arg, 2 * US_PER_S);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		day_left_us = run_row(&rows[i], st);
	ck_assert_int_gt(day_left_us, PERIOD_US + 60 * US_PER_S);
	under->advance(under->arg, PERIOD_US - 30 * US_PER_S);
	check_counter(st, marks[0].key, "3");
	check_counter(st, marks[1].key, "1");
	under->advance(under->arg, 31 * US_PER_S);
	check_counter(st, marks[0].key, NULL);
	check_counter(st, marks[1].key, NULL);
	/* Not a day after it was made: with the day. */
	under->advance(under->arg, day_left_us - PERIOD_US - 31 * US_PER_S);
	check_counter(st, marks[3].key, "1");
	under->advance(under->arg, 31 * US_PER_S);
	check_counter(st, marks[3].key, NULL);
}
