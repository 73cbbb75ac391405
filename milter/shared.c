#include "milter/shared.h"

#include <stdlib.h>

struct holding {
	void *thing;
	int holders;                   /* being in force is one */
};

void shared_init(struct shared *shared, void (*free_thing)(void *thing))
{
	*shared = (struct shared){ .lock = PTHREAD_MUTEX_INITIALIZER, .free = free_thing };
}

/* With the lock held. */
static void let_go(struct shared *shared, struct holding *holding)
{
	if (!holding || --holding->holders > 0)
		return;
	shared->free(holding->thing);
	free(holding);
}

void shared_clear(struct shared *shared)
{
	let_go(shared, shared->current);
	shared->current = NULL;
	pthread_mutex_destroy(&shared->lock);
}

bool shared_replace(struct shared *shared, void *thing, struct err *err)
{
	struct holding *holding = calloc(1, sizeof *holding);

	if (!holding) {
		shared->free(thing);
		return err_memory(err);
	}
	*holding = (struct holding){ .thing = thing, .holders = 1 };
	pthread_mutex_lock(&shared->lock);
	let_go(shared, shared->current);
	shared->current = holding;
	pthread_mutex_unlock(&shared->lock);
	return true;
}

struct holding *shared_acquire(struct shared *shared)
{
	pthread_mutex_lock(&shared->lock);
	struct holding *holding = shared->current;

	if (holding)
		holding->holders++;
	pthread_mutex_unlock(&shared->lock);
	return holding;
}

void *holding_thing(const struct holding *holding)
{
	return holding->thing;
}

void shared_release(struct shared *shared, struct holding *holding)
{
	pthread_mutex_lock(&shared->lock);
	let_go(shared, holding);
	pthread_mutex_unlock(&shared->lock);
}
