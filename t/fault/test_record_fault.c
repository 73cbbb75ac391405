/*
 * The relay log when the disk fails: the n-th write, sync, open or preallocation fails, for n = 1, 2, 3 ... until the
 * run succeeds. Whatever was acknowledged is in the log once, whatever was refused is not, and the log verifies.
 */
#include "t/lib/relaylog.h"

#include <stdatomic.h>
#include <errno.h>
#include <stdio.h>

#include "config/base/io.h"
#include "milter/record/erase.h"
#include "milter/record/reader.h"
#include "milter/record/seal.h"

static struct io_calls real;

enum call { FAIL_WRITE, FAIL_SHORT, FAIL_SYNC, FAIL_OPEN, FAIL_ALLOCATE };

/* The call that is to fail, and how. The writer's thread and whoever appends both come here. */
static struct {
	_Atomic enum call call;
	_Atomic int error;
	atomic_long countdown;         /* to the first failure */
	atomic_long times;             /* how many calls fail in a row */
	atomic_bool has_failed;
} fault;

static bool is_due(enum call call)
{
	if (fault.call != call || fault.times == 0 || --fault.countdown > 0)
		return false;
	fault.times--;
	fault.has_failed = true;
	errno = fault.error;
	return true;
}

static ssize_t fail_write(int fd, const void *data, size_t n)
{
	if (is_due(FAIL_WRITE))
		return -1;
	if (n > 1 && is_due(FAIL_SHORT)) {          /* half of it, then no room */
		fault.call = FAIL_WRITE;
		fault.times = 1;
		fault.countdown = 1;
		return real.write(fd, data, n / 2);
	}
	return real.write(fd, data, n);
}

static int fail_sync(int fd) { return is_due(FAIL_SYNC) ? -1 : real.sync(fd); }
static int fail_open(const char *path, int flags, mode_t mode) { return is_due(FAIL_OPEN) ? -1 : real.open(path, flags, mode); }
static int fail_allocate(int fd, off_t at, off_t n) { return is_due(FAIL_ALLOCATE) ? -1 : real.allocate(fd, at, n); }

static struct relaylog relay;

static void setup(void)
{
	real = io_calls;
	relaylog_setup(&relay);
}

static void teardown(void)
{
	io_calls = real;
}

#define RECORDS 8

/* Eight records over two days; which of them were acknowledged. */
static void life(bool is_sealed, bool acknowledged[RECORDS], struct err *last)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;

	config.is_sealed = is_sealed;
	config.checkpoint_busy_us = 1;
	clock_set(NOON);
	if (!record_writer_open(&config, &writer, last))
		return;
	for (int i = 0; i < RECORDS; i++) {
		char event[24];

		if (i == RECORDS / 2)
			clock_set(NOON + DAY_US);
		snprintf(event, sizeof event, "test%d", i);
		acknowledged[i] = relaylog_try_append(writer, event, "acme", last);
	}
	record_writer_close(writer);
}

static void check(const bool acknowledged[RECORDS], const char *what, long n)
{
	const char *story = relaylog_story(&relay, false);
	struct verify_report report;

	for (int i = 0; i < RECORDS; i++) {
		char event[24];

		snprintf(event, sizeof event, " test%d:", i);
		const char *hit = strstr(story, event);

		ck_assert_msg((hit != NULL) == acknowledged[i], "%s %ld: record %d: %s", what, n, i, story);
		ck_assert_msg(!hit || !strstr(hit + 1, event), "%s %ld: record %d twice: %s", what, n, i, story);
	}
	relaylog_verify(&relay, &report);
	ck_assert_msg(report.result == VERIFY_OK, "%s %ld: %d " STR_FMT ": %s", what, n, report.result,
		      STR_ARG(report.findings[0].text), story);
	verify_report_clear(&report);
}

