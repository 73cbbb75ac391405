/*
 * edit - changes to bytes, as a sorted list of replacements.
 *
 * A message is never rebuilt: it stays as it came, and a list says which octets leave and what comes in their place.
 * What no edit names goes out exactly as it arrived.
 *
 * Order    edits are kept in rising order and do not overlap; edit_add takes them in that order (asserted). Two
 *          insertions at one place come out in the order they were added
 * Memory   the list grows in its arena; `with` is borrowed and must live as long as the list
 * Errors   ERR_BUSY when the arena is used up
 */
#ifndef SEKISHO_MAIL_EDIT_H
#define SEKISHO_MAIL_EDIT_H

#include "config/base/arena.h"
#include "config/base/buf.h"

struct edit {
	size_t at, len;                /* octets that leave; len 0 inserts before `at` */
	struct str with;               /* what comes instead */
};

struct edit_list {
	struct arena *arena;
	struct edit *items;
	size_t count, size;
};

void edit_init(struct edit_list *list, struct arena *arena);
bool edit_add(struct edit_list *list, size_t at, size_t len, struct str with, struct err *err);
/* The same in any order, without octets that leave: behind edits at the same place. `at` is in no range that leaves. */
bool edit_insert(struct edit_list *list, size_t at, struct str with, struct err *err);

/* `text` with its edits, appended to `out`. Every edit lies inside text (asserted). */
void edit_apply(struct str text, const struct edit_list *list, struct buf *out);
/* Is the longest line (LF excluded, CR counted out) of what edit_apply would write at most `max` octets? */
bool edit_lines_fit(struct str text, const struct edit_list *list, size_t max);

#endif
