/* milter/returning, milter/envelope, milter/return_path: sessions that send and get back, with a real gate. */
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/session.h"
#include "policy/tenant.h"

#define DIGITS_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char yaml[] =
	"node: gate.test\n"
	"state_dir: %1$s/%2$s\n"
	"milter: { listen: \"unix:%1$s/%2$s/sock\" }\n"
	"tracking: { key_file: %1$s/tokens }\n"
	"relay_log: { dir: %1$s/%2$s/log, key_file: none }\n"
	"log: { to: stderr, level: error }\n"
	"default_tenant: %4$s\n"
	"tenants:\n"
	"  idle: { match: [ { auth: idle } ], suspended: true }\n"
	"  guest: { match: [ { auth: guest } ], recipients_max: { limit: 1, on_excess: reject } }\n"
	"  acme: { match: [ { auth: acme } ], return_path: bounce.shared.example }\n"
	"  other: { match: [ { auth: other } ], return_path: { domain: bounce.shared.example, bounces: discard },\n"
	"           record_class: history, bounce_class: relay }\n"
	"  web: { match: [ { sender: \"@web.example\" } ], recipients_max: 2, quotas: [ { name: one, limit: 1/day } ] }\n"
	"submit: %3$s\n";

static struct gate gate;
static char name[32];

static void begin(bool has_scripts, const char *default_tenant)
{
	char file[100], socket[4096];
	struct err err;

	snprintf(name, sizeof name, "returning-%ld", (long)getpid());         /* each test has a process */
	snprintf(file, sizeof file, "%s.yaml", name);
	unit_file("tokens", STR("1 " DIGITS_64 DIGITS_64 "\n"));

	snprintf(socket, sizeof socket, "%s/%s/submit", unit_dir(), name);

	struct config *config = configured(file, yaml, unit_dir(), name, has_scripts ? socket : "none",
					   default_tenant);

	ck_assert_msg(gate_open(&gate, config, &err), "%s", err.text);
	config_publish(config);
}

static void setup(void)
{
	begin(false, "idle");
}

/* Local mail says whose it is in its header. */
static void setup_with_scripts(void)
{
	begin(true, "idle");
}

static void setup_with_guests(void)
{
	begin(false, "guest");
}

/* The relay log, once everything queued is written. */
static struct str relay_log(void)
{
	static struct buf buf;
	char pattern[4096];
	glob_t found;
	struct err err;

	gate_close(&gate);
	config_publish(NULL);
	snprintf(pattern, sizeof pattern, "%s/%s/log/relay/*.jsonl", unit_dir(), name);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	buf_init(&buf, 16 << 20);
	for (size_t i = 0; i < found.gl_pathc; i++)
		ck_assert_msg(io_read_file(found.gl_pathv[i], &buf, &err), "%s", err.text);
	globfree(&found);
	return buf_view(&buf);
}

static struct session *visitor(void)
{
	const struct session_abilities abilities = { .sees_body = true, .can_readdress = true };
	struct session *s = session_new(&gate, &abilities);
	struct net_addr client;

	ck_assert(s && net_parse_addr(STR("192.0.2.1"), &client));
	session_connect(s, &client, false);
	return s;
}

static const struct session_macros nothing;

