#include "config/base/entities.h"

#include "config/base/utf8.h"

static void add_code(uint32_t code, struct buf *out)
{
	/* The numbers 80 to 9F mean windows-1252, whatever the charset of the page. */
	static const uint16_t c1[32] = {
		0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
		0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
		0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
	};
	char octets[4];

	if (code >= 0x80 && code <= 0x9f)
		code = c1[code - 0x80];
	if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		code = 0xfffd;
	buf_add(out, str_of(octets, utf8_put(octets, code)));
}

/* "&#38;" "&#x26": the length of the reference at the start of s, 0 when it has no digits. */
static size_t number_read(struct str s, uint32_t *out_code)
{
	bool is_hex = s.len > 2 && ascii_lower(s.ptr[2]) == 'x';
	size_t begin = is_hex ? 3 : 2, at = begin;
	uint32_t code = 0;

	for (; at < s.len; at++) {
		int digit = ascii_hex(s.ptr[at]);

		if (digit < 0 || (!is_hex && digit > 9))
			break;
		code = code > 0x10ffff ? code : code * (is_hex ? 16 : 10) + (uint32_t)digit;
	}
	*out_code = code;
	if (at == begin)
		return 0;
	return at < s.len && s.ptr[at] == ';' ? at + 1 : at;
}

/* How row i compares with the first `len` octets of s. */
static int row_cmp(size_t i, const char *s, size_t len)
{
	return strncmp(entities[i].name, s, len);
}

/* The longest name that stands at the start of s; NULL when none does. Each octet more narrows the range of rows that
 * begin as s does. */
static const struct entity *name_find(struct str s, size_t *out_len)
{
	const struct entity *found = NULL;
	size_t low = 0, high = entity_count;

	for (size_t len = 1; len <= s.len && len <= ENTITY_NAME_MAX && s.ptr[len - 1] && low < high; len++) {
		size_t left = low, right = high;

		while (left < right) {
			size_t middle = left + (right - left) / 2;

			if (row_cmp(middle, s.ptr, len) < 0)
				left = middle + 1;
			else
				right = middle;
		}
		low = left;
		right = high;
		while (left < right) {
			size_t middle = left + (right - left) / 2;

			if (row_cmp(middle, s.ptr, len) <= 0)
				left = middle + 1;
			else
				right = middle;
		}
		high = left;
		if (low < high && entities[low].name[len] == '\0') {
			found = &entities[low];
			*out_len = len;
		}
	}
	return found;
}

/* The reference at the start of s, which is an ampersand: how many octets it takes; 0 when it is text. */
static size_t reference_read(struct str s, struct buf *out)
{
	size_t len = 0;
	uint32_t code;

	if (s.len > 1 && s.ptr[1] == '#') {
		len = number_read(s, &code);
		if (len)
			add_code(code, out);
		return len;
	}
	const struct entity *entity = name_find(str_from(s, 1), &len);

	if (!entity)
		return 0;
	/* "&copy=1" in an attribute is an old-fashioned query, "&copy;=1" is not. */
	if (entity->name[len - 1] != ';' && len + 1 < s.len &&
	    (s.ptr[len + 1] == '=' || ascii_is_alnum(s.ptr[len + 1])))
		return 0;
	buf_add_c(out, entity->utf8);
	return len + 1;
}

void entities_decode(struct str text, struct buf *out)
{
	while (text.len) {
		size_t plain = 0, reference;

		while (plain < text.len && text.ptr[plain] != '&' && text.ptr[plain] != '\0')
			plain++;
		buf_add(out, str_slice(text, 0, plain));
		text = str_from(text, plain);
		if (!text.len)
			return;
		reference = text.ptr[0] == '&' ? reference_read(text, out) : 0;
		if (!reference) {
			buf_add(out, text.ptr[0] == '&' ? STR("&") : STR("\xef\xbf\xbd"));
			reference = 1;
		}
		text = str_from(text, reference);
	}
}
