/* policy: one verdict a question, whatever the store says or does not say. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "policy/suppress.h"
#include "policy/tenant.h"
#include "t/lib/policy_fixture.h"

/* --- MAIL */

static const struct quota shut = { .name = STR_INIT("shut"), ROLLING };
static const struct quota shut_watched = { .name = STR_INIT("shut"), ROLLING, .is_monitor = true };
static const struct quota shut_held = { .name = STR_INIT("shut"), ROLLING, .on_excess = EXCESS_HOLD };
static const struct quota shut_partly = { .name = STR_INIT("shut"), ROLLING, .exclude_local_domains = true };

static const struct {
	const char *name;
	bool has_tenant;
	struct tenant tenant;
	struct policy_facts facts;     /* on top of fixture_facts: what is set here */
	bool is_null_sender, has_no_tls, has_no_auth, has_no_client;
	const char *want;
	const char *rule;
	size_t notes;
} mail_rows[] = {
	{ "all well", true, { ACME }, { 0 }, .want = "accept" },
	{ "nobody's", false, { ACME }, { 0 }, .want = "reject who", .rule = "default_tenant" },
	{ "nobody's bounce by the MTA", false, { ACME }, { .is_internal = true }, .is_null_sender = true, .has_no_auth = true,
	  .want = "accept" },
	{ "null sender handed in by somebody known", true, { ACME, .is_suspended = true }, { .is_internal = true },
	  .is_null_sender = true, .want = "reject suspended" },
	{ "nobody's, internal, not a bounce", false, { ACME }, { .is_internal = true }, .want = "reject who" },
	{ "nobody's null sender from outside", false, { ACME }, { 0 }, .is_null_sender = true, .want = "reject who" },
	{ "suspended", true, { ACME, .is_suspended = true }, { 0 }, .want = "reject suspended", .rule = "suspended" },
	{ "suspended, bounce by the MTA", true, { ACME, .is_suspended = true }, { .is_internal = true }, .is_null_sender = true,
	  .has_no_auth = true,
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
	{ "sender not owned, monitored", true, { ACME, .senders = SENDERS, .senders_is_monitor = true },
	  { .sender = STR_INIT("s@other.example") }, .want = "accept", .notes = 1 },
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
	const struct config config = fixture_config(mail_rows[_i].has_tenant ? &mail_rows[_i].tenant : NULL);
	struct policy_facts facts = fixture_facts();
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
	ck_assert_msg(strcmp(fixture_words(&v), mail_rows[_i].want) == 0, "%s: %s", mail_rows[_i].name, fixture_words(&v));
	if (mail_rows[_i].rule)
		ck_assert_str_is(v.rule, str_from_c(mail_rows[_i].rule));
	ck_assert_uint_eq(v.note_count, mail_rows[_i].notes);
	ck_assert(v.tenant == (mail_rows[_i].has_tenant && !(facts.is_internal && mail_rows[_i].is_null_sender && mail_rows[_i].has_no_auth) ?
			       &mail_rows[_i].tenant : NULL));
}
END_TEST

/* Held at MAIL, the rest is asked all the same, and a refusal leaves nothing of the suspension behind. */
START_TEST(held_then_refused)
{
	static const struct tenant tls = { ACME, .require_tls = true };
	const struct config config = fixture_config(&tls);
	const struct suspension s = { .action = EXCESS_HOLD, .until_us = now_us + HOUR_US, .reason = STR("why") };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	facts.has_tls = false;
	ck_assert(tenant_suspend(&fake.store, STR("acme"), &s, NULL));
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "reject tls");
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
	{ "one too many, monitored", { LIMITS(2, LIMIT_NONE), .recipients_max_is_monitor = true }, false, false, 3, "accept", 0, 1 },
	{ "two too many, monitored: told once", { LIMITS(1, LIMIT_NONE), .recipients_max_is_monitor = true }, false, false, 3,
	  "accept", 0, 0 },
	{ "none may", { LIMITS(0, LIMIT_NONE) }, false, false, 1, "defer recipients", 0, 0 },
	{ "over the relay's own", { ACME }, false, false, 1001, "defer recipients", 1000, 0 },
	{ "over the relay's own, monitored tenant", { LIMITS(2, LIMIT_NONE), .recipients_max_is_monitor = true }, false, false,
	  1001, "defer recipients", 1000, 0 },
	{ "whom it may write to", { ACME, .recipients = { (struct str[]){ STR_INIT("@y.example"), STR_INIT("@x.example") }, 2 } }, false, false, 3,
	  "accept", 0, 0 },
	{ "whom it may not", { ACME, .recipients = { (struct str[]){ STR_INIT("@*.x.example"), STR_INIT("b@x.example") }, 2 } }, false, false, 1,
	  "reject recipient", 0, 0 },
	{ "whom it may not, monitored",
	  { ACME, .recipients = { (struct str[]){ STR_INIT("b@x.example") }, 1 }, .recipients_is_monitor = true }, false, false, 1,
	  "accept", 0, 1 },
	{ "nobody's", { ACME }, true, false, 1000, "accept", 0, 0 },
	{ "nobody's, over the relay's own", { ACME }, true, false, 1001, "defer recipients", 1000, 0 },
	{ "made by the MTA", { ACME }, true, true, 1001, "accept", 0, 0 },
	{ "handed in on the host", { LIMITS(2, LIMIT_NONE) }, false, true, 3, "reject recipients", 2, 0 },
	{ "handed in on the host, over the relay's own", { ACME }, false, true, 1001, "reject recipients", 1000, 0 },
};
START_TEST(rcpt)
{
	static struct str rcpts[2000];
	const struct tenant *tenant = rcpt_rows[_i].is_nobodys ? NULL : &rcpt_rows[_i].tenant;
	const struct config config = fixture_config(tenant);
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	for (size_t i = 0; i < 2000; i++)
		rcpts[i] = STR("a@x.example");
	facts.recipients = rcpts;
	facts.recipient_count = rcpt_rows[_i].count;
	facts.is_internal = rcpt_rows[_i].is_internal;
	policy_on_rcpt(&policy, &config, tenant, &facts, &arena, &v);
	ck_assert_msg(strcmp(fixture_words(&v), rcpt_rows[_i].want) == 0, "%s: %s", rcpt_rows[_i].name, fixture_words(&v));
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
	const struct config config = fixture_config(&tenant);
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	for (size_t i = 0; i < 300; i++) {
		int len = snprintf(texts[i], sizeof texts[i], "u@d%zu.example", i);

		rcpts[i] = str_of(texts[i], (size_t)len);
	}
	facts.recipients = rcpts;
	facts.recipient_count = 256;
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	facts.recipient_count = 257;
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "defer recipients");
	ck_assert_int_eq(v.limit, 256);

	/* A local submission cannot be refused there: nothing is taken, nothing unchecked. */
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "reject recipients");
	ck_assert_int_eq(fake.charges, 0);
}
END_TEST

