/*
 * bell - when an alarm is told: when it begins, again while it lasts, and when it is over; never more often than `again`.
 *
 * What comes and goes within that time is told once. A shock is over as it happens (records were lost): of it no end is told.
 */
#ifndef SEKISHO_BELL_H
#define SEKISHO_BELL_H

#include <stdbool.h>
#include <stdint.h>

struct bell {
	bool is_ringing;               /* it was told, and not yet that it is over */
	bool was_told;
	int64_t told_us;               /* monotonic */
};

enum bell_call { BELL_QUIET, BELL_RAISED, BELL_AGAIN, BELL_OVER };

enum bell_call bell_look(struct bell *bell, bool is_wrong, bool is_shock, int64_t now_us, int64_t again_us);

#endif
