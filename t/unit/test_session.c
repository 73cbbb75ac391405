/* milter/session: a scripted front, a real gate (embedded store, relay log) in a directory of its own. */
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/io.h"
#include "config/base/metrics.h"
#include "milter/record/sign.h"
#include "milter/session.h"
#include "policy/suppress.h"
#include "policy/tenant.h"

static const char yaml[] =
	"node: gate.test\n"
	"state_dir: %1$s/%2$s\n"
	"milter: { listen: \"unix:%1$s/%2$s/sock\", transaction_memory_max: 256KiB }\n"
	"tracking: { key_file: %1$s/tokens }\n"
	"relay_log: { dir: %1$s/%2$s/log, key_file: %1$s/key }\n"
	"log: { to: stderr, level: error }\n"
	"tenants:\n"
	"  acme:\n"
	"    match: [ { auth: acme } ]\n"
	"    senders: [ \"@acme.example\" ]\n"
	"    from: senders\n"
	"    recipients_max: 5\n"
	"    size_max: 1000\n"
	"    quotas: [ { name: hourly, limit: 10, per: hour } ]\n"
	"  own:\n"
	"    match: [ { auth: own } ]\n"
	"    record_class: history\n"
	"  halt:\n"
	"    match: [ { auth: halt } ]\n"
	"    suspended: true\n"
	"  held:\n"
	"    match: [ { auth: held } ]\n"
	"    quotas: [ { name: none, limit: 0, per: hour, on_excess: hold } ]\n"
	"  seen:\n"
	"    match: [ { auth: seen } ]\n"
	"    suppress: monitor\n"
	"    tracking: { host: track.seen.example, opens: true, clicks: true, list_unsubscribe: true }\n"
	"  rules:\n"
	"    match: [ { auth: rules }, { sender: \"@rules.example\" } ]\n"
	"    content:\n"
	"      - { name: seen, header: X-Mailer, match: \"*\", monitor: true }\n"
	"      - { header: Subject, match: \"*\\u8acb\\u6c42\\u66f8*\" }\n"
	"      - { header: subject, match: \"*invoice  overdue \", action: hold }\n"
	"  heavy:\n"
	"    match: [ { auth: heavy } ]\n"
	"    quotas: [ { name: two, limit: 2, per: hour }, { name: octets, counts: bytes, limit: 10, per: hour, on_excess: hold } ]\n";

static struct gate gate;
static const char *home;

static void open_gate(const char *name)
{
	char file[100];
	struct err err;

	home = name;
	snprintf(file, sizeof file, "%s.yaml", name);

	struct config *config = configured(file, yaml, unit_dir(), name);

	ck_assert_msg(gate_open(&gate, config, &err), "%s", err.text);
	config_publish(config);
}

/* One class of the relay log as text, once everything queued is written. */
static struct str class_log(const char *class)
{
	static struct buf buf;
	char pattern[4096];
	glob_t found;
	struct err err;

	gate_close(&gate);
	snprintf(pattern, sizeof pattern, "%s/%s/log/%s/*.jsonl", unit_dir(), home, class);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	buf_clear(&buf);
	buf_init(&buf, 16 << 20);
	for (size_t i = 0; i < found.gl_pathc; i++)
		ck_assert_msg(io_read_file(found.gl_pathv[i], &buf, &err), "%s", err.text);
	globfree(&found);
	return buf_view(&buf);
}

static struct str relay_log(void)
{
	return class_log("relay");
}

static struct session *visitor(void)
{
	const struct session_abilities abilities = { .sees_body = true, .can_rewrite = true };
	struct session *s = session_new(&gate, &abilities);
	struct net_addr client;

	ck_assert_ptr_nonnull(s);
	ck_assert(net_parse_addr(STR("192.0.2.1"), &client));
	session_connect(s, &client, false);
	session_helo(s, STR("client.example"));
	return s;
}

static enum session_answer mail_as(struct session *s, const char *auth, const char *sender, struct reply *reply)
{
	const struct session_macros macros = { .auth_authen = str_from_c(auth), .queue_id = STR_EMPTY };

	return session_mail(s, str_from_c(sender), NULL, 0, &macros, reply);
}

static const struct session_macros at_data = { .queue_id = STR_INIT("4QfQ1") };

/* MAIL, n recipients, DATA, headers, body, end: the last answer that was not "continue". */
static enum session_answer send_as(struct session *s, const char *auth, int recipients, struct reply *reply)
{
	struct session_changes changes;
	enum session_answer answer = mail_as(s, auth, "<a@acme.example>", reply);

