/* sekisho log show: everything that is recorded about one message, in the order of time. */
#include <stdlib.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/tool/records.h"

#define KEYS_MAX 64                    /* ids that one reference leads to */
#define SHOW_MAX 10000                 /* records about one message */

struct show {
	struct str reason;
};

struct search {
	struct tool *tool;
	const struct record_class *class;
	struct str keys[KEYS_MAX];     /* a record is wanted when its id, message or queue id is one of these */
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

static bool holds_a_key(const struct search *s, struct str line)
{
	for (size_t i = 0; i < s->key_count; i++)
		if (memmem(line.ptr, line.len, s->keys[i].ptr, s->keys[i].len))
			return true;
	return false;
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

static bool look_at(void *arg, struct str class_name, struct str line)
{
	struct search *s = arg;
	struct found found;

	(void)class_name;
	if (!holds_a_key(s, line) || !records_take(&s->tool->arena, s->class, line, &found))
		return true;

	const struct record_event *event = &found.record.event;

	if (!is_key(s, event->id) && !is_key(s, event->message) && !is_key(s, event->queue_id))
		return true;
	s->is_cut = s->count >= SHOW_MAX || !keep(s, &found);
	return !s->is_cut;
}

/* An id begins with its time (format.h): nothing about it was written on a day before. */
static int64_t first_day_of(struct str ref)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	int64_t ms = 0;

	if (ref.len != RECORD_ID_LEN || ref.ptr[0] > '7')
		return INT64_MIN;
	for (size_t i = 0; i < 10; i++) {
		const char *at = memchr(digits, ref.ptr[i], 32);

		if (!at)
			return INT64_MIN;
		ms = ms * 32 + (at - digits);
	}
	return jst_day(ms * 1000) - 1;                  /* a clock may have gone back a little */
}

static bool look_through(struct search *s, struct err *err)
{
	const struct config *config = s->tool->config;
	int64_t first_day = INT64_MAX;

	for (size_t i = 0; i < s->key_count; i++) {
		int64_t day = first_day_of(s->keys[i]);

		first_day = day < first_day ? day : first_day;
	}
	s->count = 0;
	for (size_t i = 0; i < config->class_count; i++) {
		s->class = &config->classes[i];
		if (!records_walk(s->tool, s->class, first_day, INT64_MAX, false, look_at, s, err))
			return false;
	}
	return true;
}

/* A refusal's own id, or a queue id, leads to the message, and the message to all that was recorded about it. */
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
	const struct record_stamp *x = &((const struct found *)a)->record.stamp, *y = &((const struct found *)b)->record.stamp;

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

static struct str message_id_of(struct tool *tool, struct str detail)
{
	struct str escaped, out = STR_EMPTY;
	struct buf plain;

	if (!record_peek(detail, STR("message_id"), &escaped))
		return out;
	buf_init(&plain, RECORD_LINE_MAX);
	if (json_unescape(&plain, escaped))
		out = tool_text(tool, STR_FMT, STR_ARG(buf_view(&plain)));
	buf_clear(&plain);
	return out;
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

static void write_message(struct tool *tool, const struct search *s)
{
	const struct record_event *event = &s->found[0].record.event;

	field(tool, "Message", FIRST(s, message).len ? FIRST(s, message) : FIRST(s, id));
	field(tool, "Tenant", FIRST(s, tenant));
	field(tool, "From", FIRST(s, from));
	if (event->to_count)
		tool_field(tool, "To", STR_FMT, STR_ARG(records_recipients(tool, event)));
	for (size_t i = 1; i < event->to_count && i < 20; i++)
		tool_field(tool, "", STR_FMT, STR_ARG(event->to[i]));
	field(tool, "Client", FIRST(s, client));
	field(tool, "Login", FIRST(s, auth));
	field(tool, "TLS", FIRST(s, tls));
	field(tool, "Queue id", FIRST(s, queue_id));
	field(tool, "Message-ID", message_id_of(tool, event->detail));
	field(tool, "Relay", FIRST(s, host));
}

static void write_person(struct tool *tool, const struct search *s)
{
	static const struct column columns[] = { { "TIME (JST)", COLUMN_LEFT }, { "EVENT", COLUMN_LEFT }, { "", COLUMN_FOLD } };
	struct table table;

	write_message(tool, s);
	table_init(&table, &tool->arena, columns, 3);
	for (size_t i = 0; i < s->count; i++) {
		const struct record_line *record = &s->found[i].record;

		table_add(&table, (struct str[]){ tool_time(tool, record->stamp.time_us), record->event.event,
						  records_describe(tool, &record->event) });
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
	struct search s = { .tool = tool, .keys = { tool->operands.items[0] }, .key_count = 1 };
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
						     .tenant = s.count ? FIRST(&s, tenant) : STR_EMPTY,
						     .reason = show->reason, .count = (int64_t)s.count }))
		return TOOL_UNKNOWN;
	if (s.count == 0)
		return tool_fail(tool, TOOL_NO, "no record has the id, message or queue id " STR_FMT "; or it is over age",
				 STR_ARG(s.keys[0]));
	if (tool->is_json)
		write_lines(tool, &s);
	else
		write_person(tool, &s);
	return TOOL_OK;
}

static const struct option options[] = {
	{ "--reason", OPTION_TEXT, offsetof(struct show, reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

const struct tool_command command_log_show = {
	.name = "log show",
	.operands = "REF",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "everything recorded about one message",
	.about = "Shows the records about one message in the order of time. REF is what a reply gives as (ref ...), what the "
		 "header Sekisho-Record holds, or the MTA's queue id. With --json the records come as they stand in the log, one "
		 "a line. That somebody looked is itself recorded, in class ops.",
	.options = options,
	.values_size = sizeof(struct show),
	.has_json = true,
	.examples = "sekisho log show 01JD8Z6H2M3N4P5Q6R7S8T9V0W\nsekisho log show 4dBq1z0Nl2zXj --reason 'ticket 4711'",
	.ok = "shown",
	.no = "there is no such record",
	.unknown = "the log cannot be read, or that somebody looked cannot be recorded",
	.run = run,
};
