/* policy: one verdict a question, whatever the store says or does not say. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "policy/policy.h"
#include "policy/tenant.h"
#include "t/lib/store_fake.h"

#define HOUR_US (3600 * US_PER_S)
#define ROLLING .window = WINDOW_ROLLING, .period_us = HOUR_US
#define DAILY .window = WINDOW_CALENDAR, .calendar = CALENDAR_DAY
#define LIMITS(recipients, size) .name = STR_INIT("acme"), .recipients_max = recipients, .size_max = size
#define ACME LIMITS(LIMIT_NONE, LIMIT_NONE)

static struct store_fake fake;
static struct policy policy;
static struct arena arena;
static struct net_addr client;
static int64_t now_us;

static const struct str senders[] = { STR_INIT("@acme.example") };
#define SENDERS { senders, 1 }

static void setup(void)
{
	now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21)) + 15 * HOUR_US;
	clock_set(now_us);
	store_fake_init(&fake);
	policy = (struct policy){ .store = &fake.store, .node = STR("n1") };
	arena_init(&arena, (size_t)4 << 20);
	ck_assert(net_parse_addr(STR("192.0.2.7"), &client));
}

static void teardown(void)
{
	store_fake_clear(&fake);
	arena_clear(&arena);
}

static struct config config_for(const struct tenant *tenant)
{
	return (struct config){ .default_tenant = tenant, .recipients_max = 1000, .on_store_failure = STORE_FAILURE_DEFER };
}

static const struct str three[] = { STR_INIT("a@x.example"), STR_INIT("b@y.example"), STR_INIT("c@x.example") };

static struct policy_facts facts_plain(void)
{
	return (struct policy_facts){ .client = &client, .auth = STR("bob"), .has_tls = true, .sender = STR("s@acme.example"),
				      .recipients = three, .recipient_count = 3, .size = 5000 };
}

/* "reject sender", "hold rate": what was decided, in two words. */
static const char *words_of(const struct verdict *v)
{
	static const char *const actions[] = { "none", "accept", "defer", "reject", "hold" };
	static const char *const reasons[REASON_COUNT] = {
		[REASON_NONE] = "", [REASON_NO_TENANT] = " who", [REASON_SUSPENDED] = " suspended", [REASON_SENDER] = " sender",
		[REASON_FROM] = " from", [REASON_TLS] = " tls", [REASON_AUTH] = " auth", [REASON_SIZE] = " size",
		[REASON_RECIPIENTS] = " recipients", [REASON_RATE] = " rate", [REASON_QUOTA] = " quota",
		[REASON_NEVER] = " never", [REASON_STORE] = " store", [REASON_MEMORY] = " memory",
	};
	static char words[64];

	snprintf(words, sizeof words, "%s%s", actions[v->action], reasons[v->reason]);
	return words;
}

/* --- MAIL */

static const struct quota shut = { .name = STR_INIT("shut"), ROLLING };
static const struct quota shut_watched = { .name = STR_INIT("shut"), ROLLING, .is_monitor = true };
static const struct quota shut_held = { .name = STR_INIT("shut"), ROLLING, .on_excess = EXCESS_HOLD };
static const struct quota shut_partly = { .name = STR_INIT("shut"), ROLLING, .exclude_local_domains = true };

