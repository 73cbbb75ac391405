/* milter/record/writer, commit: what waits for the disk: how much of it, behind whom, and from many threads at once. */
#include "t/lib/relaylog.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/commit.h"

static struct relaylog relay;
static struct io_calls real;

static void setup(void)
{
	real = io_calls;
	relaylog_setup(&relay);
}

static void teardown(void)
{
	io_calls = real;
}

START_TEST(queue_is_bounded)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_event event = { .event = STR("accepted"), .helo = STR("a name that takes some room in the queue") };
	struct record_writer *writer;
	struct err err = { .kind = ERR_NONE };

	config.queue_max = 50;
	ck_assert(record_writer_open(&config, &writer, NULL));
	ck_assert(!record_append(writer, &event, RECORD_DURABLE, NULL, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	ck_assert(!record_append(writer, &event, RECORD_QUEUED, NULL, &err));
	record_writer_close(writer);
}
END_TEST

static atomic_bool disk_goes_on, disk_stands;

static int stalled_sync(int fd)
{
	for (; !disk_goes_on; usleep(1000))
		disk_stands = true;
	return real.sync(fd);
}

static void *append_accepted(void *writer)
{
	relaylog_append(writer, "accepted", "acme");
	return NULL;
}

/* The disk stands, and records that nobody waits for have filled the queue: one that mail depends on still waits its turn. */
START_TEST(queue_has_room_for_who_waits)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_event event = { .event = STR("rejected"), .tenant = STR("acme") };
	struct record_writer *writer;
	pthread_t thread;

	config.queue_max = 16384;
	disk_goes_on = true;
	io_calls.sync = stalled_sync;
	ck_assert(record_writer_open(&config, &writer, NULL));
	disk_goes_on = false;
	ck_assert(record_append(writer, &event, RECORD_QUEUED, NULL, NULL));
	while (!disk_stands)
		usleep(1000);
	while (record_append(writer, &event, RECORD_QUEUED, NULL, NULL))
		;
	ck_assert_int_eq(pthread_create(&thread, NULL, append_accepted, writer), 0);
	usleep(50000);          /* time enough to be refused in */
	disk_goes_on = true;
	pthread_join(thread, NULL);
	record_writer_close(writer);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

START_TEST(queued_records)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct record_event event = { .event = STR("rejected"), .tenant = STR("acme") };
	struct record_writer_state state;

	for (int i = 0; i < 1000; i++)
		ck_assert(record_append(writer, &event, RECORD_QUEUED, NULL, NULL));
	relaylog_append(writer, "accepted", "acme");
	record_writer_state(writer, &state);
	ck_assert_int_eq(state.records, 1001);
	ck_assert_int_eq(state.seq, 1003);
	ck_assert_int_lt(state.groups, 1001);
	record_writer_close(writer);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

static atomic_bool disk_is_full;
static size_t room = SIZE_MAX;

static ssize_t full_write(int fd, const void *data, size_t n)
{
	errno = ENOSPC;
	return disk_is_full || n > room ? -1 : real.write(fd, data, n);
}

/* The disk is full for a while: mail is refused, and what is told besides is told later, in its order; with the next message, or
 * without one. */
START_TEST(queued_records_wait_for_the_disk)
{
	struct record_event event = { .tenant = STR("acme") };
	struct record_writer *writer;
	struct record_writer_state state;
	struct err err;

	io_calls.write = full_write;
	writer = relaylog_open(&relay);
	disk_is_full = true;
	event.event = STR("deferred");
	ck_assert(record_append(writer, &event, RECORD_QUEUED, NULL, NULL));
	for (int i = 0; i < 3; i++)
		ck_assert(!relaylog_try_append(writer, "refused", "acme", &err) && err.kind == ERR_FULL);
	event.event = STR("delivered");
	ck_assert(record_append(writer, &event, RECORD_QUEUED, NULL, NULL));
	record_writer_state(writer, &state);
	ck_assert_int_eq(state.failures, 3);
	ck_assert(state.is_behind);
	disk_is_full = false;
	if (_i == 0)
		relaylog_append(writer, "accepted", "acme");
	do
		record_writer_state(writer, &state);
	while (state.is_behind && usleep(1000) == 0);
	if (_i == 1)
		relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	const char *story = relaylog_story(&relay, false), *first = strstr(story, "deferred:acme:");

	ck_assert(first && strstr(first, "delivered:acme:") && strstr(story, "accepted:acme:"));
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* Room for a message's record, and not for all that was refused before: mail goes on. */
START_TEST(mail_passes_what_was_refused)
{
	static char text[RECORD_STRING_MAX];
	struct record_event event = { .event = STR("delivered"), .tenant = STR("acme"), .reply = str_of(text, sizeof text) };
	struct record_writer *writer;
	struct record_writer_state state;
	struct err err;

	memset(text, 'x', sizeof text);
	io_calls.write = full_write;
	writer = relaylog_open(&relay);
	disk_is_full = true;
	for (int i = 0; i < 64; i++)
		ck_assert(record_append(writer, &event, RECORD_QUEUED, NULL, NULL));
	ck_assert(!relaylog_try_append(writer, "refused", "acme", &err));
	room = 8 * sizeof text;
	disk_is_full = false;
	for (int i = 0; i < 50; i++)
		relaylog_append(writer, "accepted", "acme");
	record_writer_state(writer, &state);
	ck_assert(state.is_behind);
	room = SIZE_MAX;
	record_writer_close(writer);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "delivered:acme:"));
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* What it keeps is bounded, and ends with the writer where the disk does not come back. */
START_TEST(queued_records_are_bounded)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_event event = { .event = STR("delivered"), .tenant = STR("acme") };
	struct record_writer *writer;
	struct record_writer_state state;
	struct err err;

	config.queue_max = 16384;
	io_calls.write = full_write;
	ck_assert(record_writer_open(&config, &writer, NULL));
	disk_is_full = true;
	while (record_append(writer, &event, RECORD_QUEUED, NULL, &err))
		;
	ck_assert_int_eq(err.kind, ERR_BUSY);
	ck_assert(!relaylog_try_append(writer, "refused", "acme", &err) && err.kind == ERR_FULL);
	record_writer_state(writer, &state);
	ck_assert(state.is_behind);
	record_writer_close(writer);
	disk_is_full = false;
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

#define APPENDERS 8
#define APPENDS 300

struct appender {
	pthread_t thread;
	struct record_writer *writer;
	int failures;
};

/* One in three is not waited for: such records may stand before and behind those whose writers lead. */
static void *append_mixed(void *arg)
{
	struct appender *a = arg;
	struct record_event event = { .event = STR("accepted"), .tenant = STR("acme") };

	for (int i = 0; i < APPENDS; i++)
		a->failures += !record_append(a->writer, &event, i % 3 ? RECORD_DURABLE : RECORD_QUEUED, NULL, NULL);
	return NULL;
}

START_TEST(many_appenders)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct appender appenders[APPENDERS];
	struct record_writer *writer;
	struct record_writer_state state;

	config.checkpoint_busy_us = 2000;
	ck_assert(record_writer_open(&config, &writer, NULL));
	for (int i = 0; i < APPENDERS; i++) {
		appenders[i] = (struct appender){ .writer = writer };
		ck_assert_int_eq(pthread_create(&appenders[i].thread, NULL, append_mixed, &appenders[i]), 0);
	}
	for (int i = 0; i < APPENDERS; i++) {
		pthread_join(appenders[i].thread, NULL);
		ck_assert_int_eq(appenders[i].failures, 0);
	}
	relaylog_append(writer, "accepted", "acme");
	record_writer_state(writer, &state);
	ck_assert_int_eq(state.records, APPENDERS * APPENDS + 1);
	ck_assert_int_gt(state.seq, state.records + 2);      /* signed meanwhile, by whoever led */
	record_writer_close(writer);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* More is waiting than a group holds, and nobody waits for it but the last: who leads is not always in his own group. */
START_TEST(long_queue)
{
	static char text[RECORD_STRING_MAX];
	struct record_writer *writer = relaylog_open(&relay);
	struct record_event event = { .event = STR("rejected"), .tenant = STR("acme"), .reply = str_of(text, sizeof text) };
	struct record_writer_state state;
	const size_t count = 3 * COMMIT_GROUP_MAX / RECORD_STRING_MAX;

	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < count; i++)
		ck_assert(record_append(writer, &event, RECORD_QUEUED, NULL, NULL));
	relaylog_append(writer, "accepted", "acme");
	record_writer_state(writer, &state);
	ck_assert_int_eq(state.records, (int64_t)count + 1);
	record_writer_close(writer);
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record queue");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, queue_is_bounded);
	tcase_add_test(tcase, queue_has_room_for_who_waits);
	tcase_add_loop_test(tcase, queued_records_wait_for_the_disk, 0, 2);
	tcase_add_test(tcase, mail_passes_what_was_refused);
	tcase_add_test(tcase, queued_records_are_bounded);
	tcase_add_test(tcase, queued_records);
	tcase_add_test(tcase, many_appenders);
	tcase_add_test(tcase, long_queue);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
