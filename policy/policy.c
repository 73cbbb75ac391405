#include "policy/policy.h"

#include <stdio.h>

#include "policy/asking.h"
#include "policy/bar.h"
#include "policy/charge.h"
#include "policy/content.h"

/* A limit was passed: refuse, or only note it. */
static void decide_or_note(const struct asking *a, bool is_monitor, enum verdict_action action, struct policy_note passed)
{
	if (is_monitor) {
		asking_note(a, passed);
		return;
	}
	asking_decide(a, action, passed.reason, passed.rule);
	a->out->scope = passed.scope;
	a->out->used = passed.used;
	a->out->limit = passed.limit;
}

/* --- MAIL */

/* Made by the MTA itself, or by us: nobody's. A bounce that we refuse is lost, and a guard must not stop its own notice. */
static bool is_ours(const struct policy *policy, const struct policy_facts *facts)
{
	struct str local, domain;

	if (facts->sender.len == 0)
		return facts->is_internal && facts->auth.len == 0;      /* a known user's null sender is his */
	return policy->own_sender.len && str_cut_last(facts->sender, '@', &local, &domain) &&
	       str_eq_nocase(local, policy->own_sender);
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

/* A local submission has no connection that could be encrypted or logged in. */
static void check_connection(const struct asking *a)
{
	const struct policy_facts *f = a->facts;

	if (!f->client || f->is_internal)
		return;
	if (a->tenant->require_tls && !f->has_tls)
		asking_decide(a, VERDICT_REJECT, REASON_TLS, POLICY_RULE_TLS);
	else if (a->tenant->require_auth && f->auth.len == 0)
		asking_decide(a, VERDICT_REJECT, REASON_AUTH, POLICY_RULE_AUTH);
}

/* The null sender is everybody's: bounces and automatic answers (RFC 3834 3.3) must carry it. */
static void check_sender(const struct asking *a)
{
	struct str sender = a->facts->sender;

	if (sender.len == 0 || a->tenant->senders.count == 0 || address_list_covers(a->tenant->senders, sender))
		return;
	decide_or_note(a, a->tenant->senders_is_monitor, VERDICT_REJECT,
		       (struct policy_note){ .rule = POLICY_RULE_SENDERS, .reason = REASON_SENDER, .scope = sender });
}

static void check_size(const struct asking *a, int64_t size)
{
	if (size <= a->tenant->size_max)
		return;
	decide_or_note(a, a->tenant->size_is_monitor, VERDICT_REJECT,
		       (struct policy_note){ .rule = POLICY_RULE_SIZE, .reason = REASON_SIZE, .used = size,
					     .limit = a->tenant->size_max });
}

static void check_closed(const struct asking *a)
{
	struct quota_share share;

	if (!quota_find_closed(a->tenant, a->facts, a->arena, &share))
		return;
	asking_decide(a, VERDICT_REJECT, REASON_NEVER, share.quota->name);
	charge_tell_quota(a, &share);
}

void policy_on_mail(const struct policy *policy, const struct config *config, const struct policy_facts *facts,
		    struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .facts = facts, .arena = arena, .out = out };

	asking_begin(&a);
	if (is_ours(policy, facts))
		return;
	if (!find_tenant(&a)) {
		asking_decide(&a, VERDICT_REJECT, REASON_NO_TENANT, STR("default_tenant"));
		return;
	}
	bar_check_tenant(&a);
	/* Held mail must pass the rest, or its release would free what no rule allows. */
	if (!asking_is_refused(&a))
		check_connection(&a);
	if (!asking_is_refused(&a))
		check_sender(&a);
	if (!asking_is_refused(&a))
		check_size(&a, facts->declared_size);
	if (!asking_is_refused(&a))
		check_closed(&a);
}

/* --- RCPT */

static void check_count(const struct asking *a, struct str rule, int64_t count, int64_t limit, bool is_monitor,
			enum verdict_action action)
{
	if (asking_is_whole(a))
		action = VERDICT_REJECT;
	/* Monitored, it is told once a message. */
	if (count > limit && (!is_monitor || count == limit + 1))
		decide_or_note(a, is_monitor, action, (struct policy_note){ .rule = rule, .reason = REASON_RECIPIENTS,
									    .used = count, .limit = limit });
}

/* All domains of a message are charged in one step, which has its bound; the client sends the rest in another. */
static void check_domains(const struct asking *a)
{
	size_t most = quota_domains_max(a->tenant);

	if (quota_is_domain_over(a->facts, most))
		check_count(a, POLICY_RULE_DOMAINS, (int64_t)most + 1, (int64_t)most, false, VERDICT_DEFER);
}

static void check_recipient(const struct asking *a)
{
	const struct policy_facts *f = a->facts;

	if (a->tenant->recipients.count == 0 || f->recipient_count == 0 ||
	    address_list_covers(a->tenant->recipients, f->recipients[f->recipient_count - 1]))
		return;
	decide_or_note(a, a->tenant->recipients_is_monitor, VERDICT_REJECT,
		       (struct policy_note){ .rule = POLICY_RULE_RECIPIENT, .reason = REASON_RECIPIENT,
					     .scope = f->recipients[f->recipient_count - 1] });
}

