#include "t/lib/store_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "t/lib/unit.h"

#define S US_PER_S
#define MIN (60 * US_PER_S)
#define HOUR (3600 * US_PER_S)
#define NEVER STORE_NEVER_US
#define BIG INT64_MAX

enum verb { END, CHARGE, PEEK, REFUND, ADVANCE, PUT, NOTE, GET, GONE, COUNT, SCAN };

/* What each verb uses of it stands in its macro. */
struct step {
	enum verb verb;
	const char *name;              /* charge id, key or prefix */
	const char *key, *key2;        /* of the takes */
	enum quota_window window;
	enum calendar_unit calendar;
	int64_t period_us;
	int64_t limit, cost;           /* of the first take */
	int64_t limit2, cost2;
	bool is_monitor;               /* the first take */
	bool want_taken;
	int64_t want_used, want_used2;
	const char *text;
	int64_t n, ttl_us;
};

#define ROLLING(period) .window = WINDOW_ROLLING, .period_us = (period)
#define BURST(period) .window = WINDOW_BURST, .period_us = (period)
#define DAY_OF_JAPAN .window = WINDOW_CALENDAR, .calendar = CALENDAR_DAY
#define TAKE(id, k, c, l, ok, used) \
	.verb = CHARGE, .name = (id), .key = (k), .cost = (c), .limit = (l), .want_taken = (ok), .want_used = (used)
#define LOOK(k, c, l, ok, used) .verb = PEEK, .name = "", .key = (k), .cost = (c), .limit = (l), .want_taken = (ok), .want_used = (used)
#define SECOND(k, c, l, used) .key2 = (k), .cost2 = (c), .limit2 = (l), .want_used2 = (used)
#define BACK(id) { .verb = REFUND, .name = (id) }
#define WAIT(us) { .verb = ADVANCE, .n = (us) }
#define WRITE(k, v, ttl) { .verb = PUT, .name = (k), .text = (v), .ttl_us = (ttl) }
#define JOT(k, v, ttl) { .verb = NOTE, .name = (k), .text = (v), .ttl_us = (ttl) }
#define READ(k, v) { .verb = GET, .name = (k), .text = (v) }
#define ABSENT(k) { .verb = GONE, .name = (k) }
#define ADD(k, amount, ttl, total) { .verb = COUNT, .name = (k), .n = (amount), .ttl_us = (ttl), .want_used = (total) }
#define LIST(prefix, keys) { .verb = SCAN, .name = (prefix), .text = (keys) }

#define K "sekisho:{acme}:quota:a"
#define K2 "sekisho:{acme}:quota:b"
#define V "sekisho:{acme}:v:"

