/* milter/returning, milter/envelope, milter/return_path: sessions that send and get back, with a real gate. */
#include "t/lib/session_fixture.h"
#include "t/lib/unit.h"

#include <stdio.h>

#include "policy/tenant.h"

static const char rest[] =
	"default_tenant: %1$s\n"
	"submit: %2$s\n"
	"tenants:\n"
	"  idle: { match: [ { auth: idle } ], suspended: true }\n"
	"  guest: { match: [ { auth: guest } ], recipients_max: { limit: 1, on_excess: reject } }\n"
	"  acme: { match: [ { auth: acme } ], return_path: bounce.shared.example }\n"
	"  other: { match: [ { auth: other } ], return_path: { domain: bounce.shared.example, bounces: discard },\n"
	"           record_class: history, bounce_class: relay }\n"
	"  web: { match: [ { sender: \"@web.example\" } ], recipients_max: 2, quotas: [ { name: one, limit: 1/day } ] }\n";

static void setup(void)
{
	fixture_open(rest, "idle", "none");
}

/* Local mail says whose it is in its header. */
static void setup_with_scripts(void)
{
	char socket[PATH_MAX];

	ck_assert_int_lt(snprintf(socket, sizeof socket, "%s/submit", unit_dir()), PATH_MAX);
	fixture_open(rest, "idle", socket);
}

static void setup_with_guests(void)
{
	fixture_open(rest, "guest", "none");
}

/* The return path of a message that goes out. */
static void go_out(const char *tenant, const char *recipient, char out[512])
{
	struct session *s = fixture_visitor();
	struct session_changes changes;
	struct reply reply;

	ck_assert_int_eq(fixture_mail(s, tenant, "<a@acme.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, str_from_c(recipient), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	session_header(s, STR("Subject"), STR("hello"));
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_CONTINUE);
	snprintf(out, 512, STR_FMT, STR_ARG(changes.envelope->sender));
	session_done(s);
	session_free(s);
}

static const char report[] =
	"--b\r\n\r\nThis is the mail system at host mx.far.example.\r\n\r\n<neko@example.jp>: 550 5.1.1 User unknown\r\n\r\n"
	"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.far.example\r\n\r\n"
	"Final-Recipient: rfc822; neko@example.jp\r\nAction: failed\r\nStatus: 5.1.1\r\n"
	"Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n--b--\r\n";

static enum session_answer come_back_with(struct session *s, const char *path, struct str body, size_t cut,
					  struct session_changes *changes, struct reply *reply)
{
	enum session_answer answer;

	ck_assert_int_eq(fixture_mail(s, "", "<>", reply), SESSION_CONTINUE);
	answer = session_rcpt(s, str_from_c(path), reply);
	if (answer != SESSION_CONTINUE)
		return answer;
	ck_assert_int_eq(session_data(s, &fixture_macros, reply), SESSION_CONTINUE);
	session_header(s, STR("From"), STR("MAILER-DAEMON@mx.far.example"));
	session_header(s, STR("Subject"), STR("Undelivered Mail Returned to Sender"));
	session_header(s, STR("Content-Type"), STR("multipart/report; report-type=delivery-status;\n\tboundary=\"b\""));
	session_body(s, str_slice(body, 0, cut));
	session_body(s, str_from(body, cut));
	return session_eom(s, &fixture_macros, changes, reply);
}

static enum session_answer come_back(struct session *s, const char *path, size_t cut, struct session_changes *changes,
				     struct reply *reply)
{
	return come_back_with(s, path, str_of(report, sizeof report - 1), cut, changes, reply);
}

/* What is said against nobody's mail is said of other recipients; the path's own tenant has nothing against it. */
START_TEST(waits_for_the_recipient)
{
	struct session_changes changes;
	struct reply reply;
	char path[512];

	go_out("acme", "<neko@example.jp>", path);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(fixture_mail(s, "", "<>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<neko@example.jp>"), &reply), SESSION_REPLY);
	ck_assert_msg(strstr(reply.text, "SKQ-SUSP"), "%s", reply.text);
	ck_assert_int_eq(session_rcpt(s, STR("<POSTMASTER@bounce.shared.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, str_from_c(path), &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	session_abort(s);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"bounced\",\"tenant\":\"acme\""), 1);
}
END_TEST

/* No name in a report is so long that the mail is told to come again for ever. */
START_TEST(long_remote)
{
	static char text[sizeof report + 20000];
	struct session_changes changes;
	struct reply reply;
	char path[512];
	size_t at = str_find(str_of(report, sizeof report - 1), STR("Diagnostic-Code"));

	memcpy(text, report, at);
	at += (size_t)sprintf(text + at, "Remote-MTA: dns; ");
	memset(text + at, 0xff, 12000);
	sprintf(text + at + 12000, "\r\n%s", strstr(report, "Diagnostic-Code"));
	go_out("acme", "<neko@example.jp>", path);
	struct session *s = fixture_visitor();

	ck_assert_msg(come_back_with(s, path, str_from_c(text), 0, &changes, &reply) == SESSION_CONTINUE, "%s", reply.text);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"bounced\",\"tenant\":\"acme\""), 1);
}
END_TEST

