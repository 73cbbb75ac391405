/*
 * utf8 - characters as octets (RFC 3629).
 */
#ifndef SEKISHO_UTF8_H
#define SEKISHO_UTF8_H

#include "config/base/str.h"

/* Length of the valid UTF-8 character at the start of s (1 to 4), or 0 (RFC 3629: no surrogates, no overlong forms). */
size_t utf8_length(struct str s);
bool utf8_is_valid(struct str s);
/* Writes the octets of a character, 0x10ffff at most, to `to`, which has room for four: how many there are. */
size_t utf8_put(char *to, uint32_t c);

#endif
