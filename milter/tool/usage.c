#include "milter/tool/usage.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/domain.h"
#include "config/config_report.h"
#include "policy/tenant.h"

static const char *const counts_names[] = { [COUNTS_RECIPIENTS] = "recipients", [COUNTS_MESSAGES] = "messages",
					    [COUNTS_BYTES] = "bytes" };
static const char *const key_names[] = { [KEY_TENANT] = "tenant", [KEY_SENDER] = "sender", [KEY_AUTH] = "login",
					 [KEY_CLIENT] = "client", [KEY_RECIPIENT_DOMAIN] = "recipient domain" };
static const char *const excess_names[] = { [EXCESS_DEFER] = "defer", [EXCESS_REJECT] = "reject", [EXCESS_HOLD] = "hold" };

const char *usage_excess_name(enum excess_action action)
{
	return excess_names[action];
}

struct str usage_describe(struct tool *tool, const struct quota *quota)
{
	struct str period;

	if (!quota_period_name(quota, &tool->arena, &period))
		period = STR("period");
	return tool_text(tool, "%s/" STR_FMT "%s%s%s%s", counts_names[quota->counts], STR_ARG(period),
			 quota->window == WINDOW_BURST ? ", burst" : "", quota->key == KEY_TENANT ? "" : " a ",
			 quota->key == KEY_TENANT ? "" : key_names[quota->key], quota->is_monitor ? ", monitored" : "");
}

const struct quota *usage_find_quota(struct tool *tool, const struct tenant *tenant, struct str name)
{
	struct config_nearest nearest = { .name = name };
	char quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];

	for (size_t i = 0; i < tenant->quota_count; i++) {
		if (str_eq(tenant->quotas[i].name, name))
			return &tenant->quotas[i];
		config_nearest_offer(&nearest, tool_text(tool, STR_FMT, STR_ARG(tenant->quotas[i].name)).ptr);
	}
	tool_fail(tool, TOOL_NO, "tenant " STR_FMT " has no quota %s%s", STR_ARG(tenant->name), config_quote(name, quoted),
		  config_nearest_hint(&nearest, hint));
	return NULL;
}

/* --- reading */

static bool list_add(struct tool *tool, struct usage_list *list, struct usage item)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct usage *items = arena_array(&tool->arena, room, sizeof *items);

		if (!items)
			return false;
		if (list->count)
			memcpy(items, list->items, list->count * sizeof *items);
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = item;
	return true;
}

struct gathering {
	struct tool *tool;
	const struct quota *quota;
	size_t prefix_len;
	struct usage_list *list;
	bool is_full;
};

static bool gather_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct gathering *g = arg;
	struct usage item = { .quota = g->quota };

	(void)value;
	(void)expires_us;
	if (!arena_copy(&g->tool->arena, key, &item.key) || !list_add(g->tool, g->list, item)) {
		g->is_full = true;
		return false;
	}
	struct usage *kept = &g->list->items[g->list->count - 1];

	kept->scope = str_from(kept->key, g->prefix_len);
	return true;
}

/* Every counter of one family of this quota. */
static bool gather(struct tool *tool, const struct tenant *tenant, const char *family, const struct quota *quota,
		   struct usage_list *list, struct err *err)
{
	struct gathering g = { .tool = tool, .quota = quota, .list = list };
	struct str prefix;

	if (!quota_store_key(tenant->name, family, quota, STR_EMPTY, &tool->arena, &prefix))
		return err_memory(err);
	g.prefix_len = prefix.len;
	if (!tool->store->ops->scan(tool->store, prefix, gather_key, &g, err))
		return false;
	return !g.is_full || err_memory(err);
}

static bool gather_one(struct tool *tool, const struct tenant *tenant, const char *family, const struct quota *quota,
		       struct str scope, struct usage_list *list, struct err *err)
{
	struct usage item = { .quota = quota };

	bool is_address = quota->key == KEY_SENDER || quota->key == KEY_RECIPIENT_DOMAIN;

	return ((is_address ? domain_key : arena_copy_lower)(&tool->arena, scope, &item.scope) &&
		quota_store_key(tenant->name, family, quota, item.scope, &tool->arena, &item.key) &&
		list_add(tool, list, item)) || err_memory(err);
}

/* Refused attempts stand under the same key in another family. */
static bool read_attempts(struct tool *tool, const struct tenant *tenant, struct usage *item, struct err *err)
{
	struct str family = tool_text(tool, "sekisho:{" STR_FMT "}:q:", STR_ARG(tenant->name));
	struct str key = tool_text(tool, "sekisho:{" STR_FMT "}:over:" STR_FMT, STR_ARG(tenant->name),
				   STR_ARG(str_from(item->key, family.len)));
	struct str value;
	bool found;

	if (!tool->store->ops->get(tool->store, key, &tool->arena, &value, &found, err))
		return false;
	if (found && !num_parse_i64(value, &item->attempts))
		item->attempts = 0;
	return true;
}

