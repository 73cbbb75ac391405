/*
 * maillog - the outcome follower: reads the MTA's log, a file or the journal, beside the milter, and says what became of what
 * it let pass.
 *
 * One thread. At its start it learns from the relay log what was said before, then reads on where it stopped: the position
 * is kept in state_dir/maillog.position, always two seconds behind, so that what it has passed is on disk. Store or disk
 * gone: the line waits. How far it is behind is in the metrics and in /status.
 */
#ifndef SEKISHO_MAILLOG_H
#define SEKISHO_MAILLOG_H

#include "milter/gate.h"

struct maillog;

/* *out NULL where the configuration names no log. `gate` and its map outlive it. */
bool maillog_start(struct gate *gate, const struct config *config, struct maillog **out, struct err *err);
/* Waits for the line at hand. NULL is fine. */
void maillog_stop(struct maillog *maillog);

#endif
