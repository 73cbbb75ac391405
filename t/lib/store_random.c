#include "t/lib/store_random.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "t/lib/quota_model.h"
#include "t/lib/unit.h"

#define QUOTAS (sizeof quotas / sizeof *quotas)
#define CHARGES_MAX 1000
#define PER_CHARGE 3

static const struct {
	const char *key;
	enum quota_window window;
	enum calendar_unit calendar;
	int64_t period_us, limit;
} quotas[] = {
	{ "sekisho:{acme}:quota:minute", WINDOW_ROLLING, CALENDAR_NONE, 60 * US_PER_S, 40 },
	{ "sekisho:{acme}:quota:hour", WINDOW_ROLLING, CALENDAR_NONE, 3600 * US_PER_S, 300 },
	{ "sekisho:{acme}:quota:halfday", WINDOW_ROLLING, CALENDAR_NONE, 12 * 3600 * US_PER_S, 900 },
	{ "sekisho:{acme}:quota:odd", WINDOW_ROLLING, CALENDAR_NONE, 7 * US_PER_S + 1, 30 },
	{ "sekisho:{acme}:quota:day", WINDOW_CALENDAR, CALENDAR_DAY, 0, 900 },
	{ "sekisho:{acme}:quota:week", WINDOW_CALENDAR, CALENDAR_WEEK, 0, 3000 },
	{ "sekisho:{acme}:quota:month", WINDOW_CALENDAR, CALENDAR_MONTH, 0, 8000 },
	{ "sekisho:{acme}:quota:seven", WINDOW_BURST, CALENDAR_NONE, 60 * US_PER_S, 37 },
	{ "sekisho:{acme}:quota:bytes", WINDOW_BURST, CALENDAR_NONE, 60 * US_PER_S, 123456789 },
};

/* What became of one charge. */
struct outcome {
	char id[16];
	int64_t at_us;
	size_t count, quota[PER_CHARGE], number[PER_CHARGE];
	bool is_returned;
};

struct run {
	const struct store_under_test *under;
	unsigned int seed;
	struct quota_model models[QUOTAS];
	struct outcome outcomes[CHARGES_MAX];
	size_t count, taken, refused;
	int64_t now_us;
};

static int64_t dice(struct run *run, int64_t sides)
{
	return rand_r(&run->seed) % sides;
}

static size_t pick_takes(struct run *run, struct store_take *takes, size_t *quota)
{
	size_t count = (size_t)dice(run, PER_CHARGE) + 1, at = (size_t)dice(run, QUOTAS);

	for (size_t i = 0; i < count; i++, at = (at + 1 + (size_t)dice(run, 2)) % QUOTAS) {
		int64_t limit = quotas[at].limit, cost = 1 + dice(run, dice(run, 20) ? limit / 8 : limit + limit / 8);

		quota[i] = at;
		takes[i] = (struct store_take){ .key = str_from_c(quotas[at].key), .window = quotas[at].window,
						.calendar = quotas[at].calendar, .period_us = quotas[at].period_us,
						.limit = limit, .cost = dice(run, 30) ? cost : 0, .is_enforced = true };
	}
	return count;
}

static void judge(const struct run *run, const struct store_take *take, const struct store_taken *taken, size_t quota)
{
	const char *wrong = take->cost == 0 ? NULL : quota_model_judge(&run->models[quota], take, taken, run->now_us);

	ck_assert_msg(!wrong, "%s: %s (cost %lld, used %lld, retry after %lld us, operation %zu)", quotas[quota].key,
		      wrong, (long long)take->cost, (long long)taken->used, (long long)taken->retry_after_us,
		      run->taken + run->refused);
}

static void charge_at_random(struct run *run)
{
	struct store *st = run->under->st;
	struct outcome *outcome = &run->outcomes[run->count];
	struct store_take takes[PER_CHARGE];
	struct store_taken taken[PER_CHARGE];
	bool is_over = false;
	struct err err = { 0 };

	*outcome = (struct outcome){ 0 };
	outcome->count = pick_takes(run, takes, outcome->quota);
	snprintf(outcome->id, sizeof outcome->id, "c%zu", run->count);

	struct store_charge charge = { .tenant = STR("acme"), .id = str_from_c(outcome->id), .takes = takes,
				       .count = outcome->count, .is_peek = dice(run, 10) == 0 };
	struct store_charged charged = { .taken = taken };

	ck_assert_msg(st->ops->charge(st, &charge, &charged, &err), "%s", err.text);
	run->now_us = outcome->at_us = charged.now_us;
	for (size_t i = 0; i < charge.count; i++) {
		judge(run, &takes[i], &taken[i], outcome->quota[i]);
		is_over |= taken[i].is_over;
	}
	ck_assert_int_eq(charged.is_taken, !is_over);
	*(is_over ? &run->refused : &run->taken) += 1;
	if (is_over || charge.is_peek)
		return;
	for (size_t i = 0; i < charge.count; i++)
		outcome->number[i] = quota_model_add(&run->models[outcome->quota[i]], run->now_us, takes[i].cost);
	run->count++;
}

/* One that was given back already is given back again now and then: nothing may change. */
static void refund_at_random(struct run *run)
{
	struct store *st = run->under->st;
	struct err err = { 0 };

	if (run->count == 0)
		return;
	size_t back = (size_t)dice(run, dice(run, 2) && run->count > 5 ? 5 : (int64_t)run->count);
	struct outcome *outcome = &run->outcomes[run->count - 1 - back];
	int64_t left_us = outcome->at_us + STORE_CHARGE_TTL_US - run->now_us;

	/* So near its end, whether it still counts depends on a moment that we do not see. */
	if (left_us > -60 * US_PER_S && left_us < 60 * US_PER_S)
		return;
	ck_assert_msg(st->ops->refund(st, STR("acme"), str_from_c(outcome->id), &err), "%s", err.text);
	if (outcome->is_returned || left_us <= 0)
		return;
	outcome->is_returned = true;
	for (size_t i = 0; i < outcome->count; i++)
		quota_model_return(&run->models[outcome->quota[i]], outcome->number[i]);
}

static void let_time_pass(struct run *run)
{
	static const int64_t spans_us[] = { 1, 1000, US_PER_S, 10 * US_PER_S, 60 * US_PER_S, 600 * US_PER_S,
					    3600 * US_PER_S, 6 * 3600 * US_PER_S };
	int64_t us = 1 + spans_us[dice(run, dice(run, 4) ? 5 : 8)] * dice(run, 1000) / 1000;

	run->under->advance(run->under->arg, us);
	run->now_us += us;
}

void store_random_run(const struct store_under_test *under, unsigned int seed, size_t steps)
{
	struct run *run = calloc(1, sizeof *run);

	ck_assert_ptr_nonnull(run);
	run->under = under;
	run->seed = seed;
	for (size_t i = 0; i < steps && run->count < CHARGES_MAX; i++) {
		int64_t what = dice(run, 10);

		if (what < 6)
			charge_at_random(run);
		else if (what < 8)
			refund_at_random(run);
		else
			let_time_pass(run);
	}
	/* Both happened, or the test has shown nothing. */
	ck_assert_uint_gt(run->taken, steps / 20);
	ck_assert_uint_gt(run->refused, steps / 50);
	free(run);
}
