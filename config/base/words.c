#include "config/base/words.h"

#define LOCAL_MAX 256                  /* octets; RFC 5321 4.5.3.1.1 has 64 */
#define SENTENCE_END '\n'              /* in no phrase: keeps two texts apart */

void words_init(struct words *words, char *ptr, size_t max)
{
	*words = (struct words){ .ptr = ptr, .max = max };
}

struct str words_view(const struct words *words)
{
	return str_of(words->ptr, words->len);
}

static void put(struct words *words, char c)
{
	if (words->len == words->max) {
		words->is_full = true;
		return;
	}
	words->ptr[words->len++] = c;
}

static void put_blank(struct words *words)
{
	if (words->len == 0 || words->ptr[words->len - 1] != ' ')
		put(words, ' ');
}

/* RFC 5322 3.2.3 atext and the dot, and what is not ASCII (RFC 6531). */
static bool is_local_part(char c)
{
	switch (c) {
	case '.': case '!': case '#': case '$': case '%': case '&': case '\'': case '*': case '+': case '-': case '/':
	case '=': case '?': case '^': case '_': case '`': case '{': case '|': case '}': case '~':
		return true;
	default:
		return ascii_is_alnum(c) || (uint8_t)c >= 0x80;
	}
}

static bool is_domain(char c, bool with_unicode)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || (with_unicode && (uint8_t)c >= 0x80);
}

/* The end of a domain that begins at `from`; `from` itself when it has no dot. */
static size_t domain_end(struct str text, size_t from, bool with_unicode)
{
	bool has_dot = false;
	size_t end = from;

	for (; end < text.len && end - from < 512 && is_domain(text.ptr[end], with_unicode); end++)
		has_dot |= text.ptr[end] == '.' && end > from && end + 1 < text.len && is_domain(text.ptr[end + 1], with_unicode) &&
			   text.ptr[end + 1] != '.';
	while (end > from && (text.ptr[end - 1] == '.' || text.ptr[end - 1] == '-' || text.ptr[end - 1] == '_'))
		end--;
	return has_dot && end > from + 2 ? end : from;
}

/* Behind a local part in quotation marks, as addresses need it that carriers of Japan gave out: "a..b."@docomo.ne.jp. 0: none. */
static size_t quoted_end(struct str text)
{
	size_t at = 1;

	if (text.len == 0 || text.ptr[0] != '"')
		return 0;
	for (; at < text.len && at < LOCAL_MAX && text.ptr[at] != '"'; at++) {
		at += text.ptr[at] == '\\';
		if (at == text.len || (uint8_t)text.ptr[at] < ' ')
			return 0;
	}
	return at > 1 && at < text.len && text.ptr[at] == '"' ? at + 1 : 0;
}

size_t words_address(struct str text)
{
	size_t local = quoted_end(text), end;

	if (local == 0)
		while (local < text.len && local < LOCAL_MAX && is_local_part(text.ptr[local]))
			local++;
	if (local == 0 || local + 1 >= text.len || text.ptr[local] != '@')
		return 0;
	/* "收件人：neko@example.jp": words of a script without blanks, then an address that begins later */
	if ((uint8_t)text.ptr[0] >= 0x80 && (uint8_t)text.ptr[local - 1] < 0x80)
		return 0;
	end = local + 1;
	if (text.ptr[end] == '[') {
		while (end < text.len && end - local < 60 && text.ptr[end] != ']' && (uint8_t)text.ptr[end] > ' ')
			end++;
		return end < text.len && text.ptr[end] == ']' ? end + 1 : 0;
	}
	/* a script without blanks may follow directly, so the name ends with ASCII where it can */
	end = domain_end(text, local + 1, false);
	if (end == local + 1)
		end = domain_end(text, local + 1, true);
	return end > local + 1 ? end : 0;
}

static size_t link_start(struct str text)
{
	static const struct str starts[] = { STR_INIT("http://"), STR_INIT("https://"), STR_INIT("www.") };

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
		if (str_starts_nocase(text, starts[i]))
			return starts[i].len;
	return 0;
}

static bool is_link_end(char c)
{
	return (uint8_t)c <= ' ' || (uint8_t)c >= 0x7f || c == '<' || c == '>' || c == '"' || c == ')' || c == ']';
}

/* A web address at the start of text: its length to the blank, bracket or quote that ends it, or 0. */
static size_t link_length(struct str text)
{
	size_t end = link_start(text);

	while (end && end < text.len && !is_link_end(text.ptr[end]))
		end++;
	return end;
}

static size_t digits(struct str text, size_t at)
{
	size_t end = at;

	while (end < text.len && end - at < 4 && ascii_is_digit(text.ptr[end]))
		end++;
	return end - at;
}

size_t words_enhanced(struct str text)
{
	if (text.len < 5 || !(text.ptr[0] == '2' || text.ptr[0] == '4' || text.ptr[0] == '5') || text.ptr[1] != '.')
		return 0;
	size_t subject = digits(text, 2);

	if (subject < 1 || subject > 3 || 2 + subject >= text.len || text.ptr[2 + subject] != '.')
		return 0;
	size_t detail = digits(text, 3 + subject), end = 3 + subject + detail;

	if (detail < 1 || detail > 3)
		return 0;
	if (end < text.len && text.ptr[end] == '.' && digits(text, end + 1) > 0)
		return 0;
	return end < text.len && ascii_is_alpha(text.ptr[end]) ? 0 : end;
}

