/*
 * entities - the named character references of HTML, as a table.
 *
 * 2 231 names; 106 of them also stand without their semicolon, for pages of the nineties, and are rows of their own.
 */
#ifndef SEKISHO_LINK_ENTITIES_H
#define SEKISHO_LINK_ENTITIES_H

#include "config/base/str.h"

#define ENTITY_NAME_MAX 32             /* the longest is 32 octets, semicolon included */

struct entity {
	const char *name, *utf8;
};

extern const struct entity entities[]; /* sorted by the octets of the name */
extern const size_t entity_count;

#endif
