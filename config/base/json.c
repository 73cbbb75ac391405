#include "config/base/json.h"

#include <assert.h>
#include <inttypes.h>

#include "config/base/utf8.h"

void json_init(struct json *json, struct buf *out)
{
	*json = (struct json){ .out = out };
}

static void before_value(struct json *json)
{
	uint32_t bit = UINT32_C(1) << json->depth;

	if (!json->after_key && (json->has_member & bit))
		buf_add_byte(json->out, ',');
	json->has_member |= bit;
	json->after_key = false;
}

static void open_with(struct json *json, char bracket)
{
	before_value(json);
	buf_add_byte(json->out, bracket);
	json->depth++;
	assert(json->depth < JSON_DEPTH_MAX);
	json->has_member &= ~(UINT32_C(1) << json->depth);
}

static void close_with(struct json *json, char bracket)
{
	assert(json->depth > 0 && !json->after_key);
	json->depth--;
	buf_add_byte(json->out, bracket);
}

void json_object_open(struct json *json) { open_with(json, '{'); }
void json_object_close(struct json *json) { close_with(json, '}'); }
void json_array_open(struct json *json) { open_with(json, '['); }
void json_array_close(struct json *json) { close_with(json, ']'); }

void json_key(struct json *json, const char *key)
{
	json_key_str(json, str_from_c(key));
}

void json_key_str(struct json *json, struct str key)
{
	json_str(json, key);
	buf_add_byte(json->out, ':');
	json->after_key = true;
}

void json_str(struct json *json, struct str s)
{
	before_value(json);
	buf_add_byte(json->out, '"');
	json_escape(json->out, s);
	buf_add_byte(json->out, '"');
}

void json_i64(struct json *json, int64_t value)
{
	before_value(json);
	buf_printf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, bool value)
{
	before_value(json);
	buf_add_c(json->out, value ? "true" : "false");
}

void json_milli(struct json *json, int64_t thousandths)
{
	int64_t whole = thousandths < 0 ? -thousandths : thousandths;

	before_value(json);
	buf_printf(json->out, "%s%" PRId64 ".%03" PRId64, thousandths < 0 ? "-" : "", whole / 1000, whole % 1000);
}

void json_raw(struct json *json, struct str value)
{
	before_value(json);
	buf_add(json->out, value);
}

void json_member_str(struct json *json, const char *key, struct str s)
{
	json_key(json, key);
	json_str(json, s);
}

void json_member_str_opt(struct json *json, const char *key, struct str s)
{
	if (s.len)
		json_member_str(json, key, s);
}

void json_member_i64(struct json *json, const char *key, int64_t value)
{
	json_key(json, key);
	json_i64(json, value);
}

void json_member_i64_opt(struct json *json, const char *key, int64_t value)
{
	if (value)
		json_member_i64(json, key, value);
}

void json_member_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	json_bool(json, value);
}

/* Octets that go through as they are; the others need a look. */
static bool is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void json_escape(struct buf *out, struct str s)
{
	static const char short_name[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
	size_t plain = 0;

	while (plain < s.len) {
		size_t run = plain;

		while (run < s.len && is_plain(s.ptr[run]))
			run++;
		buf_add(out, str_slice(s, plain, run - plain));
		plain = run;
		if (run == s.len)
			break;

		unsigned char c = (unsigned char)s.ptr[run];
		size_t len = c < 0x80 ? 1 : utf8_length(str_from(s, run));

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 && short_name[c])
			buf_printf(out, "\\%c", short_name[c]);
		else if (c < 0x80)
			buf_printf(out, "\\u%04x", c);
		else if (len == 2 && c == 0xc2 && (unsigned char)s.ptr[run + 1] < 0xa0)     /* C1 controls: U+009B begins what ESC [ does */
			buf_printf(out, "\\u%04x", (unsigned char)s.ptr[run + 1]);
		else if (len)
			buf_add(out, str_slice(s, run, len));
		else
			buf_printf(out, "\\udc%02x", c);
		plain += len ? len : 1;
	}
}

static void add_utf8(struct buf *out, uint32_t c)
{
	char octets[4];

	buf_add(out, str_of(octets, utf8_put(octets, c)));
}

static bool take_hex4(struct str s, uint32_t *out)
{
	uint32_t value = 0;

	if (s.len < 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		int digit = ascii_hex(s.ptr[i]);

		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*out = value;
	return true;
}

/* At "\u": how many octets of s it took, 0 when it is no escape. */
static size_t unescape_u(struct buf *out, struct str s)
{
	uint32_t high, low;

	if (!take_hex4(str_from(s, 2), &high))
		return 0;
	if (high >= 0xd800 && high < 0xdc00) {
		if (s.len < 12 || s.ptr[6] != '\\' || s.ptr[7] != 'u' || !take_hex4(str_from(s, 8), &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return 0;
		add_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
		return 12;
	}
	if (high >= 0xdc80 && high <= 0xdcff)
		buf_add_byte(out, (char)(high & 0xff));
	else if (high >= 0xdc00 && high <= 0xdfff)
		return 0;
	else
		add_utf8(out, high);
	return 6;
}

bool json_unescape(struct buf *out, struct str escaped)
{
	while (escaped.len) {
		size_t run = str_find_byte(escaped, '\\');

		buf_add(out, str_of(escaped.ptr, run));
		escaped = str_from(escaped, run);
		if (escaped.len == 0)
			break;
		if (escaped.len < 2)
			return false;

		static const char short_value[128] = { ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r',
						       ['t'] = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/' };
		unsigned char name = (unsigned char)escaped.ptr[1];
		size_t took = 2;

		if (name == 'u')
			took = unescape_u(out, escaped);
		else if (name < 128 && short_value[name])
			buf_add_byte(out, short_value[name]);
		else
			return false;
		if (took == 0)
			return false;
		escaped = str_from(escaped, took);
	}
	return true;
}
