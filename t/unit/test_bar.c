/* policy/bar: with a shared store, what bars a message is asked along with its charge. */
#include "t/lib/policy_fixture.h"
#include "t/lib/unit.h"

#include <stdio.h>

#include "policy/suppress.h"
#include "policy/tenant.h"

static const struct quota one_quota[] = { Q("a", ROLLING) };

static void setup(void)
{
	fixture_setup();
	store_fake_set_far(&fake);
}

static void suppress(const char *recipient, const char *scope)
{
	const struct suppression entry = { .recipient = str_from_c(recipient), .source = SUPPRESS_BOUNCE,
					   .reason = STR("userunknown"), .since_us = now_us, .until_us = now_us + HOUR_US,
					   .scope = str_from_c(scope) };

	ck_assert(suppress_add(&fake.store, STR("acme"), &entry, NULL));
}

/* The message goes to a@x.example, b@y.example and c@x.example. */
static const struct {
	const char *name;
	const char *suppressed[3], *scope;
	int suspended;                 /* 0, or 1 + enum excess_action */
	enum suppress_mode mode;
	bool is_internal, is_judged_at_end, is_held, has_no_quota;
	unsigned failing;
	const char *want;
	int charges;
	size_t notes;
} data_rows[] = {
	{ "nothing stands", .mode = SUPPRESS_MODE_REJECT, .want = "accept", .charges = 1 },
	{ "nothing stands, no quota", .mode = SUPPRESS_MODE_REJECT, .has_no_quota = true, .want = "accept", .charges = 1 },
	{ "one of three", { "b@y.example" }, "", 0, SUPPRESS_MODE_REJECT, .want = "defer suppressed", .charges = 1 },
	{ "two of three", { "b@y.example", "a@x.example" }, "", 0, SUPPRESS_MODE_REJECT, .want = "defer suppressed", .charges = 1 },
	{ "all three", { "b@y.example", "A@x.example", "c@x.example" }, "", 0, SUPPRESS_MODE_REJECT, .want = "reject suppressed",
	  .charges = 1 },
	{ "all three, no quota", { "b@y.example", "a@x.example", "c@x.example" }, "", 0, SUPPRESS_MODE_REJECT, .has_no_quota = true,
	  .want = "reject suppressed", .charges = 1 },
	{ "another sender's", { "b@y.example" }, "@other.example", 0, SUPPRESS_MODE_REJECT, .want = "accept", .charges = 2 },
	{ "this sender's", { "b@y.example" }, "s@acme.example", 0, SUPPRESS_MODE_REJECT, .want = "defer suppressed", .charges = 1 },
	{ "monitored", { "b@y.example", "c@x.example" }, "", 0, SUPPRESS_MODE_MONITOR, .want = "accept", .charges = 2, .notes = 1 },
	{ "not asked for", { "b@y.example" }, "", 0, SUPPRESS_MODE_OFF, .want = "accept", .charges = 1 },
	{ "handed in on the host", { "b@y.example" }, "", 0, SUPPRESS_MODE_REJECT, .is_internal = true, .want = "reject suppressed",
	  .charges = 1 },
	{ "handed in by loopback", { "b@y.example" }, "", 0, SUPPRESS_MODE_REJECT, .is_judged_at_end = true, .want = "reject suppressed",
	  .charges = 1 },
	{ "suspended", .suspended = 1 + EXCESS_REJECT, .want = "reject suspended", .charges = 1 },
	{ "suspended for a time", .suspended = 1 + EXCESS_DEFER, .want = "defer suspended", .charges = 1 },
	{ "suspended: held", .suspended = 1 + EXCESS_HOLD, .want = "hold suspended", .charges = 1 },
	{ "suspended and suppressed", { "b@y.example" }, "", 1 + EXCESS_REJECT, SUPPRESS_MODE_REJECT, .want = "reject suspended",
	  .charges = 1 },
	{ "held and suppressed", { "b@y.example", "a@x.example", "c@x.example" }, "", 1 + EXCESS_HOLD, SUPPRESS_MODE_REJECT,
	  .is_held = true, .want = "reject suppressed", .charges = 1 },
	{ "store gone", .mode = SUPPRESS_MODE_REJECT, .failing = FAKE_CHARGE | FAKE_GET, .want = "defer store" },
	{ "store gone, no quota", .mode = SUPPRESS_MODE_REJECT, .has_no_quota = true, .failing = FAKE_GET, .want = "defer store" },
};
START_TEST(data)
{
	const struct tenant tenant = { ACME,
				       .suppress = data_rows[_i].mode, .quotas = one_quota,
				       .quota_count = data_rows[_i].has_no_quota ? 0 : 1 };
	const struct config config = fixture_config(&tenant);
	const struct suspension s = { .action = (enum excess_action)(data_rows[_i].suspended - 1), .until_us = now_us + HOUR_US,
				      .reason = STR("why") };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	for (int i = 0; i < 3 && data_rows[_i].suppressed[i]; i++)
		suppress(data_rows[_i].suppressed[i], data_rows[_i].scope);
	if (data_rows[_i].suspended)
		ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	facts.is_internal = data_rows[_i].is_internal;
	facts.is_judged_at_end = data_rows[_i].is_judged_at_end;
	facts.is_held = data_rows[_i].is_held;
	fake.failing = data_rows[_i].failing;
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_msg(strcmp(fixture_words(&v), data_rows[_i].want) == 0, "%s: %s", data_rows[_i].name, fixture_words(&v));
	ck_assert_msg(fake.charges + fake.peeks == data_rows[_i].charges, "%s: %d charges, %d peeks", data_rows[_i].name,
		      fake.charges, fake.peeks);
	ck_assert_uint_eq(v.note_count, data_rows[_i].notes);
	ck_assert_msg(!v.detail.len || v.reason == REASON_STORE || str_starts(v.detail, STR("userunknown (bounce of 2026-11-21)")) ||
			      str_eq(v.detail, STR("why")), STR_FMT, STR_ARG(v.detail));
}
END_TEST

