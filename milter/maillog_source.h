/*
 * maillog_source - where lines of the MTA's log come from: a file, or the journal.
 *
 * A line begins as syslog writes it, "STAMP HOST PROGRAM[PID]: ". A position is a text without blanks at its ends and without
 * line feed, which finds the same place again after a restart; one that another kind of source made means nothing.
 *
 * Errors   ERR_BUSY: it cannot be read now; the next call tries again
 * Threads  one
 */
#ifndef SEKISHO_MAILLOG_SOURCE_H
#define SEKISHO_MAILLOG_SOURCE_H

#include "config/base/buf.h"

#define MAILLOG_LINE_MAX 16384         /* octets; of a longer line the rest is left out */
#define MAILLOG_POSITION_MAX 512
#define MAILLOG_BEHIND_UNKNOWN (-1)

struct maillog_source_ops {
	/* `position` empty or not to be found again: from the beginning of what there is (*out_is_found says which). */
	bool (*open)(struct str where, struct str position, void **out, bool *out_is_found, struct err *err);
	void (*close)(void *source);           /* NULL is fine */
	/* The next whole line without its end; it lives until the next call. *out_found false: there is none yet. */
	bool (*next)(void *source, struct str *out_line, bool *out_found, struct err *err);
	/* After the last line that was given. Nothing: none yet. */
	void (*position)(void *source, struct buf *out);
	/* Octets that wait to be read, or MAILLOG_BEHIND_UNKNOWN: some do. */
	int64_t (*behind)(const void *source);
};
extern const struct maillog_source_ops maillog_source_file, maillog_source_journal;

#endif
