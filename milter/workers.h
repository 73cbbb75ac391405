/*
 * workers - the threads of libmilter's pool, so that not all of them wait while somebody stands behind them.
 *
 * When an MTA speaks and a worker is idle, libmilter leaves the session to that worker, and every other session that
 * speaks in the same moment as well; it makes a new worker only when it finds none idle. A worker that waits for disk or
 * store keeps them all waiting: of 64 sessions eight stood in a commit group and the rest behind those, some for a second.
 * A connection to our own socket makes it look again: it finds nobody idle, makes a worker for the caller, and that one
 * takes up who stands.
 *
 * Threads  those of libmilter's callbacks
 */
#ifndef SEKISHO_WORKERS_H
#define SEKISHO_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

/* Before what may wait for disk or store, with the number of open sessions and the monotonic time. True: all workers wait
 * now, and somebody may stand behind them; said every 100 ms at most, since a connection costs as much as a message. */
bool workers_begin_wait(int64_t sessions, int64_t now_us);
void workers_end_wait(void);

#endif
