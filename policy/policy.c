#include "policy/policy.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "policy/quota.h"
#include "policy/tenant.h"

/* What every step of one question needs. */
struct asking {
	const struct policy *policy;
	const struct config *config;
	const struct tenant *tenant;
	const struct policy_facts *facts;
	struct arena *arena;
	struct verdict *out;
};

static void verdict_accept(struct verdict *out, const struct tenant *tenant)
{
	*out = (struct verdict){ .action = VERDICT_ACCEPT, .tenant = tenant, .matched_by = MATCH_KIND_COUNT };
}

/* A later answer replaces an earlier one (held, then refused) with all that explained it; its notes stay. */
static void verdict_decide(struct verdict *out, enum verdict_action action, enum verdict_reason reason, struct str rule)
{
	out->action = action;
	out->reason = reason;
	out->rule = rule;
	out->scope = out->period = out->detail = STR_EMPTY;
	out->counts = COUNTS_RECIPIENTS;
	out->used = out->limit = out->retry_at_us = 0;
}

/* Beyond POLICY_NOTES_MAX they are dropped: the first ones say enough. */
static void note(struct verdict *out, struct policy_note row)
{
	if (out->note_count < POLICY_NOTES_MAX)
		out->notes[out->note_count++] = row;
}

/* A limit was passed: refuse, or only note it. */
static void decide_or_note(struct verdict *out, bool is_monitor, enum verdict_action action, enum verdict_reason reason,
			   struct str rule, int64_t used, int64_t limit)
{
	if (is_monitor) {
		note(out, (struct policy_note){ .rule = rule, .reason = reason, .used = used, .limit = limit });
		return;
	}
	verdict_decide(out, action, reason, rule);
	out->used = used;
	out->limit = limit;
}

static enum verdict_action action_of(enum excess_action action)
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

static bool is_refusal(const struct verdict *v)
{
	return v->action == VERDICT_DEFER || v->action == VERDICT_REJECT;
}

/* `local` has been tried by the store itself when it fails us: a message whose limits nobody knows waits. */
static void on_store_failure(const struct asking *a, const struct err *err)
{
	struct verdict *out = a->out;

	metrics_add(METRIC_STORE_FAILURES, 1);
	out->was_store_gone = a->config->on_store_failure == STORE_FAILURE_ACCEPT;
	if (out->was_store_gone)
		return;
	verdict_decide(out, VERDICT_DEFER, REASON_STORE, STR("on_store_failure"));
	if (!arena_copy(a->arena, str_from_c(err->text), &out->detail))
		out->detail = STR_EMPTY;
}

static void on_memory(struct verdict *out)
{
	verdict_decide(out, VERDICT_DEFER, REASON_MEMORY, STR("transaction_memory_max"));
}

/* --- MAIL */

/* Made by the MTA itself: nobody's, and a bounce that we refuse is lost. */
static bool is_mta_bounce(const struct policy_facts *facts)
{
	return facts->is_internal && facts->sender.len == 0;
}

static bool find_tenant(struct asking *a)
{
	const struct policy_facts *f = a->facts;
	const struct match_facts match = { .auth = f->auth, .cert_subject = f->cert_subject, .cert_issuer = f->cert_issuer,
					   .daemon_name = f->daemon_name, .sender = f->sender, .client = f->client };
	enum match_kind by = MATCH_KIND_COUNT;

	a->tenant = config_match(a->config, &match, &by);
	if (!a->tenant) {
		a->tenant = a->config->default_tenant;
		by = MATCH_KIND_COUNT;
	}
	a->out->tenant = a->tenant;
	a->out->matched_by = by;
	return a->tenant != NULL;
}

static void check_suspended(const struct asking *a)
{
	struct suspension s;
	struct err err = { 0 };
	bool found;

	if (a->tenant->is_suspended) {
		verdict_decide(a->out, VERDICT_REJECT, REASON_SUSPENDED, POLICY_RULE_SUSPENDED);
		return;
	}
	if (!tenant_suspension(a->policy->store, a->tenant->name, a->arena, &s, &found, &err)) {
		on_store_failure(a, &err);
		return;
	}
	if (!found)
		return;
	verdict_decide(a->out, action_of(s.action), REASON_SUSPENDED, POLICY_RULE_SUSPENDED);
	a->out->detail = s.reason;
	a->out->retry_at_us = s.until_us;
}