/* Whose limits are halved: the tenant itself, or senders and logins as they stand in keys. */
struct halved {
	struct tool *tool;
	bool is_tenant, is_full;
	struct member *members;
	size_t count, room;
};

static bool note_halved(void *arg, const struct suspension *s)
{
	struct halved *h = arg;
	struct member member = s->of;

	if (!s->is_halved)
		return true;
	if (s->of.kind == MEMBER_ALL) {
		h->is_tenant = true;
		return true;
	}
	if (h->count == h->room) {
		size_t room = h->room ? h->room * 2 : 16;
		struct member *members = arena_array(&h->tool->arena, room, sizeof *members);

		h->is_full = !members;
		if (!members)
			return false;
		if (h->count)
			memcpy(members, h->members, h->count * sizeof *members);
		h->members = members;
		h->room = room;
	}
	h->is_full = !arena_copy(&h->tool->arena, s->of.name, &member.name);
	if (!h->is_full)
		h->members[h->count++] = member;
	return !h->is_full;
}

/* A quota of all is not halved for the others when one is; who is meets half of it all the same. */
static bool is_halved(const struct halved *h, const struct usage *item)
{
	enum member_kind kind = item->quota->key == KEY_SENDER ? MEMBER_SENDER : MEMBER_LOGIN;

	if (h->is_tenant || (item->quota->key != KEY_SENDER && item->quota->key != KEY_AUTH))
		return h->is_tenant;
	for (size_t i = 0; i < h->count; i++)
		if (h->members[i].kind == kind && str_eq(h->members[i].name, item->scope))
			return true;
	return false;
}

/* A charge that costs nothing and only looks tells what is in the windows. */
static bool look(struct tool *tool, const struct tenant *tenant, const struct halved *halved, struct usage *items, size_t count,
		 struct err *err)
{
	static struct store_take takes[STORE_TAKES_MAX];
	static struct store_taken taken[STORE_TAKES_MAX];
	struct store_charge charge = { .tenant = tenant->name, .takes = takes, .count = count, .is_peek = true };
	struct store_charged charged = { .taken = taken };

	for (size_t i = 0; i < count; i++) {
		const struct quota *quota = items[i].quota;

		items[i].limit = quota_limit_today(quota, items[i].scope);
		items[i].is_warming = items[i].limit < quota_limit(quota, items[i].scope);
		items[i].is_halved = items[i].limit != LIMIT_NONE && is_halved(halved, &items[i]);
		if (items[i].is_halved)
			items[i].limit = quota_half(items[i].limit);
		takes[i] = (struct store_take){ .key = items[i].key, .window = quota->window, .calendar = quota->calendar,
						.period_us = quota->period_us, .limit = items[i].limit };
	}
	if (!tool->store->ops->charge(tool->store, &charge, &charged, err))
		return false;
	for (size_t i = 0; i < count; i++) {
		items[i].used = taken[i].used;
		items[i].resets_us = taken[i].used ? taken[i].resets_us : 0;
		if (!read_attempts(tool, tenant, &items[i], err))
			return false;
	}
	return true;
}

static double fullness(const struct usage *item)
{
	if (item->limit == LIMIT_NONE)
		return 0;
	return item->limit > 0 ? (double)item->used / (double)item->limit : 1;
}

static int usage_order(const void *a, const void *b)
{
	const struct usage *x = a, *y = b;
	double fx = fullness(x), fy = fullness(y);

	if (x->quota != y->quota)
		return x->quota < y->quota ? -1 : 1;
	if (fx != fy)
		return fx > fy ? -1 : 1;
	return x->used != y->used ? (x->used > y->used ? -1 : 1) : str_cmp(x->scope, y->scope);
}

static bool gather_quota(struct tool *tool, const struct tenant *tenant, const struct quota *quota, struct str scope,
			 struct usage_list *list, struct err *err)
{
	if (quota->key == KEY_TENANT)
		return gather_one(tool, tenant, "q", quota, STR_EMPTY, list, err);
	if (scope.len)
		return gather_one(tool, tenant, "q", quota, scope, list, err);
	return gather(tool, tenant, "q", quota, list, err);
}

bool usage_read(struct tool *tool, const struct tenant *tenant, const struct quota *only, struct str scope,
		struct usage_list *out, struct err *err)
{
	struct halved halved = { .tool = tool };

