/*
 * num - numbers and typed quantities out of slices, and sizes that cannot wrap.
 *
 * Parsers take the whole slice or refuse it: no sign where none is asked for, no blanks, no rest, no overflow.
 * Results are written only on success.
 */
#ifndef SEKISHO_NUM_H
#define SEKISHO_NUM_H

#include "config/base/str.h"

#define US_PER_S INT64_C(1000000)

static inline bool size_add(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

bool num_parse_u64(struct str s, uint64_t *out);
bool num_parse_i64(struct str s, int64_t *out);      /* an optional leading '-' */

/* "90s", "500ms", "15m", "12h", "60d", "2w", "1y" (365 days): microseconds. A bare number is refused, 0 excepted. */
bool num_parse_duration(struct str s, int64_t *out_us);
/* "512", "10KiB", "10MiB", "2GiB", and KB, MB, GB of 1000: octets. */
bool num_parse_bytes(struct str s, int64_t *out);

/* A duration in its largest whole unit ("60d", "90s", "250ms"); `out` holds NUM_DURATION_MAX octets, NUL included. */
#define NUM_DURATION_MAX 24
void num_format_duration(int64_t us, char out[NUM_DURATION_MAX]);

#endif