static const struct {
	const char *name;
	bool has_tenant;
	struct tenant tenant;
	struct policy_facts facts;     /* on top of facts_plain: what is set here */
	bool is_null_sender, has_no_tls, has_no_auth, has_no_client;
	const char *want;
	const char *rule;
	size_t notes;
} mail_rows[] = {
	{ "all well", true, { ACME }, { 0 }, .want = "accept" },
	{ "nobody's", false, { ACME }, { 0 }, .want = "reject who", .rule = "default_tenant" },
	{ "nobody's bounce by the MTA", false, { ACME }, { .is_internal = true }, .is_null_sender = true, .want = "accept" },
	{ "nobody's, internal, not a bounce", false, { ACME }, { .is_internal = true }, .want = "reject who" },
	{ "nobody's null sender from outside", false, { ACME }, { 0 }, .is_null_sender = true, .want = "reject who" },
	{ "suspended", true, { ACME, .is_suspended = true }, { 0 }, .want = "reject suspended", .rule = "suspended" },
	{ "suspended, bounce by the MTA", true, { ACME, .is_suspended = true }, { .is_internal = true }, .is_null_sender = true,
	  .want = "accept" },
	{ "TLS missing", true, { ACME, .require_tls = true }, { 0 }, .has_no_tls = true, .want = "reject tls",
	  .rule = "require_tls" },
	{ "TLS there", true, { ACME, .require_tls = true }, { 0 }, .want = "accept" },
	{ "TLS missing, no connection", true, { ACME, .require_tls = true }, { 0 }, .has_no_tls = true, .has_no_client = true,
	  .want = "accept" },
	{ "login missing", true, { ACME, .require_auth = true }, { 0 }, .has_no_auth = true, .want = "reject auth",
	  .rule = "require_auth" },
	{ "login there", true, { ACME, .require_auth = true }, { 0 }, .want = "accept" },
	{ "sender owned", true, { ACME, .senders = SENDERS }, { 0 }, .want = "accept" },
	{ "sender not owned", true, { ACME, .senders = SENDERS }, { .sender = STR_INIT("s@other.example") },
	  .want = "reject sender", .rule = "senders" },
	{ "sender without domain", true, { ACME, .senders = SENDERS }, { .sender = STR_INIT("root") }, .want = "reject sender" },
	{ "null sender", true, { ACME, .senders = SENDERS }, { 0 }, .is_null_sender = true, .want = "accept" },
	{ "declared size fits", true, { LIMITS(LIMIT_NONE, 100) }, { .declared_size = 100 }, .want = "accept" },
	{ "declared size too large", true, { LIMITS(LIMIT_NONE, 100) }, { .declared_size = 101 }, .want = "reject size",
	  .rule = "size_max" },
	{ "declared size monitored", true, { LIMITS(LIMIT_NONE, 100), .size_is_monitor = true }, { .declared_size = 101 },
	  .want = "accept", .notes = 1 },
	{ "size limit 0", true, { LIMITS(LIMIT_NONE, 0) }, { .declared_size = 1 }, .want = "reject size" },
	{ "limit 0", true, { ACME, .quotas = &shut, .quota_count = 1 }, { 0 }, .want = "reject never", .rule = "shut" },
	{ "limit 0, monitored", true, { ACME, .quotas = &shut_watched, .quota_count = 1 }, { 0 }, .want = "accept" },
	{ "limit 0, held", true, { ACME, .quotas = &shut_held, .quota_count = 1 }, { 0 }, .want = "accept" },
	{ "limit 0, with exclusions", true, { ACME, .quotas = &shut_partly, .quota_count = 1 }, { 0 }, .want = "accept" },
};
START_TEST(mail)
{
	const struct config config = config_for(mail_rows[_i].has_tenant ? &mail_rows[_i].tenant : NULL);
	struct policy_facts facts = facts_plain();
	struct verdict v;

	facts.is_internal = mail_rows[_i].facts.is_internal;
	facts.declared_size = mail_rows[_i].facts.declared_size;
	facts.sender = mail_rows[_i].is_null_sender ? STR_EMPTY :
		       mail_rows[_i].facts.sender.len ? mail_rows[_i].facts.sender : facts.sender;
	facts.has_tls = !mail_rows[_i].has_no_tls;
	if (mail_rows[_i].has_no_auth)
		facts.auth = STR_EMPTY;
	if (mail_rows[_i].has_no_client)
		facts.client = NULL;
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_msg(strcmp(words_of(&v), mail_rows[_i].want) == 0, "%s: %s", mail_rows[_i].name, words_of(&v));
	if (mail_rows[_i].rule)
		ck_assert_str_is(v.rule, str_from_c(mail_rows[_i].rule));
	ck_assert_uint_eq(v.note_count, mail_rows[_i].notes);
	ck_assert(v.tenant == (mail_rows[_i].has_tenant && !(facts.is_internal && mail_rows[_i].is_null_sender) ?
			       &mail_rows[_i].tenant : NULL));
}
END_TEST

