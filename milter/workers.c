#include "milter/workers.h"

#include <pthread.h>
#include <stdatomic.h>

#define KNOCK_PAUSE_US (100 * INT64_C(1000))    /* a knock costs a connection and a thread, as much as a message */

static _Atomic int64_t workers;        /* that are alive, and have waited before */
static _Atomic int64_t waiting;        /* of them */
static _Atomic int64_t next_us;        /* monotonic: not before */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t known;            /* of each thread: not NULL once it is counted */
static bool has_key;

static void forget(void *arg)
{
	(void)arg;
	atomic_fetch_sub(&workers, 1);
}

static void make_key(void)
{
	has_key = pthread_key_create(&known, forget) == 0;
}

/* libmilter makes and ends its threads unasked. One whose end we could not see is not counted. */
static void count_this_thread(void)
{
	pthread_once(&once, make_key);
	if (has_key && !pthread_getspecific(known) && pthread_setspecific(known, &workers) == 0)
		atomic_fetch_add(&workers, 1);
}

/* For one caller only. */
static bool is_due(int64_t now_us)
{
	int64_t due_us = atomic_load(&next_us);

	return now_us >= due_us && atomic_compare_exchange_strong(&next_us, &due_us, now_us + KNOCK_PAUSE_US);
}

bool workers_begin_wait(int64_t sessions, int64_t now_us)
{
	count_this_thread();

	int64_t all = atomic_fetch_add(&waiting, 1) + 1;

	return all >= atomic_load(&workers) && all < sessions && is_due(now_us);
}

void workers_end_wait(void)
{
	atomic_fetch_sub(&waiting, 1);
}
