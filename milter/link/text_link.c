#include "milter/link/text_link.h"

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

/*
 * Do all readers see `url` end where we do? `whole` is the same with what we take for the sentence's, `before` the octet
 * that it begins behind, `rest` what follows.
 */
static bool ends_clearly(char before, struct str url, struct str whole, struct str rest, bool is_joined)
{
	/* Signs of emphasis to some, letters of the address to others. */
	if (whole.len > url.len && (whole.ptr[url.len] == '_' || whole.ptr[url.len] == '~'))
		return false;
	/* What RFC 3986 has in no URL, and browsers have. */
	if (rest.len && rest.ptr[0] && strchr("\\^`{|}", rest.ptr[0]))
		return false;
	/* RFC 3986, appendix C: in angle brackets it may go on in the next line. */
	if (before == '<' && begins_line_end(rest))
		return false;
	return !(is_joined && str_starts(rest, STR(" ")) && begins_line_end(str_from(rest, 1)));
}

/* Where the scheme before the "://" at `at` begins, not before `from`; `at` when there is none, or in the midst of a word. */
static size_t scheme_begin(struct str text, size_t from, size_t at)
{
	static const struct str schemes[] = { STR_INIT("https"), STR_INIT("http") };

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		size_t begin = at - schemes[i].len;

		if (at < from + schemes[i].len || !str_starts_nocase(str_from(text, begin), schemes[i]))
			continue;
		if (begin == 0 || !(ascii_is_alnum(text.ptr[begin - 1]) || strchr("+-./_@", text.ptr[begin - 1])))
			return begin;
	}
	return at;
}

bool text_link_next(struct str text, bool is_joined, size_t from, size_t *out_at, size_t *out_len)
{
	for (size_t at = from; at < text.len;) {
		struct str rest, whole, url;
		size_t begin;

		at += str_find(str_from(text, at), STR("://"));
		begin = at < text.len ? scheme_begin(text, from, at) : at;
		if (begin == at) {
			at += 3;
			continue;
		}
		rest = str_from(text, begin);
		whole = str_slice(rest, 0, octets_length(rest));
		url = str_slice(rest, 0, without_sentence(whole));
		if (ends_clearly(begin ? text.ptr[begin - 1] : '\n', url, whole, str_from(rest, whole.len), is_joined)) {
			*out_at = begin;
			*out_len = url.len;
			return true;
		}
		at = from = begin + whole.len;
	}
	return false;
}
