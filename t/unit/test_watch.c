/* milter/bell and milter/silence: when an alarm is told, and when a quiet hour is one. */
#include "t/lib/unit.h"

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/bell.h"
#include "milter/silence.h"

/* A look a minute, told again after ten: "." nothing is wrong, "x" something is; what is told. */
static const struct { const char *name, *looks, *want; bool is_shock; } bell_rows[] = {
	{ "nothing", ".....", ".....", false },
	{ "once", ".xxx...", ".R..O..", false },
	{ "it lasts", "xxxxxxxxxxxxxxxxxxxxxxx.", "R.........A.........A..O", false },
	{ "it comes and goes", "x.x.x.x.x.x.x.", "RO........RO..", false },
	{ "back after a while", "x.............x", "RO............R", false },
	{ "shocks", "x.x.x.x.x.x.x.", "R.........R...", true },
};
START_TEST(bell_calls)
{
	static const char names[] = { [BELL_QUIET] = '.', [BELL_RAISED] = 'R', [BELL_AGAIN] = 'A', [BELL_OVER] = 'O' };
	struct bell bell = { 0 };

	for (int i = 0; bell_rows[_i].looks[i]; i++) {
		char got = names[bell_look(&bell, bell_rows[_i].looks[i] == 'x', bell_rows[_i].is_shock, (i + 1) * 60 * US_PER_S,
					   600 * US_PER_S)];

		ck_assert_msg(got == bell_rows[_i].want[i], "%s: look %d: %c, not %c", bell_rows[_i].name, i, got,
			      bell_rows[_i].want[i]);
	}
}
END_TEST

#define MONDAY INT64_C(1795359600000000)            /* 2026-11-23T00:00:00+09:00 */
#define HOUR (3600 * US_PER_S)

static struct silence silence;
static int64_t now_us, records, strangers;

/* A look every ten minutes, each finding `many` new records; whether the last one was alarmed. */
static bool live(int64_t hours, int64_t many)
{
	bool is_wrong = false;

	for (int64_t i = 0; i < hours * 6; i++) {
		now_us += 600 * US_PER_S;
		records += many;
		is_wrong = silence_look(&silence, now_us, records, strangers, 2 * HOUR);
	}
	return is_wrong;
}

static void setup(void)
{
	silence = (struct silence){ 0 };
	now_us = MONDAY;
	records = strangers = 0;
}

START_TEST(quiet_from_the_start)
{
	ck_assert(!live(9 * 24, 0));
}
END_TEST

START_TEST(quiet_where_there_was_mail)
{
	ck_assert(!live(26, 20));
	ck_assert(!live(1, 0));
	ck_assert(live(3, 0));
	ck_assert(!live(1, 1));
}
END_TEST

START_TEST(quiet_every_night)
{
	for (int day = 0; day < 3; day++) {
		ck_assert(!live(8, 0));
		ck_assert(!live(16, 20));
	}
	ck_assert(!live(8, 0));
	ck_assert(live(4, 0));
}
END_TEST

/* Yesterday there was mail, a week ago there was none. */
START_TEST(quiet_on_sunday)
{
	ck_assert(!live(6 * 24, 20));
	live(24, 0);                                /* the first one is a surprise */
	ck_assert(!live(6 * 24, 20));
	ck_assert(!live(20, 0));
}
END_TEST

START_TEST(strangers_tell)
{
	ck_assert(!live(1, 5));
	ck_assert(!live(4, 0));
	strangers = 1;
	ck_assert(live(1, 0));
	ck_assert(!live(1, 1));                     /* from here on those are known */
	ck_assert(!live(3, 0));
	ck_assert(!silence_look(&silence, now_us, records, strangers, 0));
}
END_TEST

START_TEST(clock_goes_back)
{
	ck_assert(!live(30, 20));
	now_us -= 100 * HOUR;
	ck_assert(!live(1, 0));
	ck_assert(!live(30, 0));
	now_us += 1000 * HOUR;
	ck_assert(!live(1, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watch");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	unit_add_rows(tcase, bell_calls, bell_rows);
	tcase_add_test(tcase, quiet_from_the_start);
	tcase_add_test(tcase, quiet_where_there_was_mail);
	tcase_add_test(tcase, quiet_every_night);
	tcase_add_test(tcase, quiet_on_sunday);
	tcase_add_test(tcase, strangers_tell);
	tcase_add_test(tcase, clock_goes_back);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
