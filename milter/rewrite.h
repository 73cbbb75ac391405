/*
 * rewrite - which octets of a message change, so that opens and clicks can be seen.
 *
 * The message stays as it came; the result is a list of edits to its body and a list of changes to its header. Only
 * text/html parts that are shown (no attachment, nothing signed, encrypted or forwarded) are opened, and text/plain ones
 * where the rules say so. In them the destinations of http and https links are replaced by tracked ones, and a pixel is
 * put before the end of a page. A part is encoded anew only when an edit makes a line longer than SMTP allows.
 *
 * Sure     any doubt about a part (broken MIME, unknown charset, a page that only a browser's tree can judge) leaves
 *          the part alone, and a note says why
 * Again    rewriting what was rewritten changes nothing: own links and pixels are known by their host
 * Sender   "X-Sekisho-Track: opens=off; clicks=off; readers=off; id=NAME" steers one message; the field is removed
 * Readers  with is_anonymous tokens of links and pixels have no recipient, and a message for one that has no id is named
 *          REWRITE_ANONYMOUS, as all others of the tenant are; to unsubscribe there must still be an address
 * Memory   changes and new texts live in the arena; the message must outlive them
 * Bounds   linear; parts of REWRITE_PART_MAX octets and more are left alone; REWRITE_NOTES_MAX notes
 */
#ifndef SEKISHO_REWRITE_H
#define SEKISHO_REWRITE_H

#include "config/config.h"
#include "milter/link/token.h"
#include "milter/mail/edit.h"
#include "milter/mail/header.h"

#define REWRITE_PART_MAX ((size_t)32 << 20)
#define REWRITE_NOTES_MAX 32
#define REWRITE_STEER_HEADER "X-Sekisho-Track"
#define REWRITE_ANONYMOUS "anonymous"
#define REWRITE_LINE_MAX 998           /* RFC 5322 2.1.1, CRLF not counted */

struct rewrite_rules {
	struct str tenant, host;       /* host of the tracked links */
	bool opens, clicks;
	bool is_anonymous;             /* links and pixels do not carry the recipient */
	bool text_links;               /* with clicks: those of text/plain parts as well */
	bool list_unsubscribe;         /* add List-Unsubscribe and its Post (RFC 8058) where the message has none */
	enum signed_rule on_signed;
	const struct token_keys *keys;         /* NULL: it tracks nothing, and only what steers goes */
};

struct rewrite_rules rewrite_rules_of(const struct tenant *tenant, const struct token_keys *keys);

struct rewrite_message {
	const struct header *fields;
	size_t field_count;
	struct str body;
	struct str recipient;          /* the only one, bare; empty: there are several, or none */
	uint16_t day;                  /* JST days since 1970-01-01 */
};

enum rewrite_action { HEADER_CHANGE = 1, HEADER_REMOVE, HEADER_ADD };

struct rewrite_field {
	enum rewrite_action action;
	struct str name;
	size_t nth;                    /* of the fields with that name, from 1 */
	struct str value;
};

struct rewrite_note {
	size_t part;                   /* number of the part in the order of the text; 0 is the message itself */
	const char *why;
};

struct rewrite_result {
	struct edit_list body;
	struct rewrite_field *fields;  /* nth counts the fields as they came */
	size_t field_count, field_room;
	struct rewrite_note notes[REWRITE_NOTES_MAX];
	size_t note_count;
	size_t links, pixels, parts;   /* tracked links, pixels, parts changed */
	struct str message;            /* as the tokens name it */
};

/* False only when memory is out; a message that is left alone is success without edits. */
bool rewrite_message(const struct rewrite_rules *rules, const struct rewrite_message *message, struct arena *arena,
		     struct rewrite_result *out, struct err *err);

/* The whole message as it leaves. Its fields have their lines (header.h); `blank` is the empty line as it came, if there is one. */
void rewrite_render(const struct rewrite_message *message, const struct rewrite_result *result, struct str blank,
		    struct buf *out);

#endif
