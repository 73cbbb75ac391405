/* sekisho witness: on another host, keep the checkpoints of a log, and sign those that continue what was seen. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "milter/record/witness.h"
#include "milter/tool/commands.h"

#define DIR_DEFAULT "/var/lib/sekisho-witness"

struct witness_values {
	struct str dir, key, log_key, name, last;
};
#define WITNESS(field) offsetof(struct witness_values, field)

static const struct option options[] = {
	{ "--log-key", OPTION_TEXT, WITNESS(log_key), "FILE", NULL, "public key of the log, or keys of several" },
	{ "--key", OPTION_TEXT, WITNESS(key), "FILE", NULL, "the witness's own key (`sekisho key new FILE` makes one)" },
	{ "--name", OPTION_TEXT, WITNESS(name), "NAME", NULL, "whose signature it is (default: the host's name)" },
	{ "--dir", OPTION_TEXT, WITNESS(dir), "DIR", NULL, "where checkpoints are kept (default " DIR_DEFAULT ")" },
	{ "--last", OPTION_TEXT, WITNESS(last), "LOG", NULL,
	  "print the last checkpoint of this log, sekisho:NODE/CLASS, and nothing when there is none" },
	{ NULL },
};

static bool find_name(struct tool *tool, struct str given, struct str *out)
{
	char host[256] = "";

	gethostname(host, sizeof host - 1);
	*out = given.ptr ? given : tool_text(tool, "%s", host);
	return entry_is_name(*out) && str_find_byte(*out, '+') == out->len;
}

static int print_last(struct tool *tool, const struct witness *witness, struct str origin)
{
	struct buf note;
	struct err err;

	buf_init(&note, NOTE_MAX * 2);

	bool ok = witness_last(witness, origin, &note, &err);

	if (ok)
		buf_add(&tool->out, buf_view(&note));
	buf_clear(&note);
	return ok ? TOOL_OK : tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
}

static int take(struct tool *tool, const struct witness *witness, FILE *in)
{
	static const enum tool_exit codes[] = { [WITNESS_SIGNED] = TOOL_OK, [WITNESS_KNOWN] = TOOL_OK, [WITNESS_REFUSED] = TOOL_NO,
						[WITNESS_UNPROVED] = TOOL_UNKNOWN };
	enum witness_answer answer;
	struct buf note;
	struct err err;

	buf_init(&note, NOTE_MAX * 2);
	if (!witness_take(witness, in, &answer, &note, &err)) {
		buf_clear(&note);
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	}
	buf_add(&tool->out, buf_view(&note));
	buf_clear(&note);
	return codes[answer] == TOOL_OK ? TOOL_OK : tool_fail(tool, codes[answer], "%s", err.text);
}

static int take_operand(struct tool *tool, const struct witness *witness)
{
	struct str name = tool->operands.count ? tool->operands.items[0] : STR("-");
	FILE *in = str_eq(name, STR("-")) ? stdin : fopen(name.ptr, "re");

	if (!in)
		return tool_fail(tool, TOOL_UNKNOWN, STR_FMT ": %s", STR_ARG(name), strerrordesc_np(errno));

	int code = take(tool, witness, in);

	if (in != stdin)
		fclose(in);
	return code;
}

static int run(struct tool *tool, const void *values)
{
	const struct witness_values *want = values;
	struct sign_publics *logs = arena_new(&tool->arena, struct sign_publics);
	struct witness witness = { .dir = want->dir.ptr ? want->dir.ptr : DIR_DEFAULT, .logs = logs };
	struct sign_key *key = NULL;
	struct err err;

	if (!want->log_key.ptr || (!want->key.ptr && !want->last.ptr))
		return tool_usage(tool, "--log-key and --key say whose checkpoints they are, and who signs");
	if (!find_name(tool, want->name, &witness.name))
		return tool_usage(tool, "a witness has a name without blanks, quotes, slashes and plus signs");
	if (!logs || !sign_publics_load(want->log_key.ptr, logs, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", logs ? err.text : "out of memory");
	if (want->last.ptr)
		return print_last(tool, &witness, want->last);
	if (!sign_key_load(want->key.ptr, &key, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	witness.key = key;

	int code = take_operand(tool, &witness);

	sign_key_free(key);
	return code;
}

const struct tool_command command_witness = {
	.name = "witness",
	.operands = "[FILE]",
	.operands_max = 1,
	.summary = "elsewhere: keep and countersign checkpoints",
	.about = "Runs where nobody who can write the log can reach. Reads what `log checkpoint` prints (from FILE or standard input), keeps "
		 "it, and prints it countersigned (C2SP cosignature/v1) when it continues the last checkpoint that was seen of that log. A "
		 "rollback or a rewritten history is refused, and the checkpoint kept as evidence. The first checkpoint of a log "
		 "is believed. Needs no configuration. What is kept serves `log verify --checkpoint`.",
	.options = options,
	.values_size = sizeof(struct witness_values),
	.examples = "sekisho key new /etc/sekisho-witness.key\n"
		    "sekisho witness --log-key mx1.pub --last sekisho:mx1/relay > last\n"
		    "ssh mx1 sekisho log checkpoint --since - < last > new\n"
		    "sekisho witness --log-key mx1.pub --key /etc/sekisho-witness.key new",
	.ok = "it was countersigned, now or before",
	.no = "refused: the log was rolled back or rewritten",
	.unknown = "no proof that it continues the last one, no checkpoint, or no good signature of the log's key",
	.run = run,
};
