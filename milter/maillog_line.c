#include "milter/maillog_line.h"

#include <stdio.h>
#include <time.h>

#include "config/base/clock.h"
#include "config/base/num.h"

#define TRADITIONAL_LEN 15             /* "Jun  3 10:00:01" */

static enum maillog_kind postfix_kind(struct str program, struct str rest, struct maillog_line *out)
{
	struct str left, old;

	if (str_ends(program, STR("/qmgr"))) {
		if (str_eq(rest, STR("removed")))
			return MAILLOG_REMOVED;
		if (str_starts(rest, STR("from=<")) && str_ends(rest, STR("expired, returned to sender")) &&
		    (str_ends(rest, STR(", status=expired, returned to sender")) ||
		     str_ends(rest, STR(", status=force-expired, returned to sender"))))
			return MAILLOG_EXPIRED;
	}
	if (str_ends(program, STR("/pickup")) && str_cut_last(rest, ' ', &left, &old) && str_starts(old, STR("orig_id=")) &&
	    outcome_is_queue_id(str_from(old, 8))) {
		out->old_id = str_from(old, 8);
		return MAILLOG_REQUEUED;
	}
	return MAILLOG_NONE;
}

static enum maillog_kind sendmail_kind(struct str rest)
{
	struct str id, words;

	return str_cut(rest, ':', &id, &words) && outcome_is_queue_id(id) && str_starts(words, STR(" sender notify: Cannot send message"))
		       ? MAILLOG_EXPIRED : MAILLOG_NONE;
}

bool maillog_line_read(struct str line, struct maillog_line *out)
{
	struct outcome_head head;
	struct str rest;

	*out = (struct maillog_line){ .kind = MAILLOG_NONE, .old_id = STR_EMPTY };
	if (!outcome_head_read(line, &head))
		return false;
	out->stamp = head.stamp;
	out->queue_id = head.queue_id;
	out->is_postfix = head.is_postfix;
	rest = head.rest;
	if (str_starts(rest, STR("to="))) {
		if (!outcome_read(line, &out->outcome))
			return false;
		out->kind = MAILLOG_OUTCOME;
		out->queue_id = out->outcome.queue_id;
		return true;
	}
	out->kind = out->is_postfix ? postfix_kind(head.program, rest, out) : sendmail_kind(rest);
	return out->kind != MAILLOG_NONE;
}

/* --- stamps */

static bool take_two(struct str s, size_t at, int *out)
{
	uint64_t n;
	struct str two = str_trim(str_slice(s, at, 2));

	if (!num_parse_u64(two, &n))
		return false;
	*out = (int)n;
	return true;
}

static bool take_month(struct str s, int *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (str_starts_nocase(s, str_of(names + 3 * i, 3))) {
			*out = i;
			return true;
		}
	return false;
}

/* syslog writes the host's own time: the one place that asks for its zone. */
static bool host_time_us(struct tm tm, int64_t *out_us)
{
	tm.tm_isdst = -1;

	time_t t = mktime(&tm);

	if (t == (time_t)-1)
		return false;
	*out_us = (int64_t)t * US_PER_S;
	return true;
}

/* "10:00:01", of a day that a month may have. */
static bool take_clock(struct str s, size_t at, struct tm *tm)
{
	struct str clock = str_slice(s, at, 8);

	return clock.len == 8 && clock.ptr[2] == ':' && clock.ptr[5] == ':' && take_two(clock, 0, &tm->tm_hour) &&
	       take_two(clock, 3, &tm->tm_min) && take_two(clock, 6, &tm->tm_sec) && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
	       tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
}

/* Older journals leave out the colon of the offset. */
static bool parse_rfc3339(struct str stamp, int64_t *out_us)
{
	char text[48];
	size_t sign = stamp.len - 5;

	if (stamp.len < 24 || stamp.len > 40 || (stamp.ptr[sign] != '+' && stamp.ptr[sign] != '-') || str_find_byte(str_from(stamp, sign), ':') < 5)
		return jst_parse_time(stamp, out_us);
	snprintf(text, sizeof text, STR_FMT ":" STR_FMT, STR_ARG(str_slice(stamp, 0, stamp.len - 2)),
		 STR_ARG(str_from(stamp, stamp.len - 2)));
	return jst_parse_time(str_from_c(text), out_us);
}

/* "2026-06-03 10:00:01": with a zone as with a T between. */
static bool parse_zoned(struct str stamp, int64_t *out_us)
{
	char text[48];

	snprintf(text, sizeof text, STR_FMT "T" STR_FMT, STR_ARG(str_slice(stamp, 0, 10)), STR_ARG(str_slice(stamp, 11, 30)));
	return parse_rfc3339(str_from_c(text), out_us);
}

/* Without one it means the host's, as syslog's does. */
static bool parse_blank(struct str stamp, int64_t *out_us)
{
	struct tm tm = { 0 };
	struct str clock = str_from(stamp, 11);
	int century, year;

	if (str_find_byte(clock, '+') < clock.len || str_find_byte(clock, '-') < clock.len || str_ends(clock, STR("Z")))
		return parse_zoned(stamp, out_us);
	if (!take_two(stamp, 0, &century) || !take_two(stamp, 2, &year) || !take_two(stamp, 5, &tm.tm_mon) ||
	    !take_two(stamp, 8, &tm.tm_mday) || !take_clock(stamp, 11, &tm) || tm.tm_mon < 1 || tm.tm_mon > 12)
		return false;
	tm.tm_year = century * 100 + year - 1900;
	tm.tm_mon--;
	return host_time_us(tm, out_us);
}

bool maillog_stamp_us(struct str stamp, int64_t now_us, int64_t *out_us)
{
	struct tm tm = { 0 }, now;
	time_t now_s = (time_t)(now_us / US_PER_S);

	if (stamp.len && ascii_is_digit(stamp.ptr[0]))
		return stamp.len > 10 && stamp.ptr[10] == ' ' ? parse_blank(stamp, out_us) : parse_rfc3339(stamp, out_us);
	if (stamp.len < TRADITIONAL_LEN || (stamp.len > TRADITIONAL_LEN && stamp.ptr[TRADITIONAL_LEN] != '.') ||
	    !take_month(stamp, &tm.tm_mon) || !take_two(stamp, 4, &tm.tm_mday) || !take_clock(stamp, 7, &tm) ||
	    !localtime_r(&now_s, &now))
		return false;
	tm.tm_year = now.tm_year;
	if (!host_time_us(tm, out_us))
		return false;
	if (*out_us <= now_us + DAY_US)
		return true;
	tm.tm_year--;
	return host_time_us(tm, out_us);
}
