/*
 * index_build - make the indexes of a class (index.h), and take them away again.
 *
 * Only finished files have one: all but the newest of the class. An index appears whole, by rename; none is made while the
 * disk has less than INDEX_FREE_PERCENT left, for the log itself comes first.
 *
 * Memory   16 octets a posting: 128 MiB at INDEX_POSTINGS_MAX; a full part of 256 MiB takes about 80 MB
 * Threads  any; of two processes that index one file at once, the last one's stays
 */
#ifndef SEKISHO_RECORD_INDEX_BUILD_H
#define SEKISHO_RECORD_INDEX_BUILD_H

#include "milter/record/index.h"
#include "milter/record/seal.h"

#define INDEX_FREE_PERCENT 5

struct index_work {
	int64_t files;                 /* finished files that had no good index */
	int64_t built, bytes;          /* of these: built now, octets of their log files */
	int64_t index_bytes;           /* octets of all indexes that are there now */
};

/* Told of each file when its index has been built. False: enough, do no more. May be NULL. */
typedef bool index_fn(void *arg, const char *name, int64_t bytes, int64_t index_bytes);

/* Builds what is missing or not good any more, newest first, and removes the indexes of files that are no more. `dir` is
 * LOGDIR/CLASS; one that is not there has nothing to index. Sealed lines are indexed by what they say; those whose key is gone
 * say nothing to anybody, and those for which there is no `seal` (NULL) are left to be read. */
bool index_update(const char *dir, struct seal *seal, bool anew, index_fn *tell, void *arg, struct index_work *out, struct err *err);

/* Before a log file is replaced or removed, or when something in it may not be found any more. */
void index_remove(const char *dir, struct record_file file);

#endif
