/* policy/quota: which counters a message touches, by how much, and under which names. */
#include "t/lib/unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "policy/quota.h"

#define HOUR_US (3600 * US_PER_S)

static struct arena arena;
static struct net_addr client;

static void setup(void)
{
	arena_init(&arena, (size_t)16 << 20);
	ck_assert(net_parse_addr(STR("192.0.2.7"), &client));
}

static void teardown(void)
{
	arena_clear(&arena);
}

static size_t split(const char *text, struct str *out, size_t most)
{
	struct str rest = str_from_c(text);
	size_t n = 0;

	while (n < most && str_next(&rest, ' ', &out[n]))
		n++;
	return n;
}

static const struct str local_domains[] = { STR_INIT("home.example") };
static const struct str senders[] = { STR_INIT("@acme.example") };
static const struct str listed[] = { STR_INIT("@free.example"), STR_INIT("boss@x.example") };
static const struct config config = { .local_domains = { local_domains, 1 } };

#define ROLLING .window = WINDOW_ROLLING, .period_us = HOUR_US

static const struct {
	const char *name;
	struct quota quota;
	const char *sender, *auth, *rcpts;
	bool no_client;
	enum quota_stage stage;
	const char *want;              /* "SCOPE=COST ..."; the tenant's own scope is "-" */
} plan_rows[] = {
	{ "recipients of the tenant", { ROLLING }, "s@acme.example", "bob", "a@x b@y c@x", false, QUOTA_AT_DATA, "-=3" },
	{ "messages", { ROLLING, .counts = COUNTS_MESSAGES }, "s@acme.example", "bob", "a@x b@y", false, QUOTA_AT_DATA, "-=1" },
	{ "bytes not at DATA", { ROLLING, .counts = COUNTS_BYTES }, "s@a", "bob", "a@x", false, QUOTA_AT_DATA, "" },
	{ "bytes at the end", { ROLLING, .counts = COUNTS_BYTES }, "s@a", "bob", "a@x b@y", false, QUOTA_AT_EOM, "-=5000" },
	{ "recipients not at the end", { ROLLING }, "s@a", "bob", "a@x", false, QUOTA_AT_EOM, "" },
	{ "by sender", { ROLLING, .key = KEY_SENDER }, "Sales@Acme.Example", "bob", "a@x", false, QUOTA_AT_DATA,
	  "sales@acme.example=1" },
	{ "null sender, by sender", { ROLLING, .key = KEY_SENDER }, "", "bob", "a@x", false, QUOTA_AT_DATA, "<>bob=1" },
	{ "null sender, no login", { ROLLING, .key = KEY_SENDER }, "", "", "a@x", false, QUOTA_AT_DATA, "<>[192.0.2.7]=1" },
	{ "null sender, no client", { ROLLING, .key = KEY_SENDER }, "", "", "a@x", true, QUOTA_AT_DATA, "<>local=1" },
	{ "by login", { ROLLING, .key = KEY_AUTH }, "s@a", "Bob@Acme", "a@x", false, QUOTA_AT_DATA, "bob@acme=1" },
	{ "no login", { ROLLING, .key = KEY_AUTH }, "s@a", "", "a@x", false, QUOTA_AT_DATA, "[192.0.2.7]=1" },
	{ "by client", { ROLLING, .key = KEY_CLIENT }, "s@a", "bob", "a@x", false, QUOTA_AT_DATA, "192.0.2.7=1" },
	{ "no client", { ROLLING, .key = KEY_CLIENT }, "s@a", "bob", "a@x", true, QUOTA_AT_DATA, "local=1" },
	{ "by domain", { ROLLING, .key = KEY_RECIPIENT_DOMAIN }, "s@a", "bob", "a@Y b@x c@y d@X e@z", false, QUOTA_AT_DATA,
	  "x=2 y=2 z=1" },
	{ "by domain, none", { ROLLING, .key = KEY_RECIPIENT_DOMAIN }, "s@a", "bob", "postmaster a@x", false, QUOTA_AT_DATA,
	  "local=1 x=1" },
	{ "by domain, spelt oddly", { ROLLING, .key = KEY_RECIPIENT_DOMAIN }, "s@a", "bob", "<b@x> a@x. c@X>. d@", false,
	  QUOTA_AT_DATA, "local=1 x=3" },
	{ "messages by domain", { ROLLING, .key = KEY_RECIPIENT_DOMAIN, .counts = COUNTS_MESSAGES }, "s@a", "bob",
	  "a@x b@x c@y", false, QUOTA_AT_DATA, "x=1 y=1" },
	{ "bytes by domain", { ROLLING, .key = KEY_RECIPIENT_DOMAIN, .counts = COUNTS_BYTES }, "s@a", "bob", "a@x b@x c@y",
	  false, QUOTA_AT_EOM, "x=5000 y=5000" },
	{ "null sender excluded", { ROLLING, .exclude_null_sender = true }, "", "bob", "a@x", false, QUOTA_AT_DATA, "" },
	{ "null sender excluded, but not null", { ROLLING, .exclude_null_sender = true }, "s@a", "bob", "a@x", false,
	  QUOTA_AT_DATA, "-=1" },
	{ "local domains excluded", { ROLLING, .exclude_local_domains = true }, "s@a", "bob", "a@Home.Example b@x c@y", false,
	  QUOTA_AT_DATA, "-=2" },
	{ "all excluded", { ROLLING, .exclude_local_domains = true }, "s@a", "bob", "a@home.example", false, QUOTA_AT_DATA, "" },
	{ "one excluded does not free a message",
	  { ROLLING, .exclude_local_domains = true, .counts = COUNTS_MESSAGES }, "s@a", "bob", "a@home.example b@x", false,
	  QUOTA_AT_DATA, "-=1" },
	{ "same tenant excluded", { ROLLING, .exclude_same_tenant = true }, "s@a", "bob", "x@ACME.example b@x", false,
	  QUOTA_AT_DATA, "-=1" },
	{ "listed excluded", { ROLLING, .exclude_recipients = { listed, 2 } }, "s@a", "bob",
	  "a@free.example boss@x.example b@x.example", false, QUOTA_AT_DATA, "-=1" },
	{ "excluded by domain", { ROLLING, .key = KEY_RECIPIENT_DOMAIN, .exclude_recipients = { listed, 2 } }, "s@a", "bob",
	  "a@free.example boss@x.example b@x.example", false, QUOTA_AT_DATA, "x.example=1" },
	{ "a look shows what costs nothing", { ROLLING, .key = KEY_AUTH }, "s@a", "bob", "", false, QUOTA_PEEK, "bob=0" },
	{ "a look takes the declared size", { ROLLING, .counts = COUNTS_BYTES }, "s@a", "bob", "a@x", false, QUOTA_PEEK,
	  "-=5000" },
};
START_TEST(plans)
{
	struct quota quota = plan_rows[_i].quota;
	const struct tenant tenant = { .name = STR("acme"), .senders = { senders, 1 }, .quotas = &quota, .quota_count = 1 };
	struct str rcpts[8], got = STR_EMPTY;
	struct policy_facts facts = {
		.client = plan_rows[_i].no_client ? NULL : &client,
		.auth = str_from_c(plan_rows[_i].auth),
		.sender = str_from_c(plan_rows[_i].sender),
		.recipients = rcpts,
		.recipient_count = split(plan_rows[_i].rcpts, rcpts, 8),
	};
	struct quota_plan plan;

	if (plan_rows[_i].stage == QUOTA_PEEK)
		facts.declared_size = 5000;
	else
		facts.size = 5000;
	quota.name = STR("q");
	quota.limit = 100;
	ck_assert(quota_plan(&config, &tenant, &facts, plan_rows[_i].stage, &arena, &plan));
	for (size_t i = 0; i < plan.count; i++)
		ck_assert(arena_printf(&arena, &got, STR_FMT "%s" STR_FMT "=%" PRId64, STR_ARG(got), i ? " " : "",
				       STR_ARG(plan.shares[i].scope.len ? plan.shares[i].scope : STR("-")),
				       plan.takes[i].cost));
	ck_assert_msg(str_eq(got, str_from_c(plan_rows[_i].want)), "%s: " STR_FMT, plan_rows[_i].name, STR_ARG(got));
}
END_TEST

