/*
 * field - a field of the header as the rules on content see it: in one line, as people read it.
 *
 * Encoded words (RFC 2047) and folds are undone, and blanks in a row are one: so neither hides a text. Other characters that
 * look like blanks (U+00A0, U+3000) are what they are, and raw octets in another charset than UTF-8 are not read.
 *
 * Input    hostile
 * Memory   the field lives in `arena`
 * Errors   false: that is used up
 */
#ifndef SEKISHO_FIELD_H
#define SEKISHO_FIELD_H

#include "config/base/arena.h"
#include "policy/policy.h"

/* Puts it in front of *fields. */
bool field_keep(struct arena *arena, struct str name, struct str value, const struct content_field **fields);

#endif
