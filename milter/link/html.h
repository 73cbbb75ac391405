/*
 * html - where tags, attribute values and comments stand in a page, exactly as a browser sees them.
 *
 * The tokeniser of the HTML standard (13.2.5), as far as needed to tell markup from what only looks like it: quoted
 * values, comments, raw text (style, xmp, iframe, noembed, noframes), text with references (title, textarea), script
 * with its two levels of escape, plaintext, and CDATA, which is text in SVG and MathML and a comment elsewhere. For the
 * last, elements are followed from an <svg> or <math> to its end (13.2.6.5). Scripting is off, as in mail: noscript is
 * markup.
 *
 * Nothing is decoded or copied: a token is a range of the page. entities_decode undoes the references in an
 * attribute's value.
 *
 * Input    hostile; in a charset whose octets under 0x80 are ASCII (charset_view makes one of any other)
 * Errors   none: any octets are a page. `doubt` is set where a browser's tree decides what a tag means and this
 *          tokeniser has no tree (raw text inside select or frameset, badly nested foreign content)
 * Bounds   linear; HTML_FOREIGN_MAX levels below <svg>, more are in doubt
 */
#ifndef SEKISHO_LINK_HTML_H
#define SEKISHO_LINK_HTML_H

#include "config/base/buf.h"

#define HTML_FOREIGN_MAX 64

enum html_kind { HTML_START = 1, HTML_END, HTML_COMMENT };

/* The elements that matter to somebody; all others are HTML_OTHER. Those up to HTML_U are formatting elements, which a
 * browser opens again when their parent has ended before them (13.2.4.3). */
enum html_name {
	HTML_OTHER, HTML_A, HTML_B, HTML_BIG, HTML_CODE, HTML_EM, HTML_FONT, HTML_I, HTML_NOBR, HTML_S, HTML_SMALL,
	HTML_STRIKE, HTML_STRONG, HTML_TT, HTML_U,
	HTML_AREA, HTML_BODY, HTML_FRAMESET, HTML_HTML, HTML_IFRAME, HTML_IMG, HTML_INPUT, HTML_KEYGEN, HTML_MATH, HTML_META,
	HTML_NOEMBED, HTML_NOFRAMES, HTML_PLAINTEXT, HTML_SCRIPT, HTML_SELECT, HTML_STYLE, HTML_SVG, HTML_TABLE,
	HTML_TEMPLATE, HTML_TEXTAREA, HTML_TITLE, HTML_XMP,
};
#define HTML_FORMATTING_MAX (HTML_U + 1)

struct html_token {
	enum html_kind kind;
	size_t at, end;                /* from `<` to behind `>` */
	struct str tag;                /* name as written; of a comment: what stands between <!-- and -->, or <! and > */
	enum html_name name;
	size_t attrs;                  /* where the first attribute may begin */
	bool is_self_closing;
	bool is_svg;                   /* a start tag inside of SVG */
};

/* What the end of the page fell into. */
enum html_ending { HTML_IN_DATA, HTML_IN_TAG, HTML_IN_COMMENT, HTML_IN_TEXT };

enum html_element { ELEMENT_HTML, ELEMENT_SVG, ELEMENT_MATH, ELEMENT_SVG_POINT, ELEMENT_MATH_TEXT, ELEMENT_ANNOTATION,
		    ELEMENT_ANNOTATION_HTML };

struct html_level {
	struct str tag;
	enum html_element element;
};

struct html {
	struct str page;
	size_t at;
	enum html_name raw;            /* inside this element's text */
	enum html_ending ending;       /* when html_next has said false */
	bool is_in_select, is_in_frameset;
	bool has_text;                 /* more than blanks so far, raw text not counted */
	size_t templates;              /* open <template> elements */
	bool is_unsure;                /* an end tag may or may not have ended foreign content */
	const char *doubt;             /* NULL: none */
	struct html_level levels[HTML_FOREIGN_MAX];
	size_t level_count;            /* elements open since the outermost <svg> or <math>, itself included */
};

void html_init(struct html *html, struct str page);
/* The next tag or comment; false at the end of the page. */
bool html_next(struct html *html, struct html_token *out);

struct html_attr {
	struct str name, value;        /* value as written, without quotes */
	bool has_value;
};

/* The attributes of a start tag, one by one; `cursor` begins as token->attrs. Of two with one name the first counts. */
bool html_attr_next(const struct html *html, const struct html_token *token, size_t *cursor, struct html_attr *out);
/* The first attribute of that (lower-case) name. */
bool html_attr_find(const struct html *html, const struct html_token *token, struct str name, struct html_attr *out);

#endif
