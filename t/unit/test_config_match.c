/* config: whose mail it is. */
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#include <stdio.h>
#include <time.h>

#include "config/base/buf.h"

static struct config *load(struct str text)
{
	return configured_file(unit_file("match.yaml", text));
}

static const char rules[] =
	"tenants:\n"
	"  acme:\n"
	"    match:\n"
	"      - auth: acme*\n"
	"      - client: 192.0.2.0/24\n"
	"      - client: 2001:db8::/32\n"
	"      - sender: '@acme.example'\n"
	"      - sender: '@*.acme.example'\n"
	"      - daemon: submission-acme\n"
	"      - cert: {issuer: CN=CA, subject: CN=acme}\n"
	"  boss: {match: [{auth: acme-boss}, {client: 192.0.2.7}, {sender: Boss@acme.example},\n"
	"                {sender: '@hq.acme.example'}]}\n"
	"  team: {match: [{auth: acme-team-*}, {client: 192.0.2.64/26}, {auth: '*@team.example'}]}\n"
	"  wide: {match: [{auth: '*@*.example'}, {auth: 'a?c@wide'}, {client: 0.0.0.0/0}]}\n"
	"  narrow: {match: [{auth: '*x*@*.example'}]}\n"
	"  last: {match: [{client: '::/0'}]}\n";

static const struct {
	const char *name, *auth, *issuer, *subject, *daemon, *client, *sender, *want;
	enum match_kind by;
} match_rows[] = {
	{ "an exact login before a pattern", .auth = "acme-boss", .want = "boss", .by = MATCH_AUTH },
	{ "whatever its case", .auth = "ACME-Boss", .want = "boss", .by = MATCH_AUTH },
	{ "the longest text before the wildcard", .auth = "acme-team-7", .want = "team", .by = MATCH_AUTH },
	{ "the shorter one", .auth = "acme-tea", .want = "acme", .by = MATCH_AUTH },
	{ "a star may stand for nothing", .auth = "acme", .want = "acme", .by = MATCH_AUTH },
	{ "text after the wildcard", .auth = "me@team.example", .want = "team", .by = MATCH_AUTH },
	{ "text before beats text after", .auth = "acme@team.example", .want = "acme", .by = MATCH_AUTH },
	{ "text between wildcards", .auth = "me@b.example", .want = "wide", .by = MATCH_AUTH },
	{ "more of it is narrower", .auth = "mex@b.example", .want = "narrow", .by = MATCH_AUTH },
	{ "one octet", .auth = "abc@wide", .want = "wide", .by = MATCH_AUTH },
	{ "not two", .auth = "abbc@wide" },
	{ "not none", .auth = "ac@wide" },
	{ "nobody", .auth = "x" },
	{ .name = "nothing known" },
	{ "a login comes before a client", .auth = "acme-boss", .client = "192.0.2.65", .want = "boss",
	  .by = MATCH_AUTH },
	{ "an unknown login leaves the client", .auth = "x", .client = "192.0.2.65", .want = "team",
	  .by = MATCH_CLIENT },
	{ "one address in a network", .client = "192.0.2.7", .want = "boss", .by = MATCH_CLIENT },
	{ "a network in a network", .client = "192.0.2.127", .want = "team", .by = MATCH_CLIENT },
	{ "its neighbour", .client = "192.0.2.128", .want = "acme", .by = MATCH_CLIENT },
	{ "mapped", .client = "::ffff:192.0.2.128", .want = "acme", .by = MATCH_CLIENT },
	{ "every IPv4 address", .client = "198.51.100.1", .want = "wide", .by = MATCH_CLIENT },
	{ "IPv6", .client = "2001:db8:1::1", .want = "acme", .by = MATCH_CLIENT },
	{ "every address", .client = "2001:db9::1", .want = "last", .by = MATCH_CLIENT },
	{ "certificate", .issuer = "CN=CA", .subject = "CN=acme", .want = "acme", .by = MATCH_CERT },
	{ "another issuer", .issuer = "CN=Other", .subject = "CN=acme" },
	{ "subject alone", .subject = "CN=acme" },
	{ "case counts in names of certificates", .issuer = "cn=ca", .subject = "CN=acme" },
	{ "the parts do not run together", .issuer = "CN=CAC", .subject = "N=acme" },
	{ "listener", .daemon = "submission-acme", .want = "acme", .by = MATCH_DAEMON },
	{ "a sender of a local submission", .sender = "x@acme.example", .want = "acme", .by = MATCH_SENDER },
	{ "any case", .sender = "BOSS@Acme.Example", .want = "boss", .by = MATCH_SENDER },
	{ "an exact domain before subdomains", .sender = "x@hq.acme.example", .want = "boss", .by = MATCH_SENDER },
	{ "a subdomain", .sender = "x@a.b.acme.example", .want = "acme", .by = MATCH_SENDER },
	{ "no subdomain", .sender = "x@evilacme.example" },
	{ "the last @ counts", .sender = "\"x@acme.example\"@evil.example" },
	{ "no domain", .sender = "acme.example" },
};
START_TEST(match)
{
	struct config *config = load(str_from_c(rules));
	struct match_facts facts = {
		.auth = str_from_c(match_rows[_i].auth), .cert_issuer = str_from_c(match_rows[_i].issuer),
		.cert_subject = str_from_c(match_rows[_i].subject), .daemon_name = str_from_c(match_rows[_i].daemon),
		.sender = str_from_c(match_rows[_i].sender),
	};
	struct net_addr client;
	enum match_kind by = MATCH_KIND_COUNT;

	if (match_rows[_i].client) {
		ck_assert(net_parse_addr(str_from_c(match_rows[_i].client), &client));
		facts.client = &client;
	}

	const struct tenant *got = config_match(config, &facts, &by);

	ck_assert_msg((got != NULL) == (match_rows[_i].want != NULL), "%s", match_rows[_i].name);
	if (got) {
		ck_assert_msg(str_eq(got->name, str_from_c(match_rows[_i].want)), "%s: got " STR_FMT,
			      match_rows[_i].name, STR_ARG(got->name));
		ck_assert_msg(by == match_rows[_i].by, "%s: by %s", match_rows[_i].name, match_kind_name(by));
	}
	config_free(config);
}
END_TEST

