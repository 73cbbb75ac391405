/*
 * timesync - how far the host's clock may be off, as its kernel knows it.
 *
 * Judged by adjtimex's maxerror (readable without privilege, about a microsecond a call), not by STA_UNSYNC, which chrony
 * leaves set. Without a time daemon maxerror grows by 500 ppm up to 16 s, where the kernel stops counting.
 */
#ifndef SEKISHO_RECORD_TIMESYNC_H
#define SEKISHO_RECORD_TIMESYNC_H

#include "config/base/num.h"

#define TIMESYNC_DEGRADED_US US_PER_S
#define TIMESYNC_NONE_US (16 * US_PER_S)

enum timesync { TIMESYNC_OK, TIMESYNC_DEGRADED, TIMESYNC_NONE };

/* TIMESYNC_NONE_US when the kernel does not say. */
int64_t timesync_error_us(void);
enum timesync timesync_judge(int64_t error_us);
/* "ok", "degraded", "unsynchronised" */
struct str timesync_name(enum timesync state);
/* Tests: timesync_error_us says this from now on; below 0: the kernel is asked again. */
void timesync_set(int64_t error_us);

#endif
