#include "milter/record/scan.h"

#include "config/base/json.h"
#include "config/base/num.h"

static struct str skip_blank(struct str s)
{
	while (s.len && (*s.ptr == ' ' || *s.ptr == '\t' || *s.ptr == '\r' || *s.ptr == '\n'))
		s = str_from(s, 1);
	return s;
}

/* Octets of the string at the start of s, quotes included; 0 when it does not end. */
static size_t string_size(struct str s)
{
	for (size_t at = 1; at < s.len; at++) {
		at += str_find_byte(str_from(s, at), '"');
		if (at >= s.len)
			return 0;

		/* A quote after an odd run of backslashes is part of the string. */
		size_t slashes = 0;

		while (slashes < at - 1 && s.ptr[at - 1 - slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			return at + 1;
	}
	return 0;
}

static size_t word_size(struct str s)
{
	size_t n = 0;

	while (n < s.len && (ascii_is_alnum(s.ptr[n]) || s.ptr[n] == '-' || s.ptr[n] == '+' || s.ptr[n] == '.'))
		n++;
	return n;
}

static size_t nest_size(struct str s)
{
	uint64_t is_object = 0;                     /* one bit a depth: what its closing bracket must be */
	int depth = 0;

	for (size_t at = 0; at < s.len; at++) {
		char c = s.ptr[at];

		if (c == '"') {
			size_t n = string_size(str_from(s, at));

			if (n == 0)
				return 0;
			at += n - 1;
		} else if (c == '{' || c == '[') {
			if (depth == SCAN_DEPTH_MAX)
				return 0;
			is_object = is_object << 1 | (c == '{');
			depth++;
		} else if (c == '}' || c == ']') {
			if ((is_object & 1) != (c == '}'))
				return 0;
			is_object >>= 1;
			if (--depth == 0)
				return at + 1;
		}
	}
	return 0;
}

static size_t value_size(struct str s)
{
	if (s.len == 0)
		return 0;
	if (*s.ptr == '"')
		return string_size(s);
	return *s.ptr == '{' || *s.ptr == '[' ? nest_size(s) : word_size(s);
}

bool scan_open(struct str text, char bracket, struct scan *out)
{
	text = skip_blank(text);
	if (text.len == 0 || *text.ptr != bracket)
		return false;
	*out = (struct scan){ .rest = str_from(text, 1) };
	return true;
}

static bool take_value(struct scan *scan, struct str *out)
{
	size_t n = value_size(scan->rest);

	if (n == 0)
		return false;
	*out = str_slice(scan->rest, 0, n);
	scan->rest = skip_blank(str_from(scan->rest, n));
	return true;
}

/* The comma that is due, or the closing bracket. */
static enum scan_step next_step(struct scan *scan, char closing)
{
	scan->rest = skip_blank(scan->rest);
	if (scan->rest.len == 0)
		return SCAN_BAD;

	char c = *scan->rest.ptr;

	if (c == closing) {
		scan->rest = str_from(scan->rest, 1);
		return SCAN_END;
	}
	if (scan->has_begun) {
		if (c != ',')
			return SCAN_BAD;
		scan->rest = skip_blank(str_from(scan->rest, 1));
	}
	scan->has_begun = true;
	return SCAN_ITEM;
}

enum scan_step scan_member(struct scan *scan, struct str *out_key, struct str *out_value)
{
	enum scan_step step = next_step(scan, '}');
	struct str key;

	if (step != SCAN_ITEM)
		return step;
	if (scan->rest.len == 0 || *scan->rest.ptr != '"' || !take_value(scan, &key))
		return SCAN_BAD;
	if (scan->rest.len == 0 || *scan->rest.ptr != ':')
		return SCAN_BAD;
	scan->rest = skip_blank(str_from(scan->rest, 1));
	if (!take_value(scan, out_value))
		return SCAN_BAD;
	*out_key = str_slice(key, 1, key.len - 2);
	return SCAN_ITEM;
}

enum scan_step scan_item(struct scan *scan, struct str *out_value)
{
	enum scan_step step = next_step(scan, ']');

	if (step != SCAN_ITEM)
		return step;
	return take_value(scan, out_value) ? SCAN_ITEM : SCAN_BAD;
}

bool scan_is_string(struct str value, struct str *out_escaped)
{
	if (value.len < 2 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"')
		return false;
	*out_escaped = str_slice(value, 1, value.len - 2);
	return true;
}

bool scan_string(struct str value, struct arena *arena, struct str *out)
{
	struct str escaped;

	if (!scan_is_string(value, &escaped))
		return false;
	if (str_find_byte(escaped, '\\') == escaped.len) {
		*out = escaped;
		return true;
	}

	/* Unescaping never makes text longer, so this buf has its room from the start. */
	struct buf buf = { .ptr = arena_alloc(arena, escaped.len), .size = escaped.len, .max = escaped.len };

	if (!buf.ptr || !json_unescape(&buf, escaped) || buf.failed)
		return false;
	*out = buf_view(&buf);
	return true;
}

bool scan_i64(struct str value, int64_t *out)
{
	return num_parse_i64(value, out);
}

bool scan_find(struct str object, struct str key, struct str *out_value)
{
	struct scan scan;
	struct str name, value;

	if (!scan_open(object, '{', &scan))
		return false;
	while (scan_member(&scan, &name, &value) == SCAN_ITEM) {
		if (str_eq(name, key)) {
			*out_value = value;
			return true;
		}
	}
	return false;
}

bool scan_find_string(struct str object, struct str key, struct str *out_escaped)
{
	struct str value;

	return scan_find(object, key, &value) && scan_is_string(value, out_escaped);
}

bool scan_find_i64(struct str object, struct str key, int64_t *out)
{
	struct str value;

	return scan_find(object, key, &value) && scan_i64(value, out);
}
