#include "config/config_hint.h"

#include <stdio.h>

#include "config/base/utf8.h"

#define UTF16_LOOK 4                   /* octets in which UTF-16 shows itself, by its mark or by the NULs of ASCII */

/* A sign that looks like one of ASCII's. */
struct lookalike {
	struct str sign;
	char ascii;
	const char *name;              /* of what cannot be seen; NULL: shows itself */
};

static const struct lookalike lookalikes[] = {
	{ STR_INIT("\xe3\x80\x80"), ' ', "a full-width blank (U+3000)" },
	{ STR_INIT("\xc2\xa0"), ' ', "a no-break blank (U+00A0)" },
	{ STR_INIT("\xe2\x80\x9c"), '"', NULL },
	{ STR_INIT("\xe2\x80\x9d"), '"', NULL },
	{ STR_INIT("\xe2\x80\x98"), '\'', NULL },
	{ STR_INIT("\xe2\x80\x99"), '\'', NULL },
};

/* U+FF01 to U+FF5E are the full-width forms of 0x21 to 0x7e. */
static bool is_full_width(struct str s, char *out_ascii)
{
	if (s.len < 3 || (unsigned char)s.ptr[0] != 0xef)
		return false;

	unsigned second = (unsigned char)s.ptr[1], third = (unsigned char)s.ptr[2];
	unsigned code = 0xf000 | (second & 0x3f) << 6 | (third & 0x3f);

	if (code < 0xff01 || code > 0xff5e)
		return false;
	*out_ascii = (char)(code - 0xff01 + '!');
	return true;
}

static bool find_lookalike(struct str s, struct lookalike *out)
{
	for (; s.len; s = str_from(s, 1)) {
		*out = (struct lookalike){ .sign = str_slice(s, 0, 3) };
		if (is_full_width(s, &out->ascii))
			return true;
		for (size_t i = 0; i < sizeof lookalikes / sizeof *lookalikes; i++)
			if (str_starts(s, lookalikes[i].sign)) {
				*out = lookalikes[i];
				return true;
			}
	}
	return false;
}

const char *config_hint_wide(struct str value, char out[CONFIG_HINT_SIZE])
{
	struct lookalike found;

	out[0] = '\0';
	if (!find_lookalike(value, &found))
		return out;
	if (found.name)
		snprintf(out, CONFIG_HINT_SIZE, "; it has %s: write an ASCII one", found.name);
	else
		snprintf(out, CONFIG_HINT_SIZE, "; for " STR_FMT " write the ASCII %c", STR_ARG(found.sign), found.ascii);
	return out;
}

const char *config_hint_encoding(struct str text, int octet)
{
	struct str begin = str_slice(text, 0, UTF16_LOOK);

	if (str_starts(begin, STR("\xff\xfe")) || str_starts(begin, STR("\xfe\xff")) || str_find_byte(begin, '\0') < begin.len)
		return "; this looks like UTF-16: save the file as UTF-8";
	return octet < 0x80 ? "" : "; save the file as UTF-8";
}

/* The n-th line, from 1; empty behind the last. */
static struct str line_of(struct str text, size_t n)
{
	struct str line;

	while (str_next(&text, '\n', &line))
		if (--n == 0)
			return line;
	return STR_EMPTY;
}

static struct str from_column(struct str line, size_t column)
{
	for (; column > 1 && line.len; column--) {
		size_t len = utf8_length(line);

		line = str_from(line, len ? len : 1);
	}
	return line;
}

/* What stands in a line, its comment left out. */
static bool hint_line(struct str text, size_t n, char out[CONFIG_HINT_SIZE])
{
	struct str line = line_of(text, n);
	struct lookalike found;

	if (!find_lookalike(str_slice(line, 0, str_find(line, STR(" #"))), &found))
		return false;
	if (found.name)
		snprintf(out, CONFIG_HINT_SIZE, "; line %zu has %s: write an ASCII one", n, found.name);
	else
		snprintf(out, CONFIG_HINT_SIZE, "; in line %zu, for " STR_FMT " write the ASCII %c", n, STR_ARG(found.sign), found.ascii);
	return true;
}

const char *config_hint_syntax(struct str text, size_t line, size_t column, char out[CONFIG_HINT_SIZE])
{
	struct str whole = line_of(text, line), here = from_column(whole, column);
	bool is_name = here.len < whole.len && strchr("*&", here.ptr[-1]);      /* taken for an alias or an anchor: it stopped behind */
	char c = is_name ? here.ptr[-1] : here.len ? here.ptr[0] : '\0';

	out[0] = '\0';
	if (c == '\t')
		snprintf(out, CONFIG_HINT_SIZE, "; there is a tab: indent with blanks");
	else if (c && strchr("@`*&%", c))
		snprintf(out, CONFIG_HINT_SIZE, "; what begins with %c stands in quotation marks: \"%c...\"", c, c);
	/* YAML often goes on to the next line before it gives up. */
	else if (!hint_line(text, line, out) && line > 1)
		hint_line(text, line - 1, out);
	return out;
}
