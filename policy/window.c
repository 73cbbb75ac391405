#include "policy/window.h"

#include <assert.h>

#include "config/base/clock.h"
#include "policy/bytes.h"

#define STATE_VERSION 1
#define BUCKET_MAX (INT64_MAX / 2)     /* so that differences of what went in and out stay numbers */

_Static_assert(3 + BYTES_VARINT_MAX * 2 + (WINDOW_SLOTS_MAX + 1) * (1 + BYTES_VARINT_MAX) <= WINDOW_STATE_MAX,
	       "the fullest ring fits");

static int64_t floor_at_0(int64_t n)
{
	return n > 0 ? n : 0;
}

static int64_t add_sat(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* floor(a * b / c) and ceil(a * b / c), not negative, at most INT64_MAX. */
static int64_t mul_div(int64_t a, int64_t b, int64_t c)
{
	__int128 quotient = (__int128)a * b / c;

	return quotient > INT64_MAX ? INT64_MAX : (int64_t)quotient;
}

static int64_t mul_div_up(int64_t a, int64_t b, int64_t c)
{
	__int128 quotient = ((__int128)a * b + c - 1) / c;

	return quotient > INT64_MAX ? INT64_MAX : (int64_t)quotient;
}

static int64_t period_of(const struct store_take *take)
{
	return take->period_us > 0 ? take->period_us : 1;
}

static int64_t cost_of(const struct store_take *take)
{
	return floor_at_0(take->cost);
}

static int64_t limit_of(const struct store_take *take)
{
	return floor_at_0(take->limit);
}

/* --- rolling */

int64_t window_slots(int64_t period_us)
{
	return period_us > HOUR_US && period_us <= DAY_US ? 48 : 60;
}

static int64_t slot_width(const struct store_take *take)
{
	int64_t slots = window_slots(period_of(take));

	return period_of(take) / slots + (period_of(take) % slots != 0);
}

static int64_t *slot_at(const struct store_take *take, struct window_state *state, int64_t slot)
{
	return &state->slots[slot % (window_slots(period_of(take)) + 1)];
}

static int64_t slot_value(const struct store_take *take, const struct window_state *state, int64_t slot)
{
	return state->slots[slot % (window_slots(period_of(take)) + 1)];
}

/* The oldest slot that a window with this newest one counts. */
static int64_t slot_oldest(const struct store_take *take, int64_t newest)
{
	return floor_at_0(newest - window_slots(period_of(take)));
}

/* When `slot` is counted no more. */
static int64_t slot_leaves_us(const struct store_take *take, int64_t slot)
{
	return (slot + window_slots(period_of(take)) + 1) * slot_width(take);
}

static void rolling_advance(const struct store_take *take, struct window_state *state, int64_t now_us)
{
	int64_t now = floor_at_0(now_us) / slot_width(take);
	int64_t count = window_slots(period_of(take)) + 1;

	if (state->at > now && state->at - now > count) {
		int64_t sum = state->sum;

		*state = (struct window_state){ .at = now, .sum = sum };
		*slot_at(take, state, now) = sum;
	}
	if (now - state->at >= count) {
		*state = (struct window_state){ .at = now };
		return;
	}
	while (state->at < now) {
		int64_t *reused = slot_at(take, state, ++state->at);

		state->sum -= *reused;
		*reused = 0;
	}
}

/* The first moment at which enough slots have left for `room` to be the most that is still counted. */
static int64_t rolling_room_us(const struct store_take *take, const struct window_state *state, int64_t room)
{
	int64_t slot = slot_oldest(take, state->at), left = state->sum - slot_value(take, state, slot);

	while (left > room && slot < state->at)
		left -= slot_value(take, state, ++slot);
	return slot_leaves_us(take, slot);
}

static int64_t rolling_resets_us(const struct store_take *take, const struct window_state *state, int64_t now_us)
{
	for (int64_t slot = slot_oldest(take, state->at); slot <= state->at; slot++)
		if (slot_value(take, state, slot))
			return slot_leaves_us(take, slot);
	return now_us;
}

/* Returns what was added: less than asked for only where the sum would not fit into its type. */
static int64_t rolling_add(const struct store_take *take, struct window_state *state)
{
	int64_t sum = add_sat(state->sum, cost_of(take)), delta = sum - state->sum;

	state->sum = sum;
	*slot_at(take, state, state->at) += delta;
	return delta;
}

static void rolling_give_back(const struct store_take *take, struct window_state *state, const struct window_mark *mark)
{
	if (mark->at < slot_oldest(take, state->at) || mark->at > state->at)
		return;

	int64_t *slot = slot_at(take, state, mark->at);
	int64_t back = mark->delta < *slot ? mark->delta : *slot;

	*slot -= back;
	state->sum -= back;
}

/* --- calendar: days, weeks and months of Japan, numbered */

static int64_t calendar_unit(enum calendar_unit kind, int64_t now_us)
{
	int64_t day = jst_day(floor_at_0(now_us));
	int year, month, mday;

	switch (kind) {
	case CALENDAR_WEEK:
		return (day + 3) / 7;           /* day 0 was a Thursday, in the week of Monday the 29th */
	case CALENDAR_MONTH:
		jst_civil(day, &year, &month, &mday);
		return (int64_t)year * 12 + month - 1;
	case CALENDAR_NONE:
	case CALENDAR_DAY:
		break;
	}
	return day;
}

static int64_t calendar_start_us(enum calendar_unit kind, int64_t unit)
{
	if (kind == CALENDAR_WEEK)
		return jst_day_start_us(unit * 7 - 3);
	if (kind == CALENDAR_MONTH)
		return jst_day_start_us(jst_day_from_civil((int)(unit / 12), (int)(unit % 12) + 1, 1));
	return jst_day_start_us(unit);
}

static void calendar_advance(const struct store_take *take, struct window_state *state, int64_t now_us)
{
	int64_t now = calendar_unit(take->calendar, now_us);

	if (state->at < now)
		*state = (struct window_state){ .at = now };
	else if (state->at > now + 1)
		state->at = now;
}

static void calendar_give_back(struct window_state *state, const struct window_mark *mark)
{
	if (mark->at == state->at)
		state->sum -= mark->delta < state->sum ? mark->delta : state->sum;
}

/* --- burst */

static int64_t burst_drained(const struct store_take *take, const struct window_state *state, int64_t now_us)
{
	int64_t elapsed_us = floor_at_0(now_us - state->since);

	return add_sat(state->drained, mul_div(elapsed_us, state->drain, period_of(take)));
}

static int64_t burst_level(const struct store_take *take, const struct window_state *state, int64_t now_us)
{
	return floor_at_0(state->sum - state->returned - burst_drained(take, state, now_us));
}

/* When no more than `level` is left of what is in the bucket now. */
static int64_t burst_reaches_us(const struct store_take *take, const struct window_state *state, int64_t level)
{
	int64_t over = floor_at_0(state->sum - state->returned - state->drained - level);

	return over == 0 || state->drain == 0 ? state->since
					      : add_sat(state->since, mul_div_up(over, period_of(take), state->drain));
}

/* What has drained becomes a number; the part of a unit that had begun to leave stays in. */
static void burst_settle(const struct store_take *take, struct window_state *state, int64_t now_us)
{
	state->drained = burst_drained(take, state, now_us);
	state->since = now_us;
}

static void burst_advance(const struct store_take *take, struct window_state *state, int64_t now_us)
{
	int64_t level = burst_level(take, state, now_us), limit = limit_of(take);
	bool is_far_ahead = state->since > now_us && state->since - now_us > period_of(take);
	/* Limit 0 would never drain and no limit would drain at once: meanwhile the bucket drains as it did. */
	bool is_new_rate = limit > 0 && limit < LIMIT_NONE && limit != state->drain;

	if (level == 0)
		*state = (struct window_state){ .at = now_us, .since = now_us, .drain = state->drain };
	else if (is_far_ahead || is_new_rate)
		burst_settle(take, state, now_us);
	if (!is_new_rate)
		return;
	state->drain = limit;
	if (level > limit)
		state->drained += level - limit;
}

static int64_t burst_add(const struct store_take *take, struct window_state *state, int64_t now_us)
{
	int64_t room = floor_at_0(limit_of(take) - burst_level(take, state, now_us));
	int64_t delta = cost_of(take) < room ? cost_of(take) : room;

	/* Without a limit there is no rate, so there is nothing to drain and nothing to keep. */
	if (limit_of(take) == LIMIT_NONE || delta > BUCKET_MAX - state->sum)
		return 0;
	state->sum += delta;
	return delta;
}

/*
 * Only what has not drained yet can go back. The bucket drains in the order in which it was filled, so of this charge
 * drained what the drain is ahead of its place in the queue, and its place moved up by no more than what was given back
 * altogether. Giving back more would let others send more than a bucket that had never seen this charge.
 */
static void burst_give_back(const struct store_take *take, struct window_state *state, int64_t now_us,
			    const struct window_mark *mark)
{
	int64_t drained = burst_drained(take, state, now_us);

	if (mark->at != state->at || mark->delta > state->sum || mark->before > state->sum - mark->delta ||
	    drained >= state->sum)
		return;

	int64_t ahead = mark->before - state->returned - drained, left = floor_at_0(add_sat(ahead, mark->delta));

	if (left == 0)
		return;
	/* It has begun to drain: the begun unit goes back with it and must not count for those behind. */
	if (ahead <= 0 && now_us > state->since)
		burst_settle(take, state, now_us);
	state->returned += left < mark->delta ? left : mark->delta;
}

/* --- any */

static void advance(const struct store_take *take, struct window_state *state, int64_t now_us)
{
	switch (take->window) {
	case WINDOW_ROLLING:
		rolling_advance(take, state, now_us);
		break;
	case WINDOW_CALENDAR:
		calendar_advance(take, state, now_us);
		break;
	case WINDOW_BURST:
		burst_advance(take, state, now_us);
		break;
	}
}

static int64_t used(const struct store_take *take, const struct window_state *state, int64_t now_us)
{
	return take->window == WINDOW_BURST ? burst_level(take, state, now_us) : state->sum;
}

/* When at most `room` is used. */
static int64_t room_us(const struct store_take *take, const struct window_state *state, int64_t room)
{
	if (take->window == WINDOW_ROLLING)
		return rolling_room_us(take, state, room);
	if (take->window == WINDOW_CALENDAR)
		return calendar_start_us(take->calendar, state->at + 1);
	return burst_reaches_us(take, state, room);
}

static int64_t resets_us(const struct store_take *take, const struct window_state *state, int64_t now_us)
{
	int64_t at_us = take->window == WINDOW_ROLLING    ? rolling_resets_us(take, state, now_us)
			: take->window == WINDOW_CALENDAR ? calendar_start_us(take->calendar, state->at + 1)
							  : burst_reaches_us(take, state, 0);

	return at_us > now_us ? at_us : now_us;
}

void window_look(const struct store_take *take, struct window_state *state, int64_t now_us, struct store_taken *out)
{
	int64_t cost = cost_of(take), limit = limit_of(take);

	advance(take, state, now_us);
	*out = (struct store_taken){ .used = used(take, state, now_us), .resets_us = resets_us(take, state, now_us) };
	if (cost == 0 || limit == LIMIT_NONE || (cost <= limit && out->used <= limit - cost))
		return;

	out->is_over = true;
	if (cost > limit)
		out->retry_after_us = STORE_NEVER_US;
	else
		out->retry_after_us = floor_at_0(room_us(take, state, limit - cost) - now_us);
	if (out->retry_after_us == 0)
		out->retry_after_us = 1;
}

void window_take(const struct store_take *take, struct window_state *state, int64_t now_us, struct window_mark *out)
{
	*out = (struct window_mark){ .at = state->at, .before = state->sum };
	switch (take->window) {
	case WINDOW_ROLLING:
		out->delta = rolling_add(take, state);
		break;
	case WINDOW_CALENDAR:
		state->sum = add_sat(state->sum, cost_of(take));
		out->delta = state->sum - out->before;
		break;
	case WINDOW_BURST:
		out->delta = burst_add(take, state, now_us);
		break;
	}
}

void window_give_back(const struct store_take *take, struct window_state *state, int64_t now_us,
		      const struct window_mark *mark)
{
	if (mark->delta <= 0)
		return;
	switch (take->window) {
	case WINDOW_ROLLING:
		rolling_advance(take, state, now_us);
		rolling_give_back(take, state, mark);
		break;
	case WINDOW_CALENDAR:
		calendar_advance(take, state, now_us);
		calendar_give_back(state, mark);
		break;
	case WINDOW_BURST:
		burst_give_back(take, state, now_us, mark);
		break;
	}
}

int64_t window_expires_us(const struct store_take *take, const struct window_state *state)
{
	if (take->window == WINDOW_ROLLING)
		return slot_leaves_us(take, state->at);
	if (take->window == WINDOW_CALENDAR)
		return calendar_start_us(take->calendar, state->at + 1);
	return burst_reaches_us(take, state, 0);
}

/*
 * --- bytes
 *
 *     version(1)  window(1)  calendar or slots(1)  period(varint, 0 for calendar)  at(varint)
 *     rolling     pairs, newest first: slots since the one before (varint), value (varint, not 0)
 *     calendar    sum(varint)
 *     burst       sum, returned, drained, since, drain (varints)
 */

static unsigned char shape_octet(const struct store_take *take)
{
	return (unsigned char)(take->window == WINDOW_CALENDAR ? take->calendar : window_slots(period_of(take)));
}

static int64_t shape_period(const struct store_take *take)
{
	return take->window == WINDOW_CALENDAR ? 0 : period_of(take);
}

static bool take_shape(const struct store_take *take, struct str *in)
{
	unsigned char version, window, detail;
	int64_t period_us;

	return bytes_take_octet(in, &version) && version == STATE_VERSION && bytes_take_octet(in, &window) &&
	       window == take->window && bytes_take_octet(in, &detail) && detail == shape_octet(take) &&
	       bytes_take_varint(in, &period_us) && period_us == shape_period(take);
}

bool window_shape(struct str bytes, struct store_take *out)
{
	unsigned char version, window, detail;
	int64_t period_us;

	if (!bytes_take_octet(&bytes, &version) || version != STATE_VERSION || !bytes_take_octet(&bytes, &window) ||
	    window > WINDOW_CALENDAR || !bytes_take_octet(&bytes, &detail) || !bytes_take_varint(&bytes, &period_us))
		return false;
	out->window = (enum quota_window)window;
	out->calendar = window == WINDOW_CALENDAR ? (enum calendar_unit)detail : CALENDAR_NONE;
	out->period_us = period_us;
	return window != WINDOW_CALENDAR || detail <= CALENDAR_MONTH;
}

static bool take_slots(const struct store_take *take, struct str *in, struct window_state *state)
{
	int64_t oldest = slot_oldest(take, state->at), slot = state->at, gap, value;

	while (in->len) {
		if (!bytes_take_varint(in, &gap) || !bytes_take_varint(in, &value) || gap > slot - oldest ||
		    value == 0 || __builtin_add_overflow(state->sum, value, &state->sum))
			return false;
		slot -= gap;
		if (*slot_at(take, state, slot))
			return false;
		*slot_at(take, state, slot) = value;
	}
	return true;
}

static bool take_bucket(struct str *in, struct window_state *state)
{
	return bytes_take_varint(in, &state->returned) && bytes_take_varint(in, &state->drained) &&
	       bytes_take_varint(in, &state->since) && bytes_take_varint(in, &state->drain) &&
	       state->sum <= BUCKET_MAX && state->returned <= state->sum &&
	       state->drained <= state->sum - state->returned;
}

static bool take_state(const struct store_take *take, struct str in, struct window_state *state)
{
	if (!take_shape(take, &in) || !bytes_take_varint(&in, &state->at))
		return false;
	if (take->window == WINDOW_ROLLING)
		return take_slots(take, &in, state);
	if (!bytes_take_varint(&in, &state->sum))
		return false;
	if (take->window == WINDOW_BURST && !take_bucket(&in, state))
		return false;
	return in.len == 0;
}

void window_decode(const struct store_take *take, struct str bytes, struct window_state *out)
{
	*out = (struct window_state){ 0 };
	if (!take_state(take, bytes, out))
		*out = (struct window_state){ 0 };
}

static char *put_slots(const struct store_take *take, const struct window_state *state, char *at)
{
	int64_t last = state->at;

	for (int64_t slot = state->at; slot >= slot_oldest(take, state->at); slot--) {
		if (!slot_value(take, state, slot))
			continue;
		at = bytes_put_varint(at, last - slot);
		at = bytes_put_varint(at, slot_value(take, state, slot));
		last = slot;
	}
	return at;
}

size_t window_encode(const struct store_take *take, const struct window_state *state, char out[WINDOW_STATE_MAX])
{
	char *at = out;

	*at++ = STATE_VERSION;
	*at++ = (char)take->window;
	*at++ = (char)shape_octet(take);
	at = bytes_put_varint(at, shape_period(take));
	at = bytes_put_varint(at, floor_at_0(state->at));
	if (take->window == WINDOW_ROLLING) {
		at = put_slots(take, state, at);
	} else {
		at = bytes_put_varint(at, state->sum);
		if (take->window == WINDOW_BURST) {
			at = bytes_put_varint(at, state->returned);
			at = bytes_put_varint(at, state->drained);
			at = bytes_put_varint(at, state->since);
			at = bytes_put_varint(at, state->drain);
		}
	}
	assert(at - out <= WINDOW_STATE_MAX);
	return (size_t)(at - out);
}
