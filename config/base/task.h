/*
 * task - a thread that works, waits, and works again until it is told to stop.
 *
 * It takes no signal: those belong to main. Times are monotonic; being told to stop ends a wait at once.
 *
 *     static void tend(void *arg)
 *     {
 *         struct garden *garden = arg;
 *
 *         do
 *             look_around(garden);
 *         while (task_wait(&garden->task, LOOK_US));
 *     }
 *
 * Memory   the caller's, until task_stop has returned
 * Errors   ERR_BUSY: the system gives no thread
 * Threads  task_wait: the task's own; task_is_stopping: any; start and stop: whoever owns it
 */
#ifndef SEKISHO_TASK_H
#define SEKISHO_TASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "config/base/err.h"

struct task {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	_Atomic bool is_stopping;      /* set under the lock */
	bool is_started;
	const char *name;
	void (*run)(void *arg);
	void *arg;
};

/* `name`: at most 15 octets, as debuggers and top(1) show it. When it fails there is nothing to stop. */
bool task_start(struct task *task, const char *name, void (*run)(void *arg), void *arg, struct err *err);
/* Waits so long; false: it is to stop. */
bool task_wait(struct task *task, int64_t us);
bool task_is_stopping(struct task *task);
/* Tells it and waits for its end. One that was never started (all zero) is fine. */
void task_stop(struct task *task);

#endif
