/* sekisho log report: the relay log on one page, for people who do not run the gate. */
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/erasure.h"
#include "milter/tool/commands.h"
#include "milter/tool/japanese.h"
#include "milter/tool/records_find.h"
#include "milter/tool/log_report.h"
#include "milter/tool/usage.h"

#define DAYS_DEFAULT 30

struct report_values {
	struct str class_name, tenant, lang, key, purpose;
	struct records_range range;
};
#define REPORT(field) offsetof(struct report_values, field)

static const struct option options[] = {
	{ "--tenant", OPTION_TEXT, REPORT(tenant), "NAME", NULL, "about this tenant alone" },
	RECORDS_RANGE_OPTIONS(REPORT(range)),
	TOOL_LANG_OPTION(REPORT(lang)),
	{ "--class", OPTION_TEXT, REPORT(class_name), "CLASS", NULL, "class of records (default relay)" },
	{ "--key", OPTION_TEXT, REPORT(key), "FILE", NULL, "public key (default: key_file of the configuration with .pub)" },
	{ "--purpose", OPTION_PROSE, REPORT(purpose), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

struct gather {
	struct tool *tool;
	const struct record_class *class, *mail;       /* the one at hand; the one that mail is recorded in */
	struct log_report report;
	struct verify_report verify;
	struct arena scratch;          /* for one line */
	int64_t count;
	bool knows_tenant;             /* the one asked for has records, of whatever day */
};

static bool take_mail(void *arg, struct str class_name, struct str line)
{
	struct gather *g = arg;
	struct found found;

	(void)class_name;
	arena_reset(&g->scratch);
	if (records_take(&g->scratch, g->class, line, &found)) {
		report_take(&g->report, &found.record);
		g->knows_tenant |= str_eq(found.record.event.tenant, g->report.tenant);
		g->count++;
	}
	return true;
}

/* Of mail that is recorded in the report's class, and its bounces here. */
static bool take_bounce(void *arg, struct str class_name, struct str line)
{
	struct gather *g = arg;
	const struct tenant *tenant;
	struct found found;

	(void)class_name;
	arena_reset(&g->scratch);
	if (!records_take(&g->scratch, g->class, line, &found))
		return true;
	tenant = config_find_tenant(g->tool->config, found.record.event.tenant);
	if (tenant && str_eq(tenant->record_class, g->mail->name) && str_eq(config_bounce_class(tenant), g->class->name))
		report_take_outcome(&g->report, &found.record);
	return true;
}

static bool take_ops(void *arg, struct str class_name, struct str line)
{
	struct gather *g = arg;
	struct found found;

	(void)class_name;
	arena_reset(&g->scratch);
	if (records_take(&g->scratch, g->class, line, &found))
		report_take_ops(&g->report, &found.record, g->mail->name);
	return true;
}

/* As the store has it now; a store that cannot be read leaves the chart out, and is said. */
static void read_quotas(struct gather *g)
{
	const struct config *config = g->tool->config;
	struct err err;

	if (!tool_store_open(g->tool, TOOL_LOOK, &err)) {
		tool_fail(g->tool, TOOL_OK, "without quota use: %s", err.text);
		return;
	}
	for (size_t i = 0; i < config->tenant_count; i++) {
		const struct tenant *tenant = &config->tenants[i];
		struct usage_list list = { .count = 0 };

		if (g->report.tenant.len && !str_eq(g->report.tenant, tenant->name))
			continue;
		if (!usage_read(g->tool, tenant, NULL, STR_EMPTY, &list, &err)) {
			tool_fail(g->tool, TOOL_OK, "without quota use: %s", err.text);
			return;
		}
		for (size_t at = 0; at < list.count; at++)
			report_take_quota(&g->report, tool_text(g->tool, STR_FMT " " STR_FMT "%s" STR_FMT, STR_ARG(tenant->name),
								STR_ARG(list.items[at].quota->name), list.items[at].scope.len ? " " : "",
								STR_ARG(list.items[at].scope)), list.items[at].used, list.items[at].limit);
	}
}

static bool has_bounces_in(const struct gather *g, struct str class_name)
{
	const struct config *config = g->tool->config;

	for (size_t i = 0; i < config->tenant_count; i++)
		if (str_eq(config->tenants[i].record_class, g->mail->name) &&
		    str_eq(config_bounce_class(&config->tenants[i]), class_name))
			return !str_eq(class_name, g->mail->name);
	return false;
}

static bool read_records(struct gather *g, struct err *err)
{
	const struct config *config = g->tool->config;
	const struct record_class *mail = g->mail = g->class;
	bool ok = records_walk(g->tool, mail, INT64_MIN, INT64_MAX, false, take_mail, g, err);

	for (size_t i = 0; ok && i < config->class_count; i++) {
		g->class = &config->classes[i];
		ok = !has_bounces_in(g, g->class->name) ||
		     records_walk(g->tool, g->class, g->report.first_day, g->report.last_day, false, take_bounce, g, err);
	}
	g->class = config_find_class(g->tool->config, CLASS_OPS);
	if (ok && g->class)
		ok = records_walk(g->tool, g->class, g->report.first_day, g->report.last_day, false, take_ops, g, err);
	g->class = mail;
	return ok;
}

static void verify(struct gather *g, struct str key)
{
	const struct config *config = g->tool->config;
	char operator_key[PATH_MAX] = "";
	const bool has_operator = erasure_public(config, operator_key);
	const struct verify_options want = {
		.dir = tool_text(g->tool, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(g->class->name)),
		.public_key_file = key.ptr ? key : tool_text(g->tool, STR_FMT ".pub", STR_ARG(config->log_key_file)),
		.operator_key_file = has_operator ? str_from_c(operator_key) : STR_EMPTY,
		.node = config->node,
		.class_name = g->class->name,
		.first_day = INT64_MIN,
		.last_day = INT64_MAX,
		.has_retention = true,
		.keep = g->report.keep,
		.threads = (int)sysconf(_SC_NPROCESSORS_ONLN),
		.tongue = g->tool->is_japanese ? japanese_of : NULL,
	};
	struct err err;

	if (!key.ptr && config->log_key_file.len == 0)
		tool_fail(g->tool, TOOL_OK, "not verified: relay_log.key_file is none, and nothing is signed");
	else if (record_verify(&want, &g->verify, &err))
		g->report.verify = &g->verify;
	else
		tool_fail(g->tool, TOOL_OK, "not verified: %s", err.text);
}

static int make(struct gather *g, const struct report_values *want)
{
	struct log_report *report = &g->report;
	struct tool *tool = g->tool;
	int64_t first_us, last_us;
	struct err err;

	if (!records_range_read(tool, &want->range, &first_us, &last_us))
		return TOOL_USAGE;
	report->node = tool->config->node;
	report->tenant = want->tenant.ptr ? want->tenant : STR_EMPTY;
	report->made_us = clock_now_us();
	report->last_day = jst_day(last_us == INT64_MAX ? report->made_us : last_us);
	report->first_day = first_us == INT64_MIN ? report->last_day - DAYS_DEFAULT + 1 : jst_day(first_us);
	report->keep = g->class->keep;
	report->arena = &tool->arena;
	if (report->first_day > report->last_day || report->last_day - report->first_day >= REPORT_DAYS_MAX)
		return tool_usage(tool, "a report is about 1 to %d days", REPORT_DAYS_MAX);
	if (!tool_ops(tool))
		return TOOL_UNKNOWN;
	if (!read_records(g, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (report->tenant.len && !g->knows_tenant && !tool_tenant(tool, report->tenant))
		return TOOL_NO;
	report->is_limited = tool->only_tenant.len > 0;
	read_quotas(g);
	if (tool->only_tenant.len == 0)             /* it counts everybody's records; a reader verifies his export */
		verify(g, want->key);
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log report"), .tenant = want->tenant,
						     .reason = want->purpose, .count = g->count }))
		return TOOL_UNKNOWN;
	report_write(report, tool->is_japanese ? REPORT_JA : REPORT_EN, &tool->out);
	return tool->only_tenant.len || (report->verify && report->verify->result == VERIFY_OK) ? TOOL_OK : TOOL_NO;
}

static int run(struct tool *tool, const void *values)
{
	const struct report_values *want = values;
	static struct gather g;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	g.tool = tool;
	tool->is_japanese = tool_is_japanese(want->lang);
	g.class = config_find_class(tool->config, want->class_name.ptr ? want->class_name : CLASS_RELAY);
	if (!g.class)
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(want->class_name));
	arena_init(&g.scratch, RECORD_LINE_MAX * 8);
	arena_init(&g.verify.arena, 0);

	int code = make(&g, want);

	arena_clear(&g.scratch);
	verify_report_clear(&g.verify);
	return code;
}

const struct tool_command command_log_report = {
	.name = "log report",
	.operands = "",
	.summary = "the log on one page, for people",
	.about = "Writes one HTML page to standard output that holds all it needs, without scripts, and prints on A4: messages a day, "
		 "why they were not accepted, failures by reason, quota use, whether the log is as it was written, its gaps, retention "
		 "promised and measured, clock, and who looked into the log. About 30 days unless you say.",
	.options = options,
	.values_size = sizeof(struct report_values),
	.examples = "sekisho log report > report.html\nsekisho log report --tenant acme --from 2026-11-01 --lang ja > acme.html",
	.ok = "written, and the log is intact",
	.no = "written, and the page says what is wrong with the log; or there is no such tenant, and no record of one",
	.unknown = "the log could not be read",
	.run = run,
};
