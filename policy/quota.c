#include "policy/quota.h"

#include <assert.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "policy/key.h"

/* One recipient as the quotas see it. */
struct rcpt {
	struct str address, domain;
	bool is_local, is_same_tenant;
};

/* What is worked out once a message, and only when a quota asks for it. */
struct message {
	const struct config *config;
	const struct tenant *tenant;
	const struct policy_facts *facts;
	struct arena *arena;
	struct rcpt *rcpts;            /* sorted by domain */
	bool is_peek;
};

static bool is_at_stage(const struct quota *quota, enum quota_stage stage)
{
	return stage == QUOTA_PEEK || (quota->counts == COUNTS_BYTES) == (stage == QUOTA_AT_EOM);
}

bool quota_has_stage(const struct tenant *tenant, enum quota_stage stage)
{
	for (size_t i = 0; i < tenant->quota_count; i++)
		if (is_at_stage(&tenant->quotas[i], stage))
			return true;
	return false;
}

/* Of an address that could not be read, too (`<a b@c>`): its spelling must not buy a counter of its own. */
static struct str domain_of(struct str address)
{
	struct str local, domain;

	if (!str_cut_last(address, '@', &local, &domain))
		return STR_EMPTY;
	while (domain.len && strchr(".> \t", domain.ptr[domain.len - 1]))
		domain.len--;
	return domain;
}

/* --- recipients */

static int domain_cmp(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return (unsigned char)ascii_lower(a.ptr[i]) - (unsigned char)ascii_lower(b.ptr[i]);
	return (a.len > b.len) - (a.len < b.len);
}

static int rcpt_cmp(const void *a, const void *b)
{
	return domain_cmp(((const struct rcpt *)a)->domain, ((const struct rcpt *)b)->domain);
}

static bool is_local_domain(const struct config *config, struct str domain)
{
	for (size_t i = 0; i < config->local_domains.count; i++)
		if (str_eq_nocase(config->local_domains.items[i], domain))
			return true;
	return false;
}

static bool rcpts_load(struct message *m)
{
	size_t count = m->facts->recipient_count;

	if (m->rcpts)
		return true;
	m->rcpts = arena_array(m->arena, count, sizeof *m->rcpts);
	if (!m->rcpts)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct rcpt *rcpt = &m->rcpts[i];

		rcpt->address = m->facts->recipients[i];
		rcpt->domain = domain_of(rcpt->address);
		rcpt->is_local = is_local_domain(m->config, rcpt->domain);
		rcpt->is_same_tenant = m->tenant->senders.count > 0 &&
				       address_list_covers(m->tenant->senders, rcpt->address);
	}
	qsort(m->rcpts, count, sizeof *m->rcpts, rcpt_cmp);
	return true;
}

static bool has_exclusions(const struct quota *quota)
{
	return quota->exclude_local_domains || quota->exclude_same_tenant || quota->exclude_recipients.count > 0;
}

static bool is_excluded(const struct quota *quota, const struct rcpt *rcpt)
{
	return (quota->exclude_local_domains && rcpt->is_local) || (quota->exclude_same_tenant && rcpt->is_same_tenant) ||
	       (quota->exclude_recipients.count > 0 && address_list_covers(quota->exclude_recipients, rcpt->address));
}

/* Recipients of [from, to) that this quota counts. */
static int64_t count_rcpts(const struct quota *quota, const struct rcpt *rcpts, size_t from, size_t to)
{
	int64_t n = 0;

	for (size_t i = from; i < to; i++)
		n += !is_excluded(quota, &rcpts[i]);
	return n;
}

static bool is_null_excluded(const struct quota *quota, const struct policy_facts *facts)
{
	return quota->exclude_null_sender && facts->sender.len == 0;
}

static int64_t cost_of(const struct quota *quota, const struct policy_facts *facts, int64_t rcpts)
{
	if (rcpts == 0 || is_null_excluded(quota, facts))
		return 0;
	switch (quota->counts) {
	case COUNTS_RECIPIENTS:
		return rcpts;
	case COUNTS_MESSAGES:
		return 1;
	case COUNTS_BYTES:
		break;
	}
	return facts->size ? facts->size : facts->declared_size;
}