/* --- the suppression list */

static const struct {
	const char *name;
	enum suppress_mode mode;
	const char *recipient, *scope;
	bool is_internal;
	unsigned failing;
	const char *want;
	size_t notes;
} suppress_rows[] = {
	{ "listed", SUPPRESS_MODE_REJECT, "c@x.example", "", .want = "reject suppressed" },
	{ "listed, typed otherwise", SUPPRESS_MODE_REJECT, "C@X.Example", "", .want = "reject suppressed" },
	{ "another", SUPPRESS_MODE_REJECT, "d@x.example", "", .want = "accept" },
	{ "for this sender", SUPPRESS_MODE_REJECT, "c@x.example", "@acme.example", .want = "reject suppressed" },
	{ "for another sender", SUPPRESS_MODE_REJECT, "c@x.example", "@news.example", .want = "accept" },
	{ "monitored", SUPPRESS_MODE_MONITOR, "c@x.example", "", .want = "accept", .notes = 1 },
	{ "not asked for", SUPPRESS_MODE_OFF, "c@x.example", "", .failing = FAKE_GET, .want = "accept" },
	{ "handed in on the host", SUPPRESS_MODE_REJECT, "c@x.example", "", .is_internal = true, .want = "reject suppressed" },
	{ "store gone", SUPPRESS_MODE_REJECT, "c@x.example", "", .failing = FAKE_GET, .want = "defer store" },
};
START_TEST(suppressed)
{
	const struct tenant tenant = { ACME, .suppress = suppress_rows[_i].mode };
	const struct config config = fixture_config(&tenant);
	const struct suppression entry = { .recipient = str_from_c(suppress_rows[_i].recipient), .source = SUPPRESS_BOUNCE,
					   .reason = STR("userunknown"), .since_us = now_us, .until_us = now_us + HOUR_US,
					   .scope = str_from_c(suppress_rows[_i].scope) };
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	facts.is_internal = suppress_rows[_i].is_internal;
	ck_assert(suppress_add(&fake.store, tenant.name, &entry, NULL));
	fake.failing = suppress_rows[_i].failing;
	policy_on_rcpt(&policy, &config, &tenant, &facts, &arena, &v);
	ck_assert_msg(strcmp(fixture_words(&v), suppress_rows[_i].want) == 0, "%s: %s", suppress_rows[_i].name,
		      fixture_words(&v));
	ck_assert_uint_eq(v.note_count, suppress_rows[_i].notes);
	if (v.reason == REASON_SUPPRESSED) {
		ck_assert_str_is(v.detail, STR("userunknown (bounce of 2026-11-21)"));
		ck_assert_int_eq(v.retry_at_us, entry.until_us);
	}
}
END_TEST