static const struct { const char *client; bool want; } believed_rows[] = {
	{ NULL, true }, { "127.0.0.1", false }, { "10.1.2.3", true }, { "::1", false }, { "192.0.2.1", false },
};
START_TEST(sender_believed)
{
	struct config *config = load(STR("sender_match_networks: 10.0.0.0/8\n"
					 "tenants: {acme: {match: [{sender: a@acme.example}]}}\n"));
	struct match_facts facts = { .sender = STR("a@acme.example") };
	struct net_addr client;
	enum match_kind by;

	if (believed_rows[_i].client) {
		ck_assert(net_parse_addr(str_from_c(believed_rows[_i].client), &client));
		facts.client = &client;
	}
	ck_assert_int_eq(config_match(config, &facts, &by) != NULL, believed_rows[_i].want);
	config_free(config);
}
END_TEST

START_TEST(identify_order)
{
	struct config *config = load(STR("identify: [client, auth]\n"
					 "tenants:\n"
					 "  a: {match: [{auth: a}]}\n"
					 "  b: {match: [{client: 192.0.2.1}]}\n"));
	struct match_facts facts = { .auth = STR("a") };
	struct net_addr client;
	enum match_kind by;

	ck_assert(net_parse_addr(STR("192.0.2.1"), &client));
	ck_assert_str_is(config_match(config, &facts, &by)->name, STR("a"));
	facts.client = &client;
	ck_assert_str_is(config_match(config, &facts, &by)->name, STR("b"));
	ck_assert_int_eq(by, MATCH_CLIENT);
	config_free(config);
}
END_TEST

#define PATTERNS 300

static const char letters[] = "ab@";
static char patterns[PATTERNS][8];
static uint32_t random_state = 1;

static size_t dice(size_t sides)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state / 65536 % sides;
}

/* Letters and wildcards. False: none of these, or two stars side by side. */
static bool throw_pattern(char out[8])
{
	size_t len = 1 + dice(5);
	bool is_wild = false, is_plain = true;

	for (size_t i = 0; i < len; i++) {
		size_t pick = dice(5);

		out[i] = pick < 3 ? letters[pick] : pick == 3 ? '*' : '?';
		is_wild |= pick >= 3;
		is_plain &= !(i && out[i] == '*' && out[i - 1] == '*');
	}
	out[len] = '\0';
	return is_wild && is_plain;
}

static bool is_new(size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(patterns[i], patterns[at]) == 0)
			return false;
	return true;
}

