/* sekisho store copy: from a database of one relay to a Redis of many, and back. */
#include "milter/tool/commands.h"
#include "policy/store_copy.h"

static void show_progress(int64_t done, int64_t total)
{
	tool_progress("copied", done, total);
}

static bool backend_of(struct str word, enum store_backend *out)
{
	*out = str_eq(word, STR("redis")) ? STORE_REDIS : STORE_EMBEDDED;
	return *out == STORE_REDIS || str_eq(word, STR("embedded"));
}

/* The configured one of that kind, whichever the gate uses; a Redis that is away is an error here. */
static struct store *open_side(struct tool *tool, enum store_backend backend)
{
	struct config side = *tool->config;
	struct store *st;
	struct str ignored;
	struct err err;
	bool found;

	side.store_backend = backend;
	side.on_store_failure = STORE_FAILURE_DEFER;
	side.store_timeout_us = 10 * US_PER_S;
	if (store_open(&side, &st, &err)) {
		if (st->ops->get(st, STR("sekisho:{nobody}:asked"), &tool->arena, &ignored, &found, &err))
			return st;
		store_close(st);
	}
	tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	return NULL;
}

static int copy(struct tool *tool, struct store *from, struct store *to)
{
	struct store_copied copied;
	struct err err;
	bool ok = store_copy(from, to, show_progress, &copied, &err);

	tool_progress("copied", 0, 0);
	if (!ok)
		return tool_fail(tool, TOOL_UNKNOWN, "%s; what was copied stays, and the command can be run again",
				 err.text);
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_i64(&tool->json, "windows", copied.windows);
		json_member_i64(&tool->json, "counters", copied.counters);
		json_member_i64(&tool->json, "values", copied.values);
		json_member_i64(&tool->json, "skipped", copied.skipped);
		json_object_close(&tool->json);
	}
	tool_print(tool, "Copied " STR_FMT " quota counts, " STR_FMT " counters and " STR_FMT " values.\n",
		   STR_ARG(tool_number(tool, copied.windows)), STR_ARG(tool_number(tool, copied.counters)),
		   STR_ARG(tool_number(tool, copied.values)));
	return TOOL_OK;
}

static int run_copy(struct tool *tool, const void *values)
{
	enum store_backend from, to;
	struct store *source = NULL, *target = NULL;
	int code = TOOL_UNKNOWN;

	(void)values;
	if (!backend_of(tool->operands.items[0], &from) || !backend_of(tool->operands.items[1], &to) || from == to)
		return tool_usage(tool, "FROM and TO are embedded and redis, or redis and embedded");
	if (!tool_config(tool) || !tool_ops(tool))
		return TOOL_UNKNOWN;
	source = open_side(tool, from);
	target = source ? open_side(tool, to) : NULL;
	if (target)
		code = copy(tool, source, target);
	store_close(target);
	store_close(source);
	if (code == TOOL_OK &&
	    !tool_record(tool,
			 &(struct tool_trace){ .event = STR("access"), .command = STR("store copy"), .count = -1 }))
		code = TOOL_UNKNOWN;
	return code;
}

static const struct option options[] = { { NULL } };

const struct tool_command command_store_copy = {
	.name = "store copy",
	.operands = "FROM TO",
	.operands_min = 2,
	.operands_max = 2,
	.summary = "counts and suppressions into the other store",
	.about = "Copies what is counted and known from the embedded store to Redis (embedded redis) or back (redis "
		 "embedded), "
		 "both as the configuration has them. What stands there under the same names is replaced. Quota counts "
		 "arrive "
		 "as if made now, so they leave a little late. Stop the gate first, change store.backend afterwards: "
		 "what is "
		 "counted meanwhile is not copied.",
	.options = options,
	.has_json = true,
	.examples = "sekisho store copy embedded redis",
	.ok = "copied",
	.unknown = "one of the stores cannot be reached or read",
	.run = run_copy,
};
