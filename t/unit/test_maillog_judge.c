/* milter/maillog_outcome: a real gate (embedded store, relay log), lines in, records and counts out; once, whatever comes
 * again. */
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/erasure.h"
#include "milter/maillog.h"
#include "milter/maillog_outcome.h"
#include "milter/record/reader.h"
#include "policy/suppress.h"
#include "policy/tally.h"

#define STAMP "Nov 21 10:00:01 mx "
#define SENT STAMP "postfix/smtp[1]: AAAAAA: to=<%s>, relay=x[1]:25, delay=1, dsn=2.0.0, status=sent (250 2.0.0 ok)"
#define DEFERRED STAMP "postfix/smtp[1]: AAAAAA: to=<%s>, relay=none, dsn=4.4.1, status=deferred (connect to x[1]:25: Connection refused)"
#define BOUNCED STAMP "postfix/smtp[1]: AAAAAA: to=<%s>, relay=x[1]:25, dsn=5.1.1, status=bounced (host x[1] said: 550 5.1.1 User unknown)"
#define FULL STAMP "postfix/smtp[1]: AAAAAA: to=<%s>, relay=x[1]:25, dsn=5.2.2, status=bounced (host x[1] said: 552 5.2.2 mailbox full)"

static const char yaml[] =
	"node: gate.test\n"
	"state_dir: %1$s/%2$s\n"
	"milter: { listen: \"unix:%1$s/%2$s/sock\" }\n"
	"relay_log: { dir: %1$s/%2$s/log, key_file: none%3$s }\n"
	"maillog: %1$s/%2$s/mail.log\n"
	"log: { to: stderr, level: error }\n"
	"tenants:\n"
	"  acme: { match: [ { auth: acme } ] }\n"
	"  own: { match: [ { auth: own } ], record_class: bounce-api, suppress: off }\n"
	"  apart: { match: [ { auth: apart } ], bounce_class: bounce-api }\n"
	"  turned: { match: [ { auth: turned } ], record_class: bounce-api, bounce_class: relay }\n";

static struct gate gate;
static struct maillog_judge *judge;
static const char *home, *sealed = "";

static void open_gate(void)
{
	char path[4096];
	struct config *config;
	struct err err;

	snprintf(path, sizeof path, "%s/%s.yaml", unit_dir(), home);
	config = configured_file(path);
	ck_assert_msg(gate_open(&gate, config, &err), "%s", err.text);
	config_publish(config);
	judge = calloc(1, sizeof *judge);
	judge->gate = &gate;
	judge->map = gate.queue_ids;
}

static void close_gate(void)
{
	free(judge);
	gate_close(&gate);
	config_publish(NULL);
}

/* And what the log says of mail that still waits is known again. */
static void restart_gate(void)
{
	static const _Atomic bool stop;
	struct err err = { .text = "" };

	close_gate();
	open_gate();

	struct config *config = config_acquire();

	ck_assert_msg(maillog_judge_recall(judge, config, 0, &stop, &err), "%s", err.text);
	config_release(config);
}

static void setup(void)
{
	static char name[32];
	char text[4096], path[4096];
	struct err err;

	setenv("TZ", "UTC", 1);
	snprintf(name, sizeof name, "judge-%ld", (long)getpid());     /* each test has a process */
	home = name;
	snprintf(text, sizeof text, yaml, unit_dir(), home, sealed);
	snprintf(path, sizeof path, "%s/%s.yaml", unit_dir(), home);
	ck_assert(io_replace_file(path, str_from_c(text), 0600, &err));
	open_gate();
}

static void setup_sealed(void)
{
	static char text[4096];

	snprintf(text, sizeof text, ", personal_data: sealed, keyring: %s/ring-%ld", unit_dir(), (long)getpid());
	sealed = text;
	setup();
}

static void teardown(void)
{
	close_gate();
}

static void pass_in(const char *class_name, const char *tenant)
{
	const struct record_event event = { .event = STR("accepted"), .tenant = str_from_c(tenant), .message = STR("M1"),
					    .id = STR("M1"), .queue_id = STR("AAAAAA") };
	struct err err;

	ck_assert(record_append(gate_writer(&gate, str_from_c(class_name), &err), &event, RECORD_DURABLE, NULL, &err));
	maillog_map_add(gate.queue_ids, STR("AAAAAA"), STR("M1"), str_from_c(tenant), STR("a@acme.example"));
}

