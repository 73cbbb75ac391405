/*
 * returned - one message in, and out comes for whom it failed and why.
 *
 * Where the reading of reports (milter/mail/report.h) meets their judging (policy/bounce.h), for the milter and for the
 * tool alike.
 *
 * Memory   in `arena`; strings point into the message, the rules or the arena
 * Errors   ERR_BUSY: memory
 */
#ifndef SEKISHO_RETURNED_H
#define SEKISHO_RETURNED_H

#include "milter/mail/report.h"
#include "policy/bounce.h"

struct returned {
	struct report report;
	struct bounce_verdict *verdicts;       /* one a recipient of the report */
};

bool returned_judge(const struct report_reader *reader, const struct bounce_rules *rules, struct str message,
		    bool is_null_sender, struct arena *arena, struct returned *out, struct err *err);

/* Still being tried? The recipient's own Action says so, or the report as a whole. */
bool returned_is_delay(const struct report *report, const struct report_recipient *recipient);

#endif
