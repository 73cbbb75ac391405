/* sekisho bounce classify: for whom returned mail failed, and why. */
#include <unistd.h>

#include "config/base/io.h"
#include "milter/mail/outcome.h"
#include "milter/returned.h"
#include "milter/tool/commands.h"
#include "milter/tool/rules.h"

#define INPUT_MAX ((size_t)1 << 30)
#define MESSAGE_MEMORY ((size_t)16 << 20)
#define FLUSH_AT ((size_t)1 << 20)

struct values {
	struct str rules;
	bool explains;
};

struct classifying {
	struct tool *tool;
	const struct values *values;
	struct report_reader *reader;
	struct bounce_rules *rules;
	struct arena arena;            /* one message */
	struct str file;
	size_t message;                /* of an mbox, from 1; 0: the file is one message */
	size_t found;
};

/* One line of answer: who, what became of it, why, and how that is known. */
struct answer {
	struct str file, recipient, action, mta, diagnostic, shape, evidence;
	const struct bounce_verdict *verdict;
};

static void answer_explain(struct tool *tool, const struct answer *answer)
{
	const struct bounce_verdict *verdict = answer->verdict;

	json_member_str_opt(&tool->json, "shape", answer->shape);
	json_member_str_opt(&tool->json, "evidence", str_trim(answer->evidence));
	json_member_str(&tool->json, "rule", verdict->rule ? verdict->rule->id : STR_EMPTY);
	json_member_str(&tool->json, "matched", verdict->matched);
	json_member_str_opt(&tool->json, "command", str_from_c(smtp_command_name(verdict->command)));
	json_member_i64_opt(&tool->json, "reply", verdict->reply);
}

static void answer_json(const struct classifying *c, const struct answer *answer)
{
	struct json *json = &c->tool->json;

	json_object_open(json);
	json_member_str(json, "file", answer->file);
	if (c->message)
		json_member_i64(json, "message", (int64_t)c->message);
	json_member_str(json, "recipient", answer->recipient);
	json_member_str(json, "action", answer->action);
	json_member_str(json, "status", answer->verdict->status);
	json_member_str(json, "reason", str_from_c(bounce_reason_name(answer->verdict->reason)));
	json_member_bool(json, "hard", answer->verdict->is_hard);
	json_member_str(json, "mta", answer->mta);
	json_member_str(json, "diagnostic", answer->diagnostic);
	if (c->values->explains)
		answer_explain(c->tool, answer);
	json_object_close(json);
	buf_add_byte(&c->tool->out, '\n');
	json_init(json, &c->tool->out);        /* the next line is a value of its own */
}

static void answer_print(const struct classifying *c, const struct answer *answer)
{
	const struct bounce_verdict *verdict = answer->verdict;

	tool_print(c->tool, STR_FMT ": " STR_FMT " %s (%s) " STR_FMT "\n", STR_ARG(answer->file), STR_ARG(answer->recipient),
		   bounce_reason_name(verdict->reason), verdict->is_hard ? "hard" : "soft", STR_ARG(verdict->status));
	if (!c->values->explains)
		return;
	tool_field(c->tool, "  known by", STR_FMT " \"" STR_FMT "\"", STR_ARG(answer->shape), STR_ARG(str_trim(answer->evidence)));
	tool_field(c->tool, "  rule", STR_FMT, STR_ARG(verdict->rule ? verdict->rule->id : STR("none")));
	tool_field(c->tool, "  matched", "\"" STR_FMT "\"", STR_ARG(verdict->matched));
	tool_field(c->tool, "  said", STR_FMT, STR_ARG(answer->diagnostic));
}

static void answer_give(struct classifying *c, const struct answer *answer)
{
	c->found++;
	if (c->tool->is_json)
		answer_json(c, answer);
	else
		answer_print(c, answer);
	if (c->tool->out.len > FLUSH_AT)
		tool_flush(c->tool);
}

/* A diagnostic in one line, without what joined it to the address before it. */
static struct str one_line(struct arena *arena, struct str s)
{
	char *to = arena_alloc(arena, s.len + 1);
	size_t n = 0;

