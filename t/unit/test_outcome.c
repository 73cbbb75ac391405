#include "milter/mail/outcome.h"
#include "t/lib/unit.h"

static const struct {
	const char *line;
	enum outcome_kind kind;
	const char *id, *recipient, *original, *remote, *status, *said, *reply;
} rows[] = {
	{ "Jun  3 10:00:01 mx1 postfix/smtp[4001]: 4E576B032: to=<neko@example.co.jp>, relay=mx.example.net[192.0.2.25]:25, delay=1.2, "
	  "delays=0.1/0/0.5/0.6, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.25] said: 550 5.1.1 no (in reply to RCPT TO command))",
	  OUTCOME_FAILED, "4E576B032", "neko@example.co.jp", "", "mx.example.net", "5.1.1",
	  "host mx.example.net[192.0.2.25] said: 550 5.1.1 no (in reply to RCPT TO command)", "550 5.1.1 no (in reply to RCPT TO command)" },
	{ "2026-11-21T18:04:05.1+09:00 mx1 postfix-out/lmtp[1]: 3zXk4w2yqTz1: to=<a@b.example>, orig_to=<root>, relay=none, delay=1, "
	  "dsn=4.4.1, status=deferred (connect to b.example[192.0.2.1]:25: Connection refused)",
	  OUTCOME_DELAYED, "3zXk4w2yqTz1", "a@b.example", "root", "none", "4.4.1",
	  "connect to b.example[192.0.2.1]:25: Connection refused", "" },
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: AAAAAA: to=<a@b.example>, relay=x[1]:25, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
	  OUTCOME_DELIVERED, "AAAAAA", "a@b.example", "", "x", "2.0.0", "250 2.0.0 Ok", "" },
	{ "Jun  3 10:00:03 mx2 sm-mta[4003]: 53AE257B4: to=<neko@example.com>, delay=00:00:02, mailer=esmtp, relay=mx.example.net. "
	  "[192.0.2.25], dsn=5.7.1, stat=554 5.7.1 <neko@example.com>: Relay access denied",
	  OUTCOME_FAILED, "53AE257B4", "neko@example.com", "", "mx.example.net.", "5.7.1",
	  "554 5.7.1 <neko@example.com>: Relay access denied", "" },
	{ "Jun  3 10:00:03 mx2 sm-mta[4003]: 53AE257B4: to=<a@b.example>, ctladdr=<c@d.example> (1/1), dsn=4.0.0, stat=Deferred: refused",
	  OUTCOME_DELAYED, "53AE257B4", "a@b.example", "c@d.example", "", "4.0.0", "Deferred: refused", "" },
	{ "Jun  3 10:00:03 mx2 sm-mta[4003]: 53AE257B4: to=<a@b.example>, delay=00:00:02, mailer=esmtp, relay=x. [1], dsn=5.0.0, "
	  "reply=554 5.7.1 Rejected as spam, stat=Service unavailable",
	  OUTCOME_FAILED, "53AE257B4", "a@b.example", "", "x.", "5.0.0", "Service unavailable", "554 5.7.1 Rejected as spam" },
	{ "Jun  3 10:00:03 mx2 sm-mta[4003]: 53AE257B4: to=<a@b.example>, relay=x. [1], dsn=5.0.0, reply=554 no, stat=Sent, stat=Service",
	  OUTCOME_FAILED, "53AE257B4", "a@b.example", "", "x.", "5.0.0", "Sent, stat=Service", "554 no" },
	{ "Jun  3 10:00:01 mx1 postfix/qmgr[812]: 4E576B032: from=<x@y.example>, size=2001, nrcpt=1 (queue active)", OUTCOME_NONE,
	  "", "", "", "", "", "", "" },
	{ "Subject: to=<a@b.example>, status=bounced (no log)", OUTCOME_NONE, "", "", "", "", "", "", "" },
	/* soft_bounce = yes */
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: AAAAAA: to=<a@b.example>, relay=x[1]:25, dsn=5.1.1, status=SOFTBOUNCE (host x[1] said: 550 no)",
	  OUTCOME_DELAYED, "AAAAAA", "a@b.example", "", "x", "5.1.1", "host x[1] said: 550 no", "550 no" },
	/* Postfix before 2.3: no dsn; through an LMTP socket; from the error mailer */
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: AAAAAA: to=<a@b.example>, relay=none, delay=86401, status=deferred (connect to x[1]: timed out)",
	  OUTCOME_DELAYED, "AAAAAA", "a@b.example", "", "none", "", "connect to x[1]: timed out", "" },
	{ "Jun  3 10:00:01 mx1 postfix/lmtp[1]: AAAAAA: to=<\"j s\"@b.example>, relay=mx1[private/dovecot-lmtp], conn_use=2, dsn=5.2.2, "
	  "status=bounced (host mx1[private/dovecot-lmtp] said: 552 5.2.2 full (in reply to end of DATA command))",
	  OUTCOME_FAILED, "AAAAAA", "\"j s\"@b.example", "", "mx1", "5.2.2",
	  "host mx1[private/dovecot-lmtp] said: 552 5.2.2 full (in reply to end of DATA command)", "552 5.2.2 full (in reply to end of DATA command)" },
	{ "Sat 2026-11-21 10:00:01 JST mx1 postfix/error[1]: AAAAAA: to=<\xe7\x94\xa8@\xe4\xbe\x8b.example>, relay=none, dsn=5.4.4, "
	  "status=bounced (Host not found)", OUTCOME_FAILED, "AAAAAA", "\xe7\x94\xa8@\xe4\xbe\x8b.example", "", "none", "5.4.4", "Host not found", "" },
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: message repeated 3 times: [ AAAAAA: to=<a@b.example>, dsn=5.1.1, status=bounced (no)]",
	  OUTCOME_NONE, "", "", "", "", "", "", "" },
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: AAAAAA: to=<a@b.example>, relay=x[1]:25, dsn=2.1.5, status=deliverable (250 2.1.5 Ok)",
	  OUTCOME_NONE, "", "", "", "", "", "", "" },
	/* sendmail: local submission names the user who submitted; a program has commas; held mail is no failure */
	{ "Jun  3 10:00:03 mx2 sendmail[1]: 53AE257B4: to=a@b.example,c@d.example, ctladdr=www (33/33), mailer=relay, dsn=5.1.1, stat=User unknown",
	  OUTCOME_FAILED, "53AE257B4", "a@b.example", "www (33/33)", "", "5.1.1", "User unknown", "" },
	{ "Jun  3 10:00:03 mx2 sm-mta[1]: 53AE257B4: to=\"|/usr/bin/x a, b\", ctladdr=<a@b.example> (1/1), mailer=prog, dsn=5.3.0, "
	  "stat=unknown mailer error 2",
	  OUTCOME_FAILED, "53AE257B4", "\"|/usr/bin/x a, b\"", "a@b.example", "", "5.3.0", "unknown mailer error 2", "" },
	{ "Jun  3 10:00:03 mx2 sm-mta[1]: 53AE257B4: to=<a@b.example>, mailer=esmtp, quarantine=held, stat=quarantined", OUTCOME_NONE,
	  "", "", "", "", "", "", "" },
	/* a stranger's words do not become fields */
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: AAAAAA: to=<\"x, status=sent (y\"@b.example>, relay=x[1]:25, dsn=5.1.1, status=bounced (no)",
	  OUTCOME_FAILED, "AAAAAA", "\"x, status=sent (y\"@b.example", "", "x", "5.1.1", "no", "" },
	{ "Jun  3 10:00:01 mx1 postfix/smtp[1]: AAAAAA: to=<a@b.example>, relay=x[1]:25, status=bounced (host said: 550 , dsn=2.0.0)",
	  OUTCOME_FAILED, "AAAAAA", "a@b.example", "", "x", "", "host said: 550 , dsn=2.0.0", "550 , dsn=2.0.0" },
};
START_TEST(lines)
{
	struct str wall = unit_wall(str_from_c(rows[_i].line));
	struct outcome got;
	bool is = outcome_read(wall, &got);

	ck_assert_int_eq(is, rows[_i].kind != OUTCOME_NONE);
	if (is) {
		ck_assert_int_eq(got.kind, rows[_i].kind);
		ck_assert_str_is(got.queue_id, str_from_c(rows[_i].id));
		ck_assert_str_is(got.recipient, str_from_c(rows[_i].recipient));
		ck_assert_str_is(got.original, str_from_c(rows[_i].original));
		ck_assert_str_is(got.remote, str_from_c(rows[_i].remote));
		ck_assert_str_is(got.status, str_from_c(rows[_i].status));
		ck_assert_str_is(got.said, str_from_c(rows[_i].said));
		ck_assert_str_is(got.reply, str_from_c(rows[_i].reply));
	}
	unit_wall_free(wall);
}
END_TEST

