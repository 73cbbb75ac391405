/*
 * queue - the records on their way into a group, in the order in which they came.
 *
 * A disk that refuses a group tells those who wait for it, and mail waits at its sender. What nobody waits for is kept aside,
 * with all of its kind that comes meanwhile, and offered again each second in groups of its own, so that it takes no mail down
 * with it: an outcome that the MTA logged is logged only once.
 *
 * Memory   the records are the caller's; `octets` counts what both lists hold
 * Threads  one at a time: the writer's lock
 */
#ifndef SEKISHO_RECORD_QUEUE_H
#define SEKISHO_RECORD_QUEUE_H

#include <stdatomic.h>

#include "config/base/eventcount.h"
#include "milter/record/commit.h"
#include "milter/record/writer.h"

/* One append on its way: a waiter's lives on its stack, a queued one on the heap. */
struct waiting {
	struct commit_item item;       /* first: the queue is a list of these */
	struct buf text;
	enum record_wait wait;
	struct eventcount *event;      /* where its waiter sleeps */
	struct err *err;
	bool is_ok;
	atomic_bool is_done;
};

struct queue {
	struct commit_item *first, **last;
	struct commit_item *kept, **kept_last;  /* nobody waits for them, and the disk refused them or those before them */
	int64_t retry_us;              /* when these are offered again, monotonic; 0: the disk refuses nothing */
	size_t octets;                 /* of memory */
};

struct waiting *waiting_of(struct commit_item *item);
/* Of memory: many small records take more than their text. */
size_t waiting_size(const struct waiting *waiting);

void queue_init(struct queue *queue);
void queue_put(struct queue *queue, struct waiting *waiting);
/* One group, COMMIT_GROUP_MAX octets at most: of what is kept, when it is due by mono_us, or else of what came. */
struct commit_item *queue_take(struct queue *queue, int64_t mono_us, int64_t *out_records);
/* The group was refused at mono_us: returns those who are to be told. */
struct commit_item *queue_refused(struct queue *queue, struct commit_item *group, int64_t mono_us);
/* A group was written. */
void queue_written(struct queue *queue);

#endif
