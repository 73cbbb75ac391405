/*
 * bell - where threads sleep until something that all of them wait for has come about; one system call wakes them.
 *
 * What they wait for is the callers' own, and atomic. Who waits listens, looks, and sleeps when it is not there yet; who
 * brings it about says so and rings. A ring after bell_listen is never slept through:
 *
 *   for (uint32_t heard; heard = bell_listen(bell), !is_there;)
 *           bell_sleep(bell, heard);
 *
 * Source   futex(2), which wakes in the order in which they fell asleep
 * Threads  any; the bell outlives who listens and who rings
 */
#ifndef SEKISHO_BELL_H
#define SEKISHO_BELL_H

#include <stdatomic.h>
#include <stdint.h>

/* Zero: nobody has rung. */
struct bell {
	_Atomic uint32_t rings;
	_Atomic uint32_t sleepers;
};

uint32_t bell_listen(struct bell *bell);
/* Until it has rung since `heard`, or earlier for no reason. */
void bell_sleep(struct bell *bell, uint32_t heard);
void bell_ring_one(struct bell *bell);
void bell_ring_all(struct bell *bell);

#endif
