#include "milter/tool/records.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/record/reader.h"
#include "milter/record/retention.h"
#include "milter/record/seal.h"

static bool walk_lines(struct tool *tool, struct record_reader *reader, struct seal *seal, struct str class_name, records_fn *fn,
		       void *arg, struct err *err)
{
	bool ok, is_torn, found = true;
	struct str line, plain;
	struct buf room;

	buf_init(&room, 2 * RECORD_LINE_MAX);
	while ((ok = record_reader_next(reader, &line, &is_torn, &found, err)) && found) {
		if (is_torn)
			continue;
		tool->closed_records += seal_read_line(seal, line, &room, &plain) >= SEAL_CLOSED;
		if (!fn(arg, class_name, plain))
			break;
	}
	buf_clear(&room);
	return ok;
}

bool records_walk(struct tool *tool, const struct record_class *class, int64_t first_day, int64_t last_day, bool from_end,
		  records_fn *fn, void *arg, struct err *err)
{
	struct str dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(class->name));
	int64_t oldest = jst_day(clock_now_us()) - class->keep_days - (class->keep_is_year ? class->keep_days / 365 : 0);
	struct record_reader *reader;
	struct seal *seal = NULL;

	if (access(dir.ptr, F_OK) != 0 && errno == ENOENT)
		return true;
	if (!seal_open(tool->config->log_keyring, class->name, &seal, err) ||
	    !record_reader_open(dir, first_day > oldest ? first_day : oldest, last_day, from_end, &reader, err)) {
		seal_close(seal);
		return false;
	}
	bool ok = walk_lines(tool, reader, seal, class->name, fn, arg, err);

	record_reader_close(reader);
	seal_close(seal);
	return ok;
}

bool records_take(struct arena *arena, const struct record_class *class, struct str line, struct found *out)
{
	struct err err;

	*out = (struct found){ .class_name = class->name };
	if (!arena_copy(arena, line, &out->line) || !record_parse(out->line, arena, &out->record, &err) ||
	    out->record.is_erased)
		return false;
	const struct retention keep = { class->keep_days, class->keep_is_year };

	return clock_now_us() < retention_end_us(keep, out->record.stamp.time_us);
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
static void add_object(struct buf *buf, struct str text)
{
	json_t *object = text.len ? json_loadb(text.ptr, text.len, 0, NULL) : NULL, *value;
	const char *key;

	if (!json_is_object(object))
		add(buf, "", text);
	json_object_foreach(object, key, value) {
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

struct str records_plain_id(struct str id)
{
	id = str_trim(id);
	return id.len >= 2 && id.ptr[0] == '<' && id.ptr[id.len - 1] == '>' ? str_slice(id, 1, id.len - 2) : id;
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
