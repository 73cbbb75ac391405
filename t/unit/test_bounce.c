#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "policy/bounce_lint.h"
#include "t/lib/unit.h"

static struct bounce_rules *rules;

static void rules_make(void)
{
	struct config_report report;

	config_report_init(&report);
	ck_assert_msg(bounce_rules_load_default(&rules, &report), "%zu errors", report.count);
	config_report_clear(&report);
}

static void rules_drop(void)
{
	bounce_rules_free(rules);
}

/* Replies as the world words them, written for this test; none is a rule's own sample. */
static const struct { const char *reply, *remote; enum bounce_reason want; bool is_hard; const char *status; } rows[] = {
	{ "550 5.1.1 <neko@example.jp>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)",
	  "", BOUNCE_USERUNKNOWN, true, "5.1.1" },
	{ "550 Requested action not taken: mailbox unavailable (in reply to RCPT TO command)", "", BOUNCE_USERUNKNOWN, true, "" },
	{ "450 4.1.1 <neko@example.jp>: Recipient address rejected: User unknown in local recipient table", "", BOUNCE_USERUNKNOWN, true,
	  "4.1.1" },
	{ "550 Unknown user neko@docomo.ne.jp (in reply to RCPT TO command)", "mfsmax.docomo.ne.jp", BOUNCE_USERUNKNOWN, true, "" },
	{ "550 Unknown user neko@docomo.ne.jp (in reply to end of DATA command)", "mfsmax.docomo.ne.jp", BOUNCE_FILTERED, false, "" },
	{ "554 delivery error: dd This user doesn't have a yahoo.com account (neko@yahoo.com) [0] - mta1.mail.ne1.yahoo.com (in reply to end "
	  "of DATA command)", "mta5.am0.yahoodns.net", BOUNCE_USERUNKNOWN, true, "" },
	{ "554 delivery error: dd This user doesn't have a yahoo.co.jp account (neko@yahoo.co.jp) [0] (in reply to end of DATA command)",
	  "mx1.mail.yahoo.co.jp", BOUNCE_USERUNKNOWN, true, "" },
	{ "552 1 Requested mail action aborted, mailbox not found (in reply to end of DATA command)", "mx-aol.mail.gm0.yahoodns.net",
	  BOUNCE_USERUNKNOWN, true, "" },
	{ "552 1 Requested mail action aborted, mailbox not found (in reply to end of DATA command)", "mx.one.example",
	  BOUNCE_FILTERED, false, "" },
	{ "554: delivery error: dd Not a valid recipient - atlas1.free.mail.ne1.yahoo.com (in reply to end of DATA command)",
	  "mta6.am0.yahoodns.net", BOUNCE_USERUNKNOWN, true, "" },
	{ "554 delivery error: dd neko@yahoo.com is no longer valid. [-20] (in reply to end of DATA command)", "mta7.am0.yahoodns.net",
	  BOUNCE_SUSPEND, false, "" },
	{ "550 : User unknown", "lsean.ezweb.ne.jp", BOUNCE_FILTERED, false, "" },
	{ "550 <neko@ezweb.ne.jp>: User unknown", "lsean.ezweb.ne.jp", BOUNCE_USERUNKNOWN, true, "" },
	{ "550 5.4.1 Recipient address rejected: Access denied. [X.prod.protection.outlook.com]", "x.protection.outlook.com",
	  BOUNCE_USERUNKNOWN, true, "5.4.1" },
	{ "552-5.2.2 The email account that you tried to reach is over quota. Please direct\n552-5.2.2 the recipient to\n552 5.2.2 "
	  "https://support.google.com/mail/?p=OverQuotaPerm x - gsmtp", "", BOUNCE_MAILBOXFULL, false, "5.2.2" },
	{ "452 4.2.2 Mailbox is full", "", BOUNCE_MAILBOXFULL, false, "4.2.2" },
	{ "452 4.3.1 Insufficient system storage", "", BOUNCE_SYSTEMFULL, false, "4.3.1" },
	{ "552 5.3.4 Message size exceeds fixed limit", "", BOUNCE_EMAILTOOLARGE, false, "5.3.4" },
	{ "550 5.2.1 The email account that you tried to reach is disabled.", "", BOUNCE_SUSPEND, false, "5.2.1" },
	{ "551 5.1.6 The recipient has moved, please try <mike@example.jp>", "", BOUNCE_HASMOVED, true, "5.1.6" },
	{ "554 5.7.1 <neko@example.jp>: Relay access denied", "", BOUNCE_NORELAYING, false, "5.7.1" },
	{ "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "", BOUNCE_BLOCKED, false, "5.7.1" },
	{ "550 5.7.25 The IP address sending this message does not have a PTR record", "", BOUNCE_REQUIREPTR, false, "5.7.25" },
	{ "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", "", BOUNCE_REQUIREPTR, false, "4.7.1" },
	{ "550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with "
	  "either SPF or DKIM.", "", BOUNCE_AUTHFAILURE, false, "5.7.26" },
	{ "550 SPF check failed", "", BOUNCE_AUTHFAILURE, false, "" },
	{ "421 4.7.28 Gmail has detected an unusual rate of email originating from your SPF domain", "", BOUNCE_RATELIMITED, false, "4.7.28" },
	{ "421 4.3.2 too many concurrent connections", "", BOUNCE_RATELIMITED, false, "4.3.2" },
	{ "550 5.7.1 Our system has detected that this message is likely suspicious due to the very low reputation of the sending domain",
	  "", BOUNCE_BADREPUTATION, false, "5.7.1" },
	{ "554 5.7.1 This message has been identified as SPAM", "", BOUNCE_SPAMDETECTED, false, "5.7.1" },
	{ "550 5.7.0 Virus (Eicar-Test-Signature) detected", "", BOUNCE_VIRUSDETECTED, false, "5.7.0" },
	{ "553 5.1.8 <a@b.example>... Domain of sender address a@b.example does not exist", "", BOUNCE_REJECTED, false, "5.1.8" },
	{ "550 5.1.2 <neko@example.invalid>... Host unknown (Name server: example.invalid.: host not found)", "", BOUNCE_HOSTUNKNOWN, true,
	  "5.1.2" },
	{ "556 5.1.10 Domain example.jp does not accept mail (nullMX)", "", BOUNCE_NOTACCEPT, true, "5.1.10" },
	{ "451 4.1.10 example.jp does not accept mail", "", BOUNCE_NOTACCEPT, false, "4.1.10" },
	{ "connect to mx.example.jp[192.0.2.1]:25: Connection timed out", "", BOUNCE_EXPIRED, false, "" },
	{ "554 5.4.6 Too many hops 26 (25 max)", "", BOUNCE_NETWORKERROR, false, "5.4.6" },
	{ "530 5.7.0 Must issue a STARTTLS command first", "", BOUNCE_FAILEDSTARTTLS, false, "5.7.0" },
	{ "503 5.5.1 Bad sequence of commands", "", BOUNCE_SYNTAXERROR, false, "5.5.1" },
	{ "451 4.3.0 Temporary internal server error", "", BOUNCE_SYSTEMERROR, false, "4.3.0" },
	{ "550 Invalid domain (in reply to MAIL FROM command)", "", BOUNCE_REJECTED, false, "" },
	{ "550 Domain may not exist or DNS check failed [xx] (in reply to MAIL FROM command)", "", BOUNCE_REJECTED, false, "" },
	{ "550 Unknown domain (in reply to RCPT TO command)", "", BOUNCE_HOSTUNKNOWN, true, "" },
	{ "554 No MX record for domain s.example (in reply to MAIL FROM command)", "", BOUNCE_REJECTED, false, "" },
	{ "550 Host unknown; your hostname is wrong (in reply to EHLO command)", "", BOUNCE_BLOCKED, false, "" },
	{ "550 Your domain has no mail exchanger (in reply to MAIL FROM command)", "", BOUNCE_REJECTED, false, "" },
	{ "550 5.1.1 No such mailbox, please use our SMTP mail form (in reply to RCPT TO command)", "", BOUNCE_USERUNKNOWN, true, "5.1.1" },
	{ "550 No such user here. SMTP mail is for customers only (in reply to RCPT TO command)", "", BOUNCE_USERUNKNOWN, true, "" },
	{ ">>> EHLO mx\n<<< 502 unimplemented\n>>> HELO mx\n<<< 250\n>>> MAIL From:<a@b>\n<<< 250\n>>> RCPT To:<neko@two.example>\n"
	  "<<< 550 User unknown", "", BOUNCE_USERUNKNOWN, true, "" },
	{ "550 The domain name (one.example) of your address does not appear to be registered (in reply to RCPT TO command)", "",
	  BOUNCE_ONHOLD, false, "" },
	{ "554 blocked because it contains spam", "", BOUNCE_SPAMDETECTED, false, "" },
	{ "mx.example.jp refused to talk to me: 554 Unknown host", "", BOUNCE_BLOCKED, false, "" },
	{ "550 5.0.350 Remote server returned an error -> 550 5.1.1 <neko@example.jp>: Recipient address rejected: User unknown (in reply "
	  "to end of DATA command)", "", BOUNCE_USERUNKNOWN, true, "5.1.1" },
	{ "Your message to <neko@example.jp> was automatically rejected: I do not want this", "", BOUNCE_FILTERED, false, "" },
	{ "Your message to <neko@example.jp> was automatically rejected: Quota exceeded", "", BOUNCE_MAILBOXFULL, false, "" },
	{ "550 5.7.27 Sender address has null MX (in reply to RCPT TO command)", "", BOUNCE_REJECTED, false, "5.7.27" },
	{ "550 5.7.27 The domain of <a@b.example> has a null MX", "", BOUNCE_REJECTED, false, "5.7.27" },
	{ "550 5.7.27 b.example does not accept mail (nullMX) (in reply to RCPT TO command)", "", BOUNCE_REJECTED, false, "5.7.27" },
	{ "550 5.1.8 Sorry, b.example has a null MX", "", BOUNCE_REJECTED, false, "5.1.8" },
	{ "550 Sender address has null MX", "", BOUNCE_REJECTED, false, "" },
	{ "550 Your sender domain b.example has a null MX record", "", BOUNCE_REJECTED, false, "" },
	{ "550 The sender domain publishes a null MX (in reply to RCPT TO command)", "", BOUNCE_REJECTED, false, "" },
	{ "550 5.7.27 SPF did not pass for this message", "", BOUNCE_AUTHFAILURE, false, "5.7.27" },
	{ "556 5.1.10 Recipient address has null MX (in reply to RCPT TO command)", "", BOUNCE_NOTACCEPT, true, "5.1.10" },
	{ "556 5.1.10 Returned to the sender: the domain example.jp has a null MX", "", BOUNCE_NOTACCEPT, true, "5.1.10" },
	{ "550 Returned to sender; domain example.jp has a null MX", "", BOUNCE_NOTACCEPT, true, "" },
	{ "Connected to 192.0.2.1 but greeting failed.\nRemote host said: 554 Unknown host", "", BOUNCE_BLOCKED, false, "" },
	{ "Connected to 192.0.2.1 but my name was rejected.\nRemote host said: 550 Host unknown", "", BOUNCE_BLOCKED, false, "" },
	{ "Connected to mx.example.jp[2001:db8::1] but my name was rejected.\nRemote host said: 501 Invalid domain", "", BOUNCE_BLOCKED,
	  false, "" },
	{ "Connected to 192.0.2.1 but sender was rejected.\nRemote host said: 550 Unknown domain", "", BOUNCE_REJECTED, false, "" },
	{ "Connected to 192.0.2.1 but sender was rejected.\nRemote host said: 550 User unknown", "", BOUNCE_REJECTED, false, "" },
	{ "192.0.2.1 does not like recipient.\nRemote host said: 550 User unknown", "", BOUNCE_USERUNKNOWN, true, "" },
	{ "192.0.2.1 does not like recipient.\nRemote host said: 550 Greeting failed", "", BOUNCE_ONHOLD, false, "" },
	{ "SMTP error from remote mail server after EHLO mx.one.example: 550 Unknown host", "", BOUNCE_BLOCKED, false, "" },
	{ "SMTP error from remote mailer after HELO mx.one.example: host mx.two.example [192.0.2.1]: 550 Unknown host", "", BOUNCE_BLOCKED,
	  false, "" },
	{ "SMTP error from remote mail server after pipelined RCPT TO:<neko@example.jp>: 550 No such user", "", BOUNCE_USERUNKNOWN, true, "" },
	{ "550 No such user. Spammers, we hang up after EHLO next time (in reply to RCPT TO command)", "", BOUNCE_USERUNKNOWN, true, "" },
	{ "550 Unknown domain; names are checked after HELO and again here (in reply to RCPT TO command)", "", BOUNCE_HOSTUNKNOWN, true, "" },
	{ "550 Domain example.jp does not exist, please issue AUTH after EHLO if you are a customer", "", BOUNCE_HOSTUNKNOWN, true, "" },
	{ "550 5.1.1 <neko@example.jp>: your message was automatically rejected (in reply to RCPT TO command)", "", BOUNCE_USERUNKNOWN, true,
	  "5.1.1" },
	{ "550 5.1.1 Not found. Your message was automatically rejected", "", BOUNCE_USERUNKNOWN, true, "5.1.1" },
	{ "Your message to <neko@example.jp> was automatically rejected: 550 5.1.1 User unknown", "", BOUNCE_USERUNKNOWN, true, "5.1.1" },
	{ "550 5.2.0 Your message to <neko@example.jp> was automatically rejected: not found", "", BOUNCE_FILTERED, false, "5.2.0" },
	{ "550 5.7.1 Your message was automatically rejected (in reply to RCPT TO command)", "", BOUNCE_FILTERED, false, "5.7.1" },
	{ "550 5.2.0 qqqq", "", BOUNCE_FILTERED, false, "5.2.0" },
	{ "550 qqqq", "", BOUNCE_ONHOLD, false, "" },
	{ "", "", BOUNCE_UNDEFINED, false, "" },
};

static void judge(struct str reply, const char *remote, struct bounce_verdict *out, struct arena *arena)
{
	struct bounce_facts facts = { .diagnostic = reply, .remote = str_from_c(remote) };

	bounce_judge(rules, &facts, arena, out);
}

START_TEST(replies)
{
	struct str wall = unit_wall(str_from_c(rows[_i].reply));
	struct bounce_verdict got, again;
	struct arena arena;

	arena_init(&arena, 1000000);
	judge(wall, rows[_i].remote, &got, &arena);
	ck_assert_msg(got.reason == rows[_i].want, "%s: got %s by %.*s \"%.*s\"", rows[_i].reply, bounce_reason_name(got.reason),
		      got.rule ? (int)got.rule->id.len : 0, got.rule ? got.rule->id.ptr : "", (int)got.matched.len, got.matched.ptr);
	ck_assert_msg(got.is_hard == rows[_i].is_hard, "%s: hard %d", rows[_i].reply, got.is_hard);
	ck_assert_str_is(got.status, str_from_c(rows[_i].status));
	judge(wall, rows[_i].remote, &again, &arena);
	ck_assert_ptr_eq(got.rule, again.rule);
	arena_clear(&arena);
	unit_wall_free(wall);
}
END_TEST

/* A reply cut anywhere is judged without reading too far. */
START_TEST(reply_cuts)
{
	struct str text = str_from_c(rows[_i].reply);

	for (size_t n = 0; n <= text.len; n++) {
		struct str wall = unit_wall(str_slice(text, 0, n));
		struct bounce_verdict got;
		struct arena arena;

		arena_init(&arena, 1000000);
		judge(wall, rows[_i].remote, &got, &arena);
		ck_assert_int_lt(got.reason, BOUNCE_REASON_COUNT);
		arena_clear(&arena);
		unit_wall_free(wall);
	}
}
END_TEST

/* "userunknown,filtered|550 ...": is the reason one of those? */
static bool row_agrees(struct str row, struct arena *arena)
{
	struct str reasons, reply, reason;
	struct bounce_verdict got;
	bool agrees = false;

	if (!str_cut(row, '|', &reasons, &reply))
		return false;
	judge(reply, "", &got, arena);
	while (str_next(&reasons, ',', &reason))
		agrees |= str_eq(reason, str_from_c(bounce_reason_name(got.reason)));
	if (!agrees)
		printf(STR_FMT ": got %s\n", STR_ARG(row), bounce_reason_name(got.reason));
	return agrees;
}

START_TEST(world)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	struct buf text;
	struct str rest, line;
	struct arena arena;
	size_t rows_read = 0, bad = 0;

	snprintf(path, sizeof path, "%s/t/unit/bounce-replies.txt", srcdir ? srcdir : ".");
	buf_init(&text, (size_t)1 << 20);
	ck_assert(io_read_file(path, &text, NULL));
	rest = buf_view(&text);
	arena_init(&arena, 1000000);
	while (str_next(&rest, '\n', &line)) {
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		rows_read++;
		bad += !row_agrees(line, &arena);
		arena_reset(&arena);
	}
	ck_assert_uint_gt(rows_read, 300);
	ck_assert_uint_eq(bad, 0);
	arena_clear(&arena);
	buf_clear(&text);
}
END_TEST