	if (!to)
		return STR_EMPTY;
	s = str_trim(str_slice(s, 0, 2000));
	while (s.len && s.ptr[0] && strchr(":;,.>)] \t\r\n", s.ptr[0]))
		s = str_from(s, 1);
	for (size_t i = 0; i < s.len; i++) {
		bool is_blank = s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '\r' || s.ptr[i] == '\n';

		if (!is_blank)
			to[n++] = s.ptr[i];
		else if (n && to[n - 1] != ' ')
			to[n++] = ' ';
	}
	return str_of(to, n);
}

static struct str action_word(const struct returned *returned, size_t at)
{
	const struct report *report = &returned->report;

	if (report->kind == REPORT_COMPLAINT)
		return STR_EMPTY;
	return returned_is_delay(report, &report->recipients[at]) ? STR("delayed") : STR("failed");
}

static bool message_classify(struct classifying *c, struct str message)
{
	struct returned returned;
	struct err err;
	bool ok = returned_judge(c->reader, c->rules, message, false, &c->arena, &returned, &err);

	for (size_t i = 0; ok && i < returned.report.count; i++) {
		const struct report_recipient *it = &returned.report.recipients[i];
		const struct bounce_verdict *verdict = &returned.verdicts[i];
		struct answer answer = {
			.file = c->file, .recipient = it->address, .verdict = verdict, .action = action_word(&returned, i),
			.mta = it->remote.len ? it->remote : returned.report.reporter,
			.diagnostic = one_line(&c->arena, verdict->said),
			.shape = str_from_c(returned.report.shape), .evidence = returned.report.evidence,
		};

		if (verdict->reason != BOUNCE_DELIVERED)
			answer_give(c, &answer);
	}
	if (!ok)
		tool_fail(c->tool, TOOL_UNKNOWN, STR_FMT ": %s", STR_ARG(c->file), err.text);
	arena_reset(&c->arena);
	return ok;
}

/* One line of an MTA's log. */
static void log_line_classify(struct classifying *c, struct str line)
{
	struct outcome outcome;
	struct bounce_verdict verdict;

	if (!outcome_read(line, &outcome) ||
	    (outcome.kind != OUTCOME_FAILED && outcome.kind != OUTCOME_DELAYED && outcome.kind != OUTCOME_EXPIRED))
		return;

	struct bounce_facts facts = {
		.recipient = outcome.recipient, .diagnostic = outcome.reply, .text = outcome.said, .status = outcome.status,
		.remote = outcome.remote, .is_delay = outcome.kind != OUTCOME_FAILED,
	};
	struct answer answer = {
		.file = outcome.queue_id, .recipient = outcome.recipient, .mta = outcome.remote, .verdict = &verdict,
		.action = outcome.kind == OUTCOME_DELAYED ? STR("delayed") : STR("failed"), .shape = STR("log"),
		.evidence = outcome.program, .diagnostic = one_line(&c->arena, outcome.reply.len ? outcome.reply : outcome.said),
	};

	do {
		facts.recipient = answer.recipient;
		bounce_judge(c->rules, &facts, &c->arena, &verdict);
		answer_give(c, &answer);
	} while (outcome_next(&outcome.more, &answer.recipient));
}

static void log_classify(struct classifying *c, struct str text)
{
	struct str line;

	while (str_next(&text, '\n', &line)) {
		log_line_classify(c, line);
		arena_reset(&c->arena);
	}
}

/* "From a@b Sat Oct  4 08:00:07 2025" behind an empty line. */
static size_t mbox_next(struct str text, size_t from)
{
	while (from < text.len) {
		size_t at = from + str_find(str_from(text, from), STR("\n\nFrom "));
		struct str line = str_slice(str_from(text, at + 2), 0, 200);

		if (at >= text.len)
			return text.len;
		line = str_slice(line, 0, str_find_byte(line, '\n'));
		if (str_find_byte(line, ':') < line.len)
			return at + 2;
		from = at + 2;
	}
	return text.len;
}

