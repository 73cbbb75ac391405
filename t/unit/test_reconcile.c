/* milter/tool/reconcile: what went round the gate is found, what the MTA made of recorded mail is not, in either MTA's words. */
#include "t/lib/unit.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/tool/reconcile.h"

#define NOW INT64_C(1795237200000000)               /* 2026-11-21T14:00:00+09:00 */
#define T "2026-11-21T12:00:00.000000+09:00 mx "
#define LATER "2026-11-21T13:30:00.000000+09:00 mx "
#define ACTIVE(id) T "postfix/qmgr[2]: " id ": from=<a@acme.test>, size=9, nrcpt=1 (queue active)\n"
#define BY_SMTP(id) T "postfix/smtpd[1]: " id ": client=c[192.0.2.7]\n" T "postfix/cleanup[1]: " id ": message-id=<m@x>\n" ACTIVE(id)
#define REMOVED(id) LATER "postfix/qmgr[2]: " id ": removed\n"
#define OPENING "2026-11-21T11:00:00.000000+09:00 mx postfix/qmgr[2]: 0AAAAA: removed\n"
#define ENDING "2026-11-21T13:59:59.000000+09:00 mx postfix/qmgr[2]: 0ZZZZZ: removed\n"

/* `want`: a word an item: the queue id, "+" explained or "-" not, and what its reason holds. */
static const struct {
	const char *name, *log, *records;          /* records: queue ids; ~ID: refused; at noon */
	struct { const char *id; bool is_explained; const char *reason; } want[4];
} rows[] = {
	{ "recorded", BY_SMTP("4AAAA1"), "4AAAA1", { { NULL } } },
	{ "round the gate by SMTP", BY_SMTP("4AAAA1") BY_SMTP("4AAAA2"), "4AAAA1",
	  { { "4AAAA2", false, "by SMTP from c[192.0.2.7]" } } },
	{ "submission under another name", T "postfix/submission/smtpd[1]: 4AAAA2: client=d[192.0.2.8], sasl_method=PLAIN\n" ACTIVE("4AAAA2"),
	  "", { { "4AAAA2", false, "d[192.0.2.8]" } } },
	{ "handed in on the host", T "postfix/pickup[1]: 4AAAA2: uid=0 from=<root>\n" ACTIVE("4AAAA2"), "",
	  { { "4AAAA2", false, "(uid=0) and not shown to the gate: see non_smtpd_milters" } } },
	{ "handed in on the host, and recorded", T "postfix/pickup[1]: 4AAAA2: uid=0 from=<root>\n" ACTIVE("4AAAA2"), "4AAAA2", { { NULL } } },
	{ "a bounce of the MTA's own", BY_SMTP("4AAAA1") T "postfix/bounce[3]: 4AAAA1: sender non-delivery notification: 4AAAB1\n"
	  T "postfix/cleanup[1]: 4AAAB1: message-id=<m@x>\n" ACTIVE("4AAAB1"), "4AAAA1",
	  { { "4AAAB1", true, "the MTA's own report about 4AAAA1" } } },
	{ "its line before its cause", BY_SMTP("4AAAA1") T "postfix/cleanup[1]: 4AAAB1: message-id=<m@x>\n" ACTIVE("4AAAB1")
	  T "postfix/bounce[3]: 4AAAA1: sender delay notification: 4AAAB1\n", "4AAAA1", { { "4AAAB1", true, "report about 4AAAA1" } } },
	{ "all its lines before its cause", BY_SMTP("4AAAA1") T "postfix/cleanup[1]: 4AAAB1: message-id=<m@x>\n" ACTIVE("4AAAB1")
	  T "postfix/qmgr[2]: 4AAAB1: removed\n" T "postfix/bounce[3]: 4AAAA1: sender non-delivery notification: 4AAAB1\n", "4AAAA1",
	  { { "4AAAB1", true, "report about 4AAAA1" } } },
	{ "requeued", BY_SMTP("4AAAA1") T "postfix/pickup[1]: 4AAAC1: uid=0 from=<a@acme.test> orig_id=4AAAA1\n" ACTIVE("4AAAC1"), "4AAAA1",
	  { { "4AAAC1", true, "requeued, before it was 4AAAA1" } } },
	{ "requeued, and never recorded", BY_SMTP("4AAAA1") T "postfix/pickup[1]: 4AAAC1: uid=0 from=<a@acme.test> orig_id=4AAAA1\n"
	  ACTIVE("4AAAC1"), "", { { "4AAAA1", false, "by SMTP" }, { "4AAAC1", false, "4AAAA1, which has none either" } } },
	{ "back from a content filter", BY_SMTP("4AAAA1") T "postfix/smtpd[1]: 4AAAD1: client=localhost[127.0.0.1], orig_queue_id=4AAAA1, "
	  "orig_client=c[192.0.2.7]\n" ACTIVE("4AAAD1"), "4AAAA1", { { "4AAAD1", true, "content filter, before it was 4AAAA1" } } },
	{ "back from another one", BY_SMTP("4AAAA1") T "postfix/smtpd[1]: 4AAAD1: client=localhost[127.0.0.1]\n" ACTIVE("4AAAD1")
	  T "postfix/smtp[4]: 4AAAA1: to=<b@x>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4AAAD1)\n",
	  "4AAAA1", { { "4AAAD1", true, "content filter" } } },
	{ "a stranger's server says that it was it", BY_SMTP("4AAAA1") BY_SMTP("4AAAD1")
	  T "postfix/smtp[4]: 4AAAA1: to=<b@x>, relay=evil[203.0.113.9]:25, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4AAAD1)\n",
	  "4AAAA1", { { "4AAAD1", false, "by SMTP" } } },
	{ "a stranger's recipient says where it went", BY_SMTP("4AAAA1") BY_SMTP("4AAAD1")
	  T "postfix/smtp[4]: 4AAAA1: to=<\"x, relay=127.0.0.1[\"@y>, relay=evil[203.0.113.9]:25, dsn=2.0.0, status=sent (queued as 4AAAD1)\n",
	  "4AAAA1", { { "4AAAD1", false, "by SMTP" } } },
	{ "forwarded by an alias", BY_SMTP("4AAAA1") T "postfix/local[5]: 4AAAA1: to=<b@x>, relay=local, dsn=2.0.0, status=sent (forwarded as 4AAAE1)\n"
	  T "postfix/cleanup[1]: 4AAAE1: message-id=<m@x>\n" ACTIVE("4AAAE1"), "4AAAA1", { { "4AAAE1", true, "forwarded by an alias" } } },
	{ "an address probe", T "postfix/cleanup[1]: 4AAAF1: message-id=<m@x>\n"
	  T "postfix/qmgr[2]: 4AAAF1: from=<double-bounce@mx.test>, size=9, nrcpt=1 (queue active)\n", "",
	  { { "4AAAF1", true, "address probe" } } },
	{ "somebody who calls himself so", T "postfix/smtpd[1]: 4AAAF1: client=c[192.0.2.7]\n"
	  T "postfix/qmgr[2]: 4AAAF1: from=<double-bounce@mx.test>, size=9, nrcpt=1 (queue active)\n", "",
	  { { "4AAAF1", false, "by SMTP" } } },
	{ "made inside", T "postfix/cleanup[1]: 4AAAF1: message-id=<m@x>\n" ACTIVE("4AAAF1"), "", { { "4AAAF1", false, "no line says from what" } } },
	{ "in the queue since before these files", ACTIVE("4AAAG1"), "", { { "4AAAG1", true, "before these files" } } },
	{ "refused by a later filter", T "postfix/smtpd[1]: 4AAAH1: client=c[192.0.2.7]\n" T "postfix/cleanup[1]: 4AAAH1: milter-reject: "
	  "END-OF-MESSAGE from c[192.0.2.7]: 5.7.1 no; from=<a@b> to=<c@d>\n", "", { { NULL } } },
	{ "a record that the MTA does not know", BY_SMTP("4AAAA1"), "4AAAA1 4AAAX1", { { "4AAAX1", false, "NO MESSAGE" } } },
	{ "a refusal that it does not know", BY_SMTP("4AAAA1"), "4AAAA1 ~4AAAX1", { { NULL } } },
	{ "a short queue id, used again", BY_SMTP("A1B2C3") "2026-11-21T12:10:00.000000+09:00 mx postfix/qmgr[2]: A1B2C3: removed\n"
	  LATER "postfix/smtpd[1]: A1B2C3: client=e[192.0.2.9]\n" LATER "postfix/qmgr[2]: A1B2C3: from=<>, size=9, nrcpt=1 (queue active)\n",
	  "A1B2C3", { { "A1B2C3", false, "e[192.0.2.9]" } } },
	{ "times of syslog", "Nov 21 12:00:00 mx postfix/smtpd[1]: 4AAAA2: client=c[192.0.2.7]\n"
	  "Nov 21 12:00:00 mx postfix/qmgr[1]: 4AAAA2: from=<>, size=1, nrcpt=1 (queue active)\n", "4AAAA2", { { NULL } } },
	{ "times of a journal, in UTC", "2026-11-21T03:00:00+0000 mx postfix/smtpd[1]: 4AAAA2: client=c[192.0.2.7]\n"
	  "2026-11-21T03:00:00Z mx postfix/qmgr[1]: 4AAAA2: from=<>, size=1, nrcpt=1 (queue active)\n", "4AAAA2", { { NULL } } },
	{ "sendmail", T "sm-mta[9]: 6A10: from=<a@acme.test>, size=9, class=0, nrcpts=1, msgid=<m@x>, proto=ESMTP, daemon=MTA, relay=c [192.0.2.7]\n"
	  T "sm-mta[9]: 6A1Bcd000010: from=<a@acme.test>, size=9, class=0, nrcpts=1, proto=ESMTP, daemon=MTA, relay=c [192.0.2.7]\n",
	  "6A1Bcd000010", { { NULL } } },
	{ "sendmail, round the gate", T "sm-mta[9]: 6A1Bcd000010: from=<a@acme.test>, size=9, nrcpts=1, daemon=MTA, relay=c [192.0.2.7]\n", "",
	  { { "6A1Bcd000010", false, "by SMTP from c [192.0.2.7]" } } },
	{ "sendmail's submission", T "sendmail[8]: 6A1Bcd000020: from=root, size=9, nrcpts=1, relay=root@localhost\n"
	  T "sm-mta[9]: 6A1Bcd000021: from=<root@mx>, size=9, nrcpts=1, daemon=MTA, relay=localhost [127.0.0.1]\n"
	  T "sendmail[8]: 6A1Bcd000020: to=b@x, delay=00:00:00, relay=[127.0.0.1] [127.0.0.1], dsn=2.0.0, stat=Sent (6A1Bcd000021 Message accepted for delivery)\n",
	  "6A1Bcd000021", { { "6A1Bcd000020", true, "handed on to the MTA's daemon as 6A1Bcd000021" } } },
	{ "sendmail's own bounce", T "sm-mta[9]: 6A1Bcd000010: from=<a@acme.test>, size=9, nrcpts=1, daemon=MTA, relay=c [192.0.2.7]\n"
	  T "sm-mta[9]: 6A1Bcd000010: 6A1Bcd000011: DSN: User unknown\n"
	  T "sm-mta[9]: 6A1Bcd000011: from=<>, size=9, nrcpts=1, relay=localhost\n", "6A1Bcd000010",
	  { { "6A1Bcd000011", true, "report about 6A1Bcd000010" } } },
	{ "nothing of an MTA's", "hello\n\n" T "sshd[1]: Accepted publickey for root\n" T "postfix/smtpd[1]: NOQUEUE: reject: RCPT\n"
	  T "postfix/smtpd[1]: warning: x: y\n", "", { { NULL } } },
};

