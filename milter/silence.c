#include "milter/silence.h"

#include <stddef.h>

#include "config/base/clock.h"
#include "config/base/num.h"

#define DAY_HOURS 24

static int64_t *cell(struct silence *silence, int64_t hour)
{
	return &silence->hours[hour % SILENCE_HOURS];
}

/* Hours that passed since the last look begin empty. */
static void reach(struct silence *silence, int64_t hour)
{
	if (silence->last_hour == 0 || hour < silence->last_hour || hour - silence->last_hour >= SILENCE_HOURS) {
		for (size_t i = 0; i < SILENCE_HOURS; i++)
			silence->hours[i] = 0;
		silence->first_hour = hour;
	} else {
		for (int64_t at = silence->last_hour + 1; at <= hour; at++)
			*cell(silence, at) = 0;
	}
	silence->last_hour = hour;
}

/* Records in the whole hours between, so many days before; that of the last record is none of them. */
static bool was_busy(struct silence *silence, int64_t from_us, int64_t to_us, int64_t days)
{
	int64_t first = from_us / HOUR_US + 1 - days * DAY_HOURS, last = to_us / HOUR_US - 1 - days * DAY_HOURS,
		sum = 0;

	for (int64_t hour = first; hour <= last; hour++)
		sum += *cell(silence, hour);
	return sum >= SILENCE_USUAL;
}

static bool is_known(const struct silence *silence, int64_t from_us, int64_t days)
{
	int64_t hour = from_us / HOUR_US - days * DAY_HOURS;

	return hour > silence->first_hour && hour > silence->last_hour - SILENCE_HOURS;
}

bool silence_look(struct silence *silence, int64_t now_us, int64_t records, int64_t strangers, int64_t bound_us)
{
	int64_t hour = now_us / HOUR_US, from_us = silence->last_us;

	if (silence->last_hour != hour)
		reach(silence, hour);
	*cell(silence, hour) += records - silence->records;
	if (records != silence->records || from_us == 0 || now_us < from_us) {
		silence->last_us = now_us;
		silence->strangers = strangers;
	}
	silence->records = records;
	from_us = silence->last_us;
	if (bound_us == 0 || now_us - from_us < bound_us)
		return false;
	if (strangers > silence->strangers)
		return true;
	if (now_us - from_us > DAY_US)              /* it began as silence: what yesterday says of it was said then */
		from_us = now_us - DAY_US;
	return is_known(silence, from_us, 1) && was_busy(silence, from_us, now_us, 1) &&
	       (!is_known(silence, from_us, 7) || was_busy(silence, from_us, now_us, 7));
}
