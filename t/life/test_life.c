/*
 * Seventy days of a relay log in fast forward, plain and sealed: written around the clock, purged each night, one tenant erased,
 * lost and restored from a backup of before that, crashed and begun again; verified all along. At the end a byte flipped
 * anywhere is found, by both verifiers.
 *
 * 40 records four times a day, so that make check stays quick; SEKISHO_LIFE_RECORDS asks for more at a time, as contrib/test.sh does.
 */
#include "t/lib/relaylog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/erasure.h"
#include "milter/record/purge.h"
#include "milter/record/reader.h"
#include "milter/record/seal.h"
#include "milter/restore.h"

#define DAYS 70
#define STEPS 4                        /* a day */
#define RECORDS 40                     /* a step */
#define KEEP 60
#define FLIPS 244
#define ERASED_ON 40
#define CRASHED_ON 50
#define FORMER "former"                /* the tenant that is erased */

static struct relaylog relay;
static struct config config;
static struct record_class class = { .name = STR_INIT("relay"), .keep.days = KEEP };
static char log_dir[PATH_MAX], state_dir[PATH_MAX + 8], backup_dir[PATH_MAX + 8], operator_key[PATH_MAX + 16], operator_pub[PATH_MAX + 16];
static struct sign_key *key, *log_key;
static int records = RECORDS;
static const struct retention keep = { KEEP, false };

