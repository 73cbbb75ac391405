/*
 * silence - is nothing recorded although there is mail?
 *
 * An hour without a record is a quiet night, or a line missing from main.cf. Two things tell them apart: the MTA's own log
 * speaks of messages that did not pass here; or at this time yesterday (and a week ago, as far back as the process has
 * lived) there were SILENCE_USUAL records: were they to come at random, none at all would be one chance in 20 000.
 *
 * Memory   192 counters
 * Threads  one
 */
#ifndef SEKISHO_SILENCE_H
#define SEKISHO_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SILENCE_USUAL 10
#define SILENCE_HOURS 192                           /* eight days */

struct silence {
	int64_t hours[SILENCE_HOURS];  /* records of that hour, by its number modulo */
	int64_t first_hour, last_hour; /* since 1970; 0: nothing yet */
	int64_t records, strangers;    /* at the last look; strangers: at the last record */
	int64_t last_us;               /* of the last record, or of the first look */
};

/* At each look: how many records of mail there were since the start, and lines of the MTA's log about messages that are not
 * known. `bound_us` 0: never. */
bool silence_look(struct silence *silence, int64_t now_us, int64_t records, int64_t strangers, int64_t bound_us);

#endif
