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

/* Adds one under a family of keys beside the quota's own; *out_total stays when the store cannot. */
static void count_beside(const struct asking *a, const char *family, const struct quota_share *share, int64_t *out_total)
{
	struct store *st = a->policy->store;
	struct err err = { 0 };
	struct str key;

	if (!quota_store_key(a->tenant->name, family, share->quota, share->scope, a->arena, &key))
		return;
	if (!st->ops->count_add(st, key, 1, quota_window_us(share->quota), out_total, &err))
		log_warn("counting for quota " STR_FMT " of tenant " STR_FMT ": %s", STR_ARG(share->quota->name),
			 STR_ARG(a->tenant->name), err.text);
}

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

/* value >= percent of limit, without overflow: limits reach 2^63. */
static bool has_reached(int64_t value, int percent, int64_t limit)
{
	return (__int128)value * 100 >= (__int128)limit * percent;
}

/* Told once a window, though rolling use goes up and down around a level. */
static void warn_levels(const struct asking *a, const struct quota_share *share, int64_t before, int64_t after)
{
	const struct quota *quota = share->quota;

	for (size_t i = 0; i < quota->warn_count; i++) {
		int percent = quota->warn_at[i];
		int64_t told = 1;      /* a store that cannot say: told twice is better than never */
		char family[16];

		if (has_reached(before, percent, share->limit) || !has_reached(after, percent, share->limit))
			continue;
		snprintf(family, sizeof family, "warn%d", percent);
		count_beside(a, family, share, &told);
		if (told == 1)
			asking_note(a, (struct policy_note){ .rule = quota->name, .scope = share->scope, .percent = percent,
							     .used = after, .limit = share->limit });
	}
}

static void warn_all(const struct asking *a, const struct quota_plan *plan, const struct store_taken *taken)
{
	for (size_t i = 0; i < plan->count; i++) {
		int64_t after;

		if (__builtin_add_overflow(taken[i].used, plan->takes[i].cost, &after))
			after = INT64_MAX;
		if (plan->shares[i].limit != LIMIT_NONE && plan->shares[i].limit > 0)
			warn_levels(a, &plan->shares[i], taken[i].used, after);
	}
}

/* --- excess */

static enum verdict_reason reason_of(const struct quota_share *share, const struct store_take *take,
				     const struct store_taken *taken)
{
	if (take->cost > take->limit || taken->retry_after_us == STORE_NEVER_US)
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

		enum verdict_action action = action_of(share, reason_of(share, &plan->takes[i], &taken[i]));

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
						     .reason = reason_of(share, &plan->takes[i], &taken[i]),
						     .used = taken[i].used, .limit = share->limit });
	}
}

static void tell_excess(const struct asking *a, const struct quota_share *share, const struct store_take *take,
			const struct store_taken *taken, int64_t now_us)
{
	enum verdict_reason reason = reason_of(share, take, taken);
	int64_t attempts;

	asking_decide(a, action_of(share, reason), reason, share->quota->name);
	charge_tell_quota(a, share);
	a->out->used = taken->used;
	if (reason != REASON_NEVER && __builtin_add_overflow(now_us, taken->retry_after_us, &a->out->retry_at_us))
		a->out->retry_at_us = 0;
	count_beside(a, "over", share, &attempts);
}

/* --- the charge itself */

static bool ask_store(const struct asking *a, const struct quota_plan *plan, struct str id, bool is_peek,
		      struct store_charged *out, struct err *err)
{
	struct store *st = a->policy->store;
	struct store_charge charge = { .tenant = a->tenant->name, .id = id, .takes = plan->takes, .count = plan->count,
				       .is_peek = is_peek };

	*out = (struct store_charged){ .taken = arena_array(a->arena, plan->count, sizeof *out->taken) };
	if (!out->taken)
		return err_memory(err);
	return st->ops->charge(st, &charge, out, err) || err_wrap(err, "quotas of tenant " STR_FMT, STR_ARG(a->tenant->name));
}

/* At RCPT each was held to this bound; a local submission, which nobody may refuse there, was not. */
static void refuse_domains(const struct asking *a)
{
	asking_decide(a, VERDICT_REJECT, REASON_RECIPIENTS, POLICY_RULE_DOMAINS);
	a->out->limit = (int64_t)quota_domains_max(a->tenant);
}

void charge_take(const struct asking *a, enum quota_stage stage, struct str id)
{
	struct quota_plan plan;
	struct store_charged charged;
	struct err err = { 0 };

	if (!quota_plan(a->config, a->tenant, a->facts, stage, a->arena, &plan)) {
		asking_no_memory(a);
		return;
	}
	if (plan.is_too_many) {
		refuse_domains(a);
		return;
	}
	if (plan.count == 0)
		return;
	if (!ask_store(a, &plan, id, false, &charged, &err)) {
		asking_store_failed(a, &err);
		return;
	}
	a->out->was_store_local = charged.is_local;
	note_monitored(a, &plan, charged.taken);

	size_t worst = worst_of(&plan, charged.taken);

	if (worst < plan.count)
		tell_excess(a, &plan.shares[worst], &plan.takes[worst], &charged.taken[worst], charged.now_us);
	else
		warn_all(a, &plan, charged.taken);
}

void charge_refund(struct store *st, const struct tenant *tenant, struct str id)
{
	struct err err = { 0 };

	if (!st->ops->refund(st, tenant->name, id, &err))
		log_warn("giving back charge " STR_FMT " of tenant " STR_FMT ": %s; it ages out with its window", STR_ARG(id),
			 STR_ARG(tenant->name), err.text);
}

bool charge_look(const struct asking *a, const struct quota_plan *plan, struct quota_state *out, struct err *err)
{
	struct store_charged charged;

	if (plan->count && !ask_store(a, plan, STR_EMPTY, true, &charged, err))
		return false;
	for (size_t i = 0; i < plan->count; i++) {
		const struct quota_share *share = &plan->shares[i];

		out[i] = (struct quota_state){
			.quota = share->quota,
			.scope = share->scope,
			.used = charged.taken[i].used,
			.limit = share->limit,
			.resets_us = charged.taken[i].resets_us,
			.is_over = charged.taken[i].is_over && share->limit != LIMIT_NONE,
		};
		if (!attempts_of(a, share, &out[i].attempts, err))
			return false;
	}
	return true;
}