/* A tenant a pattern, "t0" and so on. */
static struct config *load_patterns(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_add_c(&text, "tenants:\n");
	for (size_t count = 0; count < PATTERNS;) {
		if (!throw_pattern(patterns[count]) || !is_new(count))
			continue;
		buf_printf(&text, "  t%zu: {match: [{auth: \"%s\"}]}\n", count, patterns[count]);
		count++;
	}

	struct config *config = load(buf_view(&text));

	buf_clear(&text);
	return config;
}

/* The pattern that matches and has the longest text before its first wildcard; PATTERNS: none. */
static size_t try_all(struct str login)
{
	size_t best = PATTERNS;

	for (size_t i = 0; i < PATTERNS; i++)
		if (str_glob(str_from_c(patterns[i]), login) &&
		    (best == PATTERNS || strcspn(patterns[i], "*?") > strcspn(patterns[best], "*?")))
			best = i;
	return best;
}

/* Against trying every rule: the index must find what the order promises, for many rules of many shapes. */
START_TEST(against_trying_all)
{
	struct config *config = load_patterns();

	for (int n = 0; n < 2000; n++) {
		char login[8];
		size_t len = 1 + dice(6), at = 0;
		enum match_kind by;

		for (size_t i = 0; i < len; i++)
			login[i] = letters[dice(3)];

		struct match_facts facts = { .auth = str_of(login, len) };
		const struct tenant *got = config_match(config, &facts, &by);
		size_t best = try_all(facts.auth);

		ck_assert_int_eq(got != NULL, best < PATTERNS);
		if (!got)
			continue;
		sscanf(got->name.ptr, "t%zu", &at);
		ck_assert_msg(strcspn(patterns[at], "*?") == strcspn(patterns[best], "*?") &&
			      str_glob(str_from_c(patterns[at]), facts.auth), "%.*s: %s instead of %s", (int)len,
			      login, patterns[at], patterns[best]);
	}
	config_free(config);
}
END_TEST

static const struct { const char *address; bool want; } cover_rows[] = {
	{ "x@acme.example", true },        { "X@ACME.EXAMPLE", true },     { "x@a.acme.example", false },
	{ "x@a.sub.example", true },       { "x@a.b.sub.example", true },  { "x@sub.example", false },
	{ "x@asub.example", false },       { "Boss@Other.example", true }, { "aboss@other.example", false },
	{ "x@.sub.example", false },       { "", false },                  { "@", false },
	{ "acme.example", false },         { "a@b@acme.example", true },   { "x@acme.example.evil", false },
};
START_TEST(list_covers)
{
	static const struct str items[] = {
		STR_INIT("@acme.example"), STR_INIT("@*.sub.example"), STR_INIT("boss@other.example"),
	};
	struct str_list list = { .items = items, .count = 3 };

	ck_assert_msg(address_list_covers(list, str_from_c(cover_rows[_i].address)) == cover_rows[_i].want, "%s",
		      cover_rows[_i].address);
	ck_assert(!address_list_covers((struct str_list){ 0 }, str_from_c(cover_rows[_i].address)));
}
END_TEST

static double load_seconds(int senders)
{
	struct timespec from, to;
	struct buf text;

	buf_init(&text, SIZE_MAX);
	buf_add_c(&text, "tenants:\n  acme:\n    match:\n");
	for (int i = 0; i < senders; i++)
		buf_printf(&text, "      - sender: u%d@acme.example\n", i);
	buf_add_c(&text, "    senders:\n");
	for (int i = 0; i < senders; i++)
		buf_printf(&text, "      - u%d@acme.example\n", senders - 1 - i);
	ck_assert(!text.failed);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	config_free(load(buf_view(&text)));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	buf_clear(&text);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* Four times the senders cost four times the time, not sixteen. */
START_TEST(many_senders)
{
	double few = load_seconds(8000), many = load_seconds(32000);

	ck_assert_msg(many < few * 9, "%.3f s for 8000, %.3f s for 32000", few, many);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_match");
	TCase *tc = tcase_create("config_match");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, match, match_rows);
	unit_add_rows(tc, sender_believed, believed_rows);
	tcase_add_test(tc, identify_order);
	tcase_add_test(tc, against_trying_all);
	unit_add_rows(tc, list_covers, cover_rows);
	tcase_add_test(tc, many_senders);
	return unit_main(suite);
}
