/*
 * entities - character references of HTML, as attributes have them (HTML 13.2.5.72 to 80), undone.
 *
 * Of 2 231 names 106 also stand without their semicolon, for pages of the nineties, and are rows of their own.
 *
 * Bounds   linear
 */
#ifndef SEKISHO_ENTITIES_H
#define SEKISHO_ENTITIES_H

#include "config/base/buf.h"

#define ENTITY_NAME_MAX 32             /* the longest is 32 octets, semicolon included */

struct entity {
	const char *name, *utf8;
};

/* entities_table.c */
extern const struct entity entities[]; /* sorted by the octets of the name */
extern const size_t entity_count;

/* Appends a text (in UTF-8) with its references as the characters they mean; NUL is U+FFFD. */
void entities_decode(struct str text, struct buf *out);

#endif
