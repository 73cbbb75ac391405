#include "policy/charge.h"

#include <stdio.h>

#include "config/base/log.h"
#include "config/base/num.h"

void charge_tell_quota(const struct asking *a, const struct quota_share *share)
{
	struct verdict *out = a->out;

	out->rule = share->quota->name;
	out->scope = share->scope;
	out->counts = share->quota->counts;
	out->limit = share->limit;
	if (!quota_period_name(share->quota, a->arena, &out->period))
		out->period = STR("period");
}

/* --- counters beside a quota */

/* Absent, or not a number: none. */
static bool attempts_of(const struct asking *a, const struct quota_share *share, int64_t *out, struct err *err)
{
	struct store *st = a->policy->store;
	struct str key, value;
	bool found;

	*out = 0;
	if (!quota_store_key(a->tenant->name, "over", share->quota, share->scope, a->arena, &key))
		return err_memory(err);
	if (!st->ops->get(st, key, a->arena, &value, &found, err))
		return false;
	if (found && !num_parse_i64(value, out))
		*out = 0;
	return true;
}

/* --- warnings */

/* The least use that is so many per cent of the limit; limits reach 2^63. */
static int64_t level_of(int percent, int64_t limit)
{
	return (int64_t)(((__int128)limit * percent + 99) / 100);
}

/* A mark of the take at this index: that it refused, or reached a level of `warn_at`. */
struct mark_plan {
	struct store_mark *marks;
	int *percents;                 /* of each mark; 0: it counts refusals */
	size_t count;
};

static bool plan_mark(const struct asking *a, const struct quota_share *share, size_t take, int percent, struct mark_plan *plan)
{
	struct store_mark *mark = &plan->marks[plan->count];
	char family[16] = "over";

	if (percent)
		snprintf(family, sizeof family, "warn%d", percent);
	*mark = (struct store_mark){ .take = take, .reaches = percent ? level_of(percent, share->limit) : STORE_REFUSED };
	plan->percents[plan->count++] = percent;
	return quota_store_key(a->tenant->name, family, share->quota, share->scope, a->arena, &mark->key);
}

static bool plan_marks_of(const struct asking *a, const struct quota_plan *quotas, size_t at, struct mark_plan *plan)
{
	const struct quota_share *share = &quotas->shares[at];

	if (quotas->takes[at].is_enforced && share->limit != LIMIT_NONE && !plan_mark(a, share, at, 0, plan))
		return false;
	for (size_t i = 0; share->limit != LIMIT_NONE && share->limit > 0 && i < share->quota->warn_count; i++)
		if (!plan_mark(a, share, at, share->quota->warn_at[i], plan))
			return false;
	return true;
}

static bool plan_marks(const struct asking *a, const struct quota_plan *quotas, struct mark_plan *out)
{
	size_t most = quotas->count * (QUOTA_WARN_MAX + 1);

	*out = (struct mark_plan){ .marks = arena_array(a->arena, most, sizeof *out->marks),
				   .percents = arena_array(a->arena, most, sizeof *out->percents) };
	if (!out->marks || !out->percents)
		return false;
	for (size_t i = 0; i < quotas->count; i++)
		if (!plan_marks_of(a, quotas, i, out))
			return false;
	return true;
}

/* Told once a window, though rolling use goes up and down around a level. */
static void note_levels(const struct asking *a, const struct quota_plan *quotas, const struct mark_plan *plan,
			const struct store_charged *charged)
{
	for (size_t i = 0; i < plan->count; i++) {
		size_t at = plan->marks[i].take;
		int64_t after;

		if (plan->percents[i] == 0 || charged->marked[i] != 1)
			continue;
		if (__builtin_add_overflow(charged->taken[at].used, quotas->takes[at].cost, &after))
			after = INT64_MAX;
		asking_note(a, (struct policy_note){ .rule = quotas->shares[at].quota->name, .scope = quotas->shares[at].scope,
						     .percent = plan->percents[i], .used = after,
						     .limit = quotas->shares[at].limit });
	}
}

/* --- excess */