/* Held at MAIL, the rest is asked all the same, and a refusal leaves nothing of the suspension behind. */
START_TEST(held_then_refused)
{
	static const struct tenant tls = { ACME, .require_tls = true };
	const struct config config = config_for(&tls);
	const struct suspension s = { .action = EXCESS_HOLD, .until_us = now_us + HOUR_US, .reason = STR("why") };
	struct policy_facts facts = facts_plain();
	struct verdict v;

	facts.has_tls = false;
	ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(words_of(&v), "reject tls");
	ck_assert_uint_eq(v.detail.len, 0);
	ck_assert_int_eq(v.retry_at_us, 0);
}
END_TEST

/* --- RCPT */

static const struct {
	const char *name;
	struct tenant tenant;
	bool is_nobodys, is_internal;
	size_t count;
	const char *want;
	int64_t limit;
	size_t notes;
} rcpt_rows[] = {
	{ "fits", { LIMITS(3, LIMIT_NONE) }, false, false, 3, "accept", 0, 0 },
	{ "one too many", { LIMITS(2, LIMIT_NONE) }, false, false, 3, "defer recipients", 2, 0 },
	{ "one too many, rejected", { LIMITS(2, LIMIT_NONE), .recipients_on_excess = EXCESS_REJECT }, false, false, 3,
	  "reject recipients", 2, 0 },
	{ "one too many, monitored", { LIMITS(2, LIMIT_NONE), .recipients_is_monitor = true }, false, false, 3, "accept", 0, 1 },
	{ "two too many, monitored: told once", { LIMITS(1, LIMIT_NONE), .recipients_is_monitor = true }, false, false, 3,
	  "accept", 0, 0 },
	{ "none may", { LIMITS(0, LIMIT_NONE) }, false, false, 1, "defer recipients", 0, 0 },
	{ "over the relay's own", { ACME }, false, false, 1001, "defer recipients", 1000, 0 },
	{ "over the relay's own, monitored tenant", { LIMITS(2, LIMIT_NONE), .recipients_is_monitor = true }, false, false,
	  1001, "defer recipients", 1000, 0 },
	{ "nobody's", { ACME }, true, false, 1000, "accept", 0, 0 },
	{ "nobody's, over the relay's own", { ACME }, true, false, 1001, "defer recipients", 1000, 0 },
	{ "internal is never refused", { LIMITS(2, LIMIT_NONE) }, false, true, 1001, "accept", 0, 0 },
};
START_TEST(rcpt)
{
	static struct str rcpts[2000];
	const struct tenant *tenant = rcpt_rows[_i].is_nobodys ? NULL : &rcpt_rows[_i].tenant;
	const struct config config = config_for(tenant);
	struct policy_facts facts = facts_plain();
	struct verdict v;

	for (size_t i = 0; i < 2000; i++)
		rcpts[i] = STR("a@x.example");
	facts.recipients = rcpts;
	facts.recipient_count = rcpt_rows[_i].count;
	facts.is_internal = rcpt_rows[_i].is_internal;
	policy_on_rcpt(&policy, &config, tenant, &facts, &arena, &v);
	ck_assert_msg(strcmp(words_of(&v), rcpt_rows[_i].want) == 0, "%s: %s", rcpt_rows[_i].name, words_of(&v));
	ck_assert_int_eq(v.limit, rcpt_rows[_i].limit);
	ck_assert_uint_eq(v.note_count, rcpt_rows[_i].notes);
}
END_TEST