	for (int i = 0; answer == SESSION_CONTINUE && i < recipients; i++) {
		char rcpt[64];

		snprintf(rcpt, sizeof rcpt, "<r%d@elsewhere.example>", i);
		answer = session_rcpt(s, str_from_c(rcpt), reply);
	}
	if (answer == SESSION_CONTINUE)
		answer = session_data(s, &at_data, reply);
	if (answer != SESSION_CONTINUE)
		return answer;
	session_header(s, STR("From"), STR("A <a@acme.example>"));
	session_header(s, STR("Subject"), STR("hello"));
	session_header(s, STR("Message-ID"), STR("<1@acme.example>"));
	session_body(s, STR("Hello.\r\n"));
	answer = session_eom(s, &at_data, &changes, reply);
	ck_assert_msg((answer != SESSION_REPLY) == (changes.record_id.len > 0), "a header exactly on what passes");
	return answer;
}

START_TEST(passes_and_records)
{
	struct reply reply;

	open_gate("passes");
	struct session *s = visitor();

	ck_assert_int_eq(send_as(s, "acme", 2, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "ACME", 1, &reply), SESSION_CONTINUE);
	session_free(s);

	struct str log = relay_log();

	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"tenant\":\"acme\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"queue_id\":\"4QfQ1\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"client\":\"192.0.2.1\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"message_id\":\"<1@acme.example>\""), 2);
}
END_TEST

START_TEST(a_tenant_may_have_a_class_of_its_own)
{
	struct reply reply;

	open_gate("class");
	struct session *s = visitor();

	ck_assert_int_eq(send_as(s, "own", 1, &reply), SESSION_CONTINUE);
	session_free(s);
	ck_assert_uint_eq(unit_count(class_log("history"), "\"event\":\"accepted\""), 1);
}
END_TEST

static ssize_t full_write(int fd, const void *data, size_t n)
{
	(void)fd, (void)data, (void)n;
	errno = ENOSPC;
	return -1;
}

/* One message, one failure in the metrics. */
START_TEST(what_cannot_be_recorded_waits)
{
	const struct io_calls real = io_calls;
	struct reply reply;

	open_gate("full");
	struct session *s = visitor();
	int64_t failures = metrics_read(METRIC_RECORD_FAILURES);

	io_calls.write = full_write;
	ck_assert_int_eq(send_as(s, "acme", 1, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	ck_assert_int_eq(metrics_read(METRIC_RECORD_FAILURES), failures + 1);
	io_calls = real;
	session_free(s);

	struct str log = relay_log();

	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 0);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"deferred\""), 1);
}
END_TEST

/* Rows: what is said at which stage, and the record of it. */
static const struct { const char *name, *auth, *sender; int code; const char *tag; } mail_rows[] = {
	{ "nobody's", "", "<a@acme.example>", 550, "SKQ-WHO" },
	{ "not its sender", "acme", "<a@other.example>", 550, "SKQ-SENDER" },
	{ "suspended", "halt", "<a@halt.example>", 550, "SKQ-SUSP" },
	{ "another's before its own", "acme", "<a@other.example>(b@acme.example", 553, "SKQ-ADDR" },
	{ "nobody's before its own", "acme", "<>x\\@acme.example", 553, "SKQ-ADDR" },
	{ "two", "acme", "<a@other.example> <b@acme.example>", 553, "SKQ-ADDR" },
};
START_TEST(refuses_at_mail)
{
	struct reply reply;
	char name[32];

	snprintf(name, sizeof name, "mail%d", _i);
	open_gate(name);
	struct session *s = visitor();

	ck_assert_int_eq(mail_as(s, mail_rows[_i].auth, mail_rows[_i].sender, &reply), SESSION_REPLY);
	ck_assert_msg(reply.code == mail_rows[_i].code, "%s: %d", mail_rows[_i].name, reply.code);
	ck_assert_msg(strstr(reply.text, mail_rows[_i].tag), "%s: %s", mail_rows[_i].name, reply.text);
	session_free(s);

	struct str log = relay_log();

	ck_assert_uint_eq(unit_count(log, "\"event\":\"rejected\""), 1);
	ck_assert_uint_eq(unit_count(log, mail_rows[_i].tag), 1);
}
END_TEST