/* By the limit as it is configured: half of it holds for a while only, and what fits into the whole would fit later. */
static enum verdict_reason reason_of(const struct quota_share *share, const struct store_take *take)
{
	if (take->cost > quota_limit(share->quota, share->scope))
		return REASON_NEVER;
	return share->quota->window == WINDOW_CALENDAR ? REASON_QUOTA : REASON_RATE;
}

static enum verdict_action action_of(const struct quota_share *share, enum verdict_reason reason)
{
	enum verdict_action action = asking_action(share->quota->on_excess);

	return action == VERDICT_DEFER && reason == REASON_NEVER ? VERDICT_REJECT : action;
}

static bool is_worse(enum verdict_action action, int64_t wait_us, enum verdict_action than, int64_t than_us)
{
	static const int rank[] = { [VERDICT_ACCEPT] = 0, [VERDICT_HOLD] = 1, [VERDICT_DEFER] = 2, [VERDICT_REJECT] = 3 };

	return rank[action] > rank[than] || (action == than && wait_us > than_us);
}

/* The take that speaks for all that did not fit; plan->count when all fitted. */
static size_t worst_of(const struct quota_plan *plan, const struct store_taken *taken)
{
	enum verdict_action worst = VERDICT_ACCEPT;
	int64_t wait_us = 0;
	size_t at = plan->count;

	for (size_t i = 0; i < plan->count; i++) {
		const struct quota_share *share = &plan->shares[i];

		if (!taken[i].is_over || !plan->takes[i].is_enforced)
			continue;

		enum verdict_action action = action_of(share, reason_of(share, &plan->takes[i]));

		if (!is_worse(action, taken[i].retry_after_us, worst, wait_us))
			continue;
		worst = action;
		wait_us = taken[i].retry_after_us;
		at = i;
	}
	return at;
}

static void note_monitored(const struct asking *a, const struct quota_plan *plan, const struct store_taken *taken)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct quota_share *share = &plan->shares[i];

		if (!taken[i].is_over || plan->takes[i].is_enforced || share->limit == LIMIT_NONE)
			continue;
		asking_note(a, (struct policy_note){ .rule = share->quota->name, .scope = share->scope,
						     .reason = reason_of(share, &plan->takes[i]),
						     .used = taken[i].used, .limit = share->limit });
	}
}

static void tell_excess(const struct asking *a, const struct quota_share *share, const struct store_take *take,
			const struct store_taken *taken, int64_t now_us)
{
	enum verdict_reason reason = reason_of(share, take);

	asking_decide(a, action_of(share, reason), reason, share->quota->name);
	charge_tell_quota(a, share);
	a->out->used = taken->used;
	a->out->fits_in_parts = reason != REASON_NEVER && taken->retry_after_us == STORE_NEVER_US;
	if (reason != REASON_NEVER && __builtin_add_overflow(now_us, taken->retry_after_us, &a->out->retry_at_us))
		a->out->retry_at_us = 0;
}

/* --- the charge itself */

static bool ask_store(const struct asking *a, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	struct store *st = a->policy->store;

	*out = (struct store_charged){ .taken = arena_array(a->arena, charge->count, sizeof *out->taken),
				       .marked = arena_array(a->arena, charge->mark_count, sizeof *out->marked) };
	if (!out->taken || !out->marked)
		return err_memory(err);
	return st->ops->charge(st, charge, out, err) ||
	       err_wrap(err, "quotas of tenant " STR_FMT, STR_ARG(a->tenant->name));
}

/* What a suspension of the mildest kind leaves. */
static void halve(const struct quota_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		plan->takes[i].limit = plan->shares[i].limit = quota_half(plan->shares[i].limit);
}

/* Nothing is taken when something stands against the message; what only looked so costs a second trip. */
static bool ask_with_bar(const struct asking *a, const struct quota_plan *plan, struct store_charge *charge, struct bar *bar,
			 struct store_charged *out, struct err *err)
{
	bar_ask(bar, charge);
	if (!ask_store(a, charge, out, err))
		return false;
	if (!bar->was_met || bar_decides(bar))
		return true;
	charge->asked_count = 0;
	if (bar->is_halved)
		halve(plan);
	return charge->count == 0 || ask_store(a, charge, out, err);
}

