/* milter/record/writer, tail, commit, reader: records made durable, days, parts, crashes, several writers. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <stdlib.h>

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
