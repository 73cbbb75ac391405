#include "policy/asking.h"

#include "config/base/memory.h"
#include "config/base/metrics.h"

void asking_begin(struct asking *a)
{
	a->shortages = memory_shortages();
	*a->out = (struct verdict){ .action = VERDICT_ACCEPT, .tenant = a->tenant, .matched_by = MATCH_KIND_COUNT };
}

void asking_decide(const struct asking *a, enum verdict_action action, enum verdict_reason reason, struct str rule)
{
	struct verdict *out = a->out;

	out->action = action;
	out->reason = reason;
	out->rule = rule;
	out->scope = out->period = out->detail = STR_EMPTY;
	out->counts = COUNTS_RECIPIENTS;
	out->used = out->limit = out->retry_at_us = 0;
	out->fits_in_parts = false;
}

void asking_note(const struct asking *a, struct policy_note note)
{
	size_t room = POLICY_NOTES_MAX - (note.reason == REASON_CONTENT ? POLICY_NOTES_OTHERS : 0);

	for (size_t i = 0; note.reason != REASON_NONE && i < a->out->note_count; i++)
		if (a->out->notes[i].reason == note.reason && str_eq(a->out->notes[i].rule, note.rule))
			return;
	if (a->out->note_count < room)
		a->out->notes[a->out->note_count++] = note;
}

void asking_store_failed(const struct asking *a, const struct err *err)
{
	if (memory_shortages() != a->shortages) {      /* which says nothing of the store */
		asking_no_memory(a);
		return;
	}
	metrics_add(METRIC_STORE_FAILURES, 1);
	if (a->config->on_store_failure == STORE_FAILURE_ACCEPT) {
		a->out->was_store_gone = true;
		return;
	}
	asking_decide(a, VERDICT_DEFER, REASON_STORE, STR("on_store_failure"));
	if (!arena_copy(a->arena, str_from_c(err->text), &a->out->detail))
		a->out->detail = STR_EMPTY;
}

void asking_no_memory(const struct asking *a)
{
	asking_decide(a, VERDICT_DEFER, REASON_MEMORY, STR("transaction_memory_max"));
}

bool asking_is_whole(const struct asking *a)
{
	return a->facts->is_internal || a->facts->is_judged_at_end;
}

bool asking_is_refused(const struct asking *a)
{
	return a->out->action == VERDICT_DEFER || a->out->action == VERDICT_REJECT;
}

enum verdict_action asking_action(enum excess_action action)
{
	switch (action) {
	case EXCESS_REJECT:
		return VERDICT_REJECT;
	case EXCESS_HOLD:
		return VERDICT_HOLD;
	case EXCESS_DEFER:
		break;
	}
	return VERDICT_DEFER;
}