static const struct { const char *text; int reply; const char *status; enum smtp_command command; } said_rows[] = {
	{ "host mx[1] said: 550 5.1.1 no (in reply to RCPT TO command)", 550, "5.1.1", SMTP_UNKNOWN },
	{ ">>> MAIL From:<a@b.example>\n<<< 250 ok\n>>> RCPT To:<c@d.example>\n<<< 550 no\n>>> DATA\n<<< 503 no\n", 550, "", SMTP_RCPT },
	{ ">>> DATA\n<<< 550 5.2.1 no\n550 5.1.1 x\n", 550, "5.2.1", SMTP_DATA },
	{ "Remote host said: 501 5.1.8 no  [MAIL_FROM]", 501, "5.1.8", SMTP_MAIL },
	{ "Out: 220 mx\nIn:  RCPT TO:<a@b.example>\nOut: 450 4.1.1 no\nIn:  QUIT\n", 450, "4.1.1", SMTP_RCPT },
	{ " Mon 2026-06-01 10:00:01: --> MAIL From:<a@b.example>\n Mon 2026-06-01 10:00:01: <-- 250 ok\n"
	  " Mon 2026-06-01 10:00:01: --> RCPT To:<c@d.example>\n Mon 2026-06-01 10:00:01: <-- 551 no\n", 551, "", SMTP_RCPT },
	{ "554 5.0.0 x 550 5.7.1 y", 554, "5.7.1", SMTP_UNKNOWN },
	{ "5.1.0 - Unknown address error 550-'5.2.2 full'", 550, "5.2.2", SMTP_UNKNOWN },
	{ "Sorry (#5.1.1)", 0, "5.1.1", SMTP_UNKNOWN },
	{ "192.0.5.51.1 4.16.55.1 1550 550.5", 0, "", SMTP_UNKNOWN },
};
START_TEST(codes)
{
	struct str wall = unit_wall(str_from_c(said_rows[_i].text));
	struct said said;

	said_read(wall, &said);
	ck_assert_int_eq(said.reply, said_rows[_i].reply);
	ck_assert_str_is(said.status, str_from_c(said_rows[_i].status));
	ck_assert_int_eq(said.command, said_rows[_i].command);
	unit_wall_free(wall);
}
END_TEST

