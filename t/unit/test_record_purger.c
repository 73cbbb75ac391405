/* milter/record/purger: the daemon's purge, and what day it believes it to be. */
#include "t/lib/relaylog.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "milter/record/purger.h"

static struct relaylog relay;

static void setup(void)
{
	relaylog_setup(&relay);
}

static bool is_there(const char *file)
{
	char path[PATH_MAX];

	relaylog_path(&relay, file, path);
	return access(path, F_OK) == 0;
}

START_TEST(purger_thread)
{
	struct purge_class class = { relaylog_config(&relay), { 2, false } };
	struct purger *purger;

	relaylog_days(&relay, 5, 1);
	ck_assert(purger_start(&class, 1, &purger, NULL));
	ck_assert(!is_there("2026-11-22.jsonl"));  /* nobody who looks now finds it overdue */
	purger_stop(purger);
	purger_stop(NULL);
	ck_assert(!is_there("2026-11-21.jsonl") && is_there("2026-11-23.jsonl"));
	relaylog_must_verify(&relay, VERIFY_OK);
}
END_TEST

/* An erasure copies a day, or there are thousands to go: neither keeps mail waiting, or a reload. */
START_TEST(purger_does_not_wait_for_ever)
{
	struct purge_class class = { relaylog_config(&relay), { 2, false } };
	struct purger *purger;
	char lock[PATH_MAX];

	relaylog_days(&relay, 5, 1);
	snprintf(lock, sizeof lock, STR_FMT "/.lock", STR_ARG(class.config.dir));

	int fd = open(lock, O_RDWR | O_CREAT, 0640);

	ck_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
	ck_assert(purger_start(&class, 1, &purger, NULL));
	ck_assert(is_there("2026-11-22.jsonl"));
	close(fd);
	purger_stop(purger);
	ck_assert(!is_there("2026-11-22.jsonl"));
}
END_TEST

/* What a wrong clock purges is gone: see the header. */
static const struct { const char *name; int days, error_us; bool is_purged; int past; } clock_rows[] = {
	{ "synchronised, after weeks without mail", 100, 0, true },
	{ "not quite synchronised", 100, TIMESYNC_DEGRADED_US + 1, true },
	{ "ahead by years", 3000, TIMESYNC_NONE_US, false },
	{ "ahead by years, on the second day", 3000, TIMESYNC_NONE_US, false, .past = 1 },
	{ "ahead by a few days", 4, TIMESYNC_NONE_US, false },
	{ "the next day, of a host without a time daemon", 1, TIMESYNC_NONE_US, true },
};
START_TEST(clock_ahead)
{
	struct purge_class class = { relaylog_config(&relay), { 2, false } };
	struct purger *purger;

	const int past = clock_rows[_i].past ? clock_rows[_i].past : 3;

	relaylog_days(&relay, past, 1);
	clock_set(NOON + (past - 1 + clock_rows[_i].days) * DAY_US);
	timesync_set(clock_rows[_i].error_us);
	for (int again = 0; again < 3; again++) {
		ck_assert(purger_start(&class, 1, &purger, NULL));
		purger_stop(purger);
		ck_assert_msg(is_there("2026-11-21.jsonl") != clock_rows[_i].is_purged, "%s", clock_rows[_i].name);

		/* Records of that day are no witness to it, nor to the next. */
		clock_set(clock_now_us() + (again == 1 ? DAY_US : 0));

		struct record_writer *writer = relaylog_open(&relay);

		relaylog_append(writer, "accepted", "acme");
		record_writer_close(writer);
	}
}
END_TEST

/* A day and an hour of a host's life: what the clock says, what is believed. */
static const struct { int hour, day; enum timesync sync; bool is_believed; } hours[] = {
	{ 0, 100, TIMESYNC_NONE, true },            /* nothing else is known */
	{ 1, 101, TIMESYNC_NONE, true },
	{ 2, 100, TIMESYNC_NONE, true },            /* set back */
	{ 3, 400, TIMESYNC_NONE, false },
	{ 4, 101, TIMESYNC_NONE, true },            /* and back again */
	{ 5, 400, TIMESYNC_NONE, false },           /* so doubt begins anew */
	{ 20, 401, TIMESYNC_NONE, false },          /* midnight of that clock */
	{ 28, 401, TIMESYNC_NONE, false },
	{ 29, 401, TIMESYNC_NONE, true },
	{ 30, 402, TIMESYNC_NONE, true },
	{ 31, 900, TIMESYNC_NONE, false },
	{ 54, 2000, TIMESYNC_NONE, false },         /* another jump: another day to wait */
	{ 56, 2000, TIMESYNC_NONE, false },
	{ 57, 900, TIMESYNC_OK, true },
};
START_TEST(a_day_of_doubt)
{
	struct purger_day days = { .known = 0 };

	for (size_t i = 0; i < sizeof hours / sizeof *hours; i++)
		ck_assert_msg(purger_believes(&days, hours[i].day, hours[i].sync, hours[i].hour * HOUR_US) == hours[i].is_believed,
			      "hour %d", hours[i].hour);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record purger");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, purger_thread);
	tcase_add_test(tcase, purger_does_not_wait_for_ever);
	unit_add_rows(tcase, clock_ahead, clock_rows);
	tcase_add_test(tcase, a_day_of_doubt);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