/* The return path of a message that goes out. */
static void go_out(const char *tenant, const char *recipient, char out[512])
{
	const struct session_macros macros = { .auth_authen = str_from_c(tenant) };
	struct session *s = visitor();
	struct session_changes changes;
	struct reply reply;

	ck_assert_int_eq(session_mail(s, STR("<a@acme.example>"), NULL, 0, &macros, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, str_from_c(recipient), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &nothing, &reply), SESSION_CONTINUE);
	session_header(s, STR("Subject"), STR("hello"));
	ck_assert_int_eq(session_eom(s, &nothing, &changes, &reply), SESSION_CONTINUE);
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

	ck_assert_int_eq(session_mail(s, STR("<>"), NULL, 0, &nothing, reply), SESSION_CONTINUE);
	answer = session_rcpt(s, str_from_c(path), reply);
	if (answer != SESSION_CONTINUE)
		return answer;
	ck_assert_int_eq(session_data(s, &nothing, reply), SESSION_CONTINUE);
	session_header(s, STR("From"), STR("MAILER-DAEMON@mx.far.example"));
	session_header(s, STR("Subject"), STR("Undelivered Mail Returned to Sender"));
	session_header(s, STR("Content-Type"), STR("multipart/report; report-type=delivery-status;\n\tboundary=\"b\""));
	session_body(s, str_slice(body, 0, cut));
	session_body(s, str_from(body, cut));
	return session_eom(s, &nothing, changes, reply);
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
	struct session *s = visitor();

	ck_assert_int_eq(session_mail(s, STR("<>"), NULL, 0, &nothing, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<neko@example.jp>"), &reply), SESSION_REPLY);
	ck_assert_msg(strstr(reply.text, "SKQ-SUSP"), "%s", reply.text);
	ck_assert_int_eq(session_rcpt(s, STR("<POSTMASTER@bounce.shared.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, str_from_c(path), &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	session_abort(s);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"event\":\"bounced\",\"tenant\":\"acme\""), 1);
}
END_TEST

/* However the body is cut, it says the same; and of all that only the first is news. */
START_TEST(cuts)
{
	struct session_changes changes;
	struct reply reply;
	char path[512];

	go_out("acme", "<neko@example.jp>", path);
	struct session *s = visitor();

	for (size_t cut = 0; cut < sizeof report; cut++) {
		ck_assert_int_eq(come_back(s, path, cut, &changes, &reply), SESSION_CONTINUE);
		ck_assert_str_is(changes.envelope->add, STR("a@acme.example"));
		ck_assert_str_is(changes.envelope->drop, str_from_c(path));
		session_done(s);
	}
	session_free(s);

	struct str log = relay_log();

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
	struct session *s = visitor();

	ck_assert_int_eq(come_back_with(s, path, str_from_c(text), 0, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"rcpt\":\"neko@xn--wgv71a119e.jp\",\"outcome\":{\"dsn\":\"5.1.1\""), 1);
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
	struct session *s = visitor();

	ck_assert_int_eq(come_back(s, acme, 0, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	ck_assert_int_eq(come_back(s, other, 0, &changes, &reply), SESSION_DISCARD);
	session_done(s);
	session_free(s);

	struct str log = relay_log();

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
	struct session *s = visitor();

	atomic_store(&st->is_local, true);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 451);
	session_done(s);
	atomic_store(&st->is_local, false);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_CONTINUE);
	ck_assert_uint_eq(changes.envelope->add.len, 0);
	session_done(s);
	session_free(s);
	relay_log();
}
END_TEST

/* The MTA's own notices cannot be refused at RCPT: a forged path passes, and counts for nobody. */
START_TEST(never_refuses_the_mta)
{
	struct session_changes changes;
	struct reply reply;
	char path[512];

	go_out("acme", "<neko@example.jp>", path);
	struct session *s = visitor();

	path[30] = path[30] == '0' ? '1' : '0';
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 550);
	session_abort(s);
	session_connect(s, NULL, true);
	ck_assert_int_eq(come_back(s, path, 0, &changes, &reply), SESSION_CONTINUE);
	ck_assert_uint_eq(changes.envelope->add.len, 0);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"event\":\"bounced\""), 0);
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
	struct session *s = visitor();

	ck_assert_int_eq(session_mail(s, STR("<>"), NULL, 0, &nothing, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, str_from_c(path), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &nothing, &reply), SESSION_CONTINUE);
	for (int i = 0; i < 100; i++)
		session_header(s, STR("X"), str_of(chunk, sizeof chunk));
	for (int i = 0; i < 200; i++)
		session_body(s, str_of(chunk, sizeof chunk));
	ck_assert_int_eq(session_eom(s, &nothing, &changes, &reply), SESSION_CONTINUE);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"event\":\"bounced\""), 0);
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
	struct session *s = visitor();
	struct session_changes changes;
	struct net_addr client;
	struct reply reply;

	if (companies[_i].client)
		ck_assert(net_parse_addr(str_from_c(companies[_i].client), &client));
	session_connect(s, companies[_i].client ? &client : NULL, !companies[_i].client);
	ck_assert_int_eq(session_mail(s, str_from_c(companies[_i].sender), NULL, 0, &nothing, &reply), SESSION_CONTINUE);
	session_rcpt(s, str_from_c(companies[_i].first), &reply);
	session_rcpt(s, str_from_c(companies[_i].second), &reply);
	ck_assert_int_eq(session_data(s, &nothing, &reply), SESSION_CONTINUE);
	session_header(s, STR("Subject"), STR("hello"));
	ck_assert_msg(session_eom(s, &nothing, &changes, &reply) == SESSION_REPLY, "%s: passes", companies[_i].name);
	ck_assert_msg(strstr(reply.text, companies[_i].want), "%s: %s", companies[_i].name, reply.text);
	session_free(s);
	relay_log();
}
END_TEST

/* Nobody splits what is judged at its end: it is refused for good, and not again and again. */
START_TEST(too_many_at_the_end)
{
	struct session *s = visitor();
	struct session_changes changes;
	struct net_addr client;
	struct reply reply;

	ck_assert(net_parse_addr(STR("127.0.0.1"), &client));
	session_connect(s, &client, false);
	ck_assert_int_eq(session_mail(s, STR("<a@web.example>"), NULL, 0, &nothing, &reply), SESSION_CONTINUE);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(session_rcpt(s, STR("<neko@example.jp>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &nothing, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &nothing, &changes, &reply), SESSION_REPLY);
	ck_assert_msg(reply.code == 550 && strstr(reply.text, "SKQ-RCPTS"), "%d %s", reply.code, reply.text);
	session_free(s);
	relay_log();
}
END_TEST

/* Held mail passes the rest, or its release would free what no rule allows. */
START_TEST(held_and_refused)
{
	const struct suspension hold = { .action = EXCESS_HOLD, .reason = STR("why") };
	struct session *s = visitor();
	struct session_changes changes;
	struct reply reply;

	ck_assert(tenant_suspend(gate.policy.store, STR("guest"), &hold, NULL));
	ck_assert_int_eq(session_mail(s, STR("<a@b.example>"), NULL, 0, &nothing, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<neko@example.jp>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<inu@example.jp>"), &reply), SESSION_REPLY);
	ck_assert_msg(strstr(reply.text, "SKQ-RCPTS"), "%s", reply.text);
	ck_assert_int_eq(session_data(s, &nothing, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &nothing, &changes, &reply), SESSION_HOLD);
	session_done(s);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"event\":\"held\""), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("returning");
	TCase *tcase = tcase_create("returning");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, waits_for_the_recipient);
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
