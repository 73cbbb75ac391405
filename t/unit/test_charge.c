/* policy/charge: what several quotas say becomes one answer, and what must be told is told once. */
#include "t/lib/unit.h"

#include "config/base/clock.h"
#include "t/lib/policy_fixture.h"

static const struct {
	const char *name;
	struct quota quotas[3];
	struct store_taken answers[3];
	const char *want, *rule;
	int64_t retry_s;
	size_t notes;
} data_rows[] = {
	{ "fits", { Q("a", ROLLING) }, { { .used = 7 } }, "accept", NULL, 0, 0 },
	{ "rate", { Q("a", ROLLING) }, { { .used = 8, .retry_after_us = 60 * US_PER_S } }, "defer rate", "a", 60, 0 },
	{ "rate, rejected", { Q("a", ROLLING, .on_excess = EXCESS_REJECT) }, { { .used = 8, .retry_after_us = US_PER_S } },
	  "reject rate", "a", 1, 0 },
	{ "burst", { Q("a", .window = WINDOW_BURST, .period_us = HOUR_US) }, { { .used = 8, .retry_after_us = US_PER_S } },
	  "defer rate", "a", 1, 0 },
	{ "calendar", { Q("a", DAILY) }, { { .used = 8, .retry_after_us = US_PER_S } }, "defer quota", "a", 1, 0 },
	{ "calendar, rejected", { Q("a", DAILY, .on_excess = EXCESS_REJECT) }, { { .used = 8, .retry_after_us = US_PER_S } },
	  "reject quota", "a", 1, 0 },
	{ "held", { Q("a", ROLLING, .on_excess = EXCESS_HOLD) }, { { .used = 8, .retry_after_us = US_PER_S } }, "hold rate", "a",
	  1, 0 },
	{ "never", { { .name = STR_INIT("a"), .limit = 2, ROLLING } }, { { 0 } }, "reject never", "a", 0, 0 },
	{ "never, held", { { .name = STR_INIT("a"), .limit = 2, ROLLING, .on_excess = EXCESS_HOLD } }, { { 0 } }, "hold never",
	  "a", 0, 0 },
	{ "limit 0", { { .name = STR_INIT("a"), .limit = 0, DAILY } }, { { 0 } }, "reject never", "a", 0, 0 },
	{ "no limit", { { .name = STR_INIT("a"), .limit = LIMIT_NONE, ROLLING } }, { { .used = 1000000 } }, "accept", NULL, 0, 0 },
	{ "monitored", { Q("a", ROLLING, .is_monitor = true) }, { { .used = 8, .retry_after_us = US_PER_S } }, "accept", NULL, 0,
	  1 },
	{ "monitored beside a refusal", { Q("a", ROLLING, .is_monitor = true), Q("b", ROLLING) },
	  { { .used = 8, .retry_after_us = US_PER_S }, { .used = 9, .retry_after_us = 2 * US_PER_S } }, "defer rate", "b", 2, 1 },
	{ "defer before hold", { Q("a", ROLLING, .on_excess = EXCESS_HOLD), Q("b", ROLLING) },
	  { { .used = 9, .retry_after_us = 99 * US_PER_S }, { .used = 9, .retry_after_us = US_PER_S } }, "defer rate", "b", 1, 0 },
	{ "reject before defer", { Q("a", ROLLING), Q("b", DAILY, .on_excess = EXCESS_REJECT), Q("c", ROLLING) },
	  { { .used = 9, .retry_after_us = 99 * US_PER_S }, { .used = 9, .retry_after_us = US_PER_S }, { .used = 0 } },
	  "reject quota", "b", 1, 0 },
	{ "never before a wait", { Q("a", ROLLING), { .name = STR_INIT("b"), .limit = 1, ROLLING } },
	  { { .used = 9, .retry_after_us = 99 * US_PER_S }, { 0 } }, "reject never", "b", 0, 0 },
	{ "the longest wait speaks", { Q("a", ROLLING), Q("b", DAILY), Q("c", ROLLING) },
	  { { .used = 9, .retry_after_us = 5 * US_PER_S }, { .used = 9, .retry_after_us = 90 * US_PER_S },
	    { .used = 9, .retry_after_us = 7 * US_PER_S } }, "defer quota", "b", 90, 0 },
	{ "used past a lowered limit", { Q("a", ROLLING) }, { { .used = 5000, .retry_after_us = US_PER_S } }, "defer rate", "a", 1,
	  0 },
};
START_TEST(data)
{
	size_t count = 0;

	while (count < 3 && data_rows[_i].quotas[count].name.len)
		count++;

	const struct tenant tenant = { ACME, .quotas = data_rows[_i].quotas, .quota_count = count };
	const struct config config = fixture_config(&tenant);
	const struct policy_facts facts = fixture_facts();
	bool is_refused = data_rows[_i].rule != NULL;
	int refusals = 0;
	struct verdict v;

	memcpy(fake.answers, data_rows[_i].answers, sizeof data_rows[_i].answers);
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_msg(strcmp(fixture_words(&v), data_rows[_i].want) == 0, "%s: %s", data_rows[_i].name, fixture_words(&v));
	ck_assert_int_eq(v.retry_at_us, data_rows[_i].retry_s ? now_us + data_rows[_i].retry_s * US_PER_S : 0);
	ck_assert_uint_eq(v.note_count, data_rows[_i].notes);
	ck_assert_int_eq(fake.charges, 1);
	ck_assert_str_is(fake.charge_id, STR("c1"));
	for (size_t i = 0; is_refused && i < fake.take_count; i++)
		refusals += fake.takes[i].is_enforced && fake.takes[i].cost > fake.takes[i].limit - fake.answers[i].used;
	ck_assert_int_eq(fake.counts, refusals);        /* by each that refused */
	if (is_refused)
		ck_assert_str_is(v.rule, str_from_c(data_rows[_i].rule));
}
END_TEST