struct seen {
	size_t row, count;
};

static void look_at(void *arg, const struct reconcile_item *item)
{
	struct seen *seen = arg;
	const char *name = rows[seen->row].name, *id;

	ck_assert_msg(seen->count < 4, "%s: too many", name);
	id = rows[seen->row].want[seen->count].id;
	ck_assert_msg(id && str_eq(item->queue_id, str_from_c(id)), "%s: " STR_FMT ": " STR_FMT, name, STR_ARG(item->queue_id),
		      STR_ARG(item->reason));
	ck_assert_msg(item->is_explained == rows[seen->row].want[seen->count].is_explained &&
			      str_find(item->reason, str_from_c(rows[seen->row].want[seen->count].reason)) < item->reason.len,
		      "%s: " STR_FMT, name, STR_ARG(item->reason));
	seen->count++;
}

static void feed(struct reconcile *reconcile, const char *log)
{
	struct str rest = str_from_c(log), line;

	while (str_next(&rest, '\n', &line)) {
		struct str wall = unit_wall(line);

		ck_assert(reconcile_line(reconcile, wall));
		unit_wall_free(wall);
	}
}

START_TEST(logs)
{
	struct seen seen = { .row = (size_t)_i };
	struct str rest = str_from_c(rows[_i].records), word;
	struct reconcile reconcile;

	setenv("TZ", "JST-9", 1);
	reconcile_init(&reconcile, NOW);
	feed(&reconcile, OPENING);
	feed(&reconcile, rows[_i].log);
	feed(&reconcile, ENDING);
	while (rest.len && str_next(&rest, ' ', &word)) {
		bool has_passed = word.ptr[0] != '~';

		ck_assert(reconcile_record(&reconcile, str_from(word, !has_passed), STR("01J"), NOW - 2 * 3600 * US_PER_S, has_passed));
	}
	reconcile_conclude(&reconcile, NOW - DAY_US, look_at, &seen);
	ck_assert_msg(seen.count == 4 || !rows[_i].want[seen.count].id, "%s: %zu findings", rows[_i].name, seen.count);
	reconcile_clear(&reconcile);
}
END_TEST

