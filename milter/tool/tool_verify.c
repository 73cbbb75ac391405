/* sekisho log verify: is the relay log what was written, and what does that prove? */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/classes.h"
#include "milter/erasure.h"
#include "milter/record/export.h"
#include "milter/tool/commands.h"
#include "milter/tool/japanese.h"

struct verify_values {
	struct str class_name, key, operator_key, witness, level, keep, node, tenant, lang;
	struct option_time since, until;
	bool wants_retention, no_personal_data;
	struct str_list checkpoints;
};
#define VERIFY(field) offsetof(struct verify_values, field)

static const struct option options[] = {
	{ "--class", OPTION_TEXT, VERIFY(class_name), "CLASS", NULL, "this class alone (default: all that are there, or should be)" },
	{ "--key", OPTION_TEXT, VERIFY(key), "FILE", NULL,
	  "public key, or keys where they were changed (default: key_file of the configuration with .pub)" },
	{ "--operator-key", OPTION_TEXT, VERIFY(operator_key), "FILE", NULL,
	  "public key of who may take records out (default: operator_key_file of the configuration with .pub, unless --key; without "
	  "one, any key given with --key)" },
	{ "--level", OPTION_WORD, VERIFY(level), "LEVEL", "files|records|content",
	  "files: is a file missing, is a signature wrong; records: also every record's chain value (default); content: also what "
	  "each record holds, and each tenant's own numbers" },
	{ "--since", OPTION_SINCE, VERIFY(since), "DAY", NULL, "from this JST day on" },
	{ "--until", OPTION_UNTIL, VERIFY(until), "DAY", NULL, "up to this JST day" },
	{ "--retention", OPTION_FLAG, VERIFY(wants_retention), NULL, NULL,
	  "also: did anything go too early, or is anything there too long?" },
	{ "--keep", OPTION_TEXT, VERIFY(keep), "60d|1y", NULL, "also: --retention by this promise (default: the configuration's)" },
	{ "--checkpoint", OPTION_TEXTS, VERIFY(checkpoints), "FILE", NULL,
	  "also: does the log agree with this checkpoint, kept elsewhere? (class relay, unless --class; may be repeated)" },
	{ "--witness", OPTION_TEXT, VERIFY(witness), "FILE", NULL,
	  "also: did this witness countersign each --checkpoint? (its public key, or those of several, of whom one must have)" },
	{ "--no-personal-data", OPTION_FLAG, VERIFY(no_personal_data), NULL, NULL,
	  "also: does any line hold a customer's data? (class ops, unless --class)" },
	{ "--node", OPTION_TEXT, VERIFY(node), "NAME", NULL, "whose DIR it must be" },
	{ "--tenant", OPTION_TEXT, VERIFY(tenant), "NAME", NULL, "whose EXPORT it must be" },
	TOOL_LANG_OPTION(VERIFY(lang)),
	{ NULL },
};

static const char *const result_names[] = { [VERIFY_OK] = "intact", [VERIFY_TAMPERED] = "ALTERED",
					    [VERIFY_RETENTION] = "RETENTION BROKEN", [VERIFY_UNKNOWN] = "CANNOT TELL" };

static void on_progress(void *arg, int64_t done, int64_t total)
{
	if (done < total)
		tool_progress(tool_word(arg, "verifying"), done, total);
}

/* --- a person's answer */

