/*
 * Seventy days of a relay log in fast forward: written around the clock, purged each night, one tenant erased, crashed and
 * begun again; verified all along. At the end a byte flipped anywhere is found, by both verifiers.
 *
 * 40 records four times a day, so that make check stays quick; SEKISHO_LIFE_RECORDS asks for more at a time, as contrib/test.sh does.
 */
#include "t/lib/relaylog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/erase.h"
#include "milter/record/purge.h"

#define DAYS 70
#define STEPS 4                        /* a day */
#define RECORDS 40                     /* a step */
#define KEEP 60
#define FLIPS 244
#define ERASED_ON 40
#define CRASHED_ON 50

static struct relaylog relay;
static int records = RECORDS;
static const struct retention keep = { KEEP, false };

static struct verify_options options(void)
{
	return (struct verify_options){ .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .node = STR("mx1"),
					.class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX, .has_retention = true,
					.keep = keep, .threads = 2 };
}

static void check_intact(int day, enum verify_level level)
{
	struct verify_options want = options();
	struct verify_report report;
	struct err err;

	want.level = level;
	ck_assert_msg(record_verify(&want, &report, &err), "%s", err.text);
	ck_assert_msg(report.result == VERIFY_OK, "day %d: %d: " STR_FMT ": " STR_FMT, day, report.result, STR_ARG(report.findings[0].file),
		      STR_ARG(report.findings[0].text));
	ck_assert_int_le(report.files, KEEP + 1);
	if (day >= KEEP)
		ck_assert_int_eq(report.files, KEEP + 1);
	verify_report_clear(&report);
}

/* Time flies: what is written is signed at once. */
static struct record_writer *open_writer(void)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;
	struct err err;

	config.checkpoint_busy_us = 1;
	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	return writer;
}

static void write_some(struct record_writer *writer, int step)
{
	static const char *const tenants[] = { "acme", "ginza", "former", "umi" };
	struct str to = STR("someone@example.test");

	for (int i = 0; i < records; i++) {
		struct record_event event = { .event = i % 7 ? STR("accepted") : STR("rejected"), .tenant = str_from_c(tenants[(i + step) % 4]),
					      .queue_id = STR("4XvJ9kz"), .client = STR("192.0.2.7"), .from = STR("a@acme.test"), .to = &to,
					      .to_count = 1, .nrcpt = 1, .size = 4096, .verdict = STR("accept"),
					      .rule = i % 7 ? STR_EMPTY : STR("hourly") };
		enum record_wait wait = i + 1 == records ? RECORD_DURABLE : RECORD_QUEUED;
		struct err err;

		ck_assert_msg(record_append(writer, &event, wait, NULL, &err), "%s", err.text);
	}
}

static void purge(int day)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct err err;
	int64_t count = -1;

	ck_assert_msg(record_purge(&config, keep, false, NULL, NULL, &count, &err), "%s", err.text);
	ck_assert_msg(count == (day > KEEP), "day %d: %d files purged", day, (int)count);
}

static void erase(void)
{
	struct record_writer_config config = relaylog_config(&relay);
	const struct erase_request request = { .tenant = STR("former"), .reason = STR("contract ended") };
	struct erase_result result;
	struct err err;

	ck_assert_msg(record_erase(&config, &request, &result, &err), "%s", err.text);
	ck_assert_int_gt(result.records, ERASED_ON * STEPS * records / 5);
	ck_assert_int_eq(result.files, ERASED_ON + 1);
}

/* The last group is half there when the power goes: what was torn had not been acknowledged. */
static void tear(int day)
{
	char name[JST_DATE_LEN + 1], file[40], path[PATH_MAX];
	struct buf text;
	int fd;

	jst_format_date(jst_day(NOON) + day, name);
	snprintf(file, sizeof file, "%s.jsonl", name);
	relaylog_path(&relay, file, path);
	relaylog_read(&relay, file, &text);
	fd = io_open(path, O_WRONLY | O_APPEND, 0, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text.ptr, 100), 100);
	close(fd);
	buf_clear(&text);
}

static void live(void)
{
	int64_t begin_us = jst_day_start_us(jst_day(NOON));

	for (int day = 0; day < DAYS; day++) {
		struct record_writer *writer = open_writer();

		for (int step = 0; step < STEPS; step++) {
			clock_set(begin_us + day * DAY_US + step * (DAY_US / STEPS) + US_PER_S);
			write_some(writer, step);
			if (step == 0)
				purge(day);
		}
		if (day == ERASED_ON)
			erase();
		record_writer_close(writer);            /* with a checkpoint */
		if (day == CRASHED_ON) {
			tear(day);
			record_writer_close(open_writer());
		}
		check_intact(day, day % 10 == 9 ? VERIFY_CONTENT : VERIFY_RECORDS);
	}
	check_intact(DAYS - 1, VERIFY_CONTENT);
	relaylog_opinions(&relay, VERIFY_OK, "after seventy days", "--keep", "60d", NULL);
}

static void day_file(int64_t day, char out[40])
{
	char date[JST_DATE_LEN + 1];

	jst_format_date(day, date);
	snprintf(out, 40, "%s.jsonl", date);
}

/* The day and its neighbours alone: what is wrong shows there. */
static enum verify_result verify_around(int64_t day)
{
	struct verify_options want = options();
	struct verify_report report;
	enum verify_result result;

	want.first_day = day - 1;
	want.last_day = day == jst_day(NOON) + DAYS - 1 ? INT64_MAX : day + 1;
	ck_assert(record_verify(&want, &report, NULL));
	result = report.result;
	verify_report_clear(&report);
	return result;
}

static void flip(int64_t day, size_t at, struct buf *text, bool is_asked_twice)
{
	char file[40], what[80];

	day_file(day, file);
	snprintf(what, sizeof what, "octet %zu of %s flipped", at, file);
	text->ptr[at] ^= 4;
	relaylog_write(&relay, file, buf_view(text));

	enum verify_result result = verify_around(day);

	ck_assert_msg(result == VERIFY_TAMPERED, "%s: %d", what, result);
	if (is_asked_twice)
		relaylog_opinions(&relay, VERIFY_TAMPERED, what, NULL);
	text->ptr[at] ^= 4;
	relaylog_write(&relay, file, buf_view(text));
}

START_TEST(seventy_days)
{
	int64_t first = jst_day(NOON) + DAYS - 1 - KEEP, asked;
	const char *more = getenv("SEKISHO_LIFE_RECORDS");

	if (more && num_parse_i64(str_from_c(more), &asked) && asked > 0 && asked < 100000)
		records = (int)asked;
	relaylog_setup(&relay);
	live();
	srandom(20261121);
	for (int i = 0; i < FLIPS; i++) {
		int64_t day = first + i % (KEEP + 1);
		struct buf text;
		char file[40];

		day_file(day, file);
		relaylog_read(&relay, file, &text);
		/* Not the last octet of all: a log whose last newline is gone may have crashed. */
		flip(day, (size_t)random() % (text.len - 1), &text, i % 122 == 7);
		buf_clear(&text);
	}
	check_intact(DAYS - 1, VERIFY_CONTENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("life");
	TCase *tcase = tcase_create("all");

	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, seventy_days);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
