/*
 * bytes - numbers as the store's records hold them: varints (7 bits an octet, lowest first) and 64 bits, highest first.
 *
 * Readers take from the front of `in` and give false when it is cut or wrong, leaving the output alone.
 * Bounds   a varint has at most BYTES_VARINT_MAX octets; only values up to INT64_MAX are accepted
 */
#ifndef SEKISHO_BYTES_H
#define SEKISHO_BYTES_H

#include "config/base/str.h"

#define BYTES_VARINT_MAX 9             /* 63 bits */

/* Writes at `out`; the first octet behind. `value` is not negative. */
static inline char *bytes_put_varint(char *out, int64_t value)
{
	for (; value > 0x7f; value >>= 7)
		*out++ = (char)(0x80 | (value & 0x7f));
	*out++ = (char)value;
	return out;
}

static inline bool bytes_take_varint(struct str *in, int64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < BYTES_VARINT_MAX && i < in->len; i++) {
		unsigned char octet = (unsigned char)in->ptr[i];

		value |= (uint64_t)(octet & 0x7f) << (7 * i);
		if (octet & 0x80)
			continue;
		*out = (int64_t)value;
		*in = str_from(*in, i + 1);
		return true;
	}
	return false;
}

/* Byte order is number order for what is not negative: good for sorted keys. */
static inline char *bytes_put_be64(char *out, int64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		*out++ = (char)((uint64_t)value >> shift);
	return out;
}

static inline bool bytes_take_be64(struct str *in, int64_t *out)
{
	uint64_t value = 0;

	if (in->len < 8)
		return false;
	for (size_t i = 0; i < 8; i++)
		value = value << 8 | (unsigned char)in->ptr[i];
	*out = (int64_t)value;
	*in = str_from(*in, 8);
	return true;
}

static inline bool bytes_take_octet(struct str *in, unsigned char *out)
{
	if (in->len == 0)
		return false;
	*out = (unsigned char)in->ptr[0];
	*in = str_from(*in, 1);
	return true;
}

#endif
