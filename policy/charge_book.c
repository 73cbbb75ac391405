#include "policy/charge_book.h"

#include <pthread.h>
#include <stdlib.h>

#include "config/base/memory.h"

#define BUCKETS 4096                   /* as many messages are seldom between DATA and their end at once */

struct charge_book {
	pthread_mutex_t lock;
	struct charge_entry *buckets[BUCKETS];
	struct charge_entry *oldest, *newest;
};

struct charge_book *charge_book_new(void)
{
	struct charge_book *book = calloc(1, sizeof *book);

	if (book)
		pthread_mutex_init(&book->lock, NULL);
	return book;
}

void charge_book_free(struct charge_book *book)
{
	if (!book)
		return;
	for (struct charge_entry *entry = book->oldest, *newer; entry; entry = newer) {
		newer = entry->newer;
		free(entry);
	}
	pthread_mutex_destroy(&book->lock);
	free(book);
}

static struct charge_entry **place_of(struct charge_book *book, struct str tenant, struct str id)
{
	struct charge_entry **at = &book->buckets[str_hash(id) % BUCKETS];

	while (*at && !(str_eq((*at)->id, id) && str_eq((*at)->tenant, tenant)))
		at = &(*at)->chain;
	return at;
}

static struct charge_entry *unlink_at(struct charge_book *book, struct charge_entry **place)
{
	struct charge_entry *entry = *place;

	*place = entry->chain;
	*(entry->older ? &entry->older->newer : &book->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &book->newest) = entry->older;
	return entry;
}

static void forget_expired(struct charge_book *book, int64_t now_us)
{
	while (book->oldest && book->oldest->expires_us <= now_us)
		free(unlink_at(book, place_of(book, book->oldest->tenant, book->oldest->id)));
}

static struct str copy_to(char **at, struct str s)
{
	struct str copy = str_of(*at, s.len);

	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

static struct charge_entry *entry_new(struct str tenant, struct str id, const struct charge_note *notes, size_t count)
{
	size_t text = tenant.len + id.len;

	for (size_t i = 0; i < count; i++)
		text += notes[i].take.key.len;

	struct charge_entry *entry = malloc(sizeof *entry + count * sizeof *notes + text);

	if (!entry) {
		memory_ran_out();
		return NULL;
	}
	*entry = (struct charge_entry){ .count = count };

	char *at = (char *)(entry->notes + count);

	entry->tenant = copy_to(&at, tenant);
	entry->id = copy_to(&at, id);
	for (size_t i = 0; i < count; i++) {
		entry->notes[i] = notes[i];
		entry->notes[i].take.key = copy_to(&at, notes[i].take.key);
	}
	return entry;
}

bool charge_book_add(struct charge_book *book, struct str tenant, struct str id, const struct charge_note *notes,
		     size_t count, int64_t now_us, int64_t expires_us)
{
	struct charge_entry *entry = entry_new(tenant, id, notes, count);

	if (!entry)
		return false;
	entry->expires_us = expires_us;
	pthread_mutex_lock(&book->lock);
	forget_expired(book, now_us);

	struct charge_entry **place = place_of(book, tenant, id);

	if (*place)
		free(unlink_at(book, place));
	entry->older = book->newest;
	*(book->newest ? &book->newest->newer : &book->oldest) = entry;
	book->newest = entry;
	place = place_of(book, tenant, id);
	*place = entry;
	pthread_mutex_unlock(&book->lock);
	return true;
}

struct charge_entry *charge_book_take(struct charge_book *book, struct str tenant, struct str id, int64_t now_us)
{
	pthread_mutex_lock(&book->lock);

	struct charge_entry **place = place_of(book, tenant, id);
	struct charge_entry *entry = *place ? unlink_at(book, place) : NULL;

	pthread_mutex_unlock(&book->lock);
	if (!entry || entry->expires_us > now_us)
		return entry;
	free(entry);
	return NULL;
}