static void finding(void *arg, const struct bounce_rule *rule, const char *what, const struct bounce_rule *other)
{
	(void)arg;
	ck_abort_msg("rule " STR_FMT ": %s (" STR_FMT ")", STR_ARG(rule->id), what, STR_ARG(other ? other->id : STR_EMPTY));
}

START_TEST(rules_lint)
{
	ck_assert_uint_eq(bounce_lint(rules, finding, NULL), 0);
}
END_TEST

#define ROW "{ id: a, priority: 1, reason: blocked, text: \"neko\", sample: \"neko\" }"

static const struct { const char *text, *error; } broken_rows[] = {
	{ "", "a list of at most" },
	{ "rules: neko", "a list of at most" },
	{ "rules:\n  - neko", "a rule is a map of keys" },
	{ "rules:\n  - { id: a }", "a rule needs id, priority, reason and sample" },
	{ "rules:\n  - { id: a, priority: 1, reason: blocked, text: a }", "untested: it has no sample" },
	{ "alone: maybe\nrules:\n  - " ROW, "alone: true or false" },
	{ "rules:\n  - { id: a, priority: x, reason: blocked, text: a, sample: a }", "a number from 0 to 1000" },
	{ "rules:\n  - { id: a, priority: 1, reason: neko, text: a, sample: a }", "no such reason" },
	{ "rules:\n  - { id: a, priority: 1, reason: blocked, txt: a, sample: a }", "did you mean" },
	{ "rules:\n  - { id: a, priority: 1, reason: blocked, sample: a }", "neither text nor condition" },
	{ "rules:\n  - { id: a, priority: 1, reason: blocked, text: \"...\", sample: a }", "no phrase" },
	{ "rules:\n  - { id: a, priority: 1, reason: blocked, text: a b, command: NEKO, sample: a }", "no such command" },
	{ "rules:\n  - { id: a, priority: 1, reason: blocked, text: a b, address: maybe, sample: a }", "yes or no" },
	{ "rules: [", "" },
};
START_TEST(broken)
{
	struct config_report report;
	struct bounce_rules *made = NULL;

	config_report_init(&report);
	ck_assert(!bounce_rules_load(str_from_c(broken_rows[_i].text), "rules.yaml", &made, &report));
	ck_assert_ptr_null(made);
	ck_assert_uint_ge(report.count, 1);
	ck_assert_msg(str_find(report.errors[0].text, str_from_c(broken_rows[_i].error)) < report.errors[0].text.len || !broken_rows[_i].error[0],
		      STR_FMT, STR_ARG(report.errors[0].text));
	config_report_clear(&report);
}
END_TEST

