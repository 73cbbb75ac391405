/* policy/guard: strikes when a bound is passed with a sample that can say so, once, and not again for what was counted. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "policy/pulse.h"
#include "policy/tenant.h"
#include "t/lib/store_fake.h"

#define NONE LIMIT_NONE
#define BOUNDS(hard, unknown, complaints, sample) .name = STR_INIT("acme"), .guard_hard = hard, .guard_unknown = unknown, \
	.guard_complaints = complaints, .guard_sample = sample, .guard_volume = NONE, .guard_clients = NONE, .guards_tenant = true
#define ALL (struct member){ .kind = MEMBER_ALL }

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

/* As the guard's own counters have it: of the day or hour that the clock says. */
static void put(const char *period, const char *rest, int64_t n)
{
	char key[160];
	int64_t total;

	snprintf(key, sizeof key, "sekisho:{acme}:%s:%s", period, rest);
	if (n)
		ck_assert(fake.store.ops->count_add(&fake.store, str_from_c(key), n, DAY_US, &total, NULL));
}

static bool looks_at(const struct tenant *tenant, struct member member, struct guard_strike *out)
{
	struct err err = { 0 };
	bool struck;

	ck_assert_msg(guard_look(&fake.store, tenant, member, &arena, out, &struck, &err), "%s", err.text);
	return struck;
}

static bool looks(const struct tenant *tenant, struct guard_strike *out)
{
	return looks_at(tenant, ALL, out);
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

	put("watch:2026-11-21", "tenant::all", rows[_i].delivered + rows[_i].unknown + rows[_i].other_hard + rows[_i].soft);
	put("watch:2026-11-21", "tenant::unknown", rows[_i].unknown);
	put("watch:2026-11-21", "tenant::hard", rows[_i].unknown + rows[_i].other_hard);
	put("watch:2026-11-21", "tenant::complaints", rows[_i].complaints);
	put("watch:2026-11-20", "tenant::hard", 9999);    /* yesterday's are not today's */
	ck_assert_msg(looks(&rows[_i].tenant, &strike) == (rows[_i].want != NULL), "%s", rows[_i].name);
	if (rows[_i].want)
		ck_assert_str_eq(strike.what, rows[_i].want);
}
END_TEST

/* `n` recipients of this sender did not exist, as whoever learns of it says. */
static void miss(const struct tenant *tenant, const char *sender, int n)
{
	for (int i = 0; i < n; i++)
		ck_assert(guard_count_outcome(&fake.store, tenant, &(struct guard_outcome){ .sender = str_from_c(sender), .recipients = 1,
											      .is_hard = true, .is_unknown_user = true }, NULL));
}

static const struct {
	enum guard_action action;
	bool is_suspended, is_halved;
	enum excess_action want;
} action_rows[] = {
	{ GUARD_DEFER, true, false, EXCESS_DEFER }, { GUARD_REJECT, true, false, EXCESS_REJECT },
	{ GUARD_HOLD, true, false, EXCESS_HOLD }, { GUARD_NOTIFY, false, false, EXCESS_DEFER },
	{ GUARD_HALVE, true, true, EXCESS_REJECT },
};
START_TEST(strikes_once)
{
	struct tenant tenant = { BOUNDS(50, NONE, NONE, 10), .guard_action = action_rows[_i].action };
	struct guard_strike strike;
	struct suspension s;
	bool found, was;

	miss(&tenant, "", 10);
	ck_assert(looks(&tenant, &strike));
	ck_assert(!strike.was_suspended);
	ck_assert_str_is(strike.reason, STR("10 hard bounces among 10 recipients today (100.0 %), more than 5.0 %"));
	ck_assert(tenant_suspension(&fake.store, tenant.name, ALL, &arena, &s, &found, NULL));
	ck_assert(found == action_rows[_i].is_suspended);
	if (found) {
		ck_assert_int_eq(s.action, action_rows[_i].want);
		ck_assert(s.is_halved == action_rows[_i].is_halved);
		ck_assert_str_is(s.actor, STR("guard"));
		ck_assert_int_eq(s.until_us, 0);
		ck_assert(tenant_resume(&fake.store, tenant.name, ALL, &was, NULL));
	}
	ck_assert(!looks(&tenant, &strike));           /* resumed: what was counted is not held against it again */
	miss(&tenant, "", 9);
	ck_assert(!looks(&tenant, &strike));
	miss(&tenant, "", 1);
	ck_assert(looks(&tenant, &strike));
	clock_set(now_us + DAY_US);                    /* a new day, new counters */
	miss(&tenant, "", 10);
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
	miss(&tenant, "", 10);
	ck_assert(looks(&tenant, &strike));
	ck_assert(strike.was_suspended);
	ck_assert(tenant_suspension(&fake.store, tenant.name, ALL, &arena, &s, &found, NULL));
	ck_assert_str_is(s.reason, STR("mine"));
}
END_TEST

