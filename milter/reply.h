/*
 * reply - from a verdict to what the client hears.
 *
 * One row a reason: code, enhanced code (RFC 3463), tag and a sentence with named fields. Texts can be overridden by
 * `replies:` in the configuration. The result is ASCII, one line, at most REPLY_TEXT_MAX octets; `%` is doubled only
 * by glue.c, where libmilter wants it so.
 */
#ifndef SEKISHO_REPLY_H
#define SEKISHO_REPLY_H

#include "policy/policy.h"

#define REPLY_TEXT_MAX 480             /* RFC 5321 4.5.3.1.5: 512 for the line, code and CRLF included */

struct reply {
	int code;                      /* 250: go on; 451, 452, 550, 552 ... */
	char enhanced[12];             /* "4.7.1" */
	char text[REPLY_TEXT_MAX + 1]; /* without code and enhanced code */
};

/* `ref` is the record's id; `reply` is written as "451 4.7.1 text" into the record by reply_line. */
void reply_from_verdict(const struct config *config, const struct verdict *verdict, struct str ref, struct reply *out);
void reply_line(const struct reply *reply, char out[REPLY_TEXT_MAX + 32]);

const char *reply_tag(enum verdict_reason reason);
/* Is there such a tag, and does `text` use only fields that exist? For the configuration's check: config gives tags and
 * texts, main asks. */
bool reply_text_check(struct str tag, struct str text, struct err *err);

#endif
