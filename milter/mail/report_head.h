/*
 * report_head - how much a header looks like a bounce's.
 *
 * One pass picks the fields that matter; marks in Subject and From, a null return path, the type of a report and the
 * fields of certain programs add up to a score. REPORT_HEAD_MIN is what a body must have before it is read at all.
 *
 * Memory   slices of the header; encoded words are decoded into `arena`
 * Bounds   linear
 */
#ifndef SEKISHO_MAIL_REPORT_HEAD_H
#define SEKISHO_MAIL_REPORT_HEAD_H

#include "config/base/arena.h"
#include "config/base/phrase.h"

#define REPORT_HEAD_MIN 2

struct report_head {
	struct str from, subject, to, content_type, return_path, failed_recipients, mailer, sns_message_id, list_server,
		complaint_recipient, list_id, list_unsubscribe, auto_submitted;
	int score;
	bool has_sender_evidence;      /* more than a Subject anybody could write */
	bool is_mailers;               /* a mailer's name, program or Subject; or nobody's address in From */
	bool names_goods;              /* in a Subject with a bounce's words */
	bool has_words;                /* a bounce's, in From or Subject */
	bool has_bounce_subject;
	bool is_dsn_report, is_feedback_report;
	bool is_handed_on;             /* "Re: ...", "Fwd: ..." */
	bool is_forward;               /* "Fwd: ..." */
	struct str evidence;           /* the mark that counted most */
};

/* False: the arena is used up. */
bool report_head_read(const struct phrase_set *marks, struct str header, bool is_null_sender, struct arena *arena,
		      struct report_head *out);

#endif
