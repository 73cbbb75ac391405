/* milter/record/writer, tail, commit, reader: records made durable, days, parts, crashes, several writers. */
#include "t/lib/unit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/num.h"
#include "milter/record/entry.h"
#include "milter/record/reader.h"
#include "milter/record/scan.h"
#include "milter/record/sign.h"
#include "milter/record/timesync.h"
#include "milter/record/writer.h"

#define NOON INT64_C(1795230000000000)              /* 2026-11-21T12:00:00+09:00 */

static char dir[256], key[256];

/* Every test has a class directory of its own and a key. */
static void setup(void)
{
	static int number;
	char id[SIGN_ID_LEN + 1];

	snprintf(dir, sizeof dir, "%s/w%d-%d/relay", unit_dir(), (int)getpid(), number);
	snprintf(key, sizeof key, "%s/w%d-%d.key", unit_dir(), (int)getpid(), number++);
	ck_assert(sign_key_new(key, id, NULL));
	timesync_set(0);
	clock_set(NOON);
}

static struct record_writer *open_with(const char *key_file, size_t queue_max)
{
	struct record_writer_config config = { .dir = str_from_c(dir), .node = STR("mx1"), .key_file = str_from_c(key_file),
					       .checkpoint_busy_us = 3600 * US_PER_S, .checkpoint_idle_us = 86400 * US_PER_S,
					       .preallocate = 1 << 16, .queue_max = queue_max };
	struct record_writer *writer;
	struct err err = { .kind = ERR_NONE };

	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	return writer;
}

static struct record_writer *open_writer(void)
{
	return open_with(key, 0);
}

static bool append(struct record_writer *writer, const char *event, const char *tenant, struct err *err)
{
	struct record_event record = { .event = str_from_c(event), .tenant = str_from_c(tenant), .verdict = STR("accept") };

	return record_append(writer, &record, RECORD_DURABLE, NULL, err);
}

static void must_append(struct record_writer *writer, const char *event, const char *tenant)
{
	struct err err = { .kind = ERR_NONE };

	ck_assert_msg(append(writer, event, tenant, &err), "%s", err.text);
}

/* "begin checkpoint accepted:acme:1 ..." over all files, each file's name before its lines when asked for. */
static const char *story(bool with_files)
{
	static char text[65536];
	struct record_reader *reader;
	struct arena arena;
	struct str line;
	bool is_torn, found;
	size_t len = 0;
	char file[64] = "";

	arena_init(&arena, 64 << 20);
	text[0] = '\0';
	ck_assert(record_reader_open(str_from_c(dir), INT64_MIN, INT64_MAX, false, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		struct record_line got;
		struct err err;

		if (with_files && strcmp(file, record_reader_file(reader)) != 0) {
			snprintf(file, sizeof file, "%s", record_reader_file(reader));
			len += (size_t)snprintf(text + len, sizeof text - len, "%s%s:", len ? " " : "", file);
		}
		ck_assert(!is_torn);
		ck_assert_msg(record_parse(line, &arena, &got, &err), "%s", err.text);
		len += (size_t)snprintf(text + len, sizeof text - len, "%s" STR_FMT, len ? " " : "", STR_ARG(got.event.event));
		if (got.stamp.tseq)
			len += (size_t)snprintf(text + len, sizeof text - len, ":" STR_FMT ":%" PRId64,
						STR_ARG(got.event.tenant), got.stamp.tseq);
		if (got.stamp.clock.len)
			len += (size_t)snprintf(text + len, sizeof text - len, "(" STR_FMT ")", STR_ARG(got.stamp.clock));
	}
	record_reader_close(reader);
	arena_clear(&arena);
	return text;
}

START_TEST(first_records)
{
	struct record_writer *writer = open_writer();
	struct record_writer_state state;

	must_append(writer, "accepted", "acme");
	must_append(writer, "rejected", "ginza");
	must_append(writer, "accepted", "acme");
	must_append(writer, "config", "");
	record_writer_state(writer, &state);
	ck_assert_int_eq(state.seq, 6);
	ck_assert_int_eq(state.records, 4);
	ck_assert_str_eq(state.file, "2026-11-21.jsonl");
	record_writer_close(writer);
	ck_assert_str_eq(story(true), "2026-11-21.jsonl: begin checkpoint accepted:acme:1 rejected:ginza:1 accepted:acme:2 "
				      "config checkpoint");
}
END_TEST

START_TEST(goes_on_after_restart)
{
	struct record_writer *writer = open_writer();

	must_append(writer, "accepted", "acme");
	record_writer_close(writer);
	writer = open_writer();
	must_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_str_eq(story(false), "begin checkpoint accepted:acme:1 checkpoint accepted:acme:2 checkpoint");
}
END_TEST

START_TEST(reader_goes_back)
{
	struct record_writer *writer = open_with("", 0);
	struct record_reader *reader;
	struct record_link link;
	struct str line;
	bool is_torn, found;

	for (int day = 0; day < 3; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < 5; i++)
			must_append(writer, "accepted", "acme");
	}
	record_writer_close(writer);
	ck_assert(record_reader_open(str_from_c(dir), INT64_MIN, jst_day(NOON + DAY_US), true, &reader, NULL));
	for (int64_t seq = 13; seq > 0; seq--) {
		ck_assert(record_reader_next(reader, &line, &is_torn, &found, NULL) && found && !is_torn);
		ck_assert(record_parse_link(line, NULL, &link));
		ck_assert_int_eq(link.seq, seq);
	}
	ck_assert(record_reader_next(reader, &line, &is_torn, &found, NULL) && !found);
	record_reader_close(reader);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record writer");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, first_records);
	tcase_add_test(tcase, goes_on_after_restart);
	tcase_add_test(tcase, reader_goes_back);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
