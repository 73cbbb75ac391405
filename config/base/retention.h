/*
 * retention - how long records are kept: neither shorter nor longer than was promised.
 *
 * Days are JST days. `60d`: a record is shown for 60 times 24 hours, the file of day D goes at 00:00 JST of D + 61, when its last
 * record is over age. `1y`: until the same time of the same JST date next year (29 February becomes 1 March), the file at
 * 00:00 JST of the day after that date.
 */
#ifndef SEKISHO_RETENTION_H
#define SEKISHO_RETENTION_H

#include "config/base/str.h"

#define RETENTION_YEAR_DAYS 365
#define RETENTION_DAYS_MAX (100 * RETENTION_YEAR_DAYS)

struct retention {
	int64_t days;
	bool is_years;                 /* days is years * RETENTION_YEAR_DAYS, and means calendar years */
};

/* When a record of that time is over age: from this moment on nobody may see it. */
int64_t retention_end_us(struct retention keep, int64_t time_us);
/* The JST day at whose 00:00 the file of `day` goes. */
int64_t retention_purge_day(struct retention keep, int64_t day);
/* The most days that may be: years have a leap day in each four begun. */
int64_t retention_days_most(struct retention keep);

/* "60d", "1y": whole days or years. */
bool retention_parse(struct str text, struct retention *out);
#define RETENTION_TEXT_MAX 24
void retention_text(struct retention keep, char out[RETENTION_TEXT_MAX]);

#endif