static void pass(const char *tenant)
{
	pass_in("relay", tenant);
}

static void say(const char *format, const char *recipient)
{
	char line[1024];
	struct err err = { .text = "" };

	if (recipient) {
		struct str left, right;

		ck_assert(str_cut(str_from_c(format), '%', &left, &right));
		snprintf(line, sizeof line, STR_FMT "%s" STR_FMT, STR_ARG(left), recipient, STR_ARG(str_from(right, 1)));
	} else {
		snprintf(line, sizeof line, "%s", format);
	}
	ck_assert_msg(maillog_judge_line(judge, str_from_c(line), &err), "%s", err.text);
}

/* "failed:a@b:userunknown|...": the records with an outcome, in their order. */
static const char *told(const char *class_name)
{
	static char text[4096];
	const struct record_event last = { .event = STR("access") };
	struct record_reader *reader;
	struct record_line record;
	struct arena arena;
	struct str line, reason;
	struct err err;
	char dir[4096];
	bool is_torn, found;
	size_t len = 0;

	ck_assert(record_append(gate_writer(&gate, str_from_c(class_name), &err), &last, RECORD_DURABLE, NULL, &err));
	snprintf(dir, sizeof dir, "%s/%s/log/%s", unit_dir(), home, class_name);
	arena_init(&arena, (size_t)1 << 20);
	ck_assert(record_reader_open(str_from_c(dir), 0, INT64_C(1) << 30, false, &reader, &err));
	text[0] = '\0';
	while (record_reader_next(reader, &line, &is_torn, &found, &err) && found) {
		ck_assert(record_parse(line, &arena, &record, &err));
		if (record.event.outcome.len == 0)
			continue;
		ck_assert(str_eq(record.event.message, STR("M1")) || record.event.message.len == RECORD_ID_LEN);
		reason = STR("-");
		record_peek(record.event.outcome, STR("reason"), &reason);
		len += (size_t)snprintf(text + len, sizeof text - len, STR_FMT ":" STR_FMT ":" STR_FMT "|", STR_ARG(record.event.event),
					STR_ARG(record.event.rcpt), STR_ARG(reason));
	}
	record_reader_close(reader);
	arena_clear(&arena);
	return text;
}

static bool add(void *arg, const struct tally_count *row)
{
	*(int64_t *)arg += str_eq(row->reason, STR("delivered")) ? 1000 * row->count : row->count;
	return true;
}

/* Failures, and a thousand for each delivery. */
static int64_t counted(const char *tenant)
{
	int64_t day = jst_day(clock_now_us()), n = 0;

	ck_assert(tally_each_reason(gate.policy.store, str_from_c(tenant), day - 1, day, add, &n, NULL));
	return n;
}

static bool is_suppressed(const char *tenant, const char *recipient)
{
	struct suppression s;
	struct arena arena;
	bool found;

	arena_init(&arena, (size_t)1 << 20);
	ck_assert(suppress_find(gate.policy.store, str_from_c(tenant), str_from_c(recipient), &arena, &s, &found, NULL));
	arena_clear(&arena);
	return found;
}

START_TEST(outcomes)
{
	pass("acme");
	say(DEFERRED, "a@b");
	say(SENT, "a@b");
	say(BOUNCED, "c@d");
	say(FULL, "e@f");
	say(STAMP "postfix/smtp[1]: ZZZZZZ: to=<x@y>, relay=x[1]:25, dsn=5.1.1, status=bounced (no)", NULL);    /* not ours */
	say(STAMP "postfix/local[1]: AAAAAA: to=<root@mx>, orig_to=<g@h>, relay=local, dsn=2.0.0, status=sent (ok)", NULL);
	ck_assert_str_eq(told("relay"), "delayed:a@b:networkerror|delivered:a@b:-|failed:c@d:userunknown|failed:e@f:mailboxfull|"
					"delivered:g@h:-|");
	ck_assert_int_eq(counted("acme"), 2002);
	ck_assert(is_suppressed("acme", "c@d"));
	ck_assert(!is_suppressed("acme", "e@f"));      /* full today, read tomorrow */
	ck_assert(!is_suppressed("acme", "a@b"));
	say(SENT, "c@d");
	ck_assert(!is_suppressed("acme", "c@d"));
}
END_TEST

