#include "milter/mail/header.h"

#include "milter/mail/charset.h"

static struct str line_next(struct str *rest)
{
	size_t lf = str_find_byte(*rest, '\n');
	struct str line = str_slice(*rest, 0, lf < rest->len ? lf + 1 : lf);

	*rest = str_from(*rest, line.len);
	return line;
}

static struct str without_eol(struct str line)
{
	if (line.len && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 5322 2.2: printable ASCII but the colon. Blanks before the colon are obsolete syntax, 8-bit names are seen. */
static bool is_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == 0x7f)
			return false;
	return name.len > 0;
}

bool header_next(struct str *rest, struct header *out)
{
	struct str after = *rest, line = line_next(&after), name, value;

	if (!str_cut(line, ':', &name, &value))
		return false;
	while (name.len && is_blank(name.ptr[name.len - 1]))
		name.len--;
	if (!is_name(name))
		return false;
	while (after.len && is_blank(after.ptr[0])) {
		struct str more = line_next(&after);

		line.len += more.len;
		value.len += more.len;
	}
	value = without_eol(value);
	if (value.len && is_blank(value.ptr[0]))
		value = str_from(value, 1);
	*out = (struct header){ .name = name, .value = value, .line = line };
	*rest = after;
	return true;
}

void header_split(struct str text, struct str *out_header, struct str *out_body, bool *out_has_blank)
{
	struct str rest = text;
	struct header field;

	while (header_next(&rest, &field))
		;
	*out_header = str_slice(text, 0, text.len - rest.len);
	*out_has_blank = str_starts(rest, STR("\n")) || str_starts(rest, STR("\r\n"));
	if (*out_has_blank)
		line_next(&rest);
	*out_body = rest;
}

const struct header *header_find(const struct header *fields, size_t count, struct str name, size_t *out_count)
{
	const struct header *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(fields[i].name, name)) {
			first = first ? first : &fields[i];
			n++;
		}
	if (out_count)
		*out_count = n;
	return first;
}

