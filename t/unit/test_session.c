/* milter/session: a scripted front, and what the gate makes of what it is told. */
#include "t/lib/session_fixture.h"
#include "t/lib/unit.h"

#include <errno.h>
#include <stdio.h>

#include "config/base/io.h"
#include "config/base/metrics.h"
#include "policy/tenant.h"

static const char tenants[] =
	"milter: { transaction_memory_max: 256KiB }\n"
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
	"  heavy:\n"
	"    match: [ { auth: heavy } ]\n"
	"    quotas: [ { name: two, limit: 2, per: hour }, { name: octets, counts: bytes, limit: 10, per: hour, on_excess: hold } ]\n";

/* MAIL, n recipients, DATA, headers, body, end: the last answer that was not "continue". */
static enum session_answer send_as(struct session *s, const char *auth, int recipients, struct reply *reply)
{
	struct session_changes changes;
	enum session_answer answer = fixture_mail(s, auth, "<a@acme.example>", reply);

	for (int i = 0; answer == SESSION_CONTINUE && i < recipients; i++) {
		char rcpt[64];

		snprintf(rcpt, sizeof rcpt, "<r%d@elsewhere.example>", i);
		answer = session_rcpt(s, str_from_c(rcpt), reply);
	}
	if (answer == SESSION_CONTINUE)
		answer = session_data(s, &fixture_macros, reply);
	if (answer != SESSION_CONTINUE)
		return answer;
	session_header(s, STR("From"), STR("A <a@acme.example>"));
	session_header(s, STR("Subject"), STR("hello"));
	session_header(s, STR("Message-ID"), STR("<1@acme.example>"));
	session_body(s, STR("Hello.\r\n"));
	answer = session_eom(s, &fixture_macros, &changes, reply);
	ck_assert_msg((answer != SESSION_REPLY) == (changes.record_id.len > 0), "a header exactly on what passes");
	return answer;
}

START_TEST(passes_and_records)
{
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(send_as(s, "acme", 2, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "ACME", 1, &reply), SESSION_CONTINUE);
	session_free(s);

	struct str log = fixture_log("relay");

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

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(send_as(s, "own", 1, &reply), SESSION_CONTINUE);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("history"), "\"event\":\"accepted\""), 1);
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

	fixture_open(tenants);
	struct session *s = fixture_visitor();
	int64_t failures = metrics_read(METRIC_RECORD_FAILURES);

	io_calls.write = full_write;
	ck_assert_int_eq(send_as(s, "acme", 1, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	ck_assert_int_eq(metrics_read(METRIC_RECORD_FAILURES), failures + 1);
	io_calls = real;
	session_free(s);

	struct str log = fixture_log("relay");

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

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(fixture_mail(s, mail_rows[_i].auth, mail_rows[_i].sender, &reply), SESSION_REPLY);
	ck_assert_msg(reply.code == mail_rows[_i].code, "%s: %d", mail_rows[_i].name, reply.code);
	ck_assert_msg(strstr(reply.text, mail_rows[_i].tag), "%s: %s", mail_rows[_i].name, reply.text);
	session_free(s);

	struct str log = fixture_log("relay");

	ck_assert_uint_eq(unit_count(log, "\"event\":\"rejected\""), 1);
	ck_assert_uint_eq(unit_count(log, mail_rows[_i].tag), 1);
}
END_TEST

START_TEST(quota_is_exact_and_comes_back)
{
	struct session_changes changes;
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	/* charged at DATA, then given up: RSET, and a connection that is lost */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fixture_mail(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
		for (int n = 0; n < 5; n++)
			ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
		if (i == 0) {
			session_abort(s);
			continue;
		}
		session_free(s);
		s = fixture_visitor();
	}
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "acme", 1, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 451);
	ck_assert_ptr_nonnull(strstr(reply.text, "[SKQ-RATE] (ref "));
	/* the same transaction may try again and is still refused, under a reference of its own */
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_REPLY);
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_REPLY);
	session_free(s);

	struct str log = fixture_log("relay");

	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"deferred\""), 2);
}
END_TEST

