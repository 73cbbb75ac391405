#include "milter/tool/held.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "milter/tool/peephole.h"
#include "milter/tool/records.h"
#include "policy/tenant.h"

struct matching {
	struct tool *tool;
	const struct record_class *class;
	struct held *items;            /* by queue id */
	size_t count;
	struct arena scratch;          /* of one line */
};

static int by_id(const void *a, const void *b)
{
	return str_cmp(((const struct held *)a)->entry->id, ((const struct held *)b)->entry->id);
}

static int by_age(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->entry->arrived_us != y->entry->arrived_us)
		return x->entry->arrived_us < y->entry->arrived_us ? -1 : 1;
	return str_cmp(x->entry->id, y->entry->id);
}

static struct held *find(const struct matching *m, struct str id)
{
	const struct queue_entry entry = { .id = id };
	const struct held key = { .entry = &entry };

	return m->count ? bsearch(&key, m->items, m->count, sizeof key, by_id) : NULL;
}

static struct str own(const struct matching *m, struct str text)
{
	return tool_text(m->tool, STR_FMT, STR_ARG(text));
}

static void take_held(const struct matching *m, const struct found *found, struct held *out)
{
	const struct record_event *event = &found->record.event;

	out->tenant = own(m, event->tenant);
	out->message = own(m, event->message);
	out->class_name = m->class->name;
	out->rule = own(m, event->rule);
	out->reply = own(m, event->reply);
	out->auth = own(m, event->auth);
	out->client = own(m, event->client);
	out->since_us = found->record.stamp.time_us;
	out->size = event->size;
	out->was_paid = false;
}

/* The queue id of a message that left may come again, on an MTA with short ones: the record is not older than the message. */
static bool take_record(void *arg, struct str class_name, struct str line)
{
	struct matching *m = arg;
	struct found found;
	struct str event, id;
	struct held *held;

	(void)class_name;
	if (!record_peek(line, STR("event"), &event) || (!str_eq(event, STR("held")) && !str_eq(event, STR("released"))) ||
	    !record_peek(line, STR("queue_id"), &id) || !(held = find(m, id)))
		return true;
	arena_reset(&m->scratch);
	if (!records_take(&m->scratch, m->class, line, &found) || found.record.stamp.time_us < held->entry->arrived_us - US_PER_S)
		return true;
	if (str_eq(event, STR("held")))
		take_held(m, &found, held);
	else
		held->was_paid = held->message.len != 0;
	return true;
}

static bool read_records(struct matching *m, struct err *err)
{
	const struct config *config = m->tool->config;
	int64_t first_us = clock_now_us();
	bool ok = true;

	for (size_t i = 0; i < m->count; i++)
		first_us = m->items[i].entry->arrived_us < first_us ? m->items[i].entry->arrived_us : first_us;
	arena_init(&m->scratch, RECORD_LINE_MAX * 8);
	for (size_t i = 0; ok && m->count && i < config->class_count; i++) {
		m->class = &config->classes[i];
		ok = records_walk(m->tool, m->class, jst_day(first_us), INT64_MAX, false, take_record, m, err);
	}
	arena_clear(&m->scratch);
	return ok;
}

bool held_read(struct tool *tool, const struct queue_mta *mta, struct str tenant, struct held_list *out, struct err *err)
{
	struct matching m = { .tool = tool };
	struct queue_list queue;

	*out = (struct held_list){ .count = 0 };
	if (!queue_read_held(tool, mta, &queue, err))
		return false;
	m.items = arena_array(&tool->arena, queue.count + 1, sizeof *m.items);
	if (!m.items)
		return err_memory(err);
	for (; m.count < queue.count; m.count++)
		m.items[m.count] = (struct held){ .entry = &queue.items[m.count] };
	if (m.count)
		qsort(m.items, m.count, sizeof *m.items, by_id);
	if (!read_records(&m, err))
		return err_wrap(err, "the relay log");
	out->items = m.items;
	for (size_t i = 0; i < m.count; i++) {
		out->strangers += m.items[i].message.len == 0;
		if (m.items[i].message.len && (tenant.len == 0 || str_eq(m.items[i].tenant, tenant)))
			out->items[out->count++] = m.items[i];
	}
	if (out->count)
		qsort(out->items, out->count, sizeof *out->items, by_age);
	return true;
}

/* --- what it costs */

static bool charge_id(struct tool *tool, const struct held *held, struct str *out)
{
	*out = tool_text(tool, STR_FMT "/h", STR_ARG(held->message));
	return out->len != 0;
}

static void ask(struct tool *tool, struct store *store, const struct tenant *tenant, const struct held *held,
		struct verdict *out)
{
	const struct policy policy = { .store = store, .node = tool->config->node };
	struct net_addr client;
	struct policy_facts facts = {
		.auth = held->auth,
		.client = net_parse_addr(held->client, &client) ? &client : NULL,
		.sender = held->entry->sender,
		.recipients = held->entry->recipients,
		.recipient_count = held->entry->recipient_count,
		.size = held->size,
	};
	struct str id;

	*out = (struct verdict){ .action = VERDICT_DEFER, .reason = REASON_MEMORY };
	if (!charge_id(tool, held, &id))
		return;
	policy_on_data(&policy, tool->config, tenant, &facts, id, &tool->arena, out);
	if (out->action == VERDICT_ACCEPT)
		policy_on_eom(&policy, tool->config, tenant, &facts, id, &tool->arena, out);
}

/* A suspension is asked for at MAIL, which a held message has behind it: of the tenant, its sender, its login. */
static bool is_suspended(struct tool *tool, const struct tenant *tenant, const struct held *held, struct verdict *out)
{
	const struct member members[] = { { MEMBER_ALL, STR_EMPTY }, { MEMBER_SENDER, held->entry->sender }, { MEMBER_LOGIN, held->auth } };
	struct suspension suspension;
	bool stands = tenant->is_suspended, found;
	struct err err;

	for (size_t i = 0; i < sizeof members / sizeof *members && !stands; i++) {
		if (i > 0 && members[i].name.len == 0)
			continue;
		if (!tenant_suspension(tool->store, tenant->name, members[i], &tool->arena, &suspension, &found,
				       &err)) {
			*out = (struct verdict){ .action = VERDICT_DEFER, .reason = REASON_STORE };
			return true;
		}
		stands = found && !suspension.is_halved;
	}
	if (stands)
		*out = (struct verdict){ .action = VERDICT_HOLD, .reason = REASON_SUSPENDED, .rule = POLICY_RULE_SUSPENDED };
	return stands;
}

bool held_charge(struct tool *tool, const struct tenant *tenant, struct held *held, struct verdict *out)
{
	struct peephole peephole;

	*out = (struct verdict){ .action = VERDICT_ACCEPT };
	if (is_suspended(tool, tenant, held, out))
		return false;
	if (held->was_paid)
		return true;
	/* First a look: an attempt that fails would be counted against the tenant. */
	peephole_init(&peephole, tool->store);
	ask(tool, &peephole.store, tenant, held, out);
	if (out->action != VERDICT_ACCEPT)
		return false;
	ask(tool, tool->store, tenant, held, out);
	held->is_charged = true;
	if (out->action != VERDICT_ACCEPT)
		held_refund(tool, tenant, held);
	return out->action == VERDICT_ACCEPT;
}

void held_refund(struct tool *tool, const struct tenant *tenant, struct held *held)
{
	const struct policy policy = { .store = tool->store, .node = tool->config->node };
	struct str id;

	if (held->is_charged && charge_id(tool, held, &id))
		policy_refund(&policy, tenant, id);
	held->is_charged = false;
}
