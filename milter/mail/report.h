/*
 * report - is this message a bounce or a complaint, and what does it say about whom?
 *
 * Reads DSNs (RFC 3464, 6533), abuse reports (RFC 5965), SES notices (JSON), and the many bounces that follow no
 * standard. It finds recipients and the words about each; what the words mean is policy/bounce's business.
 *
 * A message is taken for a report when header and text together say so; a recipient named in a mail from a person is no
 * bounce, however much it talks about bounces. The header comes first: nearly all mail is neither, and its body is not read.
 *
 * Input    a whole message, any line ends but bare CR, from anybody
 * Memory   in `arena`; strings point into the message or the arena. At most REPORT_TEXT_MAX decoded octets are held
 * Errors   ERR_BUSY: memory. That a message is no report is not an error
 * Bounds   linear in the message; REPORT_RECIPIENTS_MAX recipients
 * Threads  one reader serves any number at once
 */
#ifndef SEKISHO_MAIL_REPORT_H
#define SEKISHO_MAIL_REPORT_H

#include "milter/mail/dsn.h"

#define REPORT_TEXT_MAX ((size_t)256 * 1024)
#define REPORT_RECIPIENTS_MAX DSN_RECIPIENTS_MAX

enum report_kind {
	REPORT_NONE, REPORT_BOUNCE, REPORT_COMPLAINT,
	REPORT_NOTICE,                 /* a complaint's form without one: praise, a failed authentication; of no recipient */
};

struct report_recipient {
	struct str address;            /* whom it failed for; empty: the report names nobody */
	struct str original;           /* before aliasing or forwarding; empty: the same or not said */
	enum dsn_action action;
	struct str status;             /* the Status field's code */
	struct str comment;            /* what else that field says */
	struct str diagnostic;         /* the Diagnostic-Code field without its type */
	struct str text;               /* the report's own words about this recipient */
	struct str remote;             /* host that refused, by a field or in words */
	struct str category;           /* X-PowerMTA-BounceCategory, or "X-Unix": a program failed */
};

struct report {
	enum report_kind kind;
	const char *shape;             /* "rfc3464", "qmail", ... : by what it was known */
	struct str evidence;           /* the words that decided it is a report */
	bool is_delay;                 /* a warning: delivery is still being tried */
	struct str context;            /* the report's text up to the returned message */
	struct str reporter;           /* host that wrote it */
	struct str subject;
	struct str message_id;         /* of the returned message, without <> */
	struct str feedback_type;      /* of a complaint, or of what has its form */
	struct str queue_id;           /* of the returned message at the reporter, where that is Postfix: X-Postfix-Queue-ID */
	struct report_recipient *recipients;
	size_t count;
};

struct report_reader;

bool report_reader_new(struct report_reader **out, struct err *err);
void report_reader_free(struct report_reader *reader);

/* `is_null_sender`: the envelope says so; a Return-Path field of <> says the same. */
bool report_read(const struct report_reader *reader, struct str message, bool is_null_sender, struct arena *arena,
		 struct report *out, struct err *err);

#endif
