#include "milter/mail/base64.h"

enum { SKIP = 64, PAD = 65, BLANK = 66 };

#define X SKIP
#define B BLANK
/* The value of a digit; PAD for `=`; BLANK for what parts lines; SKIP for other octets that are passed over. */
static const unsigned char values[256] = {
	X, X, X, X, X, X, X, X, X, B, B, X, X, B, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	B, X, X, X, X, X, X, X, X, X, X, 62, X, X, X, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X, X, X, PAD, X, X,
	X, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X, X, X, X, X,
	X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
};
#undef X
#undef B

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Whole groups of four digits, as long as nothing else comes between. */
static char *decode_groups(const unsigned char **at, const unsigned char *end, char *to)
{
	const unsigned char *p = *at;

	while (end - p >= 4) {
		unsigned a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];

		if ((a | b | c | d) >= SKIP)
			break;
		to[0] = (char)(a << 2 | b >> 4);
		to[1] = (char)(b << 4 | c >> 2);
		to[2] = (char)(c << 6 | d);
		to += 3;
		p += 4;
	}
	*at = p;
	return to;
}

bool base64_decode(struct str in, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in.ptr, *end = p + in.len;
	unsigned bits = 0, count = 0;
	bool has_padding = false, is_clean = true;

	if (!buf_reserve(out, in.len / 4 * 3 + 3))
		return false;

	char *to = out->ptr + out->len;

	while (p < end) {
		if (count == 0 && !has_padding)
			to = decode_groups(&p, end, to);
		if (p == end)
			break;

		unsigned value = values[*p++];

		if (value == PAD) {
			has_padding = true;
			is_clean &= count != 1;
			bits = count = 0;
		}
		is_clean &= value != SKIP;
		if (value >= SKIP)
			continue;
		is_clean &= !has_padding;
		bits = bits << 6 | value;
		count = (count + 1) % 4;
		if (count != 1)
			*to++ = (char)(bits >> (count == 0 ? 0 : 8 - 2 * count));
	}
	out->len = (size_t)(to - out->ptr);
	return is_clean && count != 1;
}

static size_t encode_group(struct str in, char out[4])
{
	size_t n = in.len < 3 ? in.len : 3;
	unsigned a = (unsigned char)in.ptr[0], b = n > 1 ? (unsigned char)in.ptr[1] : 0;
	unsigned c = n > 2 ? (unsigned char)in.ptr[2] : 0;

	out[0] = digits[a >> 2];
	out[1] = digits[(a << 4 | b >> 4) & 63];
	out[2] = n > 1 ? digits[(b << 2 | c >> 6) & 63] : '=';
	out[3] = n > 2 ? digits[c & 63] : '=';
	return n;
}

void base64_encode(struct str in, struct str eol, struct buf *out)
{
	size_t groups = in.len / 3 + 1;

	if (!buf_reserve(out, groups * 4 + (groups / (BASE64_LINE / 4) + 1) * eol.len))
		return;
	for (size_t column = 0; in.len;) {
		char *to = out->ptr + out->len;

		in = str_from(in, encode_group(in, to));
		out->len += 4;
		column += 4;
		if (eol.len && (column == BASE64_LINE || in.len == 0)) {
			buf_add(out, eol);
			column = 0;
		}
	}
}
