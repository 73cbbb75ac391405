#include "t/lib/quota_model.h"

#include <stdlib.h>

#include "config/base/clock.h"

size_t quota_model_add(struct quota_model *model, int64_t at_us, int64_t cost)
{
	if (model->count == QUOTA_MODEL_MAX)
		abort();
	model->charges[model->count].at_us = at_us;
	model->charges[model->count].cost = cost;
	model->charges[model->count].is_returned = false;
	return model->count++;
}

void quota_model_return(struct quota_model *model, size_t number)
{
	model->charges[number].is_returned = true;
}

int64_t quota_model_between(const struct quota_model *model, int64_t until_us, int64_t length_us)
{
	int64_t sum = 0;

	for (size_t i = 0; i < model->count; i++)
		if (!model->charges[i].is_returned && model->charges[i].at_us > until_us - length_us &&
		    model->charges[i].at_us <= until_us)
			sum += model->charges[i].cost;
	return sum;
}

/* The first day of the unit, by walking back day by day: slow, and nothing to get wrong. */
static int64_t unit_start_day(enum calendar_unit unit, int64_t at_us)
{
	int64_t day = jst_day(at_us);
	int year, month, mday;

	while (unit == CALENDAR_WEEK && jst_weekday(day) != 0)
		day--;
	jst_civil(day, &year, &month, &mday);
	return unit == CALENDAR_MONTH ? day - (mday - 1) : day;
}

int64_t quota_model_unit(const struct quota_model *model, enum calendar_unit unit, int64_t now_us)
{
	int64_t sum = 0, start = unit_start_day(unit, now_us);

	for (size_t i = 0; i < model->count; i++)
		if (!model->charges[i].is_returned && jst_day(model->charges[i].at_us) >= start)
			sum += model->charges[i].cost;
	return sum;
}

__int128 quota_model_level(const struct quota_model *model, int64_t limit, int64_t period_us, int64_t now_us,
			   bool with_returned)
{
	__int128 level = 0;
	int64_t at_us = 0;

	for (size_t i = 0; i < model->count; i++) {
		if (model->charges[i].is_returned && !with_returned)
			continue;
		level -= (__int128)(model->charges[i].at_us - at_us) * limit;
		if (level < 0)
			level = 0;
		level += (__int128)model->charges[i].cost * period_us;
		at_us = model->charges[i].at_us;
	}
	level -= (__int128)(now_us - at_us) * limit;
	return level < 0 ? 0 : level;
}

static const char *judge_rolling(const struct quota_model *model, const struct store_take *take,
				 const struct store_taken *taken, int64_t now_us)
{
	/* The width of a slot, as the manual has it: a 60th up to an hour and over a day, else a 48th. */
	int64_t slots = take->period_us > 3600 * US_PER_S && take->period_us <= DAY_US ? 48 : 60;
	int64_t slack_us = take->period_us / slots + 1 + slots, room = take->limit - take->cost;

	if (!taken->is_over)
		return quota_model_between(model, now_us, take->period_us) > room ? "over the true window" : NULL;
	if (quota_model_between(model, now_us, take->period_us + slack_us) <= room)
		return "refused without need";
	/* Nothing more is charged meanwhile: what is then left in the window lies in what is now its younger part. */
	if (quota_model_between(model, now_us, take->period_us - taken->retry_after_us) > room)
		return "retry_after is too short";
	if (taken->retry_after_us > take->period_us + slack_us)
		return "retry_after is longer than the window";
	if (taken->retry_after_us > 2 * slack_us &&
	    quota_model_between(model, now_us, take->period_us - taken->retry_after_us + 2 * slack_us) <= room)
		return "retry_after is too long";
	return NULL;
}

static const char *judge_calendar(const struct quota_model *model, const struct store_take *take,
				  const struct store_taken *taken, int64_t now_us)
{
	int64_t used = quota_model_unit(model, take->calendar, now_us), then_us = now_us + taken->retry_after_us;

	if (taken->used != used)
		return "used is not what was taken since the unit began";
	if (taken->is_over != (used > take->limit - take->cost))
		return taken->is_over ? "refused without need" : "over the limit";
	if (taken->is_over && (unit_start_day(take->calendar, then_us - 1) != unit_start_day(take->calendar, now_us) ||
			       unit_start_day(take->calendar, then_us) == unit_start_day(take->calendar, now_us)))
		return "retry_after is not when the next unit begins";
	return NULL;
}

static const char *judge_burst(const struct quota_model *model, const struct store_take *take,
			       const struct store_taken *taken, int64_t now_us)
{
	int64_t period_us = take->period_us, limit = take->limit, then_us = now_us + taken->retry_after_us;
	__int128 room = (__int128)(limit - take->cost) * period_us;

	if (!taken->is_over)
		return quota_model_level(model, limit, period_us, now_us, false) > room ? "over the rim" : NULL;
	/* What was given back may count on until it would have drained, no longer. */
	if (quota_model_level(model, limit, period_us, now_us, true) <= room)
		return "refused without need";
	if (quota_model_level(model, limit, period_us, then_us, false) > room)
		return "retry_after is too short";
	return quota_model_level(model, limit, period_us, then_us - 1, true) <= room ? "retry_after is too long" : NULL;
}

const char *quota_model_judge(const struct quota_model *model, const struct store_take *take,
			      const struct store_taken *taken, int64_t now_us)
{
	if (take->cost > take->limit)
		return taken->is_over && taken->retry_after_us == STORE_NEVER_US
			       ? NULL
			       : "more than the limit is never possible";
	if (taken->is_over && taken->retry_after_us <= 0)
		return "no retry_after";
	if (take->window == WINDOW_ROLLING)
		return judge_rolling(model, take, taken, now_us);
	if (take->window == WINDOW_CALENDAR)
		return judge_calendar(model, take, taken, now_us);
	return judge_burst(model, take, taken, now_us);
}