START_TEST(overrides_and_none)
{
	static const struct quota_override overrides[] = {
		{ STR_INIT("boss"), 500 }, { STR_INIT("guest"), 0 }, { STR_INIT("robot"), LIMIT_NONE },
	};
	static const struct { const char *auth; int64_t limit; bool is_enforced; } rows[] = {
		{ "Boss", 500, true }, { "guest", 0, true }, { "robot", LIMIT_NONE, false }, { "other", 10, true }, { "", 10, true },
	};
	const struct quota quota = { .name = STR("q"), .limit = 10, ROLLING, .key = KEY_AUTH, .overrides = overrides,
				     .override_count = 3 };
	const struct tenant tenant = { .name = STR("acme"), .quotas = &quota, .quota_count = 1 };
	const struct str rcpt = STR("a@x");

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct policy_facts facts = { .client = &client, .auth = str_from_c(rows[i].auth), .recipients = &rcpt,
						    .recipient_count = 1 };
		struct quota_plan plan;
		struct quota_share closed;

		ck_assert(quota_plan(&config, &tenant, &facts, QUOTA_AT_DATA, &arena, &plan));
		ck_assert_uint_eq(plan.count, 1);
		ck_assert_int_eq(plan.takes[0].limit, rows[i].limit);
		ck_assert(plan.takes[0].is_enforced == rows[i].is_enforced);
		ck_assert(quota_find_closed(&tenant, &facts, &arena, &closed) == (rows[i].limit == 0));
	}
}
END_TEST