/* A local submission has no connection that could be encrypted or logged in. */
static void check_connection(const struct asking *a)
{
	const struct policy_facts *f = a->facts;

	if (!f->client || f->is_internal)
		return;
	if (a->tenant->require_tls && !f->has_tls)
		verdict_decide(a->out, VERDICT_REJECT, REASON_TLS, POLICY_RULE_TLS);
	else if (a->tenant->require_auth && f->auth.len == 0)
		verdict_decide(a->out, VERDICT_REJECT, REASON_AUTH, POLICY_RULE_AUTH);
}

/* The null sender is everybody's: bounces and automatic answers (RFC 3834 3.3) must carry it. */
static void check_sender(const struct asking *a)
{
	struct str sender = a->facts->sender;

	if (sender.len == 0 || a->tenant->senders.count == 0 || address_list_covers(a->tenant->senders, sender))
		return;
	verdict_decide(a->out, VERDICT_REJECT, REASON_SENDER, POLICY_RULE_SENDERS);
	a->out->scope = sender;
}

static void check_size(const struct asking *a, int64_t size)
{
	if (size <= a->tenant->size_max)
		return;
	decide_or_note(a->out, a->tenant->size_is_monitor, VERDICT_REJECT, REASON_SIZE, POLICY_RULE_SIZE, size,
		       a->tenant->size_max);
}

static void tell_quota(const struct asking *a, const struct quota_share *share)
{
	struct verdict *out = a->out;

	out->rule = share->quota->name;
	out->scope = share->scope;
	out->counts = share->quota->counts;
	out->limit = share->limit;
	if (!quota_period_name(share->quota, a->arena, &out->period))
		out->period = STR("period");
}

static void check_closed(const struct asking *a)
{
	struct quota_share share;

	if (!quota_find_closed(a->tenant, a->facts, a->arena, &share))
		return;
	verdict_decide(a->out, VERDICT_REJECT, REASON_NEVER, share.quota->name);
	tell_quota(a, &share);
}

void policy_on_mail(const struct policy *policy, const struct config *config, const struct policy_facts *facts,
		    struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .facts = facts, .arena = arena, .out = out };

	verdict_accept(out, NULL);
	if (is_mta_bounce(facts))
		return;
	if (!find_tenant(&a)) {
		verdict_decide(out, VERDICT_REJECT, REASON_NO_TENANT, STR("default_tenant"));
		return;
	}
	check_suspended(&a);
	/* Held mail must pass the rest, or its release would free what no rule allows. */
	if (!is_refusal(out))
		check_connection(&a);
	if (!is_refusal(out))
		check_sender(&a);
	if (!is_refusal(out))
		check_size(&a, facts->declared_size);
	if (!is_refusal(out))
		check_closed(&a);
}

/* --- RCPT */

void policy_on_rcpt(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		    const struct policy_facts *facts, struct arena *arena, struct verdict *out)
{
	int64_t count = (int64_t)facts->recipient_count;

	(void)policy;
	(void)arena;
	verdict_accept(out, tenant);
	if (facts->is_internal)
		return;
	/* Whatever tenants may do, one message must fit into this process: the client sends the rest in another. */
	if (count > config->recipients_max) {
		decide_or_note(out, false, VERDICT_DEFER, REASON_RECIPIENTS, POLICY_RULE_RECIPIENTS, count,
			       config->recipients_max);
		return;
	}
	if (!tenant)
		return;
	/* Monitored, it is told once a message. */
	if (count > tenant->recipients_max && (!tenant->recipients_is_monitor || count == tenant->recipients_max + 1))
		decide_or_note(out, tenant->recipients_is_monitor, action_of(tenant->recipients_on_excess), REASON_RECIPIENTS,
			       POLICY_RULE_RECIPIENTS, count, tenant->recipients_max);
	if (is_refusal(out))
		return;

	size_t domains_max = quota_domains_max(tenant);

	if (quota_is_domain_over(facts, domains_max))
		decide_or_note(out, false, VERDICT_DEFER, REASON_RECIPIENTS, POLICY_RULE_DOMAINS, (int64_t)domains_max + 1,
			       (int64_t)domains_max);
}

/* --- quotas */

static enum verdict_reason reason_of(const struct quota_share *share, const struct store_take *take,
				     const struct store_taken *taken)
{
	if (take->cost > take->limit || taken->retry_after_us == STORE_NEVER_US)
		return REASON_NEVER;
	return share->quota->window == WINDOW_CALENDAR ? REASON_QUOTA : REASON_RATE;
}