void policy_on_rcpt(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		    const struct policy_facts *facts, struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena, .out = out };
	int64_t count = (int64_t)facts->recipient_count;

	asking_begin(&a);
	if (facts->is_internal && !tenant)
		return;
	/* Whatever tenants may do, one message must fit into this process. */
	check_count(&a, POLICY_RULE_RECIPIENTS, count, config->recipients_max, false, VERDICT_DEFER);
	if (!tenant)
		return;
	if (!asking_is_refused(&a))
		check_count(&a, POLICY_RULE_RECIPIENTS, count, tenant->recipients_max, tenant->recipients_max_is_monitor,
			    asking_action(tenant->recipients_on_excess));
	if (!asking_is_refused(&a))
		check_domains(&a);
	if (!asking_is_refused(&a))
		check_recipient(&a);
	if (!asking_is_refused(&a))
		bar_check_recipient(&a);
}

/* --- DATA */

void policy_on_data(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		    const struct policy_facts *facts, struct str charge_id, struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena, .out = out };

	asking_begin(&a);
	if (tenant)
		charge_take(&a, QUOTA_AT_DATA, charge_id);
}

/* --- end of message */

/* What is only monitored is told of each; of the rest the first decides. */
static void check_content(const struct asking *a)
{
	const struct content_rule *rule = content_next(a->tenant, a->facts, NULL);

	for (; rule; rule = rule->is_monitor ? content_next(a->tenant, a->facts, rule) : NULL)
		decide_or_note(a, rule->is_monitor, asking_action(rule->action),
			       (struct policy_note){ .rule = rule->name, .reason = REASON_CONTENT, .scope = rule->header });
}

/* A message without From gets one from the MTA, made of the envelope sender, which was looked at before. Of the null sender it
 * makes MAILER-DAEMON of the relay itself. */
static bool is_from_nobody(const struct policy_facts *f)
{
	return !f->has_from && f->sender.len == 0;
}

static void check_from(const struct asking *a)
{
	const struct policy_facts *f = a->facts;
	const struct tenant *t = a->tenant;
	struct str stranger = STR_EMPTY;
	bool is_bad = f->from_is_broken || is_from_nobody(f);

	if (t->from != FROM_SENDERS || t->senders.count == 0)
		return;
	for (size_t i = 0; i < f->from_count && stranger.len == 0; i++)
		if (!address_list_covers(t->senders, f->from[i])) {
			stranger = f->from[i];
			is_bad = true;
		}
	if (!is_bad)
		return;
	decide_or_note(a, t->from_is_monitor, VERDICT_REJECT,
		       (struct policy_note){ .rule = POLICY_RULE_FROM, .reason = REASON_FROM, .scope = stranger });
}

static bool charge_id_bytes(struct str charge_id, struct arena *arena, struct str *out)
{
	return arena_concat(arena, out, charge_id, STR("/b"));
}

void policy_on_eom(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		   const struct policy_facts *facts, struct str charge_id, struct arena *arena, struct verdict *out)
{
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena, .out = out };
	struct str id;

	asking_begin(&a);
	if (!tenant)
		return;
	check_size(&a, facts->size);
	if (!asking_is_refused(&a))
		check_content(&a);
	if (!asking_is_refused(&a))
		check_from(&a);
	if (out->action != VERDICT_ACCEPT)      /* what a rule on content holds takes nothing either */
		return;
	if (charge_id_bytes(charge_id, arena, &id))
		charge_take(&a, QUOTA_AT_EOM, id);
	else
		asking_no_memory(&a);
}

/* --- the way back */

static void settle_charge(struct store *st, const struct tenant *tenant, struct str id)
{
	if (st->ops->settle)
		st->ops->settle(st, tenant->name, id);
}

/* Both charges of a message, those that its tenant's quotas can have made. */
static void each_charge(const struct policy *policy, const struct tenant *tenant, struct str charge_id,
			void (*end)(struct store *st, const struct tenant *tenant, struct str id))
{
	char room[STORE_KEY_MAX];
	int len;

	if (!tenant)
		return;
	if (quota_has_stage(tenant, QUOTA_AT_DATA))
		end(policy->store, tenant, charge_id);
	if (!quota_has_stage(tenant, QUOTA_AT_EOM))
		return;
	len = snprintf(room, sizeof room, STR_FMT "/b", STR_ARG(charge_id));
	if (len > 0 && len < (int)sizeof room)         /* no longer one was ever taken */
		end(policy->store, tenant, str_of(room, (size_t)len));
}

void policy_refund(const struct policy *policy, const struct tenant *tenant, struct str charge_id)
{
	each_charge(policy, tenant, charge_id, charge_refund);
}

void policy_settle(const struct policy *policy, const struct tenant *tenant, struct str charge_id)
{
	each_charge(policy, tenant, charge_id, settle_charge);
}

/* --- looking */

bool policy_peek(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		 const struct policy_facts *facts, struct arena *arena, struct quota_state *out, size_t *out_count,
		 struct err *err)
{
	struct verdict ignored;
	struct asking a = { .policy = policy, .config = config, .tenant = tenant, .facts = facts, .arena = arena, .out = &ignored };
	struct quota_plan plan;

	asking_begin(&a);
	if (!quota_plan(config, tenant, facts, QUOTA_PEEK, arena, &plan))
		return err_memory(err);
	if (plan.count && !charge_look(&a, &plan, out, err))
		return false;
	*out_count = plan.count;
	return true;
}
