/*
 * watch - the relay log's alarms: what an operator must hear of before the auditor or the customer does.
 *
 *   verify    the daily verification (inspect.h) found something
 *   gap       records could not be written, or lines that had been written are damaged or gone
 *   disk      little room is left, or none
 *   clock     not synchronised
 *   overdue   a file is there an hour after its time
 *   silence   no mail is recorded although there is some (silence.h)
 *
 * Told      the daemon's log; a record "alarm" in class ops; alarm.command (else notify.command) with one JSON object:
 *           {"event":"alarm","alarm":"disk","state":"raised|again|over","time","node","text"}; when and how often: bell.h
 * Threads   one, and inspect's
 */
#ifndef SEKISHO_WATCH_H
#define SEKISHO_WATCH_H

#include "milter/gate.h"

struct watch;

bool watch_start(struct gate *gate, const struct config *config, struct watch **out, struct err *err);
void watch_stop(struct watch *watch);              /* NULL is fine */

#endif
