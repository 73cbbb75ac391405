/* milter/record/writer, tail, commit, reader: records made durable, days, parts, crashes, several writers. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/reader.h"
#include "milter/record/timesync.h"

static struct relaylog relay;

static void setup(void)
{
	relaylog_setup(&relay);
}

START_TEST(first_records)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct record_writer_state state;

	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "rejected", "ginza");
	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "config", "");
	record_writer_state(writer, &state);
	ck_assert_int_eq(state.seq, 6);
	ck_assert_int_eq(state.records, 4);
	ck_assert_str_eq(state.file, "2026-11-21.jsonl");
	record_writer_close(writer);
	ck_assert_str_eq(relaylog_story(&relay, true), "2026-11-21.jsonl: begin checkpoint accepted:acme:1 rejected:ginza:1 accepted:acme:2 "
				      "config checkpoint");
}
END_TEST

/* The first thing that goes wrong on a new host. */
START_TEST(key_that_is_none)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;
	struct err err;

	unlink(relay.key);
	ck_assert(!record_writer_open(&config, &writer, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "there is no such key; make it with: sekisho key new --owner "), "%s", err.text);
	ck_assert(io_replace_file(relay.key, STR("no key\n"), 0600, NULL));
	ck_assert(!record_writer_open(&config, &writer, &err));
	ck_assert_msg(strstr(err.text, "move it away"), "%s", err.text);
	ck_assert_int_eq(chmod(relay.key, 0), 0);
	ck_assert(!record_writer_open(&config, &writer, &err));
	ck_assert_msg(geteuid() == 0 || strstr(err.text, "may not read it: it belongs to "), "%s", err.text);
}
END_TEST

START_TEST(goes_on_after_restart)
{
	struct record_writer *writer = relaylog_open(&relay);

	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_str_eq(relaylog_story(&relay, false), "begin checkpoint accepted:acme:1 checkpoint accepted:acme:2 checkpoint");
}
END_TEST

START_TEST(reader_goes_back)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct record_reader *reader;
	struct record_link link;
	struct str line;
	bool is_torn, found;

	for (int day = 0; day < 3; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < 5; i++)
			relaylog_append(writer, "accepted", "acme");
	}
	record_writer_close(writer);
	ck_assert(record_reader_open(str_from_c(relay.dir), INT64_MIN, jst_day(NOON + DAY_US), true, &reader, NULL));
	for (int64_t seq = 16; seq > 0; seq--) {
		ck_assert(record_reader_next(reader, &line, &is_torn, &found, NULL) && found && !is_torn);
		ck_assert(record_parse_link(line, &link));
		ck_assert_int_eq(link.seq, seq);
	}
	ck_assert(record_reader_next(reader, &line, &is_torn, &found, NULL) && !found);
	record_reader_close(reader);
}
END_TEST

START_TEST(days_change)
{
	struct record_writer *writer = relaylog_open(&relay);

	relaylog_append(writer, "accepted", "acme");
	clock_set(NOON + DAY_US / 2 - 1);
	relaylog_append(writer, "accepted", "acme");
	clock_set(NOON + DAY_US / 2);
	relaylog_append(writer, "accepted", "ginza");
	clock_set(NOON + 5 * DAY_US);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_str_eq(relaylog_story(&relay, true),
			 "2026-11-21.jsonl: begin checkpoint accepted:acme:1 accepted:acme:2 checkpoint "
			 "2026-11-22.jsonl: begin tenants accepted:ginza:1 checkpoint "
			 "2026-11-26.jsonl: begin tenants accepted:acme:3 checkpoint");
}
END_TEST

/* Back over midnight: the newer file stays, its lines say so, and nobody takes the order from the time. */
START_TEST(clock_goes_back)
{
	struct record_writer *writer;

	clock_set(NOON + DAY_US);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "acme");
	clock_set(NOON);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "acme");
	clock_set(NOON + DAY_US);
	relaylog_append(writer, "accepted", "acme");
	clock_set(NOON + DAY_US - 2 * US_PER_S);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_str_eq(relaylog_story(&relay, true),
			 "2026-11-22.jsonl: begin checkpoint accepted:acme:1 clock(behind) accepted:acme:2(behind) "
			 "checkpoint(behind) accepted:acme:3(behind) accepted:acme:4 clock accepted:acme:5 checkpoint");
}
END_TEST

