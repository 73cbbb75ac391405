/*
 * href - the links of a page, and the place where a pixel may stand.
 *
 * Links are `a[href]` and `area[href]`, `a` of SVG with `xlink:href` where it has no `href`, and inside Outlook's
 * conditional comments (<!--[if mso]> ... <![endif]-->), which are pages within the page, the same and `href` of VML
 * (`v:roundrect` and so on). A link whose sender opted out, in our words or another service's, is not reported.
 * Values are reported as written; whoever asks judges where they lead.
 *
 * Bounds   linear, no memory of its own
 */
#ifndef SEKISHO_LINK_HREF_H
#define SEKISHO_LINK_HREF_H

#include "milter/link/html.h"

enum href_kind { HREF_LINK = 1, HREF_IMAGE };     /* HREF_IMAGE: the src of an img, outside of comments */

struct href {
	enum href_kind kind;
	size_t at, len;                /* the value in the page, without quotes */
};

struct href_scan {
	struct html page, comment;
	bool is_in_comment;
	size_t body_end, html_end;     /* the last </body> and </html> where a pixel may stand; page.len + 1: none */
	size_t open[HTML_FORMATTING_MAX], open_total;      /* formatting elements that have not ended */
	size_t open_outside[HTML_FORMATTING_MAX];          /* of them, those outside of the table: no tag in a cell ends them */
	size_t opened_at[HTML_FORMATTING_MAX];             /* the last of each, which it was of all */
	size_t opened;
	size_t run_from, run_to;       /* the last run of tags of other elements; run_to 0: none to stand before */
	size_t last_end;               /* behind the last tag or comment */
	size_t tables;                 /* open <table> elements */
	size_t markers;                /* open <object>, <marquee> and <applet>: no tag in them ends what is open outside */
	bool is_in_columns;            /* the last tag has opened a colgroup */
	bool is_before_line;           /* the last tag swallows the line end behind it (HTML 13.2.6.4.7, "pre") */
	bool has_element;              /* one that stands in a body */
};

void href_init(struct href_scan *scan, struct str page);
/* The next one, in rising order. False at the end of the page. */
bool href_next(struct href_scan *scan, struct href *out);

/* After the end: where a pixel may be inserted, if there is such a place. */
bool href_pixel_place(const struct href_scan *scan, size_t *out_at);
/* After the end: why the page cannot be judged surely; NULL: it can. */
const char *href_doubt(const struct href_scan *scan);

/* The charset that a page declares for itself in its first 1 024 octets; empty: none. */
struct str href_declared_charset(struct str page);

#endif