/* However the body is cut, it says the same; and of all that only the first is news. */
START_TEST(cuts)
{
	struct session_changes changes;
	struct reply reply;
	char path[512];

	go_out("acme", "<neko@example.jp>", path);
	struct session *s = fixture_visitor();

	for (size_t cut = 0; cut < sizeof report; cut++) {
		ck_assert_int_eq(come_back(s, path, cut, &changes, &reply), SESSION_CONTINUE);
		ck_assert_str_is(changes.envelope->add, STR("a@acme.example"));
		ck_assert_str_is(changes.envelope->drop, str_from_c(path));
		session_done(s);
	}
	session_free(s);

	struct str log = fixture_log("relay");

	ck_assert_uint_eq(unit_count(log, "\"event\":\"bounced\""), sizeof report);
	ck_assert_uint_eq(unit_count(log, "\"known\":true"), sizeof report - 1);
	ck_assert_uint_eq(unit_count(log, "\"rcpt\":\"neko@example.jp\",\"outcome\":{\"dsn\":\"5.1.1\""), sizeof report);
}
END_TEST

/* Sent to one spelling of a domain, and reported under the other. */
static const struct { const char *sent, *reported; } spellings[] = {
	{ "<neko@日本語.jp>", "rfc822; neko@xn--wgv71a119e.jp" },
	{ "<neko@xn--wgv71a119e.jp>", "utf-8; neko@日本語.JP" },
};
START_TEST(two_spellings)
{
	struct session_changes changes;
	struct reply reply;
	char path[512], text[600];

	go_out("acme", spellings[_i].sent, path);
	snprintf(text, sizeof text, "--b\r\n\r\nfailed\r\n\r\n--b\r\nContent-Type: message/global-delivery-status\r\n\r\n"
		 "Reporting-MTA: dns; mx.far.example\r\n\r\nFinal-Recipient: %s\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		 "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n--b--\r\n", spellings[_i].reported);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(come_back_with(s, path, str_from_c(text), 0, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"rcpt\":\"neko@xn--wgv71a119e.jp\",\"outcome\":{\"dsn\":\"5.1.1\""), 1);
}
END_TEST

/* Two tenants at one domain: each path is its own tenant's, and ends as that one wants, in the class that it wants. */
START_TEST(shares_a_domain)
{
	struct session_changes changes;
	struct reply reply;
	char acme[512], other[512];

	go_out("acme", "<neko@example.jp>", acme);
	go_out("other", "<neko@example.jp>", other);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(come_back(s, acme, 0, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	ck_assert_int_eq(come_back(s, other, 0, &changes, &reply), SESSION_DISCARD);
	session_done(s);
	session_free(s);

	struct str log = fixture_log("relay");

	ck_assert_uint_eq(unit_count(log, "\"event\":\"bounced\",\"tenant\":\"acme\""), 1);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"bounced\",\"tenant\":\"other\""), 1);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\",\"tenant\":\"other\""), 0);
	ck_assert_uint_eq(unit_count(log, "\"known\":true"), 0);
}
END_TEST

static bool note_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	(void)value;
	(void)expires_us;
	snprintf(arg, STORE_KEY_MAX + 1, STR_FMT, STR_ARG(key));
	return false;
}

/* Not to have seen whose it is, while Redis is away, is not to know that nobody knows: it is to come again. */
START_TEST(waits_for_who_knows)
{
	struct store *st = gate.policy.store;
	struct session_changes changes;
	struct reply reply;
	char path[512], key[STORE_KEY_MAX + 1] = "";

	go_out("acme", "<neko@example.jp>", path);
	ck_assert(st->ops->scan(st, STR("sekisho:{acme}:sender:"), note_key, key, NULL));
	ck_assert(st->ops->put(st, str_from_c(key), STR_EMPTY, 0, NULL));
	struct session *s = fixture_visitor();

	atomic_store(&st->is_local, true);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 451);
	session_done(s);
	atomic_store(&st->is_local, false);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_CONTINUE);
	ck_assert_uint_eq(changes.envelope->add.len, 0);
	session_done(s);
	session_free(s);
	fixture_close();
}
END_TEST

/* The MTA's own notices cannot be refused at RCPT: a forged path passes, and counts for nobody. */
START_TEST(never_refuses_the_mta)
{
	struct session_changes changes;
	struct reply reply;
	char path[512];

	go_out("acme", "<neko@example.jp>", path);
	struct session *s = fixture_visitor();

	path[30] = path[30] == '0' ? '1' : '0';
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 550);
	session_abort(s);
	fixture_connect(s, NULL);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_CONTINUE);
	ck_assert_uint_eq(changes.envelope->add.len, 0);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"bounced\""), 0);
}
END_TEST

