#include "milter/tool/explain.h"

#include "config/base/clock.h"

bool explain_is_refusal(const struct verdict *v)
{
	return v->action == VERDICT_DEFER || v->action == VERDICT_REJECT;
}

/* A refusal outweighs a hold, and the first of a kind stands. True: the session would go on. */
static bool settle(struct explain *e, enum stage stage, struct str recipient, const struct verdict *verdict)
{
	struct answer *answer = &e->answers[e->count++];

	*answer = (struct answer){ stage, recipient, *verdict };
	if (verdict->action == VERDICT_ACCEPT)
		return true;
	if (e->final.verdict.action == VERDICT_ACCEPT || (e->final.verdict.action == VERDICT_HOLD && explain_is_refusal(verdict)))
		e->final = *answer;
	e->facts.is_held |= verdict->action == VERDICT_HOLD;
	return !explain_is_refusal(verdict) || e->is_local;
}

/* Of a recipient at a domain of return paths: as returning_meet (milter/returning.h). False: it is at none. */
static bool ask_path(struct explain *e, struct str recipient, struct verdict *out)
{
	struct return_path path;
	enum return_path_kind kind = return_path_look(e->tool->config, e->keys, recipient, clock_now_us(), &path);

	if (kind == RETURN_PATH_NONE || e->is_local)
		return false;
	*out = (struct verdict){ .action = VERDICT_ACCEPT };
	if (kind == RETURN_PATH_FORGED || kind == RETURN_PATH_EXPIRED) {
		*out = (struct verdict){ .action = VERDICT_REJECT, .reason = REASON_RETURN_PATH, .scope = recipient,
					 .rule = POLICY_RULE_RETURN_PATH };
		return true;
	}
	e->returns = kind;
	e->path = path;
	return true;
}

/* Refused recipients are left out, and the message goes on with the others. False: none is left. */
static bool ask_recipients(struct explain *e, const struct policy *policy, const struct verdict *postponed, struct str *room)
{
	struct answer before = e->final;
	struct verdict verdict;

	e->facts.recipients = room;
	for (size_t i = 0; i < e->recipients.count; i++) {
		room[e->facts.recipient_count++] = e->recipients.items[i];
		if (!ask_path(e, e->recipients.items[i], &verdict)) {
			if (explain_is_refusal(postponed))
				verdict = *postponed;
			else
				policy_on_rcpt(policy, e->tool->config, before.verdict.tenant, &e->facts,
					       &e->tool->arena, &verdict);
		}
		if (!settle(e, STAGE_RCPT, e->recipients.items[i], &verdict))
			e->facts.recipient_count--;
	}
	if (e->facts.recipient_count == 0)
		return false;
	if (!e->is_local)
		e->final = before;
	return true;
}

static void ask(struct explain *e, const struct policy *policy, struct str *room)
{
	const struct config *config = e->tool->config;
	struct arena *arena = &e->tool->arena;
	struct verdict verdict;

	policy_on_mail(policy, config, &e->facts, arena, &verdict);

	const struct tenant *tenant = verdict.tenant;
	enum match_kind matched_by = verdict.matched_by;

	e->final = (struct answer){ .stage = STAGE_EOM, .verdict = { .action = VERDICT_ACCEPT, .tenant = tenant } };

	/* Nobody's mail may go to a return path, which only its recipient says. */
	struct verdict postponed = { .action = VERDICT_ACCEPT };

	if (config->needs_return_path && matched_by == MATCH_KIND_COUNT && !e->is_local) {
		postponed = verdict;
		postponed.note_count = 0;
		verdict.action = VERDICT_ACCEPT;
	}

	bool goes_on = settle(e, STAGE_MAIL, STR_EMPTY, &verdict) && ask_recipients(e, policy, &postponed, room) &&
		       e->returns == RETURN_PATH_NONE;

	if (goes_on && postponed.action == VERDICT_HOLD)
		settle(e, STAGE_MAIL, STR_EMPTY, &postponed);
	if (goes_on) {
		policy_on_data(policy, config, tenant, &e->facts, STR("explain"), arena, &verdict);
		goes_on = settle(e, STAGE_DATA, STR_EMPTY, &verdict);
	}
	/* A local message is refused at its end, by what was found before. */
	if (goes_on && !explain_is_refusal(&e->final.verdict)) {
		e->facts.size = e->facts.declared_size;
		policy_on_eom(policy, config, tenant, &e->facts, STR("explain"), arena, &verdict);
		settle(e, STAGE_EOM, STR_EMPTY, &verdict);
	}
	e->final.verdict.tenant = e->path.tenant ? e->path.tenant : tenant;
	e->final.verdict.matched_by = matched_by;
}

bool explain_ask(struct explain *e, struct err *err)
{
	struct arena *arena = &e->tool->arena;
	struct str *room = arena_array(arena, e->recipients.count, sizeof *room);
	struct peephole peephole;
	struct policy policy = { .store = &peephole.store, .node = e->tool->config->node };

	e->answers = arena_array(arena, e->recipients.count + STAGE_COUNT, sizeof *e->answers);
	e->states = arena_array(arena, QUOTA_STATES_MAX, sizeof *e->states);
	if (!room || !e->answers || !e->states)
		return err_memory(err);
	peephole_init(&peephole, e->tool->store);
	ask(e, &policy, room);
	if (!e->final.verdict.tenant || e->returns != RETURN_PATH_NONE)
		return true;
	e->facts.recipients = e->recipients.items;
	e->facts.recipient_count = e->recipients.count;
	return policy_peek(&policy, e->tool->config, e->final.verdict.tenant, &e->facts, arena, e->states,
			   &e->state_count, err);
}
