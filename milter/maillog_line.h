/*
 * maillog_line - one line of the MTA's log: what it says about a message, and when.
 *
 * On top of milter/mail/outcome.h, which reads what became of a recipient, the lines that are about a whole message:
 *
 *   postfix/qmgr[1]: QID: from=<s>, status=expired, returned to sender      all recipients still open have expired
 *   postfix/qmgr[1]: QID: removed                                           nothing is left to say
 *   postfix/pickup[1]: NEW: uid=0 from=<s> orig_id=OLD                      requeued: the message has a new queue id
 *   sm-mta[1]: QID: QID2: sender notify: Cannot send message for 5 days     all recipients still open have expired
 *
 * Stamps   "Jun  3 10:00:01" (host's zone, no year) or RFC 3339, its offset as +0900 too
 * Input    one line; strangers' addresses and replies stand in it, so the marks above are looked for where no stranger writes
 * Memory   slices of the line
 */
#ifndef SEKISHO_MAILLOG_LINE_H
#define SEKISHO_MAILLOG_LINE_H

#include "milter/mail/outcome.h"

enum maillog_kind { MAILLOG_NONE, MAILLOG_OUTCOME, MAILLOG_EXPIRED, MAILLOG_REMOVED, MAILLOG_REQUEUED };

struct maillog_line {
	enum maillog_kind kind;
	bool is_postfix;
	struct str stamp, queue_id;
	struct str old_id;             /* MAILLOG_REQUEUED */
	struct outcome outcome;        /* MAILLOG_OUTCOME */
};

bool maillog_line_read(struct str line, struct maillog_line *out);

/* A stamp without a year is of the year that brings it closest before `now_us`, a day of grace included. */
bool maillog_stamp_us(struct str stamp, int64_t now_us, int64_t *out_us);

#endif
