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

struct text_links {
	struct str text;
	/* The text is format=flowed with DelSp=yes (RFC 3676 4.2), where a blank and a line end part no word. */
	bool is_joined;
	/* text_link_goes_on of the character at `at`, which is no ASCII. */
	bool (*goes_on)(const void *arg, size_t at);
	const void *arg;
};

/* The next address at or behind `from`. False: there is no more. */
bool text_link_next(const struct text_links *links, size_t from, size_t *out_at, size_t *out_len);

/* May this, no ASCII, belong to the address before it? To most readers letters do. No address leads anywhere with signs such as
 * U+3002 or a closing bracket, whatever readers take them for. */
bool text_link_goes_on(struct str utf8);

#endif