START_TEST(said_twice)
{
	pass("acme");
	for (int i = 0; i < 3; i++) {
		say(BOUNCED, "c@d");
		say(SENT, "a@b");
	}
	ck_assert_str_eq(told("relay"), "failed:c@d:userunknown|delivered:a@b:-|");
	ck_assert_int_eq(counted("acme"), 1001);
}
END_TEST

/* As after a crash at full load, when all since the last position comes again. */
START_TEST(many_said_twice)
{
	char recipient[16];

	pass("acme");
	for (int i = 0; i < 2 * 3000; i++) {
		snprintf(recipient, sizeof recipient, "r%d@b", i % 3000);
		say(SENT, recipient);
	}
	ck_assert_int_eq(counted("acme"), 3000 * 1000);
}
END_TEST

/* Its own class, and the list off. */
START_TEST(own_class)
{
	pass("own");
	say(BOUNCED, "c@d");
	ck_assert_str_eq(told("bounce-api"), "failed:c@d:userunknown|");
	ck_assert_str_eq(told("relay"), "");
	ck_assert(!is_suppressed("own", "c@d"));
	ck_assert_int_eq(counted("own"), 1);
}
END_TEST

/* One line for all that still wait, and nobody else. */
START_TEST(expired)
{
	pass("acme");
	say(DEFERRED, "a@b");
	say(DEFERRED, "c@d");
	say(SENT, "a@b");
	say(STAMP "postfix/qmgr[1]: AAAAAA: from=<s@t>, status=expired, returned to sender", NULL);
	say(STAMP "postfix/qmgr[1]: AAAAAA: from=<s@t>, status=expired, returned to sender", NULL);
	say(STAMP "postfix/qmgr[1]: AAAAAA: removed", NULL);
	ck_assert_ptr_nonnull(strstr(told("relay"), "delivered:a@b:-|expired:c@d:expired|"));
	ck_assert_ptr_null(strstr(told("relay"), "expired:a@b"));
	ck_assert_int_eq(counted("acme"), 1001);
	ck_assert(!is_suppressed("acme", "c@d"));
}
END_TEST

START_TEST(several_of_sendmail)
{
	pass("acme");
	say(STAMP "sm-mta[1]: AAAAAA: to=<a@b>,<c@d>, ctladdr=<x@y> (1/1), delay=00:00:01, dsn=2.0.0, stat=Sent (ok)", NULL);
	/* a mailbox's own program, and mail that was submitted here */
	say(STAMP "sm-mta[1]: AAAAAA: to=\"|/usr/bin/x a, b\", ctladdr=<e@f> (1/1), mailer=prog, dsn=5.3.0, stat=unknown mailer error 2", NULL);
	say(STAMP "sm-mta[1]: AAAAAA: to=g@h,i@j, ctladdr=www (33/33), mailer=relay, dsn=5.1.1, stat=User unknown", NULL);
	ck_assert_str_eq(told("relay"), "delivered:a@b:-|delivered:c@d:-|failed:e@f:mailererror|failed:g@h:userunknown|failed:i@j:userunknown|");
}
END_TEST

/* Killed behind a record and before its position was kept: the lines come again, and say nothing new. So it is when all that stands
 * in a file which a clock that was ahead once has begun. */
START_TEST(restarted)
{
	if (_i) {
		clock_set(clock_now_us() + 5 * DAY_US);
		told("relay");
		clock_set(0);
	}
	pass("acme");
	say(DEFERRED, "a@b");
	say(BOUNCED, "c@d");
	told("relay");
	restart_gate();
	say(DEFERRED, "a@b");
	say(BOUNCED, "c@d");
	say(STAMP "postfix/qmgr[1]: AAAAAA: from=<s@t>, status=expired, returned to sender", NULL);
	ck_assert_str_eq(told("relay"), "delayed:a@b:networkerror|failed:c@d:userunknown|expired:a@b:expired|");
	ck_assert_int_eq(counted("acme"), 2);
}
END_TEST

/* Its bounces have a class of their own, and what was put off or arrived has not. They are known again after a restart, whichever
 * of the two classes is read first. */