/* --- scopes and limits */

static bool client_scope(const struct policy_facts *facts, bool in_brackets, struct arena *arena, struct str *out)
{
	char text[INET6_ADDRSTRLEN];

	*out = STR("local");
	if (!facts->client)
		return true;
	net_format_addr(facts->client, text);
	return arena_printf(arena, out, in_brackets ? "[%s]" : "%s", text);
}

static bool auth_scope(const struct policy_facts *facts, struct arena *arena, struct str *out)
{
	return facts->auth.len ? arena_copy_lower(arena, facts->auth, out) : client_scope(facts, true, arena, out);
}

static bool sender_scope(const struct policy_facts *facts, struct arena *arena, struct str *out)
{
	struct str who;

	if (facts->sender.len)
		return arena_copy_lower(arena, facts->sender, out);
	return auth_scope(facts, arena, &who) && arena_concat(arena, out, STR("<>"), who);
}

/* Not for KEY_RECIPIENT_DOMAIN, which has a scope a domain. */
static bool scope_of(const struct quota *quota, const struct policy_facts *facts, struct arena *arena, struct str *out)
{
	switch (quota->key) {
	case KEY_SENDER:
		return sender_scope(facts, arena, out);
	case KEY_AUTH:
		return auth_scope(facts, arena, out);
	case KEY_CLIENT:
		return client_scope(facts, false, arena, out);
	case KEY_TENANT:
	case KEY_RECIPIENT_DOMAIN:
		break;
	}
	*out = STR_EMPTY;
	return true;
}

static int override_cmp(const void *key, const void *row)
{
	return str_cmp(*(const struct str *)key, ((const struct quota_override *)row)->key);
}

int64_t quota_limit(const struct quota *quota, struct str scope)
{
	const struct quota_override *found = NULL;

	if (quota->override_count)
		found = bsearch(&scope, quota->overrides, quota->override_count, sizeof *quota->overrides,
				override_cmp);
	return found ? found->limit : quota->limit;
}

int64_t quota_limit_today(const struct quota *quota, struct str scope)
{
	int64_t limit = quota_limit(quota, scope), today = quota->warm_start;

	if (today == 0 || limit == LIMIT_NONE)
		return limit;
	for (int64_t days = jst_day(clock_now_us()) - quota->warm_from; days > 0 && today < limit; days--) {
		int64_t more = today / 1000 * quota->warm_growth + today % 1000 * quota->warm_growth / 1000;

		today += more ? more : 1;
	}
	return today < limit ? today : limit;
}

int64_t quota_half(int64_t limit)
{
	return limit == LIMIT_NONE ? limit : limit - limit / 2;
}

/* --- the plan */

static bool plan_add(struct quota_plan *plan, const struct message *m, const struct quota *quota, struct str scope,
		     int64_t cost)
{
	if (cost == 0 && !m->is_peek)
		return true;
	if (plan->count == STORE_TAKES_MAX) {
		plan->is_too_many = true;
		return true;
	}

	struct quota_share *share = &plan->shares[plan->count];
	struct store_take *take = &plan->takes[plan->count];

	*share = (struct quota_share){ .quota = quota, .scope = scope, .limit = quota_limit_today(quota, scope) };
	*take = (struct store_take){
		.window = quota->window,
		.calendar = quota->calendar,
		.period_us = quota->period_us,
		.limit = share->limit,
		.cost = cost,
		.is_enforced = !quota->is_monitor && share->limit != LIMIT_NONE,
	};
	plan->count++;
	return quota_store_key(m->tenant->name, "q", quota, scope, m->arena, &take->key);
}

static bool plan_domains(struct quota_plan *plan, struct message *m, const struct quota *quota)
{
	size_t count = m->facts->recipient_count;

	if (!rcpts_load(m))
		return false;
	for (size_t from = 0, to; from < count && !plan->is_too_many; from = to) {
		struct str scope = STR("local");

		for (to = from + 1; to < count && rcpt_cmp(&m->rcpts[from], &m->rcpts[to]) == 0; to++)
			;
		if (m->rcpts[from].domain.len && !arena_copy_lower(m->arena, m->rcpts[from].domain, &scope))
			return false;
		if (!plan_add(plan, m, quota, scope, cost_of(quota, m->facts, count_rcpts(quota, m->rcpts, from, to))))
			return false;
	}
	return true;
}