START_TEST(clock_degrades)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct record_writer_state state;

	timesync_set(TIMESYNC_DEGRADED_US + 1);
	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "accepted", "acme");
	timesync_set(TIMESYNC_NONE_US);
	relaylog_append(writer, "accepted", "acme");
	record_writer_state(writer, &state);
	ck_assert_str_eq(state.clock, "unsynchronised");
	ck_assert_int_eq(state.clock_error_us, TIMESYNC_NONE_US);
	timesync_set(5000);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_str_eq(relaylog_story(&relay, false),
			 "begin checkpoint clock(degraded) accepted:acme:1(degraded) accepted:acme:2(degraded) "
			 "clock(unsynchronised) accepted:acme:3(unsynchronised) clock accepted:acme:4 checkpoint");
}
END_TEST

/* Two on one directory, as the daemon and the tool are: turn by turn, over midnight. */
START_TEST(two_writers)
{
	struct record_writer *a = relaylog_open(&relay), *b = relaylog_open(&relay);

	relaylog_append(a, "accepted", "acme");
	relaylog_append(b, "access", "acme");
	relaylog_append(b, "access", "ginza");
	relaylog_append(a, "accepted", "acme");
	clock_set(NOON + DAY_US);
	relaylog_append(b, "access", "acme");
	relaylog_append(a, "accepted", "acme");
	record_writer_close(b);
	relaylog_append(a, "accepted", "ginza");
	record_writer_close(a);
	ck_assert_str_eq(relaylog_story(&relay, true),
			 "2026-11-21.jsonl: begin checkpoint accepted:acme:1 access:acme:2 access:ginza:1 accepted:acme:3 checkpoint "
			 "2026-11-22.jsonl: begin tenants access:acme:4 accepted:acme:5 checkpoint accepted:ginza:2 checkpoint");
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* Tenants' numbers go on over days and restarts without older files, be they many. */
START_TEST(many_tenants)
{
	struct record_writer *writer = relaylog_open(&relay);
	char name[32], want[64];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "tenant-%d", i);
		relaylog_append(writer, "accepted", name);
	}
	clock_set(NOON + DAY_US);
	relaylog_append(writer, "accepted", "tenant-499");
	record_writer_close(writer);
	relaylog_path(&relay, "2026-11-21.jsonl", relay.key);
	ck_assert_int_eq(unlink(relay.key), 0);
	snprintf(relay.key, sizeof relay.key, "%.*s", (int)strlen(relay.pub) - 4, relay.pub);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "tenant-0");
	relaylog_append(writer, "accepted", "tenant-499");
	record_writer_close(writer);
	snprintf(want, sizeof want, "begin tenants tenants tenants tenants accepted:tenant-499:2");
	ck_assert_int_eq(strncmp(relaylog_story(&relay, false), want, strlen(want)), 0);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:tenant-0:2 accepted:tenant-499:3"));
}
END_TEST

static void add_zeros(struct buf *text)
{
	static const char zeros[10000];

	buf_add(text, str_of(zeros, sizeof zeros));
}
static void add_garbage(struct buf *text) { buf_add(text, STR("\xff\x00 garbage\n\n{\"seq\":3\n")); }
static void cut_line(struct buf *text) { text->len -= 3; }
static void damage(struct buf *text) { memset(text->ptr + relaylog_line(buf_view(text), 2) + 5, 0, 40); }
static void damage_last(struct buf *text) { memset(text->ptr + relaylog_line(buf_view(text), 4) + 150, 0, 40); }

