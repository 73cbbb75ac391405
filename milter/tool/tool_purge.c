/* sekisho log purge: remove the files whose time is over, now rather than after the next midnight. */
#include "config/base/clock.h"
#include "milter/record/purge.h"
#include "milter/tool/commands.h"

struct purge_values {
	struct str class_name;
	bool is_dry_run;
};
#define PURGE(field) offsetof(struct purge_values, field)

static const struct option options[] = {
	{ "--class", OPTION_TEXT, PURGE(class_name), "CLASS", NULL, "this class alone (default: all)" },
	{ "--dry-run", OPTION_FLAG, PURGE(is_dry_run), NULL, NULL, "say what would go, and leave it" },
	{ NULL },
};

struct purge_run {
	struct tool *tool;
	const struct record_class *class;
	bool is_dry_run;
	int64_t count;
};

static void tell(void *arg, const char *file, int64_t octets)
{
	struct purge_run *run = arg;
	struct tool *tool = run->tool;

	run->count++;
	if (tool->is_json) {
		tool_json_line(tool);
		json_object_open(&tool->json);
		json_member_str(&tool->json, "class", run->class->name);
		json_member_str(&tool->json, "file", str_from_c(file));
		json_member_i64(&tool->json, "bytes", octets);
		json_member_bool(&tool->json, "dry_run", run->is_dry_run);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
		return;
	}
	tool_print(tool, "%s " STR_FMT "/%s, " STR_FMT " bytes\n", run->is_dry_run ? "would purge" : "purging",
		   STR_ARG(run->class->name), file, STR_ARG(tool_number(tool, octets)));
}

static bool purge_class(struct purge_run *run, struct err *err)
{
	const struct record_writer_config writer = tool_log_config(run->tool, run->class->name);
	int64_t count;

	return record_purge(&writer, run->class->keep, jst_day(clock_now_us()), run->is_dry_run, tell, run, &count, err);
}

static int run(struct tool *tool, const void *values)
{
	const struct purge_values *want = values;
	struct purge_run run = { .tool = tool, .is_dry_run = want->is_dry_run };
	struct err err;
	int code = TOOL_OK;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (want->class_name.ptr && !config_find_class(tool->config, want->class_name))
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(want->class_name));
	if (!want->is_dry_run && !tool_ops(tool))
		return TOOL_UNKNOWN;
	for (size_t i = 0; i < tool->config->class_count; i++) {
		run.class = &tool->config->classes[i];
		if (want->class_name.ptr && !str_eq(run.class->name, want->class_name))
			continue;
		if (!purge_class(&run, &err))
			code = tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	}
	if (!want->is_dry_run && run.count &&
	    !tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log purge"), .count = run.count }))
		code = TOOL_UNKNOWN;
	if (run.count == 0 && code == TOOL_OK && !tool->is_json)
		tool_print(tool, "Nothing is over its time.\n");
	return code;
}

const struct tool_command command_log_purge = {
	.name = "log purge",
	.operands = "",
	.summary = "remove the files whose time is over",
	.about = "Removes what relay_log.classes says is over its time, oldest first, each file declared by a signed record before it "
		 "goes. The daemon does so by itself after each midnight (JST), but waits where the clock jumped ahead and is not "
		 "synchronised; this command takes the clock's word. With --json one line a file.",
	.options = options,
	.values_size = sizeof(struct purge_values),
	.has_json = true,
	.examples = "sekisho log purge --dry-run\nsekisho log purge --class relay",
	.ok = "done, or nothing to do",
	.no = "there is no such class",
	.unknown = "a file or its record could not be written",
	.run = run,
};
