#include "milter/tool/report.h"

#include "config/base/clock.h"
#include "milter/record/scan.h"

void report_add(struct report_list *list, struct str name, struct arena *arena)
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

static void take_clock(struct report *report, const struct record_event *event)
{
	struct str state;

	if (scan_find_string(event->detail, STR("state"), &state))
		report_add(&report->clocks, state, report->arena);
}

static void take_outcome(struct report *report, const struct record_event *event)
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
		report_add(&report->bounces, reason, report->arena);
}

void report_take(struct report *report, const struct record_line *record)
{
	const struct record_event *event = &record->event;
	int64_t day = jst_day(record->stamp.time_us), at = day - report->first_day;
	enum report_verdict verdict = REPORT_ACCEPTED;

	if (report->oldest_us == 0 || record->stamp.time_us < report->oldest_us)
		report->oldest_us = record->stamp.time_us;
	if (day < report->first_day || day > report->last_day || at >= REPORT_DAYS_MAX)
		return;
	if (str_eq(event->event, STR("clock")))
		take_clock(report, event);
	report->recovered += str_eq(event->event, STR("recovered"));
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
		report_add(&report->rules, event->rule.len ? event->rule : event->verdict, report->arena);
}
