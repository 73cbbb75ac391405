/*
 * store_local_seat - who counts where, when several processes of a relay count alone in one embedded store.
 *
 * sekisho-milter and sekisho-track each have a seat: a lock on store.path/merge, counts/merge1 ..., held for life, and counts
 * under a prefix of their own. Who sits there alone adds them to Redis: what another still counted would be lost, and what it
 * had yet to add be given out again. A program that is started again sits where it sat, or the limits it had reached alone would
 * be given out once more; a second process of it sits behind them all (enum store_seat). What a process left behind is at a seat
 * where nobody sits, and whoever runs may take that and add it, but only once Redis is back.
 *
 * Errors   ERR_BUSY: the lock cannot be had at all. That somebody sits there is none, nor that it is another user's
 * Threads  any
 */
#ifndef SEKISHO_STORE_LOCAL_SEAT_H
#define SEKISHO_STORE_LOCAL_SEAT_H

#include "config/base/err.h"

#define STORE_LOCAL_SEATS 8

/* Before the keys that are counted at this seat, 0 to STORE_LOCAL_SEATS - 1. */
struct str store_local_seat_prefix(int seat);
/* *out_fd: the caller sits there until he closes it; -1: somebody else does, or only he may. */
bool store_local_seat_take(const char *store_path, int seat, int *out_fd, struct err *err);

#endif
