#include "policy/bar.h"

#include "config/base/clock.h"
#include "policy/suppress.h"
#include "policy/tenant.h"

#define WORK_MAX ((size_t)2 * STORE_VALUE_MAX)
#define KEYS_MAX ((size_t)64 << 20)

/* --- what is said of what was found */

static void tell_suspension(const struct asking *a, const struct suspension *s)
{
	asking_decide(a, asking_action(s->action), REASON_SUSPENDED, POLICY_RULE_SUSPENDED);
	if (!arena_copy(a->arena, s->reason, &a->out->detail))
		a->out->detail = STR_EMPTY;
	a->out->scope = s->of.name;
	a->out->retry_at_us = s->until_us;
}

/* "userunknown (bounce of 2026-11-21)" */
static void tell_suppression(const struct asking *a, const struct suppression *s, struct str recipient)
{
	char date[JST_DATE_LEN + 1];

	jst_format_date(jst_day(s->since_us), date);
	asking_decide(a, VERDICT_REJECT, REASON_SUPPRESSED, POLICY_RULE_SUPPRESS);
	a->out->scope = recipient;
	a->out->retry_at_us = s->until_us;
	if (!arena_printf(a->arena, &a->out->detail, STR_FMT "%s(%s of %s)", STR_ARG(s->reason), s->reason.len ? " " : "",
			  suppress_source_name(s->source), date))
		a->out->detail = STR_EMPTY;
}

/* True: this entry stands against the recipient, and not only on paper. */
static bool is_against(const struct asking *a, const struct suppression *s, struct str recipient)
{
	if (!suppress_covers(s, a->facts->sender))
		return false;
	if (a->tenant->suppress != SUPPRESS_MODE_MONITOR)
		return true;
	asking_note(a, (struct policy_note){ .rule = POLICY_RULE_SUPPRESS, .scope = recipient, .reason = REASON_SUPPRESSED });
	return false;
}

/* --- MAIL and RCPT: each question by itself */

static bool is_far(const struct store *st)
{
	return st->ops->may_have != NULL;
}

static bool is_worth_asking(struct store *st, struct str key)
{
	return !is_far(st) || st->ops->may_have(st, key);
}

static size_t members_of(const struct policy_facts *facts, struct member out[MEMBER_KIND_COUNT])
{
	size_t count = 0;

	out[count++] = (struct member){ .kind = MEMBER_ALL };
	if (facts->sender.len)
		out[count++] = (struct member){ .kind = MEMBER_SENDER, .name = facts->sender };
	if (facts->auth.len)
		out[count++] = (struct member){ .kind = MEMBER_LOGIN, .name = facts->auth };
	return count;
}

static bool find_member(const struct asking *a, struct member member, struct suspension *out, bool *out_found, struct err *err)
{
	struct store *st = a->policy->store;
	struct str key;

	*out_found = false;
	if (tenant_suspension_key(a->tenant->name, member, a->arena, &key) && !is_worth_asking(st, key))
		return true;
	return tenant_suspension(st, a->tenant->name, member, a->arena, out, out_found, err);
}

void bar_check_tenant(const struct asking *a)
{
	struct member members[MEMBER_KIND_COUNT];
	size_t count = members_of(a->facts, members);
	struct suspension s;
	struct err err = { 0 };
	bool found;

	if (a->tenant->is_suspended) {
		asking_decide(a, VERDICT_REJECT, REASON_SUSPENDED, POLICY_RULE_SUSPENDED);
		return;
	}
	for (size_t i = 0; i < count && a->out->action == VERDICT_ACCEPT; i++)
		if (!find_member(a, members[i], &s, &found, &err)) {
			asking_store_failed(a, &err);
			return;
		} else if (found && !s.is_halved) {
			tell_suspension(a, &s);
		}
}

static void look_up_recipient(const struct asking *a, struct str recipient, struct arena *work)
{
	struct store *st = a->policy->store;
	struct suppression s;
	struct err err = { 0 };
	struct str key;
	bool found;

	if (suppress_key(a->tenant->name, recipient, work, &key) && !is_worth_asking(st, key))
		return;
	if (!suppress_find(st, a->tenant->name, recipient, work, &s, &found, &err))
		asking_store_failed(a, &err);
	else if (found && is_against(a, &s, recipient))
		tell_suppression(a, &s, recipient);
}