/* Neither endless fields nor an endless body are held, nor taken for something else. */
START_TEST(endless)
{
	static char chunk[65536];
	struct session_changes changes;
	struct reply reply;
	char path[512];

	memset(chunk, 'x', sizeof chunk);
	go_out("acme", "<neko@example.jp>", path);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(fixture_mail(s, "", "<>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, str_from_c(path), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	for (int i = 0; i < 100; i++)
		session_header(s, STR("X"), str_of(chunk, sizeof chunk));
	for (int i = 0; i < 200; i++)
		session_body(s, str_of(chunk, sizeof chunk));
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"bounced\""), 0);
}
END_TEST

/* A recipient that is a return path's frees no other recipient of the rules. */
static const struct { const char *name, *client, *sender, *first, *second, *want; } companies[] = {
	{ "a script, after postmaster", NULL, "<a@acme.example>", "<postmaster@bounce.shared.example>", "<neko@example.jp>", "SKQ-SUSP" },
	{ "a script, before postmaster", NULL, "<a@acme.example>", "<neko@example.jp>", "<postmaster@bounce.shared.example>", "SKQ-SUSP" },
	{ "by loopback, before postmaster", "127.0.0.1", "<a@acme.example>", "<neko@example.jp>", "<postmaster@bounce.shared.example>", "SKQ-SUSP" },
	{ "by loopback, after a forged one", "127.0.0.1", "<a@acme.example>", "<sk1-forged@bounce.shared.example>", "<neko@example.jp>", "SKQ-SUSP" },
	{ "sendmail(1), after postmaster", NULL, "<a@web.example>", "<postmaster@bounce.shared.example>", "<neko@example.jp>", "SKQ-NEVER" },
};
START_TEST(in_company)
{
	struct session *s = fixture_visitor();
	struct session_changes changes;
	struct reply reply;

	fixture_connect(s, companies[_i].client);
	ck_assert_int_eq(fixture_mail(s, "", companies[_i].sender, &reply), SESSION_CONTINUE);
	session_rcpt(s, str_from_c(companies[_i].first), &reply);
	session_rcpt(s, str_from_c(companies[_i].second), &reply);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	session_header(s, STR("Subject"), STR("hello"));
	ck_assert_msg(session_eom(s, &fixture_macros, &changes, &reply) == SESSION_REPLY, "%s: passes", companies[_i].name);
	ck_assert_msg(strstr(reply.text, companies[_i].want), "%s: %s", companies[_i].name, reply.text);
	session_free(s);
	fixture_close();
}
END_TEST

/* Nobody splits what is judged at its end: it is refused for good, and not again and again. */
START_TEST(too_many_at_the_end)
{
	struct session *s = fixture_visitor();
	struct session_changes changes;
	struct reply reply;

	fixture_connect(s, "127.0.0.1");
	ck_assert_int_eq(fixture_mail(s, "", "<a@web.example>", &reply), SESSION_CONTINUE);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(session_rcpt(s, STR("<neko@example.jp>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_REPLY);
	ck_assert_msg(reply.code == 550 && strstr(reply.text, "SKQ-RCPTS"), "%d %s", reply.code, reply.text);
	session_free(s);
	fixture_close();
}
END_TEST

/* Held mail passes the rest, or its release would free what no rule allows. */
START_TEST(held_and_refused)
{
	const struct suspension hold = { .action = EXCESS_HOLD, .reason = STR("why") };
	struct session *s = fixture_visitor();
	struct session_changes changes;
	struct reply reply;

	ck_assert(tenant_suspend(gate.policy.store, STR("guest"), &hold, NULL));
	ck_assert_int_eq(fixture_mail(s, "", "<a@b.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<neko@example.jp>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<inu@example.jp>"), &reply), SESSION_REPLY);
	ck_assert_msg(strstr(reply.text, "SKQ-RCPTS"), "%s", reply.text);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_HOLD);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"held\""), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("returning");
	TCase *tcase = tcase_create("returning");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, waits_for_the_recipient);
	tcase_add_test(tcase, long_remote);
	tcase_add_test(tcase, cuts);
	unit_add_rows(tcase, two_spellings, spellings);
	tcase_add_test(tcase, shares_a_domain);
	tcase_add_test(tcase, waits_for_who_knows);
	tcase_add_test(tcase, never_refuses_the_mta);
	tcase_add_test(tcase, endless);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("with scripts");
	tcase_add_checked_fixture(tcase, setup_with_scripts, NULL);
	unit_add_rows(tcase, in_company, companies);
	tcase_add_test(tcase, too_many_at_the_end);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("with guests");
	tcase_add_checked_fixture(tcase, setup_with_guests, NULL);
	tcase_add_test(tcase, held_and_refused);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