static const struct {
	const char *name;
	void (*harm)(struct buf *text);
	const char *want;
	enum verify_result result;
} harm_rows[] = {
	{ "zeros after power loss", add_zeros,
	  "2026-11-21.jsonl: begin checkpoint accepted:acme:1 accepted:acme:2 checkpoint recovered checkpoint accepted:acme:3 checkpoint",
	  VERIFY_OK },
	{ "garbage after power loss", add_garbage,
	  "2026-11-21.jsonl: begin checkpoint accepted:acme:1 accepted:acme:2 checkpoint recovered checkpoint accepted:acme:3 checkpoint",
	  VERIFY_OK },
	{ "a torn line", cut_line,
	  "2026-11-21.jsonl: begin checkpoint accepted:acme:1 accepted:acme:2 recovered checkpoint accepted:acme:3 checkpoint",
	  VERIFY_OK },
};
START_TEST(torn_tails)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct buf text;

	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "accepted", "acme");
	relaylog_keep_once(&relay);
	record_writer_close(writer);
	relaylog_read(&relay, "2026-11-21.jsonl", &text);
	if (str_eq(str_from_c(harm_rows[_i].name), STR("a torn line")))
		relaylog_put_once(&relay);          /* the torn line is the checkpoint: a crash in the middle of it */
	harm_rows[_i].harm(&text);
	relaylog_write(&relay, "2026-11-21.jsonl", buf_view(&text));
	buf_clear(&text);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_str_eq(relaylog_story(&relay, true), harm_rows[_i].want);
	relaylog_must_verify(&relay, harm_rows[_i].result);
}
END_TEST

/* Damage that is no torn tail is evidence: the file keeps every octet, the log goes on in a part. */
START_TEST(damaged_file)
{
	void (*const harms[])(struct buf *) = { damage, damage_last };
	struct record_writer *writer = relaylog_open(&relay);
	struct verify_report report;
	struct buf before, after;

	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	relaylog_read(&relay, "2026-11-21.jsonl", &before);
	harms[_i](&before);
	relaylog_write(&relay, "2026-11-21.jsonl", buf_view(&before));
	for (int i = 0; i < 2; i++) {
		writer = relaylog_open(&relay);
		relaylog_append(writer, "accepted", "acme");
		record_writer_close(writer);
	}
	relaylog_read(&relay, "2026-11-21.jsonl", &after);
	ck_assert(str_eq(buf_view(&after), buf_view(&before)));
	buf_clear(&after);
	relaylog_read(&relay, "2026-11-21.2.jsonl", &after);
	ck_assert_uint_gt(after.len, 0);
	relaylog_verify(&relay, &report);
	ck_assert_int_eq(report.result, VERIFY_TAMPERED);
	ck_assert_uint_eq(report.finding_count, 1 + (size_t)_i);    /* a damaged checkpoint cannot be read either */
	ck_assert_int_eq(report.recovered, 1);
	verify_report_clear(&report);
	buf_clear(&before);
	buf_clear(&after);
}
END_TEST

/* A large file is followed by a part: intact as a whole, tenants' numbers going on, also after a restart in between. */
START_TEST(a_large_file_is_followed_by_a_part)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct verify_report report;
	struct record_writer *writer;
	struct buf text;
	struct err err;

	config.part_max = 4000;
	for (int round = 0; round < 2; round++) {
		ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
		for (int i = 0; i < 20; i++)
			relaylog_append(writer, "accepted", "acme");
		record_writer_close(writer);
	}
	relaylog_read(&relay, "2026-11-21.3.jsonl", &text);
	ck_assert_uint_gt(text.len, 0);
	ck_assert_uint_lt(text.len, 4000 + 4000);
	buf_clear(&text);
	relaylog_verify(&relay, &report);
	ck_assert_int_eq(report.result, VERIFY_OK);
	ck_assert_int_ge(report.files, 3);
	verify_report_clear(&report);
}
END_TEST

/* Somebody shortens, removes or moves the file under a running writer: what is gone stays visible as gone. */
START_TEST(shortened_while_open)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct verify_report report;
	struct buf text;
	char path[PATH_MAX], away[PATH_MAX];

	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "accepted", "acme");
	relaylog_path(&relay, "2026-11-21.jsonl", path);
	if (_i == 0) {
		relaylog_read(&relay, "2026-11-21.jsonl", &text);
		ck_assert_int_eq(truncate(path, (off_t)relaylog_line(buf_view(&text), 3)), 0);
		buf_clear(&text);
	} else if (_i == 1) {
		ck_assert_int_eq(unlink(path), 0);
	} else {
		relaylog_path(&relay, "2026-11-21.jsonl.1", away);
		ck_assert_int_eq(rename(path, away), 0);
	}
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "begin tenants recovered accepted:acme:3 checkpoint"));
	relaylog_verify(&relay, &report);
	ck_assert_int_eq(report.result, VERIFY_TAMPERED);
	verify_report_clear(&report);
}
END_TEST

