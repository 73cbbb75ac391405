/*
 * purge - remove the files of a class whose time is over.
 *
 * In an order that any crash may cut: a signed `purged` record is made durable, then the file is unlinked, then the directory is
 * synced; then the keys of days that are over go from the keyring (seal.h). Run again it finds the file still there and does
 * all of it once more. Oldest first. Before the newest file of a class goes, which happens where nothing was written for
 * so long, a new one that continues it is begun. The copy that a killed erasure left goes, too.
 *
 * Threads  any; several processes may purge one class (the unlink is done under CLASS/.lock)
 */
#ifndef SEKISHO_RECORD_PURGE_H
#define SEKISHO_RECORD_PURGE_H

#include "config/base/retention.h"
#include "milter/record/writer.h"

/* Told of each file, before it goes (or, in a dry run, would). */
typedef void purge_fn(void *arg, const char *file, int64_t octets);

/* `config` as for a writer; one is opened only when something is due. `day`: which JST day it is, that is, what is due. *out_count:
 * files removed, or due in a dry run. */
bool record_purge(const struct record_writer_config *config, struct retention keep, int64_t day, bool is_dry_run, purge_fn *tell,
		  void *arg, int64_t *out_count, struct err *err);

#endif