static const struct {
	const char *name;
	enum call call;
	int error;
	long times;
	enum err_kind want;            /* of the last refused record; ERR_NONE: none may be refused */
} rows[] = {
	{ "write: no space", FAIL_WRITE, ENOSPC, 1, ERR_FULL },
	{ "write: no space for long", FAIL_WRITE, ENOSPC, 6, ERR_FULL },
	{ "half a write, then no space", FAIL_SHORT, ENOSPC, 1, ERR_FULL },
	{ "write: error", FAIL_WRITE, EIO, 1, ERR_BUSY },
	{ "sync: error", FAIL_SYNC, EIO, 1, ERR_BUSY },
	{ "sync: two errors", FAIL_SYNC, EIO, 2, ERR_BUSY },
	{ "sync: errors for long", FAIL_SYNC, EIO, 9, ERR_BUSY },
	{ "sync: no space", FAIL_SYNC, ENOSPC, 2, ERR_FULL },
	{ "open: too many files", FAIL_OPEN, EMFILE, 1, ERR_BUSY },
	{ "preallocation: no space", FAIL_ALLOCATE, ENOSPC, 1, ERR_NONE },
	{ "preallocation: not here", FAIL_ALLOCATE, EOPNOTSUPP, 1, ERR_NONE },
};

/* Every sealed line that is in the log can be opened: its key was on disk before it. */
static void check_sealed(const char *what, long n)
{
	struct record_reader *reader;
	struct seal *seal;
	struct str line, plain;
	struct buf room;
	bool is_torn, found;
	int opened = 0;

	buf_init(&room, 2 * RECORD_LINE_MAX);
	ck_assert(seal_open(str_from_c(relay.keyring), STR("relay"), &seal, NULL));
	ck_assert(record_reader_open(str_from_c(relay.dir), INT64_MIN, INT64_MAX, false, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		enum seal_result result = seal_read_line(seal, line, &room, &plain);

		ck_assert_msg(result == SEAL_PLAIN || result == SEAL_OPENED, "%s %ld: " STR_FMT, what, n, STR_ARG(line));
		opened += result == SEAL_OPENED;
	}
	ck_assert_int_le(opened, RECORDS);
	record_reader_close(reader);
	seal_close(seal);
	buf_clear(&room);
}

static void nth_call(int row, bool is_sealed)
{
	for (long n = 1;; n++) {
		bool acknowledged[RECORDS] = { false };
		struct err last = { .kind = ERR_NONE };

		relaylog_setup(&relay);
		fault.call = rows[row].call;
		fault.error = rows[row].error;
		fault.countdown = n;
		fault.times = rows[row].times;
		fault.has_failed = false;
		io_calls.write = fail_write;
		io_calls.sync = fail_sync;
		io_calls.open = fail_open;
		io_calls.allocate = fail_allocate;
		life(is_sealed, acknowledged, &last);
		io_calls = real;
		ck_assert_msg(last.kind == ERR_NONE || last.kind == rows[row].want, "%s %ld: kind %d: %s", rows[row].name, n,
			      last.kind, last.text);

		/* The next start mends what is left, and nothing acknowledged is lost by it. */
		struct record_writer *writer = relaylog_open(&relay);

		relaylog_append(writer, "after", "acme");
		record_writer_close(writer);
		check(acknowledged, rows[row].name, n);
		check_sealed(rows[row].name, n);
		if (!fault.has_failed) {
			ck_assert_msg(acknowledged[0] && acknowledged[RECORDS - 1], "%s: %s", rows[row].name, last.text);
			ck_assert_int_gt(n, 1);
			break;
		}
	}
}

START_TEST(nth_call_fails)
{
	nth_call(_i, false);
}
END_TEST

START_TEST(nth_call_fails_sealed)
{
	nth_call(_i, true);
}
END_TEST

#define PARTS 8

/* A tool writes without the key, and its syncs fail: the next checkpoint still goes on where the last one was. */
START_TEST(parts_without_checkpoint)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct verify_report report;

	clock_set(NOON);
	config.checkpoint_busy_us = 1;
	fault.call = FAIL_SYNC;
	fault.error = EIO;
	io_calls.sync = fail_sync;     /* before any writer's thread is there to read it; armed below */
	for (int i = 0; i < PARTS; i++) {
		struct record_writer *writer;
		struct err err;
		bool is_gate = i == 0 || i == PARTS - 1;
		struct record_writer_config own = config;

		if (!is_gate)
			own.key_file = STR_EMPTY;
		ck_assert_msg(record_writer_open(&own, &writer, &err), "%s", err.text);
		fault.countdown = 1;
		fault.times = is_gate ? 0 : 1;
		relaylog_append(writer, "test", "acme");
		fault.times = 0;
		record_writer_close(writer);
	}
	io_calls = real;
	relaylog_verify(&relay, &report);
	ck_assert_msg(report.result == VERIFY_OK, "%d " STR_FMT, report.result, STR_ARG(report.findings[0].text));
	ck_assert_int_ge(report.files, PARTS - 2);
	verify_report_clear(&report);
}
END_TEST

