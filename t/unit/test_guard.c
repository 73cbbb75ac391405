/* policy/guard: strikes when a bound is passed with a sample that can say so, once, and not again for what was counted. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "policy/guard.h"
#include "policy/tenant.h"
#include "t/lib/store_fake.h"

#define NONE LIMIT_NONE
#define BOUNDS(hard, unknown, complaints, sample) .name = STR_INIT("acme"), .guard_hard = hard, .guard_unknown = unknown, \
	.guard_complaints = complaints, .guard_sample = sample

static struct store_fake fake;
static struct arena arena;
static int64_t now_us;

static void setup(void)
{
	now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21)) + 15 * 3600 * US_PER_S;
	clock_set(now_us);
	store_fake_init(&fake);
	arena_init(&arena, (size_t)1 << 20);
}

static void teardown(void)
{
	store_fake_clear(&fake);
	arena_clear(&arena);
	clock_set(0);
}

/* store_fake gives counters without their text: this one is filled by hand. */
static void put(const char *day, const char *counter, int n)
{
	char key[128], value[16];

	if (n == 0)
		return;
	snprintf(key, sizeof key, "sekisho:{acme}:bounce:%s:%s", day, counter);
	snprintf(value, sizeof value, "%d", n);
	ck_assert(fake.store.ops->put(&fake.store, str_from_c(key), str_from_c(value), DAY_US, NULL));
}

static bool looks(const struct tenant *tenant, struct guard_strike *out)
{
	struct err err = { 0 };
	bool struck;

	ck_assert_msg(guard_look(&fake.store, tenant, &arena, out, &struck, &err), "%s", err.text);
	return struck;
}

static const struct {
	const char *name;
	struct tenant tenant;
	int delivered, unknown, other_hard, soft, complaints;
	const char *want;              /* NULL: all is well */
} rows[] = {
	{ "no bounds", { BOUNDS(NONE, NONE, NONE, 1) }, 0, 100, 0, 0, 100, NULL },
	{ "under the bound", { BOUNDS(50, NONE, NONE, 100) }, 95, 5, 0, 0, 0, NULL },
	{ "over it", { BOUNDS(50, NONE, NONE, 100) }, 94, 6, 0, 0, 0, "hard bounces" },
	{ "too few to say", { BOUNDS(50, NONE, NONE, 101) }, 0, 100, 0, 0, 0, NULL },
	{ "soft is not hard", { BOUNDS(50, NONE, NONE, 100) }, 50, 0, 0, 50, 0, NULL },
	{ "hosts are hard, but no users", { BOUNDS(NONE, 50, NONE, 100) }, 50, 0, 50, 0, 0, NULL },
	{ "unknown users", { BOUNDS(NONE, 50, NONE, 100) }, 50, 50, 0, 0, 0, "unknown users" },
	{ "complaints, a tenth of a per cent", { BOUNDS(NONE, NONE, 1, 100) }, 998, 0, 0, 0, 1, "complaints" },
	{ "complaints at their bound", { BOUNDS(NONE, NONE, 1, 100) }, 1000, 0, 0, 0, 1, NULL },
	{ "bound 0", { BOUNDS(0, NONE, NONE, 1) }, 9999, 1, 0, 0, 0, "hard bounces" },
};
START_TEST(bounds)
{
	struct guard_strike strike;

	put("2026-11-21", "delivered:soft", rows[_i].delivered);
	put("2026-11-21", "userunknown:hard", rows[_i].unknown);
	put("2026-11-21", "hostunknown:hard", rows[_i].other_hard);
	put("2026-11-21", "mailboxfull:soft", rows[_i].soft);
	put("2026-11-21", "feedback:soft", rows[_i].complaints);
	put("2026-11-20", "userunknown:hard", 9999);      /* yesterday's are not today's */
	ck_assert_msg(looks(&rows[_i].tenant, &strike) == (rows[_i].want != NULL), "%s", rows[_i].name);
	if (rows[_i].want)
		ck_assert_str_eq(strike.what, rows[_i].want);
}
END_TEST