/* --- end of message */

static const struct str from_good[] = { STR_INIT("S@Acme.example"), STR_INIT("t@acme.example") };
static const struct str from_mixed[] = { STR_INIT("s@acme.example"), STR_INIT("x@other.example") };

#define RULE(text, ...) { .name = STR_INIT("content:" text), .header = STR_INIT("Subject"), __VA_ARGS__ }
#define CONTENT(rules) ACME, .content = rules, .content_count = sizeof rules / sizeof *rules
static const struct content_field bill = { STR_INIT("subject"), STR_INIT("Re: INVOICE overdue!"), NULL };
static const struct content_field two_subjects = { STR_INIT("SUBJECT"), STR_INIT("hello"), &bill };
static const struct content_field mailer = { STR_INIT("X-Mailer"), STR_INIT("an invoice overdue"), NULL };
static const struct content_rule refuses[] = { RULE("a", .match = STR_INIT("*invoice overdue*"), .action = EXCESS_REJECT) };
static const struct content_rule defers[] = { RULE("b", .match = STR_INIT("*invoice?overdue?"), .action = EXCESS_DEFER) };
static const struct content_rule holds_first[] = {
	RULE("c", .match = STR_INIT("invoice overdue"), .action = EXCESS_REJECT),
	RULE("d", .match = STR_INIT("Re:*"), .action = EXCESS_HOLD),
	RULE("e", .match = STR_INIT("*"), .action = EXCESS_REJECT),
};
#define WATCHES(text) RULE(text, .match = STR_INIT("*"), .is_monitor = true)
#define WATCHES_6(a) WATCHES(a "1"), WATCHES(a "2"), WATCHES(a "3"), WATCHES(a "4"), WATCHES(a "5"), WATCHES(a "6")
static const struct content_rule crowd[] = { WATCHES_6("a"), WATCHES_6("b"), WATCHES_6("c"), WATCHES_6("d"), WATCHES_6("e"), WATCHES_6("f") };
static const struct content_rule watches_first[] = {
	RULE("f", .match = STR_INIT("*overdue*"), .action = EXCESS_REJECT, .is_monitor = true),
	RULE("g", .match = STR_INIT("hell*"), .action = EXCESS_DEFER, .is_monitor = true),
	RULE("h", .match = STR_INIT("*!"), .action = EXCESS_REJECT),
};