#define FROM "2026-12-01"
static const struct { const char *day; int64_t start, growth, limit, want; } warm_up_rows[] = {
	{ "2026-11-30", 200, 1000, 5000, 200 }, { FROM, 200, 1000, 5000, 200 }, { "2026-12-02", 200, 1000, 5000, 400 },
	{ "2026-12-05", 200, 1000, 5000, 3200 }, { "2026-12-06", 200, 1000, 5000, 5000 }, { "2036-12-06", 200, 1000, 5000, 5000 },
	{ "2026-12-03", 1000, 333, 5000, 1776 }, { "2026-12-04", 1, 1, 5000, 4 },        /* one more at least */
	{ "2026-12-02", 200, 1000, 100, 100 }, { "2026-12-02", 200, 1000, 0, 0 }, { "2026-12-02", 200, 1000, LIMIT_NONE, LIMIT_NONE },
	{ "2036-12-06", 1, 1, 1000000000000000, 8525 }, { "2026-12-31", 900000000000000, 1000, 1000000000000000, 1000000000000000 },
};

START_TEST(warm_up)
{
	struct quota quota = { .name = STR("q"), .limit = warm_up_rows[_i].limit, ROLLING, .warm_start = warm_up_rows[_i].start,
			       .warm_growth = warm_up_rows[_i].growth };
	int64_t day;

	ck_assert(jst_parse_date(STR(FROM), &quota.warm_from) && jst_parse_date(str_from_c(warm_up_rows[_i].day), &day));
	clock_set(jst_day_start_us(day));
	ck_assert_int_eq(quota_limit_today(&quota, STR_EMPTY), warm_up_rows[_i].want);
	clock_set(jst_day_start_us(day + 1) - 1);
	ck_assert_int_eq(quota_limit_today(&quota, STR_EMPTY), warm_up_rows[_i].want);
	ck_assert_int_eq(quota_limit(&quota, STR_EMPTY), warm_up_rows[_i].limit);
}
END_TEST

