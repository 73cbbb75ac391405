#include "milter/link/text_link.h"

#include "config/base/utf8.h"

static bool is_url_octet(char c)
{
	return c > ' ' && c < 0x7f && !strchr("<>\"`\\^{}|", c);
}

static size_t octets_length(struct str s)
{
	size_t len = 0;

	while (len < s.len && is_url_octet(s.ptr[len]))
		len++;
	return len;
}

/* What stands behind a URL in a sentence is not its own; a closing bracket is when it was opened inside. */
static size_t without_sentence(struct str url)
{
	size_t opened = 0, closed = 0, len = url.len;

	for (size_t i = 0; i < len; i++) {
		opened += url.ptr[i] == '(';
		closed += url.ptr[i] == ')';
	}
	for (; len; len--) {
		char last = url.ptr[len - 1];

		if (last == ')' ? closed <= opened : !strchr(".,;:!?'*_~]", last))
			break;
		closed -= last == ')';
	}
	return len;
}

static bool begins_line_end(struct str s)
{
	return str_starts(s, STR("\n")) || str_starts(s, STR("\r\n"));
}

bool text_link_goes_on(struct str utf8)
{
	static const struct { struct str first, last; } signs[] = {
		{ STR_INIT("\u00a0"), STR_INIT("\u00a0") }, { STR_INIT("\u00ab"), STR_INIT("\u00ab") },
		{ STR_INIT("\u00bb"), STR_INIT("\u00bb") }, { STR_INIT("\u2000"), STR_INIT("\u206f") },
		{ STR_INIT("\u3000"), STR_INIT("\u3004") }, { STR_INIT("\u3008"), STR_INIT("\u3020") },
		{ STR_INIT("\uff01"), STR_INIT("\uff0f") }, { STR_INIT("\uff1a"), STR_INIT("\uff20") },
		{ STR_INIT("\uff3b"), STR_INIT("\uff40") }, { STR_INIT("\uff5b"), STR_INIT("\uff65") },
	};
	struct str one = str_slice(utf8, 0, utf8_length(utf8));

	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (str_cmp(signs[i].first, one) <= 0 && str_cmp(one, signs[i].last) <= 0)
			return false;
	return true;
}

/* Readers end an address at a bracket that it has not opened, and differ on one that it leaves open: "[http://x](http://x)". */
static bool has_own_brackets(struct str url)
{
	size_t round = 0, square = 0;

	for (size_t i = 0; i < url.len; i++) {
		char c = url.ptr[i];

		if ((c == ')' && round == 0) || (c == ']' && square == 0))
			return false;
		round += c == '(';
		round -= c == ')';
		square += c == '[';
		square -= c == ']';
	}
	return round == 0 && square == 0;
}

/* Signs of emphasis to some and letters of the address to others; a hyphen at the end is left out by some. */
static bool ends_in_emphasis(struct str whole, size_t len)
{
	for (size_t i = len; i < whole.len; i++)
		if (strchr("*_~", whole.ptr[i]))
			return true;
	return str_ends(str_slice(whole, 0, len), STR("-"));
}

/* RFC 3986, appendix C: what ends the address behind `before`, blanks and line ends in it left out; '\0': nothing stands round it. */
static char closer_of(struct str before)
{
	struct str bare = str_trim(before);

	if (str_ends(bare, STR("<")) || str_ends_nocase(bare, STR("<URL:")))
		return '>';
	return str_ends(before, STR("\"")) ? '"' : '\0';
}

/*
 * Do all readers see the address of `len` octets at `begin` end where we do? `whole` is the same with what we take for the
 * sentence's.
 */
static bool ends_clearly(const struct text_links *links, size_t begin, size_t len, struct str whole)
{
	size_t end = begin + whole.len;
	struct str rest = str_from(links->text, end);
	char closer = closer_of(str_slice(links->text, 0, begin));

	if (!has_own_brackets(str_slice(whole, 0, len)))
		return false;
	if (ends_in_emphasis(whole, len))
		return false;
	/* What RFC 3986 has in no URL, and browsers have. */
	if (rest.len && rest.ptr[0] && strchr("\\^`{|}", rest.ptr[0]))
		return false;
	if (rest.len && rest.ptr[0] & 0x80 && links->goes_on(links->arg, end))
		return false;
	/* To some readers it is all up to there, to others it ends where it would in a sentence. */
	if (closer && (whole.len > len || !rest.len || rest.ptr[0] != closer))
		return false;
	return !(links->is_joined && str_starts(rest, STR(" ")) && begins_line_end(str_from(rest, 1)));
}

/* "www.x.example/?u=http://y.example/", as opposed to "URL=http://y.example/". */
static bool is_in_query(struct str text, size_t from, size_t begin)
{
	if (begin == from || text.ptr[begin - 1] != '=')
		return false;
	for (; begin > from && text.ptr[begin - 1] > ' '; begin--)
		if (text.ptr[begin - 1] == '/' || text.ptr[begin - 1] == '?')
			return true;
	return false;
}

/* Where the scheme before the "://" at `at` begins, not before `from`; `at` when there is none, or in the midst of a word. */
static size_t scheme_begin(struct str text, size_t from, size_t at)
{
	static const struct str schemes[] = { STR_INIT("https"), STR_INIT("http") };

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		size_t begin = at - schemes[i].len;

		if (at < from + schemes[i].len || !str_starts_nocase(str_from(text, begin), schemes[i]))
			continue;
		if (begin == 0 || !(ascii_is_alnum(text.ptr[begin - 1]) || strchr("+-./_@", text.ptr[begin - 1]) ||
				    is_in_query(text, from, begin)))
			return begin;
	}
	return at;
}

bool text_link_next(const struct text_links *links, size_t from, size_t *out_at, size_t *out_len)
{
	struct str text = links->text;

	for (size_t at = from; at < text.len;) {
		struct str rest, whole;
		size_t begin, len;

		at += str_find(str_from(text, at), STR("://"));
		begin = at < text.len ? scheme_begin(text, from, at) : at;
		if (begin == at) {
			at += 3;
			continue;
		}
		rest = str_from(text, begin);
		whole = str_slice(rest, 0, octets_length(rest));
		len = without_sentence(whole);
		if (ends_clearly(links, begin, len, whole)) {
			*out_at = begin;
			*out_len = len;
			return true;
		}
		at = from = begin + whole.len;
	}
	return false;
}
