/* sekisho log redact: what one record says is taken out of the log, and the paper that says so. */
#include "milter/erasure.h"
#include "milter/tool/commands.h"

struct redact_values {
	struct str key, reason;
	bool is_dry_run;
};
#define REDACT(field) offsetof(struct redact_values, field)

static const struct option options[] = {
	{ "--operator-key", OPTION_TEXT, REDACT(key), "FILE", NULL,
	  "private key that signs it (default: relay_log.operator_key_file)" },
	{ "--reason", OPTION_PROSE, REDACT(reason), "TEXT", NULL, "why: part of the certificate and of the signed record" },
	{ "--dry-run", OPTION_FLAG, REDACT(is_dry_run), NULL, NULL, "say whether there is such a record, and leave it" },
	{ NULL },
};

static int finish(struct tool *tool, const struct erasure *erasure, const struct erased *erased, const struct buf *certificate)
{
	if (erasure->is_dry_run) {
		tool_print(tool, "The record is there.\n");
		return TOOL_OK;
	}
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log redact"), .reason = erasure->reason,
						     .count = erased->records }))
		return TOOL_UNKNOWN;
	buf_add(&tool->out, buf_view(certificate));
	return TOOL_OK;
}

/* Looked for first: a certificate about nothing would be one. */
static int redact(struct tool *tool, struct erasure *erasure, bool is_dry_run, struct buf *certificate)
{
	struct erased erased;
	struct err err;

	erasure->is_dry_run = true;
	if (!erasure_run(erasure, &erased, certificate, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (erased.records == 0)
		return tool_fail(tool, TOOL_NO, "no record " STR_FMT " is there to be redacted (class ops keeps its own, and "
				 "what a log says of itself stays)",
				 STR_ARG(erasure->id));
	erasure->is_dry_run = is_dry_run;
	if (!is_dry_run && !erasure_run(erasure, &erased, certificate, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s; run it again to finish", err.text);
	return finish(tool, erasure, &erased, certificate);
}

static int run(struct tool *tool, const void *values)
{
	const struct redact_values *want = values;
	struct erasure erasure = { .id = tool->operands.items[0], .tenant = STR_EMPTY,
				   .reason = want->reason.ptr ? want->reason : STR_EMPTY };
	struct sign_key *key = NULL;
	struct buf certificate;
	struct err err;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (erasure.id.len != RECORD_ID_LEN || !erasure_is_line(erasure.id) || !erasure_is_line(erasure.reason))
		return tool_usage(tool, "ID is a record's: %d letters and digits (`sekisho log show`); the reason is one line", RECORD_ID_LEN);
	if (!tool_ops(tool))
		return TOOL_UNKNOWN;
	if (!want->is_dry_run && !erasure_key(tool->config, want->key.ptr ? want->key : STR_EMPTY, &key, &err))
		return tool_fail(tool, err.kind == ERR_CONFIG ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	erasure.config = tool->config;
	erasure.key = key;
	buf_init(&certificate, CERTIFICATE_MAX);

	int code = redact(tool, &erasure, want->is_dry_run, &certificate);

	buf_clear(&certificate);
	sign_key_free(key);
	return code;
}

const struct tool_command command_log_redact = {
	.name = "log redact",
	.operands = "ID",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "take what one record says out of the log",
	.about = "Takes one record out of the log: its number and hash stay, so that the log still verifies, and a signed record says "
		 "that it went. Writes a certificate in English and Japanese to standard output, which `cert verify` checks. Needs "
		 "the operator's key, which is not the key that signs the log. Records of class ops stay, and what a log says of itself: checkpoints, purges, erasures.",
	.options = options,
	.values_size = sizeof(struct redact_values),
	.examples = "sekisho log redact 01KAYP7X3ZJ8Q0W2V5T6R9N4MB > record.cert",
	.ok = "redacted, and the certificate written",
	.no = "there is no such record, or no operator key",
	.unknown = "it could not be done: run it again",
	.run = run,
};
