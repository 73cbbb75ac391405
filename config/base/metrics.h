/*
 * metrics - the figures a running program keeps about itself.
 *
 * One registry: a row a metric, with its unit and meaning; the man page's list is printed from it. Counters and gauges are
 * one atomic word; a histogram has fixed bounds in microseconds. Metrics with a label (`verdict`) have one cell a value.
 *
 * Output   Prometheus text format 0.0.4
 * Threads  any
 */
#ifndef SEKISHO_METRICS_H
#define SEKISHO_METRICS_H

#include "config/base/buf.h"

enum metric_id {
	METRIC_SESSIONS,               /* gauge */
	METRIC_SESSIONS_TOTAL,
	METRIC_MESSAGES_ACCEPTED, METRIC_MESSAGES_DEFERRED, METRIC_MESSAGES_REJECTED, METRIC_MESSAGES_HELD,
	METRIC_RECIPIENTS_ACCEPTED,
	METRIC_MESSAGES_ABORTED,
	METRIC_STORE_FAILURES,
	METRIC_STORE_LOCAL,            /* gauge */
	METRIC_RECORD_FAILURES,
	METRIC_RELOADS, METRIC_RELOAD_FAILURES,
	METRIC_CONFIG_GENERATION,      /* gauge */
	METRIC_RECORDS, METRIC_RECORD_GROUPS, METRIC_RECORD_BYTES,
	METRIC_LOG_FREE_PERCENT,       /* gauge */
	METRIC_CLOCK_ERROR_US,         /* gauge */
	METRIC_MAILLOG_LINES, METRIC_MAILLOG_OUTCOMES, METRIC_MAILLOG_STRANGERS,
	METRIC_MAILLOG_BEHIND, METRIC_MAILLOG_LAG,     /* gauges: octets, seconds */
	METRIC_ALARMS, METRIC_ALARMS_ACTIVE,           /* active: gauge */
	METRIC_VERIFIED,               /* gauge: when */
	METRIC_RETURNS_BOUNCES, METRIC_RETURNS_COMPLAINTS, METRIC_RETURNS_REFUSED,
	METRIC_GUARD_HARD, METRIC_GUARD_UNKNOWN, METRIC_GUARD_COMPLAINTS, METRIC_GUARD_VOLUME, METRIC_GUARD_CLIENTS,
	METRIC_NOTICES, METRIC_NOTICE_FAILURES,
	METRIC_CHARGE_TIME,            /* histogram, microseconds */
	METRIC_EOM_TIME,               /* histogram */
	METRIC_COUNT
};

void metrics_add(enum metric_id id, int64_t n);
void metrics_set(enum metric_id id, int64_t value);
void metrics_observe(enum metric_id id, int64_t us);
int64_t metrics_read(enum metric_id id);       /* a histogram: how many observations */
int64_t metrics_sum(enum metric_id id);        /* a histogram: of all observations, microseconds */

/* All of them, with HELP and TYPE. */
void metrics_write(struct buf *out);

/* For the manual: name, type, unit and meaning of each row. False after the last. */
struct metric_row {
	const char *name, *label, *unit, *help;
	enum { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM } type;
};
const struct metric_row *metrics_row(size_t at);

#endif
