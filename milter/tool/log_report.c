#include "milter/tool/log_report.h"

#include "config/base/clock.h"
#include "milter/record/scan.h"

static void add_name(struct report_list *list, struct str name, struct arena *arena)
{
	if (name.len == 0)
		return;
	for (size_t i = 0; i < list->count; i++) {
		if (str_eq(list->rows[i].name, name)) {
			list->rows[i].n++;
			return;
		}
	}
	if (list->count < REPORT_NAMES_MAX && arena_copy(arena, name, &list->rows[list->count].name))
		list->rows[list->count++].n = 1;
	else
		list->others++;
}

static void mark_day(struct log_report *report, enum report_strip strip, int64_t time_us, enum report_mark mark)
{
	int64_t at = jst_day(time_us) - report->first_day;

	if (at >= 0 && at < REPORT_DAYS_MAX && report->marks[strip][at] < mark)
		report->marks[strip][at] = (unsigned char)mark;
}

void report_take_quota(struct log_report *report, struct str name, int64_t used, int64_t limit)
{
	struct report_quota *rows = report->quotas;
	size_t at = report->quota_count;

	if (limit <= 0)
		return;
	while (at > 0 && (double)rows[at - 1].used / (double)rows[at - 1].limit < (double)used / (double)limit)
		at--;
	if (at == REPORT_NAMES_MAX)
		return;
	report->quota_count += report->quota_count < REPORT_NAMES_MAX;
	memmove(rows + at + 1, rows + at, (report->quota_count - at - 1) * sizeof *rows);
	rows[at] = (struct report_quota){ name, used, limit };
}

static bool is_result(struct str name, enum verify_result result)
{
	return str_eq(name, str_from_c(verify_result_name(result)));
}

static void take_verified(struct log_report *report, const struct record_line *record, struct str mail)
{
	struct str class_name, result;

	if (scan_find_string(record->event.detail, STR("class"), &class_name) && str_eq(class_name, mail) &&
	    scan_find_string(record->event.detail, STR("result"), &result))
		mark_day(report, STRIP_VERIFIED, record->stamp.time_us,
			 is_result(result, VERIFY_OK) ? MARK_GOOD : is_result(result, VERIFY_UNKNOWN) ? MARK_WARN : MARK_BAD);
}

void report_take_ops(struct log_report *report, const struct record_line *record, struct str mail)
{
	const struct record_event *event = &record->event;
	int64_t day = jst_day(record->stamp.time_us);
	struct str by, alarm;

	if (day < report->first_day || day > report->last_day)
		return;
	if (str_eq(event->event, STR("verified")))
		take_verified(report, record, mail);
	else if (str_eq(event->event, STR("alarm")) && scan_find_string(event->detail, STR("alarm"), &alarm) && str_eq(alarm, STR("gap")))
		mark_day(report, STRIP_COMPLETE, record->stamp.time_us, MARK_BAD);
	else if (str_eq(event->event, STR("access")) && (report->tenant.len == 0 || str_eq(report->tenant, event->tenant)) &&
		 scan_find_string(event->detail, STR("by"), &by))
		add_name(&report->readers, by, report->arena);
}

/* A file was removed: how many whole days were its newest records kept? */
static void take_purged(struct log_report *report, const struct record_line *record)
{
	struct str file;
	int64_t day, kept;

	if (!scan_find_string(record->event.detail, STR("file"), &file) || !jst_parse_date(str_slice(file, 0, JST_DATE_LEN), &day))
		return;
	kept = jst_day(record->stamp.time_us) - day - 1;
	report->kept_min = report->purged == 0 || kept < report->kept_min ? kept : report->kept_min;
	report->kept_max = report->purged == 0 || kept > report->kept_max ? kept : report->kept_max;
	report->purged++;
}

