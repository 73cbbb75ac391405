#include "milter/returned.h"

bool returned_is_delay(const struct report *report, const struct report_recipient *recipient)
{
	return recipient->action == DSN_DELAYED || (recipient->action == DSN_ACTION_NONE && report->is_delay);
}

static bool is_delivered(enum dsn_action action)
{
	return action == DSN_DELIVERED || action == DSN_RELAYED || action == DSN_EXPANDED;
}

bool returned_judge(const struct report_reader *reader, const struct bounce_rules *rules, struct str message,
		    bool is_null_sender, struct arena *arena, struct returned *out, struct err *err)
{
	const struct report *report = &out->report;

	if (!report_read(reader, message, is_null_sender, arena, &out->report, err))
		return false;
	out->verdicts = arena_array(arena, report->count, sizeof *out->verdicts);
	if (!out->verdicts)
		return err_memory(err);
	for (size_t i = 0; i < report->count; i++) {
		const struct report_recipient *it = &report->recipients[i];
		struct bounce_facts facts = {
			.recipient = it->address,
			.diagnostic = it->diagnostic,
			.text = it->text,
			.context = report->context,
			.status = it->status,
			.remote = it->remote,
			.reporter = report->reporter,
			.category = it->category,
			.shape = report->shape,
			.is_only = report->count == 1,
			.is_complaint = report->kind == REPORT_COMPLAINT,
			.is_delivered = is_delivered(it->action),
			.is_delay = returned_is_delay(report, it),
		};

		bounce_judge(rules, &facts, arena, &out->verdicts[i]);
	}
	return true;
}
