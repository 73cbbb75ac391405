/*
 * quota_model - what a quota has taken, remembered whole and counted slowly: the truth that windows are held against.
 *
 * Knows nothing of slots, buckets or states: a list of charges with their times.
 */
#ifndef SEKISHO_QUOTA_MODEL_H
#define SEKISHO_QUOTA_MODEL_H

#include "policy/store.h"

#define QUOTA_MODEL_MAX 4000

struct quota_model {
	struct { int64_t at_us, cost; bool is_returned; } charges[QUOTA_MODEL_MAX];
	size_t count;
};

/* Its number, for quota_model_return. */
size_t quota_model_add(struct quota_model *model, int64_t at_us, int64_t cost);
void quota_model_return(struct quota_model *model, size_t number);

/* What was taken in (until - length, until]. */
int64_t quota_model_between(const struct quota_model *model, int64_t until_us, int64_t length_us);
/* What was taken in the day, week or month of Japan that `now` lies in. */
int64_t quota_model_unit(const struct quota_model *model, enum calendar_unit unit, int64_t now_us);
/* A bucket that drains evenly: its level now, in units and period-ths of a unit (units * period). */
__int128 quota_model_level(const struct quota_model *model, int64_t limit, int64_t period_us, int64_t now_us,
			   bool with_returned);

/*
 * Holds one answer of a store against the truth; `take` and `taken` as in the charge, `is_taken` what became of it.
 * NULL, or what is wrong. Never more than the limit in any true window; a refusal has a reason that at most a slot's
 * width takes away; retry_after is neither too short nor longer than need be by more than two slots.
 */
const char *quota_model_judge(const struct quota_model *model, const struct store_take *take,
			      const struct store_taken *taken, int64_t now_us);

#endif
