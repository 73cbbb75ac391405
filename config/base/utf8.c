#include "config/base/utf8.h"

size_t utf8_length(struct str s)
{
	if (s.len == 0)
		return 0;

	unsigned char lead = (unsigned char)s.ptr[0];
	size_t len = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;

	if (len == 0 || len > s.len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
			return 0;
	if (len < 3)
		return len;

	/* RFC 3629 4: the second octet's range is narrower after E0, ED, F0 and F4. */
	unsigned char second = (unsigned char)s.ptr[1];

	if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
	    (lead == 0xf4 && second > 0x8f))
		return 0;
	return len;
}

bool utf8_is_valid(struct str s)
{
	for (size_t n; s.len; s = str_from(s, n))
		if ((n = utf8_length(s)) == 0)
			return false;
	return true;
}

size_t utf8_put(char *to, uint32_t c)
{
	static const uint8_t leads[] = { 0, 0xc0, 0xe0, 0xf0 };
	size_t more = (size_t)(c >= 0x80) + (c >= 0x800) + (c >= 0x10000);

	to[0] = (char)(leads[more] | c >> 6 * more);
	for (size_t i = 1; i <= more; i++)
		to[i] = (char)(0x80 | (c >> 6 * (more - i) & 0x3f));
	return more + 1;
}
