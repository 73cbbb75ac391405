/* When all workers wait: told to whoever is the last of them, and to nobody else. */
#include "t/lib/unit.h"

#include <pthread.h>
#include <semaphore.h>

#include "config/base/num.h"
#include "milter/workers.h"

#define SESSIONS 10

static int64_t now_us = US_PER_S; /* the semaphores order who moves it */

/* A second later than the one before. */
static bool begin_wait(int64_t sessions)
{
	return workers_begin_wait(sessions, now_us += US_PER_S);
}

/* A worker that begins to wait, and goes on when it is told to. */
struct worker {
	pthread_t thread;
	int64_t sessions;
	bool is_last;
	sem_t waits, go_on;
};

static void *work(void *arg)
{
	struct worker *worker = arg;

	worker->is_last = begin_wait(worker->sessions);
	sem_post(&worker->waits);
	sem_wait(&worker->go_on);
	workers_end_wait();
	return NULL;
}

static void start(struct worker *worker, int64_t sessions)
{
	worker->sessions = sessions;
	sem_init(&worker->waits, 0, 0);
	sem_init(&worker->go_on, 0, 0);
	ck_assert_int_eq(pthread_create(&worker->thread, NULL, work, worker), 0);
	sem_wait(&worker->waits);
}

static void stop(struct worker *worker)
{
	sem_post(&worker->go_on);
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->waits);
	sem_destroy(&worker->go_on);
}

START_TEST(each_that_leaves_nobody)
{
	struct worker crew[3];

	for (int i = 0; i < 3; i++) {
		start(&crew[i], SESSIONS);
		ck_assert(crew[i].is_last);
	}
	for (int i = 0; i < 3; i++)
		stop(&crew[i]);
}
END_TEST

START_TEST(one_is_still_there)
{
	struct worker other;

	ck_assert(begin_wait(SESSIONS));
	workers_end_wait();
	start(&other, SESSIONS);
	ck_assert(!other.is_last);
	ck_assert(begin_wait(SESSIONS));
	workers_end_wait();
	stop(&other);
}
END_TEST

START_TEST(nobody_stands_behind)
{
	struct worker first, second;

	start(&first, 2);
	start(&second, 2);
	ck_assert(first.is_last);
	ck_assert(!second.is_last);
	stop(&first);
	stop(&second);
}
END_TEST

/* Were the one that ended still counted, nobody would ever be the last again. */
START_TEST(the_dead_are_not_waited_for)
{
	struct worker first, second;

	start(&first, SESSIONS);
	stop(&first);
	start(&second, SESSIONS);
	ck_assert(second.is_last);
	stop(&second);
}
END_TEST

/* However many messages there are. */
START_TEST(a_knock_now_and_then)
{
	static const struct {
		int64_t at_us;
		bool want;
	} rows[] = { { 0, true }, { 1, false }, { 99999, false }, { 100000, true }, { 100001, false }, { 5000000, true } };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ck_assert_int_eq(workers_begin_wait(SESSIONS, US_PER_S + rows[i].at_us), rows[i].want);
		workers_end_wait();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("workers");
	TCase *tc = tcase_create("workers");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, each_that_leaves_nobody);
	tcase_add_test(tc, one_is_still_there);
	tcase_add_test(tc, nobody_stands_behind);
	tcase_add_test(tc, the_dead_are_not_waited_for);
	tcase_add_test(tc, a_knock_now_and_then);
	return unit_main(suite);
}
