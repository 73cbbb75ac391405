/* sekisho log search: records by what they say. */

#include "config/base/clock.h"
#include "milter/record/scan.h"
#include "milter/tool/commands.h"
#include "milter/tool/records_find.h"

#define LIMIT_DEFAULT 50
#define EVENT_WIDTH_MAX 12
#define TENANT_WIDTH_MAX 16

struct search_values {
	struct str class_name, tenant, event, verdict, queue_id, id, message_id, sender, recipient, client, reason,
		purpose;
	struct records_range range;
	int64_t limit;
	bool oldest_first, ignores_index;
};
#define SEARCH(field) offsetof(struct search_values, field)

static const struct option options[] = {
	RECORDS_RANGE_OPTIONS(SEARCH(range)),
	{ "--tenant", OPTION_TEXT, SEARCH(tenant), "NAME", NULL, "of this tenant" },
	{ "--sender", OPTION_TEXT, SEARCH(sender), "ADDRESS", NULL, "envelope sender; @DOMAIN; * and ? are wildcards" },
	{ "--recipient", OPTION_TEXT, SEARCH(recipient), "ADDRESS", NULL, "one of its recipients; the same" },
	{ "--client", OPTION_TEXT, SEARCH(client), "IP", NULL, "client address, or a network such as 192.0.2.0/24" },
	{ "--queue-id", OPTION_TEXT, SEARCH(queue_id), "ID", NULL, "the MTA's queue id" },
	{ "--message-id", OPTION_TEXT, SEARCH(message_id), "ID", NULL, "the header Message-ID, with <> or without" },
	{ "--id", OPTION_TEXT, SEARCH(id), "ID", NULL, "of the record or of its message" },
	{ "--event", OPTION_WORD, SEARCH(event), "EVENT", RECORDS_EVENTS, "accepted, rejected, deferred, held, delivered, ..." },
	{ "--verdict", OPTION_WORD, SEARCH(verdict), "VERDICT", "accept|defer|reject|hold",
	  "what was decided: accept, defer, reject, hold" },
	{ "--reason", OPTION_TEXT, SEARCH(reason), "REASON", NULL,
	  "why: of a bounce (userunknown), the rule or quota that decided, the tag of a reply (SKQ-RATE)" },
	{ "--class", OPTION_TEXT, SEARCH(class_name), "CLASS", NULL,
	  "class of records (default: the tenant's, or that of its bounces; without --tenant relay)" },
	{ "--oldest-first", OPTION_FLAG, SEARCH(oldest_first), NULL, NULL, "in the order of the log (default: newest first)" },
	{ "--limit", OPTION_COUNT, SEARCH(limit), "N", NULL, "at most so many (default 50)" },
	{ "--no-index", OPTION_FLAG, SEARCH(ignores_index), NULL, NULL, "read every line, whatever the indexes say" },
	{ "--purpose", OPTION_PROSE, SEARCH(purpose), "TEXT", NULL, "why you look, for the record in class ops" },
	{ NULL },
};

/* Wishes that one member must equal, as text. */
static const struct {
	size_t wish, member;
	const char *name;
} equal_rows[] = {
	{ SEARCH(tenant), offsetof(struct record_event, tenant), "tenant" },
	{ SEARCH(event), offsetof(struct record_event, event), "event" },
	{ SEARCH(verdict), offsetof(struct record_event, verdict), "verdict" },
	{ SEARCH(queue_id), offsetof(struct record_event, queue_id), "queue_id" },
};
#define EQUAL_ROWS (sizeof equal_rows / sizeof *equal_rows)

static struct str str_at(const void *object, size_t offset)
{
	return *(const struct str *)((const char *)object + offset);
}

struct hit {
	struct hit *next;
	struct found found;
};

struct search {
	struct tool *tool;
	const struct search_values *want;
	struct records_wish wish;
	struct net_prefix client;
	struct str sender, recipient, message_id;       /* patterns; without <> */
	struct { struct str plain, escaped; } texts[16];
	size_t text_count;
	struct hit *first, *last;      /* the answer */
	int64_t limit, count;
	bool has_more;
};

/* --- does a record answer? */

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

static bool matches_message_id(const struct search *s, const struct record_event *event, struct arena *scratch)
{
	struct str value, text;

	return event->detail.len && scan_find(event->detail, STR("message_id"), &value) && scan_string(value, scratch, &text) &&
	       str_eq(index_plain_id(text), s->message_id);
}

