/* sekisho bounce rules: the rules that judge returned mail, and whether they hold together. */
#include "milter/tool/rules.h"

#include <unistd.h>

#include "milter/tool/commands.h"
#include "policy/bounce_lint.h"

struct values {
	bool lints;
};

static void errors_tell(const struct tool *tool, const struct config_report *report)
{
	for (size_t i = 0; i < report->count && i < CONFIG_ERRORS_MAX; i++) {
		struct buf line;

		buf_init(&line, (size_t)1 << 20);
		config_error_format(&report->errors[i], &line);
		tool_fail(tool, TOOL_UNKNOWN, STR_FMT, STR_ARG(buf_view(&line)));
		buf_clear(&line);
	}
}

/* What the configuration names; without a configuration of one's own nothing. */
static bool path_find(struct tool *tool, struct str *out)
{
	bool is_default = str_eq(tool->config_path, STR(CONFIG_DEFAULT_PATH));

	if (out->len || (is_default && access(CONFIG_DEFAULT_PATH, R_OK) != 0))
		return true;
	if (!tool_config(tool))
		return false;
	*out = tool->config->bounce_rules_file;
	return true;
}

bool tool_rules(struct tool *tool, struct str path, struct bounce_rules **out)
{
	struct config_report report;
	bool ok;

	if (!path_find(tool, &path))
		return false;
	config_report_init(&report);
	ok = path.len ? bounce_rules_load_file(tool_text(tool, STR_FMT, STR_ARG(path)).ptr, STR_EMPTY, out, &report)
		      : bounce_rules_load_default(out, &report);
	errors_tell(tool, &report);
	config_report_clear(&report);
	return ok;
}

static void finding_print(void *arg, const struct bounce_rule *rule, const char *what, const struct bounce_rule *other)
{
	struct tool *tool = arg;

	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_str(&tool->json, "file", rule->place.file);
		json_member_i64(&tool->json, "line", (int64_t)rule->place.line);
		json_member_str(&tool->json, "rule", rule->id);
		json_member_str(&tool->json, "text", str_from_c(what));
		json_member_str_opt(&tool->json, "other", other ? other->id : STR_EMPTY);
		json_object_close(&tool->json);
		return;
	}
	tool_print(tool, STR_FMT ":%zu: " STR_FMT ": %s", STR_ARG(rule->place.file), rule->place.line, STR_ARG(rule->id), what);
	if (other)
		tool_print(tool, " (" STR_FMT ", line %zu)", STR_ARG(other->id), other->place.line);
	tool_print(tool, "\n");
}

static void rules_list(struct tool *tool, const struct bounce_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct bounce_rule *rule = &rules->rules[i];

		if (tool->is_json) {
			json_object_open(&tool->json);
			json_member_str(&tool->json, "id", rule->id);
			json_member_i64(&tool->json, "priority", rule->priority);
			json_member_str(&tool->json, "reason", str_from_c(bounce_reason_name(rule->reason)));
			json_member_str_opt(&tool->json, "text", rule->text);
			json_member_str(&tool->json, "sample", rule->sample);
			json_object_close(&tool->json);
		} else {
			tool_print(tool, "%-16.*s %3d %-16s " STR_FMT "\n", (int)rule->id.len, rule->id.ptr, rule->priority,
				   bounce_reason_name(rule->reason), STR_ARG(rule->text));
		}
	}
}

static int rules_run(struct tool *tool, const void *values)
{
	const struct values *v = values;
	struct bounce_rules *rules;
	size_t findings = 0;

	if (!tool_rules(tool, tool->operands.count ? tool->operands.items[0] : STR_EMPTY, &rules))
		return TOOL_NO;
	if (tool->is_json)
		json_array_open(&tool->json);
	if (v->lints)
		findings = bounce_lint(rules, finding_print, tool);
	else
		rules_list(tool, rules);
	if (tool->is_json) {
		json_array_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	} else if (v->lints) {
		tool_print(tool, "%zu rules, %zu finding%s\n", rules->count, findings, findings == 1 ? "" : "s");
	}
	bounce_rules_free(rules);
	return findings ? TOOL_NO : TOOL_OK;
}

static const struct option rules_options[] = {
	{ "--lint", OPTION_FLAG, offsetof(struct values, lints), NULL, NULL, "is a rule shadowed, ambiguous, untested or there twice?" },
	{ NULL },
};

const struct tool_command command_bounce_rules = {
	.name = "bounce rules",
	.operands = "[FILE]",
	.operands_max = 1,
	.summary = "the rules that say why mail came back",
	.about = "Lists the rules in force with FILE, or else with the configuration: rows of one's own, then those that came with "
		 "the program. With --lint says which of them stand in another's shadow, leave it to chance which counts, are "
		 "there twice, or do not match their own sample.",
	.options = rules_options,
	.values_size = sizeof(struct values),
	.has_json = true,
	.examples = "sekisho bounce rules --lint\nsekisho bounce rules --lint ./bounce-rules.yaml",
	.ok = "the rules are good",
	.no = "there are errors or findings",
	.run = rules_run,
};
