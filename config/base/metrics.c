#include "config/base/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>

static const struct metric_row rows[METRIC_COUNT] = {
	[METRIC_SESSIONS] = { "sekisho_sessions", "", "sessions", "SMTP sessions open now", METRIC_GAUGE },
	[METRIC_SESSIONS_TOTAL] = { "sekisho_sessions_total", "", "sessions", "SMTP sessions since the start", METRIC_COUNTER },
	[METRIC_MESSAGES_ACCEPTED] = { "sekisho_messages_total", "verdict=\"accepted\"", "messages",
				       "Messages by verdict", METRIC_COUNTER },
	[METRIC_MESSAGES_DEFERRED] = { "sekisho_messages_total", "verdict=\"deferred\"", "messages",
				       "Messages by verdict", METRIC_COUNTER },
	[METRIC_MESSAGES_REJECTED] = { "sekisho_messages_total", "verdict=\"rejected\"", "messages",
				       "Messages by verdict", METRIC_COUNTER },
	[METRIC_MESSAGES_HELD] = { "sekisho_messages_total", "verdict=\"held\"", "messages",
				   "Messages by verdict", METRIC_COUNTER },
	[METRIC_RECIPIENTS_ACCEPTED] = { "sekisho_recipients_accepted_total", "", "recipients",
					 "Recipients of accepted messages, held ones among them", METRIC_COUNTER },
	[METRIC_MESSAGES_ABORTED] = { "sekisho_messages_aborted_total", "", "messages",
				      "Messages that ended before their end (RSET, disconnect, refusal by others)", METRIC_COUNTER },
	[METRIC_STORE_FAILURES] = { "sekisho_store_failures_total", "", "calls", "Store calls that failed", METRIC_COUNTER },
	[METRIC_STORE_LOCAL] = { "sekisho_store_local", "", "0 or 1", "The shared store is away, and this relay counts by itself",
				 METRIC_GAUGE },
	[METRIC_RECORD_FAILURES] = { "sekisho_record_failures_total", "", "records",
				     "Relay records that could not be made durable", METRIC_COUNTER },
	[METRIC_RELOADS] = { "sekisho_reloads_total", "", "reloads", "Configurations taken", METRIC_COUNTER },
	[METRIC_RELOAD_FAILURES] = { "sekisho_reload_failures_total", "", "reloads",
				     "Configurations refused at reload", METRIC_COUNTER },
	[METRIC_CONFIG_GENERATION] = { "sekisho_config_generation", "", "number", "Which configuration since the start is in force",
				       METRIC_GAUGE },
	[METRIC_RECORDS] = { "sekisho_records_total", "", "records", "Relay log records made durable", METRIC_COUNTER },
	[METRIC_RECORD_GROUPS] = { "sekisho_record_groups_total", "", "groups", "Commit groups: one fdatasync each",
				   METRIC_COUNTER },
	[METRIC_RECORD_BYTES] = { "sekisho_record_bytes_total", "", "octets", "Relay log octets made durable", METRIC_COUNTER },
	[METRIC_LOG_FREE_PERCENT] = { "sekisho_log_free_percent", "", "per cent", "Free space where the relay log is",
				      METRIC_GAUGE },
	[METRIC_CLOCK_ERROR_US] = { "sekisho_clock_error_microseconds", "", "microseconds",
				    "Largest possible error of the system clock (adjtimex maxerror)", METRIC_GAUGE },
	[METRIC_MAILLOG_LINES] = { "sekisho_maillog_lines_total", "", "lines", "Lines of the MTA's log that were read",
				   METRIC_COUNTER },
	[METRIC_MAILLOG_OUTCOMES] = { "sekisho_maillog_outcomes_total", "", "recipients",
				      "Outcomes of recipients that were recorded", METRIC_COUNTER },
	[METRIC_MAILLOG_STRANGERS] = { "sekisho_maillog_strangers_total", "", "lines",
				       "Outcomes of messages that did not pass here, or too long ago", METRIC_COUNTER },
	[METRIC_MAILLOG_BEHIND] = { "sekisho_maillog_behind_octets", "", "octets", "How much of the MTA's log waits to be read",
				    METRIC_GAUGE },
	[METRIC_MAILLOG_LAG] = { "sekisho_maillog_lag_seconds", "", "seconds",
				 "Age of the line of the MTA's log that is being read; 0 at its end", METRIC_GAUGE },
	[METRIC_ALARMS] = { "sekisho_alarms_total", "", "alarms", "Alarms of the relay log that were told", METRIC_COUNTER },
	[METRIC_ALARMS_ACTIVE] = { "sekisho_alarms_active", "", "alarms", "Kinds of alarm that last: verify, gap, disk, clock, "
				   "overdue, silence", METRIC_GAUGE },
	[METRIC_VERIFIED] = { "sekisho_verified_timestamp_seconds", "", "seconds since 1970",
			      "When the relay log was last verified by the daemon; 0: not since its start", METRIC_GAUGE },
	[METRIC_RETURNS_BOUNCES] = { "sekisho_returns_total", "what=\"bounced\"", "recipients",
				     "What came back: recipients that bounced, that complained, return paths that were refused",
				     METRIC_COUNTER },
	[METRIC_RETURNS_COMPLAINTS] = { "sekisho_returns_total", "what=\"complained\"", "recipients",
					"What came back: recipients that bounced, that complained, return paths that were refused",
					METRIC_COUNTER },
	[METRIC_RETURNS_REFUSED] = { "sekisho_returns_total", "what=\"refused\"", "recipients",
				     "What came back: recipients that bounced, that complained, return paths that were refused",
				     METRIC_COUNTER },
	[METRIC_GUARD_HARD] = { "sekisho_guard_strikes_total", "what=\"hard_bounces\"", "strikes",
				     "Times that a guard struck", METRIC_COUNTER },
	[METRIC_GUARD_UNKNOWN] = { "sekisho_guard_strikes_total", "what=\"unknown_users\"", "strikes",
				     "Times that a guard struck", METRIC_COUNTER },
	[METRIC_GUARD_COMPLAINTS] = { "sekisho_guard_strikes_total", "what=\"complaints\"", "strikes",
				     "Times that a guard struck", METRIC_COUNTER },
	[METRIC_GUARD_VOLUME] = { "sekisho_guard_strikes_total", "what=\"volume\"", "strikes",
				     "Times that a guard struck", METRIC_COUNTER },
	[METRIC_GUARD_CLIENTS] = { "sekisho_guard_strikes_total", "what=\"clients\"", "strikes",
				     "Times that a guard struck", METRIC_COUNTER },
	[METRIC_NOTICES] = { "sekisho_notices_total", "", "notices", "Times that the operator was told, by program or by mail",
			     METRIC_COUNTER },
	[METRIC_NOTICE_FAILURES] = { "sekisho_notice_failures_total", "", "notices",
				     "Programs that failed or ran too long, mail that was not taken", METRIC_COUNTER },
	[METRIC_CHARGE_TIME] = { "sekisho_charge_microseconds", "", "microseconds", "Time the store took for a charge",
				 METRIC_HISTOGRAM },
	[METRIC_EOM_TIME] = { "sekisho_eom_microseconds", "", "microseconds",
			      "Time from end of message to the answer, durable record included", METRIC_HISTOGRAM },
};

