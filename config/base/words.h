/*
 * words - prose as it is compared: what remains of a sentence when spelling, punctuation and addresses are taken away.
 *
 * Mail servers say the same thing in a thousand typographies. Folded, `550-5.1.1 <a@b.example>... User Unknown` and
 * `"User unknown."` are both " user unknown ": lower case (ASCII, Latin-1, Greek and Cyrillic letters in UTF-8), one blank
 * between words and one at each end, apostrophes gone (doesn't -> doesnt), other ASCII punctuation a blank, SMTP reply
 * codes and enhanced codes gone (so the joints of a reply of several lines close), addresses gone. What is not ASCII
 * stays as it is, for scripts that put no blanks between words.
 *
 * Memory   the caller's buffer; at most 2 octets more than the text are written
 * Bounds   linear; what does not fit is left out
 */
#ifndef SEKISHO_WORDS_H
#define SEKISHO_WORDS_H

#include "config/base/str.h"

struct words {
	char *ptr;
	size_t len, max;
	bool has_address;              /* one was taken away */
	bool has_link;                 /* a web address was seen */
	bool without_links;            /* the caller's wish, after words_init: those are taken away too */
	bool is_full;
};

void words_init(struct words *words, char *ptr, size_t max);
/* Adds text; two texts are two sentences: nothing matches across them. */
void words_add(struct words *words, struct str text);
struct str words_view(const struct words *words);

/*
 * An address at the start of text (without angle brackets): its length, or 0. It has a dot or a colon in its domain; its
 * local part may be in quotation marks.
 */
size_t words_address(struct str text);
/* Class-subject-detail (RFC 3463) at the start of text, as "5.1.1": its length, or 0. Not the front of an IP address. */
size_t words_enhanced(struct str text);
/* A reply code (RFC 5321 4.2) at the start of text that is no part of a longer number: 200 to 559, or 0. */
int words_reply(struct str text);

#endif