static void count_finding(void *arg, const struct bounce_rule *rule, const char *what, const struct bounce_rule *other)
{
	char *out = arg;

	(void)other;
	snprintf(out + strlen(out), 200, STR_FMT ": %s\n", STR_ARG(rule->id), what);
}

START_TEST(lint_finds)
{
	static const struct str text = STR_INIT(
		"rules:\n"
		"  - { id: a, priority: 9, reason: blocked, text: neko, sample: neko }\n"
		"  - { id: b, priority: 5, reason: blocked, text: mike neko, sample: mike neko }\n"
		"  - { id: c, priority: 5, reason: expired, text: tora, sample: mike }\n"
		"  - { id: d, priority: 9, reason: expired, text: neko, sample: neko }\n"
		"  - { id: e, priority: 8, reason: expired, text: hachi, command: RCPT DATA, sample: 550 hachi (in reply to RCPT TO command) }\n"
		"  - { id: f, priority: 8, reason: blocked, text: hachi, status: \"5.7.*\", sample: 550 5.7.1 hachi }\n"
		"  - { id: g, priority: 8, reason: filtered, text: hachi, command: MAIL, status: \"5.1.*\", sample: 550 5.1.8 hachi (in reply to MAIL FROM command) }\n"
		"  - { id: h, priority: 7, reason: blocked, text: hachi, sample: hachi }\n");
	struct config_report report;
	struct bounce_rules *made;
	char got[1000] = "";

	config_report_init(&report);
	ck_assert(bounce_rules_load(text, "rules.yaml", &made, &report));
	ck_assert_uint_eq(bounce_lint(made, count_finding, got), 5);
	ck_assert_str_eq(got, "b: its sample is won by another rule\nc: does not match its sample\n"
			      "d: its sample is won by another rule\nd: two reasons for the same words\n"
			      "f: ambiguous: the same words and priority, another reason, and both conditions can be true at once\n");
	bounce_rules_free(made);
	config_report_clear(&report);
}
END_TEST