static const struct { const char *name; struct step steps[24]; } rows[] = {
	{ "rolling: up to the limit, and not one more", {
		{ TAKE("1", K, 6, 10, true, 0), ROLLING(HOUR) }, { TAKE("2", K, 4, 10, true, 6), ROLLING(HOUR) },
		{ TAKE("3", K, 1, 10, false, 10), ROLLING(HOUR) }, { LOOK(K, 0, 10, true, 10), ROLLING(HOUR) } } },
	{ "rolling: what was refused is not consumed", {
		{ TAKE("1", K, 6, 10, true, 0), ROLLING(HOUR) }, { TAKE("2", K, 5, 10, false, 6), ROLLING(HOUR) },
		{ TAKE("3", K, 4, 10, true, 6), ROLLING(HOUR) } } },
	{ "rolling: leaves after the period and at most a slot", {
		{ TAKE("1", K, 10, 10, true, 0), ROLLING(HOUR) }, WAIT(HOUR - S), { LOOK(K, 1, 10, false, 10), ROLLING(HOUR) },
		WAIT(MIN + S), { LOOK(K, 10, 10, true, 0), ROLLING(HOUR) } } },
	{ "rolling: all or none", {
		{ TAKE("1", K, 5, 10, true, 0), ROLLING(HOUR), SECOND(K2, 5, 6, 0) },
		{ TAKE("2", K, 5, 10, false, 5), ROLLING(HOUR), SECOND(K2, 5, 6, 5) },
		{ LOOK(K, 5, 10, true, 5), ROLLING(HOUR), SECOND(K2, 1, 6, 5) } } },
	{ "two takes on one key see each other", {
		{ TAKE("1", K, 6, 10, false, 0), ROLLING(HOUR), SECOND(K, 6, 10, 6) },
		{ TAKE("2", K, 6, 10, true, 0), ROLLING(HOUR), SECOND(K, 4, 10, 6) },
		{ LOOK(K, 1, 10, false, 10), ROLLING(HOUR) }, BACK("2"), { LOOK(K, 10, 10, true, 0), ROLLING(HOUR) } } },
	{ "monitor: over the limit it is taken all the same", {
		{ TAKE("1", K, 25, 10, true, 0), ROLLING(HOUR), .is_monitor = true },
		{ TAKE("2", K, 1, 10, true, 25), ROLLING(HOUR), .is_monitor = true },
		{ LOOK(K, 1, 10, false, 26), ROLLING(HOUR) } } },
	{ "larger than the limit: never", { { TAKE("1", K, 11, 10, false, 0), ROLLING(HOUR), .ttl_us = NEVER } } },
	{ "limit 0: nothing, but cost 0 passes", {
		{ TAKE("1", K, 1, 0, false, 0), ROLLING(HOUR), .ttl_us = NEVER }, { TAKE("2", K, 0, 0, true, 0), ROLLING(HOUR) } } },
	{ "no limit: counted, never refused", {
		{ TAKE("1", K, 1000000, BIG, true, 0), ROLLING(HOUR) }, { TAKE("2", K, 5, BIG, true, 1000000), ROLLING(HOUR) } } },
	{ "a changed limit keeps the past", {
		{ TAKE("1", K, 10, 10, true, 0), ROLLING(HOUR) }, { TAKE("2", K, 5, 20, true, 10), ROLLING(HOUR) },
		{ TAKE("3", K, 1, 12, false, 15), ROLLING(HOUR) }, { TAKE("4", K, 0, 12, true, 15), ROLLING(HOUR) } } },
	{ "refund: gives back once", {
		{ TAKE("1", K, 6, 10, true, 0), ROLLING(HOUR) }, { TAKE("2", K, 4, 10, true, 6), ROLLING(HOUR) }, BACK("1"),
		BACK("1"), { LOOK(K, 6, 10, true, 4), ROLLING(HOUR) }, BACK("nobody"), { LOOK(K, 6, 10, true, 4), ROLLING(HOUR) } } },
	{ "refund: of every take, and of nothing that was refused", {
		{ TAKE("1", K, 6, 10, true, 0), ROLLING(HOUR), SECOND(K2, 3, 9, 0) },
		{ TAKE("2", K, 6, 10, false, 6), ROLLING(HOUR), SECOND(K2, 3, 9, 3) }, BACK("2"), BACK("1"),
		{ LOOK(K, 10, 10, true, 0), ROLLING(HOUR), SECOND(K2, 9, 9, 0) } } },
	{ "refund: into the slot it came from", {
		{ TAKE("1", K, 6, 10, true, 0), ROLLING(HOUR) }, WAIT(5 * MIN), { TAKE("2", K, 4, 10, true, 6), ROLLING(HOUR) },
		BACK("1"), WAIT(57 * MIN), { LOOK(K, 6, 10, true, 4), ROLLING(HOUR) } } },
	{ "refund: after the charge is forgotten, nothing", {
		{ TAKE("1", K, 6, 10, true, 0), ROLLING(HOUR) }, WAIT(16 * MIN), BACK("1"), { LOOK(K, 1, 10, true, 6), ROLLING(HOUR) } } },
	{ "refund: nothing back into the next day", {
		{ TAKE("1", K, 6, 10, true, 0), DAY_OF_JAPAN }, WAIT(24 * HOUR), { TAKE("2", K, 5, 10, true, 0), DAY_OF_JAPAN },
		BACK("1"), { LOOK(K, 1, 10, true, 5), DAY_OF_JAPAN } } },
	{ "day: begins anew", {
		{ TAKE("1", K, 10, 10, true, 0), DAY_OF_JAPAN }, { TAKE("2", K, 1, 10, false, 10), DAY_OF_JAPAN }, WAIT(24 * HOUR),
		{ TAKE("3", K, 10, 10, true, 0), DAY_OF_JAPAN } } },
	{ "burst: the whole limit at once, then evenly", {
		{ TAKE("1", K, 7, 7, true, 0), BURST(70 * S) }, { TAKE("2", K, 1, 7, false, 7), BURST(70 * S) }, WAIT(11 * S),
		{ TAKE("3", K, 1, 7, true, 6), BURST(70 * S) }, { TAKE("4", K, 1, 7, false, 7), BURST(70 * S) }, WAIT(71 * S),
		{ TAKE("5", K, 7, 7, true, 0), BURST(70 * S) } } },
	{ "burst: refund", {
		{ TAKE("1", K, 7, 7, true, 0), BURST(HOUR) }, BACK("1"), BACK("1"), { TAKE("2", K, 7, 7, true, 0), BURST(HOUR) } } },
	{ "burst: a changed limit keeps the past", {
		{ TAKE("1", K, 10, 10, true, 0), BURST(HOUR) }, { LOOK(K, 5, 20, true, 10), BURST(HOUR) },
		{ LOOK(K, 1, 10, false, 10), BURST(HOUR) } } },
	{ "another period under the same key begins anew", {
		{ TAKE("1", K, 10, 10, true, 0), ROLLING(HOUR) }, { TAKE("2", K, 10, 10, true, 0), ROLLING(2 * HOUR) } } },
	{ "a peek takes nothing and remembers nothing", {
		{ LOOK(K, 10, 10, true, 0), ROLLING(HOUR) }, { LOOK(K, 10, 10, true, 0), ROLLING(HOUR) }, ABSENT(K) } },
	{ "a note is a value", {
		JOT(V "x", "one", HOUR), READ(V "x", "one"), JOT(V "x", "two", 10 * S), READ(V "x", "two"), JOT(V "y", "", HOUR),
		LIST(V, "x=two y= "), WAIT(11 * S), ABSENT(V "x"), READ(V "y", ""), WRITE(V "y", "", 0), ABSENT(V "y"), JOT(V "z", "3", HOUR),
		JOT(V "z", "", 0), ABSENT(V "z") } },
	{ "value: put, get, replace, remove", {
		ABSENT(V "x"), WRITE(V "x", "one", HOUR), READ(V "x", "one"), WRITE(V "x", "", HOUR), READ(V "x", ""),
		WRITE(V "x", "", 0), ABSENT(V "x"), WRITE(V "x", "", 0) } },
	{ "value: dies in time, and a longer life counts", {
		WRITE(V "x", "one", 10 * S), WRITE(V "y", "two", 10 * S), WRITE(V "y", "three", HOUR), WAIT(11 * S), ABSENT(V "x"),
		READ(V "y", "three"), WRITE(V "y", "four", 10 * S), WAIT(11 * S), ABSENT(V "y") } },
	{ "counter: dies a while after its first add", {
		ADD(V "n", 5, 10 * S, 5), WAIT(6 * S), ADD(V "n", -2, 10 * S, 3), READ(V "n", "3"), WAIT(5 * S), ABSENT(V "n"),
		ADD(V "n", 1, 10 * S, 1) } },
	{ "removing forgets a window and a counter too", {
		{ TAKE("1", K, 10, 10, true, 0), ROLLING(HOUR) }, WRITE(K, "", 0), { LOOK(K, 10, 10, true, 0), ROLLING(HOUR) },
		ADD(V "n", 1, HOUR, 1), WRITE(V "n", "", 0), ABSENT(V "n") } },
	{ "scan: one prefix, values and counters, no dead ones", {
		WRITE(V "b", "2", HOUR), ADD(V "a", 1, HOUR, 1), WRITE(V "c", "3", S), WRITE("sekisho:{acmf}:v:d", "4", HOUR),
		WRITE("sekisho:{acme}:w", "5", HOUR), WAIT(2 * S), LIST(V, "a=1 b=2 "), LIST(V "bb", "") } },
};
const int store_row_count = sizeof rows / sizeof *rows;

