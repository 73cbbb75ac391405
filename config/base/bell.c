#include "config/base/bell.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "futex(2) looks at 32 bits");

uint32_t bell_listen(struct bell *bell)
{
	return atomic_load(&bell->rings);
}

/* The kernel compares once more, with its own lock held: EAGAIN when it has rung, EINTR for a signal. */
void bell_sleep(struct bell *bell, uint32_t heard)
{
	atomic_fetch_add(&bell->sleepers, 1);
	syscall(SYS_futex, &bell->rings, FUTEX_WAIT_PRIVATE, heard, NULL, NULL, 0);
	atomic_fetch_sub(&bell->sleepers, 1);
}

/* Who counts itself among the sleepers after this has looked finds `rings` changed. */
static void ring(struct bell *bell, int count)
{
	atomic_fetch_add(&bell->rings, 1);
	if (atomic_load(&bell->sleepers))
		syscall(SYS_futex, &bell->rings, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void bell_ring_one(struct bell *bell)
{
	ring(bell, 1);
}

void bell_ring_all(struct bell *bell)
{
	ring(bell, INT_MAX);
}
