/* config/base/task: a thread that waits, and ends when it is told to, however long it meant to wait. */
#include "t/lib/unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "config/base/num.h"
#include "config/base/task.h"

#define FOR_EVER (INT64_C(1000000) * US_PER_S)

struct worker {
	struct task task;
	int64_t pause_us;
	_Atomic int rounds;
	sigset_t blocked;
	char name[16];
};

static void work(void *arg)
{
	struct worker *w = arg;

	pthread_sigmask(SIG_SETMASK, NULL, &w->blocked);
	pthread_getname_np(pthread_self(), w->name, sizeof w->name);
	do
		atomic_fetch_add(&w->rounds, 1);
	while (task_wait(&w->task, w->pause_us));
	atomic_fetch_add(&w->rounds, 1000);    /* it ends by itself */
}

static void start(struct worker *w, int64_t pause_us)
{
	struct err err;

	*w = (struct worker){ .pause_us = pause_us };
	ck_assert_msg(task_start(&w->task, "unit worker", work, w, &err), "%s", err.text);
}

START_TEST(stopped_while_it_waits)
{
	struct worker w;

	start(&w, FOR_EVER);
	while (atomic_load(&w.rounds) == 0)
		sched_yield();
	ck_assert(!task_is_stopping(&w.task));
	task_stop(&w.task);
	ck_assert_int_eq(w.rounds, 1001);
	ck_assert_str_eq(w.name, "unit worker");
}
END_TEST

/* Told before it was looked at even once, as a daemon that cannot start does. */
START_TEST(stopped_at_once)
{
	struct worker w;

	start(&w, FOR_EVER);
	task_stop(&w.task);
	ck_assert_int_eq(w.rounds, 1001);
	task_stop(&w.task);
	task_stop(&(struct task){ .is_started = false });
}
END_TEST

START_TEST(works_again_and_again)
{
	struct worker w;

	start(&w, 100);
	while (atomic_load(&w.rounds) < 20)
		sched_yield();
	task_stop(&w.task);
	ck_assert_int_ge(w.rounds, 1020);
}
END_TEST

/* Signals are main's, and main's mask is as it was. */
START_TEST(takes_no_signals)
{
	struct worker w;
	sigset_t mine;

	start(&w, FOR_EVER);
	task_stop(&w.task);
	ck_assert(sigismember(&w.blocked, SIGTERM) && sigismember(&w.blocked, SIGUSR1) && sigismember(&w.blocked, SIGCHLD));
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	ck_assert(!sigismember(&mine, SIGTERM) && !sigismember(&mine, SIGUSR1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("task");
	TCase *tcase = tcase_create("task");

	tcase_add_test(tcase, stopped_while_it_waits);
	tcase_add_test(tcase, stopped_at_once);
	tcase_add_test(tcase, works_again_and_again);
	tcase_add_test(tcase, takes_no_signals);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
