/* sekisho log show: everything that is recorded about one message, in the order of time. */
#include <stdlib.h>

#include "config/base/clock.h"
#include "milter/record/scan.h"
#include "milter/tool/commands.h"
#include "milter/tool/records_find.h"

#define KEYS_MAX 64                    /* ids that one reference leads to */
#define SHOW_MAX 10000                 /* records about one message */
#define RECIPIENTS_SHOWN 20

struct show {
	struct str tenant, purpose;
	bool ignores_index;
};

struct search {
	struct tool *tool;
	const struct show *want;
	struct str keys[KEYS_MAX];     /* a record is wanted when its id, message, queue id or Message-ID is one of these */
	size_t key_count;
	struct found *found;
	size_t count, room;
	bool is_cut;
};

static bool is_key(const struct search *s, struct str value)
{
	for (size_t i = 0; i < s->key_count; i++)
		if (value.len && str_eq(s->keys[i], value))
			return true;
	return false;
}

/* Empty: it has none. */
static struct str message_id_of(const struct record_event *event, struct arena *arena)
{
	struct str value, text;

	if (event->detail.len == 0 || !scan_find(event->detail, STR("message_id"), &value) || !scan_string(value, arena, &text))
		return STR_EMPTY;
	return text;
}

static bool matches(void *arg, const struct record_line *record, struct arena *scratch)
{
	const struct search *s = arg;
	const struct record_event *event = &record->event;

	if (s->want->tenant.ptr && !str_eq(s->want->tenant, event->tenant))
		return false;
	return is_key(s, event->id) || is_key(s, event->message) || is_key(s, event->queue_id) ||
	       is_key(s, index_plain_id(message_id_of(event, scratch)));
}

static bool keep(struct search *s, const struct found *found)
{
	if (s->count == s->room) {
		size_t room = s->room ? s->room * 2 : 16;
		struct found *bigger = arena_array(&s->tool->arena, room, sizeof *bigger);

		if (!bigger)
			return false;
		if (s->count)
			memcpy(bigger, s->found, s->count * sizeof *bigger);
		s->found = bigger;
		s->room = room;
	}
	s->found[s->count++] = *found;
	return true;
}

static bool found(void *arg, const struct found *found)
{
	struct search *s = arg;

	s->is_cut = s->count >= SHOW_MAX || !keep(s, found);
	return !s->is_cut;
}

/* An id begins with its time: nothing about it was written before. */
static int64_t time_of(struct str ref)
{
	int64_t made_us;

	if (!record_id_time(ref, &made_us))
		return INT64_MIN;
	return jst_day_start_us(jst_day(made_us) - 1);          /* a clock may have gone back a little */
}

static bool look_through(struct search *s, struct err *err)
{
	const struct config *config = s->tool->config;
	struct records_wish wish = { .any = true, .ignores_index = s->want->ignores_index, .first_us = INT64_MAX, .last_us = INT64_MAX,
				     .matches = matches, .found = found, .arg = s };

	for (size_t i = 0; i < s->key_count; i++) {
		int64_t first_us = time_of(s->keys[i]);

		wish.first_us = first_us < wish.first_us ? first_us : wish.first_us;
		records_wish_key(&wish, INDEX_REFERENCE, s->keys[i]);
		records_wish_text(&wish, s->tool, s->keys[i]);
	}
	s->count = 0;
	if (wish.text_count < s->key_count)             /* a key that cannot be told from the text must not be lost */
		wish.text_count = 0;
	for (size_t i = 0; i < config->class_count; i++)
		if (!records_find(s->tool, &config->classes[i], &wish, err))
			return false;
	return true;
}

/* A refusal's own id, a queue id or a Message-ID leads to the message, and the message to all that was recorded about it. */
static bool follow_messages(struct search *s)
{
	size_t before = s->key_count;

	for (size_t i = 0; i < s->count && s->key_count < KEYS_MAX; i++) {
		struct str message = s->found[i].record.event.message;

		if (message.len && !is_key(s, message))
			s->keys[s->key_count++] = message;
	}
	return s->key_count > before;
}

static int time_order(const void *a, const void *b)
{
	const struct record_stamp *x = &((const struct found *)a)->record.stamp,
				  *y = &((const struct found *)b)->record.stamp;

	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

/* --- showing */

static void field(struct tool *tool, const char *name, struct str value)
{
	if (value.len)
		tool_field(tool, name, STR_FMT, STR_ARG(value));
}

/* The first record that says it speaks for all of them. */
static struct str first_of(const struct search *s, size_t offset)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct str *value = (const void *)((const char *)&s->found[i].record.event + offset);

		if (value->len)
			return *value;
	}
	return STR_EMPTY;
}

#define FIRST(s, member) first_of(s, offsetof(struct record_event, member))

/* The last word about one recipient. */
static const struct found *last_about(const struct search *s, struct str recipient)
{
	for (size_t i = s->count; i > 0; i--)
		if (str_eq_nocase(s->found[i - 1].record.event.rcpt, recipient))
			return &s->found[i - 1];
	return NULL;
}

static struct str fate_of(struct tool *tool, const struct search *s, struct str recipient)
{
	const struct found *last = last_about(s, recipient);

	if (!last)
		return recipient;
	return tool_text(tool, STR_FMT "  " STR_FMT " " STR_FMT, STR_ARG(recipient), STR_ARG(last->record.event.event),
			 STR_ARG(tool_time(tool, last->record.stamp.time_us)));
}

static const struct record_event *first_with_recipients(const struct search *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->found[i].record.event.to_count)
			return &s->found[i].record.event;
	return &s->found[0].record.event;
}