static bool matches_reason(const struct record_event *event, struct str reason)
{
	struct str bounce, left, tag;

	if (str_eq_nocase(event->rule, reason) ||
	    (event->outcome.len && scan_find_string(event->outcome, STR("reason"), &bounce) && str_eq_nocase(bounce, reason)))
		return true;
	return str_cut_last(event->reply, '[', &left, &tag) && str_cut(tag, ']', &tag, &left) &&
	       str_eq_nocase(tag, reason);
}

/* In any value; names of members do not count. Outcome and detail are JSON still. */
static bool matches_text(const struct record_event *event, struct str text, struct str escaped)
{
	const struct str values[] = {
		event->id, event->message, event->queue_id, event->host, event->client, event->auth, event->helo, event->tls,
		event->from, event->rule, event->reply, event->rcpt, event->event, event->tenant, event->verdict,
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
	return records_contains(event->outcome, escaped) || records_contains(event->detail, escaped);
}

static bool matches(void *arg, const struct record_line *record, struct arena *scratch)
{
	const struct search *s = arg;
	const struct search_values *want = s->want;
	const struct record_event *event = &record->event;

	for (size_t i = 0; i < EQUAL_ROWS; i++)
		if (str_at(want, equal_rows[i].wish).ptr && !str_eq(str_at(want, equal_rows[i].wish), str_at(event, equal_rows[i].member)))
			return false;
	if ((want->id.ptr && !str_eq_nocase(want->id, event->id) && !str_eq_nocase(want->id, event->message)) ||
	    (want->sender.ptr && !str_glob(s->sender, event->from)) ||
	    (want->recipient.ptr && !matches_recipient(event, s->recipient)) ||
	    (want->client.ptr && !matches_client(s, event->client)) ||
	    (want->message_id.ptr && !matches_message_id(s, event, scratch)) ||
	    (want->reason.ptr && !matches_reason(event, want->reason)))
		return false;
	for (size_t i = 0; i < s->text_count; i++)
		if (!matches_text(event, s->texts[i].plain, s->texts[i].escaped))
			return false;
	return true;
}

/* --- showing */

static bool keep(void *arg, const struct found *found)
{
	struct search *s = arg;
	struct hit *hit;

	s->has_more = s->count >= s->limit;
	if (s->has_more || !(hit = arena_new(&s->tool->arena, struct hit)))
		return false;
	hit->found = *found;
	*(s->last ? &s->last->next : &s->first) = hit;
	s->last = hit;
	s->count++;
	return true;
}

/* What it is about: mail has a sender and recipients, the rest tells of itself. */
static struct str subject_of(struct tool *tool, const struct record_event *event)
{
	if (event->from.len == 0 && event->to_count == 0 && event->rcpt.len == 0)
		return records_describe(tool, event);
	if (event->from.len == 0 && event->rcpt.len)        /* what became of it; who sent it was said before */
		return tool_text(tool, "-> " STR_FMT, STR_ARG(event->rcpt));
	return tool_text(tool, STR_FMT " -> " STR_FMT, STR_ARG(event->from.len ? event->from : STR("<>")),
			 STR_ARG(records_recipients(tool, event)));
}

/* A text as a column of its own: cut, and filled up with blanks. */
static struct str column(struct tool *tool, struct str text, size_t width)
{
	struct str clean = screen_text(&tool->arena, text);

	clean = str_slice(clean, 0, screen_width(clean) > width ? screen_fit(clean, width) : clean.len);
	return tool_text(tool, STR_FMT "%*s", STR_ARG(clean), (int)(width - screen_width(clean)), "");
}

/* Two lines a record: when, what, whose, about whom; then its reference, whole, and what was said. */
static void show(struct tool *tool, const struct record_line *record, size_t event_width, size_t tenant_width)
{
	const struct record_event *event = &record->event;
	struct str said = event->reply.len ? event->reply : records_outcome(tool, event);
	struct str lead = tool_text(tool, STR_FMT "  " STR_FMT "  " STR_FMT "%s", STR_ARG(str_from(tool_time(tool, record->stamp.time_us), 11)),
				    STR_ARG(column(tool, event->event, event_width)), STR_ARG(column(tool, event->tenant, tenant_width)),
				    tenant_width ? "  " : "");

	screen_wrap(&tool->out, lead.ptr, subject_of(tool, event));
	screen_wrap(&tool->out, "          ",
		    tool_text(tool, STR_FMT "%s" STR_FMT, STR_ARG(event->id), said.len ? "  " : "", STR_ARG(said)));
}

static size_t wider(struct tool *tool, size_t width, struct str text, size_t most)
{
	size_t columns = screen_width(screen_text(&tool->arena, text));

	columns = columns < most ? columns : most;
	return columns > width ? columns : width;
}

static void write_person(struct search *s)
{
	size_t event_width = 0, tenant_width = 0;
	struct tool *tool = s->tool;
	int64_t day = INT64_MIN;

	for (const struct hit *hit = s->first; hit; hit = hit->next) {
		event_width = wider(tool, event_width, hit->found.record.event.event, EVENT_WIDTH_MAX);
		tenant_width = wider(tool, tenant_width, hit->found.record.event.tenant, TENANT_WIDTH_MAX);
	}
	for (const struct hit *hit = s->first; hit; hit = hit->next) {
		const struct record_line *record = &hit->found.record;

		if (jst_day(record->stamp.time_us) != day)
			tool_print(tool, "%s" STR_FMT " (JST)\n", hit == s->first ? "" : "\n",
				   STR_ARG(str_slice(tool_time(tool, record->stamp.time_us), 0, JST_DATE_LEN)));
		day = jst_day(record->stamp.time_us);
		show(tool, record, event_width, tenant_width);
	}
	if (s->count == 0)
		tool_print(tool, "Nothing found.\n");
	if (s->has_more)
		tool_print(tool, "... and %s ones; --limit %lld shows more\n", s->want->oldest_first ? "newer" : "older",
			   (long long)s->limit * 10);
}

static void write_lines(const struct search *s)
{
	for (const struct hit *hit = s->first; hit; hit = hit->next) {
		buf_add(&s->tool->out, hit->found.line);
		buf_add_byte(&s->tool->out, '\n');
	}
	if (s->has_more)
		tool_fail(s->tool, TOOL_OK, "there are more than these %lld: --limit", (long long)s->limit);
}

/* --- what is asked */

static bool has_wildcard(struct str pattern)
{
	return str_find_byte(pattern, '*') < pattern.len || str_find_byte(pattern, '?') < pattern.len;
}

/* A whole address stands in every line that can match, and so does a whole domain. */
static struct str wish_address(struct search *s, struct str address, enum index_field field, enum index_field domain_field)
{
	struct str local, domain;

	address = tool_spelt(s->tool, address);
	if (address.len > 1 && address.ptr[0] == '@')
		address = tool_text(s->tool, "*" STR_FMT, STR_ARG(address));
	if (address.len && !has_wildcard(address)) {
		records_wish_key(&s->wish, field, address);
		records_wish_text(&s->wish, s->tool, address);
	} else if (str_cut_last(address, '@', &local, &domain) && domain.len && !has_wildcard(domain)) {
		records_wish_key(&s->wish, domain_field, address);
		records_wish_text(&s->wish, s->tool, str_from(address, local.len));
	}
	return address;
}

static void wish_references(struct search *s)
{
	const struct search_values *want = s->want;
	const struct str references[] = { want->queue_id, want->id, s->message_id };

	for (size_t i = 0; i < sizeof references / sizeof *references; i++)
		if (references[i].len) {
			records_wish_key(&s->wish, INDEX_REFERENCE, references[i]);
			records_wish_text(&s->wish, s->tool, references[i]);
		}
}

/* One address is indexed, and IPv4 is spelt in one way; a network is neither. */
static bool wish_client(struct search *s)
{
	struct str client = s->want->client;
	struct net_addr addr;

	if (!client.ptr)
		return true;
	if (net_parse_addr(client, &addr)) {
		records_wish_key(&s->wish, INDEX_CLIENT, client);
		if (str_find_byte(client, ':') == client.len)
			records_wish_text(&s->wish, s->tool, client);
	}
	return net_parse_prefix(client, &s->client);
}

static void wish_equals(struct search *s)
{
	for (size_t i = 0; i < EQUAL_ROWS; i++) {
		struct str value = str_at(s->want, equal_rows[i].wish), escaped;
		size_t count = s->wish.text_count;

		records_wish_text(&s->wish, s->tool, value);
		if (s->wish.text_count == count)
			continue;
		escaped = s->wish.texts[count];
		s->wish.texts[count] = tool_text(s->tool, "\"%s\":\"" STR_FMT "\"", equal_rows[i].name, STR_ARG(escaped));
	}
}

/* 0, or the exit code. */
static int prepare(struct search *s)
{
	const struct search_values *want = s->want;
	struct tool *tool = s->tool;

	if (!records_range_read(tool, &want->range, &s->wish.first_us, &s->wish.last_us))
		return TOOL_USAGE;
	if (!wish_client(s))
		return tool_usage(tool, "--client: an IP address or network wanted, not " STR_FMT,
				  STR_ARG(want->client));
	for (size_t i = 0; i < tool->operands.count; i++) {
		struct str text = tool->operands.items[i];
		size_t before = s->wish.text_count;

		if (text.len == 0)
			return tool_usage(tool, "an empty text");
		if (str_find_byte(text, '@') < text.len)
			text = tool_spelt(tool, text);
		records_wish_text(&s->wish, tool, text);
		s->texts[s->text_count].plain = text;
		s->texts[s->text_count++].escaped = s->wish.text_count > before ? s->wish.texts[before] : text;
	}
	s->message_id = index_plain_id(want->message_id);
	s->sender = wish_address(s, want->sender, INDEX_SENDER, INDEX_SENDER_DOMAIN);
	s->recipient = wish_address(s, want->recipient, INDEX_RECIPIENT, INDEX_RECIPIENT_DOMAIN);
	wish_references(s);
	wish_equals(s);
	records_wish_text(&s->wish, tool, want->reason);
	return TOOL_OK;
}

/* --- running */

static int search(struct search *s, const struct record_class *class)
{
	const struct search_values *want = s->want;
	struct tool *tool = s->tool;
	struct err err;

	if (!records_find(tool, class, &s->wish, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log search"),
						     .tenant = want->tenant,
						     .reason = want->purpose, .count = s->count }))
		return TOOL_UNKNOWN;
	if (tool->is_json)
		write_lines(s);
	else
		write_person(s);
	return s->count ? TOOL_OK : TOOL_NO;
}