static const int64_t bounds_us[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
				     1000000, 5000000 };
#define BOUNDS (sizeof bounds_us / sizeof *bounds_us)

static struct cell {
	_Atomic int64_t value;                  /* a histogram: the sum */
	_Atomic int64_t bucket[BOUNDS + 1];
} cells[METRIC_COUNT];

void metrics_add(enum metric_id id, int64_t n)
{
	atomic_fetch_add_explicit(&cells[id].value, n, memory_order_relaxed);
}

void metrics_set(enum metric_id id, int64_t value)
{
	atomic_store_explicit(&cells[id].value, value, memory_order_relaxed);
}

void metrics_observe(enum metric_id id, int64_t us)
{
	size_t at = 0;

	while (at < BOUNDS && us > bounds_us[at])
		at++;
	atomic_fetch_add_explicit(&cells[id].bucket[at], 1, memory_order_relaxed);
	metrics_add(id, us);
}

static int64_t bucket_sum(const struct cell *cell, size_t up_to)
{
	int64_t sum = 0;

	for (size_t i = 0; i <= up_to; i++)
		sum += atomic_load_explicit(&cell->bucket[i], memory_order_relaxed);
	return sum;
}

int64_t metrics_sum(enum metric_id id)
{
	return atomic_load_explicit(&cells[id].value, memory_order_relaxed);
}

int64_t metrics_read(enum metric_id id)
{
	return rows[id].type == METRIC_HISTOGRAM ? bucket_sum(&cells[id], BOUNDS) : metrics_sum(id);
}

static void write_histogram(struct buf *out, const struct metric_row *row, const struct cell *cell)
{
	for (size_t i = 0; i < BOUNDS; i++)
		buf_printf(out, "%s_bucket{le=\"%" PRId64 "\"} %" PRId64 "\n", row->name, bounds_us[i], bucket_sum(cell, i));

	int64_t count = bucket_sum(cell, BOUNDS);

	buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", row->name, count);
	buf_printf(out, "%s_sum %" PRId64 "\n", row->name, metrics_sum((enum metric_id)(row - rows)));
	buf_printf(out, "%s_count %" PRId64 "\n", row->name, count);
}

void metrics_write(struct buf *out)
{
	static const char *const type_names[] = {
		[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram" };

	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct metric_row *row = &rows[i];

		if (i == 0 || strcmp(row->name, rows[i - 1].name) != 0)
			buf_printf(out, "# HELP %s %s (%s)\n# TYPE %s %s\n", row->name, row->help, row->unit, row->name,
				   type_names[row->type]);
		if (row->type == METRIC_HISTOGRAM)
			write_histogram(out, row, &cells[i]);
		else
			buf_printf(out, "%s%s%s%s %" PRId64 "\n", row->name, *row->label ? "{" : "", row->label,
				   *row->label ? "}" : "", metrics_read((enum metric_id)i));
	}
}

const struct metric_row *metrics_row(size_t at)
{
	return at < METRIC_COUNT ? &rows[at] : NULL;
}