void bar_check_recipient(const struct asking *a)
{
	struct arena work;

	if (a->tenant->suppress == SUPPRESS_MODE_OFF || a->facts->recipient_count == 0)
		return;
	arena_init(&work, WORK_MAX);
	look_up_recipient(a, a->facts->recipients[a->facts->recipient_count - 1], &work);
	arena_clear(&work);
}

/* --- DATA: all of them at once */

/* A store on this host was asked at MAIL who is barred; who is halved is asked where it matters. One that fails will fail the
 * charge too. */
bool bar_is_halved(const struct asking *a)
{
	struct member members[MEMBER_KIND_COUNT];
	size_t count = members_of(a->facts, members);
	struct suspension s;
	struct err err;
	bool found;

	for (size_t i = 0; i < count; i++)
		if (find_member(a, members[i], &s, &found, &err) && found && s.is_halved)
			return true;
	return false;
}

static bool plan_keys(struct bar *bar, size_t recipients)
{
	const struct asking *a = bar->a;

	bar->keys = arena_array(&bar->arena, bar->member_count + recipients, sizeof *bar->keys);
	if (!bar->keys)
		return false;
	for (size_t i = 0; i < bar->member_count; i++)
		if (!tenant_suspension_key(a->tenant->name, bar->members[i], &bar->arena, &bar->keys[bar->count++]))
			return false;
	for (size_t i = 0; i < recipients; i++)
		if (!suppress_key(a->tenant->name, a->facts->recipients[i], &bar->arena, &bar->keys[bar->count++]))
			return false;
	return true;
}

bool bar_begin(struct bar *bar, const struct asking *a)
{
	bool has_recipients = a->tenant->suppress != SUPPRESS_MODE_OFF && !a->facts->is_internal;

	*bar = (struct bar){ .a = a };
	arena_init(&bar->arena, KEYS_MAX);
	bar->member_count = members_of(a->facts, bar->members);
	if (is_far(a->policy->store))
		return plan_keys(bar, has_recipients ? a->facts->recipient_count : 0);
	return true;
}

void bar_end(struct bar *bar)
{
	arena_clear(&bar->arena);
}

static void find_suspension(struct bar *bar, struct member member, struct str value)
{
	struct suspension s;
	bool stands;

	if (!tenant_suspension_read(bar->a->tenant->name, member, value, &s, &stands, &bar->err))
		return;
	if (stands && s.is_halved)
		bar->is_halved = true;
	else if (stands && !asking_is_refused(bar->a))
		tell_suspension(bar->a, &s);
}

static void find_suppression(struct bar *bar, struct str recipient, struct str value)
{
	struct suppression s;
	bool stands;

	if (!suppress_read(recipient, value, &s, &stands, &bar->err) || !stands || !is_against(bar->a, &s, recipient))
		return;
	if (bar->suppressed++ == 0 && !asking_is_refused(bar->a))
		tell_suppression(bar->a, &s, recipient);
}

static void find(void *arg, size_t index, struct str value)
{
	struct bar *bar = arg;

	bar->was_met = true;
	if (index < bar->member_count)
		find_suspension(bar, bar->members[index], value);
	else
		find_suppression(bar, bar->a->facts->recipients[index - bar->member_count], value);
}

void bar_ask(struct bar *bar, struct store_charge *charge)
{
	charge->asked = bar->keys;
	charge->asked_count = bar->count;
	charge->on_found = find;
	charge->on_found_arg = bar;
	charge->is_barred = true;
}

bool bar_decides(struct bar *bar)
{
	const struct asking *a = bar->a;
	struct verdict *out = a->out;

	if (bar->err.kind != ERR_NONE)
		asking_store_failed(a, &bar->err);
	if (out->reason == REASON_SUPPRESSED && bar->suppressed < a->facts->recipient_count) {
		out->action = VERDICT_DEFER;
		if (!arena_printf(a->arena, &out->detail, STR_FMT "; not so the others: send again, and it alone is refused",
				  STR_ARG(out->detail)))
			out->detail = STR_EMPTY;
	}
	return out->action != VERDICT_ACCEPT;
}
