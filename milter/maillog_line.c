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

/* sendmail: to=<a>,<b>, delay=...: what follows the first address. */
static struct str more_of(struct str line, struct str first)
{
	const char *end = line.ptr + line.len, *at = first.ptr + first.len;

	if (first.len == 0 || first.ptr < line.ptr || at >= end)
		return STR_EMPTY;

	struct str rest = str_of(at, (size_t)(end - at));
	size_t n = rest.ptr[0] == '>' ? 1 : 0;

	while (str_starts(str_from(rest, n), STR(",<"))) {
		struct str one = str_from(rest, n + 2);
		size_t close = str_find_byte(one, '>');

		if (close == one.len)
			break;
		n += 2 + close + 1;
	}
	return str_slice(rest, rest.ptr[0] == '>' ? 1 : 0, n ? n - 1 : 0);
}

bool maillog_line_next(struct str *more, struct str *out_recipient)
{
	struct str one = str_from(*more, 2);
	size_t close = str_find_byte(one, '>');

	if (!str_starts(*more, STR(",<")) || close == one.len)
		return false;
	*out_recipient = str_slice(one, 0, close);
	*more = str_from(one, close + 1);
	return true;
}

bool maillog_line_read(struct str line, struct maillog_line *out)
{
	struct outcome_head head;
	struct str rest;

	*out = (struct maillog_line){ .kind = MAILLOG_NONE, .old_id = STR_EMPTY, .more = STR_EMPTY };
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
		out->more = out->is_postfix ? STR_EMPTY : more_of(line, out->outcome.recipient);
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

bool maillog_stamp_us(struct str stamp, int64_t now_us, int64_t *out_us)
{
	struct tm tm = { 0 }, now;
	time_t now_s = (time_t)(now_us / US_PER_S);

	if (stamp.len && ascii_is_digit(stamp.ptr[0]))
		return parse_rfc3339(stamp, out_us);
	if (stamp.len != TRADITIONAL_LEN || stamp.ptr[9] != ':' || stamp.ptr[12] != ':' || !take_month(stamp, &tm.tm_mon) ||
	    !take_two(stamp, 4, &tm.tm_mday) || !take_two(stamp, 7, &tm.tm_hour) || !take_two(stamp, 10, &tm.tm_min) ||
	    !take_two(stamp, 13, &tm.tm_sec) || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60 || !localtime_r(&now_s, &now))
		return false;
	tm.tm_year = now.tm_year;
	if (!host_time_us(tm, out_us))
		return false;
	if (*out_us <= now_us + DAY_US)
		return true;
	tm.tm_year--;
	return host_time_us(tm, out_us);
}
