#include "milter/mail/charset.h"

#include <errno.h>

#include "config/base/memory.h"
#include "config/base/utf8.h"

const struct charset *charset_find(struct str label)
{
	char key[42] = " ";

	label = str_trim(label);
	if (label.len == 0 || label.len > sizeof key - 3 || str_find_byte(label, ' ') < label.len)
		return NULL;
	for (size_t i = 0; i < label.len; i++)
		key[1 + i] = ascii_lower(label.ptr[i]);
	key[1 + label.len] = ' ';

	struct str needle = str_of(key, label.len + 2);

	for (size_t i = 0; i < charset_table_count; i++) {
		struct str labels = str_from_c(charset_table[i].labels);

		if (str_find(labels, needle) < labels.len)
			return &charset_table[i];
	}
	return NULL;
}

static const struct str replacement = STR_INIT("\xef\xbf\xbd");

/* What iconv still keeps (an accent that might have followed, a way back to ASCII), and its state is the first again. */
static void flush(iconv_t cd, struct buf *out)
{
	char chunk[64], *to = chunk;
	size_t room = sizeof chunk;

	iconv(cd, NULL, NULL, &to, &room);
	buf_add(out, str_of(chunk, (size_t)(to - chunk)));
}

/* As far as it goes: what is left begins with an octet that cannot be converted. */
static struct str convert(iconv_t cd, struct str in, struct buf *out)
{
	char *from = (char *)(uintptr_t)in.ptr;
	size_t left = in.len, rc = 0, room = 0;

	while (left && !(rc == (size_t)-1 && room > 64)) {
		char chunk[1024], *to = chunk;

		room = sizeof chunk;
		rc = iconv(cd, &from, &left, &to, &room);
		buf_add(out, str_of(chunk, (size_t)(to - chunk)));
	}
	return str_of(from, left);
}

/* One octet that cannot be read: U+FFFD, and on with the next. */
static bool convert_with(iconv_t cd, struct str in, struct buf *out)
{
	bool is_whole = true;

	while ((in = convert(cd, in, out)).len) {
		buf_add(out, replacement);
		is_whole = false;
		in = str_from(in, 1);
	}
	flush(cd, out);
	return is_whole && !out->failed;
}

iconv_t charset_iconv(const char *to, const char *from, struct buf *out)
{
	iconv_t cd = iconv_open(to, from);

	if (cd == (iconv_t)-1 && errno != EINVAL) {
		memory_ran_out();
		if (out)
			out->failed = true;
	}
	return cd;
}

static bool convert_to_utf8(const char *name, struct str in, struct buf *out)
{
	iconv_t cd = charset_iconv("UTF-8", name, out);

	if (cd == (iconv_t)-1) {
		for (size_t i = 0; i < in.len; i++)
			buf_add(out, replacement);
		return false;
	}
	bool is_whole = convert_with(cd, in, out);

	iconv_close(cd);
	return is_whole;
}

static bool is_ascii(struct str s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.len; i++)
		all |= (unsigned char)s.ptr[i];
	return all < 0x80;
}

/* ISO-2022-JP: the escape sequences, and the state that each begins. */
static const struct {
	struct str sequence;
	char state;
} escapes[] = {
	{ STR_INIT("\033(B"), 'B' },  { STR_INIT("\033(J"), 'J' }, { STR_INIT("\033(H"), 'J' },
	{ STR_INIT("\033(I"), 'I' },  { STR_INIT("\033$@"), '$' }, { STR_INIT("\033$B"), '$' },
	{ STR_INIT("\033$(D"), 'D' },
};

size_t charset_escape(struct str s, char *out_state)
{
	if (s.len < 3 || s.ptr[0] != '\033')
		return 0;
	for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
		if (s.ptr[2] == escapes[i].sequence.ptr[2] && str_starts(s, escapes[i].sequence)) {
			*out_state = escapes[i].state;
			return escapes[i].sequence.len;
		}
	return 0;
}

