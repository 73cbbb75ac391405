#include "milter/record/timesync.h"

#include <stdatomic.h>
#include <sys/timex.h>

static _Atomic int64_t set_us = -1;

int64_t timesync_error_us(void)
{
	int64_t set = atomic_load_explicit(&set_us, memory_order_relaxed);
	struct timex tx = { .modes = 0 };

	if (set >= 0)
		return set;
	return adjtimex(&tx) < 0 ? TIMESYNC_NONE_US : (int64_t)tx.maxerror;
}

enum timesync timesync_judge(int64_t error_us)
{
	if (error_us >= TIMESYNC_NONE_US)
		return TIMESYNC_NONE;
	return error_us > TIMESYNC_DEGRADED_US ? TIMESYNC_DEGRADED : TIMESYNC_OK;
}

struct str timesync_name(enum timesync state)
{
	static const struct str names[] = {
		[TIMESYNC_OK] = STR_INIT("ok"),
		[TIMESYNC_DEGRADED] = STR_INIT("degraded"),
		[TIMESYNC_NONE] = STR_INIT("unsynchronised"),
	};

	return names[state];
}

void timesync_set(int64_t error_us)
{
	atomic_store(&set_us, error_us);
}