static struct str write_rules(const char *text, char path[64])
{
	int fd;

	snprintf(path, 64, "/tmp/sekisho-rules-XXXXXX");
	fd = mkstemp(path);
	ck_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	return str_from_c(path);
}

/* A file of the operator's: before the program's rows, in place of one of them, in place of all. */
static const struct { const char *text, *reply, *rule; } own_rows[] = {
	{ "rules:\n  - { id: own, priority: 400, reason: blocked, text: the neko naps, sample: the neko naps }\n", "550 the neko naps", "own" },
	{ "rules:\n  - { id: own, priority: 400, reason: blocked, text: the neko naps, sample: the neko naps }\n", "550 sendersblocked", "ms-16" },
	{ "rules:\n  - { id: ms-16, priority: 290, reason: filtered, text: neko naps, sample: neko naps }\n", "550 sendersblocked", "" },
	{ "rules:\n  - { id: ms-16, priority: 290, reason: filtered, text: neko naps, sample: neko naps }\n", "550 neko naps", "ms-16" },
	{ "rules:\n  - { id: own, priority: 400, reason: userunknown, text: neko naps, sample: neko naps }\n",
	  "550 neko naps (in reply to MAIL FROM command)", "own" },
	{ "alone: true\nrules:\n  - { id: own, priority: 4, reason: blocked, text: neko naps, sample: neko naps }\n", "550 5.1.1 no such user", "" },
};
START_TEST(own_file)
{
	struct bounce_facts facts = { .diagnostic = str_from_c(own_rows[_i].reply) };
	struct config_report report;
	struct bounce_rules *made;
	struct bounce_verdict got;
	struct arena arena;
	char path[64];

	write_rules(own_rows[_i].text, path);
	config_report_init(&report);
	arena_init(&arena, 1000000);
	ck_assert(bounce_rules_load_file(path, STR_EMPTY, &made, &report));
	bounce_judge(made, &facts, &arena, &got);
	if (own_rows[_i].rule[0]) {
		ck_assert_str_is(got.rule ? got.rule->id : STR_EMPTY, str_from_c(own_rows[_i].rule));
		ck_assert_int_eq((int)got.reason, (int)got.rule->reason);
	}
	if (!own_rows[_i].rule[0])
		ck_assert(!got.rule || !str_eq(got.rule->id, STR("ms-16")));
	ck_assert_uint_eq(made->own_count, 1);
	bounce_rules_free(made);
	arena_clear(&arena);
	config_report_clear(&report);
	unlink(path);
}
END_TEST

