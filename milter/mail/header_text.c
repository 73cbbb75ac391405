/* header_text: unstructured text and RFC 2047 encoded words. */
#include "config/base/utf8.h"
#include "milter/mail/base64.h"
#include "milter/mail/charset.h"
#include "milter/mail/header.h"

#define WORD_MAX 2048          /* octets of one encoded word; RFC 2047 allows 75, and a bound keeps us linear */

struct word {
	struct str charset, text;
	char encoding;                 /* 'b' or 'q' */
};

/* "=?charset*language?encoding?text?=" at the start of s; its length, 0 for none. */
static size_t word_read(struct str s, struct word *out)
{
	struct str rest = str_from(str_slice(s, 0, WORD_MAX), 2), charset, encoding, text, language;

	if (!str_starts(s, STR("=?")) || !str_cut(rest, '?', &charset, &rest) || !str_cut(rest, '?', &encoding, &rest))
		return 0;

	size_t end = str_find(rest, STR("?="));

	if (end == rest.len || encoding.len != 1)
		return 0;
	text = str_slice(rest, 0, end);
	str_cut(charset, '*', &charset, &language);
	*out = (struct word){ .charset = charset, .text = text, .encoding = ascii_lower(encoding.ptr[0]) };
	if (str_find_byte(charset, '\n') < charset.len || str_find_byte(text, '\n') < text.len)
		return 0;
	return out->encoding == 'b' || out->encoding == 'q' ? (size_t)(rest.ptr - s.ptr) + end + 2 : 0;
}

static void q_decode(struct str s, struct buf *out)
{
	while (s.len) {
		int high, low;
		size_t n = 1;

		if (s.ptr[0] == '=' && s.len >= 3 && (high = ascii_hex(s.ptr[1])) >= 0 &&
		    (low = ascii_hex(s.ptr[2])) >= 0) {
			buf_add_byte(out, (char)(high * 16 + low));
			n = 3;
		} else {
			buf_add_byte(out, s.ptr[0] == '_' ? ' ' : s.ptr[0]);
		}
		s = str_from(s, n);
	}
}

/* Octets of neighbouring words of one charset are joined before they are read: senders split characters. */
struct run {
	struct buf octets;
	const struct charset *charset;
	bool is_open;
};

/* Words may hold line ends and other controls in disguise; the text stays one line. */
static void run_flush(struct run *run, struct buf *out)
{
	struct str text = buf_view(&run->octets);
	size_t from = out->len;

	if (run->is_open)
		charset_to_utf8(run->charset ? run->charset : charset_utf8, text, out);
	for (size_t i = from; i < out->len; i++)
		if ((unsigned char)out->ptr[i] < ' ')
			out->ptr[i] = ' ';
	out->failed |= run->octets.failed;
	buf_reset(&run->octets);
	run->is_open = false;
}

static void run_add(struct run *run, const struct word *word, struct buf *out)
{
	const struct charset *charset = charset_find(word->charset);

	if (run->is_open && run->charset != charset)
		run_flush(run, out);
	run->charset = charset;
	run->is_open = true;
	if (word->encoding == 'b')
		base64_decode(word->text, &run->octets);
	else
		q_decode(word->text, &run->octets);
}

static size_t blank_length(struct str s)
{
	size_t n = 0;

	while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t' || s.ptr[n] == '\r' || s.ptr[n] == '\n'))
		n++;
	return n;
}

static void add_blanks(struct str blanks, struct buf *out)
{
	for (size_t i = 0; i < blanks.len; i++)
		if (blanks.ptr[i] != '\r' && blanks.ptr[i] != '\n')
			buf_add_byte(out, blanks.ptr[i]);
}

/* One character that is no encoded word; 8-bit text is UTF-8 these days (RFC 6532), and what is not cannot be told. */
static size_t add_plain(struct str s, struct buf *out)
{
	size_t n = (unsigned char)s.ptr[0] < 0x80 ? 1 : utf8_length(s);

	buf_add(out, n ? str_slice(s, 0, n) : STR("\xef\xbf\xbd"));
	return n ? n : 1;
}

void header_text(struct str value, struct buf *out)
{
	struct run run = { .charset = NULL };

	buf_init(&run.octets, value.len + 4);
	while (value.len) {
		struct word word;
		struct str blanks = str_slice(value, 0, blank_length(value));
		size_t n = word_read(str_from(value, blanks.len), &word);

		if (n && run.is_open) {         /* RFC 2047 6.2: blanks between two encoded words are not text */
			run_add(&run, &word, out);
		} else {
			run_flush(&run, out);
			add_blanks(blanks, out);
			if (n)
				run_add(&run, &word, out);
		}
		value = str_from(value, blanks.len + n);
		if (!n && value.len) {
			run_flush(&run, out);
			value = str_from(value, add_plain(value, out));
		}
	}
	run_flush(&run, out);
	buf_clear(&run.octets);
}