/* A gap lies on the day on which it ends. */
static void take_time(struct log_report *report, const struct record_line *record)
{
	int64_t time_us = record->stamp.time_us, gap_us = time_us - report->last_us;

	if (report->last_us && gap_us > REPORT_GAP_US) {
		report->gaps++;
		report->longest_gap_us = gap_us > report->longest_gap_us ? gap_us : report->longest_gap_us;
		mark_day(report, STRIP_COMPLETE, time_us, MARK_WARN);
	}
	report->last_us = time_us;
	mark_day(report, STRIP_COMPLETE, time_us, MARK_GOOD);
	mark_day(report, STRIP_CLOCK, time_us, record->stamp.clock.len == 0 ? MARK_GOOD
		 : str_eq(record->stamp.clock, STR("degraded")) ? MARK_WARN : MARK_BAD);
}

static void take_recovered(struct log_report *report, const struct record_line *record)
{
	struct str kind = STR_EMPTY;

	report->recovered++;
	scan_find_string(record->event.detail, STR("kind"), &kind);
	if (!str_eq(kind, STR("cut")))              /* what was cut had never been acknowledged */
		mark_day(report, STRIP_COMPLETE, record->stamp.time_us, MARK_BAD);
}

static bool find_verdict(struct str event, enum report_verdict *out)
{
	static const struct str names[REPORT_VERDICTS] = {
		[REPORT_ACCEPTED] = STR_INIT("accepted"), [REPORT_DEFERRED] = STR_INIT("deferred"),
		[REPORT_REJECTED] = STR_INIT("rejected"), [REPORT_HELD] = STR_INIT("held"),
	};

	for (size_t i = 0; i < REPORT_VERDICTS; i++)
		if (str_eq(event, names[i]))
			*out = (enum report_verdict)i;
	return str_eq(event, names[*out]);
}

static void take_clock(struct log_report *report, const struct record_event *event)
{
	struct str state;

	if (scan_find_string(event->detail, STR("state"), &state))
		add_name(&report->clocks, state, report->arena);
}

static void take_outcome(struct log_report *report, const struct record_event *event)
{
	struct str reason;

	if (str_eq(event->event, STR("delivered")))
		report->delivered++;
	if (!str_eq(event->event, STR("bounced")) && !str_eq(event->event, STR("failed")))
		return;
	/* The log and a report may both tell of it. No text of others has these octets in it: there they are escaped. */
	if (str_find(event->outcome, STR("\"known\":true")) < event->outcome.len)
		return;
	report->failed++;
	if (event->outcome.len && scan_find_string(event->outcome, STR("reason"), &reason))
		add_name(&report->bounces, reason, report->arena);
}

void report_take_outcome(struct log_report *report, const struct record_line *record)
{
	int64_t day = jst_day(record->stamp.time_us);

	if (day >= report->first_day && day <= report->last_day &&
	    (report->tenant.len == 0 || str_eq(record->event.tenant, report->tenant)))
		take_outcome(report, &record->event);
}

void report_take(struct log_report *report, const struct record_line *record)
{
	const struct record_event *event = &record->event;
	int64_t day = jst_day(record->stamp.time_us), at = day - report->first_day;
	enum report_verdict verdict = REPORT_ACCEPTED;

	if (report->oldest_us == 0 || record->stamp.time_us < report->oldest_us)
		report->oldest_us = record->stamp.time_us;
	if (day < report->first_day || day > report->last_day || at >= REPORT_DAYS_MAX)
		return;
	take_time(report, record);
	if (str_eq(event->event, STR("clock")))
		take_clock(report, event);
	else if (str_eq(event->event, STR("recovered")))
		take_recovered(report, record);
	else if (str_eq(event->event, STR("purged")))
		take_purged(report, record);
	if (report->tenant.len && !str_eq(event->tenant, report->tenant))
		return;
	take_outcome(report, event);
	if (!find_verdict(event->event, &verdict))
		return;
	report->days[at][verdict]++;
	report->messages[verdict]++;
	if (verdict == REPORT_ACCEPTED)
		report->recipients += event->nrcpt;
	else
		add_name(&report->rules, event->rule.len ? event->rule : event->verdict, report->arena);
}