static const struct {
	enum guard_action action;
	bool is_suspended;
	enum excess_action want;
} action_rows[] = {
	{ GUARD_DEFER, true, EXCESS_DEFER }, { GUARD_REJECT, true, EXCESS_REJECT }, { GUARD_HOLD, true, EXCESS_HOLD },
	{ GUARD_NOTIFY, false, EXCESS_DEFER },
};
START_TEST(strikes_once)
{
	struct tenant tenant = { BOUNDS(50, NONE, NONE, 10), .guard_action = action_rows[_i].action };
	struct guard_strike strike;
	struct suspension s;
	bool found, was;

	put("2026-11-21", "userunknown:hard", 10);
	ck_assert(looks(&tenant, &strike));
	ck_assert(!strike.was_suspended);
	ck_assert_str_is(strike.reason, STR("10 hard bounces among 10 recipients today (100.0 %), more than 5.0 %"));
	ck_assert(tenant_suspension(&fake.store, tenant.name, &arena, &s, &found, NULL));
	ck_assert(found == action_rows[_i].is_suspended);
	if (found) {
		ck_assert_int_eq(s.action, action_rows[_i].want);
		ck_assert_str_is(s.actor, STR("guard"));
		ck_assert_int_eq(s.until_us, 0);
		ck_assert(tenant_resume(&fake.store, tenant.name, &was, NULL));
	}
	ck_assert(!looks(&tenant, &strike));           /* resumed: what was counted is not held against it again */
	put("2026-11-21", "userunknown:hard", 19);
	ck_assert(!looks(&tenant, &strike));
	put("2026-11-21", "userunknown:hard", 20);
	ck_assert(looks(&tenant, &strike));
	clock_set(now_us + DAY_US);                    /* a new day, new counters */
	put("2026-11-22", "userunknown:hard", 10);
	ck_assert(looks(&tenant, &strike));
	ck_assert(strike.was_suspended == action_rows[_i].is_suspended);
}
END_TEST

/* An operator's suspension stays his. */
START_TEST(suspended_before)
{
	const struct tenant tenant = { BOUNDS(50, NONE, NONE, 10), .guard_action = GUARD_REJECT };
	const struct suspension his = { .action = EXCESS_HOLD, .actor = STR("ops"), .reason = STR("mine") };
	struct guard_strike strike;
	struct suspension s;
	bool found;

	ck_assert(tenant_suspend(&fake.store, tenant.name, &his, NULL));
	put("2026-11-21", "userunknown:hard", 10);
	ck_assert(looks(&tenant, &strike));
	ck_assert(strike.was_suspended);
	ck_assert(tenant_suspension(&fake.store, tenant.name, &arena, &s, &found, NULL));
	ck_assert_str_is(s.reason, STR("mine"));
}
END_TEST

START_TEST(store_gone)
{
	const struct tenant tenant = { BOUNDS(50, NONE, NONE, 10) };
	const unsigned verbs[] = { FAKE_SCAN, FAKE_GET, FAKE_PUT };
	struct guard_strike strike;
	bool struck;

	put("2026-11-21", "userunknown:hard", 10);
	for (size_t i = 0; i < 3; i++) {
		struct err err = { 0 };

		fake.failing = verbs[i];
		ck_assert(!guard_look(&fake.store, &tenant, &arena, &strike, &struck, &err));
		ck_assert_int_eq(err.kind, ERR_BUSY);
	}
	fake.failing = 0;
	ck_assert(looks(&tenant, &strike));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *tcase = tcase_create("guard");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, bounds, rows);
	unit_add_rows(tcase, strikes_once, action_rows);
	tcase_add_test(tcase, suspended_before);
	tcase_add_test(tcase, store_gone);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
