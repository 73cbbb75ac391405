#include "config/base/num.h"

#include <inttypes.h>
#include <stdio.h>

bool num_parse_u64(struct str s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]) || __builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
			return false;
	*out = value;
	return true;
}

bool num_parse_i64(struct str s, int64_t *out)
{
	bool is_negative = s.len && s.ptr[0] == '-';
	uint64_t value;

	if (!num_parse_u64(is_negative ? str_from(s, 1) : s, &value) || value > (uint64_t)INT64_MAX)
		return false;
	*out = is_negative ? -(int64_t)value : (int64_t)value;
	return true;
}

struct unit {
	struct str name;
	int64_t factor;
};

/* Digits, then one of the units' names, nothing else. */
static bool parse_with_unit(struct str s, const struct unit *units, size_t count, int64_t *out)
{
	size_t digits = 0;
	int64_t value;

	while (digits < s.len && ascii_is_digit(s.ptr[digits]))
		digits++;
	if (!num_parse_i64(str_of(s.ptr, digits), &value))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!str_eq(units[i].name, str_from(s, digits)))
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return false;
		*out = value;
		return true;
	}
	return false;
}

static const struct unit duration_units[] = {
	{ STR_INIT("y"),  365 * 86400 * US_PER_S },
	{ STR_INIT("w"),  7 * 86400 * US_PER_S },
	{ STR_INIT("d"),  86400 * US_PER_S },
	{ STR_INIT("h"),  3600 * US_PER_S },
	{ STR_INIT("m"),  60 * US_PER_S },
	{ STR_INIT("s"),  US_PER_S },
	{ STR_INIT("ms"), 1000 },
	{ STR_INIT("us"), 1 },
};
#define DURATION_UNITS (sizeof duration_units / sizeof *duration_units)

bool num_parse_duration(struct str s, int64_t *out_us)
{
	if (str_eq(s, STR("0"))) {
		*out_us = 0;
		return true;
	}
	return parse_with_unit(s, duration_units, DURATION_UNITS, out_us);
}

bool num_parse_bytes(struct str s, int64_t *out)
{
	static const struct unit units[] = {
		{ STR_INIT(""), 1 },
		{ STR_INIT("B"), 1 },
		{ STR_INIT("KiB"), 1 << 10 },
		{ STR_INIT("MiB"), 1 << 20 },
		{ STR_INIT("GiB"), 1 << 30 },
		{ STR_INIT("TiB"), INT64_C(1) << 40 },
		{ STR_INIT("KB"), 1000 },
		{ STR_INIT("MB"), 1000000 },
		{ STR_INIT("GB"), 1000000000 },
		{ STR_INIT("TB"), INT64_C(1000000000000) },
	};

	return parse_with_unit(s, units, sizeof units / sizeof *units, out);
}

void num_format_duration(int64_t us, char out[NUM_DURATION_MAX])
{
	size_t unit = 2;   /* days first: a reader of "420d" need not ask which year or week is meant */

	while (unit + 1 < DURATION_UNITS && us % duration_units[unit].factor != 0)
		unit++;
	snprintf(out, NUM_DURATION_MAX, "%" PRId64 STR_FMT, us / duration_units[unit].factor,
		 STR_ARG(duration_units[unit].name));
}
