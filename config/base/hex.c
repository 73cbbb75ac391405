#include "config/base/hex.h"

void hex_write(const unsigned char *octets, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[octets[i] >> 4];
		out[2 * i + 1] = digits[octets[i] & 15];
	}
}

bool hex_read(struct str hex, unsigned char *out, size_t n)
{
	/* Value and 0x10 for a digit: verify reads one of these for every few hundred octets it hashes. */
	static const unsigned char digits[256] = {
		['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15, ['6'] = 0x16, ['7'] = 0x17,
		['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b, ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f,
	};
	const unsigned char *at = (const unsigned char *)hex.ptr;
	unsigned all = 0x10;

	if (hex.len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned high = digits[at[2 * i]], low = digits[at[2 * i + 1]];

		all &= high & low;
		out[i] = (unsigned char)(high << 4 | (low & 15));
	}
	return all == 0x10;
}