/* RFC 5322 3.2.2: comments nest, and a backslash takes away the next octet's meaning. An open one goes to the end. */
static size_t comment_length(struct str s)
{
	size_t depth = 0, at = 0;

	for (; at < s.len; at++) {
		if (s.ptr[at] == '\\')
			at++;
		else if (s.ptr[at] == '(')
			depth++;
		else if (s.ptr[at] == ')' && --depth == 0)
			return at + 1;
	}
	return s.len;
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

static struct str skip_space(struct str s)
{
	for (;;) {
		if (s.len && is_space(s.ptr[0]))
			s = str_from(s, 1);
		else if (s.len && s.ptr[0] == '(')
			s = str_from(s, comment_length(s));
		else
			return s;
	}
}

bool header_plain(struct str value, struct arena *arena, struct str *out)
{
	char *text = arena_alloc(arena, value.len + 1);
	size_t len = 0;
	bool is_quoted = false;

	if (!text)
		return false;
	while (value.len) {
		char c = value.ptr[0];

		if (!is_quoted && c == '(') {
			value = str_from(value, comment_length(value));
			continue;
		}
		is_quoted ^= c == '"';
		if (c != '\r' && c != '\n')
			text[len++] = c;
		value = str_from(value, 1);
	}
	*out = str_trim(str_of(text, len));
	return true;
}

bool header_main(struct str value, struct arena *arena, struct str *out)
{
	struct str plain, rest;

	if (!header_plain(value, arena, &plain))
		return false;
	str_cut(plain, ';', &plain, &rest);
	return arena_copy_lower(arena, str_trim(plain), out);
}

/* One "name=value" of a parameter list, still in its RFC 2231 clothes. */
struct param {
	struct str name, value;
};

static struct str token_read(struct str *rest, const char *stops)
{
	size_t end = 0;

	while (end < rest->len && !is_space(rest->ptr[end]) && !strchr(stops, rest->ptr[end]))
		end++;

	struct str token = str_slice(*rest, 0, end);

	*rest = str_from(*rest, end);
	return token;
}

static bool quoted_read(struct str *rest, struct arena *arena, struct str *out)
{
	char *text = arena_alloc(arena, rest->len);
	size_t len = 0, at = 1;

	if (!text)
		return false;
	for (; at < rest->len && rest->ptr[at] != '"'; at++) {
		if (rest->ptr[at] == '\\' && at + 1 < rest->len)
			at++;
		if (rest->ptr[at] != '\r' && rest->ptr[at] != '\n')
			text[len++] = rest->ptr[at];
	}
	*rest = str_from(*rest, at + 1);
	*out = str_of(text, len);
	return true;
}

/* *out_more is false at the end of the list. */
static bool param_next(struct str *rest, struct arena *arena, struct param *out, bool *out_more)
{
	*out = (struct param){ .name = STR_EMPTY, .value = STR_EMPTY };
	*out_more = false;
	/* Anything between here and the semicolon belongs to no parameter. */
	while (rest->len && rest->ptr[0] != ';') {
		struct str unread;

		if (rest->ptr[0] == '(')
			*rest = str_from(*rest, comment_length(*rest));
		else if (rest->ptr[0] == '"' && !quoted_read(rest, arena, &unread))
			return false;
		else if (rest->len && rest->ptr[0] != ';')
			*rest = str_from(*rest, 1);
	}
	if (rest->len == 0)
		return true;
	*rest = skip_space(str_from(*rest, 1));
	out->name = token_read(rest, "=;(\"");
	*rest = skip_space(*rest);
	*out_more = true;
	if (rest->len == 0 || rest->ptr[0] != '=')
		return true;
	*rest = skip_space(str_from(*rest, 1));
	if (rest->len && rest->ptr[0] == '"')
		return quoted_read(rest, arena, &out->value);
	out->value = token_read(rest, ";(");
	return true;
}

/* The pieces of one parameter (RFC 2231): name, name*, name*0, name*0*, name*1 ... */
struct pieces {
	struct str plain, extended, numbered[HEADER_PARAMS_MAX];
	bool has_plain, has_extended, has_number[HEADER_PARAMS_MAX], is_encoded[HEADER_PARAMS_MAX];
};

static void pieces_take(struct pieces *pieces, struct str suffix, struct str value)
{
	size_t number = 0, at = 1;

	if (suffix.len == 0) {
		if (!pieces->has_plain)
			pieces->plain = value;
		pieces->has_plain = true;
	} else if (suffix.ptr[0] != '*') {
		return;
	} else if (suffix.len == 1) {
		if (!pieces->has_extended)
			pieces->extended = value;
		pieces->has_extended = true;
	} else {
		for (; at < suffix.len && ascii_is_digit(suffix.ptr[at]) && number < HEADER_PARAMS_MAX; at++)
			number = number * 10 + (size_t)(suffix.ptr[at] - '0');
		if (at == 1 || number >= HEADER_PARAMS_MAX || pieces->has_number[number])
			return;
		pieces->numbered[number] = value;
		pieces->has_number[number] = true;
		pieces->is_encoded[number] = at < suffix.len;
	}
}

static void percent_decode(struct str s, struct buf *out)
{
	while (s.len) {
		int high, low;

		if (s.ptr[0] == '%' && s.len >= 3 && (high = ascii_hex(s.ptr[1])) >= 0 &&
		    (low = ascii_hex(s.ptr[2])) >= 0) {
			buf_add_byte(out, (char)(high * 16 + low));
			s = str_from(s, 3);
		} else {
			buf_add_byte(out, s.ptr[0]);
			s = str_from(s, 1);
		}
	}
}

/* "charset'language'text": the charset is taken off; without the quotes there is none. */
static const struct charset *extended_charset(struct str *value)
{
	struct str label, language, text, rest;

	if (!str_cut(*value, '\'', &label, &rest) || !str_cut(rest, '\'', &language, &text))
		return NULL;
	*value = text;
	return charset_find(label);
}

static void pieces_join(struct pieces *pieces, struct buf *octets, const struct charset **out_charset)
{
	if (pieces->has_number[0]) {
		for (size_t i = 0; i < HEADER_PARAMS_MAX && pieces->has_number[i]; i++) {
			struct str value = pieces->numbered[i];

			if (i == 0 && pieces->is_encoded[0])
				*out_charset = extended_charset(&value);
			if (pieces->is_encoded[i])
				percent_decode(value, octets);
			else
				buf_add(octets, value);
		}
	} else if (pieces->has_extended) {
		*out_charset = extended_charset(&pieces->extended);
		percent_decode(pieces->extended, octets);
	} else {
		buf_add(octets, pieces->plain);
	}
}

static bool pieces_result(struct pieces *pieces, struct arena *arena, struct str *out)
{
	const struct charset *charset = NULL;
	struct buf octets, utf8;

	buf_init(&octets, arena->limit);
	buf_init(&utf8, arena->limit);
	pieces_join(pieces, &octets, &charset);
	if (charset)
		charset_to_utf8(charset, buf_view(&octets), &utf8);

	bool ok = !octets.failed && !utf8.failed && arena_copy(arena, buf_view(charset ? &utf8 : &octets), out);

	buf_clear(&octets);
	buf_clear(&utf8);
	return ok;
}

bool header_param(struct str value, struct str name, struct arena *arena, struct str *out, bool *out_found)
{
	struct pieces pieces = { .plain = STR_EMPTY };
	struct param param;
	bool more = true;

	*out = STR_EMPTY;
	for (size_t n = 0; more && n < HEADER_PARAMS_MAX; n++) {
		if (!param_next(&value, arena, &param, &more))
			return false;
		if (more && str_starts_nocase(param.name, name))
			pieces_take(&pieces, str_from(param.name, name.len), param.value);
	}
	*out_found = pieces.has_plain || pieces.has_extended || pieces.has_number[0];
	return !*out_found || pieces_result(&pieces, arena, out);
}
