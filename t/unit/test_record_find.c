/* milter/record/find: with whatever index there is, the answer is that of reading every line. */
#include "t/lib/asked.h"

#include <stdio.h>

static void setup(void)
{
	asked_write(false);
}

static void setup_sealed(void)
{
	asked_write(true);
}

START_TEST(same_answers)
{
	int64_t without = asked_compare(25);

	ck_assert_int_gt(asked_update(false).built, ASKED_DAYS);
	ck_assert_int_eq(asked_update(false).built, 0);
	asked.seed = 11;
	ck_assert_int_lt(asked_compare(25), without);
	ck_assert_int_gt(asked_update(true).built, ASKED_DAYS);
	asked_compare(25);
}
END_TEST

/* Each value that the log holds is found where the index leads: by a value of each line in turn. */
START_TEST(every_value)
{
	struct wish all = { 0 }, wish = { .field = INDEX_REFERENCE };
	struct record_line record;
	struct arena scratch;
	struct str rest, line;
	struct answer got;
	struct buf text;
	struct err err;

	asked_update(false);
	arena_init(&scratch, 1 << 20);
	buf_init(&text, ASKED_MAX);
	asked_expect(&all, false, &text);
	rest = buf_view(&text);
	for (int i = 0; str_next(&rest, '\n', &line); i++) {
		arena_reset(&scratch);
		if (i % 37 || !record_parse(line, &scratch, &record, &err) || record.event.queue_id.len == 0)
			continue;
		snprintf(wish.value, sizeof wish.value, STR_FMT, STR_ARG(record.event.id));
		asked_find(&wish, true, 0, &got);
		ck_assert_msg(str_eq(str_slice(buf_view(&got.text), 0, line.len), line), "record %s is not found", wish.value);
		buf_clear(&got.text);
	}
	buf_clear(&text);
	arena_clear(&scratch);
}
END_TEST

START_TEST(limited)
{
	struct wish wish = { 0, "", STR("accepted") };
	struct answer got, all;

	asked_find(&wish, true, 3, &got);
	asked_find(&wish, true, 0, &all);
	ck_assert_int_eq(got.limit, 0);
	ck_assert(str_starts(buf_view(&all.text), buf_view(&got.text)) && all.text.len > 100 * got.text.len);
	buf_clear(&got.text);
	buf_clear(&all.text);
}
END_TEST

START_TEST(any_of_several)
{
	const struct find_key keys[] = { { INDEX_REFERENCE, STR("4Xv1z") }, { INDEX_CLIENT, STR("192.0.2.7") } };
	const struct str texts[] = { STR("4Xv1z"), STR("192.0.2.7\"") };
	struct wish all = { 0 };
	struct answer with = { .wish = &all }, without = { .wish = &all };
	struct find_query query = { .dir = asked.relay.dir, .first_day = INT64_MIN, .last_day = INT64_MAX, .any = true, .keys = keys,
				    .key_count = 2, .texts = texts, .text_count = 2, .match = asked_match, .found = asked_take, .arg = &without };
	struct find_report report;

	buf_init(&with.text, ASKED_MAX);
	buf_init(&without.text, ASKED_MAX);
	ck_assert(record_find(&query, &report, NULL) && report.indexed == 0);
	asked_update(false);
	query.arg = &with;
	ck_assert(record_find(&query, &report, NULL) && report.indexed > ASKED_DAYS);
	ck_assert(with.text.len > 100 && str_eq(buf_view(&with.text), buf_view(&without.text)));
	buf_clear(&with.text);
	buf_clear(&without.text);
}
END_TEST

static bool count_rejected(void *arg, struct str line)
{
	*(int *)arg += str_find(line, STR("\"event\":\"rejected\"")) < line.len;
	return true;
}

/* The day's records stand in the file that a wrong clock began for another day. */
START_TEST(clock_was_ahead)
{
	int count = 0;
	struct relaylog log;
	struct find_query query = { .dir = log.dir, .first_day = jst_day(NOON), .last_day = jst_day(NOON), .found = count_rejected,
				    .arg = &count };
	struct find_report report;

	relaylog_setup(&log);
	struct record_writer *writer = relaylog_open(&log);

	clock_set(NOON + 5 * DAY_US);
	relaylog_append(writer, "accepted", "acme");
	clock_set(NOON);
	relaylog_append(writer, "rejected", "acme");
	record_writer_close(writer);
	ck_assert(record_find(&query, &report, NULL));
	ck_assert_int_eq(count, 1);
}
END_TEST

/* A day whose key is destroyed says nothing any more, indexed or not. */
START_TEST(key_destroyed)
{
	struct wish wish = { 0, "", STR("@d7.example") };
	struct answer before, after;
	int64_t count;

	asked_update(false);
	asked_find(&wish, false, 0, &before);
	ck_assert(seal_destroy_days(str_from_c(asked.ring), STR("relay"), jst_day(NOON) + 2, &count, NULL) && count == 2);
	asked_close();
	ck_assert(seal_open(str_from_c(asked.ring), STR("relay"), &asked.seal, NULL));
	ck_assert_int_gt(asked_find(&wish, false, 0, &after).closed, 2 * ASKED_RECORDS - 1);
	ck_assert(after.text.len > 100 && after.text.len < before.text.len);
	buf_clear(&before.text);
	buf_clear(&after.text);
	asked_compare(8);
	asked_update(true);
	asked_compare(8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record find");
	TCase *log = tcase_create("log"), *sealed = tcase_create("sealed");

	tcase_add_checked_fixture(log, setup, NULL);
	tcase_add_test(log, same_answers);
	tcase_add_test(log, every_value);
	tcase_add_test(log, limited);
	tcase_add_test(log, any_of_several);
	tcase_add_test(log, clock_was_ahead);
	suite_add_tcase(suite, log);
	tcase_add_checked_fixture(sealed, setup_sealed, asked_close);
	tcase_add_test(sealed, same_answers);
	tcase_add_test(sealed, every_value);
	tcase_add_test(sealed, key_destroyed);
	suite_add_tcase(suite, sealed);
	return unit_main(suite);
}
