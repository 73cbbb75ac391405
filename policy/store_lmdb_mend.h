/*
 * store_lmdb_mend - who has the store open, and what a power failure may have done to it.
 *
 * Commits to `counts` are not waited for, so a power failure can leave pages of different ages on disk. The death of a
 * process cannot: the kernel keeps what was written. The two are told apart by a mark, counts/boot, which holds the
 * kernel's boot id from the first open until the last clean close. Whoever opens first (an flock on the file `lock`
 * says who) and finds the mark of another boot rebuilds counts before anybody reads it.
 *
 * Rebuilding copies every record that can be read into a new file, which then takes the old one's name in one step.
 * It is not enough to walk the old tree and find it whole: its list of free pages may still name pages that are in use,
 * and that would only show later. The copying is done by a child process, for LMDB trusts its pages and may crash on
 * them; what it had copied by then is kept, for half a memory is better than none, and the old file is set aside.
 * The same is done for a file that is shorter than it says, whichever environment it belongs to.
 */
#ifndef SEKISHO_STORE_LMDB_MEND_H
#define SEKISHO_STORE_LMDB_MEND_H

#include <limits.h>

#include "policy/store.h"

struct lmdb_guard {
	int fd;                        /* the lock; -1: none */
	char dir[PATH_MAX];
};

/*
 * `dir` is store.path, with counts/ and facts/ in it. `notice` gets words for the record, or stays. May take seconds.
 */
bool lmdb_guard_open(const char *dir, int64_t size_max, struct lmdb_guard *out, char notice[STORE_NOTICE_MAX],
		     struct err *err);
/* After both environments are closed: the last one out takes the mark away, if what was counted is on disk. */
void lmdb_guard_close(struct lmdb_guard *guard, bool is_synced);

#endif
