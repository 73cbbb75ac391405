/*
 * clock - the time, and Japan's calendar.
 *
 * All times are int64 microseconds since 1970-01-01 UTC. JST is +09:00 all year (Act No. 59 of 1886 and no summer time
 * since 1952): a constant, never the host's zone, so nothing here calls localtime. A day is the number of JST days
 * since 1970-01-01 JST: floor((t + 9 h) / 24 h).
 *
 * Tests set the wall clock with clock_set; programs started with SEKISHO_CLOCK_FILE in the environment (builds made
 * with --enable-test-clock only) read an offset in seconds from that file at each call.
 */
#ifndef SEKISHO_CLOCK_H
#define SEKISHO_CLOCK_H

#include "config/base/num.h"

#define HOUR_US (3600 * US_PER_S)
#define DAY_US (24 * HOUR_US)
#define JST_OFFSET_US (9 * HOUR_US)

int64_t clock_now_us(void);                     /* wall clock */
int64_t clock_mono_us(void);                    /* for waiting and measuring; never set back */
void clock_set(int64_t now_us);                 /* tests: time stands still at now_us; 0 lets it run again */

int64_t jst_day(int64_t t_us);
int64_t jst_day_start_us(int64_t day);          /* 00:00 JST of that day */
/* Civil date of a JST day (proleptic Gregorian), month and day from 1. */
void jst_civil(int64_t day, int *out_year, int *out_month, int *out_day);
int64_t jst_day_from_civil(int year, int month, int day);
int jst_weekday(int64_t day);                   /* 0 Monday to 6 Sunday, ISO 8601 */

/* "2026-11-21T18:04:05.123456+09:00", 32 octets and a NUL. Years 0000 to 9999. */
#define JST_TIME_LEN 32
void jst_format_time(int64_t t_us, char out[JST_TIME_LEN + 1]);
/* "2026-11-21" */
#define JST_DATE_LEN 10
void jst_format_date(int64_t day, char out[JST_DATE_LEN + 1]);
/* What jst_format_time writes, and any RFC 3339 time with an offset; a date that is none (30 February) is refused. */
bool jst_parse_time(struct str s, int64_t *out_us);
bool jst_parse_date(struct str s, int64_t *out_day);

#endif
