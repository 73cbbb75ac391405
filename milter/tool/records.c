#include "milter/tool/records.h"

#include <jansson.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "milter/tool/records_find.h"

struct walk {
	const struct tool *tool;
	struct str class_name;
	records_fn *fn;
	void *arg;
};

/* A line of somebody else's is not there for whoever may see one tenant's. */
static bool is_theirs(const struct tool *tool, struct str line)
{
	struct str tenant;

	return tool->only_tenant.len == 0 ||
	       (record_peek(line, STR("tenant"), &tenant) && str_eq(tenant, tool->only_tenant));
}

static bool walk_line(void *arg, struct str line)
{
	const struct walk *walk = arg;

	return !is_theirs(walk->tool, line) || walk->fn(walk->arg, walk->class_name, line);
}

bool records_walk(struct tool *tool, const struct record_class *class, int64_t first_day, int64_t last_day, bool from_end,
		  records_fn *fn, void *arg, struct err *err)
{
	struct walk walk = { tool, class->name, fn, arg };
	struct find_query query = { .first_day = first_day, .last_day = last_day, .newest_first = from_end, .found = walk_line,
				    .arg = &walk };

	return records_run(tool, class, &query, err);
}

bool records_take(struct arena *arena, const struct record_class *class, struct str line, struct found *out)
{
	struct err err;

	*out = (struct found){ .class_name = class->name };
	if (!arena_copy(arena, line, &out->line) || !record_parse(out->line, arena, &out->record, &err) ||
	    out->record.is_erased)
		return false;
	return clock_now_us() < retention_end_us(class->keep, out->record.stamp.time_us);
}

bool records_contains(struct str text, struct str needle)
{
	while (text.len >= needle.len) {
		const char *lower = memchr(text.ptr, ascii_lower(needle.ptr[0]), text.len - needle.len + 1);
		size_t upto = lower ? (size_t)(lower - text.ptr) : text.len - needle.len + 1;
		const char *upper = ascii_is_alpha(needle.ptr[0])
			? memchr(text.ptr, ascii_lower(needle.ptr[0]) - 32, upto) : NULL;
		const char *at = upper ? upper : lower;

		if (!at)
			return false;
		text = str_from(text, (size_t)(at - text.ptr));
		if (str_eq_nocase(str_slice(text, 0, needle.len), needle))
			return true;
		text = str_from(text, 1);
	}
	return false;
}

/* --- words */

struct str records_recipients(struct tool *tool, const struct record_event *event)
{
	if (event->rcpt.len)
		return event->rcpt;
	if (event->to_count == 0)
		return STR("-");
	if (event->to_count == 1 && event->nrcpt <= 1)
		return event->to[0];
	return tool_text(tool, STR_FMT " and %lld more", STR_ARG(event->to[0]),
			 (long long)(event->nrcpt > (int64_t)event->to_count ? event->nrcpt : (int64_t)event->to_count) - 1);
}

static void add(struct buf *buf, const char *before, struct str text)
{
	if (text.len)
		buf_printf(buf, "%s%s" STR_FMT, buf->len ? ", " : "", before, STR_ARG(text));
}

/* "by root (uid 0), command log show": a flat object in words; anything else as it stands. */
/* Octets that verify reads; to people they are noise. */
static bool is_proof(const char *key)
{
	static const char *const names[] = { "hash", "next", "once", "sig", "sha256" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

static void add_object(struct buf *buf, struct str text)
{
	json_t *object = text.len ? json_loadb(text.ptr, text.len, 0, NULL) : NULL, *value;
	const char *key;

	if (!json_is_object(object))
		add(buf, "", text);
	json_object_foreach(object, key, value) {
		if (is_proof(key))
			continue;
		char *raw = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

		buf_printf(buf, "%s%s ", buf->len ? ", " : "", key);
		if (json_is_string(value))
			buf_add(buf, str_of(json_string_value(value), json_string_length(value)));
		else
			buf_add_c(buf, raw ? raw : "?");
		free(raw);
	}
	json_decref(object);
}

static struct str member_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value)) : STR_EMPTY;
}

/* JSON of ours; anything else as it stands. */
static void add_outcome(struct buf *buf, struct str text)
{
	json_t *object = text.len ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
	struct str reply = member_of(object, "reply"), relay = member_of(object, "relay");

	if (reply.len + relay.len + member_of(object, "reason").len == 0) {
		add_object(buf, text);
	} else {
		add(buf, "", member_of(object, "reason"));
		if (json_is_true(json_object_get(object, "hard")))
			add(buf, "", STR("hard"));
		if (reply.len)
			buf_printf(buf, "%s" STR_FMT, buf->len ? ": " : "", STR_ARG(reply));
		if (relay.len)
			buf_printf(buf, "%s(by " STR_FMT ")", buf->len ? " " : "", STR_ARG(relay));
	}
	json_decref(object);
}

struct str records_outcome(struct tool *tool, const struct record_event *event)
{
	struct buf buf;
	struct str out;

	buf_init(&buf, RECORD_LINE_MAX * 2);
	add_outcome(&buf, event->outcome);
	out = tool_text(tool, STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
	return out;
}

struct str records_describe(struct tool *tool, const struct record_event *event)
{
	struct buf buf;
	struct str out;

	buf_init(&buf, RECORD_LINE_MAX * 2);
	if (event->rcpt.len)
		add(&buf, "for ", event->rcpt);
	else if (event->nrcpt)
		buf_printf(&buf, "%lld recipient%s", (long long)event->nrcpt, event->nrcpt == 1 ? "" : "s");
	if (event->size)
		buf_printf(&buf, "%s" STR_FMT " bytes", buf.len ? ", " : "", STR_ARG(tool_number(tool, event->size)));
	add(&buf, "rule ", event->rule);
	for (size_t i = 0; i < event->action_count; i++)
		add(&buf, "", event->actions[i]);
	if (event->reply.len)
		buf_printf(&buf, "%s" STR_FMT, buf.len ? ": " : "", STR_ARG(event->reply));
	if (event->outcome.len)
		buf_printf(&buf, "%s" STR_FMT, buf.len ? ": " : "", STR_ARG(records_outcome(tool, event)));
	if (!event->message.len)
		add_object(&buf, event->detail);
	out = tool_text(tool, STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
	return out;
}
