#include "milter/maillog_map.h"

#include <pthread.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/memory.h"

#define BUCKETS (1u << 16)
#define SAID_KEEP 256

/* In two rings at most: the bucket's chain, and one of two queues in the order of coming. */
struct entry {
	struct entry *chain;
	struct entry *prev, *next;
	struct maillog_open *open;
	size_t open_count;
	int64_t done_us;               /* monotonic; 0: the MTA still has it */
	char queue_id[MAILLOG_QUEUE_ID_MAX + 1];
	char id[MAILLOG_ID_MAX + 1], tenant[MAILLOG_TENANT_MAX + 1];
	char *sender;                  /* behind the struct, in the same memory */
};

struct maillog_map {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
	struct entry live, done;       /* rings: next is the oldest */
	size_t count, open_count;
};

static void ring_init(struct entry *ring)
{
	ring->next = ring->prev = ring;
}

static void ring_add(struct entry *ring, struct entry *e)
{
	e->prev = ring->prev;
	e->next = ring;
	e->prev->next = e;
	ring->prev = e;
}

static void ring_leave(struct entry *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
}

struct maillog_map *maillog_map_new(void)
{
	struct maillog_map *map = calloc(1, sizeof *map);

	if (!map)
		return NULL;
	pthread_mutex_init(&map->lock, NULL);
	ring_init(&map->live);
	ring_init(&map->done);
	return map;
}

static void open_free(struct maillog_open *list)
{
	while (list) {
		struct maillog_open *next = list->next;

		free(list);
		list = next;
	}
}

static struct entry **place_of(struct maillog_map *map, struct str queue_id)
{
	struct entry **at = &map->buckets[str_hash(queue_id) % BUCKETS];

	while (*at && !str_eq(str_from_c((*at)->queue_id), queue_id))
		at = &(*at)->chain;
	return at;
}

static void drop(struct maillog_map *map, struct entry *e)
{
	struct entry **at = place_of(map, str_from_c(e->queue_id));

	*at = e->chain;
	ring_leave(e);
	for (struct maillog_open *open = e->open; open; open = open->next)
		map->open_count--;
	open_free(e->open);
	free(e);
	map->count--;
}

void maillog_map_free(struct maillog_map *map)
{
	if (!map)
		return;
	while (map->live.next != &map->live)
		drop(map, map->live.next);
	while (map->done.next != &map->done)
		drop(map, map->done.next);
	pthread_mutex_destroy(&map->lock);
	free(map);
}

/* Done long ago, then done, then the oldest. */
static void make_room(struct maillog_map *map)
{
	int64_t now_us = clock_mono_us();

	while (map->done.next != &map->done &&
	       (map->count >= MAILLOG_MESSAGES_MAX || map->done.next->done_us + MAILLOG_DONE_KEEP_US <= now_us))
		drop(map, map->done.next);
	while (map->count >= MAILLOG_MESSAGES_MAX)
		drop(map, map->live.next);
}

static bool keep_text(char *room, size_t max, struct str s)
{
	if (s.len > max || (s.len && memchr(s.ptr, '\0', s.len)))
		return false;
	if (s.len)
		memcpy(room, s.ptr, s.len);
	room[s.len] = '\0';
	return true;
}

bool maillog_map_add(struct maillog_map *map, struct str queue_id, struct str id, struct str tenant, struct str sender)
{
	struct entry *e;

	if (!map || queue_id.len == 0)
		return true;
	if (sender.len > MAILLOG_SENDER_MAX)
		sender = STR_EMPTY;
	e = calloc(1, sizeof *e + sender.len + 1);
	if (!e) {
		memory_ran_out();
		return false;
	}
	e->sender = (char *)(e + 1);
	keep_text(e->sender, sender.len, sender);
	if (!keep_text(e->queue_id, MAILLOG_QUEUE_ID_MAX, queue_id) || !keep_text(e->id, MAILLOG_ID_MAX, id) ||
	    !keep_text(e->tenant, MAILLOG_TENANT_MAX, tenant)) {
		free(e);
		return true;
	}
	pthread_mutex_lock(&map->lock);
	if (*place_of(map, queue_id))
		drop(map, *place_of(map, queue_id));
	make_room(map);
	*place_of(map, queue_id) = e;
	ring_add(&map->live, e);
	map->count++;
	pthread_mutex_unlock(&map->lock);
	return true;
}

bool maillog_map_find(struct maillog_map *map, struct str queue_id, struct maillog_message *out)
{
	pthread_mutex_lock(&map->lock);

	struct entry *e = *place_of(map, queue_id);

	if (e) {
		memcpy(out->id, e->id, sizeof out->id);
		memcpy(out->tenant, e->tenant, sizeof out->tenant);
		memcpy(out->sender, e->sender, strlen(e->sender) + 1);
	}
	pthread_mutex_unlock(&map->lock);
	return e != NULL;
}

