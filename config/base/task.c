#include "config/base/task.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "config/base/num.h"

static void *run(void *arg)
{
	struct task *task = arg;

	pthread_setname_np(pthread_self(), task->name);
	task->run(task->arg);
	return NULL;
}

static void init_wake(pthread_cond_t *wake)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(wake, &attr);
	pthread_condattr_destroy(&attr);
}

static void clear(struct task *task)
{
	pthread_cond_destroy(&task->wake);
	pthread_mutex_destroy(&task->lock);
}

bool task_start(struct task *task, const char *name, void (*run_task)(void *arg), void *arg, struct err *err)
{
	sigset_t all, before;
	int why;

	task->name = name;
	task->run = run_task;
	task->arg = arg;
	atomic_init(&task->is_stopping, false);
	pthread_mutex_init(&task->lock, NULL);
	init_wake(&task->wake);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	why = pthread_create(&task->thread, NULL, run, task);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	task->is_started = why == 0;
	if (task->is_started)
		return true;
	clear(task);
	return err_set(err, ERR_BUSY, "thread \"%s\": %s", name, strerrordesc_np(why));
}

bool task_wait(struct task *task, int64_t us)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += us % US_PER_S * 1000;
	until.tv_sec += us / US_PER_S + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&task->lock);
	while (!task->is_stopping && pthread_cond_timedwait(&task->wake, &task->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&task->lock);
	return !task_is_stopping(task);
}

bool task_is_stopping(struct task *task)
{
	return atomic_load(&task->is_stopping);
}

void task_stop(struct task *task)
{
	if (!task->is_started)
		return;
	pthread_mutex_lock(&task->lock);
	task->is_stopping = true;
	pthread_cond_signal(&task->wake);
	pthread_mutex_unlock(&task->lock);
	pthread_join(task->thread, NULL);
	task->is_started = false;
	clear(task);
}