static bool plan_one(struct quota_plan *plan, struct message *m, const struct quota *quota)
{
	int64_t rcpts = (int64_t)m->facts->recipient_count;
	struct str scope;

	if (has_exclusions(quota)) {
		if (!rcpts_load(m))
			return false;
		rcpts = count_rcpts(quota, m->rcpts, 0, m->facts->recipient_count);
	}
	return scope_of(quota, m->facts, m->arena, &scope) &&
	       plan_add(plan, m, quota, scope, cost_of(quota, m->facts, rcpts));
}

/* No more takes than these can come of the quotas; exact where none is kept by domain. */
static size_t takes_most(const struct tenant *tenant, const struct policy_facts *facts)
{
	size_t most = 0;

	for (size_t i = 0; i < tenant->quota_count && most < STORE_TAKES_MAX; i++)
		most += tenant->quotas[i].key == KEY_RECIPIENT_DOMAIN ? facts->recipient_count : 1;
	return most < STORE_TAKES_MAX ? most : STORE_TAKES_MAX;
}

bool quota_plan(const struct config *config, const struct tenant *tenant, const struct policy_facts *facts,
		enum quota_stage stage, struct arena *arena, struct quota_plan *out)
{
	struct message m = { .config = config, .tenant = tenant, .facts = facts, .arena = arena,
			     .is_peek = stage == QUOTA_PEEK };
	size_t most = takes_most(tenant, facts);
	struct quota_plan plan = {
		.takes = arena_array(arena, most, sizeof *plan.takes),
		.shares = arena_array(arena, most, sizeof *plan.shares),
	};

	if (!plan.takes || !plan.shares)
		return false;
	for (size_t i = 0; i < tenant->quota_count && !plan.is_too_many; i++) {
		const struct quota *quota = &tenant->quotas[i];
		bool is_by_domain = quota->key == KEY_RECIPIENT_DOMAIN;

		if (!is_at_stage(quota, stage))
			continue;
		if (!(is_by_domain ? plan_domains(&plan, &m, quota) : plan_one(&plan, &m, quota)))
			return false;
	}
	*out = plan;
	return true;
}

bool quota_find_closed(const struct tenant *tenant, const struct policy_facts *facts, struct arena *arena,
		       struct quota_share *out)
{
	for (size_t i = 0; i < tenant->quota_count; i++) {
		const struct quota *quota = &tenant->quotas[i];
		struct str scope;

		if (quota->key == KEY_RECIPIENT_DOMAIN || quota->is_monitor || quota->on_excess == EXCESS_HOLD ||
		    has_exclusions(quota) || is_null_excluded(quota, facts))
			continue;
		if (quota->limit != 0 && quota->override_count == 0)
			continue;
		if (!scope_of(quota, facts, arena, &scope) || quota_limit(quota, scope) != 0)
			continue;
		*out = (struct quota_share){ .quota = quota, .scope = scope, .limit = 0 };
		return true;
	}
	return false;
}

/* --- recipient domains of one message */

size_t quota_domains_max(const struct tenant *tenant)
{
	size_t by_domain[2] = { 0 }, others[2] = { 0 }, most = SIZE_MAX;

	for (size_t i = 0; i < tenant->quota_count; i++) {
		bool is_eom = is_at_stage(&tenant->quotas[i], QUOTA_AT_EOM);

		if (tenant->quotas[i].key == KEY_RECIPIENT_DOMAIN)
			by_domain[is_eom]++;
		else
			others[is_eom]++;
	}
	for (size_t stage = 0; stage < 2; stage++) {
		size_t room = others[stage] < STORE_TAKES_MAX ? STORE_TAKES_MAX - others[stage] : 0;

		if (by_domain[stage] && room / by_domain[stage] < most)
			most = room / by_domain[stage];
	}
	return most;
}

