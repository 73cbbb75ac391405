/*
 * inspect - once a day the daemon verifies its own relay log, and puts the result on the record.
 *
 * In class ops, a `verified` record for each class, former ones (classes.h) too:
 *   {"class","result":"intact|altered|retention|unknown","files","records","bytes","first_seq","last_seq","last_checkpoint_seq",
 *    "finding"}
 * A record is due from 01:00 JST on (the purge has the hour before), and at the start when the day's was missed; the day of the
 * last one is kept in state_dir/verified.
 *
 * Load     one thread, at the lowest priority of CPU and disk, that reads no faster than alarm.verify_rate
 * Without a log key there is nothing to verify by, and no record
 */
#ifndef SEKISHO_INSPECT_H
#define SEKISHO_INSPECT_H

#include "milter/gate.h"

#define INSPECT_TEXT_MAX 512

struct inspect;

bool inspect_start(struct gate *gate, const struct config *config, struct inspect **out, struct err *err);
/* Does not wait for a look to be finished. NULL is fine. */
void inspect_stop(struct inspect *inspect);

/* Was something wrong at the last look? What, in words. */
bool inspect_is_wrong(struct inspect *inspect, char out_text[INSPECT_TEXT_MAX]);

#endif
