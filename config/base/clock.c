#include "config/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "config/base/num.h"

static _Atomic int64_t set_us;

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

#ifdef SEKISHO_TEST_CLOCK
static int64_t test_offset_us(void)
{
	const char *path = getenv("SEKISHO_CLOCK_FILE");
	FILE *file = path ? fopen(path, "re") : NULL;
	char line[64] = "";
	int64_t offset_s = 0;

	if (!file)
		return 0;
	if (fgets(line, sizeof line, file) && !num_parse_i64(str_trim(str_from_c(line)), &offset_s))
		offset_s = 0;
	fclose(file);
	return offset_s * US_PER_S;
}
#else
static int64_t test_offset_us(void)
{
	return 0;
}
#endif

int64_t clock_now_us(void)
{
	int64_t set = atomic_load_explicit(&set_us, memory_order_relaxed);

	return set ? set : read_clock(CLOCK_REALTIME) + test_offset_us();
}

int64_t clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void clock_set(int64_t now_us)
{
	atomic_store(&set_us, now_us);
}

/* Towards minus infinity, as the days before 1970 need it. */
static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t jst_day(int64_t t_us)
{
	return floor_div(t_us + JST_OFFSET_US, DAY_US);
}

int64_t jst_day_start_us(int64_t day)
{
	return day * DAY_US - JST_OFFSET_US;
}

/* Days are counted from 0000-03-01 in eras of 400 years, so that the leap day is the last of its year. */
void jst_civil(int64_t day, int *out_year, int *out_month, int *out_day)
{
	int64_t z = day + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*out_day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*out_month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*out_year = (int)(yoe + era * 400 + (*out_month <= 2));
}

int64_t jst_day_from_civil(int year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

int jst_weekday(int64_t day)
{
	int64_t shifted = day + 3;                  /* 1970-01-01 was a Thursday */

	return (int)(shifted - floor_div(shifted, 7) * 7);
}

static char *put_digits(char *at, int width, int64_t value)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + width;
}

void jst_format_date(int64_t day, char out[JST_DATE_LEN + 1])
{
	int year, month, mday;

	jst_civil(day, &year, &month, &mday);
	char *at = put_digits(out, 4, year);

	*at++ = '-';
	at = put_digits(at, 2, month);
	*at++ = '-';
	*put_digits(at, 2, mday) = '\0';
}

void jst_format_time(int64_t t_us, char out[JST_TIME_LEN + 1])
{
	int64_t day = jst_day(t_us);
	int64_t us = t_us - jst_day_start_us(day);

	jst_format_date(day, out);
	char *at = out + JST_DATE_LEN;

	*at++ = 'T';
	at = put_digits(at, 2, us / HOUR_US);
	*at++ = ':';
	at = put_digits(at, 2, us / (60 * US_PER_S) % 60);
	*at++ = ':';
	at = put_digits(at, 2, us / US_PER_S % 60);
	*at++ = '.';
	at = put_digits(at, 6, us % US_PER_S);
	memcpy(at, "+09:00", 7);
}

static bool take_digits(struct str *s, size_t width, int64_t *out)
{
	if (s->len < width || !num_parse_i64(str_of(s->ptr, width), out) || *out < 0)
		return false;
	*s = str_from(*s, width);
	return true;
}

static bool take_byte(struct str *s, char c)
{
	if (s->len == 0 || ascii_lower(s->ptr[0]) != ascii_lower(c))
		return false;
	*s = str_from(*s, 1);
	return true;
}

static bool take_date(struct str *s, int64_t *out_day)
{
	int64_t year, month, mday;

	if (!take_digits(s, 4, &year) || !take_byte(s, '-') || !take_digits(s, 2, &month) || !take_byte(s, '-') ||
	    !take_digits(s, 2, &mday) || month < 1 || month > 12 || mday < 1)
		return false;

	int64_t day = jst_day_from_civil((int)year, (int)month, (int)mday);
	int back_year, back_month, back_day;

	jst_civil(day, &back_year, &back_month, &back_day);
	if (back_month != month)                    /* 30 February came back as March */
		return false;
	*out_day = day;
	return true;
}

bool jst_parse_date(struct str s, int64_t *out_day)
{
	int64_t day;

	if (!take_date(&s, &day) || s.len)
		return false;
	*out_day = day;
	return true;
}

static bool take_fraction(struct str *s, int64_t *out_us)
{
	int64_t us = 0, unit = US_PER_S;

	*out_us = 0;
	if (!take_byte(s, '.'))
		return true;
	if (s->len == 0 || !ascii_is_digit(s->ptr[0]))
		return false;
	for (; s->len && ascii_is_digit(s->ptr[0]); *s = str_from(*s, 1))
		us += (s->ptr[0] - '0') * (unit /= 10);
	*out_us = us;
	return true;
}

static bool take_offset(struct str *s, int64_t *out_us)
{
	int64_t hours, minutes;

	if (take_byte(s, 'Z')) {
		*out_us = 0;
		return true;
	}

	bool is_west = take_byte(s, '-');

	if (!is_west && !take_byte(s, '+'))
		return false;
	if (!take_digits(s, 2, &hours) || !take_byte(s, ':') || !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*out_us = (hours * 3600 + minutes * 60) * US_PER_S * (is_west ? -1 : 1);
	return true;
}

bool jst_parse_time(struct str s, int64_t *out_us)
{
	int64_t day, hour, minute, second, fraction_us, offset_us;

	if (!take_date(&s, &day) || (!take_byte(&s, 'T') && !take_byte(&s, ' ')) || !take_digits(&s, 2, &hour) ||
	    !take_byte(&s, ':') || !take_digits(&s, 2, &minute) || !take_byte(&s, ':') || !take_digits(&s, 2, &second) ||
	    !take_fraction(&s, &fraction_us) || !take_offset(&s, &offset_us) || s.len)
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	*out_us = day * DAY_US + (hour * 3600 + minute * 60 + second) * US_PER_S + fraction_us - offset_us;
	return true;
}
