/* config/base/retention, milter/record/purge: neither shorter nor longer than promised, and every removal declared. */
#include "t/lib/relaylog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/entry.h"
#include "milter/record/purge.h"
#include "milter/record/scan.h"

static struct relaylog relay;
static bool is_long;                            /* too many signatures for the second verifier, which checks them in Python */
static const struct retention days60 = { 60, false }, year = { 365, true };

static void setup(void)
{
	relaylog_setup(&relay);
}

static const struct { const char *name, *day, *purged; struct retention keep; } day_rows[] = {
	{ "60 days", "2026-11-21", "2027-01-21", { 60, false } },
	{ "20 days", "2026-11-21", "2026-12-12", { 20, false } },
	{ "a year", "2026-11-21", "2027-11-22", { 365, true } },
	{ "a year with a leap day in it", "2027-11-21", "2028-11-22", { 365, true } },
	{ "a year from 29 February", "2028-02-29", "2029-03-02", { 365, true } },
	{ "two years", "2026-11-21", "2028-11-22", { 730, true } },
	{ "two years from 29 February", "2028-02-29", "2030-03-02", { 730, true } },
	{ "365 days are days", "2027-11-21", "2028-11-21", { 365, false } },
};
START_TEST(purge_days)
{
	int64_t day, want;

	ck_assert(jst_parse_date(str_from_c(day_rows[_i].day), &day) && jst_parse_date(str_from_c(day_rows[_i].purged), &want));
	ck_assert_msg(retention_purge_day(day_rows[_i].keep, day) == want, "%s", day_rows[_i].name);
}
END_TEST

static const struct { const char *time, *end; struct retention keep; } end_rows[] = {
	{ "2026-11-21T18:04:05.123456+09:00", "2027-01-20T18:04:05.123456+09:00", { 60, false } },
	{ "2026-11-21T18:04:05.123456+09:00", "2027-11-21T18:04:05.123456+09:00", { 365, true } },
	{ "2028-02-29T23:59:59.999999+09:00", "2029-03-01T23:59:59.999999+09:00", { 365, true } },
};
START_TEST(record_ends)
{
	int64_t time_us, want;

	ck_assert(jst_parse_time(str_from_c(end_rows[_i].time), &time_us) && jst_parse_time(str_from_c(end_rows[_i].end), &want));
	ck_assert_int_eq(retention_end_us(end_rows[_i].keep, time_us), want);
}
END_TEST

/* No record outlives its file's last moment, and no file goes while one of its records is still shown. */
START_TEST(ends_and_days_agree)
{
	for (int64_t day = jst_day(NOON); day < jst_day(NOON) + 3000; day++) {
		const struct retention keeps[] = { days60, year, { 3 * RETENTION_YEAR_DAYS, true }, { 5 * RETENTION_YEAR_DAYS, true } };

		for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
			int64_t last_end = retention_end_us(keeps[i], jst_day_start_us(day + 1) - 1);

			ck_assert_int_le(last_end, jst_day_start_us(retention_purge_day(keeps[i], day)));
			ck_assert_int_gt(last_end, jst_day_start_us(retention_purge_day(keeps[i], day) - 1));
			ck_assert_int_le(retention_purge_day(keeps[i], day) - day, retention_days_most(keeps[i]) + 1);
		}
	}
}
END_TEST

static int64_t purge_as(struct retention keep, bool is_dry_run)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct err err = { .kind = ERR_NONE };
	int64_t count = -1;

	ck_assert_msg(record_purge(&config, keep, jst_day(clock_now_us()), is_dry_run, NULL, NULL, &count, &err), "%s", err.text);
	return count;
}

static enum verify_result verify_as(struct retention keep, const char *text)
{
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
					  .node = STR("mx1"), .class_name = STR("relay"), .first_day = INT64_MIN,
					  .last_day = INT64_MAX, .has_retention = true, .keep = keep };
	struct verify_report report;
	enum verify_result result;

	ck_assert(record_verify(&options, &report, NULL));
	result = report.result;
	if (text)
		ck_assert_msg(report.finding_count && str_starts(report.findings[0].text, str_from_c(text)), STR_FMT,
			      STR_ARG(report.findings[0].text));
	else
		ck_assert_msg(report.finding_count == 0, STR_FMT, STR_ARG(report.findings[0].text));
	verify_report_clear(&report);

	char text_of_keep[RETENTION_TEXT_MAX];

	retention_text(keep, text_of_keep);
	if (!is_long)
		relaylog_opinions(&relay, (int)result, text ? text : "good", "--keep", text_of_keep, NULL);
	return result;
}

