/*
 * report_text - whom a report written in prose names, and which of its words belong to whom.
 *
 * Programs write differently but lay out alike: an address opens a line, alone or before a colon, and what follows until
 * the next one is about it; or a label stands before it ("Recipient: a@b"); or it stands in a transcript of an SMTP
 * session; or in a sentence ("undeliverable to a@b"). Each such sighting is noted with how plainly the address stands
 * there; the caller takes the plainest kind that occurs.
 *
 * Input    a text part in UTF-8, LF or CRLF, from anybody
 * Memory   sightings in `arena`, pointing into the text
 * Bounds   SIGHTINGS_MAX; linear
 */
#ifndef SEKISHO_MAIL_REPORT_TEXT_H
#define SEKISHO_MAIL_REPORT_TEXT_H

#include "config/base/arena.h"

#define SIGHTINGS_MAX 1024

enum sighting_kind {                   /* plainest first */
	SIGHTING_LINE = 1,             /* "<a@b>: host said ..." */
	SIGHTING_LABEL,                /* "Recipient: a@b" */
	SIGHTING_REPLY,                /* "550 <a@b>... User unknown", ">>> RCPT To:<a@b>" */
	SIGHTING_SENTENCE,             /* "There was an error delivering your mail to <a@b>." */
	SIGHTING_TO,                   /* "To: a@b" among the returned message's fields */
	SIGHTING_MENTION,              /* anywhere else */
};

struct sighting {
	struct str address;
	struct str was;                /* "(expanded from <c@d>)": before aliasing */
	enum sighting_kind kind;
	struct str words;              /* what the text says about it */
	size_t beside;                 /* "a@b, c@d": number of the sighting, from 1, with whose words this one's are the same; or 0 */
	bool is_below_words;           /* right below a line that does not lead to it with a colon */
};

struct report_text {
	struct str text;               /* up to where the returned message begins */
	struct str returned;           /* from there on */
	struct sighting *items;
	size_t count;
	bool has_fields;               /* delivery status fields stand in the text */
};

/* False: the arena is used up. */
bool report_text_read(struct str text, struct arena *arena, struct report_text *out);

/* Bare names that open a line, for programs that name mailboxes without a domain ("    screenname"). */
size_t report_text_names(struct str text, struct str anchor, struct str *out, size_t max);

#endif