/* "A stale lock": removed or moved, each of two writers has locked another file, and they still agree on the next day's. */
START_TEST(lock_file_is_removed)
{
	struct record_writer *one = relaylog_open(&relay), *two;
	char path[PATH_MAX], away[PATH_MAX];

	relaylog_append(one, "accepted", "acme");
	relaylog_path(&relay, ".lock", path);
	relaylog_path(&relay, ".lock.old", away);
	ck_assert_int_eq(_i ? rename(path, away) : unlink(path), 0);
	two = relaylog_open(&relay);
	clock_set(NOON + DAY_US);
	relaylog_append(two, "access", "");
	relaylog_append(one, "accepted", "acme");
	record_writer_close(two);
	record_writer_close(one);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, true), "2026-11-22.jsonl: begin tenants access accepted:acme:2 checkpoint"));
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* A crash while the first group of a day was written: behind `begin`, between two `tenants`, and in one of them; the gate
 * starts again at once, or on the next day. */
START_TEST(torn_head)
{
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .first_day = INT64_MIN,
					  .last_day = INT64_MAX, .level = VERIFY_CONTENT };
	struct record_writer *writer = relaylog_open(&relay);
	struct verify_report report;
	struct buf text;
	char name[32];

	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof name, "tenant-%d", i);
		relaylog_append(writer, "accepted", name);
	}
	record_writer_close(writer);
	relaylog_keep_once(&relay);
	clock_set(NOON + DAY_US);
	record_writer_close(relaylog_open(&relay));
	relaylog_put_once(&relay);
	relaylog_read(&relay, "2026-11-22.jsonl", &text);
	relaylog_write(&relay, "2026-11-22.jsonl",
		       str_slice(buf_view(&text), 0, relaylog_line(buf_view(&text), _i % 3 ? 2 : 1) + (_i % 3 == 2 ? 100 : 0)));
	buf_clear(&text);
	clock_set(clock_now_us() + _i / 3 * DAY_US);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "tenant-7");
	record_writer_close(writer);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:tenant-7:2"));
	ck_assert(record_verify(&options, &report, NULL));
	ck_assert_msg(report.result == VERIFY_OK, STR_FMT, STR_ARG(report.findings[0].text));
	verify_report_clear(&report);
	relaylog_opinions(&relay, VERIFY_OK, "a torn head", "--level", "content", NULL);
}
END_TEST

/* The thread signs by itself when it is time. */
START_TEST(timed_checkpoints)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;
	struct record_writer_state state = { 0 };

	config.checkpoint_busy_us = 1000;
	config.checkpoint_idle_us = 5000;
	ck_assert(record_writer_open(&config, &writer, NULL));
	relaylog_append(writer, "accepted", "acme");
	while (state.seq < 12) {                     /* one of them a record: three checkpoints in a row, wherever it fell */
		usleep(1000);
		record_writer_state(writer, &state);
	}
	record_writer_close(writer);
	ck_assert_int_eq(strncmp(relaylog_story(&relay, false), "begin checkpoint ", 17), 0);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "checkpoint checkpoint checkpoint"));
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

START_TEST(bad_settings)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;
	struct err err = { .kind = ERR_NONE };

	config.node = STR("a b");
	ck_assert(!record_writer_open(&config, &writer, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	config.node = STR("mx1");
	config.dir = STR("/proc/nothing/relay");
	ck_assert(!record_writer_open(&config, &writer, &err));
	record_writer_close(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record writer");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, first_records);
	tcase_add_test(tcase, key_that_is_none);
	tcase_add_test(tcase, goes_on_after_restart);
	tcase_add_test(tcase, reader_goes_back);
	tcase_add_test(tcase, days_change);
	tcase_add_test(tcase, clock_goes_back);
	tcase_add_test(tcase, clock_degrades);
	tcase_add_test(tcase, two_writers);
	tcase_add_test(tcase, many_tenants);
	unit_add_rows(tcase, torn_tails, harm_rows);
	tcase_add_loop_test(tcase, damaged_file, 0, 2);
	tcase_add_test(tcase, a_large_file_is_followed_by_a_part);
	tcase_add_loop_test(tcase, shortened_while_open, 0, 3);
	tcase_add_loop_test(tcase, lock_file_is_removed, 0, 2);
	tcase_add_loop_test(tcase, torn_head, 0, 6);
	tcase_add_test(tcase, timed_checkpoints);
	tcase_add_test(tcase, bad_settings);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