/* What can never fit is not worth a later try; held mail waits for a person anyway. */
static enum verdict_action excess_of(const struct quota_share *share, enum verdict_reason reason)
{
	enum verdict_action action = action_of(share->quota->on_excess);

	return action == VERDICT_DEFER && reason == REASON_NEVER ? VERDICT_REJECT : action;
}

/* Reject before defer before hold; within one of them the longest wait, for only then all of them have room. */
static bool is_worse(enum verdict_action action, int64_t wait_us, enum verdict_action than, int64_t than_us)
{
	static const int rank[] = { [VERDICT_ACCEPT] = 0, [VERDICT_HOLD] = 1, [VERDICT_DEFER] = 2, [VERDICT_REJECT] = 3 };

	return rank[action] > rank[than] || (action == than && wait_us > than_us);
}

/* The take that speaks for all that did not fit; count when all fitted. */
static size_t worst_of(const struct quota_plan *plan, const struct store_taken *taken)
{
	enum verdict_action worst = VERDICT_ACCEPT;
	int64_t wait_us = 0;
	size_t at = plan->count;

	for (size_t i = 0; i < plan->count; i++) {
		if (!taken[i].is_over || !plan->takes[i].is_enforced)
			continue;

		enum verdict_action action = excess_of(&plan->shares[i], reason_of(&plan->shares[i], &plan->takes[i], &taken[i]));

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
		note(a->out, (struct policy_note){ .rule = share->quota->name,
						   .reason = reason_of(share, &plan->takes[i], &taken[i]),
						   .used = taken[i].used, .limit = share->limit });
	}
}

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

/* value >= percent of limit, without overflow: limits reach 2^63. */
static bool has_reached(int64_t value, int percent, int64_t limit)
{
	return (__int128)value * 100 >= (__int128)limit * percent;
}

/* A level that this message crossed is told, but only once a window: rolling use goes up and down around it. */
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
			note(a->out, (struct policy_note){ .rule = quota->name, .percent = percent, .used = after,
							   .limit = share->limit });
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

static void tell_excess(const struct asking *a, const struct quota_share *share, const struct store_take *take,
			const struct store_taken *taken, int64_t now_us)
{
	enum verdict_reason reason = reason_of(share, take, taken);
	int64_t attempts;

	verdict_decide(a->out, excess_of(share, reason), reason, share->quota->name);
	tell_quota(a, share);
	a->out->used = taken->used;
	if (reason != REASON_NEVER && __builtin_add_overflow(now_us, taken->retry_after_us, &a->out->retry_at_us))
		a->out->retry_at_us = 0;
	count_beside(a, "over", share, &attempts);
}

static bool charge(const struct asking *a, const struct quota_plan *plan, struct str id, bool is_peek,
		   struct store_charged *out, struct err *err)
{
	struct store *st = a->policy->store;
	struct store_charge charge = { .tenant = a->tenant->name, .id = id, .takes = plan->takes, .count = plan->count,
				       .is_peek = is_peek };
	int64_t begin_us = clock_mono_us();

	*out = (struct store_charged){ .taken = arena_array(a->arena, plan->count, sizeof *out->taken) };
	if (!out->taken)
		return err_memory(err);

	bool ok = st->ops->charge(st, &charge, out, err);

	metrics_observe(METRIC_CHARGE_TIME, clock_mono_us() - begin_us);
	return ok || err_wrap(err, "quotas of tenant " STR_FMT, STR_ARG(a->tenant->name));
}

/* Recipients at RCPT were held to the bound already; a local submission, which nobody may refuse there, was not. */
static void refuse_domains(const struct asking *a)
{
	verdict_decide(a->out, VERDICT_REJECT, REASON_RECIPIENTS, POLICY_RULE_DOMAINS);
	a->out->limit = (int64_t)quota_domains_max(a->tenant);
}