START_TEST(own_file_missing)
{
	struct config_report report;
	struct bounce_rules *made;

	config_report_init(&report);
	ck_assert(!bounce_rules_load_file("/nonexistent/rules.yaml", STR_EMPTY, &made, &report));
	ck_assert_uint_eq(report.count, 1);
	config_report_clear(&report);
}
END_TEST

/* Parts in order and near enough, `not`, conditions, `later`. */
static const struct { const char *reply; const char *rule; enum bounce_reason want; } language_rows[] = {
	{ "the neko of mike sleeps", "gap", BOUNCE_BLOCKED },
	{ "sleeps the neko", "", BOUNCE_ONHOLD },
	{ "neko xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxx sleeps", "", BOUNCE_ONHOLD },
	{ "tora", "not", BOUNCE_EXPIRED },
	{ "tora and hachi", "", BOUNCE_ONHOLD },
	{ "sabatoranyan", "", BOUNCE_ONHOLD },
	{ "sabanyan", "star", BOUNCE_FILTERED },
	{ "550 kuro (in reply to RCPT TO command)", "later", BOUNCE_USERUNKNOWN },
	{ "550 kuro (in reply to end of DATA command)", "later", BOUNCE_FILTERED },
	{ "550 5.1.1 kuro", "later", BOUNCE_USERUNKNOWN },
	{ "451 shiro", "reply", BOUNCE_SYSTEMERROR },
	{ "551 shiro", "", BOUNCE_ONHOLD },
	{ "550 5.9.9 x", "status", BOUNCE_SUSPEND },
	{ "550 5.9.99 x", "status", BOUNCE_SUSPEND },
	{ "550 5.8.9 x", "", BOUNCE_ONHOLD },
};
START_TEST(language)
{
	static const struct str text = STR_INIT(
		"rules:\n"
		"  - { id: gap, priority: 9, reason: blocked, text: neko .. sleeps, sample: x }\n"
		"  - { id: not, priority: 9, reason: expired, text: tora, not: hachi, sample: x }\n"
		"  - { id: star, priority: 9, reason: filtered, text: saba*, not: sabatora*, sample: x }\n"
		"  - { id: later, priority: 9, reason: userunknown, text: kuro, later: filtered, sample: x }\n"
		"  - { id: reply, priority: 9, reason: systemerror, text: shiro, reply: \"45\", sample: x }\n"
		"  - { id: status, priority: 30, reason: suspend, status: \"?.9.*\", sample: x }\n");
	struct config_report report;
	struct bounce_rules *made;
	struct bounce_facts facts = { .diagnostic = str_from_c(language_rows[_i].reply) };
	struct bounce_verdict got;
	struct arena arena;

	config_report_init(&report);
	arena_init(&arena, 1000000);
	ck_assert(bounce_rules_load(text, "rules.yaml", &made, &report));
	bounce_judge(made, &facts, &arena, &got);
	ck_assert_msg(got.reason == language_rows[_i].want, "%s: %s", language_rows[_i].reply, bounce_reason_name(got.reason));
	ck_assert_str_is(got.rule ? got.rule->id : STR_EMPTY, str_from_c(language_rows[_i].rule));
	bounce_rules_free(made);
	arena_clear(&arena);
	config_report_clear(&report);
}
END_TEST

START_TEST(reasons)
{
	for (int i = 0; i < BOUNCE_REASON_COUNT; i++) {
		enum bounce_reason back;

		ck_assert(bounce_reason_parse(str_from_c(bounce_reason_name((enum bounce_reason)i)), &back));
		ck_assert_int_eq((int)back, i);
	}
	ck_assert(bounce_reason_is_hard(BOUNCE_NOTACCEPT, false));
	ck_assert(!bounce_reason_is_hard(BOUNCE_NOTACCEPT, true));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bounce");
	TCase *tc = tcase_create("bounce");

	suite_add_tcase(suite, tc);
	tcase_add_unchecked_fixture(tc, rules_make, rules_drop);
	unit_add_rows(tc, replies, rows);
	unit_add_rows(tc, reply_cuts, rows);
	tcase_add_test(tc, world);
	unit_add_rows(tc, codes, said_rows);
	tcase_add_test(tc, rules_lint);
	unit_add_rows(tc, broken, broken_rows);
	tcase_add_test(tc, lint_finds);
	unit_add_rows(tc, own_file, own_rows);
	tcase_add_test(tc, own_file_missing);
	unit_add_rows(tc, language, language_rows);
	tcase_add_test(tc, reasons);
	return unit_main(suite);
}