	*out = (struct usage_list){ .count = 0 };
	if (!tenant_each_suspension(tool->store, tenant->name, note_halved, &halved, err))
		return false;
	if (halved.is_full)
		return err_memory(err);
	for (size_t i = 0; i < tenant->quota_count; i++) {
		const struct quota *quota = &tenant->quotas[i];

		if ((only && quota != only) || (scope.len && quota->key == KEY_TENANT))
			continue;
		if (!gather_quota(tool, tenant, quota, scope, out, err))
			return false;
	}
	for (size_t at = 0; at < out->count; at += STORE_TAKES_MAX) {
		size_t n = out->count - at < STORE_TAKES_MAX ? out->count - at : STORE_TAKES_MAX;

		if (!look(tool, tenant, &halved, out->items + at, n, err))
			return false;
	}
	if (out->count)
		qsort(out->items, out->count, sizeof *out->items, usage_order);
	return true;
}

/* --- showing */

static int64_t left_of(const struct usage *item)
{
	return item->limit == LIMIT_NONE ? LIMIT_NONE : item->used < item->limit ? item->limit - item->used : 0;
}

struct str usage_limit(struct tool *tool, int64_t limit, bool is_halved, bool is_warming)
{
	const char *why = is_halved ? "half: " : is_warming ? "warm-up: " : "";

	return tool_text(tool, "%s" STR_FMT, why, STR_ARG(tool_limit(tool, limit)));
}

void usage_write(struct tool *tool, const struct usage_list *list, size_t most)
{
	static const struct column columns[] = {
		{ "QUOTA", COLUMN_FOLD }, { "WHOSE", COLUMN_FOLD }, { "USED", COLUMN_RIGHT }, { "LIMIT", COLUMN_RIGHT },
		{ "LEFT", COLUMN_RIGHT }, { "REFUSED", COLUMN_RIGHT }, { "ROOM AGAIN (JST)", COLUMN_LEFT },
	};
	struct table table;
	size_t run = 0, hidden = 0;

	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < list->count; i++) {
		const struct usage *item = &list->items[i];

		run = i && list->items[i - 1].quota == item->quota ? run + 1 : 0;
		if (run >= most) {
			hidden++;
			continue;
		}
		table_add(&table, (struct str[]){ item->quota->name, item->scope.len ? item->scope : STR("tenant"),
						  tool_number(tool, item->used), usage_limit(tool, item->limit, item->is_halved, item->is_warming),
						  tool_limit(tool, left_of(item)), tool_number(tool, item->attempts),
						  str_slice(tool_time(tool, item->resets_us), 0, 16) });
	}
	tool_table(tool, &table);
	if (hidden)
		tool_print(tool, "... and %zu that used less\n", hidden);
}

void usage_write_json(struct tool *tool, const struct usage_list *list)
{
	struct json *json = &tool->json;

	json_key(json, "usage");
	json_array_open(json);
	for (size_t i = 0; i < list->count; i++) {
		const struct usage *item = &list->items[i];

		json_object_open(json);
		json_member_str(json, "quota", item->quota->name);
		json_member_str_opt(json, "key", item->scope);
		json_member_str(json, "counts", str_from_c(counts_names[item->quota->counts]));
		json_member_i64(json, "used", item->used);
		if (item->limit != LIMIT_NONE) {
			json_member_i64(json, "limit", item->limit);
			json_member_i64(json, "left", left_of(item));
		}
		if (item->is_halved)
			json_member_bool(json, "halved", true);
		if (item->is_warming)
			json_member_bool(json, "warm_up", true);
		json_member_i64(json, "refused", item->attempts);
		tool_json_time(tool, "room_again", item->resets_us);
		json_object_close(json);
	}
	json_array_close(json);
}

/* --- forgetting */

static bool forget_family(struct tool *tool, const struct tenant *tenant, const char *family, const struct quota *quota,
			  struct str scope, struct err *err)
{
	struct usage_list list = { .count = 0 };
	bool is_one = scope.len || quota->key == KEY_TENANT;

	if (is_one ? !gather_one(tool, tenant, family, quota, scope, &list, err)
		   : !gather(tool, tenant, family, quota, &list, err))
		return false;
	for (size_t i = 0; i < list.count; i++)
		if (!tool->store->ops->put(tool->store, list.items[i].key, STR_EMPTY, 0, err))
			return false;
	return true;
}

bool usage_reset(struct tool *tool, const struct tenant *tenant, const struct quota *quota, struct str scope,
		 struct err *err)
{
	char family[16];

	if (!forget_family(tool, tenant, "q", quota, scope, err) || !forget_family(tool, tenant, "over", quota, scope, err))
		return false;
	for (size_t i = 0; i < quota->warn_count; i++) {
		snprintf(family, sizeof family, "warn%d", quota->warn_at[i]);
		if (!forget_family(tool, tenant, family, quota, scope, err))
			return false;
	}
	return true;
}
