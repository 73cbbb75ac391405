#include "milter/workers.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic int64_t workers;        /* that are alive, and have waited before */
static _Atomic int64_t waiting;        /* of them */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t known;            /* of each thread: not NULL once it is counted */

static void forget(void *arg)
{
	(void)arg;
	atomic_fetch_sub(&workers, 1);
}

static void make_key(void)
{
	pthread_key_create(&known, forget);
}

/* libmilter makes and ends its threads unasked. One whose end we could not see is not counted. */
static void count_this_thread(void)
{
	pthread_once(&once, make_key);
	if (!pthread_getspecific(known) && pthread_setspecific(known, &workers) == 0)
		atomic_fetch_add(&workers, 1);
}

bool workers_begin_wait(int64_t sessions)
{
	count_this_thread();

	int64_t now = atomic_fetch_add(&waiting, 1) + 1;

	return now >= atomic_load(&workers) && now < sessions;
}

void workers_end_wait(void)
{
	atomic_fetch_sub(&waiting, 1);
}