/* Without --class where a tenant's are: what bounced may be in a class of its own. */
static struct str class_of(struct tool *tool, const struct search_values *want)
{
	static const struct str bounces[] = { STR_INIT("failed"), STR_INIT("expired"), STR_INIT("bounced"), STR_INIT("complained") };
	const struct tenant *tenant = config_find_tenant(tool->config, want->tenant);

	if (want->class_name.ptr || !tenant)
		return want->class_name.ptr ? want->class_name : CLASS_RELAY;
	for (size_t i = 0; i < sizeof bounces / sizeof *bounces; i++)
		if (str_eq(want->event, bounces[i]))
			return config_bounce_class(tenant);
	return tenant->record_class;
}

static int run(struct tool *tool, const void *values)
{
	const struct search_values *want = values;
	struct search s = { .tool = tool, .want = want, .limit = want->limit ? want->limit : LIMIT_DEFAULT,
			    .wish = { .newest_first = !want->oldest_first, .ignores_index = want->ignores_index,
				      .matches = matches, .found = keep } };
	const struct record_class *class;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	class = config_find_class(tool->config, class_of(tool, want));
	if (!class)
		return tool_fail(tool, TOOL_NO, "there is no class " STR_FMT " in relay_log.classes", STR_ARG(want->class_name));
	s.wish.arg = &s;

	int code = prepare(&s);

	if (code != TOOL_OK)
		return code;
	if (!tool_ops(tool))
		return TOOL_UNKNOWN;
	return search(&s, class);
}

const struct tool_command command_log_search = {
	.name = "log search",
	.operands = "[TEXT...]",
	.operands_max = 16,
	.summary = "records by what they say, newest first",
	.about = "Finds records of one class. All that is asked for must be so; each TEXT must occur in some value, upper or lower case. "
		 "Finished days are indexed by sender, recipient, their domains, client, queue id, Message-ID and id: a search for one "
		 "of these reads little. With --json the records come as they stand in the log, one a line. That somebody searched "
		 "is itself recorded in class ops: who, when, which tenant, why and how many, but not what for.",
	.options = options,
	.values_size = sizeof(struct search_values),
	.has_json = true,
	.examples = "sekisho log search --tenant acme --event rejected --from today\n"
		    "sekisho log search --recipient @example.jp --reason userunknown --days 7\n"
		    "sekisho log search bob@example.jp --json | jq .reply",
	.ok = "found",
	.no = "nothing is there, or there is no such class",
	.unknown = "the log cannot be read, or that somebody searched cannot be recorded",
	.run = run,
};