static const struct { const char *tenant, *class_name, *bounce_class; } apart_rows[] = {
	{ "apart", "relay", "bounce-api" },
	{ "turned", "bounce-api", "relay" },
};
START_TEST(bounces_apart)
{
	pass_in(apart_rows[_i].class_name, apart_rows[_i].tenant);
	say(DEFERRED, "a@b");
	say(DEFERRED, "c@d");
	say(BOUNCED, "c@d");
	say(SENT, "e@f");
	told("relay");
	restart_gate();
	say(BOUNCED, "c@d");
	say(STAMP "postfix/qmgr[1]: AAAAAA: from=<s@t>, status=expired, returned to sender", NULL);
	ck_assert_str_eq(told(apart_rows[_i].class_name), "delayed:a@b:networkerror|delayed:c@d:networkerror|delivered:e@f:-|");
	ck_assert_str_eq(told(apart_rows[_i].bounce_class), "failed:c@d:userunknown|expired:a@b:expired|");
	ck_assert_int_eq(counted(apart_rows[_i].tenant), 1002);
}
END_TEST

/* Mail that its tenant left in the queue: on the record until all that is known of the tenant is erased, and not after. What he
 * sends under a new contract is on the record again, though that one has ended, too. */
START_TEST(erased_meanwhile)
{
	char dir[4096], path[8192], date[JST_DATE_LEN + 1], id[RECORD_ID_LEN + 1];
	int64_t today = jst_day(clock_now_us());
	struct err err;

	jst_format_date(today, date);
	snprintf(dir, sizeof dir, "%s/%s/" ERASURE_DIR, unit_dir(), home);
	snprintf(path, sizeof path, "%s/%.4s%.2s%.2sT000000-former.cert", dir, date, date + 5, date + 8);
	pass("former");
	record_id_new(jst_day_start_us(today) - 1000000, id);
	maillog_map_add(gate.queue_ids, STR("AAAAAA"), str_from_c(id), STR("former"), STR("a@former.example"));
	say(DEFERRED, "a@b");
	ck_assert(io_make_dirs(dir, 0700, &err) && io_replace_file(path, STR("x"), 0600, &err));
	say(SENT, "a@b");
	say(BOUNCED, "c@d");
	ck_assert_str_eq(told("relay"), "delayed:a@b:networkerror|");

	record_id_new(jst_day_start_us(today), id);
	maillog_map_add(gate.queue_ids, STR("AAAAAA"), str_from_c(id), STR("form"), STR("a@former.example"));
	say(SENT, "e@f");                               /* another tenant */
	maillog_map_add(gate.queue_ids, STR("AAAAAA"), str_from_c(id), STR("former"), STR("a@former.example"));
	say(SENT, "g@h");                               /* that very second: not known which was first */
	record_id_new(jst_day_start_us(today) + 1000000, id);
	maillog_map_add(gate.queue_ids, STR("AAAAAA"), str_from_c(id), STR("former"), STR("a@former.example"));
	say(SENT, "i@j");
	ck_assert_str_eq(told("relay"), "delayed:a@b:networkerror|delivered:e@f:-|delivered:i@j:-|");
}
END_TEST

/* Who waits, and what was told already, is sealed; the gate has the keys. */
START_TEST(restarted_sealed)
{
	pass("acme");
	say(DEFERRED, "a@b");
	say(SENT, "c@d");
	told("relay");
	restart_gate();
	say(SENT, "c@d");
	say(STAMP "postfix/qmgr[1]: AAAAAA: from=<s@t>, status=expired, returned to sender", NULL);
	ck_assert_int_eq(counted("acme"), 1001);
}
END_TEST

/* --- the thread that reads the log */

static void log_line(const char *format, const char *recipient)
{
	char path[4096];
	FILE *log;

	snprintf(path, sizeof path, "%s/%s/mail.log", unit_dir(), home);
	log = fopen(path, "a");
	ck_assert_ptr_nonnull(log);
	fprintf(log, format, recipient);
	fputc('\n', log);
	ck_assert_int_eq(fclose(log), 0);
}

static void wait_told(const char *what)
{
	while (!strstr(told("relay"), what))
		usleep(20000);
}

static const char *position_path(void)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%s/maillog.position", unit_dir(), home);
	return path;
}

static struct maillog *follow(void)
{
	struct config *config = config_acquire();
	struct maillog *maillog;
	struct err err;

	ck_assert_msg(maillog_start(&gate, config, &maillog, &err), "%s", err.text);
	config_release(config);
	return maillog;
}