/* Half of its limits stops nobody: a guard that stops comes on top of it. */
START_TEST(halved_before)
{
	static const struct { enum guard_action action; bool is_halved, was_suspended; } after[] = {
		{ GUARD_DEFER, false, false }, { GUARD_HALVE, true, true }, { GUARD_NOTIFY, true, false },
	};
	const struct tenant tenant = { BOUNDS(50, NONE, NONE, 10), .guard_action = after[_i].action };
	const struct suspension halved = { .is_halved = true, .reason = STR("by hand") };
	struct guard_strike strike;
	struct suspension s;
	bool found;

	ck_assert(tenant_suspend(&fake.store, STR("acme"), &halved, NULL));
	miss(&tenant, "", 10);
	ck_assert(looks(&tenant, &strike));
	ck_assert(strike.was_suspended == after[_i].was_suspended);
	ck_assert(tenant_suspension(&fake.store, STR("acme"), ALL, &arena, &s, &found, NULL));
	ck_assert(found && s.is_halved == after[_i].is_halved);
}
END_TEST

START_TEST(store_gone)
{
	const struct tenant tenant = { BOUNDS(50, NONE, NONE, 10) };
	const unsigned verbs[] = { FAKE_GET, FAKE_PUT };
	struct guard_strike strike;
	bool struck;

	miss(&tenant, "", 10);
	for (size_t i = 0; i < 2; i++) {
		struct err err = { 0 };

		fake.failing = verbs[i];
		ck_assert(!guard_look(&fake.store, &tenant, ALL, &arena, &strike, &struck, &err));
		ck_assert_int_eq(err.kind, ERR_BUSY);
	}
	fake.failing = 0;
	ck_assert(looks(&tenant, &strike));
}
END_TEST

static const struct store_ops *fakes;

static bool put_no_strike(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	if (str_find(key, STR(":guard:")) < key.len)
		return err_set(err, ERR_BUSY, "away");
	return fakes->put(st, key, value, ttl_us, err);
}

/* Who was stopped is told of as stopped by this strike, were it only that it cannot be kept. */
START_TEST(strike_that_is_not_kept)
{
	const struct tenant tenant = { BOUNDS(50, NONE, NONE, 10), .guard_action = _i ? GUARD_NOTIFY : GUARD_REJECT };
	struct store_ops ops = *fake.store.ops;
	struct guard_strike strike;
	bool struck;

	fakes = fake.store.ops;
	ops.put = put_no_strike;
	fake.store.ops = &ops;
	miss(&tenant, "", 10);
	ck_assert(guard_look(&fake.store, &tenant, ALL, &arena, &strike, &struck, NULL) == !_i);
	ck_assert(struck == !_i);
	ck_assert(_i || !strike.was_suspended);
	fake.store.ops = fakes;
	ck_assert(looks(&tenant, &strike));
}
END_TEST

/* The sender to blame is stopped alone; resuming the tenant frees it too. */
START_TEST(senders)
{
	struct tenant tenant = { BOUNDS(50, NONE, NONE, 10), .guards_senders = true, .guard_action = GUARD_REJECT };
	const struct member bad = { .kind = MEMBER_SENDER, .name = STR("Bad@acme") }, good = { MEMBER_SENDER, STR("good@acme") };
	struct guard_strike strike;
	struct suspension s;
	int64_t count;
	bool found;

	tenant.guards_tenant = false;
	miss(&tenant, "bad@ACME", 10);
	for (int i = 0; i < 100; i++)
		ck_assert(guard_count_outcome(&fake.store, &tenant, &(struct guard_outcome){ .sender = good.name, .recipients = 1 }, NULL));
	ck_assert(!looks(&tenant, &strike));
	ck_assert(!looks_at(&tenant, good, &strike));
	ck_assert(looks_at(&tenant, bad, &strike));
	ck_assert_str_is(strike.reason,
			 STR("sender Bad@acme: 10 hard bounces among 10 recipients today (100.0 %), more than 5.0 %"));
	ck_assert(tenant_suspension(&fake.store, tenant.name, bad, &arena, &s, &found, NULL) && found);
	ck_assert(tenant_suspension(&fake.store, tenant.name, ALL, &arena, &s, &found, NULL) && !found);
	ck_assert(tenant_resume_all(&fake.store, tenant.name, &count, NULL));
	ck_assert_int_eq(count, 1);
	ck_assert(tenant_suspension(&fake.store, tenant.name, bad, &arena, &s, &found, NULL) && !found);
	ck_assert(!looks_at(&tenant, bad, &strike));
}
END_TEST

