/*
 * emptied - does a shared store still hold what it held, or did it come back without?
 *
 * A Redis that is started without its data, or flushed, answers as if nothing had ever been used, and as if nobody had been
 * suspended. So one key of no tenant (sekisho-store(7)) says since when this store is there, and who has seen it before sees
 * when it is gone, or is another relay's because that one was the first to look.
 *
 * Limits   what was emptied while no relay ran is not noticed; in a Redis Cluster it is one key on one node
 * Errors   none: a store that cannot be asked is not an empty one, and others tell of that
 */
#ifndef SEKISHO_EMPTIED_H
#define SEKISHO_EMPTIED_H

#include "policy/store.h"

struct emptied {
	int64_t since_us;              /* what the mark said; 0: it was not seen yet */
};

/* Looks, and puts the mark where there is none: a round trip or two. True, once: it held the mark, and lost it. Never for a store
 * that is not shared. */
bool emptied_look(struct emptied *emptied, struct store *st);

#endif
