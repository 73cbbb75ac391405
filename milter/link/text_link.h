/*
 * text_link - the addresses in a plain text that readers make links of.
 *
 * "http://" or "https://" at the start of a word, and what follows up to what no URL holds, without the sentence's full
 * stop or bracket. Readers differ on where some addresses end; those are not reported: what a tracked link would stand for
 * is not known.
 *
 * Input    hostile; what is no ASCII character is an octet over 0x7f (charset_view)
 * Bounds   linear, no memory
 */
#ifndef SEKISHO_LINK_TEXT_LINK_H
#define SEKISHO_LINK_TEXT_LINK_H

#include "config/base/str.h"

/*
 * The next address at or behind `from`. `is_joined`: the text is format=flowed with DelSp=yes (RFC 3676 4.2), where a
 * blank and a line end part no word. False: there is no more.
 */
bool text_link_next(struct str text, bool is_joined, size_t from, size_t *out_at, size_t *out_len);

#endif
