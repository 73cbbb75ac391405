/*
 * charset - what the octets of a text mean.
 *
 * A label is looked up as browsers do (WHATWG Encoding 4.2: "iso-8859-1" is windows-1252, "gb2312" is GBK), and conversion
 * is the C library's iconv. Beside conversion there is one question a rewriter asks: which octets of a text are ASCII
 * characters, and which only look like them (`"` and `<` inside ISO-2022-JP kanji, `\` as second octet of Shift_JIS)?
 * charset_view answers it with a text in which everything that is not an ASCII character is an octet over 0x7f.
 *
 * Input    hostile; whatever cannot be converted becomes U+FFFD
 * Memory   views live in their arena or are the input itself
 * Bounds   linear
 */
#ifndef SEKISHO_MAIL_CHARSET_H
#define SEKISHO_MAIL_CHARSET_H

#include <iconv.h>

#include "config/base/arena.h"
#include "config/base/buf.h"

enum charset_shape {
	CHARSET_ASCII_SAFE = 1,        /* octets under 0x80 are always ASCII: UTF-8, ISO-8859-x, EUC-JP, KOI8 ... */
	CHARSET_DOUBLE,                /* a lead octet over 0x80, then one that may look like ASCII: Big5, EUC-KR */
	CHARSET_SHIFT_JIS,             /* the same, other leads */
	CHARSET_GB,                    /* the same, and four octets with two digits among them: GB18030 */
	CHARSET_GBK,                   /* the same; what takes four octets is read and not written */
	CHARSET_ISO_2022_JP,           /* escape sequences say what the octets after them are */
	CHARSET_WIDE,                  /* UTF-16, UTF-32: not octets at all */
	CHARSET_OTHER,                 /* known to iconv, but not to browsers or in another way (UTF-7, HZ, EBCDIC) */
};

struct charset {
	const char *name;              /* for iconv */
	enum charset_shape shape;
	bool is_utf8;
	const char *labels;            /* lower case, one blank between them, one at either end */
};

/* NULL: no such label. */
const struct charset *charset_find(struct str label);

/* charset_table.c; its first row is UTF-8. */
extern const struct charset charset_table[];
extern const size_t charset_table_count;
#define charset_utf8 (&charset_table[0])

/* No octet of any charset becomes more of them in UTF-8: one of ISO-2022-JP that means nothing is two of EUC, and U+FFFD for each. */
#define CHARSET_GROWTH 8

/* iconv_open(3), of names that are in the table. Where memory is out, and not the name at fault, `out` (may be NULL) fails. */
iconv_t charset_iconv(const char *to, const char *from, struct buf *out);

/* Appends `in` as UTF-8. False when something had to become U+FFFD (it is all there nevertheless) or memory is out. */
bool charset_to_utf8(const struct charset *charset, struct str in, struct buf *out);
/* The other way. False when there is something that the charset cannot say, or memory is out. */
bool charset_from_utf8(const struct charset *charset, struct str utf8, struct buf *out);

/*
 * The octets that a browser puts into a URL's query on a page in this charset (WHATWG URL 1.3, Encoding 4.4): what the
 * charset cannot say becomes a decimal character reference, percent-encoded ("%26%2312354%3B"). The C library's tables
 * are not the browsers'. False: there is a character about which they may differ.
 */
bool charset_query(const struct charset *charset, struct str utf8, struct buf *out);
/* Was `utf8`, which charset_to_utf8 made, read as a browser reads the same octets? */
bool charset_is_sure(const struct charset *charset, struct str utf8);

/* Length of the ISO-2022-JP escape sequence that stands at the start of s, and the state it begins: 'B' ASCII, 'J' JIS
 * X 0201 Roman, 'I' Katakana, '$' JIS X 0208 and 'D' JIS X 0212, two octets a character. 0: none stands there. */
size_t charset_escape(struct str s, char *out_state);

/*
 * An escape sequence of ISO-2022-JP is no character: it is missing in the view, and a new stretch begins behind it. But one
 * right behind another is read as U+FFFD besides (WHATWG Encoding 12.2.1): it is in the view, as a stretch that is lost.
 */
#define CHARSET_LOST '?'
struct charset_stretch {
	size_t view_at, text_at;
	char state;
};

struct charset_view {
	struct str text, bytes;        /* as it came; as a parser of ASCII markup may read it */
	const struct charset *charset;
	const struct charset_stretch *stretches;   /* at least one when the charset is ISO-2022-JP */
	size_t stretch_count;
};

/* False for shapes that have no such view (wide, other), and when the arena is used up. */
bool charset_view(const struct charset *charset, struct str text, struct arena *arena, struct charset_view *out);
/* Where the octet at `view_at` stands in the text. At the start of a stretch: `before_escape` says on which side. */
size_t charset_view_at(const struct charset_view *view, size_t view_at, bool before_escape);
/* The state in which that place is read, or CHARSET_LOST; 'B' for all other charsets. */
char charset_view_state(const struct charset_view *view, size_t view_at, bool before_escape);

#endif
