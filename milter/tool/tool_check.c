/* sekisho check: what is wrong with a configuration, and where. */

#include "config/config_report.h"
#include "milter/tool/commands.h"

static void write_place(struct tool *tool, const struct config_error *error, const char *level)
{
	struct buf line;

	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "level", str_from_c(level));
		json_member_str_opt(&tool->json, "file", error->file);
		json_member_i64_opt(&tool->json, "line", (int64_t)error->line);
		json_member_i64_opt(&tool->json, "column", (int64_t)error->column);
		json_member_str(&tool->json, "text", error->text);
		json_member_str_opt(&tool->json, "fix", error->command);
		json_object_close(&tool->json);
		return;
	}
	buf_init(&line, (size_t)1 << 20);
	config_error_format(error, &line);
	tool_print(tool, "%s: " STR_FMT "\n", level, STR_ARG(buf_view(&line)));
	buf_clear(&line);
}

static void write_list(struct tool *tool, const struct config_error *items, size_t count, const char *level)
{
	for (size_t i = 0; i < count && i < CONFIG_ERRORS_MAX; i++)
		write_place(tool, &items[i], level);
	if (count > CONFIG_ERRORS_MAX)
		tool_print(tool, "... and %zu more %ss\n", count - CONFIG_ERRORS_MAX, level);
}

static void write_counts(struct tool *tool, const struct config *config)
{
	size_t quotas = 0;

	for (size_t i = 0; i < config->tenant_count; i++)
		quotas += config->tenants[i].quota_count;
	tool_print(tool, STR_FMT ": good; " STR_FMT " tenant%s, " STR_FMT " quota%s\n", STR_ARG(config->path),
		   STR_ARG(tool_number(tool, (int64_t)config->tenant_count)), config->tenant_count == 1 ? "" : "s",
		   STR_ARG(tool_number(tool, (int64_t)quotas)), quotas == 1 ? "" : "s");
	if (tool->is_json) {
		json_member_i64(&tool->json, "tenants", (int64_t)config->tenant_count);
		json_member_i64(&tool->json, "quotas", (int64_t)quotas);
	}
}

static int run(struct tool *tool, const void *values)
{
	struct config_report report;
	struct str path = tool->operands.count ? tool->operands.items[0] : tool->config_path;
	bool ok = config_load(tool_text(tool, STR_FMT, STR_ARG(path)).ptr, &tool->config, &report);

	(void)values;
	if (ok)
		tool_config_beside(tool->config, &report);
	else
		tool->config = NULL;

	size_t errors = report.count;

	if (tool->is_json) {
		json_object_open(&tool->json);
		json_key(&tool->json, "findings");
		json_array_open(&tool->json);
	}
	write_list(tool, report.errors, report.count, "error");
	write_list(tool, report.warnings, report.warning_count, "warning");
	if (tool->is_json) {
		json_array_close(&tool->json);
		json_member_bool(&tool->json, "good", errors == 0);
		json_member_i64(&tool->json, "errors", (int64_t)errors);
		json_member_i64(&tool->json, "warnings", (int64_t)report.warning_count);
	}
	if (errors == 0)
		write_counts(tool, tool->config);
	else
		tool_print(tool, STR_FMT ": %zu error%s\n", STR_ARG(path), errors, errors == 1 ? "" : "s");
	if (tool->is_json) {
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	}
	config_report_clear(&report);
	return errors ? TOOL_NO : TOOL_OK;
}

static const struct option options[] = { { NULL } };

const struct tool_command command_check = {
	.name = "check",
	.operands = "[FILE]",
	.operands_max = 1,
	.summary = "is the configuration good? errors with their place",
	.about = "Reads a configuration with all it includes and says everything that is wrong with it: file, line, column, "
		 "what was expected, and the nearest name there is. The running daemon is not touched.",
	.options = options,
	.has_json = true,
	.examples = "sekisho check\nsekisho check ./sekisho.yaml",
	.ok = "good, perhaps with warnings",
	.no = "there are errors",
	.run = run,
};
