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

/* What `list` begins with, as much of it as a group has room for. */
static struct commit_item *take(struct queue *queue, struct commit_item **list, struct commit_item ***list_last,
				int64_t *out_records)
{
	struct commit_item *first = *list, **end = list;
	size_t octets = 0;

	for (; *end && (octets == 0 || octets + waiting_of(*end)->text.len <= COMMIT_GROUP_MAX); end = &(*end)->next) {
		octets += waiting_of(*end)->text.len;
		queue->octets -= waiting_size(waiting_of(*end));
		++*out_records;
	}
	*list = *end;
	*end = NULL;
	if (!*list)
		*list_last = list;
	return first;
}

struct commit_item *queue_take(struct queue *queue, int64_t mono_us, int64_t *out_records)
{
	*out_records = 0;
	/* Alone: nobody's mail is refused because of what was refused before. */
	if (queue->kept && queue->retry_us <= mono_us)
		return take(queue, &queue->kept, &queue->kept_last, out_records);
	return take(queue, &queue->first, &queue->last, out_records);
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
	if (!queue->kept)
		queue->retry_us = 0;
}
