#include "config/erase_rule.h"

#include "config/base/clock.h"
#include "config/base/num.h"

#define HOURS_MAX 87600
#define DAYS_MAX 3660
#define MONTHS_MAX 120
#define MONTH_DAY_MAX 28

static bool take(struct str number, int64_t max, int64_t *out)
{
	return num_parse_i64(number, out) && *out >= 1 && *out <= max;
}

static bool parse_period(struct str text, struct erase_rule *out)
{
	struct str number = str_slice(text, 1, text.len - 2);
	char unit = text.ptr[text.len - 1];

	out->kind = unit == 'D' ? ERASE_DAYS : ERASE_MONTHS;
	if (unit == 'Y' && take(number, MONTHS_MAX / 12, &out->n)) {
		out->n *= 12;
		return true;
	}
	return (unit == 'D' && take(number, DAYS_MAX, &out->n)) || (unit == 'M' && take(number, MONTHS_MAX, &out->n));
}

bool erase_rule_parse(struct str text, struct erase_rule *out)
{
	const struct str next_month = STR_INIT("next-month-");

	if (str_starts(text, next_month)) {
		out->kind = ERASE_NEXT_MONTH;
		return take(str_from(text, next_month.len), MONTH_DAY_MAX, &out->n);
	}
	if (str_ends(text, STR("h"))) {
		out->kind = ERASE_HOURS;
		return take(str_slice(text, 0, text.len - 1), HOURS_MAX, &out->n);
	}
	return text.len >= 3 && text.ptr[0] == 'P' && parse_period(text, out);
}

int64_t erase_rule_due_us(struct erase_rule rule, int64_t ended_us)
{
	int year, month, mday;

	jst_civil(jst_day(ended_us), &year, &month, &mday);
	switch (rule.kind) {
	case ERASE_HOURS:
		return ended_us + rule.n * HOUR_US;
	case ERASE_DAYS:
		return jst_day_start_us(jst_day(ended_us) + rule.n);
	case ERASE_NEXT_MONTH:
		return jst_day_start_us(jst_day_from_civil(year + month / 12, month % 12 + 1, (int)rule.n));
	case ERASE_MONTHS:
		break;
	}
	int months = month - 1 + (int)rule.n;
	int64_t first = jst_day_from_civil(year + months / 12, months % 12 + 1, 1);
	int64_t after = jst_day_from_civil(year + (months + 1) / 12, (months + 1) % 12 + 1, 1);
	int64_t day = first + mday - 1;

	return jst_day_start_us(day < after ? day : after);
}
