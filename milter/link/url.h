/*
 * url - where a link leads, as a browser would resolve it.
 *
 * Follows the WHATWG URL standard for http and https as far as a destination needs: blanks at the ends and tabs and
 * line ends anywhere go, `\` is `/`, what is not ASCII is percent-encoded (the query in the charset of its page). What
 * a browser would turn into the same URL by itself (upper-case hosts, dot segments, default ports, "%zz") stays as
 * written. A host that is not ASCII is percent-encoded UTF-8, which every browser turns into its IDNA form.
 *
 * Input    hostile, UTF-8
 * Bounds   linear; the output's ceiling is the buf's
 */
#ifndef SEKISHO_LINK_URL_H
#define SEKISHO_LINK_URL_H

#include "config/base/buf.h"

/* How a page's charset writes a query that is not ASCII; false: it cannot. */
struct url_encoder {
	bool (*encode)(const void *context, struct str utf8, struct buf *out);
	const void *context;
};

/* Could it be an http or https URL? A quick look that never says no to one that is. */
bool url_may_be_http(struct str value);

/*
 * Appends the destination in ASCII; *out_host is its host (without port) as a slice of the result. False, and nothing
 * appended: it is no absolute http or https URL, a browser would refuse it, or it depends on where the page stands
 * ("http:x", "//host"). `encoder` NULL: UTF-8.
 */
bool url_destination(struct str value, const struct url_encoder *encoder, struct buf *out, struct str *out_host);

/* Appends the page that the destination `url` leads to, in one spelling: host in lower case, no fragment (but "#/..." and "#!...",
 * which are pages to some sites), a path, and no port that the scheme has anyway. What the server may tell apart stays as written. */
void url_add_page(struct str url, struct buf *out);

#endif
