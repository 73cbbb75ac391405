/*
 * charset_query: what browsers make of a query that is not ASCII, where the C library is known to agree with them.
 *
 * Held against Chromium, every character of the basic plane and every pair of octets, charset by charset.
 */
#include "config/base/utf8.h"
#include "milter/mail/charset.h"

static uint32_t code_of(struct str c)
{
	uint32_t code = (unsigned char)c.ptr[0] & (c.len == 1 ? 0x7fU : 0x7fU >> c.len);

	for (size_t i = 1; i < c.len; i++)
		code = code << 6 | ((unsigned char)c.ptr[i] & 0x3f);
	return code;
}

/* Characters that a browser's encoder treats by itself, or that stand elsewhere in its table. */
static bool is_doubtful(const struct charset *charset, uint32_t code)
{
	static const struct { const char *name; uint32_t first, last; } rows[] = {
		{ "", 0x80, 0x9f }, { "", 0xe000, 0xf8ff },
		{ "EUC-JP-MS", 0xa5, 0xa5 }, { "EUC-JP-MS", 0x203e, 0x203e }, { "EUC-JP-MS", 0x2212, 0x2212 },
		{ "CP932", 0xa5, 0xa5 }, { "CP932", 0x203e, 0x203e }, { "CP932", 0x2212, 0x2212 },
		{ "ISO-2022-JP", 0xa5, 0xa5 }, { "ISO-2022-JP", 0x203e, 0x203e }, { "ISO-2022-JP", 0x2212, 0x2212 },
		{ "BIG5-HKSCS", 0xa2, 0xa3 }, { "BIG5-HKSCS", 0xa5, 0xa5 }, { "BIG5-HKSCS", 0xaf, 0xaf },
		{ "BIG5-HKSCS", 0x2cd, 0x2cd }, { "BIG5-HKSCS", 0x2022, 0x2027 }, { "BIG5-HKSCS", 0x203e, 0x203e },
		{ "BIG5-HKSCS", 0x20ac, 0x20ac }, { "BIG5-HKSCS", 0x2215, 0x2215 }, { "BIG5-HKSCS", 0x223c, 0x223c },
		{ "BIG5-HKSCS", 0x2295, 0x2299 }, { "BIG5-HKSCS", 0x23da, 0x2421 }, { "BIG5-HKSCS", 0x256d, 0x2574 },
		{ "BIG5-HKSCS", 0x2609, 0x2641 }, { "BIG5-HKSCS", 0x4edd, 0x4edd }, { "BIG5-HKSCS", 0x5605, 0x5605 },
		{ "BIG5-HKSCS", 0x5ed0, 0x5ed0 }, { "BIG5-HKSCS", 0x5ef4, 0x5ef4 }, { "BIG5-HKSCS", 0x60a4, 0x60a4 },
		{ "BIG5-HKSCS", 0x65e0, 0x65e0 }, { "BIG5-HKSCS", 0x732a, 0x732a }, { "BIG5-HKSCS", 0x7676, 0x7676 },
		{ "BIG5-HKSCS", 0x96b6, 0x96b6 }, { "BIG5-HKSCS", 0xf900, 0xffff },
		{ "KOI8-U", 0x40e, 0x40e }, { "KOI8-U", 0x45e, 0x45e }, { "KOI8-U", 0x255d, 0x255d },
		{ "KOI8-U", 0x256c, 0x256c }, { "MACINTOSH", 0x394, 0x394 }, { "MACINTOSH", 0x2206, 0x2206 },
		{ "CP1255", 0x5ba, 0x5ba },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (code >= rows[i].first && code <= rows[i].last &&
		    (!*rows[i].name || strcmp(rows[i].name, charset->name) == 0))
			return true;
	return false;
}

enum said { SAID = 1, UNSAID, DOUBTFUL };

struct speaker {
	const struct charset *charset;
	iconv_t there, back;
	bool is_wide;                  /* ISO-2022-JP: two octets a character now */
	struct buf *out;
};

static size_t convert_one(iconv_t cd, struct str in, char *out, size_t room)
{
	char *from = (char *)(uintptr_t)in.ptr, *to = out;
	size_t left = in.len, before = room;
	bool ok = iconv(cd, &from, &left, &to, &room) != (size_t)-1 && iconv(cd, NULL, NULL, &to, &room) != (size_t)-1;

	return ok ? before - room : 0;
}

/* Of JIS X 0212 browsers write nothing; of what IBM has added, which has three octets here as well, they do. */
static enum said judge_japanese(uint32_t code, struct str octets)
{
	if (octets.len == 3)
		return code < 0x2100 ? UNSAID : DOUBTFUL;
	return octets.len == 2 ? SAID : DOUBTFUL;
}

/* How many octets a character has there, and which, tells in which table it stands. */
static enum said judge(const struct charset *charset, uint32_t code, struct str octets)
{
	bool is_katakana = (unsigned char)octets.ptr[0] == 0x8e;

	switch (charset->shape) {
	case CHARSET_SHIFT_JIS:
		return SAID;
	case CHARSET_ISO_2022_JP:
		return is_katakana ? DOUBTFUL : judge_japanese(code, octets);
	case CHARSET_GB:
		return octets.len == 2 && code > 0xffff ? DOUBTFUL : SAID;
	case CHARSET_GBK:
		return code == 0x20ac || (octets.len == 2 && code > 0xffff) ? DOUBTFUL : octets.len == 2 ? SAID : UNSAID;
	case CHARSET_DOUBLE:
		/* Browsers read what Hong Kong has added under A1, and never write it. */
		return (unsigned char)octets.ptr[0] > 0xa0 || strcmp(charset->name, "BIG5-HKSCS") != 0 ? SAID : UNSAID;
	default:
		if (strcmp(charset->name, "EUC-JP-MS") == 0)
			return judge_japanese(code, octets);
		return octets.len == 1 ? SAID : UNSAID;
	}
}

/* A character that comes back as another one is not in a browser's table. */
static enum said say(struct speaker *speaker, struct str c, char octets[8], size_t *out_len)
{
	char again[16];

	if (is_doubtful(speaker->charset, code_of(c)))
		return DOUBTFUL;
	*out_len = convert_one(speaker->there, c, octets, 8);
	if (*out_len == 0 || !str_eq(str_of(again, convert_one(speaker->back, str_of(octets, *out_len), again, sizeof again)), c))
		return UNSAID;
	return judge(speaker->charset, code_of(c), str_of(octets, *out_len));
}

static void shift(struct speaker *speaker, bool wants_wide)
{
	if (speaker->is_wide != wants_wide)
		buf_add(speaker->out, wants_wide ? STR("\033$B") : STR("\033(B"));
	speaker->is_wide = wants_wide;
}

static bool add_character(struct speaker *speaker, struct str c)
{
	bool is_shifting = speaker->charset->shape == CHARSET_ISO_2022_JP;
	enum said said;
	char octets[8];
	size_t len;

	if (c.len == 1) {
		shift(speaker, false);
		buf_add(speaker->out, c);
		return true;
	}
	said = say(speaker, c, octets, &len);
	if (said == DOUBTFUL)
		return false;
	shift(speaker, is_shifting && said == SAID);
	for (size_t i = 0; is_shifting && said == SAID && i < len; i++)
		octets[i] &= 0x7f;
	if (said == SAID)
		buf_add(speaker->out, str_of(octets, len));
	else
		buf_printf(speaker->out, "%%26%%23%u%%3B", (unsigned)code_of(c));
	return true;
}

static bool speaker_open(struct speaker *speaker, const struct charset *charset, struct buf *out)
{
	const char *name = charset->shape == CHARSET_ISO_2022_JP ? "EUC-JP-MS" : charset->name;

	*speaker = (struct speaker){ .charset = charset, .there = charset_iconv(name, "UTF-8", out), .out = out };
	if (speaker->there == (iconv_t)-1)
		return false;
	speaker->back = charset_iconv("UTF-8", name, out);
	if (speaker->back != (iconv_t)-1)
		return true;
	iconv_close(speaker->there);
	return false;
}

static void speaker_close(struct speaker *speaker)
{
	iconv_close(speaker->there);
	iconv_close(speaker->back);
}

bool charset_query(const struct charset *charset, struct str utf8, struct buf *out)
{
	struct speaker speaker;
	bool ok = true;

	if (!speaker_open(&speaker, charset, out))
		return false;
	while (ok && utf8.len) {
		size_t len = utf8_length(utf8);

		ok = len && add_character(&speaker, str_slice(utf8, 0, len));
		utf8 = str_from(utf8, len);
	}
	shift(&speaker, false);
	speaker_close(&speaker);
	return ok && !out->failed;
}

bool charset_is_sure(const struct charset *charset, struct str utf8)
{
	struct speaker speaker;
	char octets[8];
	size_t len, octets_len;
	bool ok = true;

	if (charset->is_utf8)
		return true;
	if (!speaker_open(&speaker, charset, NULL))
		return false;
	for (; ok && utf8.len; utf8 = str_from(utf8, len)) {
		len = utf8_length(utf8);
		ok = len == 1 || (len && say(&speaker, str_slice(utf8, 0, len), octets, &octets_len) == SAID);
	}
	speaker_close(&speaker);
	return ok;
}
