/*
 * eventcount - where threads sleep until something that all of them wait for has come about; one system call wakes them.
 *
 * What they wait for is the callers' own, and atomic. Who waits reads the count, looks, and sleeps when it is not there yet;
 * who brings it about says so and wakes. No wake after eventcount_read is slept through:
 *
 *   for (uint32_t seen; seen = eventcount_read(event), !is_there;)
 *           eventcount_sleep(event, seen);
 *
 * Source   futex(2), which wakes in the order in which they fell asleep
 * Threads  any; it outlives who sleeps and who wakes
 */
#ifndef SEKISHO_EVENTCOUNT_H
#define SEKISHO_EVENTCOUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* Zero to begin with. */
struct eventcount {
	_Atomic uint32_t wakes;
	_Atomic uint32_t sleepers;
};

uint32_t eventcount_read(struct eventcount *event);
/* Until somebody wakes since `seen`, or earlier for no reason. */
void eventcount_sleep(struct eventcount *event, uint32_t seen);
void eventcount_wake_one(struct eventcount *event);
void eventcount_wake_all(struct eventcount *event);

#endif
