/* sekisho quota: what has been used, and beginning anew. */
#include "milter/tool/commands.h"
#include "milter/tool/usage.h"

/* Can there be a count for this key, in `only` or in any quota of the tenant? Said when there cannot. */
static bool can_count(struct tool *tool, const struct tenant *tenant, const struct quota *only, struct str key)
{
	bool can = key.len == 0 || (only && only->key != KEY_TENANT);

	for (size_t i = 0; i < tenant->quota_count && !only; i++)
		can |= tenant->quotas[i].key != KEY_TENANT;
	if (!can && only)
		tool_fail(tool, TOOL_NO, "quota " STR_FMT " has one count for the whole tenant, none for " STR_FMT, STR_ARG(only->name),
			  STR_ARG(key));
	else if (!can)
		tool_fail(tool, TOOL_NO, "tenant " STR_FMT " has no quota that has a count for " STR_FMT, STR_ARG(tenant->name),
			  STR_ARG(key));
	return can;
}

/* --- show */

struct show {
	struct str quota, key;
	int64_t limit;
};
#define SHOW(field) offsetof(struct show, field)

static const struct option show_options[] = {
	{ "--quota", OPTION_TEXT, SHOW(quota), "NAME", NULL, "this quota alone" },
	{ "--key", OPTION_TEXT, SHOW(key), "KEY", NULL, "of this login, sender, client or recipient domain alone" },
	{ "--limit", OPTION_COUNT, SHOW(limit), "N", NULL, "lines a quota, the fullest first (default 20)" },
	{ NULL },
};

static int run_show(struct tool *tool, const void *values)
{
	const struct show *show = values;
	const struct config *config = tool_config(tool);
	const struct quota *quota = NULL;
	struct str key = show->key.ptr ? show->key : STR_EMPTY;
	struct usage_list list;
	struct err err;

	if (!config)
		return TOOL_UNKNOWN;

	const struct tenant *tenant = tool_tenant(tool, tool->operands.items[0]);

	if (!tenant || (show->quota.ptr && !(quota = usage_find_quota(tool, tenant, show->quota))) ||
	    !can_count(tool, tenant, quota, key))
		return TOOL_NO;
	if (!tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	if (!usage_read(tool, tenant, quota, key, &list, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "tenant", tenant->name);
		usage_write_json(tool, &list);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	} else if (list.count) {
		usage_write(tool, &list, show->limit ? (size_t)show->limit : 20);
	} else {
		tool_print(tool, "%s\n", tenant->quota_count ? "Nothing is used." : "This tenant has no quotas.");
	}
	return TOOL_OK;
}

const struct tool_command command_quota_show = {
	.name = "quota show",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "what a tenant has used of its quotas",
	.about = "Shows for each quota, and for everybody it is counted for, what is used and left, how many messages it "
		 "refused lately, and when room comes back. Where limits are halved, by a guard or a person, it is the half that is "
		 "shown. Takes nothing.",
	.options = show_options,
	.values_size = sizeof(struct show),
	.has_json = true,
	.examples = "sekisho quota show acme\nsekisho quota show acme --quota per-login-hour --key bob@acme.example",
	.ok = "shown",
	.no = "there is no such tenant or quota, or no quota that counts by such a key",
	.unknown = "configuration or store cannot be read",
	.run = run_show,
};

/* --- reset */

struct reset {
	struct str reason;
};

static const struct option reset_options[] = {
	{ "--reason", OPTION_PROSE, offsetof(struct reset, reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

static int64_t count_used(const struct usage_list *list)
{
	int64_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		count += list->items[i].used > 0 || list->items[i].attempts > 0;
	return count;
}

static void write_reset_json(struct tool *tool, const struct tenant *tenant, const struct quota *quota, struct str key,
			     int64_t count)
{
	tool_json_line(tool);
	json_object_open(&tool->json);
	json_member_str(&tool->json, "tenant", tenant->name);
	json_member_str(&tool->json, "quota", quota->name);
	json_member_str_opt(&tool->json, "key", key);
	json_member_i64(&tool->json, "used", 0);
	json_member_i64(&tool->json, "reset", count);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

/* The record first: what is recorded and then fails is asked again; the reverse would leave no trace. */
static bool reset_quota(struct tool *tool, const struct tenant *tenant, const struct quota *quota, struct str key,
			struct str reason)
{
	const struct tool_trace trace = { .event = STR("quota_reset"), .command = STR("quota reset"), .tenant = tenant->name,
					  .reason = reason, .quota = quota->name, .count = -1 };
	struct usage_list before;
	struct err err;

	if (!tool_record(tool, &trace))
		return false;
	if (!usage_read(tool, tenant, quota, key, &before, &err) || !usage_reset(tool, tenant, quota, key, &err)) {
		tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
		return false;
	}
	if (tool->is_json)
		write_reset_json(tool, tenant, quota, key, count_used(&before));
	tool_print(tool, STR_FMT "%s" STR_FMT ": %s\n", STR_ARG(quota->name), key.len ? " of " : "", STR_ARG(key),
		   count_used(&before) ? "nothing is used any more" : "nothing was counted, so nothing is reset");
	return true;
}

static int run_reset(struct tool *tool, const void *values)
{
	const struct reset *reset = values;
	const struct config *config = tool_config(tool);
	const struct operands *words = &tool->operands;
	const struct quota *only = NULL;
	struct str key = words->count > 2 ? words->items[2] : STR_EMPTY;

	if (!config)
		return TOOL_UNKNOWN;

	const struct tenant *tenant = tool_tenant(tool, words->items[0]);

	if (!tenant || (words->count > 1 && !(only = usage_find_quota(tool, tenant, words->items[1]))) ||
	    !can_count(tool, tenant, only, key))
		return TOOL_NO;
	if (!tool_ops(tool) || !tool_store(tool, TOOL_CHANGE))
		return TOOL_UNKNOWN;
	for (size_t i = 0; i < tenant->quota_count; i++) {
		const struct quota *quota = &tenant->quotas[i];

		if ((!only || quota == only) && !reset_quota(tool, tenant, quota, key, reset->reason))
			return TOOL_UNKNOWN;
	}
	return TOOL_OK;
}

const struct tool_command command_quota_reset = {
	.name = "quota reset",
	.operands = "TENANT [QUOTA [KEY]]",
	.operands_min = 1,
	.operands_max = 3,
	.summary = "forget what was used",
	.about = "Forgets what a tenant has used: of all its quotas, of one, or of one for a single login, sender, client or "
		 "recipient domain. Takes effect with the next message. Each quota leaves a record in class ops, also where "
		 "nothing was counted. With --json one object a line; reset is how many counts there were.",
	.options = reset_options,
	.values_size = sizeof(struct reset),
	.has_json = true,
	.examples = "sekisho quota reset acme\nsekisho quota reset acme per-login-hour bob@acme.example --reason 'call 17'",
	.ok = "done, or nothing was counted",
	.no = "there is no such tenant or quota, or no quota that counts by such a key",
	.unknown = "configuration, store or record cannot be read or written; some quotas may be reset",
	.run = run_reset,
};
