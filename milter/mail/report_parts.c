#include "milter/mail/report_parts.h"

#include "config/base/entities.h"
#include "config/base/utf8.h"
#include "milter/mail/base64.h"
#include "milter/mail/charset.h"
#include "milter/mail/header.h"
#include "milter/mail/qp.h"

/* The line at the front of rest, without its end; false at the end of the text. */
static bool line_next(struct str *rest, struct str *out_line)
{
	if (!str_next(rest, '\n', out_line))
		return false;
	if (out_line->len && out_line->ptr[out_line->len - 1] == '\r')
		out_line->len--;
	return true;
}

void parts_split(struct str message, struct str *out_header, struct str *out_body)
{
	struct str rest = message, line;

	while (line_next(&rest, &line) && (size_t)(line.ptr - message.ptr) < PARTS_HEADER_MAX) {
		if (line.len == 0) {
			*out_header = str_slice(message, 0, (size_t)(line.ptr - message.ptr));
			*out_body = rest;
			return;
		}
	}
	*out_header = str_slice(message, 0, PARTS_HEADER_MAX);
	*out_body = STR_EMPTY;
}

struct str parts_field(struct str header, struct str name)
{
	struct str line, value;

	while (line_next(&header, &line)) {
		if (line.len <= name.len || !str_starts_nocase(line, name))
			continue;
		value = str_from(line, name.len);
		while (value.len && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
			value = str_from(value, 1);
		if (value.len == 0 || value.ptr[0] != ':')
			continue;
		value = str_from(value, 1);
		while (header.len && (header.ptr[0] == ' ' || header.ptr[0] == '\t') && line_next(&header, &line))
			value.len = (size_t)(line.ptr + line.len - value.ptr);
		return str_trim(value);
	}
	return STR_EMPTY;
}

/* name=value or name="value" somewhere in `fields`. */
static struct str parameter(struct str fields, struct str name)
{
	for (size_t at = 0; at + name.len < fields.len; at++) {
		struct str left = str_from(fields, at);

		if (ascii_lower(left.ptr[0]) != name.ptr[0] || !str_starts_nocase(left, name))
			continue;
		if (at && (ascii_is_alnum(fields.ptr[at - 1]) || fields.ptr[at - 1] == '-'))
			continue;
		left = str_trim(str_from(left, name.len));
		if (left.len == 0 || left.ptr[0] != '=')
			continue;
		left = str_trim(str_from(left, 1));
		if (left.len && left.ptr[0] == '"')
			return str_slice(left, 1, str_find_byte(str_from(left, 1), '"'));

		size_t n = 0;

		while (n < left.len && !strchr("; \t\r\n", left.ptr[n] ? left.ptr[n] : ' '))
			n++;
		return str_slice(left, 0, n);
	}
	return STR_EMPTY;
}

static bool contains_nocase(struct str s, struct str needle)
{
	for (size_t at = 0; at + needle.len <= s.len; at++)
		if (str_starts_nocase(str_from(s, at), needle))
			return true;
	return false;
}

static enum part_kind kind_of(struct str type)
{
	type = str_slice(type, 0, str_find_byte(type, ';'));
	type = str_trim(type);
	if (type.len == 0 || str_starts_nocase(type, STR("text/plain")))
		return PART_TEXT;
	if (str_starts_nocase(type, STR("text/html")))
		return PART_HTML;
	if (contains_nocase(type, STR("delivery-status")))
		return PART_STATUS;
	if (str_eq_nocase(type, STR("message/feedback-report")))
		return PART_FEEDBACK;
	if (str_starts_nocase(type, STR("text/rfc822-header")) || str_starts_nocase(type, STR("message/rfc822-header")) ||
	    str_eq_nocase(type, STR("message/global-headers")))
		return PART_HEADERS;
	if (str_eq_nocase(type, STR("message/rfc822")) || str_eq_nocase(type, STR("message/global")))
		return PART_MESSAGE;
	return str_eq_nocase(type, STR("text")) ? PART_TEXT : PART_OTHER;
}

struct walk {
	struct parts *out;
	struct arena *arena;
	struct str boundaries[PARTS_DEPTH_MAX];
	size_t depth;
};

/* Which open boundary the line is (counted from 1), 0 for none; *out_is_end: its last. */
static size_t boundary_at(const struct walk *w, struct str line, bool *out_is_end)
{
	if (line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-')
		return 0;
	line = str_from(line, 2);
	for (size_t d = w->depth; d-- > 0;) {
		if (!str_starts(line, w->boundaries[d]))
			continue;
		struct str tail = str_trim(str_from(line, w->boundaries[d].len));

		*out_is_end = str_eq(tail, STR("--"));
		if (tail.len == 0 || *out_is_end)
			return d + 1;
	}
	return 0;
}

/* The header of the part that begins here, with its empty line. A boundary before that ends it: each is read once. */
static struct str header_ahead(const struct walk *w, struct str rest)
{
	struct str left = rest, line;
	bool is_end;

	while (line_next(&left, &line) && line.len && (size_t)(line.ptr - rest.ptr) < PARTS_HEADER_MAX)
		if (boundary_at(w, line, &is_end))
			return str_slice(rest, 0, (size_t)(line.ptr - rest.ptr));
	return str_slice(rest, 0, rest.len - left.len);
}

static void part_add(struct walk *w, enum part_kind kind, struct str header, struct str body)
{
	if (kind != PART_OTHER && w->out->count < PARTS_MAX)
		w->out->items[w->out->count++] = (struct part){ .kind = kind, .header = header, .body = body };
}

/* Opens a multipart. False: it is none, or has no boundary. */
static bool multipart_open(struct walk *w, struct str header, bool is_outermost)
{
	struct str type = parts_field(header, STR("Content-Type")), boundary;
	bool is_found;

	if (!str_starts_nocase(type, STR("multipart/")))
		return false;
	boundary = parameter(type, STR("boundary"));
	if (boundary.len == 0)         /* folded without a blank: the parameter became a line of its own */
		boundary = parameter(header, STR("boundary"));
	if (boundary.len == 0)         /* in pieces, "boundary*0=" (RFC 2231); if memory is out, the next to ask for some says so */
		(void)header_param(type, STR("boundary"), w->arena, &boundary, &is_found);
	if (boundary.len == 0 || w->depth == PARTS_DEPTH_MAX)
		return false;
	w->boundaries[w->depth++] = boundary;
	if (is_outermost) {
		w->out->is_multipart = true;
		w->out->is_digest = str_starts_nocase(type, STR("multipart/digest"));
	}
	return true;
}

/* The octets up to the next boundary line; `rest` begins behind it. Returns the boundary's level, 0 at the end. */
static size_t body_until_boundary(const struct walk *w, struct str *rest, struct str *out_body, bool *out_is_end)
{
	const char *from = rest->ptr;
	struct str line;

	while (rest->len) {
		const char *at = rest->ptr;
		size_t level;

		if (at[0] != '-') {    /* nearly every line */
			size_t n = str_find_byte(*rest, '\n');

			*rest = str_from(*rest, n < rest->len ? n + 1 : n);
			continue;
		}
		line_next(rest, &line);
		level = boundary_at(w, line, out_is_end);
		if (level) {
			*out_body = str_of(from, (size_t)(at - from));
			return level;
		}
	}
	*out_body = str_of(from, (size_t)(rest->ptr - from));
	return 0;
}

/* Behind the head of a returned message nothing is worth much reading, however long the message is. */
static void returned_limit(const struct walk *w, struct str header, struct str *rest)
{
	enum part_kind kind = kind_of(parts_field(header, STR("Content-Type")));
	bool has_status = false;

	if (kind != PART_MESSAGE && kind != PART_HEADERS)
		return;
	for (size_t i = 0; i < w->out->count; i++)
		has_status |= w->out->items[i].kind == PART_STATUS || w->out->items[i].kind == PART_FEEDBACK;
	*rest = str_slice(*rest, 0, has_status ? PARTS_RETURNED_MAX / 8 : PARTS_RETURNED_MAX);
}

static void multipart_walk(struct walk *w, struct str body)
{
	struct str rest = body, part, header, inner;
	bool is_end = false, is_part = false;

	for (size_t n = 0; n < PARTS_BOUNDARIES_MAX; n++) {
		size_t level = body_until_boundary(w, &rest, &part, &is_end);

		if (is_part) {
			parts_split(part, &header, &inner);
			part_add(w, kind_of(parts_field(header, STR("Content-Type"))), header, inner);
		}
		if (level == 0)
			return;
		w->depth = is_end ? level - 1 : level;
		is_part = !is_end;
		if (w->depth == 0)
			return;
		if (!is_part)
			continue;

		header = header_ahead(w, rest);
		returned_limit(w, header, &rest);
		/* a multipart inside: its parts follow, its own body is nothing */
		if (multipart_open(w, header, false)) {
			rest = str_from(rest, header.len);
			is_part = false;
		}
	}
}

void parts_find(struct str header, struct str body, struct arena *arena, struct parts *out)
{
	struct walk w = { .out = out, .arena = arena };

	*out = (struct parts){ .count = 0 };
	if (multipart_open(&w, header, true))
		multipart_walk(&w, body);
	if (out->count > 0)
		return;

	enum part_kind kind = kind_of(parts_field(header, STR("Content-Type")));

	part_add(&w, kind == PART_OTHER && out->is_multipart ? PART_TEXT : kind, header, body);
}

/* Can one see by the octets whether they are UTF-8 or ISO-2022? UTF-16, which has NULs, and UTF-7 look like anything. */
static bool has_look(const struct charset *charset, struct str octets)
{
	return !charset || charset->shape < CHARSET_WIDE ||
	       (charset->shape == CHARSET_WIDE && octets.len && str_find_byte(octets, '\0') == octets.len);
}

/* What the octets mean, in UTF-8: by their look, where they have one, and then by the label. */
static bool to_utf8(struct str label, struct str octets, struct arena *arena, struct str *out)
{
	const struct charset *charset = charset_find(label);
	bool is_plain = has_look(charset, octets);
	struct buf utf8;
	struct str text;

	if (is_plain && str_find_byte(octets, '\x1b') < octets.len)
		charset = charset_find(STR("iso-2022-jp"));    /* nothing else escapes, whatever the label says */
	else if (is_plain && utf8_is_valid(octets))
		charset = NULL;                                /* nor does anything else look like UTF-8 by chance */
	if (!charset || charset->is_utf8) {
		*out = octets;
		return true;
	}
	buf_init(&utf8, octets.len * CHARSET_GROWTH);
	(void)charset_to_utf8(charset, octets, &utf8);

	bool ok = buf_done(&utf8, &text, NULL) && arena_copy(arena, text, out);

	buf_clear(&utf8);
	return ok;
}

bool parts_field_text(struct str value, struct str content_type, struct arena *arena, struct str *out)
{
	struct str label = parameter(content_type, STR("charset"));

	if (str_find_byte(value, '\x1b') == value.len && utf8_is_valid(value)) {
		*out = value;
		return true;
	}
	return to_utf8(label, value, arena, out);
}

bool part_decode(const struct part *part, size_t max, struct arena *arena, struct str *out)
{
	struct str encoding = parts_field(part->header, STR("Content-Transfer-Encoding"));
	struct str label = parameter(parts_field(part->header, STR("Content-Type")), STR("charset"));
	struct str body = str_slice(part->body, 0, max);
	bool is_base64 = str_starts_nocase(encoding, STR("base64"));

	if (is_base64 || str_starts_nocase(encoding, STR("quoted-printable"))) {
		struct buf plain;
		struct str text;

		buf_init(&plain, body.len + 16);
		if (is_base64)
			(void)base64_decode(body, &plain);
		else
			qp_decode(body, &plain);

		bool ok = buf_done(&plain, &text, NULL) && arena_copy(arena, text, &body);

		buf_clear(&plain);
		if (!ok)
			return false;
	}
	return to_utf8(label, body, arena, out);
}

/* Character references become what they mean; a blank that does not break is a blank. */
static bool references_undo(struct arena *arena, struct str text, struct str *out)
{
	struct buf plain;
	struct str made;
	size_t n = 0;

	buf_init(&plain, text.len * 3 + 16);           /* a NUL becomes three octets, hardly a reference grows */
	entities_decode(text, &plain);

	bool ok = buf_done(&plain, &made, NULL);
	char *to = ok ? arena_alloc(arena, made.len + 1) : NULL;

	for (size_t i = 0; to && i < made.len; i++) {
		bool is_blank = str_starts(str_from(made, i), STR("\xc2\xa0"));

		to[n++] = is_blank ? ' ' : made.ptr[i];
		i += is_blank;
	}
	buf_clear(&plain);
	*out = str_of(to, n);
	return to != NULL;
}

/* Tags go, those that end a line end it. */
bool part_strip_html(struct arena *arena, struct str html, struct str *out)
{
	static const struct str inline_tags[] = {
		STR_INIT("<a "), STR_INIT("</a"), STR_INIT("<b>"), STR_INIT("</b"), STR_INIT("<i>"), STR_INIT("</i"), STR_INIT("<span"),
		STR_INIT("</span"), STR_INIT("<font"), STR_INIT("</font"), STR_INIT("<strong"), STR_INIT("</strong"), STR_INIT("<em"),
		STR_INIT("</em"),
	};
	char *to = arena_alloc(arena, html.len + 1);
	size_t n = 0;

	if (!to)
		return false;
	for (size_t at = 0; at < html.len;) {
		struct str left = str_from(html, at);

		if (left.ptr[0] == '<') {
			bool is_inline = false, is_hidden = str_starts_nocase(left, STR("<style")) || str_starts_nocase(left, STR("<script"));

			for (size_t i = 0; i < sizeof inline_tags / sizeof *inline_tags; i++)
				is_inline |= str_starts_nocase(left, inline_tags[i]);
			if (!is_inline)
				to[n++] = '\n';
			at += is_hidden ? str_find(left, STR("</")) + 1 : str_find_byte(left, '>') + 1;
			continue;
		}
		to[n++] = left.ptr[0];
		at++;
	}
	return references_undo(arena, str_of(to, n), out);
}