START_TEST(refused_recipients_cost_nothing)
{
	struct session_changes changes;
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(fixture_mail(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), i < 5 ? SESSION_CONTINUE : SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	ck_assert_int_eq(session_rcpt(s, STR("<@>"), &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 553);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	session_free(s);

	struct str log = fixture_log("relay");

	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 2);
	ck_assert_uint_eq(unit_count(log, "\"refused\":45"), 1);
	ck_assert_uint_eq(unit_count(log, "[SKQ-ADDR]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"refused\":1}"), 1);
}
END_TEST

START_TEST(a_message_counts_once)
{
	struct session_changes changes;
	struct traffic_sum sums[1];
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(fixture_mail(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<@>"), &reply), SESSION_REPLY);
	session_abort(s);
	traffic_read(gate.traffic, sums, 1);
	ck_assert_int_eq(sums->total[TRAFFIC_REJECTED], 1);

	ck_assert_int_eq(fixture_mail(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<@>"), &reply), SESSION_REPLY);
	session_abort(s);
	traffic_read(gate.traffic, sums, 1);
	ck_assert_int_eq(sums->total[TRAFFIC_REJECTED], 2);

	/* One recipient of three is refused. */
	ck_assert_int_eq(fixture_mail(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<@>"), &reply), SESSION_REPLY);
	ck_assert_int_eq(session_rcpt(s, STR("<t@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_CONTINUE);
	traffic_read(gate.traffic, sums, 1);
	ck_assert_int_eq(sums->total[TRAFFIC_ACCEPTED], 1);
	ck_assert_int_eq(sums->total[TRAFFIC_REJECTED], 2);
	session_free(s);
	fixture_close();
}
END_TEST

START_TEST(content_is_judged)
{
	static char big[2000];
	struct session_changes changes;
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	static const struct { struct str name, from; size_t size; const char *tag; } rows[] = {
		{ STR_INIT("From"), STR_INIT("a@acme.example, b@evil.example"), 1, "SKQ-FROM" },
		{ STR_INIT("FROM \t"), STR_INIT("b@evil.example"), 1, "SKQ-FROM" },
		{ STR_INIT("From"), STR_INIT(""), 1, "SKQ-FROM" },
		{ STR_INIT("From"), STR_INIT("Nobody (a@acme.example) :;"), 1, "SKQ-FROM" },
		{ STR_INIT("Sender"), STR_INIT(" "), 1, "SKQ-FROM" },
		{ STR_INIT("From"), STR_INIT("a@acme.example"), sizeof big, "SKQ-SIZE" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ck_assert_int_eq(fixture_mail(s, "acme", "<a@acme.example>", &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
		session_header(s, rows[i].name, rows[i].from);
		session_body(s, str_of(big, rows[i].size));
		ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_REPLY);
		ck_assert_int_eq(reply.code, rows[i].size > 1 ? 552 : 550);
		ck_assert_ptr_nonnull(strstr(reply.text, rows[i].tag));
	}
	/* all were given back: the whole quota of ten is there */
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	ck_assert_int_eq(send_as(s, "acme", 5, &reply), SESSION_CONTINUE);
	session_free(s);
	fixture_close();
}
END_TEST

START_TEST(holds)
{
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert_int_eq(send_as(s, "held", 1, &reply), SESSION_HOLD);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"held\""), 1);
}
END_TEST

/* Held for its octets after its recipients were taken, or held from MAIL on: neither uses up the quota. */
START_TEST(what_is_held_takes_nothing)
{
	const struct suspension suspension = { .action = EXCESS_HOLD, .reason = STR("looked at") };
	struct reply reply;
	struct err err;
	bool was;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

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
	fixture_close();
}
END_TEST

/* Mail made on the host: nothing is refused before end of message, and a bounce passes though nobody owns it. */
START_TEST(local_mail_is_judged_at_the_end)
{
	struct session_changes changes;
	struct reply reply;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	fixture_connect(s, NULL);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fixture_mail(s, "", i ? "" : "root@gate.test", &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_rcpt(s, STR("r@x.example"), &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
		ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), i ? SESSION_CONTINUE : SESSION_REPLY);
	}
	session_free(s);
	fixture_close();
}
END_TEST

START_TEST(memory_is_bounded)
{
	static char address[1000];
	struct reply reply;
	int i;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	fixture_connect(s, NULL);
	memset(address, 'a', sizeof address);
	ck_assert_int_eq(fixture_mail(s, "held", "<a@b.example>", &reply), SESSION_CONTINUE);
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(session_rcpt(s, str_of(address, sizeof address), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);

	struct session_changes changes;

	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_REPLY);
	ck_assert_int_eq(reply.code, 452);
	ck_assert_ptr_nonnull(strstr(reply.text, "SKQ-MEM"));
	session_free(s);
	fixture_close();
}
END_TEST

/* Every order of stages that a confused or hostile MTA could send, three deep: never a crash, never a message that
 * passes without MAIL, RCPT and DATA. */
START_TEST(any_order)
{
	struct session_changes changes;
	struct reply reply;
	const int stages = 8;

	fixture_open(tenants);
	for (int n = 0; n < stages * stages * stages * stages; n++) {
		struct session *s = fixture_visitor();
		int order = n, want = 0;

		for (int i = 0; i < 4; i++, order /= stages) {
			int stage = order % stages;

			if (stage == 0)
				fixture_mail(s, "held", "<a@b.example>", &reply);
			else if (stage == 1)
				session_rcpt(s, STR("<r@x.example>"), &reply);
			else if (stage == 2)
				session_data(s, &fixture_macros, &reply);
			else if (stage == 3)
				session_header(s, STR("Subject"), STR("x"));
			else if (stage == 4)
				session_body(s, STR("x"));
			else if (stage == 5)
				session_abort(s);
			else if (stage == 6)
				session_helo(s, STR("again"));
			else
				want = session_eom(s, &fixture_macros, &changes, &reply) == SESSION_HOLD;
			if (want)
				ck_assert_msg(n == 0 + 8 * 1 + 64 * 2 + 512 * 7, "passed at %d", n);
		}
		session_free(s);
	}
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"event\":\"held\""), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *tc = tcase_create("session");

	unit_dir();
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, passes_and_records);
	tcase_add_test(tc, a_tenant_may_have_a_class_of_its_own);
	tcase_add_test(tc, what_cannot_be_recorded_waits);
	unit_add_rows(tc, refuses_at_mail, mail_rows);
	tcase_add_test(tc, quota_is_exact_and_comes_back);
	tcase_add_test(tc, refused_recipients_cost_nothing);
	tcase_add_test(tc, a_message_counts_once);
	tcase_add_test(tc, content_is_judged);
	tcase_add_test(tc, holds);
	tcase_add_test(tc, what_is_held_takes_nothing);
	tcase_add_test(tc, local_mail_is_judged_at_the_end);
	tcase_add_test(tc, memory_is_bounded);
	tcase_add_test(tc, any_order);
	return unit_main(suite);
}
