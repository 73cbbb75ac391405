#include "milter/record/queue.h"

#define RETRY_US US_PER_S

struct waiting *waiting_of(struct commit_item *item)
{
	return (struct waiting *)item;
}

size_t waiting_size(const struct waiting *waiting)
{
	return sizeof *waiting + waiting->text.size;
}

void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .last = &queue->first, .kept_last = &queue->kept };
}

void queue_put(struct queue *queue, struct waiting *waiting)
{
	bool is_kept = waiting->wait == RECORD_QUEUED && queue->retry_us != 0;
	struct commit_item ***last = is_kept ? &queue->kept_last : &queue->last;

	**last = &waiting->item;
	*last = &waiting->item.next;
	queue->octets += waiting_size(waiting);
}

/* Moves what `list` begins with to *end, as long as the group has room; returns where the group ends now. */
static struct commit_item **take(struct queue *queue, struct commit_item **list, struct commit_item ***list_last,
				 struct commit_item **end, size_t *octets, int64_t *records)
{
	while (*list && (*octets == 0 || *octets + waiting_of(*list)->text.len <= COMMIT_GROUP_MAX)) {
		struct commit_item *item = *list;

		*octets += waiting_of(item)->text.len;
		queue->octets -= waiting_size(waiting_of(item));
		++*records;
		*list = item->next;
		*end = item;
		end = &item->next;
	}
	if (!*list)
		*list_last = list;
	*end = NULL;
	return end;
}

struct commit_item *queue_take(struct queue *queue, int64_t mono_us, int64_t *out_records)
{
	struct commit_item *first = NULL, **end = &first;
	size_t octets = 0;

	*out_records = 0;
	if (queue->retry_us <= mono_us)
		end = take(queue, &queue->kept, &queue->kept_last, end, &octets, out_records);
	take(queue, &queue->first, &queue->last, end, &octets, out_records);
	return first;
}

/* Appends those that nobody waits for to *kept, the others to *waited, each in order; returns where the kept end now. */
static struct commit_item **split(struct commit_item *items, struct commit_item **waited, struct commit_item ***waited_last,
				  struct commit_item **kept)
{
	for (struct commit_item *item = items; item; item = item->next) {
		struct commit_item ***end = waiting_of(item)->wait == RECORD_QUEUED ? &kept : &waited;

		**end = item;
		*end = &item->next;
	}
	*waited = *kept = NULL;
	*waited_last = waited;
	return kept;
}

struct commit_item *queue_refused(struct queue *queue, struct commit_item *group, int64_t mono_us)
{
	struct commit_item *told, **told_last, *newer = queue->kept, **newer_last = queue->kept_last;
	struct commit_item **end = split(group, &told, &told_last, &queue->kept);

	for (struct commit_item *item = queue->kept; item; item = item->next)
		queue->octets += waiting_size(waiting_of(item));
	end = split(queue->first, &queue->first, &queue->last, end);
	*end = newer;
	queue->kept_last = newer ? newer_last : end;
	queue->retry_us = mono_us + RETRY_US;
	return told;
}

void queue_written(struct queue *queue)
{
	queue->retry_us = queue->kept ? 1 : 0;
}