static const struct {
	const char *name;
	struct tenant tenant;
	struct policy_facts facts;
	const char *want, *scope;
	size_t notes;
	const char *rule;              /* may be NULL */
} eom_rows[] = {
	{ "fits", { LIMITS(LIMIT_NONE, 5000) }, { .size = 5000 }, "accept", NULL, 0 },
	{ "too large", { LIMITS(LIMIT_NONE, 5000) }, { .size = 5001 }, "reject size", NULL, 0 },
	{ "too large, monitored", { LIMITS(LIMIT_NONE, 5000), .size_is_monitor = true }, { .size = 5001 }, "accept", NULL, 1 },
	{ "any From", { ACME, .senders = SENDERS }, { .from = from_mixed, .from_count = 2 }, "accept", NULL, 0 },
	{ "From owned", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from = from_good, .from_count = 2, .has_from = true }, "accept", NULL,
	  0 },
	{ "one From not owned", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from = from_mixed, .from_count = 2 },
	  "reject from", "x@other.example", 0 },
	{ "From not owned, monitored", { ACME, .senders = SENDERS, .from = FROM_SENDERS, .from_is_monitor = true },
	  { .from = from_mixed, .from_count = 2 }, "accept", "", 1 },
	{ "From unreadable", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from_is_broken = true }, "reject from", "", 0 },
	{ "From owned but broken", { ACME, .senders = SENDERS, .from = FROM_SENDERS },
	  { .from = from_good, .from_count = 2, .from_is_broken = true }, "reject from", "", 0 },
	{ "From missing: the MTA makes one of the sender", { ACME, .senders = SENDERS, .from = FROM_SENDERS },
	  { .sender = STR_INIT("s@acme.example") }, "accept", NULL, 0 },
	{ "From missing, null sender: the MTA would sign it", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { 0 },
	  "reject from", "", 0 },
	{ "Sender alone, null sender", { ACME, .senders = SENDERS, .from = FROM_SENDERS }, { .from = from_good, .from_count = 1 },
	  "reject from", "", 0 },
	{ "From owned, null sender", { ACME, .senders = SENDERS, .from = FROM_SENDERS },
	  { .from = from_good, .from_count = 1, .has_from = true }, "accept", NULL, 0 },
	{ "both monitored", { LIMITS(LIMIT_NONE, 1), .size_is_monitor = true, .senders = SENDERS, .from = FROM_SENDERS,
			      .from_is_monitor = true }, { .size = 2, .from_is_broken = true }, "accept", NULL, 2 },
	{ "no field that a rule asks for", { CONTENT(refuses) }, { .content = &mailer }, "accept", NULL, 0 },
	{ "no field at all", { CONTENT(holds_first) }, { 0 }, "accept", NULL, 0 },
	{ "another text", { CONTENT(refuses) }, { .content = &(const struct content_field){ STR_INIT("Subject"), STR_INIT("invoice"), NULL } },
	  "accept", NULL, 0 },
	{ "refused by content", { CONTENT(refuses) }, { .content = &bill }, "reject content", "Subject", 0, "content:a" },
	{ "deferred by content", { CONTENT(defers) }, { .content = &bill }, "defer content", "Subject", 0, "content:b" },
	{ "the first that is met", { CONTENT(holds_first) }, { .content = &bill }, "hold content", "Subject", 0, "content:d" },
	{ "each field of that name, rules in order", { CONTENT(holds_first) }, { .content = &two_subjects }, "hold content", "Subject", 0,
	  "content:d" },
	{ "what is monitored hides no other rule", { CONTENT(watches_first) }, { .content = &two_subjects }, "reject content", "Subject", 2,
	  "content:h" },
	{ "a crowd of rules on content leaves room for the others", { CONTENT(crowd), .senders = SENDERS, .from = FROM_SENDERS, .from_is_monitor = true },
	  { .content = &bill, .from = from_mixed, .from_count = 2 }, "accept", NULL, POLICY_NOTES_MAX - POLICY_NOTES_OTHERS + 1 },
	{ "held by content, refused by From", { CONTENT(holds_first), .senders = SENDERS, .from = FROM_SENDERS },
	  { .content = &bill, .from = from_mixed, .from_count = 2 }, "reject from", "x@other.example", 0, "from" },
	{ "too large for content to be asked", { LIMITS(LIMIT_NONE, 1), .content = watches_first, .content_count = 3 }, { .content = &bill, .size = 2 }, "reject size",
	  "", 0, "size_max" },
};
START_TEST(eom)
{
	const struct config config = fixture_config(&eom_rows[_i].tenant);
	struct verdict v;

	policy_on_eom(&policy, &config, &eom_rows[_i].tenant, &eom_rows[_i].facts, STR("c1"), &arena, &v);
	ck_assert_msg(strcmp(fixture_words(&v), eom_rows[_i].want) == 0, "%s: %s", eom_rows[_i].name, fixture_words(&v));
	if (eom_rows[_i].scope)
		ck_assert_str_is(v.scope, str_from_c(eom_rows[_i].scope));
	if (eom_rows[_i].rule)
		ck_assert_str_is(v.rule, str_from_c(eom_rows[_i].rule));
	ck_assert_uint_eq(v.note_count, eom_rows[_i].notes);
}
END_TEST