/* As it is written, and what was written while nobody read; each once. */
START_TEST(followed)
{
	struct maillog *maillog;

	pass("acme");
	log_line(SENT, "first@b.example");
	maillog = follow();
	wait_told("delivered:first@b.example");
	log_line(BOUNCED, "second@b.example");
	wait_told("failed:second@b.example:userunknown");
	maillog_stop(maillog);
	log_line(SENT, "third@b.example");
	maillog = follow();
	wait_told("delivered:third@b.example");
	maillog_stop(maillog);
	ck_assert_str_eq(told("relay"), "delivered:first@b.example:-|failed:second@b.example:userunknown|delivered:third@b.example:-|");
}
END_TEST

/* It waits for a log that is not there yet, and can be stopped while it does. */
START_TEST(no_log_yet)
{
	struct maillog *maillog = follow();

	maillog_stop(maillog);
	maillog = follow();
	pass("acme");
	log_line(SENT, "a@b.example");
	wait_told("delivered:a@b.example");
	maillog_stop(maillog);
	maillog_stop(NULL);
}
END_TEST

static atomic_int refusals;                    /* of the position */
static int (*real_open)(const char *path, int flags, mode_t mode);

static int open_no_position(const char *path, int flags, mode_t mode)
{
	if (!refusals || !strstr(path, "/maillog.position"))
		return real_open(path, flags, mode);
	refusals--;
	errno = EMFILE;
	return -1;
}

/* A position that cannot be read is no lack of one: it is tried again. */
START_TEST(position_unread)
{
	struct maillog *maillog;

	pass("acme");
	log_line(SENT, "first@b.example");
	maillog = follow();
	wait_told("delivered:first@b.example");
	while (access(position_path(), F_OK) != 0)
		usleep(20000);
	maillog_stop(maillog);
	real_open = io_calls.open;
	io_calls.open = open_no_position;
	refusals = 2;
	log_line(SENT, "second@b.example");
	maillog = follow();
	wait_told("delivered:second@b.example");
	ck_assert_int_eq(refusals, 0);
	maillog_stop(maillog);
	io_calls.open = real_open;
}
END_TEST

static atomic_bool log_is_full;
static ssize_t (*real_write)(int fd, const void *data, size_t n);

static ssize_t write_elsewhere(int fd, const void *data, size_t n)
{
	char link[64], path[4096] = "";

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (!log_is_full || readlink(link, path, sizeof path - 1) < 0 || !strstr(path, ".jsonl"))
		return real_write(fd, data, n);
	errno = ENOSPC;
	return -1;
}

/* What is in memory alone would be lost with the process: the place from where it is read again stays before it. */
START_TEST(log_full_meanwhile)
{
	struct maillog *maillog;

	real_write = io_calls.write;
	io_calls.write = write_elsewhere;
	pass("acme");
	log_is_full = true;
	log_line(SENT, "a@b.example");
	maillog = follow();
	while (!gate_is_behind(&gate))
		usleep(20000);
	usleep(5000000);                /* it would have been kept twice by then */
	ck_assert_int_ne(access(position_path(), F_OK), 0);
	log_is_full = false;
	wait_told("delivered:a@b.example");
	while (access(position_path(), F_OK) != 0)
		usleep(20000);
	maillog_stop(maillog);
	io_calls.write = real_write;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("maillog judge");
	TCase *tcase = tcase_create("judge"), *in_seal = tcase_create("sealed");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, outcomes);
	tcase_add_test(tcase, said_twice);
	tcase_add_test(tcase, many_said_twice);
	tcase_add_test(tcase, own_class);
	tcase_add_test(tcase, expired);
	tcase_add_test(tcase, several_of_sendmail);
	tcase_add_loop_test(tcase, restarted, 0, 2);
	unit_add_rows(tcase, bounces_apart, apart_rows);
	tcase_add_test(tcase, erased_meanwhile);
	tcase_add_test(tcase, followed);
	tcase_add_test(tcase, no_log_yet);
	tcase_add_test(tcase, position_unread);
	tcase_add_test(tcase, log_full_meanwhile);
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(in_seal, setup_sealed, teardown);
	tcase_add_test(in_seal, restarted_sealed);
	suite_add_tcase(suite, in_seal);
	return unit_main(suite);
}