static size_t domain_hash(struct str domain)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < domain.len; i++)
		hash = (hash ^ (unsigned char)ascii_lower(domain.ptr[i])) * UINT64_C(1099511628211);
	return (size_t)(hash ^ hash >> 32);
}

static bool has_more_domains(const struct policy_facts *facts, size_t most)
{
	struct str seen[2 * STORE_TAKES_MAX + 2] = { 0 };      /* open addressing; at most half full */
	const size_t room = sizeof seen / sizeof *seen;
	size_t distinct = 0;

	assert(most <= STORE_TAKES_MAX);
	for (size_t i = 0; i < facts->recipient_count && distinct <= most; i++) {
		struct str domain = domain_of(facts->recipients[i]);
		size_t at = domain_hash(domain) % room;

		while (seen[at].ptr && !str_eq_nocase(seen[at], domain))
			at = (at + 1) % room;
		distinct += !seen[at].ptr;
		seen[at] = domain;
	}
	return distinct > most;
}

bool quota_is_domain_over(const struct policy_facts *facts, size_t most)
{
	size_t count = facts->recipient_count;

	if (count <= most || count == 0)
		return false;

	struct str last = domain_of(facts->recipients[count - 1]);

	for (size_t i = count - 1; i-- > 0;)
		if (str_eq_nocase(domain_of(facts->recipients[i]), last))
			return false;
	return has_more_domains(facts, most);
}

/* --- names */

static const char *const calendar_names[] = { [CALENDAR_NONE] = "", [CALENDAR_DAY] = "day", [CALENDAR_WEEK] = "week",
					      [CALENDAR_MONTH] = "month" };

bool quota_store_key(struct str tenant, const char *family, const struct quota *quota, struct str scope,
		     struct arena *arena, struct str *out)
{
	static const struct str windows[] = { [WINDOW_ROLLING] = STR_INIT("r"), [WINDOW_BURST] = STR_INIT("b"),
					      [WINDOW_CALENDAR] = STR_INIT("c") };
	static const struct str counts[] = { [COUNTS_RECIPIENTS] = STR_INIT("rcpt"), [COUNTS_MESSAGES] = STR_INIT("msg"),
					     [COUNTS_BYTES] = STR_INIT("byte") };
	static const struct str keys[] = { [KEY_TENANT] = STR_INIT("tenant"), [KEY_SENDER] = STR_INIT("sender"),
					   [KEY_AUTH] = STR_INIT("auth"), [KEY_CLIENT] = STR_INIT("client"),
					   [KEY_RECIPIENT_DOMAIN] = STR_INIT("domain") };
	char period[NUM_DURATION_MAX] = "";
	struct str name_part, scope_part;

	if (quota->window != WINDOW_CALENDAR)
		num_format_duration(quota->period_us, period);
	return key_part(quota->name, false, arena, &name_part) && key_part(scope, true, arena, &scope_part) &&
	       arena_concat(arena, out, STR("sekisho:{"), tenant, STR("}:"), str_from_c(family), STR(":"), name_part, STR(":"),
			    windows[quota->window],
			    quota->window == WINDOW_CALENDAR ? str_from_c(calendar_names[quota->calendar]) : str_from_c(period),
			    STR("."), counts[quota->counts], STR("."), keys[quota->key], STR(":"), scope_part);
}

bool quota_period_name(const struct quota *quota, struct arena *arena, struct str *out)
{
	static const struct { int64_t us; const char *name; } whole[] = {
		{ US_PER_S, "second" }, { 60 * US_PER_S, "minute" }, { HOUR_US, "hour" },
		{ DAY_US, "day" },      { 7 * DAY_US, "week" },
	};
	char period[NUM_DURATION_MAX];

	if (quota->window == WINDOW_CALENDAR) {
		*out = str_from_c(calendar_names[quota->calendar]);
		return true;
	}
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		if (quota->period_us == whole[i].us) {
			*out = str_from_c(whole[i].name);
			return true;
		}
	num_format_duration(quota->period_us, period);
	return arena_copy(arena, str_from_c(period), out);
}