START_TEST(rcpt_domains)
{
	static char texts[300][32];
	static struct str rcpts[300];
	static const struct quota by_domain = { .name = STR_INIT("dom"), .limit = 9, ROLLING, .key = KEY_RECIPIENT_DOMAIN };
	const struct tenant tenant = { ACME, .quotas = &by_domain, .quota_count = 1 };
	const struct config config = config_for(&tenant);
	struct policy_facts facts = facts_plain();
	struct verdict v;

	for (size_t i = 0; i < 300; i++) {
		int len = snprintf(texts[i], sizeof texts[i], "u@d%zu.example", i);

		rcpts[i] = str_of(texts[i], (size_t)len);
	}
	facts.recipients = rcpts;
	facts.recipient_count = 256;
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_str_eq(words_of(&v), "accept");
	facts.recipient_count = 257;
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_str_eq(words_of(&v), "defer recipients");
	ck_assert_int_eq(v.limit, 256);

	/* A local submission cannot be refused there: nothing is taken, nothing unchecked. */
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(words_of(&v), "reject recipients");
	ck_assert_int_eq(fake.charges, 0);
}
END_TEST

/* --- DATA */

#define Q(n, ...) { .name = STR_INIT(n), .limit = 10, __VA_ARGS__ }

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
	const struct config config = config_for(&tenant);
	const struct policy_facts facts = facts_plain();
	bool is_refused = data_rows[_i].rule != NULL;
	struct verdict v;

	memcpy(fake.answers, data_rows[_i].answers, sizeof data_rows[_i].answers);
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_msg(strcmp(words_of(&v), data_rows[_i].want) == 0, "%s: %s", data_rows[_i].name, words_of(&v));
	ck_assert_int_eq(v.retry_at_us, data_rows[_i].retry_s ? now_us + data_rows[_i].retry_s * US_PER_S : 0);
	ck_assert_uint_eq(v.note_count, data_rows[_i].notes);
	ck_assert_int_eq(fake.charges, 1);
	ck_assert_str_is(fake.charge_id, STR("c1"));
	ck_assert_int_eq(fake.counts, is_refused);
	if (is_refused)
		ck_assert_str_is(v.rule, str_from_c(data_rows[_i].rule));
}
END_TEST

