/* milter/record/verify beside those who write, erase and purge: what it sees is the log as of one moment. */
#include "t/lib/relaylog.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/erase.h"
#include "milter/record/purge.h"

#define DAY1 "2026-11-21.jsonl"
#define DAY2 "2026-11-22.jsonl"

static struct relaylog relay;

static void setup(void)
{
	relaylog_setup(&relay);
	relaylog_days(&relay, 2, 20);
}

static struct verify_options options(void)
{
	return (struct verify_options){ .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .node = STR("mx1"),
					.class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX };
}

static void check(const struct verify_options *options, const char *what)
{
	struct verify_report report;
	struct err err;

	ck_assert_msg(record_verify(options, &report, &err), "%s: %s", what, err.text);
	ck_assert_msg(report.result == VERIFY_OK && report.finding_count == 0, "%s: %d: " STR_FMT ": " STR_FMT, what, report.result,
		      STR_ARG(report.findings[0].file), STR_ARG(report.findings[0].text));
	verify_report_clear(&report);
}

/* --- half a line stands there, and its writer is not done */

static struct {
	char path[PATH_MAX], lock[PATH_MAX];
	struct buf text;               /* the whole file */
	size_t half;
	atomic_bool is_half;
} slow;

static void *write_slowly(void *arg)
{
	int lock = open(slow.lock, O_RDWR | O_CLOEXEC), fd = open(slow.path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (lock < 0 || fd < 0 || flock(lock, LOCK_EX) != 0 || ftruncate(fd, (off_t)slow.half) != 0)
		return arg;
	slow.is_half = true;
	usleep(200000);
	bool ok = io_write_all(fd, str_from(buf_view(&slow.text), slow.half), slow.path, NULL);

	close(fd);
	close(lock);
	return ok ? NULL : arg;
}

static void begin_slowly(pthread_t *out)
{
	relaylog_path(&relay, DAY2, slow.path);
	relaylog_path(&relay, ".lock", slow.lock);
	relaylog_read(&relay, DAY2, &slow.text);
	slow.half = slow.text.len - 100;
	slow.is_half = false;
	ck_assert_int_eq(pthread_create(out, NULL, write_slowly, &slow), 0);
	while (!slow.is_half)
		usleep(1000);
}

START_TEST(half_a_line)
{
	const struct verify_options want = options();
	pthread_t thread;
	void *failed;

	begin_slowly(&thread);
	check(&want, "half a line");
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	buf_clear(&slow.text);

	/* The second verifier waits, too; and what nobody finishes is torn. */
	begin_slowly(&thread);
	relaylog_opinions(&relay, VERIFY_OK, "half a line", NULL);
	pthread_join(thread, &failed);
	relaylog_write(&relay, DAY2, str_slice(buf_view(&slow.text), 0, slow.half));
	relaylog_opinions(&relay, VERIFY_UNKNOWN, "half a line for good", NULL);
	buf_clear(&slow.text);
}
END_TEST

/* --- a gate at work */

static atomic_bool is_done;

static void *write_on(void *arg)
{
	while (!is_done)
		relaylog_append(arg, "accepted", "acme");
	return NULL;
}

START_TEST(a_busy_gate)
{
	const struct verify_options want = options();
	struct record_writer *writer = relaylog_open(&relay);
	pthread_t threads[4];

	is_done = false;
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_on, writer), 0);
	for (int i = 0; i < 50; i++)
		check(&want, "a busy gate");
	is_done = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	record_writer_close(writer);
	check(&want, "afterwards");
}
END_TEST

/* --- the log becomes another one after it was listed */

static void erase_now(void)
{
	struct record_writer_config config = relaylog_config(&relay);
	const struct erase_request request = { .tenant = STR("acme"), .reason = STR("contract ended") };
	struct erase_result result;

	ck_assert(record_erase(&config, &request, &result, NULL));
	ck_assert_int_eq(result.files, 2);
}

static void purge_now(void)
{
	struct record_writer_config config = relaylog_config(&relay);
	int64_t count;

	clock_set(jst_day_start_us(jst_day(NOON) + 61));
	ck_assert(record_purge(&config, (struct retention){ 60, false }, jst_day(clock_now_us()), false, NULL, NULL, &count, NULL));
	ck_assert_int_eq(count, 1);
}

static void append_now(void)
{
	struct record_writer *writer = relaylog_open(&relay);

	for (int i = 0; i < 10; i++)
		relaylog_append(writer, "accepted", "umi");
	record_writer_close(writer);
}

static const struct { const char *name; void (*change)(void); } rows[] = {
	{ "an erasure", erase_now }, { "a purge", purge_now }, { "more records", append_now } };

static void change_once(void *arg, int64_t done, int64_t total)
{
	void (**change)(void) = arg;
	void (*it)(void) = *change;

	(void)done;
	(void)total;
	*change = NULL;
	if (it)
		it();
}

/* Between the first file and the second. */
START_TEST(changed_meanwhile)
{
	void (*change)(void) = rows[_i].change;
	struct verify_options want = options();

	want.progress = change_once;
	want.progress_arg = &change;
	check(&want, rows[_i].name);
	ck_assert_ptr_null((void *)(uintptr_t)change);
	want.progress = NULL;
	check(&want, rows[_i].name);
	relaylog_opinions(&relay, VERIFY_OK, rows[_i].name, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record beside");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, half_a_line);
	tcase_add_test(tcase, a_busy_gate);
	unit_add_rows(tcase, changed_meanwhile, rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