static const struct { const char *name; struct quota quota; const char *scope, *want; } key_rows[] = {
	{ "tenant", { .name = STR_INIT("hourly"), ROLLING }, "", "sekisho:{acme}:q:hourly:r1h.rcpt.tenant:" },
	{ "burst", { .name = STR_INIT("m"), .window = WINDOW_BURST, .period_us = 90 * US_PER_S, .counts = COUNTS_MESSAGES,
		     .key = KEY_AUTH }, "bob@acme", "sekisho:{acme}:q:m:b90s.msg.auth:bob@acme" },
	{ "calendar", { .name = STR_INIT("d"), .window = WINDOW_CALENDAR, .calendar = CALENDAR_DAY, .counts = COUNTS_BYTES,
			.key = KEY_SENDER }, "<>[2001:db8::1]", "sekisho:{acme}:q:d:cday.byte.sender:<>[2001:db8::1]" },
	{ "colon in a name", { .name = STR_INIT("a:b"), ROLLING }, "",
	  "sekisho:{acme}:q:#6783a31eabf68ccc0660f935c0826282bdd2241f3a80a9f2d10d59aea9ebb5d8:r1h.rcpt.tenant:" },
	{ "brace", { .name = STR_INIT("q"), ROLLING, .key = KEY_SENDER }, "}{x}",
	  "sekisho:{acme}:q:q:r1h.rcpt.sender:#" },
	{ "the mark of a hash itself", { .name = STR_INIT("q"), ROLLING, .key = KEY_SENDER }, "#x",
	  "sekisho:{acme}:q:q:r1h.rcpt.sender:#" },
	{ "control", { .name = STR_INIT("q"), ROLLING, .key = KEY_SENDER }, "a\n@x", "sekisho:{acme}:q:q:r1h.rcpt.sender:#" },
	{ "not ASCII", { .name = STR_INIT("q"), ROLLING, .key = KEY_SENDER }, "\xe3\x81\x82@x",
	  "sekisho:{acme}:q:q:r1h.rcpt.sender:#" },
};
START_TEST(keys)
{
	struct str key, want = str_from_c(key_rows[_i].want);

	ck_assert(quota_store_key(STR("acme"), "q", &key_rows[_i].quota, str_from_c(key_rows[_i].scope), &arena, &key));
	if (str_ends(want, STR("#"))) {
		ck_assert_uint_eq(key.len, want.len + 64);
		key = str_slice(key, 0, want.len);
	}
	ck_assert_str_is(key, want);
}
END_TEST

START_TEST(keys_stay_short_and_apart)
{
	static char name[2000], many[2][4000];
	char tenant[64];
	const struct quota quota = { .name = str_of(name, sizeof name), .window = WINDOW_CALENDAR,
				     .calendar = CALENDAR_MONTH, .key = KEY_SENDER };
	struct str key, other;

	memset(name, 'n', sizeof name);
	memset(many, 'a', sizeof many);
	memset(tenant, 't', sizeof tenant);
	many[1][3999] = 'b';
	ck_assert(quota_store_key(str_of(tenant, 64), "warn100", &quota, str_of(many[0], 4000), &arena, &key));
	ck_assert(quota_store_key(str_of(tenant, 64), "warn100", &quota, str_of(many[1], 4000), &arena, &other));
	ck_assert_uint_le(key.len, STORE_KEY_MAX);
	ck_assert(!str_eq(key, other));
}
END_TEST

/* --- many recipient domains */

#define MANY 10000
static struct str many_rcpts[MANY];
static char many_text[MANY][32];

static void fill_rcpts(size_t domains)
{
	for (size_t i = 0; i < MANY; i++) {
		int len = snprintf(many_text[i], sizeof many_text[i], "u%zu@d%zu.example", i, i % domains);

		many_rcpts[i] = str_of(many_text[i], (size_t)len);
	}
}