START_TEST(data_words)
{
	static const struct quota by_login = Q("a", ROLLING, .key = KEY_AUTH, .counts = COUNTS_MESSAGES);
	const struct tenant tenant = { ACME, .quotas = &by_login, .quota_count = 1 };
	const struct config config = fixture_config(&tenant);
	struct policy_facts facts = fixture_facts();
	struct quota_state states[QUOTA_STATES_MAX];
	size_t count;
	struct verdict v;

	fake.answers[0] = (struct store_taken){ .used = 10, .retry_after_us = US_PER_S, .resets_us = now_us + HOUR_US };
	for (int i = 0; i < 3; i++)
		policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_is(v.scope, STR("bob"));
	ck_assert_str_is(v.period, STR("hour"));
	ck_assert_int_eq(v.counts, COUNTS_MESSAGES);
	ck_assert_int_eq(v.used, 10);
	ck_assert_int_eq(v.limit, 10);

	/* What was tried in vain is seen by who looks, and looking takes nothing. */
	fake.charges = 0;
	ck_assert(policy_peek(&policy, &config, &tenant, &facts, &arena, states, &count, NULL));
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(states[0].attempts, 3);
	ck_assert_int_eq(states[0].used, 10);
	ck_assert_int_eq(states[0].limit, 10);
	ck_assert_int_eq(states[0].resets_us, now_us + HOUR_US);
	ck_assert(states[0].is_over);
	ck_assert_str_is(states[0].scope, STR("bob"));
	ck_assert_int_eq(fake.charges, 0);
	ck_assert_int_eq(fake.peeks, 1);
	fake.failing = FAKE_CHARGE;
	ck_assert(!policy_peek(&policy, &config, &tenant, &facts, &arena, states, &count, NULL));
}
END_TEST