static void write_range(struct tool *tool, const struct verify_report *report)
{
	tool_field(tool, "Records", STR_FMT " in %lld file%s, seq %lld to %lld, " STR_FMT " bytes",
		   STR_ARG(tool_number(tool, report->records)), (long long)report->files, report->files == 1 ? "" : "s",
		   (long long)report->first_seq, (long long)report->last_seq, STR_ARG(tool_number(tool, report->bytes)));
	if (report->records)
		tool_field(tool, "Time", STR_FMT " to " STR_FMT " JST", STR_ARG(tool_time(tool, report->first_time_us)),
			   STR_ARG(tool_time(tool, report->last_time_us)));
	tool_field(tool, "Signed", "%lld checkpoint%s, the last at seq %lld; %lld record%s since", (long long)report->checkpoints,
		   report->checkpoints == 1 ? "" : "s", (long long)report->last_checkpoint_seq,
		   (long long)report->unsigned_records, report->unsigned_records == 1 ? "" : "s");
	if (report->outside)
		tool_field(tool, "Agrees", "with %lld checkpoint%s kept elsewhere, up to seq %lld", (long long)report->outside,
			   report->outside == 1 ? "" : "s", (long long)report->outside_seq);
	if (report->witnessed)
		tool_field(tool, "Witnessed", "up to seq %lld, as " STR_FMT " saw it at " STR_FMT " JST", (long long)report->witnessed_seq,
			   STR_ARG(report->witness), STR_ARG(tool_time(tool, report->witnessed_us)));
	if (report->erased || report->recovered || report->restored)
		tool_field(tool, "Besides", "%lld erased, %lld times recovered after a crash, %lld times restored from a backup",
			   (long long)report->erased, (long long)report->recovered, (long long)report->restored);
}

static void write_finding(struct tool *tool, const struct verify_finding *finding)
{
	static const char *const marks[] = { [VERIFY_OK] = "Note", [VERIFY_TAMPERED] = "Altered",
					     [VERIFY_RETENTION] = "Retention", [VERIFY_UNKNOWN] = "Not known" };
	struct str place = finding->offset >= 0 ? tool_text(tool, tool_word(tool, STR_FMT " at %lld: "), STR_ARG(finding->file),
							    (long long)finding->offset)
			 : finding->file.len ? tool_text(tool, tool_word(tool, STR_FMT ": "), STR_ARG(finding->file)) : STR_EMPTY;

	tool_field(tool, marks[finding->result], STR_FMT STR_FMT, STR_ARG(place), STR_ARG(finding->text));
}

static void write_proved(struct tool *tool, const struct verify_report *report, enum verify_level level)
{
	if (level == VERIFY_FILES)
		tool_field(tool, "Proved", "no file is missing, each continues the one before, and all signatures are right");
	else if (report->checkpoints)
		tool_field(tool, "Proved", "the records up to seq %lld are those that the key's holder committed, in this order, none "
			   "altered, none missing%s", (long long)report->last_checkpoint_seq,
			   report->is_from_start ? "" : tool_word(tool, " between them"));
	else
		tool_field(tool, "Proved", "the records follow from one another, none altered or missing between them; nobody signed");
	if (level == VERIFY_CONTENT)
		tool_field(tool, "", "each is what a record is, and no tenant misses one of its own");
	if (report->witnessed)
		tool_field(tool, "", "nobody altered or took away a record up to seq %lld since the witness saw it, whoever holds whatever "
			   "key of this log", (long long)report->witnessed_seq);
	else if (report->outside)
		tool_field(tool, "", "nobody altered or took away a record up to seq %lld since that checkpoint was kept, not even who holds "
			   "the log key", (long long)report->outside_seq);
}

/* A log that was cut back to a checkpoint looks like one that ended there. */
static void write_not_proved(struct tool *tool, const struct verify_report *report, enum verify_level level)
{
	const char *name = "Not proved";

	if (level == VERIFY_FILES) {
		tool_field(tool, name, "that no record was altered: --level records recomputes each");
		name = "";
	}
	tool_field(tool, name, "that nothing came after seq %lld: an end that was taken away, or written anew by who holds the log key, "
		   "shows only against a checkpoint kept elsewhere", (long long)report->last_seq);
	tool_field(tool, "", "that what a record says is true, that no mail went round the milter, that nobody copied data before its "
		   "erasure");
}

static void write_proof(struct tool *tool, const struct verify_report *report, enum verify_level level)
{
	if (report->result != VERIFY_OK)
		return;
	write_proved(tool, report, level);
	write_not_proved(tool, report, level);
}

static void write_person(struct tool *tool, struct str class_name, const struct verify_report *report, enum verify_level level)
{
	size_t shown = report->finding_count < VERIFY_FINDINGS_MAX ? report->finding_count : VERIFY_FINDINGS_MAX;

	tool_print(tool, "%s" STR_FMT ": %s\n", tool->out.len ? "\n" : "", STR_ARG(class_name), tool_word(tool, result_names[report->result]));
	write_range(tool, report);
	for (size_t i = 0; i < shown; i++)
		write_finding(tool, &report->findings[i]);
	if (report->finding_count > shown)
		tool_print(tool, "... and %zu more findings\n", report->finding_count - shown);
	write_proof(tool, report, level);
}

