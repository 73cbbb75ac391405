/*
 * window - the arithmetic of the three quota windows, without a store and without a clock.
 *
 * rolling    A ring of slots. A charge at time t falls into slot floor(t / width), width = period / slots rounded up.
 *            The window counts slots + 1 of them, so every instant of (t - period, t] lies inside and no true window
 *            of that length ever holds more than the limit; the price is a window at most one slot too long.
 * calendar   One number for the current day, week (from Monday) or month of Japan.
 * burst      A bucket of `limit` that drains evenly, `limit` every period (GCRA). Kept as what was poured in since it
 *            was last empty, so that no charge is rounded: level = poured - returned - floor(elapsed * limit / period).
 *            What is poured beyond the rim (a limit that is only monitored, or was lowered) is spilt.
 *
 * A window never runs backwards: a clock that is set back counts on in the newest slot it knows. One that was wrong by
 * more than a window moves what it counted to now, so that no limit stays used up until a year that never comes.
 * The limit is no part of the window: with another limit the past stays counted. (The bucket remembers which limit
 * drained it so far, for the same end.)
 *
 * Cost 0 always fits, and cost > limit never. Negative costs and limits count as 0. Sums stop at INT64_MAX.
 *
 * State    bytes: version, shape, then varints; at most WINDOW_STATE_MAX. Bytes of another shape, or garbage, are an
 *          empty window. An empty window and an expired one are the same
 */
#ifndef SEKISHO_WINDOW_H
#define SEKISHO_WINDOW_H

#include "policy/store.h"

#define WINDOW_SLOTS_MAX 60
#define WINDOW_STATE_MAX 768

struct window_state {
	int64_t at;                    /* rolling: newest slot; calendar: the unit; burst: when it was last empty, us */
	int64_t sum;                   /* rolling, calendar: used; burst: poured in since `at` */
	int64_t returned;              /* burst: given back since `at` */
	int64_t drained;               /* burst: drained from `at` to `since`, */
	int64_t since, drain;          /*        and from then on evenly, `drain` every period */
	int64_t slots[WINDOW_SLOTS_MAX + 1];   /* rolling: slot n is slots[n % (slots + 1)] */
};

/* Where a charge went, so that it can be given back there and nowhere else. */
struct window_mark {
	int64_t at;                    /* slot, unit or beginning, as in the state */
	int64_t before;                /* burst: sum before it */
	int64_t delta;                 /* what was added; 0: nothing */
};

/* Slots of a rolling window: 60 up to an hour, 48 up to a day, 60 above. */
int64_t window_slots(int64_t period_us);

/* Of `take` the functions use window, calendar and period_us (the shape), and those said below. */
/* The shape that a state's bytes say they have; false for bytes that are no state. */
bool window_shape(struct str bytes, struct store_take *out);
void window_decode(const struct store_take *take, struct str bytes, struct window_state *out);
size_t window_encode(const struct store_take *take, const struct window_state *state, char out[WINDOW_STATE_MAX]);

/* Brings the window to now, then answers for take's limit and cost. */
void window_look(const struct store_take *take, struct window_state *state, int64_t now_us, struct store_taken *out);
/* Adds take's cost, fitting or not; after window_look at the same time. */
void window_take(const struct store_take *take, struct window_state *state, int64_t now_us, struct window_mark *out);
/* Takes back what `mark` says, as far as it is still counted. */
void window_give_back(const struct store_take *take, struct window_state *state, int64_t now_us,
		      const struct window_mark *mark);
/* From then on the window is as good as empty. */
int64_t window_expires_us(const struct store_take *take, const struct window_state *state);

#endif
