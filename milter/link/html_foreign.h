/*
 * html_foreign - where SVG and MathML begin and end (HTML 13.2.6.5), for html.c alone.
 */
#ifndef SEKISHO_LINK_HTML_FOREIGN_H
#define SEKISHO_LINK_HTML_FOREIGN_H

#include "milter/link/html.h"

/* A start tag has been read. True: HTML's rules hold for it (raw text may begin); false: it is a foreign element. */
bool html_foreign_start(struct html *html, struct html_token *token);
void html_foreign_end(struct html *html, const struct html_token *token);
/* Is the innermost open element foreign? Then CDATA sections are text. */
bool html_foreign_is_inside(const struct html *html);
/* Is it one in which HTML may stand? Then implementations disagree about CDATA. */
bool html_foreign_is_point(const struct html *html);

#endif