/* Half of the limit of 10 (the smallest half is 1), for the tenant's, the sender's or the login's doing; near and far. */
static const struct {
	struct member of;
	bool is_far;
	int64_t limit, want;
} halved_rows[] = {
	{ { MEMBER_ALL, STR_INIT("") }, false, 10, 5 },
	{ { MEMBER_ALL, STR_INIT("") }, true, 10, 5 },
	{ { MEMBER_SENDER, STR_INIT("S@acme.example") }, false, 11, 6 },
	{ { MEMBER_SENDER, STR_INIT("S@acme.example") }, true, 1, 1 },
	{ { MEMBER_LOGIN, STR_INIT("bob") }, true, 10, 5 },
	{ { MEMBER_SENDER, STR_INIT("other@acme.example") }, true, 10, 10 },
	{ { MEMBER_LOGIN, STR_INIT("eve") }, false, 10, 10 },
	{ { MEMBER_ALL, STR_INIT("") }, true, 0, 0 },
};
START_TEST(halved)
{
	struct quota quota = one_quota[0];
	const struct tenant tenant = { ACME, .quotas = &quota, .quota_count = 1 };
	const struct config config = fixture_config(&tenant);
	const struct suspension s = { .of = halved_rows[_i].of, .is_halved = true, .reason = STR("why") };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	fixture_teardown();
	fixture_setup();
	if (halved_rows[_i].is_far)
		store_fake_set_far(&fake);
	quota.limit = halved_rows[_i].limit;
	facts.auth = STR("bob");
	ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), halved_rows[_i].limit ? "accept" : "reject never");
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_int_eq(fake.takes[0].limit, halved_rows[_i].want);
	ck_assert(v.was_halved == (halved_rows[_i].want != halved_rows[_i].limit || halved_rows[_i].limit <= 1));
}
END_TEST