static const struct {
	const char *name;
	int64_t busiest, passed;       /* an hour: of a day of last week, now */
	int days_ago;
	bool want;
} volume_rows[] = {
	{ "as ever", 100, 300, 1, false },
	{ "sudden", 100, 301, 1, true },
	{ "too few to say", 1, 99, 1, false },
	{ "enough to say", 1, 100, 1, true },
	{ "no past", 0, 100000, 1, false },
	{ "a week ago", 100, 301, 7, true },
	{ "longer ago is no past", 100, 301, 8, false },
};
START_TEST(volume)
{
	struct tenant tenant = { BOUNDS(NONE, NONE, NONE, 100), .guard_action = GUARD_HOLD };
	struct guard_strike strike;
	int64_t then_us = now_us - volume_rows[_i].days_ago * DAY_US;

	tenant.guard_volume = 3;
	clock_set(then_us);
	if (volume_rows[_i].busiest)
		ck_assert(guard_count_passed(&fake.store, &tenant, ALL, volume_rows[_i].busiest, then_us, NULL));
	ck_assert(guard_count_passed(&fake.store, &tenant, ALL, 0, then_us + DAY_US / 24, NULL));    /* a quiet hour */
	clock_set(now_us);
	ck_assert(guard_count_passed(&fake.store, &tenant, ALL, volume_rows[_i].passed, now_us, NULL));
	ck_assert_msg(looks(&tenant, &strike) == volume_rows[_i].want, "%s", volume_rows[_i].name);
	if (!volume_rows[_i].want)
		return;
	ck_assert_str_eq(strike.what, "volume");
	ck_assert(!looks(&tenant, &strike));           /* once an hour */
}
END_TEST

START_TEST(clients)
{
	struct tenant tenant = { BOUNDS(NONE, NONE, NONE, 100), .guard_action = GUARD_DEFER };
	const struct member bob = { MEMBER_LOGIN, STR("bob") };
	struct guard_strike strike;
	struct suspension s;
	bool found;

	tenant.guard_clients = 3;
	for (int i = 0; i < 10; i++)
		ck_assert(guard_count_client(&fake.store, &tenant, STR("Bob"), i % 2 ? STR("192.0.2.1") : STR("192.0.2.2"), NULL));
	ck_assert(guard_count_client(&fake.store, &tenant, STR("bob"), STR("192.0.2.3"), NULL));
	ck_assert(guard_count_client(&fake.store, &tenant, STR("eve"), STR("192.0.2.4"), NULL));
	ck_assert(!looks_at(&tenant, bob, &strike));
	ck_assert(guard_count_client(&fake.store, &tenant, STR("bob"), STR("192.0.2.5"), NULL));
	ck_assert(looks_at(&tenant, bob, &strike));
	ck_assert_str_is(strike.reason, STR("login bob: used from 4 addresses today, more than 3"));
	ck_assert_str_is(strike.nameless, STR("used from 4 addresses today, more than 3"));
	ck_assert(tenant_suspension(&fake.store, tenant.name, bob, &arena, &s, &found, NULL) && found);
	ck_assert(tenant_suspension(&fake.store, tenant.name, ALL, &arena, &s, &found, NULL) && !found);
}
END_TEST

/* --- the pulse: noted without the store, counted at the next visit, told of whom it was */

struct told {
	int tenants, senders, logins;
	bool fails;
};

static bool hear(void *arg, const struct tenant *tenant, struct member member)
{
	struct told *told = arg;

	(void)tenant;
	told->tenants += member.kind == MEMBER_ALL;
	told->senders += member.kind == MEMBER_SENDER;
	told->logins += member.kind == MEMBER_LOGIN;
	return !told->fails;
}

