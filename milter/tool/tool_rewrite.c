/* sekisho rewrite: what the milter would do to a message. */
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/mail/header.h"
#include "milter/rewrite.h"
#include "milter/tool/commands.h"
#include "milter/tool/tokens.h"

#define MESSAGE_MAX ((size_t)1 << 30)

struct rewrite {
	struct str tenant, from;
	struct str_list recipients;
	bool wants_report;
};
#define REWRITE(field) offsetof(struct rewrite, field)

static const struct option options[] = {
	{ "--tenant", OPTION_TEXT, REWRITE(tenant), "NAME", NULL,
	  "whose message it is; without, the sender's tenant by --from" },
	{ "--from", OPTION_PROSE, REWRITE(from), "ADDRESS", NULL, "envelope sender" },
	{ "--rcpt", OPTION_TEXTS, REWRITE(recipients), "ADDRESS", NULL,
	  "a recipient; may be repeated. With just one, links and pixel carry it" },
	{ "--report", OPTION_FLAG, REWRITE(wants_report), NULL, NULL,
	  "say on stderr what was changed, and what was left alone and why" },
	{ NULL },
};

/* As the milter has them: links of <a@b.example> are those of a@b.example. */
static bool read_addresses(struct tool *tool, struct rewrite *want)
{
	struct str *recipients = arena_array(&tool->arena, want->recipients.count, sizeof *recipients);

	if (want->from.ptr && !tool_bare(tool, "--from", &want->from))
		return false;
	for (size_t i = 0; recipients && i < want->recipients.count; i++) {
		recipients[i] = want->recipients.items[i];
		if (!tool_bare(tool, "--rcpt", &recipients[i]))
			return false;
	}
	want->recipients.items = recipients;
	return recipients || want->recipients.count == 0;
}

static const struct tenant *find_tenant(struct tool *tool, const struct rewrite *want)
{
	struct match_facts facts = { .sender = want->from };
	enum match_kind by;
	const struct tenant *tenant;

	if (want->tenant.ptr)
		return tool_tenant(tool, want->tenant);
	tenant = want->from.ptr ? config_match(tool->config, &facts, &by) : NULL;
	if (!tenant)
		tool_fail(tool, TOOL_NO, "no tenant has this sender; name one with --tenant");
	return tenant;
}

/* The fields as libmilter would give them, one by one. */
static bool read_fields(struct tool *tool, struct str header, struct rewrite_message *out)
{
	struct header field, *fields;
	struct str rest = header;
	size_t count = 0;

	while (header_next(&rest, &field))
		count++;
	fields = arena_array(&tool->arena, count, sizeof *fields);
	if (!fields)
		return false;
	for (rest = header; header_next(&rest, &fields[out->field_count]);)
		out->field_count++;
	out->fields = fields;
	return true;
}

static void report(const struct rewrite_result *result)
{
	fprintf(stderr, "%zu link%s, %zu pixel%s, %zu part%s changed\n", result->links, result->links == 1 ? "" : "s",
		result->pixels, result->pixels == 1 ? "" : "s", result->parts, result->parts == 1 ? "" : "s");
	for (size_t i = 0; i < result->note_count; i++)
		if (result->notes[i].part)
			fprintf(stderr, "part %zu left alone: %s\n", result->notes[i].part, result->notes[i].why);
		else
			fprintf(stderr, "left alone: %s\n", result->notes[i].why);
}

static int rewrite(struct tool *tool, const struct rewrite *want, const struct rewrite_rules *rules, struct str text)
{
	struct rewrite_message message = {
		.day = (uint16_t)jst_day(clock_now_us()),
		.recipient = want->recipients.count == 1 ? want->recipients.items[0] : STR_EMPTY,
	};
	struct rewrite_result result = { .links = 0 };
	struct str header;
	bool has_blank;
	struct err err;

	header_split(text, &header, &message.body, &has_blank);
	if (!read_fields(tool, header, &message))
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	/* An MTA would put the empty line somewhere; where, is its own business. */
	if (!has_blank && message.body.len)
		result.notes[result.note_count++] = (struct rewrite_note){ .why = "no empty line after the header" };
	else if (tool->config->needs_rewrite && !rewrite_message(rules, &message, &tool->arena, &result, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	rewrite_render(&message, &result,
		       str_slice(text, header.len, (size_t)(message.body.ptr - text.ptr) - header.len), &tool->out);
	if (want->wants_report)
		report(&result);
	return TOOL_OK;
}

static int run(struct tool *tool, const void *values)
{
	struct rewrite asked = *(const struct rewrite *)values, *want = &asked;
	const struct tenant *tenant;
	struct token_keys *keys = NULL;
	struct rewrite_rules rules;
	struct buf text;
	struct err err;
	int code;

	if (!read_addresses(tool, want))
		return TOOL_USAGE;
	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	tenant = find_tenant(tool, want);
	if (!tenant)
		return TOOL_NO;
	if (config_tenant_tracks(tenant) && !(keys = tokens_keys(tool)))
		return TOOL_UNKNOWN;
	rules = rewrite_rules_of(tenant, keys);
	buf_init(&text, MESSAGE_MAX);
	if (!io_read_stdin(&text, &err))
		code = tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	else if (text.len == 0)
		code = tool_fail(tool, TOOL_UNKNOWN, "there is no message on standard input");
	else
		code = rewrite(tool, want, &rules, buf_view(&text));
	tool_flush(tool);               /* while what it may point to lives */
	buf_clear(&text);
	token_keys_free(keys);
	return code;
}

const struct tool_command command_rewrite = {
	.name = "rewrite",
	.operands = "",
	.summary = "what tracking does to a message, stdin to stdout",
	.about = "Reads a message and writes it as the milter would hand it on for this tenant: links led through "
		 "the tracking host, a "
		 "pixel in HTML parts, List-Unsubscribe, X-Sekisho-Track taken out. Whatever is not meant to change "
		 "comes out "
		 "octet for octet. Nothing is sent, counted or recorded.",
	.options = options,
	.values_size = sizeof(struct rewrite),
	.examples = "sekisho rewrite --tenant acme --rcpt user@example.com < in.eml",
	.ok = "written, changed or not",
	.no = "there is no such tenant",
	.unknown = "no configuration, no key, or no message",
	.run = run,
};
