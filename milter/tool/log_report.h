/*
 * log_report - the relay log of some weeks on one page, for people who do not run the gate.
 *
 * One HTML file that holds all it needs: no script, no link, nothing fetched; charts are SVG. It prints on A4. Every text out of
 * a record is somebody else's: it is escaped, and its control characters are shown as U+FFFD.
 *
 * Memory   REPORT_DAYS_MAX days of counters; REPORT_NAMES_MAX names a list, the rest is summed up
 */
#ifndef SEKISHO_LOG_REPORT_H
#define SEKISHO_LOG_REPORT_H

#include "config/base/clock.h"
#include "config/base/retention.h"
#include "milter/record/verify.h"

#define REPORT_DAYS_MAX 400
#define REPORT_NAMES_MAX 24

enum report_verdict { REPORT_ACCEPTED, REPORT_DEFERRED, REPORT_REJECTED, REPORT_HELD, REPORT_VERDICTS };

struct report_count {
	struct str name;
	int64_t n;
};
/* Names in order of first appearance; `others` for those that found no room. */
struct report_list {
	struct report_count rows[REPORT_NAMES_MAX];
	size_t count;
	int64_t others;
};

/* What a day was like, where that can be told; the worst of it stays. */
enum report_mark { MARK_UNKNOWN, MARK_GOOD, MARK_WARN, MARK_BAD };
enum report_strip { STRIP_VERIFIED, STRIP_COMPLETE, STRIP_CLOCK, REPORT_STRIPS };

struct report_quota {
	struct str name;
	int64_t used, limit;
};

#define REPORT_GAP_US (2 * HOUR_US)       /* a writer signs every hour: nobody wrote for so long */

struct log_report {
	struct str node, tenant;       /* tenant empty: all */
	int64_t first_day, last_day, made_us;
	int64_t days[REPORT_DAYS_MAX][REPORT_VERDICTS];
	int64_t messages[REPORT_VERDICTS], recipients, delivered, failed;
	struct report_list rules, bounces, clocks, readers;
	int64_t recovered;
	unsigned char marks[REPORT_STRIPS][REPORT_DAYS_MAX];
	struct report_quota quotas[REPORT_NAMES_MAX];   /* fullest first */
	size_t quota_count;
	int64_t gaps, longest_gap_us, last_us; /* last: of the record before */
	int64_t purged, kept_min, kept_max;    /* files, and for how many whole days they were kept */
	bool is_limited;               /* one tenant's records alone were seen: nothing of the log as a whole can be told */
	struct retention keep;
	int64_t oldest_us;             /* of the records there are; 0: none */
	const struct verify_report *verify;    /* NULL: not verified */
	struct arena *arena;           /* the names' */
};

/* A record of class ops: access, the daily verification of class `mail`, alarms. */
void report_take_ops(struct log_report *report, const struct record_line *record, struct str mail);
/* Keeps the fullest. */
void report_take_quota(struct log_report *report, struct str name, int64_t used, int64_t limit);
/* A record of the class that mail is recorded in; those of other days and tenants do not count. */
void report_take(struct log_report *report, const struct record_line *record);
/* What became of mail, from another class than the report is about. */
void report_take_outcome(struct log_report *report, const struct record_line *record);

enum report_lang { REPORT_EN, REPORT_JA };
void report_write(const struct log_report *report, enum report_lang lang, struct buf *out);

#endif
