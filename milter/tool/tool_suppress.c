/* sekisho suppress: whom a tenant's mail no longer goes to, and putting that right. */

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/config_schema.h"
#include "milter/mail/address.h"
#include "milter/tool/commands.h"
#include "milter/tool/suppress_file.h"

#define LIST_DEFAULT 50
#define FILE_MAX ((size_t)1 << 30)
#define COMPLAINTS_MAX 10              /* lines of a file that are told one by one */
#define FLUSH_AT ((size_t)1 << 20)

/* The tenant of the first operand, with store (and record) at hand. NULL: said; *out_code is the exit code. */
static const struct tenant *begin(struct tool *tool, enum tool_wish wish, int *out_code)
{
	const struct tenant *tenant;

	*out_code = TOOL_UNKNOWN;
	if (!tool_config(tool))
		return NULL;
	tenant = tool_tenant(tool, tool->operands.items[0]);
	if (!tenant) {
		*out_code = TOOL_NO;
		return NULL;
	}
	return (wish == TOOL_LOOK || tool_ops(tool)) && tool_store(tool, wish) ? tenant : NULL;
}

/* Addresses are a customer's data: class ops hears how many. */
static bool trace(struct tool *tool, const struct tenant *tenant, const char *event, const char *command, struct str reason,
		  int64_t count)
{
	return tool_record(tool, &(struct tool_trace){ .event = str_from_c(event), .command = str_from_c(command),
						       .tenant = tenant->name, .reason = reason, .count = count });
}

static struct str date_of(struct tool *tool, int64_t t_us)
{
	return t_us ? str_slice(tool_time(tool, t_us), 0, JST_DATE_LEN) : STR("-");
}

/* --- list */

struct list {
	struct str source, match;
	int64_t limit;
};

struct listing {
	struct tool *tool;
	const struct list *list;
	struct str match;              /* as the list has it */
	struct table table;
	int64_t count, limit;
	bool is_whole;
};

static bool contains_nocase(struct str text, struct str needle)
{
	for (size_t at = 0; at + needle.len <= text.len; at++)
		if (str_starts_nocase(str_from(text, at), needle))
			return true;
	return false;
}

static bool list_entry(void *arg, const struct suppression *entry)
{
	struct listing *l = arg;
	struct tool *tool = l->tool;

	if ((l->list->source.len && !str_eq(l->list->source, str_from_c(suppress_source_name(entry->source)))) ||
	    (l->list->match.len && !contains_nocase(entry->recipient, l->match)))
		return true;
	if (l->count++ >= l->limit)
		return true;
	if (tool->is_json) {
		suppress_file_json(&tool->json, entry);
		buf_add_byte(&tool->out, '\n');
		json_init(&tool->json, &tool->out);
		return tool->out.len < FLUSH_AT || tool_flush(tool);
	}

	const struct str cells[] = {
		tool_text(tool, STR_FMT, STR_ARG(entry->recipient)), date_of(tool, entry->since_us), date_of(tool, entry->until_us),
		tool_text(tool, "%s%s" STR_FMT, suppress_source_name(entry->source), entry->reason.len ? ": " : "",
			  STR_ARG(entry->reason)),
		entry->scope.len ? tool_text(tool, STR_FMT, STR_ARG(entry->scope)) : STR("all"),
	};

	return table_add(&l->table, cells);
}

static void tell_damaged(struct tool *tool, size_t damaged)
{
	if (damaged)
		tool_fail(tool, TOOL_OK, "%zu entries are damaged; suppress add mends one", damaged);
}