static bool is_there(const char *file)
{
	char path[PATH_MAX];

	relaylog_path(&relay, file, path);
	return access(path, F_OK) == 0;
}

/* One record a day from 2026-11-21 on; the clock stands at noon of the last of `days` afterwards. */
static void live(int days)
{
	struct record_writer *writer = relaylog_open(&relay);

	for (int day = 0; day < days; day++) {
		clock_set(NOON + day * DAY_US);
		relaylog_append(writer, "accepted", "acme");
	}
	record_writer_close(writer);
}

START_TEST(the_61st_day)
{
	live(3);
	clock_set(NOON + 60 * DAY_US + DAY_US / 2 - 1);         /* 2027-01-20T23:59:59.999999 */
	ck_assert_int_eq(purge_as(days60, false), 0);
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
	clock_set(NOON + 60 * DAY_US + DAY_US / 2);             /* 2027-01-21T00:00:00 */
	ck_assert_int_eq(purge_as(days60, true), 1);
	ck_assert(is_there("2026-11-21.jsonl"));
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);   /* the purge has an hour */
	ck_assert_int_eq(purge_as(days60, false), 1);
	ck_assert(!is_there("2026-11-21.jsonl"));
	ck_assert(is_there("2026-11-22.jsonl"));
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
	ck_assert_int_eq(purge_as(days60, false), 0);
}
END_TEST

/* Nobody is shown a record that is over age, though its file has hours to go; until then everybody is. */
START_TEST(readers_at_the_edge)
{
	live(1);
	clock_set(NOON + 60 * DAY_US - 60 * US_PER_S);          /* a busy machine starts a program late */
	ck_assert_int_le(relaylog_search(&relay), 0);
	clock_set(NOON + 60 * DAY_US);
	ck_assert(is_there("2026-11-21.jsonl"));
	ck_assert_int_eq(relaylog_search(&relay), getenv("builddir") ? 1 : -1);
}
END_TEST

START_TEST(overdue)
{
	live(3);
	clock_set(NOON + 61 * DAY_US);
	ck_assert_int_eq(verify_as(days60, "OVERDUE: its time is over"), VERIFY_RETENTION);
}
END_TEST

START_TEST(early)
{
	live(5);
	ck_assert_int_eq(purge_as((struct retention){ 2, false }, false), 2);
	ck_assert_int_eq(verify_as((struct retention){ 2, false }, NULL), VERIFY_OK);
	ck_assert_int_eq(verify_as(days60, "EARLY: 2026-11-2"), VERIFY_RETENTION);
}
END_TEST

/* Somebody puts a purged file back: all signatures are right, and its time is over. */
START_TEST(a_purged_file_is_back)
{
	struct buf old;

	live(3);
	relaylog_read(&relay, "2026-11-21.jsonl", &old);
	clock_set(NOON + 60 * DAY_US + DAY_US / 2);
	ck_assert_int_eq(purge_as(days60, false), 1);
	relaylog_write(&relay, "2026-11-21.jsonl", buf_view(&old));
	clock_set(clock_now_us() + VERIFY_LATE_US + 60 * US_PER_S);

	struct verify_report report;

	relaylog_verify(&relay, &report);           /* nobody asked about retention */
	ck_assert_int_eq(report.result, VERIFY_RETENTION);
	ck_assert_uint_eq(report.finding_count, 1);
	ck_assert_str_is(report.findings[0].file, STR("2026-11-21.jsonl"));
	verify_report_clear(&report);
	relaylog_opinions(&relay, VERIFY_RETENTION, "a purged file is back", NULL);
	buf_clear(&old);
}
END_TEST

