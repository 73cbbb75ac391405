/* sekisho log search: records by what they say, newest first. */
#include <stdio.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/tool/records.h"

#define LIMIT_DEFAULT 50

struct search_values {
	struct str class_name, tenant, from, rcpt, client, event, reason;
	struct option_time since, until;
	int64_t limit;
};
#define SEARCH(field) offsetof(struct search_values, field)

static const struct option options[] = {
	{ "--tenant", OPTION_TEXT, SEARCH(tenant), "NAME", NULL, "of this tenant" },
	{ "--from", OPTION_TEXT, SEARCH(from), "ADDRESS", NULL, "envelope sender; * and ? are wildcards" },
	{ "--to-rcpt", OPTION_TEXT, SEARCH(rcpt), "ADDRESS", NULL, "a recipient; * and ? are wildcards" },
	{ "--client", OPTION_TEXT, SEARCH(client), "IP", NULL, "client address, or a network such as 192.0.2.0/24" },
	{ "--event", OPTION_TEXT, SEARCH(event), "EVENT", NULL, "accepted, rejected, deferred, held, ..." },
	{ "--since", OPTION_SINCE, SEARCH(since), "TIME", NULL,
	  "from then on: 2026-11-21, \"2026-11-21 18:04\" (JST), today, yesterday, or 2h (ago)" },
	{ "--until", OPTION_UNTIL, SEARCH(until), "TIME", NULL, "up to then; a date includes its day" },
	{ "--class", OPTION_TEXT, SEARCH(class_name), "CLASS", NULL, "class of records (default relay)" },
	{ "--limit", OPTION_COUNT, SEARCH(limit), "N", NULL, "at most so many (default 50)" },
	{ "--reason", OPTION_TEXT, SEARCH(reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

struct search {
	struct tool *tool;
	const struct search_values *want;
	const struct record_class *class;
	struct net_prefix client;
	struct str texts[16];          /* all of which must occur */
	size_t text_count;
	struct str raw_texts[18];      /* what a line that matches must hold as it stands: the same, and whole addresses */
	size_t raw_count;
	struct arena scratch;          /* for one line */
	struct buf lines;              /* the answer */
	int64_t limit, count;
	bool has_more;
};

static bool holds_raw(struct str line, const char *member, struct str value)
{
	char needle[256];
	int n = snprintf(needle, sizeof needle, "\"%s\":\"" STR_FMT "\"", member, STR_ARG(value));

	return n >= (int)sizeof needle || memmem(line.ptr, line.len, needle, (size_t)n) != NULL;
}

/* What a look at the raw line can already rule out: most lines go no further. */
static bool may_match(const struct search *s, struct str line)
{
	if ((s->want->tenant.ptr && !holds_raw(line, "tenant", s->want->tenant)) ||
	    (s->want->event.ptr && !holds_raw(line, "event", s->want->event)))
		return false;
	for (size_t i = 0; i < s->raw_count; i++)
		if (!records_contains(line, s->raw_texts[i]))
			return false;
	return true;
}

static bool matches_recipient(const struct record_event *event, struct str pattern)
{
	if (event->rcpt.len && str_glob(pattern, event->rcpt))
		return true;
	for (size_t i = 0; i < event->to_count; i++)
		if (str_glob(pattern, event->to[i]))
			return true;
	return false;
}

static bool matches_client(const struct search *s, struct str client)
{
	struct net_addr addr;

	return net_parse_addr(client, &addr) && net_prefix_covers(&s->client, &addr);
}

/* In any value; names of members do not count. */
static bool matches_text(const struct record_event *event, struct str text)
{
	const struct str values[] = {
		event->id, event->message, event->queue_id, event->host, event->client, event->auth, event->helo, event->tls,
		event->from, event->rule, event->reply, event->rcpt, event->outcome, event->detail, event->event, event->tenant,
	};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (records_contains(values[i], text))
			return true;
	for (size_t i = 0; i < event->to_count; i++)
		if (records_contains(event->to[i], text))
			return true;
	for (size_t i = 0; i < event->action_count; i++)
		if (records_contains(event->actions[i], text))
			return true;
	return false;
}

static bool matches(const struct search *s, const struct record_line *record)
{
	const struct search_values *want = s->want;
	const struct record_event *event = &record->event;

	if ((want->tenant.ptr && !str_eq(want->tenant, event->tenant)) ||
	    (want->event.ptr && !str_eq(want->event, event->event)) ||
	    (want->since.is_given && record->stamp.time_us < want->since.us) ||
	    (want->until.is_given && record->stamp.time_us > want->until.us) ||
	    (want->from.ptr && !str_glob(want->from, event->from)) ||
	    (want->rcpt.ptr && !matches_recipient(event, want->rcpt)) ||
	    (want->client.ptr && !matches_client(s, event->client)))
		return false;
	for (size_t i = 0; i < s->text_count; i++)
		if (!matches_text(event, s->texts[i]))
			return false;
	return true;
}

/* What it is about: mail has a sender and recipients, the rest tells of itself. */
static struct str subject_of(struct search *s, const struct record_event *event)
{
	struct str tenant = event->tenant.len ? tool_text(s->tool, STR_FMT ": ", STR_ARG(event->tenant)) : STR_EMPTY;

	if (event->from.len == 0 && event->to_count == 0 && event->rcpt.len == 0)
		return tool_text(s->tool, STR_FMT STR_FMT, STR_ARG(tenant), STR_ARG(records_describe(s->tool, event)));
	return tool_text(s->tool, STR_FMT STR_FMT " -> " STR_FMT, STR_ARG(tenant), STR_ARG(event->from.len ? event->from : STR("<>")),
			 STR_ARG(records_recipients(s->tool, event)));
}

/* Two lines a record: when, what, about whom; then its reference, whole, and what the sender heard. */
static void show(struct search *s, const struct found *found)
{
	const struct record_event *event = &found->record.event;
	struct tool *tool = s->tool;
	struct str time = str_from(tool_time(tool, found->record.stamp.time_us), 5);
	struct str name = str_slice(screen_text(&tool->arena, event->event), 0, 12);
	struct str lead = tool_text(tool, STR_FMT "  %-12.*s  ", STR_ARG(time), STR_ARG(name));

	if (tool->is_json) {
		buf_add(&s->lines, found->line);
		buf_add_byte(&s->lines, '\n');
		return;
	}
	screen_wrap(&s->lines, lead.ptr, subject_of(s, event));
	screen_wrap(&s->lines, "                              ",
		    tool_text(tool, STR_FMT "%s" STR_FMT, STR_ARG(event->id), event->reply.len ? "  " : "", STR_ARG(event->reply)));
}

static bool look_at(void *arg, struct str class_name, struct str line)
{
	struct search *s = arg;
	struct tool *tool = s->tool;
	struct found found;

	(void)class_name;
	if (!may_match(s, line))
		return true;
	arena_reset(&s->scratch);
	if (!records_take(&s->scratch, s->class, line, &found) || !matches(s, &found.record))
		return true;
	s->has_more = s->count >= s->limit;
	if (s->has_more)
		return false;
	s->count++;
	if (records_take(&tool->arena, s->class, line, &found))        /* this one stays */
		show(s, &found);
	return true;
}

static bool add_raw(struct search *s, struct str text)
{
	struct buf raw;
	struct str escaped;
	struct err err;
	bool ok;

	buf_init(&raw, 65536);
	json_escape(&raw, text);
	ok = text.len && buf_done(&raw, &escaped, &err) && arena_copy(&s->tool->arena, escaped, &s->raw_texts[s->raw_count++]);
	buf_clear(&raw);
	return ok;
}

static bool has_wildcard(struct str pattern)
{
	return str_find_byte(pattern, '*') < pattern.len || str_find_byte(pattern, '?') < pattern.len;
}

/* A whole address stands in every line that can match. */
static bool add_address(struct search *s, struct str address)
{
	return !address.ptr || has_wildcard(address) || address.len == 0 || add_raw(s, address);
}

/* 0, or the exit code. */
static int prepare(struct search *s)
{
	struct tool *tool = s->tool;
	const struct search_values *want = s->want;

	s->class = config_find_class(tool->config, want->class_name.ptr ? want->class_name : STR("relay"));
	if (!s->class)
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(want->class_name));
	if (want->client.ptr && !net_parse_prefix(want->client, &s->client))
		return tool_usage(tool, "--client: an IP address or network wanted, not " STR_FMT, STR_ARG(want->client));
	for (size_t i = 0; i < tool->operands.count; i++) {
		s->texts[s->text_count++] = tool->operands.items[i];
		if (!add_raw(s, tool->operands.items[i]))
			return tool_usage(tool, "an empty text, or one that is too long");
	}
	if (!add_address(s, want->from) || !add_address(s, want->rcpt))
		return tool_usage(tool, "an address that is too long");
	return TOOL_OK;
}

static void write_person(struct search *s)
{
	if (s->count == 0) {
		tool_print(s->tool, "Nothing found.\n");
		return;
	}
	buf_add(&s->tool->out, buf_view(&s->lines));
	if (s->has_more)
		tool_print(s->tool, "... and older ones; --limit %lld shows more\n", (long long)s->limit * 10);
}

static int run(struct tool *tool, const void *values)
{
	const struct search_values *want = values;
	struct search s = { .tool = tool, .want = want, .limit = want->limit ? want->limit : LIMIT_DEFAULT };
	struct err err;
	int code;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	code = prepare(&s);
	if (code != TOOL_OK)
		return code;
	if (!tool_ops(tool))
		return TOOL_UNKNOWN;
	buf_init(&s.lines, (size_t)1 << 30);
	arena_init(&s.scratch, RECORD_LINE_MAX * 8);

	bool ok = records_walk(tool, s.class, want->since.is_given ? jst_day(want->since.us) - 1 : INT64_MIN,
			       want->until.is_given ? jst_day(want->until.us) + 1 : INT64_MAX, true, look_at, &s, &err);

	if (!ok)
		code = tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	else if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log search"),
							  .tenant = want->tenant, .reason = want->reason, .count = s.count }))
		code = TOOL_UNKNOWN;
	else if (tool->is_json)
		buf_add(&tool->out, buf_view(&s.lines));
	else
		write_person(&s);
	arena_clear(&s.scratch);
	buf_clear(&s.lines);
	return code != TOOL_OK ? code : s.count ? TOOL_OK : TOOL_NO;
}

const struct tool_command command_log_search = {
	.name = "log search",
	.operands = "[TEXT...]",
	.operands_max = 16,
	.summary = "records by what they say, newest first",
	.about = "Finds records of one class, newest first. All that is asked for must be so; each TEXT must occur in some value, "
		 "upper or lower case. With --json the records come as they stand in the log, one a line. That somebody searched "
		 "is itself recorded in class ops: who, when, which tenant, why and how many, but not what for.",
	.options = options,
	.values_size = sizeof(struct search_values),
	.has_json = true,
	.examples = "sekisho log search --tenant acme --event rejected --since today\n"
		    "sekisho log search --to-rcpt '*@example.jp' --since 2026-11-01\n"
		    "sekisho log search bob@example.jp --json | jq .reply",
	.ok = "found",
	.no = "nothing is there, or there is no such class",
	.unknown = "the log cannot be read, or that somebody searched cannot be recorded",
	.run = run,
};