static void count_explained(void *arg, const struct reconcile_item *item)
{
	*(int *)arg += item->is_explained;
}

START_TEST(before_the_log)
{
	struct reconcile reconcile;
	int explained = 0;

	reconcile_init(&reconcile, NOW);
	feed(&reconcile, BY_SMTP("4AAAA1"));
	reconcile_conclude(&reconcile, NOW, count_explained, &explained);
	ck_assert_int_eq(explained, 1);
	reconcile_clear(&reconcile);
}
END_TEST

/* Cuts and flips: no line of an MTA breaks it. */
START_TEST(broken_lines)
{
	struct reconcile reconcile;
	int explained = 0;

	reconcile_init(&reconcile, NOW);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct str rest = str_from_c(rows[i].log), line;

		while (str_next(&rest, '\n', &line)) {
			for (size_t cut = 0; cut <= line.len; cut++) {
				struct str wall = unit_wall(str_slice(line, 0, cut));

				ck_assert(reconcile_line(&reconcile, wall));
				if (cut)
					((char *)(uintptr_t)wall.ptr)[cut / 2] = "\0\xff,: "[cut % 5];
				ck_assert(reconcile_line(&reconcile, wall));
				unit_wall_free(wall);
			}
		}
	}
	reconcile_conclude(&reconcile, NOW - DAY_US, count_explained, &explained);
	reconcile_clear(&reconcile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reconcile");
	TCase *tcase = tcase_create("all");

	unit_add_rows(tcase, logs, rows);
	tcase_add_test(tcase, before_the_log);
	tcase_add_test(tcase, broken_lines);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