void maillog_map_done(struct maillog_map *map, struct str queue_id)
{
	pthread_mutex_lock(&map->lock);

	struct entry *e = *place_of(map, queue_id);

	if (e && e->done_us == 0) {
		e->done_us = clock_mono_us();
		ring_leave(e);
		ring_add(&map->done, e);
	}
	pthread_mutex_unlock(&map->lock);
}

/* The youngest: another one makes room where there is none. */
static void renew(struct maillog_map *map, struct str queue_id)
{
	pthread_mutex_lock(&map->lock);

	struct entry *e = *place_of(map, queue_id);

	if (e && e->done_us == 0) {
		ring_leave(e);
		ring_add(&map->live, e);
	}
	pthread_mutex_unlock(&map->lock);
}

static void move_open(struct maillog_map *map, struct str from, struct str to)
{
	pthread_mutex_lock(&map->lock);

	struct entry *old = *place_of(map, from), *new = *place_of(map, to);

	if (old && new && old != new && !new->open) {
		new->open = old->open;
		new->open_count = old->open_count;
		old->open = NULL;
		old->open_count = 0;
	}
	pthread_mutex_unlock(&map->lock);
}

bool maillog_map_rename(struct maillog_map *map, struct str old_id, struct str new_id)
{
	struct maillog_message message;

	if (!maillog_map_find(map, old_id, &message))
		return true;
	renew(map, old_id);
	if (!maillog_map_add(map, new_id, str_from_c(message.id), str_from_c(message.tenant), str_from_c(message.sender)))
		return false;
	move_open(map, old_id, new_id);
	maillog_map_done(map, old_id);
	return true;
}

/* --- who waits */

static struct str put(char **at, struct str s)
{
	struct str kept = str_of(*at, s.len);

	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return kept;
}

static struct maillog_open *open_new(struct str recipient, struct str status, struct str said)
{
	said = str_slice(said, 0, SAID_KEEP);
	status = str_slice(status, 0, 16);

	struct maillog_open *open = malloc(sizeof *open + recipient.len + status.len + said.len);

	if (!open) {
		memory_ran_out();
		return NULL;
	}

	char *at = (char *)(open + 1);

	*open = (struct maillog_open){ .recipient = put(&at, recipient) };
	open->status = put(&at, status);
	open->said = put(&at, said);
	return open;
}

/* Gives back what found no room. */
static struct maillog_open *wait_there(struct maillog_map *map, struct entry *e, struct maillog_open *open)
{
	if (!e || map->open_count >= MAILLOG_OPEN_MAX || e->open_count >= MAILLOG_OPEN_ONE_MAX)
		return open;
	open->next = e->open;
	e->open = open;
	e->open_count++;
	map->open_count++;
	return NULL;
}

static void settle(struct maillog_map *map, struct entry *e, struct str recipient)
{
	for (struct maillog_open **at = &e->open; *at; at = &(*at)->next)
		if (str_eq_nocase((*at)->recipient, recipient)) {
			struct maillog_open *gone = *at;

			*at = gone->next;
			free(gone);
			map->open_count--;
			e->open_count--;
			return;
		}
}

void maillog_map_settle(struct maillog_map *map, struct str queue_id, struct str recipient)
{
	pthread_mutex_lock(&map->lock);

	struct entry *e = *place_of(map, queue_id);

	if (e)
		settle(map, e, recipient);
	pthread_mutex_unlock(&map->lock);
}

bool maillog_map_wait(struct maillog_map *map, struct str queue_id, struct str recipient, struct str status, struct str said)
{
	struct maillog_open *open = open_new(recipient, status, said);

	if (!open)
		return false;
	pthread_mutex_lock(&map->lock);

	struct entry *e = *place_of(map, queue_id);

	if (e)
		settle(map, e, recipient);
	open = wait_there(map, e, open);
	pthread_mutex_unlock(&map->lock);
	free(open);
	return true;
}

struct maillog_open *maillog_map_take(struct maillog_map *map, struct str queue_id)
{
	pthread_mutex_lock(&map->lock);

	struct entry *e = *place_of(map, queue_id);
	struct maillog_open *open = e ? e->open : NULL;

	if (open) {
		e->open = open->next;
		e->open_count--;
		map->open_count--;
	}
	pthread_mutex_unlock(&map->lock);
	return open;
}

void maillog_map_put(struct maillog_map *map, struct str queue_id, struct maillog_open *open)
{
	pthread_mutex_lock(&map->lock);
	open = wait_there(map, *place_of(map, queue_id), open);
	pthread_mutex_unlock(&map->lock);
	free(open);
}
