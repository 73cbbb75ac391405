/* sekisho log checkpoint: the line to keep where nobody who can write the log can reach. */
#include <errno.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/proof.h"
#include "milter/record/reader.h"
#include "milter/record/scan.h"
#include "milter/tool/commands.h"

#define FLUSH_AT ((size_t)1 << 20)

struct checkpoint_values {
	struct str class_name, key, since;
};
#define CHECKPOINT(field) offsetof(struct checkpoint_values, field)

static const struct option options[] = {
	{ "--class", OPTION_TEXT, CHECKPOINT(class_name), "CLASS", NULL, "of this class (default: relay)" },
	{ "--key", OPTION_TEXT, CHECKPOINT(key), "FILE", NULL, "public key (default: key_file of the configuration with .pub)" },
	{ "--since", OPTION_TEXT, CHECKPOINT(since), "FILE", NULL,
	  "and the proof that it continues this earlier one, for `sekisho witness`; - reads it, an empty one means none" },
	{ NULL },
};

static bool read_checkpoint(struct tool *tool, struct str line, struct checkpoint_entry *out)
{
	struct record_link link;
	struct str copy, detail;

	return record_parse_link(line, &link) && str_eq(link.event, STR("checkpoint")) &&
	       arena_copy(&tool->arena, line, &copy) && record_parse_link(copy, &link) &&
	       scan_find(copy, STR("detail"), &detail) && checkpoint_entry_read(detail, link.time, out);
}

static bool find_last(struct tool *tool, struct str class_name, struct checkpoint_entry *out, bool *out_found, struct err *err)
{
	struct str dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(class_name)), line;
	struct record_reader *reader;
	bool is_torn, ok;

	if (!record_reader_open(dir, INT64_MIN, INT64_MAX, true, &reader, err))
		return false;
	while ((ok = record_reader_next(reader, &line, &is_torn, out_found, err)) && *out_found)
		if (!is_torn && read_checkpoint(tool, line, out))
			break;
	record_reader_close(reader);
	return ok;
}

static bool emit(void *arg, struct str text)
{
	struct tool *tool = arg;

	buf_add(&tool->out, text);
	return tool->out.len < FLUSH_AT || tool_flush(tool);
}

/* What leads from the earlier checkpoint to this one. A log that ends before it has no proof: the witness sees that. */
static bool write_proof(struct tool *tool, struct str file, struct str class_name, const struct sign_publics *publics,
			const struct checkpoint_entry *checkpoint, struct err *err)
{
	struct str dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(class_name));
	struct buf text;
	struct note old;

	buf_init(&text, NOTE_MAX);

	bool ok = str_eq(file, STR("-")) ? io_read_file("/dev/stdin", &text, err) : io_read_file(file.ptr, &text, err);

	if (ok && text.len)
		ok = note_read(buf_view(&text), publics, &old, err) &&
		     (old.head >= checkpoint->head || proof_write(dir, &old, checkpoint->head, emit, tool, err));
	buf_clear(&text);
	return ok || err_wrap(err, "--since " STR_FMT, STR_ARG(file));
}

static int run(struct tool *tool, const void *values)
{
	const struct checkpoint_values *want = values;
	struct str class_name = want->class_name.ptr ? want->class_name : CLASS_RELAY;
	struct sign_publics *publics = arena_new(&tool->arena, struct sign_publics);
	const struct sign_public *public;
	struct checkpoint_entry checkpoint;
	struct buf text;
	struct str note;
	struct err err;
	bool found = false;

	if (!publics || !tool_config(tool))
		return TOOL_UNKNOWN;
	/* A class of former days still has its log. */
	if (!config_find_class(tool->config, class_name) &&
	    access(tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(class_name)).ptr, F_OK) != 0 &&
	    errno == ENOENT)
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(class_name));
	if (!want->key.ptr && tool->config->log_key_file.len == 0)
		return tool_fail(tool, TOOL_NO, "relay_log.key_file is none: nothing is signed here, and there are no checkpoints");

	struct str key = want->key.ptr ? tool_text(tool, STR_FMT, STR_ARG(want->key))
				       : tool_text(tool, STR_FMT ".pub", STR_ARG(tool->config->log_key_file));

	if (!sign_publics_load(key.ptr, publics, &err) || !find_last(tool, class_name, &checkpoint, &found, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!found)
		return tool_fail(tool, TOOL_NO, "class " STR_FMT " has no checkpoint", STR_ARG(class_name));
	public = sign_publics_find(publics, checkpoint.key);
	if (!public)
		return tool_fail(tool, TOOL_UNKNOWN, "the last checkpoint was signed with key " STR_FMT ", which is not in " STR_FMT,
				 STR_ARG(checkpoint.key), STR_ARG(key));
	if (want->since.ptr && !write_proof(tool, want->since, class_name, publics, &checkpoint, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	buf_init(&text, NOTE_MAX);
	note_write(&checkpoint, public, &text);
	bool ok = buf_done(&text, &note, &err);

	if (ok)
		buf_add(&tool->out, note);
	buf_clear(&text);
	return ok ? TOOL_OK : tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
}

const struct tool_command command_log_checkpoint = {
	.name = "log checkpoint",
	.operands = "",
	.summary = "print the last checkpoint, to keep elsewhere",
	.about = "Prints the log's last checkpoint as a signed note (C2SP). Mailed, printed or kept on another host each day, it lets "
		 "`log verify --checkpoint` show whether anything up to it was altered or taken away since, even by somebody "
		 "who holds the log key. It holds no customer's data.",
	.options = options,
	.values_size = sizeof(struct checkpoint_values),
	.examples = "sekisho log checkpoint | mail -s \"log of $(hostname)\" auditor@example.jp",
	.ok = "printed",
	.no = "there is no checkpoint yet, or no such class",
	.unknown = "the log or the key could not be read",
	.run = run,
};
