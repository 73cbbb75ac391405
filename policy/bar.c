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
	asking_note(a, (struct policy_note){
			       .rule = POLICY_RULE_SUPPRESS, .scope = recipient, .reason = REASON_SUPPRESSED });
	return false;
}

/* --- MAIL and RCPT: before anything is taken */

bool bar_is_far(const struct asking *a)
{
	return a->policy->store->ops->may_have != NULL;
}

static bool is_worth_asking(const struct asking *a, struct str key)
{
	struct store *st = a->policy->store;

	return !st->ops->may_have || st->ops->may_have(st, key);
}

static bool add_member(struct bar *bar, bool is_always, struct member member)
{
	struct str key;

	if (!tenant_suspension_key(bar->a->tenant->name, member, &bar->arena, &key))
		return false;
	if (is_always || is_worth_asking(bar->a, key)) {
		bar->members[bar->count] = member;
		bar->keys[bar->count++] = key;
	}
	return true;
}

/* Whose message it is. */
static bool add_members(struct bar *bar, bool is_always)
{
	const struct policy_facts *facts = bar->a->facts;
	bool ok = add_member(bar, is_always, (struct member){ .kind = MEMBER_ALL });

	if (facts->sender.len)
		ok = ok && add_member(bar, is_always, (struct member){ .kind = MEMBER_SENDER, .name = facts->sender });
	if (facts->auth.len)
		ok = ok && add_member(bar, is_always, (struct member){ .kind = MEMBER_LOGIN, .name = facts->auth });
	bar->member_count = bar->count;
	return ok;
}

static bool begin(struct bar *bar, const struct asking *a, bool is_always, size_t recipients)
{
	*bar = (struct bar){ .a = a };
	arena_init(&bar->arena, KEYS_MAX);
	bar->keys = arena_array(&bar->arena, MEMBER_KIND_COUNT + recipients, sizeof *bar->keys);
	return bar->keys && add_members(bar, is_always);
}

static void ask_alone(struct bar *bar)
{
	const struct asking *a = bar->a;
	struct store *st = a->policy->store;
	struct store_charge charge = { .tenant = a->tenant->name, .id = STR_EMPTY, .is_peek = true };
	struct store_charged charged = { 0 };
	struct err err = { 0 };

	bar_ask(bar, &charge);
	if (st->ops->charge(st, &charge, &charged, &err)) {
		bar_decides(bar);
		return;
	}
	err_wrap(&err, "suspensions of tenant " STR_FMT, STR_ARG(a->tenant->name));
	asking_store_failed(a, &err);
}

void bar_check_tenant(const struct asking *a)
{
	struct bar bar;

	if (a->tenant->is_suspended) {
		asking_decide(a, VERDICT_REJECT, REASON_SUSPENDED, POLICY_RULE_SUSPENDED);
		return;
	}
	if (!begin(&bar, a, false, 0))
		asking_no_memory(a);
	else if (bar.count)
		ask_alone(&bar);
	bar_end(&bar);
}

static void look_up_recipient(const struct asking *a, struct str recipient, struct arena *work)
{
	struct store *st = a->policy->store;
	struct suppression s;
	struct err err = { 0 };
	struct str key;
	bool found;

	if (suppress_key(a->tenant->name, recipient, work, &key) && !is_worth_asking(a, key))
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

/* --- with a charge: all of them at once */

bool bar_begin(struct bar *bar, const struct asking *a, bool with_recipients)
{
	bool is_asked = with_recipients && bar_is_far(a) && a->tenant->suppress != SUPPRESS_MODE_OFF;
	size_t recipients = is_asked ? a->facts->recipient_count : 0;

	if (!begin(bar, a, true, recipients))
		return false;
	for (size_t i = 0; i < recipients; i++)
		if (!suppress_key(a->tenant->name, a->facts->recipients[i], &bar->arena, &bar->keys[bar->count++]))
			return false;
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
	if (out->reason == REASON_SUPPRESSED && bar->suppressed < a->facts->recipient_count && !asking_is_whole(a)) {
		out->action = VERDICT_DEFER;
		if (!arena_printf(a->arena, &out->detail, STR_FMT "; not so the others: send again, and it alone is refused",
				  STR_ARG(out->detail)))
			out->detail = STR_EMPTY;
	}
	return out->action != VERDICT_ACCEPT;
}
