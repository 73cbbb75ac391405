/*
 * outcome - one line of an MTA's log: what became of one recipient of one message.
 *
 *     ... postfix/smtp[1]: 4E576B032: to=<a@b>, orig_to=<c>, relay=mx[192.0.2.1]:25, ..., dsn=5.1.1, status=bounced (host said: ...)
 *     ... sm-mta[1]: u0E7M9: to=<a@b>, delay=..., relay=mx. [192.0.2.1], dsn=5.1.1, stat=550 5.1.1 <a@b>... User unknown
 *
 * Postfix under any syslog name (postfix/smtp, postfix-out/lmtp, ...) and sendmail's sendmail, sm-mta and the like, as
 * syslog daemons write them into files:
 *
 *     Jun  3 10:00:01 mx1 postfix/smtp[4001]: QUEUEID: REST             RFC 3164, what follows "]: " after any stamp
 *     2026-06-03T10:00:01+09:00 mx1 postfix/smtp[4001]: QUEUEID: REST   the same with an RFC 3339 stamp
 *     Wed 2026-06-03 10:00:01 JST mx1 postfix/smtp[4001]: QUEUEID: REST         journalctl -o short-full
 *     Jun 03 10:00:01.123456 mx1 postfix/smtp[4001]: QUEUEID: REST              journalctl -o short-precise
 *     <22>1 2026-06-03T10:00:01Z mx1 postfix/smtp 4001 - - QUEUEID: REST        RFC 5424; <22> may precede the others too
 *
 * Input    one line without its end; message texts in it were written by strangers
 * Memory   slices of the line
 * Bounds   linear; OUTCOME_LINE_MAX octets are looked at
 */
#ifndef SEKISHO_MAIL_OUTCOME_H
#define SEKISHO_MAIL_OUTCOME_H

#include "config/base/str.h"

#define OUTCOME_LINE_MAX 8192

enum outcome_kind {
	OUTCOME_NONE,
	OUTCOME_DELIVERED,             /* status=sent, stat=Sent */
	OUTCOME_DELAYED,               /* status=deferred, stat=Deferred */
	OUTCOME_FAILED,                /* status=bounced, dsn=5.x.x */
	OUTCOME_EXPIRED,               /* status=expired; sendmail: "Message could not be delivered for" */
};

/* What each line begins with. */
struct outcome_head {
	struct str stamp;
	struct str program;            /* "postfix/smtp", "sm-mta" */
	struct str queue_id, rest;
	bool is_postfix;               /* by its program */
};

struct outcome {
	enum outcome_kind kind;
	struct str program;            /* "postfix/smtp", "sm-mta" */
	struct str queue_id;
	struct str recipient, original;        /* original: orig_to, ctladdr; empty: none */
	struct str more;               /* sendmail: the recipients behind the first, for outcome_next */
	struct str remote;             /* host that answered */
	struct str status;             /* dsn= */
	struct str said;               /* all that is said about it */
	struct str reply;              /* of it, what the remote host said */
};

bool outcome_is_queue_id(struct str id);
/* False: the line is about no message. */
bool outcome_head_read(struct str line, struct outcome_head *out);
/* False: the line is about no recipient. */
bool outcome_read(struct str line, struct outcome *out);
/* Takes the next of `more`. */
bool outcome_next(struct str *more, struct str *out_recipient);
/* Does a line look as if it came from a mail log? */
bool outcome_is_log(struct str line);

#endif