static int no_way_back(int fd, off_t n)
{
	(void)fd;
	(void)n;
	errno = EROFS;
	return -1;
}

/* A log with one record, from which nothing can be cut off; syncs fail as soon as fault.times says so. */
static struct record_writer *open_without_way_back(void)
{
	fault.call = FAIL_SYNC;
	fault.error = EIO;
	fault.times = 0;
	io_calls.sync = fail_sync;
	io_calls.truncate = no_way_back;
	struct record_writer *writer = relaylog_open(&relay);

	relaylog_append(writer, "before", "acme");
	return writer;
}

/* Neither can the failed group be cut off, nor the next file be made; then the disk is good again, on the same day or the next. */
START_TEST(a_rest_stays)
{
	struct record_writer *writer = open_without_way_back();
	struct err err;

	fault.countdown = 1;
	fault.times = 2;               /* of the group, and of the directory */
	ck_assert(!relaylog_try_append(writer, "refused", "acme", &err));
	clock_set(NOON + _i * DAY_US);
	relaylog_append(writer, "after", "acme");
	record_writer_close(writer);
	ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "refused"));
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* The day's last signature cannot be written, nor cut off: the next day begins behind it all the same. */
START_TEST(a_signature_stays)
{
	struct record_writer *writer = open_without_way_back();
	struct err err;

	fault.countdown = _i;          /* among them the one-time key's, the line's, and the new file's */
	fault.times = 1;
	clock_set(NOON + DAY_US);
	relaylog_try_append(writer, "after", "acme", &err);
	relaylog_append(writer, "again", "acme");
	record_writer_close(writer);
	ck_assert(fault.has_failed);
	relaylog_must_verify(&relay, VERIFY_OK);
	relaylog_opinions(&relay, VERIFY_OK, "a rest", "--level", "content", NULL);
}
END_TEST

/* Lines of acme's in a file with such a rest, and in the next part. */
static void write_with_a_rest(void)
{
	struct record_writer *writer = open_without_way_back();

	fault.countdown = fault.times = 1;
	relaylog_append(writer, "again", "acme");
	record_writer_close(writer);
}

/* What a tenant's erasure takes from such a file does not move the end that the next part states. */
START_TEST(a_rest_is_erased)
{
	const struct erase_request request = { .tenant = STR("acme") };
	struct record_writer_config config = relaylog_config(&relay);
	struct erase_result result;
	struct err err;

	write_with_a_rest();
	ck_assert_msg(record_erase(&config, &request, &result, &err), "%s", err.text);
	ck_assert_int_eq(result.records, 2);
	relaylog_must_verify(&relay, VERIFY_OK);
	clock_set(NOON + 2 * VERIFY_LATE_US);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* No file can be opened for a moment, the next part neither: what does not belong to the log is not taken for its text. */
START_TEST(a_rest_is_erased_with_few_files)
{
	const struct erase_request request = { .tenant = STR("acme") };
	struct record_writer_config config = relaylog_config(&relay);
	struct erase_result result;
	struct err err;

	write_with_a_rest();
	fault.call = FAIL_OPEN;
	fault.error = EMFILE;
	fault.countdown = _i;
	fault.times = 1;
	io_calls.open = fail_open;
	bool ok = record_erase(&config, &request, &result, &err);

	io_calls = real;
	ck_assert(ok || record_erase(&config, &request, &result, &err));
	ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "acme"));
	relaylog_must_verify(&relay, VERIFY_OK);
	clock_set(NOON + 2 * VERIFY_LATE_US);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record faults");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, nth_call_fails, rows);
	unit_add_rows(tcase, nth_call_fails_sealed, rows);
	tcase_add_test(tcase, parts_without_checkpoint);
	tcase_add_loop_test(tcase, a_rest_stays, 0, 2);
	tcase_add_loop_test(tcase, a_signature_stays, 1, 6);
	tcase_add_test(tcase, a_rest_is_erased);
	tcase_add_loop_test(tcase, a_rest_is_erased_with_few_files, 1, 25);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