/* --- a program's answer */

static void write_findings(struct json *json, const struct verify_report *report)
{
	json_array_open(json);
	for (size_t i = 0; i < report->finding_count && i < VERIFY_FINDINGS_MAX; i++) {
		const struct verify_finding *finding = &report->findings[i];

		json_object_open(json);
		json_member_str(json, "result", str_from_c(verify_result_name(finding->result)));
		json_member_str_opt(json, "file", finding->file);
		if (finding->offset >= 0)
			json_member_i64(json, "offset", finding->offset);
		if (finding->seq >= 0)
			json_member_i64(json, "seq", finding->seq);
		json_member_str(json, "text", finding->text);
		json_object_close(json);
	}
	json_array_close(json);
}

static void write_json(struct tool *tool, struct str class_name, const struct verify_report *report, enum verify_level level)
{
	static const char *const levels[] = { "files", "records", "content" };
	struct json *json = &tool->json;

	tool_json_line(tool);
	json_object_open(json);
	json_member_str(json, "class", class_name);
	json_member_str(json, "result", str_from_c(verify_result_name(report->result)));
	json_member_str(json, "level", str_from_c(levels[level - VERIFY_FILES]));
	json_member_i64(json, "files", report->files);
	json_member_i64(json, "records", report->records);
	json_member_i64(json, "bytes", report->bytes);
	json_member_i64(json, "first_seq", report->first_seq);
	json_member_i64(json, "last_seq", report->last_seq);
	tool_json_time(tool, "first_time", report->first_time_us);
	tool_json_time(tool, "last_time", report->last_time_us);
	json_member_i64(json, "checkpoints", report->checkpoints);
	json_member_i64(json, "last_checkpoint_seq", report->last_checkpoint_seq);
	json_member_i64(json, "unsigned_records", report->unsigned_records);
	json_member_i64(json, "erased", report->erased);
	json_member_i64(json, "restored", report->restored);
	json_member_i64(json, "recovered", report->recovered);
	json_member_i64(json, "purged", report->purged);
	json_member_i64(json, "outside_checkpoints", report->outside);
	if (report->outside)
		json_member_i64(json, "outside_seq", report->outside_seq);
	if (report->witnessed) {
		json_member_i64(json, "witnessed_seq", report->witnessed_seq);
		tool_json_time(tool, "witnessed_time", report->witnessed_us);
		json_member_str(json, "witness", report->witness);
	}
	json_member_bool(json, "from_start", report->is_from_start);
	json_key(json, "findings");
	write_findings(json, report);
	json_object_close(json);
	buf_add_byte(&tool->out, '\n');
}

/* --- running */

/* The public half stands beside the private one; only its owner can read that. */
static struct str default_key(struct tool *tool)
{
	struct str file = tool->config->log_key_file;

	return file.len ? tool_text(tool, STR_FMT ".pub", STR_ARG(file)) : STR_EMPTY;
}

/* Said on stderr when there is none. */
static bool has_key(struct tool *tool, const struct verify_values *want)
{
	if (want->key.ptr)
		return true;
	if (!tool_config(tool))
		return false;
	if (!tool->config->log_key_file.len)
		tool_fail(tool, TOOL_UNKNOWN, "relay_log.key_file is none: nothing is signed here; "
			  "of another's log --key names the public key");
	return tool->config->log_key_file.len > 0;
}

static struct str operator_key(struct tool *tool, const struct verify_values *want)
{
	char path[PATH_MAX];

	if (want->operator_key.ptr || want->key.ptr)
		return want->operator_key.ptr ? want->operator_key : STR_EMPTY;
	return erasure_public(tool->config, path) ? tool_text(tool, "%s", path) : STR_EMPTY;
}

static verify_tongue *tongue(const struct tool *tool)
{
	return tool->is_japanese ? japanese_of : NULL;
}