/* As many syslog daemons, as many stamps: the same line. */
static const struct { const char *line, *stamp, *program; } head_rows[] = {
	{ "Nov  1 10:00:01 mx1 postfix/smtp[1]: 4XyZ1a2b3c: to=<a@b.example>", "Nov  1 10:00:01", "postfix/smtp" },
	{ "<22>Nov 21 10:00:01 mx1 postfix/smtp[1]: 4XyZ1a2b3c: to=<a@b.example>", "Nov 21 10:00:01", "postfix/smtp" },
	{ "Nov 21 10:00:01 mx1 postfix/smtp[1]: [ID 197553 mail.info] 4XyZ1a2b3c: to=<a@b.example>", "Nov 21 10:00:01", "postfix/smtp" },
	{ "2026-11-21T10:00:01.5+09:00 mx1 postfix-out/lmtp[1]: 4XyZ1a2b3c: to=<a@b.example>\r", "2026-11-21T10:00:01.5+09:00",
	  "postfix-out/lmtp" },
	{ "2026-11-21T01:00:01.123456789Z stdout F Nov 21 10:00:01 mx1 sm-mta[1]: 4XyZ1a2b3c: to=<a@b.example>",
	  "2026-11-21T01:00:01.123456789Z", "sm-mta" },
	{ "<22>1 2026-11-21T01:00:01.123Z mx1 postfix/smtp 1234 - - 4XyZ1a2b3c: to=<a@b.example>", "2026-11-21T01:00:01.123Z", "postfix/smtp" },
	{ "<22>1 2026-11-21T01:00:01Z mx1 sm-mta - - [o@1 x=\"1\"] \xef\xbb\xbf" "4XyZ1a2b3c: to=<a@b.example>", "2026-11-21T01:00:01Z", "sm-mta" },
	{ "Nov 21 10:00:01.123456 mx1 postfix/smtp[1]: 4XyZ1a2b3c: to=<a@b.example>", "Nov 21 10:00:01.123456", "postfix/smtp" },
	{ "Sat 2026-11-21 10:00:01 JST mx1 postfix/smtp[1]: 4XyZ1a2b3c: to=<a@b.example>", "2026-11-21 10:00:01", "postfix/smtp" },
	{ "2026-11-21 10:00:01.5+09:00 mx1 postfix/submission/smtp[1]: 4XyZ1a2b3c: to=<a@b.example>", "2026-11-21 10:00:01.5+09:00",
	  "postfix/submission/smtp" },
	/* what is none */
	{ "2026-11-21 ", NULL, NULL },
	{ "Nov 21 10:00:01.123456", NULL, NULL },
	{ "<22>1 2026-11-21T01:00:01Z mx1 sm-mta - - [o", NULL, NULL },
	{ "<22>1 ", NULL, NULL },
	{ "<22", NULL, NULL },
	{ "<2222>Nov 21 10:00:01 mx1 x[1]: abcdef: y", NULL, NULL },
	{ "Nov 21 10:00:01 mx1 postfix/smtpd[1]: connect from x[192.0.2.1]", NULL, NULL },
	{ "Nov 21 10:00:01 mx1 postfix/smtp[1]: [ID 1", NULL, NULL },
};
START_TEST(heads)
{
	struct str wall = unit_wall(str_from_c(head_rows[_i].line));
	struct outcome_head head;
	bool is = outcome_head_read(wall, &head);

	ck_assert_msg(is == (head_rows[_i].stamp != NULL), "%s", head_rows[_i].line);
	if (is) {
		ck_assert_str_is(head.stamp, str_from_c(head_rows[_i].stamp));
		ck_assert_str_is(head.program, str_from_c(head_rows[_i].program));
		ck_assert_str_is(head.queue_id, STR("4XyZ1a2b3c"));
		ck_assert_str_is(head.rest, STR("to=<a@b.example>"));
		ck_assert(head.is_postfix == (head_rows[_i].program[0] == 'p'));
	}
	unit_wall_free(wall);
}
END_TEST