const char *store_row_name(int row)
{
	return rows[row].name;
}

static void run_charge(const struct step *step, struct store *st, const char *name)
{
	struct store_take takes[2] = {
		{ .key = str_from_c(step->key),
		  .window = step->window,
		  .calendar = step->calendar,
		  .period_us = step->period_us,
		  .limit = step->limit,
		  .cost = step->cost,
		  .is_enforced = !step->is_monitor },
		{ .key = str_from_c(step->key2),
		  .window = step->window,
		  .calendar = step->calendar,
		  .period_us = step->period_us,
		  .limit = step->limit2,
		  .cost = step->cost2,
		  .is_enforced = true },
	};
	struct store_taken taken[2];
	struct store_charge charge = { .tenant = STR("acme"), .id = str_from_c(step->name), .takes = takes,
				       .count = step->key2 ? 2 : 1, .is_peek = step->verb == PEEK };
	struct store_charged charged = { .taken = taken };
	struct err err = { 0 };

	ck_assert_msg(st->ops->charge(st, &charge, &charged, &err), "%s: %s", name, err.text);
	ck_assert_msg(charged.is_taken == step->want_taken, "%s: charge \"%s\" taken: %d", name, step->name,
		      charged.is_taken);
	ck_assert_msg(taken[0].used == step->want_used, "%s: charge \"%s\" used %lld, not %lld", name, step->name,
		      (long long)taken[0].used, (long long)step->want_used);
	if (step->key2)
		ck_assert_msg(taken[1].used == step->want_used2, "%s: charge \"%s\" second used %lld", name, step->name,
			      (long long)taken[1].used);
	if (!charged.is_taken && step->ttl_us == NEVER)
		ck_assert_msg(taken[0].retry_after_us == NEVER, "%s: retry after %lld", name,
			      (long long)taken[0].retry_after_us);
	else if (!charged.is_taken)
		ck_assert_msg((taken[0].is_over ? taken[0] : taken[1]).retry_after_us > 0, "%s: no retry_after", name);
}