static enum verify_level level_of(const struct verify_values *want)
{
	return str_eq(want->level, STR("files")) ? VERIFY_FILES : str_eq(want->level, STR("content")) ? VERIFY_CONTENT : VERIFY_RECORDS;
}

/* A class directory; node empty: whoever's it is, for the chain holds its files together. */
static enum verify_result verify_dir(struct tool *tool, const struct verify_values *want, struct str dir, struct str class_name,
				     struct str node, struct retention keep)
{
	static struct verify_report report;
	const struct verify_options verify = {
		.dir = dir,
		.public_key_file = want->key.ptr ? want->key : default_key(tool),
		.operator_key_file = operator_key(tool, want),
		.node = node,
		.class_name = class_name,
		.level = level_of(want),
		.first_day = want->since.is_given ? jst_day(want->since.us) : INT64_MIN,
		.last_day = want->until.is_given ? jst_day(want->until.us) : INT64_MAX,
		.checkpoint_files = want->checkpoints.items,
		.checkpoint_file_count = want->checkpoints.count,
		.witness_key_file = want->witness.ptr ? want->witness : STR_EMPTY,
		.no_personal_data = want->no_personal_data,
		.has_retention = want->wants_retention || want->keep.ptr,
		.keep = keep,
		.threads = (int)sysconf(_SC_NPROCESSORS_ONLN),
		.progress = on_progress,
		.progress_arg = tool,
		.tongue = tongue(tool),
	};
	enum verify_result result = VERIFY_UNKNOWN;
	struct err err;

	if (!record_verify(&verify, &report, &err)) {
		tool_fail(tool, TOOL_UNKNOWN, "class " STR_FMT ": %s", STR_ARG(class_name), err.text);
	} else {
		result = report.result;
		(tool->is_json ? write_json : write_person)(tool, class_name, &report, verify.level);
	}
	verify_report_clear(&report);
	return result;
}

/* Asked for before: a promise that cannot be read is a wrong command line. */
static struct retention promise(const struct verify_values *want, struct retention configured)
{
	retention_parse(want->keep, &configured);
	return configured;
}

static enum verify_result verify_class(struct tool *tool, const struct verify_values *want, const struct record_class *class)
{
	const struct config *config = tool->config;

	return verify_dir(tool, want, tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(class->name)), class->name,
			  config->node, promise(want, class->keep));
}

/* Checkpoints are of one class, and only one class promises to hold no customer's data. */
static struct str only_class(const struct verify_values *want)
{
	if (want->class_name.ptr)
		return want->class_name;
	if (want->checkpoints.count)
		return CLASS_RELAY;
	return want->no_personal_data ? CLASS_OPS : (struct str){ 0 };
}

/* A file that log export wrote needs no configuration when the key is named. */
static int verify_export(struct tool *tool, const struct verify_values *want)
{
	static struct verify_report report;
	struct str file = tool->operands.items[0], key = want->key;
	int code;
	struct err err;

	if (want->wants_retention || want->keep.ptr || want->checkpoints.count || want->no_personal_data || want->level.ptr)
		return tool_usage(tool, "an EXPORT is checked by its trailer; that option is about a log");
	if (!key.ptr)
		key = default_key(tool);
	if (!record_verify_export(file.ptr, key, want->tenant, tongue(tool), &report, &err)) {
		code = tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	} else {
		code = (int)report.result;
		(tool->is_json ? write_json : write_person)(tool, file, &report, VERIFY_RECORDS);
	}
	verify_report_clear(&report);
	return code;
}

/* A copy of a class directory, far from the host that wrote it and from its configuration. */
static int verify_copy(struct tool *tool, const struct verify_values *want)
{
	struct str dir = tool->operands.items[0], parent, name;

	while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
		dir.len--;
	if (want->wants_retention && !want->keep.ptr)
		return tool_usage(tool, "how long was promised? --keep 60d says so");
	if (want->tenant.ptr)
		return tool_usage(tool, "--tenant is about an EXPORT");
	if (!str_cut_last(dir, '/', &parent, &name))
		name = dir;
	return (int)verify_dir(tool, want, dir, want->class_name.ptr ? want->class_name : name, want->node,
			       promise(want, (struct retention){ 0 }));
}