static struct verify_options options(void)
{
	return (struct verify_options){ .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .node = STR("mx1"),
					.operator_key_file = str_from_c(operator_pub), .class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX, .has_retention = true,
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
	struct record_writer_config want = relaylog_config(&relay);
	struct record_writer *writer;
	struct err err;

	want.checkpoint_busy_us = 1;
	want.is_sealed = config.log_is_sealed;
	ck_assert_msg(record_writer_open(&want, &writer, &err), "%s", err.text);
	return writer;
}

static void write_some(struct record_writer *writer, int step)
{
	static const char *const tenants[] = { "acme", "ginza", FORMER, "umi" };
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
	struct record_writer_config want = relaylog_config(&relay);
	struct err err;
	int64_t count = -1;

	ck_assert_msg(record_purge(&want, keep, jst_day(clock_now_us()), false, NULL, NULL, &count, &err), "%s", err.text);
	ck_assert_msg(count == (day > KEEP), "day %d: %d files purged", day, (int)count);
}

static void erase(void)
{
	const struct erasure erasure = { .config = &config, .tenant = STR(FORMER), .id = STR_EMPTY, .reason = STR("contract ended"),
					 .key = key };
	struct erased erased;
	struct buf certificate;
	struct err err;

	buf_init(&certificate, CERTIFICATE_MAX);
	ck_assert_msg(erasure_run(&erasure, &erased, &certificate, &err), "%s", err.text);
	ck_assert_int_gt(erased.records, ERASED_ON * STEPS * records / 5);
	ck_assert_int_eq(erased.classes[0].files, ERASED_ON + 1);
	ck_assert(erased.had_key == config.log_is_sealed);
	buf_clear(&certificate);
}

/* Lines of the former tenant that somebody with the keyring can still read. */
static int64_t count_readable(const char *dir)
{
	struct record_reader *reader;
	struct seal *seal;
	struct buf room;
	struct str line, opened, tenant;
	bool is_torn, found;
	int64_t count = 0;

	buf_init(&room, 2 * RECORD_LINE_MAX);
	ck_assert(seal_open(str_from_c(relay.keyring), STR("relay"), &seal, NULL));
	ck_assert(record_reader_open(str_from_c(dir), INT64_MIN, INT64_MAX, false, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		enum seal_result result = seal_read_line(seal, line, &room, &opened);

		count += record_peek(line, STR("tenant"), &tenant) && str_eq(tenant, STR(FORMER)) &&
			 (result == SEAL_PLAIN || result == SEAL_OPENED);
	}
	record_reader_close(reader);
	seal_close(seal);
	buf_clear(&room);
	return count;
}

/* The backup is of before the erasure, the disk is lost after it: the tenant does not come back, and no copy of it is left that
 * can be read where the log is sealed. */
static void lose_and_restore(void)
{
	char path[2 * PATH_MAX], copy[2 * PATH_MAX + 16];
	struct backup_made made;
	struct restored restored;
	struct err err;

	clock_set(clock_now_us() + 600 * US_PER_S);
	ck_assert_msg(backup_run(&config, backup_dir, NULL, log_key, NULL, &made, &err), "%s", err.text);
	snprintf(path, sizeof path, "%s/%s", backup_dir, made.name);
	snprintf(copy, sizeof copy, "%s/log/relay", path);
	ck_assert_int_gt(count_readable(copy), 0);
	clock_set(clock_now_us() + 600 * US_PER_S);
	erase();
	ck_assert_int_eq(count_readable(relay.dir), 0);
	ck_assert_int_eq(count_readable(copy) == 0, config.log_is_sealed);
	ck_assert(backup_remove_tree(relay.dir, &err));

	const struct restore_request request = { &config, path, str_from_c(relay.pub), str_from_c(operator_pub), key, NULL };

	ck_assert_msg(restore_run(&request, &restored, &err), "%s", err.text);
	ck_assert_int_eq(restored.files, ERASED_ON + 1);
	ck_assert_int_eq(restored.certificates, 1);
	ck_assert_int_gt(restored.erased, ERASED_ON * STEPS * records / 5);
	ck_assert_int_eq(count_readable(relay.dir), 0);
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
		record_writer_close(writer);            /* with a checkpoint */
		if (day == ERASED_ON)
			lose_and_restore();
		if (day == CRASHED_ON) {
			tear(day);
			record_writer_close(open_writer());
		}
		check_intact(day, day % 10 == 9 ? VERIFY_CONTENT : VERIFY_RECORDS);
	}
	check_intact(DAYS - 1, VERIFY_CONTENT);
	relaylog_opinions(&relay, VERIFY_OK, "after seventy days", "--keep", "60d", "--operator-key", operator_pub, "--level", "content", NULL);
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
		relaylog_opinions(&relay, VERIFY_TAMPERED, what, "--operator-key", operator_pub, NULL);
	text->ptr[at] ^= 4;
	relaylog_write(&relay, file, buf_view(text));
}

static void setup(void)
{
	const char *more = getenv("SEKISHO_LIFE_RECORDS");
	char id[SIGN_ID_LEN + 1];
	int64_t asked;

	if (more && num_parse_i64(str_from_c(more), &asked) && asked > 0 && asked < 100000)
		records = (int)asked;
	relaylog_setup(&relay);
	snprintf(log_dir, sizeof log_dir, "%.*s", (int)(strlen(relay.dir) - strlen("/relay")), relay.dir);
	snprintf(state_dir, sizeof state_dir, "%s.state", log_dir);
	snprintf(backup_dir, sizeof backup_dir, "%s.backup", log_dir);
	snprintf(operator_key, sizeof operator_key, "%s.operator", log_dir);
	snprintf(operator_pub, sizeof operator_pub, "%s.operator.pub", log_dir);
	config = (struct config){
		.node = STR("mx1"), .state_dir = str_from_c(state_dir), .log_dir = str_from_c(log_dir), .log_key_file = str_from_c(relay.key),
		.operator_key_file = str_from_c(operator_key), .log_keyring = str_from_c(relay.keyring), .backup_dir = str_from_c(backup_dir),
		.checkpoint_busy_us = US_PER_S, .checkpoint_idle_us = DAY_US, .classes = &class, .class_count = 1,
	};
	ck_assert(sign_key_new(operator_key, id, NULL) && sign_key_load(relay.key, &log_key, NULL));
	ck_assert(erasure_key(&config, STR_EMPTY, &key, NULL));
}

static void teardown(void)
{
	sign_key_free(key);
	sign_key_free(log_key);
}

static void flip_anywhere(void)
{
	int64_t first = jst_day(NOON) + DAYS - 1 - KEEP;

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
}

/* 0: plain, 1: sealed. */
START_TEST(seventy_days)
{
	config.log_is_sealed = _i == 1;
	live();
	flip_anywhere();
	check_intact(DAYS - 1, VERIFY_CONTENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("life");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 600);
	tcase_add_loop_test(tcase, seventy_days, 0, 2);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