int words_reply(struct str text)
{
	if (digits(text, 0) != 3 || text.ptr[0] < '2' || text.ptr[0] > '5' || text.ptr[1] > '7')
		return 0;
	if (text.len > 3 && (ascii_is_alnum(text.ptr[3]) || text.ptr[3] == '.' || text.ptr[3] == '/'))
		return 0;
	return (text.ptr[0] - '0') * 100 + (text.ptr[1] - '0') * 10 + (text.ptr[2] - '0');
}

/* A reply code that stands as one: first in its text, joined by "-", or before an enhanced code. */
static size_t reply_length(struct str text, bool is_first)
{
	if (!words_reply(text))
		return 0;
	if (is_first || (text.len > 3 && text.ptr[3] == '-'))
		return text.len > 3 && text.ptr[3] == '-' ? 4 : 3;
	return text.len > 4 && text.ptr[3] == ' ' && words_enhanced(str_from(text, 4)) ? 3 : 0;
}

/* Lower case of two-octet letters: Latin-1, Greek, Cyrillic. */
static unsigned lower_of(unsigned c)
{
	if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3ab) || (c >= 0x410 && c <= 0x42f))
		return c + 0x20;
	if (c >= 0x400 && c <= 0x40f)
		return c + 0x50;
	switch (c) {                   /* with an accent, and the sigma at the end of a word, which capitals do not tell */
	case 0x386: return 0x3ac;
	case 0x388: case 0x389: case 0x38a: return c + 0x25;
	case 0x38c: return 0x3cc;
	case 0x38e: case 0x38f: return c + 0x3f;
	case 0x3c2: return 0x3c3;
	default: return c;
	}
}

static size_t put_two(struct words *words, struct str text)
{
	uint8_t a = (uint8_t)text.ptr[0], b = (uint8_t)text.ptr[1];

	if (a == 0xc2 && b == 0xa0) {
		put_blank(words);
		return 2;
	}
	if ((b & 0xc0) == 0x80) {
		unsigned c = lower_of((unsigned)(a & 0x1f) << 6 | (b & 0x3f));

		a = (uint8_t)(0xc0 | c >> 6);
		b = (uint8_t)(0x80 | (c & 0x3f));
	}
	put(words, (char)a);
	put(words, (char)b);
	return 2;
}

/* Typographic quotes are apostrophes or blanks like their ASCII likes; so are U+2013, U+2014, U+2026 and U+3000. */
static size_t put_wide(struct words *words, struct str text)
{
	uint8_t a = (uint8_t)text.ptr[0];

	if (text.len >= 2 && (a == 0xc2 || a == 0xc3 || a == 0xce || a == 0xcf || a == 0xd0))
		return put_two(words, text);
	if (text.len >= 3 && a == 0xe2 && (uint8_t)text.ptr[1] == 0x80) {
		uint8_t c = (uint8_t)text.ptr[2];

		if (c != 0x98 && c != 0x99)
			put_blank(words);
		return 3;
	}
	if (text.len >= 3 && a == 0xe3 && (uint8_t)text.ptr[1] == 0x80 && (uint8_t)text.ptr[2] == 0x80) {
		put_blank(words);
		return 3;
	}
	put(words, text.ptr[0]);
	return 1;
}

/* What begins a word here and is no word: its length. */
static size_t skip_length(struct words *words, struct str text, bool is_first)
{
	size_t n = 0;

	if (ascii_is_digit(text.ptr[0])) {
		n = reply_length(text, is_first);
		if (n == 0)
			n = words_enhanced(text);
		if (n)
			return n;
	}
	if (is_local_part(text.ptr[0]) || text.ptr[0] == '"') {
		n = words_address(text);
		words->has_address |= n > 0;
	}
	return n;
}

/* The length of a web address to leave out; one that stays is only noted, not measured: each of its words may begin another. */
static size_t link_skip(struct words *words, struct str text)
{
	if (!link_start(text))
		return 0;
	words->has_link = true;
	return words->without_links ? link_length(text) : 0;
}

/* How far no address can begin: looked for once a run, so that a long run without @ is not read again at each octet. */
static size_t run_end(struct str text, size_t at)
{
	while (at < text.len && is_local_part(text.ptr[at]))
		at++;
	return at < text.len && text.ptr[at] == '@' ? 0 : at;
}

void words_add(struct words *words, struct str text)
{
	size_t plain_to = 0;
	bool in_word = false, is_first = true;

	if (words->len)
		put(words, SENTENCE_END);
	put_blank(words);
	for (size_t at = 0; at < text.len && !words->is_full;) {
		char c = text.ptr[at];

		if (!in_word) {
			size_t n = link_skip(words, str_from(text, at));

			if (n) {
				put_blank(words);
				at += n;
				continue;
			}
		}
		if (!in_word && at >= plain_to && is_local_part(c))
			plain_to = run_end(text, at);
		if (!in_word && (ascii_is_digit(c) || at >= plain_to)) {
			size_t n = skip_length(words, str_from(text, at), is_first);

			if (n) {
				at += n;
				continue;
			}
		}
		if (ascii_is_alnum(c)) {
			put(words, ascii_lower(c));
			in_word = true;
			is_first = false;
			at++;
		} else if (c == '\'') {
			at++;
		} else if ((uint8_t)c >= 0x80) {
			at += put_wide(words, str_from(text, at));
			in_word = false;       /* what follows may begin a word: scripts without blanks */
			is_first = false;
		} else {
			put_blank(words);
			in_word = false;
			at++;
		}
	}
	put_blank(words);
}
