/*
 * report_parts - the few parts of a message that can hold a report, found and decoded.
 *
 * Not a MIME parser: a bounce is read for what it says, so every doubt is settled in favour of going on. Boundaries are
 * looked for where they should be, headers may be folded wrongly, a multipart whose boundary never comes is a text.
 * Attached messages are leaves: what stands in them was not said by the reporter.
 *
 * Memory   parts point into the message; what had to be decoded lies in `arena`
 * Bounds   PARTS_MAX parts, PARTS_DEPTH_MAX boundaries inside one another, the rest is passed over; linear
 */
#ifndef SEKISHO_MAIL_REPORT_PARTS_H
#define SEKISHO_MAIL_REPORT_PARTS_H

#include "config/base/arena.h"

#define PARTS_MAX 24
#define PARTS_DEPTH_MAX 8
#define PARTS_HEADER_MAX 65536
#define PARTS_RETURNED_MAX ((size_t)1 << 20)   /* octets looked at from the returned message on; an eighth when the report is whole */
#define PARTS_BOUNDARIES_MAX 1000      /* boundary lines; behind the last nothing is looked at */

enum part_kind {
	PART_OTHER,
	PART_TEXT,                     /* text/plain, or no type at all */
	PART_HTML,
	PART_STATUS,                   /* message/delivery-status and its misspellings */
	PART_FEEDBACK,                 /* message/feedback-report */
	PART_MESSAGE,                  /* message/rfc822 */
	PART_HEADERS,                  /* text/rfc822-headers */
};

struct part {
	enum part_kind kind;
	struct str header, body;       /* as they came */
};

struct parts {
	struct part items[PARTS_MAX];
	size_t count;
	bool is_multipart, is_digest;
};

/* The value of the first field of this name, folds included, trimmed; empty when there is none. Takes what header_next
 * stops at: lines that are no field. */
struct str parts_field(struct str header, struct str name);
/* Splits at the first empty line, whatever stands before it; without one in the first PARTS_HEADER_MAX octets there is
 * no body. */
void parts_split(struct str message, struct str *out_header, struct str *out_body);

void parts_find(struct str header, struct str body, struct arena *arena, struct parts *out);

/* The part's body as UTF-8, at most `max` octets. False: memory is out. */
bool part_decode(const struct part *part, size_t max, struct arena *arena, struct str *out);
/* A field of the message with this Content-Type as UTF-8: one that nobody encoded (RFC 2047) has the charset of the text.
 * False: memory is out. */
bool parts_field_text(struct str value, struct str content_type, struct arena *arena, struct str *out);
/* HTML as text: tags that end a line do so. False: memory is out. */
bool part_strip_html(struct arena *arena, struct str html, struct str *out);

#endif
