#include "milter/link/token_text.h"

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void token_text_write(struct str octets, struct buf *out)
{
	unsigned bits = 0, count = 0;

	if (!buf_reserve(out, octets.len / 3 * 4 + 4))
		return;
	for (size_t i = 0; i < octets.len; i++) {
		bits = bits << 8 | (unsigned char)octets.ptr[i];
		for (count += 8; count >= 6; count -= 6)
			out->ptr[out->len++] = digits[bits >> (count - 6) & 63];
	}
	if (count)
		out->ptr[out->len++] = digits[bits << (6 - count) & 63];
}

static int value_of(char c)
{
	if (ascii_is_upper(c))
		return c - 'A';
	if (ascii_is_lower(c))
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool token_text_read(struct str s, unsigned char *out, size_t *out_len)
{
	unsigned bits = 0, count = 0;
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		int value = value_of(s.ptr[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (unsigned)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[len++] = (unsigned char)(bits >> count);
		}
	}
	*out_len = len;
	/* Unused bits are zero, and there are fewer than six of them. */
	return count < 6 && (bits & ((1U << count) - 1)) == 0;
}