static bool mbox_classify(struct classifying *c, struct str text)
{
	size_t at = 0;
	bool ok = true;

	while (at < text.len) {
		size_t next = mbox_next(text, at + 1);

		c->message += next < text.len || c->message ? 1 : 0;
		ok &= message_classify(c, str_slice(text, at, next - at));
		tool_progress("messages", (int64_t)next, (int64_t)text.len);
		at = next;
	}
	tool_progress("messages", 0, 0);
	return ok;
}

/* Bare CR (old Macintosh) and CRLF become LF, in place. */
static struct str line_ends_plain(struct buf *input)
{
	size_t n = 0;
	struct str text = buf_view(input);

	if (str_find_byte(text, '\r') == text.len)
		return text;
	for (size_t i = 0; i < input->len; i++) {
		char c = input->ptr[i];

		if (c == '\r' && i + 1 < input->len && input->ptr[i + 1] == '\n')
			continue;
		input->ptr[n++] = c == '\r' ? '\n' : c;
	}
	input->len = n;
	return buf_view(input);
}

static bool text_classify(struct classifying *c, struct str text)
{
	c->message = 0;
	if (outcome_is_log(str_slice(text, 0, str_find_byte(text, '\n')))) {
		log_classify(c, text);
		return true;
	}
	if (str_starts(text, STR("From ")))
		return mbox_classify(c, text);
	return message_classify(c, text);
}

static struct str base_name(struct str path)
{
	struct str folder, name;

	return str_cut_last(path, '/', &folder, &name) ? name : path;
}

static bool file_classify(struct classifying *c, struct str path)
{
	size_t found = c->found;
	struct buf input;
	struct err err;
	bool is_stdin = str_eq(path, STR("-")), ok;

	buf_init(&input, INPUT_MAX);
	ok = is_stdin ? io_read_stdin(&input, &err) : io_read_file(tool_text(c->tool, STR_FMT, STR_ARG(path)).ptr, &input, &err);
	c->file = base_name(path);
	if (!ok)
		tool_fail(c->tool, TOOL_UNKNOWN, "%s", err.text);
	else
		ok = text_classify(c, line_ends_plain(&input));
	if (ok && c->found == found && !c->tool->is_json)
		tool_fail(c->tool, TOOL_NO, STR_FMT ": no bounce in it", STR_ARG(c->file));
	buf_clear(&input);
	return ok;
}

static int classify_run(struct tool *tool, const void *values)
{
	struct classifying c = { .tool = tool, .values = values };
	struct err err;
	bool ok = true;

	if (!tool_rules(tool, c.values->rules, &c.rules))
		return TOOL_UNKNOWN;
	if (!report_reader_new(&c.reader, &err)) {
		bounce_rules_free(c.rules);
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	}
	arena_init(&c.arena, MESSAGE_MEMORY);
	for (size_t i = 0; i < tool->operands.count; i++)
		ok &= file_classify(&c, tool->operands.items[i]);
	arena_clear(&c.arena);
	report_reader_free(c.reader);
	bounce_rules_free(c.rules);
	return !ok ? TOOL_UNKNOWN : c.found ? TOOL_OK : TOOL_NO;
}

#define VALUE(field) offsetof(struct values, field)

static const struct option classify_options[] = {
	{ "--explain", OPTION_FLAG, VALUE(explains), NULL, NULL, "also: what it was known by, which rule decided, which words" },
	{ "--rules", OPTION_TEXT, VALUE(rules), "FILE", NULL, "rules of your own (default: those of the configuration, if it names any)" },
	{ NULL },
};

const struct tool_command command_bounce_classify = {
	.name = "bounce classify",
	.operands = "FILE...",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.summary = "for whom returned mail failed, and why",
	.about = "Reads messages (one a file, or an mbox; - is standard input; LF, CRLF or CR) and MTA logs (Postfix, Sendmail) "
		 "and prints a line for each recipient that a bounce or a complaint names. Mail that is neither prints nothing.",
	.options = classify_options,
	.values_size = sizeof(struct values),
	.has_json = true,
	.examples = "sekisho bounce classify --json bounce.eml\nsekisho bounce classify --explain - < bounce.eml",
	.ok = "at least one recipient was found",
	.no = "there was no bounce in it",
	.unknown = "a file could not be read, or the rules",
	.run = classify_run,
};