START_TEST(quota_is_exact_and_comes_back)
{
	struct session_changes changes;
	struct reply reply;

	open_gate("quota");
	struct session *s = visitor();

	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	/* charged at DATA, then given up: RSET, and a connection that is lost */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(mail_as(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
		for (int n = 0; n < 5; n++)
			ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);
		if (i == 0) {
			session_abort(s);
			continue;
		}
		session_free(s);
		s = visitor();
	}
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "acme", 1, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 451);
	ck_assert_ptr_nonnull(strstr(reply.text, "[SKQ-RATE] (ref "));
	/* the same transaction may try again and is still refused, under a reference of its own */
	ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_REPLY);
	ck_assert_int_eq(session_eom(s, &at_data, &changes, &reply), SESSION_REPLY);
	session_free(s);

	struct str log = relay_log();

	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"deferred\""), 2);
}
END_TEST

START_TEST(refused_recipients_cost_nothing)
{
	struct session_changes changes;
	struct reply reply;

	open_gate("rcpts");
	struct session *s = visitor();

	ck_assert_int_eq(mail_as(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), i < 5 ? SESSION_CONTINUE : SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	ck_assert_int_eq(session_rcpt(s, STR("<@>"), &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 553);
	ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &at_data, &changes, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	session_free(s);

	struct str log = relay_log();

	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"refused\":45"), 1);
	ck_assert_uint_eq(unit_count(log, "[SKQ-ADDR]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"refused\":1}"), 1);
}
END_TEST

