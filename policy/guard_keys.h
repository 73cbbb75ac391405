/*
 * guard_keys - the guard's counters by name, for who counts and who looks. Private to policy/.
 *
 * False: out of memory; guard_read: the store is gone (ERR_BUSY).
 */
#ifndef SEKISHO_GUARD_KEYS_H
#define SEKISHO_GUARD_KEYS_H

#include "config/base/clock.h"
#include "policy/guard.h"

#define GUARD_KEEP_US (2 * DAY_US)
#define GUARD_PEAK_KEEP_US ((GUARD_WEEK_DAYS + 2) * DAY_US)
#define GUARD_ALL "all"
#define GUARD_HARD "hard"
#define GUARD_UNKNOWN "unknown"
#define GUARD_COMPLAINTS "complaints"

/* `period` and `what` may be empty. */
bool guard_key(struct str tenant, const char *family, struct str period, struct member member, const char *what,
	       struct arena *arena, struct str *out);
bool guard_date(int64_t day, struct arena *arena, struct str *out);
bool guard_hour(int64_t at_us, struct arena *arena, struct str *out);      /* "2026-11-21T15", JST */
/* Absent, or not a number: 0. */
bool guard_read(struct store *st, struct str key, struct arena *arena, int64_t *out, struct err *err);

#endif