static int verify_operand(struct tool *tool, const struct verify_values *want)
{
	struct stat st;

	if (!has_key(tool, want))
		return TOOL_UNKNOWN;
	if (stat(tool->operands.items[0].ptr, &st) != 0)
		return tool_fail(tool, TOOL_UNKNOWN, "%s: %s", tool->operands.items[0].ptr, strerror(errno));
	return S_ISDIR(st.st_mode) ? verify_copy(tool, want) : verify_export(tool, want);
}

/* What comes of one class after another. */
struct classes_run {
	struct tool *tool;
	const struct verify_values *want;
	enum verify_result result;
	size_t seen;
};

/* Nobody promises to keep its records: what is there is there too long. */
static bool verify_former(void *arg, struct str name, struct err *err)
{
	struct classes_run *run = arg;
	const struct str only = only_class(run->want);

	(void)err;
	if ((only.ptr && !str_eq(name, only)) || classes_is_copy(run->tool->config, name))
		return true;
	run->seen++;
	run->result = verify_worse(run->result, verify_class(run->tool, run->want, &(struct record_class){ .name = name }));
	return true;
}

/* Each class of the configuration that was asked for and is there, or should be; then the former ones. */
static int verify_log(struct tool *tool, const struct verify_values *want)
{
	const struct config *config = tool->config;
	const struct str only = only_class(want);
	struct classes_run run = { tool, want, VERIFY_OK, 0 };
	struct err err;

	for (size_t i = 0; i < config->class_count; i++) {
		const struct record_class *class = &config->classes[i];

		if (only.ptr ? !str_eq(class->name, only) : !classes_is_due(config, class->name))
			continue;
		run.seen++;
		run.result = verify_worse(run.result, verify_class(tool, want, class));
	}
	if (!classes_former(config, verify_former, &run, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (run.seen)
		return (int)run.result;
	if (only.ptr)
		return tool_fail(tool, TOOL_UNKNOWN, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(only));
	return tool_fail(tool, TOOL_UNKNOWN, STR_FMT " holds no records", STR_ARG(config->log_dir));
}

static int run(struct tool *tool, const void *values)
{
	const struct verify_values *want = values;
	struct retention keep;

	tool->is_japanese = tool_is_japanese(want->lang);
	if (want->witness.ptr && !want->checkpoints.count)
		return tool_usage(tool, "--witness is about a --checkpoint: the note that the witness countersigned");
	if (want->keep.ptr && !retention_parse(want->keep, &keep))
		return tool_usage(tool, "--keep takes whole days or years, such as 60d or 1y");
	if (tool->operands.count)
		return verify_operand(tool, want);
	if (want->tenant.ptr || want->node.ptr)
		return tool_usage(tool, "--tenant is about an EXPORT, --node about a DIR: the log is one chain for all tenants");
	if (!has_key(tool, want) || !tool_config(tool))
		return TOOL_UNKNOWN;
	return verify_log(tool, want);
}

const struct tool_command command_log_verify = {
	.name = "log verify",
	.operands = "[EXPORT | DIR]",
	.operands_max = 1,
	.summary = "is the log as it was written? none altered, none missing",
	.about = "Recomputes the chain over every record, checks the signatures of its checkpoints, and says what that proves and "
		 "what it does not. Needs the public key alone. EXPORT is a file that `log export` wrote, DIR a copy of the directory "
		 "of one class; with --key neither needs the configuration. With --json one line a class. Its exit codes are its "
		 "own.",
	.options = options,
	.values_size = sizeof(struct verify_values),
	.has_json = true,
	.examples = "sekisho log verify --retention\n"
		    "sekisho log verify --key log.key.pub --keep 60d --level content /media/relay\n"
		    "sekisho log verify --checkpoint last.note --witness witness.key.pub\n"
		    "sekisho log verify --key log.key.pub --tenant acme acme.jsonl",
	.ok = "intact",
	.no = "records were altered, or are missing",
	.usage = "records went too early or too late, or hold what they must not",
	.unknown = "cannot tell: no key, files that cannot be read, or a wrong command line",
	.run = run,
};