/* The octets between two escape sequences as EUC-JP, from which they differ by the eighth bit and a prefix. */
static void stretch_to_euc(struct str s, char state, struct buf *euc)
{
	bool is_double = state == '$' || state == 'D';

	for (size_t i = 0; i < s.len; i++) {
		bool is_cell = s.ptr[i] > ' ' && s.ptr[i] < 0x7f;

		if (!is_cell || (is_double && i + 1 == s.len)) {
			buf_add_byte(euc, s.ptr[i]);
			continue;
		}
		if (!is_double || state == 'D')
			buf_add_byte(euc, state == 'D' ? '\x8f' : '\x8e');
		buf_add_byte(euc, (char)(s.ptr[i] | 0x80));
		if (is_double)
			buf_add_byte(euc, (char)(s.ptr[++i] | 0x80));
	}
}

static bool roman_to_utf8(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		struct str c = str_slice(s, i, 1);

		if ((unsigned char)c.ptr[0] >= 0x80)
			c = replacement;
		buf_add(out, c.ptr[0] == '\\' ? STR("\xc2\xa5") : c.ptr[0] == '~' ? STR("\xe2\x80\xbe") : c);
	}
	return is_ascii(s);
}

static bool stretch_to_utf8(iconv_t cd, struct str s, char state, struct buf *out)
{
	struct buf euc;

	if (state == 'J')
		return roman_to_utf8(s, out);
	buf_init(&euc, s.len * 3);
	if (state == 'B')
		buf_add(&euc, s);
	else
		stretch_to_euc(s, state, &euc);

	bool is_whole = !euc.failed && (state != 'B' || is_ascii(s));

	is_whole &= convert_with(cd, buf_view(&euc), out);
	buf_clear(&euc);
	return is_whole;
}

/* The C library's own ISO-2022-JP lacks the vendor rows that mail uses (NEC 13, IBM); its EUC-JP-MS has them. */
static bool iso_2022_jp_to_utf8(struct str in, struct buf *out)
{
	iconv_t cd = charset_iconv("UTF-8", "EUC-JP-MS", out);
	bool is_whole = true;
	char state = 'B';

	if (cd == (iconv_t)-1)
		return convert_to_utf8("ISO-2022-JP", in, out);
	while (in.len) {
		size_t escape = charset_escape(in, &state);

		if (!escape && in.ptr[0] == '\033') {
			buf_add(out, replacement);
			is_whole = false;
			escape = 1;
		}
		in = str_from(in, escape);

		size_t end = str_find_byte(in, '\033');

		is_whole &= stretch_to_utf8(cd, str_slice(in, 0, end), state, out);
		in = str_from(in, end);
	}
	iconv_close(cd);
	return is_whole && !out->failed;
}

/* The C library's UTF-8 has five octets and more, and surrogates; RFC 3629 has not. */
static bool utf8_to_utf8(struct str in, struct buf *out)
{
	bool is_whole = true;

	while (in.len) {
		size_t good = 0, n;

		while (good < in.len &&
		       (n = (unsigned char)in.ptr[good] < 0x80 ? 1 : utf8_length(str_from(in, good))) > 0)
			good += n;
		buf_add(out, str_slice(in, 0, good));
		in = str_from(in, good);
		if (in.len) {
			buf_add(out, replacement);
			is_whole = false;
			in = str_from(in, 1);
		}
	}
	return is_whole && !out->failed;
}

bool charset_to_utf8(const struct charset *charset, struct str in, struct buf *out)
{
	if (charset->is_utf8)
		return utf8_to_utf8(in, out);
	if (charset->shape == CHARSET_ISO_2022_JP)
		return iso_2022_jp_to_utf8(in, out);
	if (charset->shape < CHARSET_ISO_2022_JP && is_ascii(in)) {
		buf_add(out, in);
		return !out->failed;
	}
	return convert_to_utf8(charset->name, in, out);
}

bool charset_from_utf8(const struct charset *charset, struct str utf8, struct buf *out)
{
	iconv_t cd = charset_iconv(charset->name, "UTF-8", out);

	if (cd == (iconv_t)-1)
		return false;
	bool is_whole = convert(cd, utf8, out).len == 0;

	flush(cd, out);
	iconv_close(cd);
	return is_whole && !out->failed;
}