START_TEST(data_words)
{
	static const struct quota by_login = Q("a", ROLLING, .key = KEY_AUTH, .counts = COUNTS_MESSAGES);
	const struct tenant tenant = { ACME, .quotas = &by_login, .quota_count = 1 };
	const struct config config = config_for(&tenant);
	struct policy_facts facts = facts_plain();
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
	struct policy_facts facts = facts_plain();
	struct verdict v;

	fake.failing = ~0u;
	for (size_t i = 0; i < 2; i++) {
		const struct config config = config_for(&tenants[i]);

		policy_on_data(&policy, &config, &tenants[i], &facts, STR("c1"), &arena, &v);
		ck_assert_str_eq(words_of(&v), "accept");
		policy_on_data(&policy, &config, NULL, &facts, STR("c1"), &arena, &v);
		ck_assert_str_eq(words_of(&v), "accept");
		policy_on_eom(&policy, &config, NULL, &facts, STR("c1"), &arena, &v);
		ck_assert_str_eq(words_of(&v), "accept");
	}
	facts.is_held = true;
	const struct config config = config_for(&tenants[1]);

	policy_on_eom(&policy, &config, &tenants[1], &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(words_of(&v), "accept");
}
END_TEST

/* --- warnings */

static void ask(const struct tenant *tenant, int64_t used, struct verdict *v)
{
	const struct config config = config_for(tenant);
	const struct policy_facts facts = facts_plain();

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
	ck_assert_str_eq(words_of(&v), "accept");
	ck_assert_uint_eq(v.note_count, 1);
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
	ck_assert_str_eq(words_of(&v), "accept");
	ck_assert_uint_eq(v.note_count, 0);
}
END_TEST

/* --- end of message */

static const struct str from_good[] = { STR_INIT("S@Acme.example"), STR_INIT("t@acme.example") };
static const struct str from_mixed[] = { STR_INIT("s@acme.example"), STR_INIT("x@other.example") };

static const struct {
	const char *name;
	struct tenant tenant;
	struct policy_facts facts;
	const char *want, *scope;
	size_t notes;
} eom_rows[] = {
	{ "fits", { LIMITS(LIMIT_NONE, 5000) }, { .size = 5000 }, "accept", NULL, 0 },
	{ "too large", { LIMITS(LIMIT_NONE, 5000) }, { .size = 5001 }, "reject size", NULL, 0 },
	{ "too large, monitored", { LIMITS(LIMIT_NONE, 5000), .size_is_monitor = true }, { .size = 5001 }, "accept", NULL, 1 },
	{ "any From", { ACME, .senders = SENDERS }, { .from = from_mixed, .from_count = 2 }, "accept", NULL, 0 },
	{ "From owned", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from = from_good, .from_count = 2 }, "accept", NULL,
	  0 },
	{ "one From not owned", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from = from_mixed, .from_count = 2 },
	  "reject from", "x@other.example", 0 },
	{ "From not owned, monitored", { ACME, .senders = SENDERS, .from = FROM_SENDERS, .from_is_monitor = true },
	  { .from = from_mixed, .from_count = 2 }, "accept", "", 1 },
	{ "From unreadable", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from_is_broken = true }, "reject from", "", 0 },
	{ "From owned but broken", { ACME, .senders = SENDERS, .from = FROM_SENDERS },
	  { .from = from_good, .from_count = 2, .from_is_broken = true }, "reject from", "", 0 },
	{ "From missing: the MTA adds it", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { 0 }, "accept", NULL, 0 },
	{ "both monitored", { LIMITS(LIMIT_NONE, 1), .size_is_monitor = true, .senders = SENDERS, .from = FROM_SENDERS,
			      .from_is_monitor = true }, { .size = 2, .from_is_broken = true }, "accept", NULL, 2 },
};
START_TEST(eom)
{
	const struct config config = config_for(&eom_rows[_i].tenant);
	struct verdict v;

	policy_on_eom(&policy, &config, &eom_rows[_i].tenant, &eom_rows[_i].facts, STR("c1"), &arena, &v);
	ck_assert_msg(strcmp(words_of(&v), eom_rows[_i].want) == 0, "%s: %s", eom_rows[_i].name, words_of(&v));
	if (eom_rows[_i].scope)
		ck_assert_str_is(v.scope, str_from_c(eom_rows[_i].scope));
	ck_assert_uint_eq(v.note_count, eom_rows[_i].notes);
}
END_TEST