/* A class that nobody writes to any more: its newest file goes too, and a new one continues it. */
START_TEST(newest_goes_too)
{
	live(2);
	clock_set(NOON + 100 * DAY_US);
	ck_assert_int_eq(verify_as(days60, "OVERDUE: its time is over"), VERIFY_RETENTION);
	ck_assert_int_eq(purge_as(days60, true), 2);
	ck_assert(is_there("2026-11-22.jsonl"));
	ck_assert_int_eq(purge_as(days60, false), 2);
	ck_assert(!is_there("2026-11-21.jsonl") && !is_there("2026-11-22.jsonl"));
	ck_assert_str_eq(relaylog_story(&relay, true), "2027-03-01.jsonl: begin tenants checkpoint purged purged checkpoint");
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
	ck_assert_int_eq(purge_as(days60, false), 0);
	live(1);                                                /* the tenant's own numbers go on */
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:acme:3"));
}
END_TEST

/* A purge record that the key did not sign declares nothing. */
START_TEST(forged_purge)
{
	struct record_event event = { .event = STR("purged") };
	struct record_writer *writer;
	struct buf text;
	char path[PATH_MAX];

	live(5);
	ck_assert_int_eq(purge_as((struct retention){ 3, false }, false), 1);
	relaylog_read(&relay, "2026-11-25.jsonl", &text);

	/* The signed detail, for another file. */
	size_t at = str_find(buf_view(&text), STR("\"event\":\"purged\""));
	struct str detail = str_from(buf_view(&text), at + str_find(str_from(buf_view(&text), at), STR("\"detail\":{")) + 9);

	detail.len = str_find_byte(detail, '}') + 1;
	at = str_find(detail, STR("2026-11-21"));
	ck_assert_uint_lt(at, detail.len);
	((char *)(uintptr_t)detail.ptr)[at + 9] = '2';
	event.detail = detail;
	writer = relaylog_open(&relay);
	ck_assert(record_append(writer, &event, RECORD_DURABLE, NULL, NULL));
	record_writer_close(writer);
	relaylog_path(&relay, "2026-11-22.jsonl", path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(verify_as((struct retention){ 3, false }, "2026-11-22.jsonl is missing"), VERIFY_TAMPERED);
	buf_clear(&text);
}
END_TEST

/* The `number`th purged record's detail, from 0, of a file's text. */
static struct str purged_detail(const struct buf *text, int number)
{
	struct str rest = buf_view(text), line, event, detail;

	while (str_cut(rest, '\n', &line, &rest))
		if (scan_find_string(line, STR("event"), &event) && str_eq(event, STR("purged")) && number-- == 0 &&
		    scan_find(line, STR("detail"), &detail))
			return detail;
	ck_abort_msg("no such purged record");
}

/* Who has the records alone can say which lines went, that none is missing between them, and why. */
START_TEST(says_what_went)
{
	struct str first, second, before, hash, reason;
	int64_t from, to, next;
	struct buf text;

	live(5);
	ck_assert_int_eq(purge_as((struct retention){ 2, false }, false), 2);
	relaylog_read(&relay, "2026-11-25.jsonl", &text);
	first = purged_detail(&text, 0);
	second = purged_detail(&text, 1);
	ck_assert(scan_find_i64(first, STR("first"), &from) && scan_find_i64(first, STR("last"), &to) &&
		  scan_find_string(first, STR("before"), &before) && scan_find_string(first, STR("hash"), &hash) &&
		  scan_find_string(first, STR("reason"), &reason));
	ck_assert_int_eq(from, 1);
	ck_assert_int_gt(to, 1);
	ck_assert_uint_eq(unit_count(before, "0"), 2 * CHAIN_LEN);
	ck_assert_str_is(reason, STR("retention"));
	ck_assert(scan_find_i64(second, STR("first"), &next) && scan_find_string(second, STR("before"), &before));
	ck_assert_int_eq(next, to + 1);
	ck_assert_str_is(before, hash);
	buf_clear(&text);
}
END_TEST

/* A file whose beginning is damaged goes all the same, and of its beginning nothing is said. */
START_TEST(a_beginning_that_nobody_can_read)
{
	struct str detail, value;
	struct buf text;

	live(3);
	relaylog_read(&relay, "2026-11-21.jsonl", &text);
	text.ptr[0] = '#';
	relaylog_write(&relay, "2026-11-21.jsonl", buf_view(&text));
	buf_clear(&text);
	clock_set(NOON + 60 * DAY_US + DAY_US / 2);
	ck_assert_int_eq(purge_as(days60, false), 1);
	relaylog_read(&relay, "2027-01-21.jsonl", &text);
	detail = purged_detail(&text, 0);
	ck_assert(!scan_find(detail, STR("first"), &value) && !scan_find(detail, STR("before"), &value));
	ck_assert(scan_find(detail, STR("reason"), &value));
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
	buf_clear(&text);
}
END_TEST

static int (*real_open)(const char *path, int flags, mode_t mode);
static int fail_open(const char *path, int flags, mode_t mode)
{
	if (!strstr(path, "2026-11-21.jsonl"))
		return real_open(path, flags, mode);
	errno = EACCES;                         /* as somebody put it back from a copy */
	return -1;
}

/* The next file says where it ended: it goes though nobody can look into it. */
START_TEST(a_file_that_nobody_can_open)
{
	struct record_writer_config config = relaylog_config(&relay);
	int64_t count = 0;
	struct err err = { .text = "" };

	live(3);
	clock_set(NOON + 60 * DAY_US + DAY_US / 2);
	real_open = io_calls.open;
	io_calls.open = fail_open;
	bool ok = record_purge(&config, days60, jst_day(clock_now_us()), false, NULL, NULL, &count, &err);

	io_calls.open = real_open;
	ck_assert_msg(ok, "%s", err.text);
	ck_assert_int_eq(count, 1);
	ck_assert(!is_there("2026-11-21.jsonl"));
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
}
END_TEST

/* Declared as earlier versions did: without first, before and reason. */
START_TEST(an_earlier_version_purged)
{
	struct purged_entry purged = { .node = STR("mx1"), .class_name = STR("relay"), .file = STR("2026-11-21.jsonl"),
				       .keep = STR("60d") };
	struct record_event event = { .event = STR("purged") };
	struct record_writer *writer;
	struct begin_entry begin;
	struct str line, rest, detail;
	struct sign_key *key;
	struct buf text;
	char path[PATH_MAX];

	live(3);
	relaylog_read(&relay, "2026-11-22.jsonl", &text);
	ck_assert(str_cut(buf_view(&text), '\n', &line, &rest) && scan_find(line, STR("detail"), &detail) &&
		  begin_entry_read(detail, &begin) && sign_key_load(relay.key, &key, NULL));
	purged.last = begin.after;
	memcpy(purged.hash, begin.hash, CHAIN_LEN);
	ck_assert(purged_entry_write(&purged, key, &text, NULL) && buf_done(&text, &event.detail, NULL));
	ck_assert_uint_eq(unit_count(event.detail, "\"reason\"") + unit_count(event.detail, "\"first\""), 0);
	clock_set(NOON + 60 * DAY_US + DAY_US / 2);
	writer = relaylog_open(&relay);
	ck_assert(record_append(writer, &event, RECORD_DURABLE, NULL, NULL));
	record_writer_close(writer);
	relaylog_path(&relay, "2026-11-21.jsonl", path);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
	sign_key_free(key);
	buf_clear(&text);
}
END_TEST

static int unlinks_left;
static int (*real_unlink)(const char *path);
static int fail_unlink(const char *path)
{
	return unlinks_left-- > 0 ? real_unlink(path) : -1;
}

/* Cut off between the record and the removal: done again, and never more than declared. */
START_TEST(interrupted)
{
	struct record_writer_config config = relaylog_config(&relay);
	int64_t count;

	live(5);
	real_unlink = io_calls.unlink;
	io_calls.unlink = fail_unlink;
	unlinks_left = 1;
	ck_assert(!record_purge(&config, (struct retention){ 1, false }, jst_day(clock_now_us()), false, NULL, NULL, &count, NULL));
	io_calls.unlink = real_unlink;
	ck_assert(!is_there("2026-11-21.jsonl") && is_there("2026-11-22.jsonl"));
	ck_assert_int_eq(verify_as((struct retention){ 1, false }, "OVERDUE"), VERIFY_RETENTION);
	ck_assert_int_eq(purge_as((struct retention){ 1, false }, false), 2);
	ck_assert_int_eq(verify_as((struct retention){ 1, false }, NULL), VERIFY_OK);
}
END_TEST

/* What bears a day's name and cannot be read stays, with the days after it, and is spoken of. */
START_TEST(unreadable)
{
	struct record_writer_config config = relaylog_config(&relay);
	char path[PATH_MAX];
	struct err err = { .text = "" };
	int64_t count = 0;

	live(1);
	relaylog_path(&relay, "2026-11-20.jsonl", path);
	ck_assert(mkdir(path, 0700) == 0);
	clock_set(NOON + 100 * DAY_US);
	ck_assert(!record_purge(&config, days60, jst_day(clock_now_us()), false, NULL, NULL, &count, &err));
	ck_assert_msg(strstr(err.text, path), "%s", err.text);
	ck_assert(is_there("2026-11-20.jsonl") && is_there("2026-11-21.jsonl"));
}
END_TEST

/* 130 days in one run: purged day by day, verified all along. */
START_TEST(a_life)
{
	struct record_writer *writer = relaylog_open(&relay);

	is_long = true;
	for (int day = 0; day < 130; day++) {
		clock_set(NOON + day * DAY_US);
		relaylog_append(writer, "accepted", day % 3 ? "acme" : "ginza");
		ck_assert_int_eq(purge_as(days60, false), day > 60);
		if (day % 10 == 9)
			ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
	}
	record_writer_close(writer);
	ck_assert_int_eq(verify_as(days60, NULL), VERIFY_OK);
}
END_TEST

static void until_the_day_after(void *arg, const char *file, int64_t octets)
{
	(void)arg;
	(void)file;
	(void)octets;
	clock_set(NOON + 3 * DAY_US);
}

START_TEST(what_an_erasure_left)
{
	live(1);
	relaylog_write(&relay, ".erase.tmp", STR("a copy of a day"));
	ck_assert_int_eq(purge_as(days60, false), 0);
	ck_assert(!is_there(".erase.tmp"));
}
END_TEST

/* Midnight comes while files are removed, and with it the newest one's time: that is the next run's. */
START_TEST(midnight_meanwhile)
{
	struct record_writer_config config = relaylog_config(&relay);
	const struct retention keep = { 1, false };
	int64_t count;
	struct err err;

	relaylog_days(&relay, 2, 2);
	clock_set(NOON + 2 * DAY_US);
	ck_assert_msg(record_purge(&config, keep, jst_day(clock_now_us()), false, until_the_day_after, NULL, &count, &err), "%s", err.text);
	ck_assert_int_eq(count, 1);
	ck_assert_msg(record_purge(&config, keep, jst_day(clock_now_us()), false, NULL, NULL, &count, &err), "%s", err.text);
	ck_assert_int_eq(count, 1);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record retention");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	unit_add_rows(tcase, purge_days, day_rows);
	unit_add_rows(tcase, record_ends, end_rows);
	tcase_add_test(tcase, ends_and_days_agree);
	tcase_add_test(tcase, the_61st_day);
	tcase_add_test(tcase, readers_at_the_edge);
	tcase_add_test(tcase, overdue);
	tcase_add_test(tcase, early);
	tcase_add_test(tcase, a_purged_file_is_back);
	tcase_add_test(tcase, newest_goes_too);
	tcase_add_test(tcase, forged_purge);
	tcase_add_test(tcase, says_what_went);
	tcase_add_test(tcase, a_beginning_that_nobody_can_read);
	tcase_add_test(tcase, a_file_that_nobody_can_open);
	tcase_add_test(tcase, an_earlier_version_purged);
	tcase_add_test(tcase, midnight_meanwhile);
	tcase_add_test(tcase, interrupted);
	tcase_add_test(tcase, unreadable);
	tcase_add_test(tcase, a_life);
	tcase_add_test(tcase, what_an_erasure_left);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
