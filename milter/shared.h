/*
 * shared - one thing in force for all threads, replaced at reload.
 *
 * Whoever uses it holds it for that time; a thing that was replaced goes with the last who holds it.
 *
 * Threads  any
 */
#ifndef SEKISHO_SHARED_H
#define SEKISHO_SHARED_H

#include <pthread.h>

#include "config/base/err.h"

struct holding;

struct shared {
	pthread_mutex_t lock;
	void (*free)(void *thing);
	struct holding *current;       /* NULL: none yet */
};

void shared_init(struct shared *shared, void (*free)(void *thing));
void shared_clear(struct shared *shared);
/* Puts `thing` in force and takes it over; it is freed on failure too (ERR_BUSY: memory). */
bool shared_replace(struct shared *shared, void *thing, struct err *err);

/* NULL when there is none. */
struct holding *shared_acquire(struct shared *shared);
void *holding_thing(const struct holding *holding);
void shared_release(struct shared *shared, struct holding *holding);    /* NULL is fine */

#endif