/* At RCPT each was held to this bound; a local submission, which nobody may refuse there, was not. */
static void refuse_domains(const struct asking *a)
{
	asking_decide(a, VERDICT_REJECT, REASON_RECIPIENTS, POLICY_RULE_DOMAINS);
	a->out->limit = (int64_t)quota_domains_max(a->tenant);
}

static void take(const struct asking *a, const struct quota_plan *plan, struct str id, struct bar *bar)
{
	struct store_charge charge = { .tenant = a->tenant->name, .id = id, .takes = plan->takes, .count = plan->count };
	struct store_charged charged;
	struct mark_plan marks;
	struct err err = { 0 };

	if (!plan_marks(a, plan, &marks)) {
		asking_no_memory(a);
		return;
	}
	charge.marks = marks.marks;
	charge.mark_count = marks.count;
	if (!ask_with_bar(a, plan, &charge, bar, &charged, &err)) {
		asking_store_failed(a, &err);
		return;
	}
	a->out->was_halved = bar->is_halved;
	a->out->was_store_local = charged.is_local;
	a->out->was_store_shared = !charged.is_local && a->policy->store->ops->may_have;
	if (a->out->action != VERDICT_ACCEPT)
		return;
	note_monitored(a, plan, charged.taken);

	size_t worst = worst_of(plan, charged.taken);

	if (worst < plan->count)
		tell_excess(a, &plan->shares[worst], &plan->takes[worst], &charged.taken[worst], charged.now_us);
	else
		note_levels(a, plan, &marks, &charged);
}

void charge_take(const struct asking *a, enum quota_stage stage, struct str id)
{
	struct quota_plan plan = { 0 };
	bool is_data = stage == QUOTA_AT_DATA;
	struct bar bar;

	if (!a->facts->is_held && quota_has_stage(a->tenant, stage) &&
	    !quota_plan(a->config, a->tenant, a->facts, stage, a->arena, &plan)) {
		asking_no_memory(a);
		return;
	}
	if (plan.is_too_many) {
		refuse_domains(a);
		return;
	}
	if (plan.count == 0 && !(is_data && bar_is_far(a)))
		return;
	if (bar_begin(&bar, a, is_data))
		take(a, &plan, id, &bar);
	else
		asking_no_memory(a);
	bar_end(&bar);
}

void charge_refund(struct store *st, const struct tenant *tenant, struct str id)
{
	struct err err = { 0 };

	if (!st->ops->refund(st, tenant->name, id, &err))
		log_warn("giving back charge " STR_FMT " of tenant " STR_FMT ": %s; it ages out with its window", STR_ARG(id),
			 STR_ARG(tenant->name), err.text);
}

/* The limits that hold now: half of them for who is halved, and then the store is asked once more. */
static bool look(const struct asking *a, const struct quota_plan *plan, struct bar *bar, struct store_charged *out, struct err *err)
{
	struct store_charge charge = { .tenant = a->tenant->name, .id = STR_EMPTY, .takes = plan->takes, .count = plan->count,
				       .is_peek = true };

	bar_ask(bar, &charge);
	charge.is_barred = false;
	if (!ask_store(a, &charge, out, err))
		return false;
	if (!bar->is_halved)
		return true;
	charge.asked_count = 0;
	halve(plan);
	return ask_store(a, &charge, out, err);
}

bool charge_look(const struct asking *a, const struct quota_plan *plan, struct quota_state *out, struct err *err)
{
	struct store_charged charged;
	struct bar bar;
	bool ok = bar_begin(&bar, a, false) ? look(a, plan, &bar, &charged, err) : err_memory(err);

	bar_end(&bar);
	if (!ok)
		return false;
	for (size_t i = 0; i < plan->count; i++) {
		const struct quota_share *share = &plan->shares[i];

		out[i] = (struct quota_state){
			.quota = share->quota,
			.scope = share->scope,
			.used = charged.taken[i].used,
			.limit = share->limit,
			.is_halved = bar.is_halved,
			.is_warming = quota_limit_today(share->quota, share->scope) < quota_limit(share->quota, share->scope),
			.resets_us = charged.taken[i].resets_us,
			.is_over = charged.taken[i].is_over && share->limit != LIMIT_NONE,
		};
		if (!attempts_of(a, share, &out[i].attempts, err))
			return false;
	}
	return true;
}