static int run_list(struct tool *tool, const void *values)
{
	static const struct column columns[] = { { "RECIPIENT", COLUMN_FOLD }, { "SINCE", COLUMN_LEFT }, { "UNTIL", COLUMN_LEFT },
						 { "WHY", COLUMN_FOLD }, { "FROM", COLUMN_FOLD } };
	struct listing l = { .tool = tool, .list = values };
	const struct tenant *tenant;
	size_t damaged;
	struct err err;
	int code;

	l.match = tool_spelt(tool, l.list->match);
	tenant = begin(tool, TOOL_LOOK, &code);
	if (!tenant)
		return code;
	l.limit = l.list->limit ? l.list->limit : tool->is_json ? INT64_MAX : LIST_DEFAULT;
	table_init(&l.table, &tool->arena, columns, 5);
	if (!suppress_each(tool->store, tenant->name, list_entry, &l, &damaged, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	tell_damaged(tool, damaged);
	if (l.count && !tool->is_json)
		tool_table(tool, &l.table);
	else if (!tool->is_json)
		tool_print(tool, "Nobody is on the list.\n");
	if (l.count > l.limit)
		tool_print(tool, "... and " STR_FMT " more (--limit)\n", STR_ARG(tool_number(tool, l.count - l.limit)));
	return TOOL_OK;
}

static const struct option list_options[] = {
	{ "--source", OPTION_WORD, offsetof(struct list, source), "SOURCE", "bounce|complaint|unsubscribe|operator",
	  "entries of this source alone" },
	{ "--match", OPTION_TEXT, offsetof(struct list, match), "TEXT", NULL, "recipients that contain this alone" },
	{ "--limit", OPTION_COUNT, offsetof(struct list, limit), "N", NULL, "entries at most (default 50; with --json all)" },
	{ NULL },
};

const struct tool_command command_suppress_list = {
	.name = "suppress list",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "recipients a tenant's mail no longer goes to",
	.about = "Shows whom this tenant's mail no longer goes to: since when, until when, why, and from which of its senders. "
		 "With --json one object a line.",
	.options = list_options,
	.values_size = sizeof(struct list),
	.has_json = true,
	.examples = "sekisho suppress list acme\nsekisho suppress list acme --source complaint --match @example.jp",
	.ok = "shown",
	.no = "there is no such tenant",
	.unknown = "configuration or store cannot be read",
	.run = run_list,
};

/* --- add */

struct add {
	struct str reason;
	int64_t for_us;
	struct str_list senders;
};

static bool join_senders(struct tool *tool, struct str_list senders, struct str *out)
{
	struct str joined = STR_EMPTY;

	for (size_t i = 0; i < senders.count; i++) {
		if (!config_is_address_pattern(senders.items[i]) || str_find_byte(senders.items[i], ' ') < senders.items[i].len)
			return tool_usage(tool, "--sender: expected " CONFIG_ADDRESS_WORDS ", not " STR_FMT,
					  STR_ARG(senders.items[i])) == TOOL_OK;
		joined = tool_text(tool, STR_FMT "%s" STR_FMT, STR_ARG(joined), i ? " " : "",
				   STR_ARG(tool_spelt(tool, senders.items[i])));
	}
	*out = joined;
	return true;
}

/* Of the operands, at the same places, and all of them before any is added and how many that are recorded. NULL: said what is
 * none. */
static const struct str *read_recipients(struct tool *tool)
{
	const struct operands *words = &tool->operands;
	struct str *recipients = arena_array(&tool->arena, words->count, sizeof *recipients);

	for (size_t i = 1; recipients && i < words->count; i++)
		if (!tool_recipient(tool, words->items[i], &recipients[i]))
			return NULL;
	return recipients;
}

static void write_added_json(struct tool *tool, const struct suppression *entry)
{
	tool_json_line(tool);
	suppress_file_json(&tool->json, entry);
	buf_add_byte(&tool->out, '\n');
}

static int run_add(struct tool *tool, const void *values)
{
	const struct add *add = values;
	const struct operands *words = &tool->operands;
	struct suppression entry = { .source = SUPPRESS_OPERATOR, .reason = add->reason, .since_us = clock_now_us() };
	const struct tenant *tenant;
	const struct str *recipients;
	struct err err;
	bool found;
	int code;

	if (!join_senders(tool, add->senders, &entry.scope))
		return TOOL_USAGE;
	tenant = begin(tool, TOOL_CHANGE, &code);
	if (!tenant)
		return code;
	recipients = read_recipients(tool);
	if (!recipients)
		return TOOL_NO;
	entry.by = tool_actor(tool);
	entry.until_us = add->for_us ? entry.since_us + add->for_us : 0;
	tool_warn_letters(tool, entry.reason);
	if (!trace(tool, tenant, "suppressed", "suppress add", add->reason, (int64_t)words->count - 1))
		return TOOL_UNKNOWN;
	for (size_t i = 1; i < words->count; i++) {
		struct suppression stands = entry;      /* what was there before may be stronger */

		stands.recipient = entry.recipient = recipients[i];
		if (!suppress_add(tool->store, tenant->name, &entry, &err) ||
		    !suppress_find(tool->store, tenant->name, entry.recipient, &tool->arena, &stands, &found, &err))
			return tool_fail(tool, err.kind == ERR_INPUT ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
		if (tool->is_json)
			write_added_json(tool, &stands);
		tool_print(tool, STR_FMT ": suppressed%s" STR_FMT "\n", STR_ARG(stands.recipient), stands.until_us ? " until " : "",
			   STR_ARG(stands.until_us ? tool_time(tool, stands.until_us) : STR_EMPTY));
	}
	if (tenant->suppress == SUPPRESS_MODE_OFF)
		tool_print(tool,
			   "The list is off for this tenant: nobody is refused. See suppress in sekisho.yaml(5).\n");
	return TOOL_OK;
}

static const struct option add_options[] = {
	{ "--reason", OPTION_PROSE, offsetof(struct add, reason), "TEXT", NULL, "why, in ASCII; the refused sender reads it" },
	{ "--for", OPTION_DURATION, offsetof(struct add, for_us), "DURATION", NULL, "then it ends (default: it does not)" },
	{ "--sender", OPTION_TEXTS, offsetof(struct add, senders), "PATTERN", NULL,
	  "only mail of this envelope sender: user@domain, @domain, @*.domain" },
	{ NULL },
};

const struct tool_command command_suppress_add = {
	.name = "suppress add",
	.operands = "TENANT RECIPIENT...",
	.operands_min = 2,
	.operands_max = 10000,
	.summary = "let no more of a tenant's mail go to somebody",
	.about = "Puts recipients on the tenant's suppression list; mail to them is refused with 550 5.7.1 from now on. An entry that "
		 "is there is never made weaker. How many were added is recorded in class ops. With --json one object a line, as that of "
		 "suppress list.",
	.options = add_options,
	.values_size = sizeof(struct add),
	.has_json = true,
	.examples = "sekisho suppress add acme neko@example.jp --reason 'asked by phone'\n"
		    "sekisho suppress add acme neko@example.jp --for 90d --sender @news.test",
	.ok = "done",
	.no = "there is no such tenant, or that is no address",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_add,
};

/* --- remove */

struct remove {
	struct str reason;
};

static void write_removed_json(struct tool *tool, struct str recipient, bool was)
{
	tool_json_line(tool);
	json_object_open(&tool->json);
	json_member_str(&tool->json, "recipient", recipient);
	json_member_bool(&tool->json, "removed", was);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static int run_remove(struct tool *tool, const void *values)
{
	const struct remove *remove = values;
	const struct operands *words = &tool->operands;
	const struct tenant *tenant;
	struct str recipient;
	struct err err;
	bool was;
	int code;

	tenant = begin(tool, TOOL_CHANGE, &code);
	if (!tenant)
		return code;
	if (!trace(tool, tenant, "released", "suppress remove", remove->reason, (int64_t)words->count - 1))
		return TOOL_UNKNOWN;
	code = TOOL_OK;
	for (size_t i = 1; i < words->count; i++) {
		if (!address_parse_path(words->items[i], &tool->arena, &recipient, &err) || recipient.len == 0)
			recipient = words->items[i];
		if (!suppress_remove(tool->store, tenant->name, recipient, &was, &err))
			return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
		if (tool->is_json)
			write_removed_json(tool, recipient, was);
		tool_print(tool, STR_FMT ": %s\n", STR_ARG(recipient), was ? "no longer suppressed" : "was not on the list");
		code = was ? code : TOOL_NO;
	}
	return code;
}

static const struct option reason_options[] = {
	{ "--reason", OPTION_PROSE, offsetof(struct remove, reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

const struct tool_command command_suppress_remove = {
	.name = "suppress remove",
	.operands = "TENANT RECIPIENT...",
	.operands_min = 2,
	.operands_max = 10000,
	.summary = "let a tenant's mail go to somebody again",
	.about = "Takes recipients off the tenant's suppression list, whatever put them there. How many is recorded in class ops. "
		 "With --json one object a line.",
	.options = reason_options,
	.values_size = sizeof(struct remove),
	.has_json = true,
	.examples = "sekisho suppress remove acme neko@example.jp --reason 'mailbox is back'",
	.ok = "done",
	.no = "there is no such tenant, or somebody was not on the list",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_remove,
};

/* --- export */

struct export {
	struct str format, reason;
};

struct exporting {
	struct tool *tool;
	bool is_csv;
	int64_t count;
};

static bool count_entry(void *arg, const struct suppression *entry)
{
	(void)entry;
	((struct exporting *)arg)->count++;
	return true;
}

static bool export_entry(void *arg, const struct suppression *entry)
{
	struct exporting *e = arg;
	struct buf *out = &e->tool->out;
	struct json json;

	if (e->is_csv) {
		suppress_file_csv_row(out, entry);
	} else {
		json_init(&json, out);
		suppress_file_json(&json, entry);
		buf_add_byte(out, '\n');
	}
	return out->len < FLUSH_AT || tool_flush(e->tool);
}

static int run_export(struct tool *tool, const void *values)
{
	const struct export *export = values;
	struct exporting e = { .tool = tool, .is_csv = !str_eq(export->format, STR("jsonl")) };
	const struct tenant *tenant;
	size_t damaged;
	struct err err;
	int code;

	tenant = begin(tool, TOOL_LOOK, &code);
	if (!tenant || !tool_ops(tool))
		return code;
	if (!suppress_each(tool->store, tenant->name, count_entry, &e, &damaged, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!trace(tool, tenant, "access", "suppress export", export->reason, e.count))
		return TOOL_UNKNOWN;
	tell_damaged(tool, damaged);
	if (e.is_csv)
		suppress_file_csv_heading(&tool->out);
	if (!suppress_each(tool->store, tenant->name, export_entry, &e, &damaged, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	return TOOL_OK;
}

static const struct option export_options[] = {
	{ "--format", OPTION_WORD, offsetof(struct export, format), "FORMAT", "csv|jsonl", "csv (default) or jsonl" },
	{ "--reason", OPTION_PROSE, offsetof(struct export, reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

const struct tool_command command_suppress_export = {
	.name = "suppress export",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "the whole list, for other programs",
	.about = "Writes the whole list to standard output: CSV with a heading (UTF-8 with a BOM; cells that a spreadsheet would "
		 "take for formulas get a ' in front), or JSON Lines. Leaves an access record in class ops.",
	.options = export_options,
	.values_size = sizeof(struct export),
	.examples = "sekisho suppress export acme > acme.csv\nsekisho suppress export acme --format jsonl | jq .recipient",
	.ok = "written",
	.no = "there is no such tenant",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_export,
};

/* --- import */

struct import {
	struct str reason;
	int64_t for_us;
};

struct importing {
	struct tool *tool;
	const struct tenant *tenant;
	struct str reason;             /* of entries that say nothing */
	int64_t added, refused, lines;
	int64_t foreign;               /* entries with a reason of their own that has other letters than ASCII */
	size_t foreign_line;           /* of the first of them */
	bool has_failed;
};

static void note_letters(struct importing *im, size_t line, struct str reason)
{
	if (!str_is_ascii(reason) && !str_eq(reason, im->reason) && im->foreign++ == 0)
		im->foreign_line = line;
}

static void warn_letters(const struct importing *im)
{
	struct tool *tool = im->tool;

	tool_warn_letters(tool, im->reason);
	if (im->foreign == 1)
		tool_fail(tool, TOOL_OK, "reason of line %zu: " TOOL_ONLY_ASCII, im->foreign_line);
	if (im->foreign > 1)
		tool_fail(tool, TOOL_OK, "reason of line %zu, and of " STR_FMT " more: " TOOL_ONLY_ASCII, im->foreign_line,
			  STR_ARG(tool_number(tool, im->foreign - 1)));
}

static bool import_entry(void *arg, size_t line, const struct suppression *entry, const char *why)
{
	struct importing *im = arg;
	struct err err;

	if (!why && suppress_add(im->tool->store, im->tenant->name, entry, &err)) {
		im->added++;
		note_letters(im, line, entry->reason);
		tool_progress("imported", (int64_t)line, im->lines);
		return true;
	}
	if (!why && err.kind != ERR_INPUT) {
		tool_fail(im->tool, TOOL_UNKNOWN, "line %zu: %s", line, err.text);
		im->has_failed = true;
		return false;
	}
	if (im->refused++ < COMPLAINTS_MAX)
		tool_fail(im->tool, TOOL_NO, "line %zu: %s", line, why ? why : err.text);
	return true;
}

static bool read_file(struct tool *tool, struct str path, struct buf *out, struct err *err)
{
	return str_eq(path, STR("-")) ? io_read_stdin(out, err) : io_read_file(tool_text(tool, STR_FMT, STR_ARG(path)).ptr, out, err);
}

static void write_imported_json(const struct importing *im)
{
	struct json *json = &im->tool->json;

	json_object_open(json);
	json_member_str(json, "tenant", im->tenant->name);
	json_member_i64(json, "imported", im->added);
	json_member_i64(json, "refused", im->refused);
	json_object_close(json);
	buf_add_byte(&im->tool->out, '\n');
}

static int import_text(struct importing *im, const struct import *import, struct str text)
{
	struct tool *tool = im->tool;
	int64_t now_us = clock_now_us();
	const struct suppression fallback = { .source = SUPPRESS_OPERATOR, .reason = import->reason, .by = tool_actor(tool),
					      .since_us = now_us, .until_us = import->for_us ? now_us + import->for_us : 0 };
	struct err err = { 0 };

	im->reason = import->reason;
	for (size_t at = 0; at < text.len; at += str_find_byte(str_from(text, at), '\n') + 1)
		im->lines++;

	bool is_read = suppress_file_read(text, &fallback, import_entry, im, &err);

	tool_progress("imported", im->added, 0);
	if (!is_read)
		tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	warn_letters(im);
	if (!trace(tool, im->tenant, "suppressed", "suppress import", import->reason, im->added))
		return TOOL_UNKNOWN;
	if (tool->is_json)
		write_imported_json(im);
	tool_print(tool, STR_FMT " imported, " STR_FMT " refused\n", STR_ARG(tool_number(tool, im->added)),
		   STR_ARG(tool_number(tool, im->refused)));
	return !is_read || im->has_failed ? TOOL_UNKNOWN : im->refused ? TOOL_NO : TOOL_OK;
}

static int run_import(struct tool *tool, const void *values)
{
	struct importing im = { .tool = tool };
	struct buf text;
	struct err err;
	int code;

	buf_init(&text, FILE_MAX);
	if (!read_file(tool, tool->operands.items[1], &text, &err)) {
		code = tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	} else {
		im.tenant = begin(tool, TOOL_CHANGE, &code);
		if (im.tenant)
			code = import_text(&im, values, buf_view(&text));
	}
	buf_clear(&text);
	return code;
}

static const struct option import_options[] = {
	{ "--reason", OPTION_PROSE, offsetof(struct import, reason), "TEXT", NULL, "why, in ASCII, for entries that say nothing" },
	{ "--for", OPTION_DURATION, offsetof(struct import, for_us), "DURATION", NULL, "for entries without an end" },
	{ NULL },
};

const struct tool_command command_suppress_import = {
	.name = "suppress import",
	.operands = "TENANT FILE",
	.operands_min = 2,
	.operands_max = 2,
	.summary = "add a list from elsewhere",
	.about = "Adds the entries of a file (- is standard input): CSV with a heading that names recipient and perhaps source, "
		 "reason, by, since, until, senders; JSON Lines with these names; or one address a line. Dates and times "
		 "are those that log search takes: 2026-11-21, 2026-11-21 18:04 (JST), RFC 3339; until a date is until its end. Lines "
		 "that are no entry are told and left out, the others are added.",
	.options = import_options,
	.values_size = sizeof(struct import),
	.has_json = true,
	.examples = "sekisho suppress import acme old.csv --reason 'from the old relay' --for 180d",
	.ok = "all added",
	.no = "there is no such tenant, or lines were left out",
	.unknown = "configuration, file, store or record cannot be read or written",
	.run = run_import,
};
