/*
 * header - the fields of a header, and what stands in them.
 *
 * A field is a name and a value as it came: folds ("\r\n " or "\n ") and all. header_next reads a block of lines into
 * fields; a front that gets its fields one by one makes the same struct. The functions below take a raw value apart:
 * parameters (RFC 2045 5.1, RFC 2231), encoded words (RFC 2047), comments.
 *
 * Input    hostile, any octets
 * Memory   names and values are slices of the input; decoded texts go to the caller's buf or arena
 * Bounds   linear; HEADER_PARAMS_MAX parameters of one field are looked at
 */
#ifndef SEKISHO_MAIL_HEADER_H
#define SEKISHO_MAIL_HEADER_H

#include "config/base/arena.h"
#include "config/base/buf.h"

#define HEADER_PARAMS_MAX 64

struct header {
	struct str name, value;        /* value: behind the colon, without the blank there and the last line end */
	struct str line;               /* all of it, last line end included; empty when it came by itself */
};

/* The next field of a block. False at its end, at an empty line, or at a line that is no field: what is left in `rest`
 * says which. */
bool header_next(struct str *rest, struct header *out);
/* Splits a message (or a part) into header and body. `out_has_blank` is false when no empty line stands between. */
void header_split(struct str text, struct str *out_header, struct str *out_body, bool *out_has_blank);

/* The first field of that name; NULL when there is none. `out_count` (may be NULL): how many there are. */
const struct header *header_find(const struct header *fields, size_t count, struct str name, size_t *out_count);

/* The value in one line, without comments and outer blanks: "Quoted-Printable (see 6.7)" gives "Quoted-Printable". */
bool header_plain(struct str value, struct arena *arena, struct str *out);

/* One parameter of "main; name=value; ...", unquoted, continuations joined, percent and charset decoded to UTF-8.
 * Absent: *out is empty and *out_found false. The first of several wins. False: the arena is used up. */
bool header_param(struct str value, struct str name, struct arena *arena, struct str *out, bool *out_found);
/* What stands before the first semicolon, lower case, without comments and blanks. */
bool header_main(struct str value, struct arena *arena, struct str *out);

/* A text for people, as UTF-8 in one line: folds and encoded words undone, what cannot be read as U+FFFD. */
void header_text(struct str value, struct buf *out);

#endif
