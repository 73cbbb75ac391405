/* sekisho log export: records for a spreadsheet, or for an auditor of one tenant. */
#include "config/base/clock.h"
#include "config/base/memory.h"
#include "milter/record/export.h"
#include "milter/tool/commands.h"
#include "milter/tool/records_find.h"

#define FLUSH_AT ((size_t)1 << 20)

struct export_values {
	struct str class_name, tenant, format, purpose;
	struct records_range range;
};
#define EXPORT(field) offsetof(struct export_values, field)

static const struct option options[] = {
	{ "--class", OPTION_TEXT, EXPORT(class_name), "CLASS", NULL, "class of records (default relay)" },
	{ "--tenant", OPTION_TEXT, EXPORT(tenant), "NAME", NULL, "of this tenant alone" },
	RECORDS_RANGE_OPTIONS(EXPORT(range)),
	{ "--format", OPTION_WORD, EXPORT(format), "FORMAT", "csv|jsonl", "csv, or jsonl: with a signed trailer (default)" },
	{ "--purpose", OPTION_PROSE, EXPORT(purpose), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

struct export {
	struct tool *tool;
	const struct export_values *want;
	const struct record_class *class;
	struct arena scratch;          /* for one line */
	struct export_jsonl jsonl;
	int64_t first_us, last_us;
	bool is_csv, is_lost;          /* lost: stdout took no more */
	int64_t count;
};

static bool is_wanted(const struct export *x, const struct record_line *record)
{
	const struct export_values *want = x->want;

	return (!want->tenant.ptr || str_eq(want->tenant, record->event.tenant)) &&
	       record->stamp.time_us >= x->first_us && record->stamp.time_us <= x->last_us;
}

static bool look_at(void *arg, struct str class_name, struct str line)
{
	struct export *x = arg;
	struct found found;

	(void)class_name;
	arena_reset(&x->scratch);
	if (!records_take(&x->scratch, x->class, line, &found) || !is_wanted(x, &found.record))
		return true;
	x->count++;
	if (x->is_csv)
		export_csv_record(&found.record, &x->tool->out);
	else
		export_jsonl_record(&x->jsonl, line, found.record.stamp.seq, &x->tool->out);
	x->is_lost = x->tool->out.len > FLUSH_AT && !tool_flush(x->tool);
	return !x->is_lost;
}

/* The log key when there is one that this user may read; without it the trailer is not signed, and we say so. */
static bool load_key(struct tool *tool, struct sign_key **out, struct err *err)
{
	struct str path = tool->config->log_key_file;

	*out = NULL;
	if (path.len == 0)
		err_set(err, ERR_CONFIG, "no log key");
	else if (sign_key_load(tool_text(tool, STR_FMT, STR_ARG(path)).ptr, out, err))
		return true;
	if (err->kind != ERR_CONFIG)                /* there is one, and it could not be read now */
		return false;
	tool_fail(tool, TOOL_OK, "the trailer is not signed: %s", err->text);
	return true;
}

static int end(struct export *x)
{
	struct tool *tool = x->tool;
	struct err err;

	if (x->is_csv)
		return TOOL_OK;

	struct sign_key *key;
	bool ok = load_key(tool, &key, &err) &&
		  export_jsonl_end(&x->jsonl, tool->config->node, x->class->name, x->want->tenant.ptr ? x->want->tenant : STR_EMPTY,
				   key, &tool->out, &err);

	sign_key_free(key);
	return ok ? TOOL_OK : tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
}

static int write_all(struct export *x)
{
	struct tool *tool = x->tool;
	unsigned long shortages = memory_shortages();
	struct err err;

	if (x->is_csv)
		export_csv_header(&tool->out);
	else
		export_jsonl_begin(&x->jsonl);
	if (!records_walk(tool, x->class, x->first_us == INT64_MIN ? INT64_MIN : jst_day(x->first_us) - 1,
			  x->last_us == INT64_MAX ? INT64_MAX : jst_day(x->last_us), false, look_at, x, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (memory_shortages() != shortages)        /* a trailer would say that this is all there is */
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	return x->is_lost ? TOOL_UNKNOWN : end(x);
}

static int run(struct tool *tool, const void *values)
{
	const struct export_values *want = values;
	struct export x = { .tool = tool, .want = want, .is_csv = str_eq(want->format, STR("csv")) };

	if (!records_range_read(tool, &want->range, &x.first_us, &x.last_us))
		return TOOL_USAGE;
	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	x.class = config_find_class(tool->config, want->class_name.ptr ? want->class_name : CLASS_RELAY);
	if (!x.class)
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(want->class_name));
	if (!tool_ops(tool))
		return TOOL_UNKNOWN;
	arena_init(&x.scratch, RECORD_LINE_MAX * 8);

	int code = write_all(&x);

	/* What was shown is on the record even when the rest could not be. */
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log export"), .tenant = want->tenant,
						     .reason = want->purpose, .count = x.count }))
		code = TOOL_UNKNOWN;
	arena_clear(&x.scratch);
	return code;
}

const struct tool_command command_log_export = {
	.name = "log export",
	.operands = "",
	.summary = "records as CSV, or as lines that prove themselves",
	.about = "Writes records to standard output: CSV for a spreadsheet (nothing in it can become a formula), or the log's own lines "
		 "with a signed trailer, which `log verify FILE` checks with the public key alone. A tenant's records carry "
		 "its own gap-free numbers, so that its auditor sees without the others' records that none is missing.",
	.options = options,
	.values_size = sizeof(struct export_values),
	.examples = "sekisho log export --tenant acme --from 2026-11-01 > acme.jsonl\n"
		    "sekisho log verify --key relay-log.key.pub acme.jsonl\n"
		    "sekisho log export --tenant acme --format csv > acme.csv",
	.ok = "written, be it without records",
	.no = "there is no such class",
	.unknown = "the log could not be read, or the output written",
	.run = run,
};