static void run_get(const struct step *step, struct store *st, const char *name)
{
	struct arena arena;
	struct err err = { 0 };
	struct str value;
	bool found;

	arena_init(&arena, SIZE_MAX);
	ck_assert_msg(st->ops->get(st, str_from_c(step->name), &arena, &value, &found, &err), "%s: %s", name, err.text);
	ck_assert_msg(found == (step->verb == GET), "%s: %s is %s", name, step->name, found ? "there" : "not there");
	if (found)
		ck_assert_msg(str_eq(value, str_from_c(step->text)), "%s: %s is \"" STR_FMT "\"", name, step->name,
			      STR_ARG(value));
	arena_clear(&arena);
}

struct listed {
	char lines[10][80];
	size_t count, cut;
};

static bool list_one(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct listed *listed = arg;

	ck_assert_int_gt(expires_us, 0);
	ck_assert_uint_lt(listed->count, 10);
	snprintf(listed->lines[listed->count++], 80, STR_FMT "=" STR_FMT " ", STR_ARG(str_from(key, listed->cut)),
		 STR_ARG(value));
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void run_scan(const struct step *step, struct store *st, const char *name)
{
	struct listed listed = { .cut = strlen(step->name) };
	struct err err = { 0 };
	char all[800] = "";

	ck_assert_msg(st->ops->scan(st, str_from_c(step->name), list_one, &listed, &err), "%s: %s", name, err.text);
	qsort(listed.lines, listed.count, sizeof *listed.lines, by_text);
	for (size_t i = 0; i < listed.count; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s", listed.lines[i]);
	ck_assert_msg(strcmp(all, step->text) == 0, "%s: %s lists \"%s\"", name, step->name, all);
}

static void run_step(const struct step *step, const struct store_under_test *under, const char *name)
{
	struct store *st = under->st;
	struct str key = str_from_c(step->name);
	struct err err = { 0 };
	int64_t total = -1;

	switch (step->verb) {
	case CHARGE:
	case PEEK:
		run_charge(step, st, name);
		break;
	case REFUND:
		ck_assert_msg(st->ops->refund(st, STR("acme"), key, &err), "%s: %s", name, err.text);
		break;
	case ADVANCE:
		under->advance(under->arg, step->n);
		break;
	case PUT:
		ck_assert_msg(st->ops->put(st, key, str_from_c(step->text), step->ttl_us, &err), "%s: %s", name,
			      err.text);
		break;
	case NOTE:
		ck_assert_msg((st->ops->note ? st->ops->note : st->ops->put)(st, key, str_from_c(step->text), step->ttl_us, &err), "%s: %s",
			      name, err.text);
		break;
	case GET:
	case GONE:
		run_get(step, st, name);
		break;
	case COUNT:
		ck_assert_msg(st->ops->count_add(st, key, step->n, step->ttl_us, &total, &err), "%s: %s", name,
			      err.text);
		ck_assert_msg(total == step->want_used, "%s: counter at %lld", name, (long long)total);
		break;
	case SCAN:
		run_scan(step, st, name);
		break;
	case END:
		break;
	}
}

void store_row_run(int row, const struct store_under_test *under)
{
	for (const struct step *step = rows[row].steps; step->verb != END; step++)
		run_step(step, under, rows[row].name);
}
