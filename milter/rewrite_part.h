/*
 * rewrite_part - the edits of one text/html or text/plain part, for rewrite.c.
 */
#ifndef SEKISHO_REWRITE_PART_H
#define SEKISHO_REWRITE_PART_H

#include "milter/mail/mime.h"
#include "milter/rewrite.h"

/* What holds for all parts of one message. */
struct rewrite_job {
	const struct rewrite_rules *rules;
	struct token_sealer *sealer;
	struct arena *arena;
	struct token token;            /* tenant, message, day; purpose, link and url change */
	struct str recipient_tag;
	const struct str *never;       /* pages (url_add_page) whose links stay as they are */
	size_t never_count;
	bool opens, clicks, is_anonymous;
	size_t links;                  /* so far, in the whole message */
};

struct rewrite_part {
	struct edit_list edits;        /* of the body as it stands, from its first octet */
	bool to_qp;                    /* the part is quoted-printable now, and one edit replaces it all */
	bool has_pixel;                /* a new one, or there was one already */
	size_t links, pixels;
	const char *why_not;           /* left alone; NULL: it was judged */
};

/* `eol` is how lines of the message end. False: memory is out. */
bool rewrite_part(struct rewrite_job *job, const struct mime_part *part, bool wants_pixel, struct str eol,
		  struct rewrite_part *out, struct err *err);

#endif