START_TEST(bytes)
{
	static const struct quota quotas[] = {
		{ .name = STR_INIT("n"), .limit = 10, ROLLING },
		{ .name = STR_INIT("b"), .limit = 10000, ROLLING, .counts = COUNTS_BYTES },
	};
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	const struct config config = config_for(&tenant);
	const struct policy_facts facts = facts_plain();
	struct verdict v;

	policy_on_eom(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(words_of(&v), "accept");
	ck_assert_str_is(fake.charge_id, STR("c1/b"));
	ck_assert_uint_eq(fake.take_count, 1);
	ck_assert_int_eq(fake.takes[0].cost, 5000);
	ck_assert_str_is(fake.takes[0].key, STR("sekisho:{acme}:q:b:r1h.byte.tenant:"));
	fake.answers[0] = (struct store_taken){ .used = 5001, .retry_after_us = US_PER_S };
	policy_on_eom(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(words_of(&v), "defer rate");
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

/* --- the store gone */

static const struct {
	enum store_failure mode;
	unsigned failing;
	const char *want[3];           /* MAIL, DATA, end of message */
	bool was_gone[3];
} gone_rows[] = {
	{ STORE_FAILURE_DEFER, FAKE_GET, { "defer store", "accept", "accept" }, { 0 } },
	{ STORE_FAILURE_DEFER, FAKE_CHARGE, { "accept", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_DEFER, ~0u, { "defer store", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_LOCAL, ~0u, { "defer store", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_ACCEPT, FAKE_GET, { "accept", "accept", "accept" }, { true, false, false } },
	{ STORE_FAILURE_ACCEPT, ~0u, { "accept", "accept", "accept" }, { true, true, true } },
	{ STORE_FAILURE_DEFER, FAKE_COUNT | FAKE_REFUND, { "accept", "accept", "accept" }, { 0 } },
};
START_TEST(store_gone)
{
	static const struct quota quotas[] = { Q("a", ROLLING), { .name = STR_INIT("b"), .limit = 9000, DAILY,
								  .counts = COUNTS_BYTES } };
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	struct config config = config_for(&tenant);
	const struct policy_facts facts = facts_plain();
	struct verdict v[3];

	config.on_store_failure = gone_rows[_i].mode;
	fake.failing = gone_rows[_i].failing;
	policy_on_mail(&policy, &config, &facts, &arena, &v[0]);
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v[1]);
	policy_on_eom(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v[2]);
	policy_refund(&policy, &tenant, STR("c1"));
	for (size_t i = 0; i < 3; i++) {
		ck_assert_msg(strcmp(words_of(&v[i]), gone_rows[_i].want[i]) == 0, "stage %zu: %s", i, words_of(&v[i]));
		ck_assert(v[i].was_store_gone == gone_rows[_i].was_gone[i]);
		if (v[i].reason == REASON_STORE)
			ck_assert_msg(str_ends(v[i].detail, STR("the fake is gone")), STR_FMT, STR_ARG(v[i].detail));
	}
}
END_TEST

/* A store that fails does not open what the rest of the rules keep shut. */
START_TEST(store_gone_is_no_excuse)
{
	const struct tenant tenant = { ACME, .senders = SENDERS };
	struct config config = config_for(&tenant);
	struct policy_facts facts = facts_plain();
	struct verdict v;

	config.on_store_failure = STORE_FAILURE_ACCEPT;
	fake.failing = ~0u;
	facts.sender = STR("x@other.example");
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(words_of(&v), "reject sender");
	ck_assert(v.was_store_gone);
}
END_TEST

/* However little memory a transaction has, the answer is to wait, or the right one. */
START_TEST(memory)
{
	static const struct quota quotas[] = { Q("a", ROLLING, .key = KEY_RECIPIENT_DOMAIN), Q("b", ROLLING, .key = KEY_AUTH) };
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	const struct config config = config_for(&tenant);
	const struct policy_facts facts = facts_plain();
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
	Suite *suite = suite_create("policy");
	TCase *tcase = tcase_create("policy");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, mail, mail_rows);
	tcase_add_test(tcase, held_then_refused);
	unit_add_rows(tcase, rcpt, rcpt_rows);
	tcase_add_test(tcase, rcpt_domains);
	unit_add_rows(tcase, data, data_rows);
	tcase_add_test(tcase, data_words);
	tcase_add_test(tcase, data_without_cost);
	tcase_add_test(tcase, warnings_once_a_window);
	tcase_add_test(tcase, warnings_of_huge_limits);
	unit_add_rows(tcase, eom, eom_rows);
	tcase_add_test(tcase, bytes);
	tcase_add_test(tcase, refunds_ask_for_no_more_than_was_taken);
	unit_add_rows(tcase, store_gone, gone_rows);
	tcase_add_test(tcase, store_gone_is_no_excuse);
	tcase_add_test(tcase, memory);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