/* --- the store gone */

static const struct {
	enum store_failure mode;
	unsigned failing;
	const char *want[3];           /* MAIL, DATA, end of message */
	bool was_gone[3];
} gone_rows[] = {
	{ STORE_FAILURE_DEFER, FAKE_GET, { "defer store", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_DEFER, FAKE_CHARGE, { "defer store", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_DEFER, ~0u, { "defer store", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_LOCAL, ~0u, { "defer store", "defer store", "defer store" }, { 0 } },
	{ STORE_FAILURE_ACCEPT, FAKE_GET, { "accept", "accept", "accept" }, { true, true, true } },
	{ STORE_FAILURE_ACCEPT, ~0u, { "accept", "accept", "accept" }, { true, true, true } },
	{ STORE_FAILURE_DEFER, FAKE_COUNT | FAKE_REFUND, { "accept", "accept", "accept" }, { 0 } },
};
START_TEST(store_gone)
{
	static const struct quota quotas[] = { Q("a", ROLLING), { .name = STR_INIT("b"), .limit = 9000, DAILY,
								  .counts = COUNTS_BYTES } };
	const struct tenant tenant = { ACME, .quotas = quotas, .quota_count = 2 };
	struct config config = fixture_config(&tenant);
	const struct policy_facts facts = fixture_facts();
	struct verdict v[3];

	config.on_store_failure = gone_rows[_i].mode;
	fake.failing = gone_rows[_i].failing;
	policy_on_mail(&policy, &config, &facts, &arena, &v[0]);
	policy_on_data(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v[1]);
	policy_on_eom(&policy, &config, &tenant, &facts, STR("c1"), &arena, &v[2]);
	policy_refund(&policy, &tenant, STR("c1"));
	for (size_t i = 0; i < 3; i++) {
		ck_assert_msg(strcmp(fixture_words(&v[i]), gone_rows[_i].want[i]) == 0, "stage %zu: %s", i, fixture_words(&v[i]));
		ck_assert(v[i].was_store_gone == gone_rows[_i].was_gone[i]);
		if (v[i].reason == REASON_STORE)
			ck_assert_msg(str_ends(v[i].detail, STR("the fake is gone")), STR_FMT, STR_ARG(v[i].detail));
	}
}
END_TEST

/* Our own want of memory is no failure of the store: nobody is let through unasked. */
START_TEST(short_of_memory)
{
	const struct tenant tenant = { ACME };
	struct config config = fixture_config(&tenant);
	const struct policy_facts facts = fixture_facts();
	struct verdict v;

	config.on_store_failure = STORE_FAILURE_ACCEPT;
	fake.failing = ~0u;
	fake.is_short = true;
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "defer memory");
	ck_assert(!v.was_store_gone);
	fake.is_short = false;                 /* what ran out before is past */
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "accept");
	ck_assert(v.was_store_gone);
}
END_TEST

/* A store that fails does not open what the rest of the rules keep shut. */
START_TEST(store_gone_is_no_excuse)
{
	const struct tenant tenant = { ACME, .senders = SENDERS };
	struct config config = fixture_config(&tenant);
	struct policy_facts facts = fixture_facts();
	struct verdict v;

	config.on_store_failure = STORE_FAILURE_ACCEPT;
	fake.failing = ~0u;
	facts.sender = STR("x@other.example");
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_str_eq(fixture_words(&v), "reject sender");
	ck_assert(v.was_store_gone);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tcase = tcase_create("policy");

	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	unit_add_rows(tcase, mail, mail_rows);
	tcase_add_test(tcase, held_then_refused);
	unit_add_rows(tcase, rcpt, rcpt_rows);
	tcase_add_test(tcase, rcpt_domains);
	unit_add_rows(tcase, suppressed, suppress_rows);
	unit_add_rows(tcase, eom, eom_rows);
	unit_add_rows(tcase, store_gone, gone_rows);
	tcase_add_test(tcase, short_of_memory);
	tcase_add_test(tcase, store_gone_is_no_excuse);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