START_TEST(content_is_judged)
{
	static char big[2000];
	struct session_changes changes;
	struct reply reply;

	open_gate("content");
	struct session *s = visitor();

	static const struct { struct str name, from; size_t size; const char *tag; } rows[] = {
		{ STR_INIT("From"), STR_INIT("a@acme.example, b@evil.example"), 1, "SKQ-FROM" },
		{ STR_INIT("FROM \t"), STR_INIT("b@evil.example"), 1, "SKQ-FROM" },
		{ STR_INIT("From"), STR_INIT(""), 1, "SKQ-FROM" },
		{ STR_INIT("From"), STR_INIT("Nobody (a@acme.example) :;"), 1, "SKQ-FROM" },
		{ STR_INIT("Sender"), STR_INIT(" "), 1, "SKQ-FROM" },
		{ STR_INIT("From"), STR_INIT("a@acme.example"), sizeof big, "SKQ-SIZE" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ck_assert_int_eq(mail_as(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);
		session_header(s, rows[i].name, rows[i].from);
		session_body(s, str_of(big, rows[i].size));
		ck_assert_int_eq(session_eom(s, &at_data, &changes, &reply), SESSION_REPLY);
		ck_assert_int_eq(reply.code, rows[i].size > 1 ? 552 : 550);
		ck_assert_ptr_nonnull(strstr(reply.text, rows[i].tag));
	}
	/* all were given back: the whole quota of ten is there */
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	session_free(s);
	relay_log();
}
END_TEST

static const struct {
	const char *name;
	struct str header, value;
	enum session_answer answer;
	const char *record;
} content_rows[] = {
	{ "none of it", STR_INIT("Subject"), STR_INIT("invoice"), SESSION_CONTINUE, "\"event\":\"accepted\"" },
	{ "plain", STR_INIT("SUBJECT "), STR_INIT("Re: Invoice\n\t \tOVERDUE \n"), SESSION_HOLD, "\"rule\":\"content:subject-3\"" },
	{ "ISO-2022-JP", STR_INIT("Subject"), STR_INIT("=?ISO-2022-JP?B?GyRCQEE1YT1xJE43bxsoQg==?="), SESSION_REPLY,
	  "\"rule\":\"content:subject-2\"" },
	{ "UTF-8 in two words", STR_INIT("subject"), STR_INIT("Re:=?utf-8?Q?=E8=AB=8B=E6?=\n =?utf-8?Q?=B1=82=E6=9B=B8?="), SESSION_REPLY,
	  "[SKQ-CONTENT]" },
	{ "UTF-8 as it is", STR_INIT("Subject"), STR_INIT("\xe8\xab\x8b\xe6\xb1\x82\xe6\x9b\xb8"), SESSION_REPLY, "[SKQ-CONTENT]" },
	{ "monitored", STR_INIT("x-mailer"), STR_INIT(""), SESSION_CONTINUE, "\"actions\":[\"monitor:content:seen\"]" },
	{ "another field", STR_INIT("Comments"), STR_INIT("invoice overdue"), SESSION_CONTINUE, "\"event\":\"accepted\"" },
};

/* From a login; late, when only the end says whose it is; handed in on the host. The field is the first of two. */
static const struct { const char *name, *client, *auth; bool is_local, has_submit; } content_ways[] = {
	{ "by login", "192.0.2.1", "rules", false, false },
	{ "late", "127.0.0.1", "", false, true },
	{ "on the host", NULL, "", true, false },
	{ "on the host, late", NULL, "", true, true },
};

static enum session_answer send_field(int way, struct str name, struct str value)
{
	const struct session_abilities abilities = { .sees_body = false };
	struct session *s = session_new(&gate, &abilities);
	struct session_changes changes;
	struct net_addr client;
	struct reply reply;

	if (content_ways[way].client)
		ck_assert(net_parse_addr(str_from_c(content_ways[way].client), &client));
	gate.submit.is_open = content_ways[way].has_submit;
	session_connect(s, content_ways[way].client ? &client : NULL, content_ways[way].is_local);
	ck_assert_int_eq(mail_as(s, content_ways[way].auth, "<a@rules.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);
	session_header(s, name, value);
	session_header(s, STR("Subject"), STR("hello"));

	enum session_answer answer = session_eom(s, &at_data, &changes, &reply);

	session_free(s);
	gate.submit.is_open = false;
	return answer;
}

START_TEST(rules_on_content)
{
	const char *way = content_ways[_i].name;

	for (size_t i = 0; i < sizeof content_rows / sizeof *content_rows; i++) {
		char dir[60];

		snprintf(dir, sizeof dir, "rules-%d-%zu", _i, i);
		open_gate(dir);

		enum session_answer answer = send_field(_i, content_rows[i].header, content_rows[i].value);
		struct str log = relay_log();

		ck_assert_msg(answer == content_rows[i].answer, "%s, %s: answer %d", way, content_rows[i].name, answer);
		ck_assert_msg(unit_count(log, content_rows[i].record) == 1, "%s, %s: " STR_FMT, way, content_rows[i].name, STR_ARG(log));
	}
}
END_TEST

START_TEST(holds)
{
	struct reply reply;

	open_gate("holds");
	struct session *s = visitor();

	ck_assert_int_eq(send_as(s, "held", 1, &reply), SESSION_HOLD);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"event\":\"held\""), 1);
}
END_TEST

/* Held for its octets after its recipients were taken, or held from MAIL on: neither uses up the quota. */
START_TEST(what_is_held_takes_nothing)
{
	const struct suspension suspension = { .action = EXCESS_HOLD, .reason = STR("looked at") };
	struct reply reply;
	struct err err;
	bool was;

	open_gate("held");
	struct session *s = visitor();

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(send_as(s, "heavy", 2, &reply), SESSION_HOLD);
	ck_assert_ptr_nonnull(strstr(reply.text, "SKQ-NEVER"));
	ck_assert(tenant_suspend(gate.policy.store, STR("acme"), &suspension, &err));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_HOLD);
	ck_assert_ptr_nonnull(strstr(reply.text, "SKQ-SUSP"));
	ck_assert(tenant_resume(gate.policy.store, STR("acme"), (struct member){ 0 }, &was, &err));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	session_free(s);
	relay_log();
}
END_TEST

/* Mail made on the host: nothing is refused before end of message, and a bounce passes though nobody owns it. */
START_TEST(local_mail_is_judged_at_the_end)
{
	struct session_changes changes;
	struct reply reply;

	open_gate("local");
	const struct session_abilities abilities = { .sees_body = true, .can_rewrite = true };
	struct session *s = session_new(&gate, &abilities);

	session_connect(s, NULL, true);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(mail_as(s, "", i ? "" : "root@gate.test", &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_rcpt(s, STR("r@x.example"), &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_eom(s, &at_data, &changes, &reply), i ? SESSION_CONTINUE : SESSION_REPLY);
	}
	session_free(s);
	relay_log();
}
END_TEST

START_TEST(memory_is_bounded)
{
	static char address[1000];
	struct reply reply;
	int i;

	open_gate("memory");
	const struct session_abilities abilities = { .sees_body = true, .can_rewrite = true };
	struct session *s = session_new(&gate, &abilities);

	session_connect(s, NULL, true);
	memset(address, 'a', sizeof address);
	ck_assert_int_eq(mail_as(s, "held", "<a@b.example>", &reply), SESSION_CONTINUE);
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(session_rcpt(s, str_of(address, sizeof address), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);

	struct session_changes changes;

	ck_assert_int_eq(session_eom(s, &at_data, &changes, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	ck_assert_ptr_nonnull(strstr(reply.text, "SKQ-MEM"));
	session_free(s);
	relay_log();
}
END_TEST

/* Every order of stages that a confused or hostile MTA could send, three deep: never a crash, never a message that
 * passes without MAIL, RCPT and DATA. */
START_TEST(any_order)
{
	struct session_changes changes;
	struct reply reply;
	const int stages = 8;

	open_gate("order");
	for (int n = 0; n < stages * stages * stages * stages; n++) {
		struct session *s = visitor();
		int order = n, want = 0;

		for (int i = 0; i < 4; i++, order /= stages) {
			int stage = order % stages;

			if (stage == 0)
				mail_as(s, "held", "<a@b.example>", &reply);
			else if (stage == 1)
				session_rcpt(s, STR("<r@x.example>"), &reply);
			else if (stage == 2)
				session_data(s, &at_data, &reply);
			else if (stage == 3)
				session_header(s, STR("Subject"), STR("x"));
			else if (stage == 4)
				session_body(s, STR("x"));
			else if (stage == 5)
				session_abort(s);
			else if (stage == 6)
				session_helo(s, STR("again"));
			else
				want = session_eom(s, &at_data, &changes, &reply) == SESSION_HOLD;
			if (want)
				ck_assert_msg(n == 0 + 8 * 1 + 64 * 2 + 512 * 7, "passed at %d", n);
		}
		session_free(s);
	}
	ck_assert_uint_eq(unit_count(relay_log(), "\"event\":\"held\""), 1);
}
END_TEST

/* An HTML message as `auth` sends it; what the front is to do with it. */
static enum session_answer send_page_as(struct session *s, const char *auth, const char *from, int recipients, struct str page,
					struct session_changes *changes)
{
	struct reply reply;

	mail_as(s, auth, from, &reply);
	for (int i = 0; i < recipients; i++)
		session_rcpt(s, STR("<r@elsewhere.example>"), &reply);
	session_data(s, &at_data, &reply);
	session_header(s, STR("Content-Type"), STR("text/html; charset=utf-8"));
	session_header(s, STR("X-Sekisho-Track"), STR("id=spring"));
	session_body(s, page);
	ck_assert(session_take_turn(s, 0));
	return session_eom(s, &at_data, changes, &reply);
}

static enum session_answer send_page(struct session *s, const char *auth, int recipients, struct str page,
				     struct session_changes *changes)
{
	return send_page_as(s, auth, "<a@acme.example>", recipients, page, changes);
}

START_TEST(rewrites_what_its_tenant_tracks)
{
	struct session_changes changes;
	struct str chunk;

	open_gate("tracked");
	struct session *s = visitor();
	struct str page = STR("<a href=\"http://example.org/a\">a</a> <a href=\"http://example.org/b\">b</a>\r\n");

	ck_assert_int_eq(send_page(s, "own", 1, page, &changes), SESSION_CONTINUE);
	ck_assert_msg(!changes.has_body && changes.field_count == 0, "own does not track");
	session_done(s);
	for (int recipients = 1; recipients <= 2; recipients++) {
		ck_assert_int_eq(send_page(s, "seen", recipients, page, &changes), SESSION_CONTINUE);
		ck_assert(changes.has_body);
		ck_assert_uint_eq(changes.field_count, recipients == 1 ? 3 : 1);   /* two of them List-Unsubscribe's */
		ck_assert(session_next_chunk(s, &chunk));
		ck_assert_uint_eq(unit_count(chunk, "https://track.seen.example/c/"), 2);
		ck_assert_uint_eq(unit_count(chunk, "https://track.seen.example/o/"), 1);
		ck_assert(!session_next_chunk(s, &chunk));
		ck_assert_uint_eq(changes.steer_count, 0);
		session_done(s);
	}
	ck_assert_int_eq(send_page(s, "seen", 1, STR("<p>only text"), &changes), SESSION_CONTINUE);
	session_free(s);

	struct str log = relay_log();

	ck_assert_uint_eq(unit_count(log, "\"actions\":[\"opens\",\"clicks:2\",\"unsubscribe\"]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"actions\":[\"opens\",\"clicks:2\"]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"actions\":[\"opens\",\"unsubscribe\"]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 3);
}
END_TEST

/* What is only monitored leaves room in the record for what was done. */
START_TEST(records_all_that_was_done)
{
	const struct suppression entry = { .recipient = STR("r@elsewhere.example") };
	struct session_changes changes;

	open_gate("watched");
	struct session *s = visitor();

	ck_assert(suppress_add(gate.policy.store, STR("seen"), &entry, NULL));
	ck_assert_int_eq(send_page(s, "seen", RECORD_ACTIONS_MAX + 1, STR("<p>only text"), &changes), SESSION_CONTINUE);
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"actions\":[\"monitor:suppress\",\"opens\"]"), 1);
}
END_TEST

/* Whose it is was not known when it came in, and he does not track. */
START_TEST(steering_goes_from_late_mail)
{
	const struct session_abilities abilities = { .sees_body = true, .can_rewrite = true };
	struct session_changes changes;

	open_gate("late-steer");
	struct session *s = session_new(&gate, &abilities);

	gate.submit.is_open = true;
	session_connect(s, NULL, true);
	ck_assert_int_eq(send_page_as(s, "", "<a@rules.example>", 1, STR("<p>a"), &changes), SESSION_CONTINUE);
	ck_assert_msg(!changes.has_body && changes.field_count == 0, "it does not track");
	ck_assert_uint_eq(changes.steer_count, 1);
	session_free(s);
	gate.submit.is_open = false;
	relay_log();
}
END_TEST

/* A front that cannot change messages has nothing changed, and what is refused is not looked into. */
START_TEST(rewrites_only_what_passes)
{
	const struct session_abilities blind = { .sees_body = true };
	struct session_changes changes;
	struct reply reply;

	open_gate("untracked");
	struct session *s = session_new(&gate, &blind);

	ck_assert_int_eq(send_page(s, "seen", 1, STR("<p>a"), &changes), SESSION_CONTINUE);
	ck_assert_msg(!changes.has_body && changes.field_count == 0, "it cannot");
	session_done(s);
	session_free(s);
	s = visitor();
	ck_assert_int_eq(mail_as(s, "seen", "<a@acme.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &at_data, &reply), SESSION_CONTINUE);
	session_body(s, STR("<p>half a mess"));
	session_abort(s);
	ck_assert_int_eq(session_eom(s, &at_data, &changes, &reply), SESSION_REPLY);
	ck_assert_msg(!changes.has_body && changes.record_id.len == 0, "out of order");
	session_free(s);
	ck_assert_uint_eq(unit_count(relay_log(), "\"actions\""), 0);
}
END_TEST

static void make_key(void)
{
	char tokens[160] = "1 ";

	memset(tokens + 2, 'a', 64);
	memset(tokens + 66, 'b', 64);
	tokens[130] = '\n';
	unit_file("tokens", str_of(tokens, 131));

	char path[4096], id[SIGN_ID_LEN + 1];
	struct err err;

	snprintf(path, sizeof path, "%s/key", unit_dir());
	ck_assert_msg(sign_key_new(path, id, &err), "%s", err.text);
}

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *tc = tcase_create("session");

	unit_dir();
	suite_add_tcase(suite, tc);
	tcase_add_unchecked_fixture(tc, make_key, NULL);
	tcase_add_test(tc, passes_and_records);
	tcase_add_test(tc, a_tenant_may_have_a_class_of_its_own);
	tcase_add_test(tc, what_cannot_be_recorded_waits);
	unit_add_rows(tc, refuses_at_mail, mail_rows);
	tcase_add_test(tc, quota_is_exact_and_comes_back);
	tcase_add_test(tc, refused_recipients_cost_nothing);
	tcase_add_test(tc, content_is_judged);
	unit_add_rows(tc, rules_on_content, content_ways);
	tcase_add_test(tc, holds);
	tcase_add_test(tc, what_is_held_takes_nothing);
	tcase_add_test(tc, local_mail_is_judged_at_the_end);
	tcase_add_test(tc, rewrites_what_its_tenant_tracks);
	tcase_add_test(tc, rewrites_only_what_passes);
	tcase_add_test(tc, steering_goes_from_late_mail);
	tcase_add_test(tc, records_all_that_was_done);
	tcase_add_test(tc, memory_is_bounded);
	tcase_add_test(tc, any_order);
	return unit_main(suite);
}
