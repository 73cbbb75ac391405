/*
 * mime - the parts of a message, as ranges of its octets.
 *
 * One pass over the lines finds every delimiter of every open multipart (RFC 2046 5.1); nothing is copied. What senders
 * break is read as most readers do: a missing end delimiter ends with the parent, a part without an empty line has no
 * body, blanks behind a delimiter do not count. Where readers disagree the part says so in `doubt`: whoever changes
 * messages leaves such a part alone.
 *
 * Input    hostile; lines end in CRLF or LF
 * Memory   the array and the lower-cased names live in the arena; ranges point into `body` and `fields`
 * Bounds   linear; MIME_PARTS_MAX parts and MIME_DEPTH_MAX levels, what is beyond belongs to the part around it and
 *          `is_cut` says so
 */
#ifndef SEKISHO_MAIL_MIME_H
#define SEKISHO_MAIL_MIME_H

#include "config/base/err.h"
#include "milter/mail/charset.h"
#include "milter/mail/header.h"

#define MIME_PARTS_MAX 10000
#define MIME_DEPTH_MAX 100

enum mime_encoding {
	MIME_7BIT = 1,                 /* also when nothing is said */
	MIME_8BIT,
	MIME_BINARY,
	MIME_QP,
	MIME_BASE64,
	MIME_UNKNOWN,                  /* x-uuencode and the like */
};

#define MIME_NO_PARENT SIZE_MAX

struct mime_part {
	size_t parent;                 /* index; MIME_NO_PARENT for the message itself */
	size_t depth;                  /* 0 for the message itself */
	struct str header;             /* as it stands in the body; empty for the message itself */
	struct str body;               /* still encoded; without the line end before the delimiter */
	struct str type, subtype;      /* lower case: "text", "html"; the default where none is given */
	struct str content_type;       /* the field's raw value; empty: none */
	struct str boundary, protocol;
	struct str charset;            /* label as written; empty: none */
	struct str disposition;        /* lower case: "attachment"; empty: none */
	enum mime_encoding encoding;
	bool has_name;                 /* a file name is given, in either field */
	bool is_inside_message;        /* below a message/rfc822: it is somebody else's */
	const char *doubt;             /* why readers may see it differently; NULL: they will not */
};

struct mime {
	struct mime_part *parts;       /* parents before their children, in the order of the text */
	size_t count;
	bool is_cut;
};

/* `fields` are the message's own; `body` what follows them. */
bool mime_scan(const struct header *fields, size_t count, struct str body, struct arena *arena, struct mime *out,
	       struct err *err);
/* The same for a whole message in one piece. */
bool mime_scan_text(struct str text, struct arena *arena, struct mime *out, struct err *err);

bool mime_is(const struct mime_part *part, struct str type, struct str subtype);
/* The body without its transfer encoding, appended. False: an encoding that is not known, or readers could disagree about
 * it (what could be read is there). */
bool mime_decode(const struct mime_part *part, struct buf *out);

#endif