START_TEST(too_many_domains)
{
	const struct quota quotas[] = {
		{ .name = STR("all"), .limit = 9, ROLLING },
		{ .name = STR("dom"), .limit = 9, ROLLING, .key = KEY_RECIPIENT_DOMAIN },
	};
	const struct tenant tenant = { .name = STR("acme"), .quotas = quotas, .quota_count = 2 };
	struct policy_facts facts = { .recipients = many_rcpts };
	struct quota_plan plan;

	ck_assert_uint_eq(quota_domains_max(&tenant), 255);
	for (size_t domains = 254; domains <= 257; domains++) {
		fill_rcpts(domains);
		facts.recipient_count = MANY;
		ck_assert(quota_plan(&config, &tenant, &facts, QUOTA_AT_DATA, &arena, &plan));
		ck_assert(plan.is_too_many == (domains > 255));
		if (!plan.is_too_many)
			ck_assert_uint_eq(plan.count, domains + 1);
		/* One at a time, as RCPT asks: only the one that brings a domain too many is refused. */
		for (facts.recipient_count = 1; facts.recipient_count <= 600; facts.recipient_count++)
			ck_assert(quota_is_domain_over(&facts, 255) ==
				  (facts.recipient_count > 255 && facts.recipient_count <= domains));
		arena_reset(&arena);
	}
}
END_TEST

static const struct { const char *name; struct quota quotas[2]; size_t want; } domains_rows[] = {
	{ "none by domain", { { .key = KEY_TENANT }, { .key = KEY_AUTH } }, SIZE_MAX },
	{ "one", { { .key = KEY_RECIPIENT_DOMAIN }, { .key = KEY_AUTH } }, 255 },
	{ "two", { { .key = KEY_RECIPIENT_DOMAIN }, { .key = KEY_RECIPIENT_DOMAIN } }, 128 },
	{ "two, at different stages",
	  { { .key = KEY_RECIPIENT_DOMAIN }, { .key = KEY_RECIPIENT_DOMAIN, .counts = COUNTS_BYTES } }, 256 },
};
START_TEST(domains_most)
{
	const struct tenant tenant = { .quotas = domains_rows[_i].quotas, .quota_count = 2 };

	ck_assert_uint_eq(quota_domains_max(&tenant), domains_rows[_i].want);
}
END_TEST

static const struct { struct quota quota; const char *want; } period_rows[] = {
	{ { .window = WINDOW_ROLLING, .period_us = US_PER_S }, "second" },
	{ { .window = WINDOW_BURST, .period_us = 60 * US_PER_S }, "minute" },
	{ { .window = WINDOW_ROLLING, .period_us = HOUR_US }, "hour" },
	{ { .window = WINDOW_ROLLING, .period_us = 24 * HOUR_US }, "day" },
	{ { .window = WINDOW_ROLLING, .period_us = 600 * US_PER_S }, "10m" },
	{ { .window = WINDOW_CALENDAR, .calendar = CALENDAR_WEEK }, "week" },
	{ { .window = WINDOW_CALENDAR, .calendar = CALENDAR_MONTH }, "month" },
};
START_TEST(periods)
{
	struct str got;

	ck_assert(quota_period_name(&period_rows[_i].quota, &arena, &got));
	ck_assert_str_is(got, str_from_c(period_rows[_i].want));
}
END_TEST

START_TEST(memory)
{
	const struct quota quota = { .name = STR("q"), .limit = 10, ROLLING, .key = KEY_RECIPIENT_DOMAIN };
	const struct tenant tenant = { .name = STR("acme"), .quotas = &quota, .quota_count = 1 };
	struct policy_facts facts = { .recipients = many_rcpts, .recipient_count = 20 };
	struct quota_plan plan;

	fill_rcpts(20);
	for (size_t limit = 0;; limit += 64) {
		struct arena small;

		arena_init(&small, limit);

		bool ok = quota_plan(&config, &tenant, &facts, QUOTA_AT_DATA, &small, &plan);

		arena_clear(&small);
		if (ok)
			break;
		ck_assert_uint_lt(limit, 65536);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quota");
	TCase *tcase = tcase_create("quota");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, plans, plan_rows);
	tcase_add_test(tcase, overrides_and_none);
	tcase_add_loop_test(tcase, warm_up, 0, (int)(sizeof warm_up_rows / sizeof *warm_up_rows));
	unit_add_rows(tcase, keys, key_rows);
	tcase_add_test(tcase, keys_stay_short_and_apart);
	tcase_add_test(tcase, too_many_domains);
	unit_add_rows(tcase, domains_most, domains_rows);
	unit_add_rows(tcase, periods, period_rows);
	tcase_add_test(tcase, memory);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