/* Half of a limit is so for a while: nothing is refused for good that would fit into the whole; less of it would fit now. */
START_TEST(halved_is_not_never)
{
	static const struct { int64_t limit, used; const char *want; bool is_in_parts; } rows[] = {
		{ 4, 0, "defer rate", true }, { 3, 0, "defer rate", true }, { 2, 0, "reject never", false }, { 6, 1, "defer rate", false },
	};
	static const struct str rcpts[] = { STR_INIT("a@x.example"), STR_INIT("b@x.example"), STR_INIT("c@x.example") };
	struct quota quota = one_quota[0];
	const struct tenant tenant = { ACME, .quotas = &quota, .quota_count = 1 };
	const struct config config = fixture_config(&tenant);
	const struct suspension s = { .is_halved = true, .reason = STR("why") };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	quota.limit = rows[_i].limit;
	facts.recipients = rcpts;
	facts.recipient_count = 3;
	fake.answers[0] = (struct store_taken){ .used = rows[_i].used, .retry_after_us = US_PER_S };
	ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), rows[_i].want);
	ck_assert(v.fits_in_parts == rows[_i].is_in_parts);
	ck_assert((v.retry_at_us != 0) == (rows[_i].used != 0));
}
END_TEST

/* A member that is stopped stops nobody else. */
START_TEST(members)
{
	const struct tenant tenant = { ACME };
	const struct config config = fixture_config(&tenant);
	const struct suspension s = { .of = { MEMBER_SENDER, STR("S@Acme.example") }, .action = EXCESS_REJECT };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	fake.hints = true;
	ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "reject suspended");
	facts.sender = STR("t@acme.example");
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
}
END_TEST

/* Before DATA, only what may be there is asked for: at MAIL in one question, of the tenant, the sender and the login. */
START_TEST(hints)
{
	const struct tenant tenant = { ACME,
				       .suppress = SUPPRESS_MODE_REJECT };
	const struct config config = fixture_config(&tenant);
	const struct suspension s = { .action = EXCESS_REJECT, .reason = STR("why") };
	const struct policy_facts facts = fixture_facts();
	struct verdict v;

	suppress("c@x.example", "");
	ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	fake.gets = 0;
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert_int_eq(fake.gets, 0);
	fake.hints = true;
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "reject suspended");
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "reject suppressed");
	ck_assert_int_eq(fake.peeks, 1);
	ck_assert_int_eq(fake.gets, 3 + 1);
}
END_TEST

/* Nobody is set free by an entry that cannot be read; where the store may fail, the message passes for that. */
START_TEST(damaged)
{
	static const char *const keys[] = { "sekisho:{acme}:suspended", "sekisho:{acme}:suppress:b@y.example" };
	const struct tenant tenant = { ACME,
				       .suppress = SUPPRESS_MODE_REJECT, .quotas = one_quota, .quota_count = 1 };
	struct config config = fixture_config(&tenant);
	const struct policy_facts facts = fixture_facts();
	struct verdict v;

	ck_assert(fake.store.ops->put(&fake.store, str_from_c(keys[_i]), STR("garbage"), HOUR_US, NULL));
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "defer store");
	ck_assert_int_eq(fake.charges, 0);
	config.on_store_failure = STORE_FAILURE_ACCEPT;
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert(v.was_store_gone);
	ck_assert_int_eq(fake.charges, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bar");
	TCase *tcase = tcase_create("bar");

	tcase_add_checked_fixture(tcase, setup, fixture_teardown);
	unit_add_rows(tcase, halved, halved_rows);
	tcase_add_loop_test(tcase, halved_is_not_never, 0, 4);
	tcase_add_test(tcase, members);
	unit_add_rows(tcase, data, data_rows);
	tcase_add_test(tcase, hints);
	tcase_add_loop_test(tcase, damaged, 0, 2);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
