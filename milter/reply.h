/*
 * reply - from a verdict to what the client hears.
 *
 * One row a reason: code, enhanced code (RFC 3463), tag and a sentence with named fields. Sentences can be overridden by
 * `replies:` in the configuration; " [TAG] (ref ID)" always follows them. The result is printable ASCII (anything else
 * becomes '?'), one line, at most REPLY_TEXT_MAX octets, whatever the fields hold: the sentence is cut before the
 * reference is. `%` is doubled only by glue.c, where libmilter wants it so.
 *
 * Fields   {tenant} {rule} {scope} {sender} {used} {limit} {unit} {period} {time} {seconds} {detail}; and, with their
 *          words around them or nothing at all: {of} " of SCOPE", {again} "; room again at TIME", {until} " until TIME",
 *          {why} ": DETAIL". TIME is JST, rounded up to the minute, with its date when that is not today
 */
#ifndef SEKISHO_REPLY_H
#define SEKISHO_REPLY_H

#include "policy/policy.h"

#define REPLY_TEXT_MAX 480             /* RFC 5321 4.5.3.1.5: 512 for the line, code and CRLF included */
#define REPLY_SENTENCE_MAX 300         /* of an override, fields not yet filled in */

struct reply {
	int code;                      /* 250: go on; 451, 452, 550, 552 ... */
	char enhanced[12];             /* "4.7.1" */
	char text[REPLY_TEXT_MAX + 1]; /* without code and enhanced code */
};

/*
 * `ref` is the record's id; empty: no reference. A verdict that accepts has code 250; one that holds too, and its text
 * is the reason for the quarantine. The class of the code is always that of the verdict.
 */
void reply_from_verdict(const struct config *config, const struct verdict *verdict, struct str ref, struct reply *out);
/* "451 4.7.1 text", as the record keeps it. */
void reply_line(const struct reply *reply, char out[REPLY_TEXT_MAX + 32]);

const char *reply_tag(enum verdict_reason reason);
/* Is there such a tag, and does `text` use only fields that exist? */
bool reply_text_check(struct str tag, struct str text, struct err *err);
/* That of every override: config gives tags and texts, and who loads it asks here. */
bool reply_texts_check(const struct config *config, struct config_report *report);

#endif