START_TEST(pulse_counts)
{
	static struct tenant tenant = { BOUNDS(50, NONE, NONE, 1), .guards_senders = true };
	const struct config config = { .tenants = &tenant, .tenant_count = 1 };
	struct pulse *pulse = pulse_new();
	struct net_addr v4, v6, neighbour;
	struct told told = { 0 };
	struct err err = { 0 };

	tenant.guard_volume = tenant.guard_clients = 10;
	ck_assert(net_parse_addr(STR("192.0.2.1"), &v4) && net_parse_addr(STR("2001:db8::1"), &v6) &&
		  net_parse_addr(STR("2001:db8::2"), &neighbour));
	for (int i = 0; i < 5; i++)
		pulse_note_passed(pulse, &tenant, i % 2 ? STR("a@acme") : STR("A@ACME"), STR("bob"), i < 3 ? &v4 : i == 3 ? &v6 : &neighbour, 2);
	ck_assert_int_eq(fake.counts, 0);
	fake.failing = FAKE_COUNT;
	ck_assert(!pulse_visit(pulse, &fake.store, &config, hear, &told, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	fake.failing = 0;
	ck_assert(pulse_visit(pulse, &fake.store, &config, hear, &told, &err));
	ck_assert_int_eq(told.tenants, 1);
	ck_assert_int_eq(told.senders, 1);
	ck_assert_int_eq(told.logins, 2);              /* from an address and a network */
	ck_assert_int_eq(store_fake_find(&fake, "sekisho:{acme}:hour:2026-11-21T15:tenant:")->total, 10);
	ck_assert_int_eq(store_fake_find(&fake, "sekisho:{acme}:hour:2026-11-21T15:sender:a@acme")->total, 10);
	ck_assert_int_eq(store_fake_find(&fake, "sekisho:{acme}:clients:2026-11-21:login:bob")->total, 2);
	told = (struct told){ .fails = true };
	pulse_note_failed(pulse, &tenant, STR_EMPTY);
	ck_assert(!pulse_visit(pulse, &fake.store, &config, hear, &told, &err));
	told.fails = false;
	ck_assert(pulse_visit(pulse, &fake.store, &config, hear, &told, &err));
	ck_assert_int_eq(told.tenants, 2);             /* again: nobody could look */
	ck_assert(pulse_visit(pulse, &fake.store, &config, hear, &told, &err));
	ck_assert_int_eq(told.tenants, 2);
	pulse_free(pulse);
}
END_TEST

/* While a shared store is away it can be counted, and nothing noted: that is no reason to count once more at each visit. */
START_TEST(pulse_counts_once)
{
	static struct tenant tenant = { BOUNDS(NONE, NONE, NONE, 1) };
	const struct config config = { .tenants = &tenant, .tenant_count = 1 };
	struct pulse *pulse = pulse_new();
	struct told told = { 0 };

	tenant.guard_volume = 10;
	pulse_note_passed(pulse, &tenant, STR("a@acme"), STR("bob"), NULL, 10);
	fake.failing = FAKE_PUT;
	for (int i = 0; i < 3; i++)
		pulse_visit(pulse, &fake.store, &config, hear, &told, NULL);
	ck_assert_int_eq(store_fake_find(&fake, "sekisho:{acme}:hour:2026-11-21T15:tenant:")->total, 10);
	pulse_free(pulse);
}
END_TEST

START_TEST(pulse_is_bounded)
{
	static struct tenant tenant = { BOUNDS(50, NONE, NONE, 1), .guards_senders = true };
	const struct config config = { .tenants = &tenant, .tenant_count = 1 };
	struct pulse *pulse = pulse_new();
	struct told told = { 0 };
	char name[32];

	for (int i = 0; i < PULSE_MAX + 1000; i++) {
		snprintf(name, sizeof name, "%d@acme", i);
		pulse_note_failed(pulse, &tenant, str_from_c(name));
	}
	ck_assert(pulse_visit(pulse, &fake.store, &config, hear, &told, NULL));
	ck_assert_int_eq(told.tenants + told.senders, PULSE_MAX);
	pulse_free(pulse);
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
	tcase_add_loop_test(tcase, halved_before, 0, 3);
	tcase_add_test(tcase, senders);
	unit_add_rows(tcase, volume, volume_rows);
	tcase_add_test(tcase, clients);
	tcase_add_test(tcase, pulse_counts);
	tcase_add_test(tcase, pulse_counts_once);
	tcase_add_test(tcase, pulse_is_bounded);
	tcase_add_test(tcase, store_gone);
	tcase_add_loop_test(tcase, strike_that_is_not_kept, 0, 2);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
