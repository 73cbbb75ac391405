#include "config/base/eventcount.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "futex(2) looks at 32 bits");

uint32_t eventcount_read(struct eventcount *event)
{
	return atomic_load(&event->wakes);
}

/* The kernel compares once more, with its own lock held: EAGAIN when somebody has woken since, EINTR for a signal. */
void eventcount_sleep(struct eventcount *event, uint32_t seen)
{
	atomic_fetch_add(&event->sleepers, 1);
	syscall(SYS_futex, &event->wakes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	atomic_fetch_sub(&event->sleepers, 1);
}

/* Who counts itself among the sleepers after this has looked finds `wakes` changed. */
static void wake(struct eventcount *event, int count)
{
	atomic_fetch_add(&event->wakes, 1);
	if (atomic_load(&event->sleepers))
		syscall(SYS_futex, &event->wakes, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void eventcount_wake_one(struct eventcount *event)
{
	wake(event, 1);
}

void eventcount_wake_all(struct eventcount *event)
{
	wake(event, INT_MAX);
}