static void charge_stage(const struct asking *a, enum quota_stage stage, struct str id)
{
	struct quota_plan plan;
	struct store_charged charged;
	struct err err = { 0 };

	if (!quota_plan(a->config, a->tenant, a->facts, stage, a->arena, &plan)) {
		on_memory(a->out);
		return;
	}
	if (plan.is_too_many) {
		refuse_domains(a);
		return;
	}
	if (plan.count == 0)
		return;
	if (!charge(a, &plan, id, false, &charged, &err)) {
		on_store_failure(a, &err);
		return;
	}
	note_monitored(a, &plan, charged.taken);

	size_t worst = worst_of(&plan, charged.taken);

	if (worst < plan.count)
		tell_excess(a, &plan.shares[worst], &plan.takes[worst], &charged.taken[worst], charged.now_us);
	else
		warn_all(a, &plan, charged.taken);
}

void policy_on_data(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		    const struct policy_facts *facts, struct str charge_id, struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena, .out = out };

	verdict_accept(out, tenant);
	if (tenant && !facts->is_held && quota_has_stage(tenant, QUOTA_AT_DATA))
		charge_stage(&a, QUOTA_AT_DATA, charge_id);
}

/* --- end of message */

/* A message without From gets one from the MTA, made of the envelope sender, which was looked at before. */
static void check_from(const struct asking *a)
{
	const struct policy_facts *f = a->facts;
	const struct tenant *t = a->tenant;
	struct str stranger = STR_EMPTY;
	bool is_bad = f->from_is_broken;

	if (t->from != FROM_SENDERS || t->senders.count == 0)
		return;
	for (size_t i = 0; i < f->from_count && stranger.len == 0; i++)
		if (!address_list_covers(t->senders, f->from[i])) {
			stranger = f->from[i];
			is_bad = true;
		}
	if (!is_bad)
		return;
	decide_or_note(a->out, t->from_is_monitor, VERDICT_REJECT, REASON_FROM, POLICY_RULE_FROM, 0, 0);
	if (!t->from_is_monitor)
		a->out->scope = stranger;
}

static bool charge_id_bytes(struct str charge_id, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, STR_FMT "/b", STR_ARG(charge_id));
}

void policy_on_eom(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		   const struct policy_facts *facts, struct str charge_id, struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena, .out = out };
	struct str id;

	verdict_accept(out, tenant);
	if (!tenant)
		return;
	check_size(&a, facts->size);
	if (!is_refusal(out))
		check_from(&a);
	if (is_refusal(out) || facts->is_held || !quota_has_stage(tenant, QUOTA_AT_EOM))
		return;
	if (charge_id_bytes(charge_id, arena, &id))
		charge_stage(&a, QUOTA_AT_EOM, id);
	else
		on_memory(out);
}

/* --- the way back */

static void refund(struct store *st, struct str tenant, struct str id)
{
	struct err err = { 0 };

	if (!st->ops->refund(st, tenant, id, &err))
		log_warn("giving back charge " STR_FMT " of tenant " STR_FMT ": %s; it ages out with its window",
			 STR_ARG(id), STR_ARG(tenant), err.text);
}

void policy_refund(const struct policy *policy, const struct tenant *tenant, struct str charge_id)
{
	struct arena arena;
	struct str id;

	if (!tenant)
		return;
	if (quota_has_stage(tenant, QUOTA_AT_DATA))
		refund(policy->store, tenant->name, charge_id);
	if (!quota_has_stage(tenant, QUOTA_AT_EOM))
		return;
	arena_init(&arena, ARENA_BLOCK);
	if (charge_id_bytes(charge_id, &arena, &id))
		refund(policy->store, tenant->name, id);
	arena_clear(&arena);
}

/* --- looking */

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

bool policy_peek(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		 const struct policy_facts *facts, struct arena *arena, struct quota_state *out, size_t *out_count,
		 struct err *err)
{
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena };
	struct quota_plan plan;
	struct store_charged charged;

	if (!quota_plan(config, tenant, facts, QUOTA_PEEK, arena, &plan))
		return err_memory(err);
	if (plan.count && !charge(&a, &plan, STR_EMPTY, true, &charged, err))
		return false;
	for (size_t i = 0; i < plan.count; i++) {
		out[i] = (struct quota_state){
			.quota = plan.shares[i].quota,
			.scope = plan.shares[i].scope,
			.used = charged.taken[i].used,
			.limit = plan.shares[i].limit,
			.resets_us = charged.taken[i].resets_us,
			.is_over = charged.taken[i].is_over && plan.shares[i].limit != LIMIT_NONE,
		};
		if (!attempts_of(&a, &plan.shares[i], &out[i].attempts, err))
			return false;
	}
	*out_count = plan.count;
	return true;
}
