/* sekisho log index: what lets a search read little, made now. */
#include "milter/record/index_build.h"
#include "milter/tool/commands.h"

struct index_values {
	struct str class_name;
	bool anew;
};
#define INDEX(field) offsetof(struct index_values, field)

static const struct option options[] = {
	{ "--class", OPTION_TEXT, INDEX(class_name), "CLASS", NULL, "this class alone (default: all)" },
	{ "--rebuild", OPTION_FLAG, INDEX(anew), NULL, NULL, "also those that are good" },
	{ NULL },
};

static bool told(void *arg, const char *name, int64_t bytes, int64_t index_bytes)
{
	struct tool *tool = arg;

	tool_print(tool, "%s  " STR_FMT " bytes, index " STR_FMT "\n", name, STR_ARG(tool_number(tool, bytes)),
		   STR_ARG(tool_number(tool, index_bytes)));
	return tool->is_json || tool_flush(tool);
}

static void write_work(struct tool *tool, struct str name, const struct index_work *work)
{
	struct json *json = &tool->json;

	if (!tool->is_json) {
		tool_print(tool, STR_FMT ": %lld built, all indexes together " STR_FMT " bytes\n", STR_ARG(name), (long long)work->built,
			   STR_ARG(tool_number(tool, work->index_bytes)));
		if (work->built < work->files)
			tool_print(tool, STR_FMT ": %lld left without: less than %d %% of the disk is free\n", STR_ARG(name),
				   (long long)(work->files - work->built), INDEX_FREE_PERCENT);
		return;
	}
	tool_json_line(tool);
	json_object_open(json);
	json_member_str(json, "class", name);
	json_member_i64(json, "built", work->built);
	json_member_i64(json, "bytes", work->bytes);
	json_member_i64(json, "missing", work->files - work->built);
	json_member_i64(json, "index_bytes", work->index_bytes);
	json_object_close(json);
	buf_add_byte(&tool->out, '\n');
}

static int index_class(struct tool *tool, struct str name, bool anew, bool *out_all)
{
	struct str dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(name));
	struct str keyring = tool->config->log_keyring;
	struct index_work work;
	struct seal *seal = NULL;
	struct err err;
	bool ok = (keyring.len == 0 || seal_open(keyring, name, &seal, &err)) &&
		  index_update(dir.ptr, seal, anew, told, tool, &work, &err);

	seal_close(seal);
	if (!ok)
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	*out_all = *out_all && work.built == work.files;
	write_work(tool, name, &work);
	return TOOL_OK;
}

static int run(struct tool *tool, const void *values)
{
	const struct index_values *want = values;
	int code = TOOL_OK;
	bool all = true;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (want->class_name.ptr && !config_find_class(tool->config, want->class_name))
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(want->class_name));
	if (!tool_ops(tool))                        /* the log's owner makes them, as the daemon does */
		return TOOL_UNKNOWN;
	for (size_t i = 0; i < tool->config->class_count && code == TOOL_OK; i++)
		if (!want->class_name.ptr || str_eq(want->class_name, tool->config->classes[i].name))
			code = index_class(tool, tool->config->classes[i].name, want->anew, &all);
	return code != TOOL_OK ? code : all ? TOOL_OK : TOOL_NO;
}

const struct tool_command command_log_index = {
	.name = "log index",
	.operands = "",
	.summary = "make the indexes that searches use",
	.about = "Indexes the finished days that have no good index. The daemon does so by itself within a minute; this is for a log that "
		 "came from elsewhere, or when no daemon runs. An index holds keyed hashes and no customer's data; it is no part of "
		 "the log, and a search that finds none reads the day instead. With --json one line a class.",
	.options = options,
	.values_size = sizeof(struct index_values),
	.has_json = true,
	.examples = "sekisho log index\nsekisho log index --class relay --rebuild",
	.ok = "every finished day has its index",
	.no = "some have none, for the disk is nearly full; or there is no such class",
	.unknown = "the log cannot be read, or an index written",
	.run = run,
};
