/*
 * report_reading - one message being read: what report.c, report_recipients.c and report_complaint.c share.
 *
 * Functions that return false have set the error: memory.
 */
#ifndef SEKISHO_MAIL_REPORT_READING_H
#define SEKISHO_MAIL_REPORT_READING_H

#include "milter/mail/report.h"
#include "milter/mail/report_head.h"
#include "milter/mail/report_parts.h"
#include "milter/mail/report_text.h"

struct reading {
	const struct report_reader *reader;
	struct arena *arena;
	struct report *out;
	struct report_head head;
	struct parts parts;
	struct report_text texts[PARTS_MAX];
	size_t text_count;
	int text_score;
	bool names_itself;             /* a text says which program wrote it */
	bool names_goods;              /* a text speaks of a parcel, a fax, a form */
	struct str returned;           /* header of the message that came back */
	bool is_of_program;            /* the type of a report, or a server's reply beside an address */
	bool has_returned;             /* a message came back, not only a quotation */
	size_t room;
	struct err *err;
};

/* --- report.c */

/*
 * A server's reply near the beginning of what is said: "550 ...", three digits of which the first is 4 or 5 and the second
 * at most 5, that stand alone, with words behind them; or "5.1.1".
 */
bool report_has_code(struct str words);

/* --- report_recipients.c */

/* NULL: memory. */
struct report_recipient *report_recipient_add(struct reading *r, struct str address);
struct report_recipient *report_recipient_find(const struct report *report, struct str address);    /* NULL: none */
/* The recipients of a delivery status; a status without any is no error. */
bool report_take_status(struct reading *r, struct str text);
/* Where there is no status: X-Failed-Recipients, or whom the texts name most plainly. */
bool report_take_named(struct reading *r);
/* What the texts say about a recipient, into it->text. */
bool report_take_words(struct reading *r, struct report_recipient *it);

/* --- report_complaint.c */

/* A message that is no complaint leaves r->out as it is. */
bool report_take_complaint(struct reading *r);

/* The first part of a kind; NULL when there is none. */
const struct part *report_part(const struct reading *r, enum part_kind kind);
/* The header of the message that came back. */
struct str report_part_returned(const struct part *part);

#endif
