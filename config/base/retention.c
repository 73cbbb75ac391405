#include "config/base/retention.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/num.h"

/* jst_day_from_civil counts on from the first of the month: 29 February of a common year is 1 March. */
static int64_t same_date(struct retention keep, int64_t day)
{
	int year, month, mday;

	jst_civil(day, &year, &month, &mday);
	return jst_day_from_civil(year + (int)(keep.days / RETENTION_YEAR_DAYS), month, mday);
}

int64_t retention_end_us(struct retention keep, int64_t time_us)
{
	int64_t day = jst_day(time_us);

	if (!keep.is_years)
		return time_us + keep.days * DAY_US;
	return jst_day_start_us(same_date(keep, day)) + (time_us - jst_day_start_us(day));
}

int64_t retention_purge_day(struct retention keep, int64_t day)
{
	return (keep.is_years ? same_date(keep, day) : day + keep.days) + 1;
}

int64_t retention_days_most(struct retention keep)
{
	return keep.days + (keep.is_years ? (keep.days / RETENTION_YEAR_DAYS + 3) / 4 : 0);
}

bool retention_parse(struct str text, struct retention *out)
{
	int64_t us;

	if (!num_parse_duration(text, &us) || us < DAY_US || us % DAY_US != 0 || us / DAY_US > RETENTION_DAYS_MAX)
		return false;
	*out = (struct retention){ us / DAY_US, str_ends(text, STR("y")) };
	return true;
}

void retention_text(struct retention keep, char out[RETENTION_TEXT_MAX])
{
	snprintf(out, RETENTION_TEXT_MAX, "%" PRId64 "%s", keep.is_years ? keep.days / RETENTION_YEAR_DAYS : keep.days,
		 keep.is_years ? "y" : "d");
}
