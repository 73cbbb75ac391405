/* sekisho log reconcile: the MTA's own log against the relay log. */
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/tool/japanese.h"
#include "milter/tool/reconcile.h"
#include "milter/tool/records.h"

#define LINE_SIZE 16384
#define READ_AHEAD (256u << 10)

struct reconcile_values {
	struct str_list maillogs;
	struct str zone, purpose, lang;
	bool wants_all;
};
#define RECONCILE(field) offsetof(struct reconcile_values, field)

static const struct option options[] = {
	{ "--maillog", OPTION_TEXTS, RECONCILE(maillogs), "FILE", NULL,
	  "a log of Postfix or Sendmail, packed by gzip or not; more may follow as FILE" },
	{ "--zone", OPTION_WORD, RECONCILE(zone), "ZONE", "host|jst|utc",
	  "of times that do not say: host (default: this host's, as TZ has it), jst or utc" },
	{ "--all", OPTION_FLAG, RECONCILE(wants_all), NULL, NULL, "list those with a good reason too" },
	TOOL_LANG_OPTION(RECONCILE(lang)),
	{ "--purpose", OPTION_PROSE, RECONCILE(purpose), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

struct run {
	struct tool *tool;
	const struct reconcile_values *want;
	struct reconcile reconcile;
	const struct record_class *class;
	struct arena scratch;
	struct table table;
	int64_t log_begin_us, explained, unexplained, seen;
	bool is_full;                  /* out of memory */
};

/* --- the MTA's log */

static bool read_lines(struct run *run, gzFile file)
{
	char line[LINE_SIZE];
	bool is_rest = false;

	while (gzgets(file, line, sizeof line)) {
		struct str text = str_from_c(line);
		bool is_whole = str_ends(text, STR("\n"));

		if (!is_rest && !reconcile_line(&run->reconcile, str_slice(text, 0, text.len - is_whole)))
			return false;
		is_rest = !is_whole;                /* of a line that is too long to be one of the MTA's */
	}
	return true;
}

static bool read_file(struct run *run, struct str path, struct err *err)
{
	gzFile file = gzopen(path.ptr, "rbe");
	int code = Z_OK;

	if (!file)
		return err_errno(err, ERR_INPUT, STR_FMT, STR_ARG(path));
	gzbuffer(file, READ_AHEAD);

	bool ok = read_lines(run, file) || err_memory(err);

	if (ok && gzerror(file, &code) && code != Z_OK)
		ok = err_set(err, ERR_INPUT, STR_FMT ": cut short, or not packed by gzip", STR_ARG(path));
	gzclose(file);
	return ok;
}

/* What programs of C do with a time that has no zone: the one place of this tool that has one. */
static void set_zone(struct str zone)
{
	if (str_eq(zone, STR("jst")))
		setenv("TZ", "JST-9", 1);
	else if (str_eq(zone, STR("utc")))
		setenv("TZ", "UTC0", 1);
	tzset();
}

static bool read_maillogs(struct run *run, struct err *err)
{
	const struct operands *more = &run->tool->operands;

	set_zone(run->want->zone);
	for (size_t i = 0; i < run->want->maillogs.count; i++)
		if (!read_file(run, run->want->maillogs.items[i], err))
			return false;
	for (size_t i = 0; i < more->count; i++)
		if (!read_file(run, more->items[i], err))
			return false;
	return run->reconcile.lines > 0 || err_set(err, ERR_INPUT, "there is no line in it");
}

/* --- the relay log */

/* The earliest of all is where the relay log begins. */
static bool read_record(struct run *run, struct str line, struct found *out)
{
	arena_reset(&run->scratch);
	if (!records_take(&run->scratch, run->class, line, out))
		return false;
	if (out->record.stamp.time_us < run->log_begin_us)
		run->log_begin_us = out->record.stamp.time_us;
	return true;
}

static bool take_record(void *arg, struct str class_name, struct str line)
{
	static const struct str passed[] = { STR_INIT("accepted"), STR_INIT("held") };
	struct run *run = arg;
	struct found found;
	bool has_passed = false;

	(void)class_name;
	if (!read_record(run, line, &found) || found.record.event.queue_id.len == 0)
		return true;
	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
		has_passed |= str_eq(found.record.event.event, passed[i]);
	run->seen++;
	run->is_full = !reconcile_record(&run->reconcile, found.record.event.queue_id, found.record.event.id, found.record.stamp.time_us,
					 has_passed);
	return !run->is_full;
}

static bool take_first(void *arg, struct str class_name, struct str line)
{
	struct found found;

	(void)class_name;
	return !read_record(arg, line, &found);
}

/* All classes but the gate's own: which one mail is recorded in is the tenant's setting. */
static bool read_records(struct run *run, struct err *err)
{
	const struct config *config = run->tool->config;
	int64_t first_day = jst_day(run->reconcile.first_us) - 1, last_day = jst_day(run->reconcile.last_us);

	for (size_t i = 0; i < config->class_count; i++) {
		run->class = &config->classes[i];
		if (str_eq(run->class->name, CLASS_OPS) || str_eq(run->class->name, CLASS_ACTION))
			continue;
		if (!records_walk(run->tool, run->class, INT64_MIN, INT64_MAX, false, take_first, run, err) ||
		    !records_walk(run->tool, run->class, first_day, last_day, false, take_record, run, err))
			return false;
		if (run->is_full)
			return err_memory(err);
	}
	return true;
}

/* --- the answer */

static void write_item(struct run *run, const struct reconcile_item *item)
{
	struct tool *tool = run->tool;

	if (!tool->is_json) {
		table_add(&run->table, (struct str[]){ tool_text(tool, STR_FMT, STR_ARG(item->queue_id)), tool_time(tool, item->time_us),
						       tool_text(tool, STR_FMT STR_FMT STR_FMT, STR_ARG(item->reason),
								 STR_ARG(item->record.len ? str_from_c(tool_word(tool, ": record ")) : STR_EMPTY), STR_ARG(item->record)) });
		return;
	}
	tool_json_line(tool);
	json_object_open(&tool->json);
	json_member_str(&tool->json, "queue_id", item->queue_id);
	json_member_str_opt(&tool->json, "record", item->record);
	tool_json_time(tool, "time", item->time_us);
	json_member_bool(&tool->json, "explained", item->is_explained);
	json_member_str(&tool->json, "reason", item->reason);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static void tell(void *arg, const struct reconcile_item *item)
{
	struct run *run = arg;

	run->explained += item->is_explained;
	run->unexplained += !item->is_explained;
	if (!item->is_explained || run->want->wants_all || run->tool->is_json)
		write_item(run, item);
}

static void conclude(struct run *run)
{
	struct tool *tool = run->tool;
	const struct column columns[] = { { tool_word(tool, "QUEUE ID"), COLUMN_LEFT }, { tool_word(tool, "TIME (JST)"), COLUMN_LEFT },
					  { "", COLUMN_FOLD } };
	const struct reconcile *r = &run->reconcile;

	table_init(&run->table, &tool->arena, columns, 3);
	reconcile_conclude(&run->reconcile, run->log_begin_us, tell, run);
	if (run->unexplained || (run->want->wants_all && run->explained)) {
		tool_table(tool, &run->table);
		tool_print(tool, "\n");
	}
	tool_field(tool, "MTA's log", STR_FMT " lines, %s to %s JST, " STR_FMT " messages", STR_ARG(tool_number(tool, r->lines)),
		   tool_time(tool, r->first_us).ptr, tool_time(tool, r->last_us).ptr, STR_ARG(tool_number(tool, r->active)));
	tool_field(tool, "With record", STR_FMT, STR_ARG(tool_number(tool, r->records)));
	tool_field(tool, "Explained", STR_FMT "%s", STR_ARG(tool_number(tool, run->explained)),
		   run->explained && !run->want->wants_all ? tool_word(tool, " (--all lists them)") : "");
	tool_field(tool, "Unexplained", STR_FMT, STR_ARG(tool_number(tool, run->unexplained)));
}

static int reconcile(struct run *run)
{
	struct tool *tool = run->tool;
	struct err err;

	if (!read_maillogs(run, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (run->reconcile.first_us == 0)
		return tool_fail(tool, TOOL_UNKNOWN,
				 "%s", tool_word(tool, "no line of Postfix or Sendmail about a message: is it the MTA's log?"));
	if (!read_records(run, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log reconcile"),
						     .reason = run->want->purpose, .count = run->seen }))
		return TOOL_UNKNOWN;
	conclude(run);
	return run->unexplained ? TOOL_NO : TOOL_OK;
}

static int run(struct tool *tool, const void *values)
{
	static struct run run;

	run = (struct run){ .tool = tool, .want = values, .log_begin_us = INT64_MAX };
	tool->is_japanese = tool_is_japanese(run.want->lang);
	if (run.want->maillogs.count == 0)
		return tool_usage(tool, "--maillog FILE: the MTA's log");
	if (!tool_config(tool) || !tool_ops(tool))
		return TOOL_UNKNOWN;
	if (tool->only_tenant.len)
		return tool_fail(tool, TOOL_UNKNOWN, "the MTA's log is about all tenants, and you may see one");
	arena_init(&run.scratch, RECORD_LINE_MAX * 8);
	reconcile_init(&run.reconcile, clock_now_us());
	run.reconcile.tongue = tool->is_japanese ? japanese_of : NULL;

	int code = reconcile(&run);

	reconcile_clear(&run.reconcile);
	arena_clear(&run.scratch);
	return code;
}

const struct tool_command command_log_reconcile = {
	.name = "log reconcile",
	.operands = "[FILE...]",
	.operands_max = 1000,
	.summary = "did any mail go round the gate?",
	.about = "Holds the MTA's own log against the relay log. Every queue id that was active in Postfix or Sendmail must have a record; "
		 "what has none is listed with the reason, such as a bounce that the MTA made itself. And every message that the gate let "
		 "pass must be known to that log. Lines that are not there cannot be missed: give it whole days. Queue ids that are soon "
		 "used again are told apart by time; Postfix's enable_long_queue_ids spares the doubt. With --json one line a finding.",
	.options = options,
	.values_size = sizeof(struct reconcile_values),
	.has_json = true,
	.examples = "sekisho log reconcile --maillog /var/log/mail.log.1\n"
		    "sekisho log reconcile --zone utc --maillog /var/log/mail.log.*.gz",
	.ok = "all is explained",
	.no = "something is not",
	.unknown = "a log could not be read",
	.run = run,
};
