/*
 * purger - the daemon's thread for what is over its time.
 *
 * At the start and soon after each midnight it purges (purge.h) the classes that it was given; between, each minute, it
 * indexes what was finished (index_build.h). What fails is logged and tried again ten minutes later.
 *
 * What was purged does not come back, so a day is not taken for true merely because the clock says so: one that is more than
 * one day after the last one known, while the kernel does not call the clock synchronised, has to last for 24 hours first.
 * At the start the last day known is that of the newest file before today's; a file without one of the day before it is no
 * witness where there are others, for it may be of the day that a wrong clock said.
 *
 * Threads  one of its own
 */
#ifndef SEKISHO_RECORD_PURGER_H
#define SEKISHO_RECORD_PURGER_H

#include "config/base/retention.h"
#include "milter/record/timesync.h"
#include "milter/record/writer.h"

struct purge_class {
	struct record_writer_config config;   /* copied, with its strings */
	struct retention keep;
};
struct purger;

/* Waits for the first purge, though a few seconds at most, so that nobody finds overdue what ran out while no daemon was there. */
bool purger_start(const struct purge_class *classes, size_t count, struct purger **out, struct err *err);
void purger_stop(struct purger *purger);       /* NULL is fine */

/* All zero: no day is known yet, and the first one is believed. */
struct purger_day {
	int64_t known;                 /* a JST day, the last that was believed */
	int64_t doubted;               /* the last that was not; 0: none */
	int64_t since_us;              /* monotonic: since when */
};
/* Is it `day`, as the clock says? */
bool purger_believes(struct purger_day *days, int64_t day, enum timesync sync, int64_t mono_us);

#endif