static void write_recipients(struct tool *tool, const struct search *s)
{
	const struct record_event *event = first_with_recipients(s);
	int64_t all = event->nrcpt > (int64_t)event->to_count ? event->nrcpt : (int64_t)event->to_count;
	size_t shown = event->to_count < RECIPIENTS_SHOWN ? event->to_count : RECIPIENTS_SHOWN;

	for (size_t i = 0; i < shown; i++)
		tool_field(tool, i ? "" : "To", STR_FMT, STR_ARG(fate_of(tool, s, event->to[i])));
	if (shown && all > (int64_t)shown)
		tool_field(tool, "", "and " STR_FMT " more", STR_ARG(tool_number(tool, all - (int64_t)shown)));
}

static struct str first_message_id(struct tool *tool, const struct search *s)
{
	struct str id = STR_EMPTY;

	for (size_t i = 0; i < s->count && id.len == 0; i++)
		id = message_id_of(&s->found[i].record.event, &tool->arena);
	return id;
}

static void write_message(struct tool *tool, const struct search *s)
{
	field(tool, "Message", FIRST(s, message).len ? FIRST(s, message) : FIRST(s, id));
	field(tool, "Tenant", FIRST(s, tenant));
	field(tool, "From", FIRST(s, from));
	write_recipients(tool, s);
	field(tool, "Client", FIRST(s, client));
	field(tool, "Login", FIRST(s, auth));
	field(tool, "TLS", FIRST(s, tls));
	field(tool, "Queue id", FIRST(s, queue_id));
	field(tool, "Message-ID", first_message_id(tool, s));
	field(tool, "Relay", FIRST(s, host));
}

/* Since the first record: "+4 min 12 s". */
static struct str elapsed(struct tool *tool, int64_t us)
{
	if (us <= 0)
		return STR_EMPTY;
	if (us < 10 * US_PER_S)
		return tool_text(tool, "+%lld.%lld s", (long long)(us / US_PER_S),
				 (long long)(us % US_PER_S / (US_PER_S / 10)));
	return tool_text(tool, "+" STR_FMT, STR_ARG(tool_duration(tool, us)));
}

static void write_person(struct tool *tool, const struct search *s)
{
	static const struct column columns[] = { { "TIME (JST)", COLUMN_LEFT }, { "AFTER", COLUMN_RIGHT }, { "EVENT", COLUMN_LEFT },
						 { "", COLUMN_FOLD } };
	struct table table;

	write_message(tool, s);
	table_init(&table, &tool->arena, columns, 4);
	for (size_t i = 0; i < s->count; i++) {
		const struct record_line *record = &s->found[i].record;

		table_add(&table, (struct str[]){ tool_time(tool, record->stamp.time_us),
						  elapsed(tool, record->stamp.time_us - s->found[0].record.stamp.time_us),
						  record->event.event, records_describe(tool, &record->event) });
	}
	tool_print(tool, "\n");
	tool_table(tool, &table);
	if (s->is_cut)
		tool_print(tool, "... and more\n");
}

static void write_lines(struct tool *tool, const struct search *s)
{
	for (size_t i = 0; i < s->count; i++) {
		buf_add(&tool->out, s->found[i].line);
		buf_add_byte(&tool->out, '\n');
	}
}

static int run(struct tool *tool, const void *values)
{
	const struct show *show = values;
	struct search s = { .tool = tool, .want = show, .keys = { index_plain_id(tool->operands.items[0]) }, .key_count = 1 };
	struct err err;

	if (s.keys[0].len == 0)
		return tool_usage(tool, "an empty reference");
	if (!tool_config(tool) || !tool_ops(tool))
		return TOOL_UNKNOWN;
	if (!look_through(&s, &err) || (follow_messages(&s) && !look_through(&s, &err)))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (s.count)
		qsort(s.found, s.count, sizeof *s.found, time_order);
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("log show"),
						     .tenant = s.count ? FIRST(&s, tenant) : show->tenant,
						     .reason = show->purpose, .count = (int64_t)s.count }))
		return TOOL_UNKNOWN;
	if (s.count == 0)
		return tool_fail(tool, TOOL_NO, "no record has the id, queue id or Message-ID " STR_FMT "; or it is over age",
				 STR_ARG(s.keys[0]));
	if (tool->is_json)
		write_lines(tool, &s);
	else
		write_person(tool, &s);
	return TOOL_OK;
}

static const struct option options[] = {
	{ "--tenant", OPTION_TEXT, offsetof(struct show, tenant), "NAME", NULL, "records of this tenant alone" },
	{ "--purpose", OPTION_PROSE, offsetof(struct show, purpose), "TEXT", NULL, "why you look, for the record in class ops" },
	{ "--no-index", OPTION_FLAG, offsetof(struct show, ignores_index), NULL, NULL, "read every line, whatever the indexes say" },
	{ NULL },
};

const struct tool_command command_log_show = {
	.name = "log show",
	.operands = "REF",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "everything recorded about one message",
	.about = "Shows what became of one message: what is known of it, where each recipient stands, and every record about it in "
		 "the order of time. REF is what a reply gives as (ref ...), what the header Sekisho-Record holds, the MTA's queue "
		 "id, or the Message-ID. With --json the records come as they stand in the log, one "
		 "a line. That somebody looked is itself recorded, in class ops.",
	.options = options,
	.values_size = sizeof(struct show),
	.has_json = true,
	.examples = "sekisho log show 01JD8Z6H2M3N4P5Q6R7S8T9V0W\nsekisho log show 4dBq1z0Nl2zXj --purpose 'ticket 4711'\n"
		    "sekisho log show '<20261121.1804@acme.example>'",
	.ok = "shown",
	.no = "there is no such record",
	.unknown = "the log cannot be read, or that somebody looked cannot be recorded",
	.run = run,
};