static const struct { const char *line; bool is; } log_rows[] = {
	{ "Nov 21 00:00:01 mx1 rsyslogd: [origin software=\"rsyslogd\" x-pid=\"1\"] rsyslogd was HUPed", true },
	{ "<22>1 2026-11-21T01:00:01.123Z mx1 systemd 1 - - x", true },
	{ "<22>Nov 21 10:00:01 mx1 x", true },
	{ "March 3: hello", false },
	{ "May 12 2026 10:00 hello", false },
	{ "2026-11-21: hello", false },
	{ "Jun  3 10:00:01 mx1 postfix/smtpd[4001]: connect from unknown[192.0.2.1]", true },
	{ "2026-11-21T18:04:05.1+09:00 mx1 sm-mta[1]: x", true },
	{ "Return-Path: <a@b.example>", false },
	{ "Received: from x (x [192.0.2.1]): y", false },
	{ "From MAILER-DAEMON Sat Oct  4 08:00:07 2025", false },
	{ "Jun", false },
	{ "", false },
};
START_TEST(is_log)
{
	struct str wall = unit_wall(str_from_c(log_rows[_i].line));

	ck_assert_msg(outcome_is_log(wall) == log_rows[_i].is, "%s", log_rows[_i].line);
	unit_wall_free(wall);
}
END_TEST

START_TEST(cuts)
{
	struct str text = str_from_c(rows[_i].line);

	for (size_t n = 0; n <= text.len; n++) {
		struct str wall = unit_wall(str_slice(text, 0, n));
		struct outcome got;

		if (outcome_read(wall, &got))
			ck_assert_uint_le(got.recipient.len, text.len);
		(void)outcome_is_log(wall);
		unit_wall_free(wall);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outcome");
	TCase *tc = tcase_create("outcome");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, lines, rows);
	unit_add_rows(tc, is_log, log_rows);
	unit_add_rows(tc, heads, head_rows);
	unit_add_rows(tc, cuts, rows);
	return unit_main(suite);
}
