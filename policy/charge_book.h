/*
 * charge_book - what a process took from quotas and may still have to give back.
 *
 * The embedded store keeps this in memory: a charge is given back by the session that made it or by nobody, and when a
 * process dies its charges stay and age out with their windows. On disk the book cost each message two entries to write
 * and two to remove fifteen minutes later.
 *
 * Memory   an entry owns copies of its keys; it goes with charge_book_take or after its time, whichever is first
 * Errors   false: out of memory
 * Threads  any
 */
#ifndef SEKISHO_CHARGE_BOOK_H
#define SEKISHO_CHARGE_BOOK_H

#include "policy/store.h"
#include "policy/window.h"

/* One window that a charge added something to. */
struct charge_note {
	struct store_take take;        /* key, window, calendar, period: what giving back needs */
	struct window_mark mark;
};

struct charge_entry {
	struct charge_entry *chain;    /* in its bucket */
	struct charge_entry *newer, *older;
	int64_t expires_us;
	struct str tenant, id;
	size_t count;
	struct charge_note notes[];
};

struct charge_book;

struct charge_book *charge_book_new(void);
void charge_book_free(struct charge_book *book);       /* NULL is fine */

/* Copies what it is given. Entries past their time at now_us go. An id that is there already is replaced. */
bool charge_book_add(struct charge_book *book, struct str tenant, struct str id, const struct charge_note *notes,
		     size_t count, int64_t now_us, int64_t expires_us);
/* Takes the entry out; the caller frees it with free(). NULL: no such charge, or its time is over. */
struct charge_entry *charge_book_take(struct charge_book *book, struct str tenant, struct str id, int64_t now_us);

#endif