START_TEST(data_without_cost)
{
	static const struct quota bytes = Q("a", ROLLING, .counts = COUNTS_BYTES);
	const struct tenant tenants[] = { { ACME }, { ACME, .quotas = &bytes, .quota_count = 1 } };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	fake.failing = ~0u;
	for (size_t i = 0; i < 2; i++) {
		const struct config config = fixture_config(&tenants[i]);

		policy_on_data(&policy, &config, &tenants[i], &facts, STR("c1"), &arena, &v);
		ck_assert_str_eq(fixture_words(&v), "accept");
		policy_on_data(&policy, &config, NULL, &facts, STR("c1"), &arena, &v);
		ck_assert_str_eq(fixture_words(&v), "accept");
		policy_on_eom(&policy, &config, NULL, &facts, STR("c1"), &arena, &v);
		ck_assert_str_eq(fixture_words(&v), "accept");
	}
	facts.is_held = true;
	const struct config config = fixture_config(&tenants[1]);

	policy_on_eom(&policy, &config, &tenants[1], &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
}
END_TEST

/* --- warnings */

static void ask(const struct tenant *tenant, int64_t used, struct verdict *v)
{
	const struct config config = fixture_config(tenant);
	const struct policy_facts facts = fixture_facts();

	fake.answers[0].used = used;
	policy_on_data(&policy, &config, tenant, &facts, STR("c1"), &arena, v);
}

START_TEST(warnings_once_a_window)
{
	static const struct quota quota = { .name = STR_INIT("a"), .limit = 100, ROLLING, .key = KEY_AUTH,
					    .warn_at = { 50, 80, 100 }, .warn_count = 3 };
	const struct tenant tenant = { ACME, .quotas = &quota, .quota_count = 1 };
	struct verdict v;

	ask(&tenant, 46, &v);           /* to 49 */
	ck_assert_uint_eq(v.note_count, 0);
	ck_assert_int_eq(fake.counts, 0);
	ask(&tenant, 47, &v);           /* to 50 */
	ck_assert_uint_eq(v.note_count, 1);
	ck_assert_int_eq(v.notes[0].percent, 50);
	ck_assert_int_eq(v.notes[0].reason, REASON_NONE);
	ck_assert_int_eq(v.notes[0].used, 50);
	ck_assert_str_is(v.notes[0].rule, STR("a"));
	ck_assert_str_is(v.notes[0].scope, STR("bob"));
	ask(&tenant, 50, &v);           /* over it already: not even asked */
	ck_assert_uint_eq(v.note_count, 0);
	ck_assert_int_eq(fake.counts, 1);
	ask(&tenant, 48, &v);           /* crossed again in the same window */
	ck_assert_uint_eq(v.note_count, 0);
	ask(&tenant, 78, &v);           /* the next level */
	ck_assert_uint_eq(v.note_count, 1);
	ck_assert_int_eq(v.notes[0].percent, 80);
	ask(&tenant, 97, &v);
	ck_assert_int_eq(v.notes[0].percent, 100);
	clock_set(now_us + HOUR_US + 1);
	ask(&tenant, 48, &v);           /* a window later it is news again */
	ck_assert_uint_eq(v.note_count, 1);
	fake.failing = FAKE_COUNT;
	ask(&tenant, 48, &v);           /* nobody knows whether it was told */
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert_uint_eq(v.note_count, 1);
}
END_TEST

/* A day that is reached late is over at midnight, and what is tried in vain in it with it. */
START_TEST(warnings_once_a_day)
{
	static const struct quota quota = { .name = STR_INIT("a"), .limit = 100, DAILY, .warn_at = { 50 }, .warn_count = 1 };
	const struct tenant tenant = { ACME, .quotas = &quota, .quota_count = 1 };
	struct quota_state states[QUOTA_STATES_MAX];
	struct policy_facts facts = fixture_facts();
	const struct config config = fixture_config(&tenant);
	size_t count;
	struct verdict v;

	for (int day = 0; day < 3; day++) {
		int64_t at_us = now_us + day * (DAY_US - 5 * HOUR_US);         /* 15:00, 10:00, 5:00 */

		clock_set(at_us);
		fake.now_us = at_us;
		fake.answers[0].resets_us = jst_day_start_us(jst_day(at_us) + 1);
		ask(&tenant, 98, &v);
		ask(&tenant, 47, &v);
		ck_assert_msg(v.note_count == 1 && v.notes[0].percent == 50, "day %d: %zu warnings", day, v.note_count);
		ask(&tenant, 48, &v);
		ck_assert_uint_eq(v.note_count, 0);
		ck_assert(policy_peek(&policy, &config, &tenant, &facts, &arena, states, &count, NULL));
		ck_assert_int_eq(states[0].attempts, 1);
	}
}
END_TEST

/* What many domains are over, and only monitored, leaves room for a warning: it would not come again. */
START_TEST(warnings_find_room)
{
	static const struct quota quotas[] = {
		{ .name = STR_INIT("dom"), .limit = 0, ROLLING, .key = KEY_RECIPIENT_DOMAIN, .is_monitor = true },
		{ .name = STR_INIT("all"), .limit = 100, ROLLING, .warn_at = { 50 }, .warn_count = 1 },
	};
	static const struct str rcpts[] = { STR_INIT("u@a.example"), STR_INIT("u@b.example"), STR_INIT("u@c.example"),
					    STR_INIT("u@d.example"), STR_INIT("u@e.example"), STR_INIT("u@f.example"),
					    STR_INIT("u@g.example"), STR_INIT("u@h.example"), STR_INIT("u@i.example") };
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	const struct config config = fixture_config(&tenant);
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	facts.recipients = rcpts;
	facts.recipient_count = 9;
	fake.answers[9].used = 45;
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert_uint_eq(v.note_count, 2);
	ck_assert_int_eq(v.notes[1].percent, 50);
}
END_TEST

START_TEST(warnings_of_huge_limits)
{
	static const struct quota quota = { .name = STR_INIT("a"), .limit = LIMIT_NONE - 1, ROLLING, .warn_at = { 1, 99 },
					    .warn_count = 2 };
	const struct tenant tenant = { ACME, .quotas = &quota, .quota_count = 1 };
	struct verdict v;

	ask(&tenant, 0, &v);
	ck_assert_uint_eq(v.note_count, 0);
	ask(&tenant, LIMIT_NONE - 4, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert_uint_eq(v.note_count, 0);
}
END_TEST

/* --- octets, and the way back */

START_TEST(bytes)
{
	static const struct quota quotas[] = {
		{ .name = STR_INIT("n"), .limit = 10, ROLLING },
		{ .name = STR_INIT("b"), .limit = 10000, ROLLING, .counts = COUNTS_BYTES },
	};
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	const struct config config = fixture_config(&tenant);
	const struct policy_facts facts = fixture_facts();
	struct verdict v;

	policy_on_eom(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert_str_is(fake.charge_id, STR("c1/b"));
	ck_assert_uint_eq(fake.take_count, 1);
	ck_assert_int_eq(fake.takes[0].cost, 5000);
	ck_assert_str_is(fake.takes[0].key, STR("sekisho:{acme}:q:b:r1h.byte.tenant:"));
	fake.answers[0] = (struct store_taken){ .used = 5001, .retry_after_us = US_PER_S };
	policy_on_eom(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "defer rate");
	ck_assert_int_eq(v.counts, COUNTS_BYTES);
	policy_refund(&policy, &tenant, STR("c1"));
	ck_assert_uint_eq(fake.refund_count, 2);
	ck_assert_str_is(fake.refunds[0], STR("c1"));
	ck_assert_str_is(fake.refunds[1], STR("c1/b"));
}
END_TEST

START_TEST(refunds_ask_for_no_more_than_was_taken)
{
	static const struct quota rcpts = Q("a", ROLLING), octets = Q("b", ROLLING, .counts = COUNTS_BYTES);
	const struct tenant none = { ACME }, some = { ACME, .quotas = &rcpts, .quota_count = 1 },
			    large = { ACME, .quotas = &octets, .quota_count = 1 };

	policy_refund(&policy, NULL, STR("c1"));
	policy_refund(&policy, &none, STR("c1"));
	ck_assert_uint_eq(fake.refund_count, 0);
	policy_refund(&policy, &some, STR("c1"));
	ck_assert_uint_eq(fake.refund_count, 1);
	policy_refund(&policy, &large, STR("c2"));
	ck_assert_uint_eq(fake.refund_count, 2);
	ck_assert_str_is(fake.refunds[1], STR("c2/b"));
}
END_TEST

/* However little memory a transaction has, the answer is to wait, or the right one. */
START_TEST(memory)
{
	static const struct quota quotas[] = { Q("a", ROLLING, .key = KEY_RECIPIENT_DOMAIN), Q("b", ROLLING, .key = KEY_AUTH) };
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	const struct config config = fixture_config(&tenant);
	const struct policy_facts facts = fixture_facts();
	bool was_refused = false;

	fake.answers[0] = (struct store_taken){ .used = 10, .retry_after_us = US_PER_S };
	for (size_t limit = 0; limit < 8192; limit += 16) {
		struct arena small;
		struct verdict v;

		arena_init(&small, limit);
		policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &small, &v);
		ck_assert_int_eq(v.action, VERDICT_DEFER);
		was_refused |= v.reason == REASON_RATE;
		ck_assert(!was_refused || v.reason == REASON_RATE);
		arena_clear(&small);
	}
	ck_assert(was_refused);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("charge");
	TCase *tcase = tcase_create("charge");

	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	unit_add_rows(tcase, data, data_rows);
	tcase_add_test(tcase, data_words);
	tcase_add_test(tcase, data_without_cost);
	tcase_add_test(tcase, warnings_once_a_window);
	tcase_add_test(tcase, warnings_once_a_day);
	tcase_add_test(tcase, warnings_find_room);
	tcase_add_test(tcase, warnings_of_huge_limits);
	tcase_add_test(tcase, bytes);
	tcase_add_test(tcase, refunds_ask_for_no_more_than_was_taken);
	tcase_add_test(tcase, memory);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
