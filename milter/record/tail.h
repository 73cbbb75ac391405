/*
 * tail - the end of a class directory: where the next line goes, and what it continues.
 *
 * Several processes may write one class. Whoever appends holds flock on CLASS/.lock meanwhile and looks first whether the
 * end moved: the current file grew (others' lines are read in), or the set of files changed. The lock file holds a number
 * that everybody raises before making, replacing or removing a file. Somebody else may move or remove either of them: what is
 * locked, and what is appended to, is what has the name at that moment.
 *
 * Repair   what a crash left behind the last whole line is cut off (it was never acknowledged). Damage that valid lines
 *          follow, or lines gone that we wrote, are evidence: nothing is touched and the log goes on in a new part.
 *          Either way `repair` says so until somebody has put it on the record
 * Memory   what tseq keeps; reading is by blocks
 * Threads  one at a time
 */
#ifndef SEKISHO_RECORD_TAIL_H
#define SEKISHO_RECORD_TAIL_H

#include "milter/record/entry.h"
#include "milter/record/files.h"
#include "milter/record/format.h"
#include "milter/record/once.h"
#include "milter/record/tseq.h"

#define TAIL_TORN_MAX ((size_t)64 << 20)            /* one group at most, and a file's head with all its tenants */

struct tail_head {
	int64_t seq;                   /* of the last line; 0: none yet */
	unsigned char chain[CHAIN_LEN];
	int64_t time_us;
	int64_t signed_seq;            /* of the last checkpoint line, 0: none yet */
	char signed_node[ENTRY_NAME_MAX + 1];             /* in whose name that was */
	char next[ONCE_BASE64_LEN + 1];/* the one-time key that it named */
};

struct tail_repair {
	struct record_file file;       /* part 0: nothing was wrong */
	enum { REPAIR_CUT, REPAIR_DAMAGE, REPAIR_MISSING } kind;
	int64_t offset, octets;        /* cut: from here on, so many; damage: the first bad line */
};

struct tail {
	char dir[PATH_MAX];
	int lock_fd, fd;               /* fd: of `file`; -1: none open */
	char generation[20];
	struct record_file file;       /* the one to append to; part 0: none yet */
	int64_t size;                  /* up to the end of its last whole line */
	bool is_spoilt;                /* `file` may not be continued */
	bool has_rest;                 /* and holds octets behind `size`, which only a part of the same day can tell from lines */
	struct record_file before;     /* the file before `file`, and where its valid text ends */
	int64_t before_end;
	struct tail_head head;
	struct tail_repair repair;
	bool is_signing;               /* the last checkpoint is looked for, in the files before if need be */
	struct tseq tseq;
	int64_t preallocate, allocated;
};

bool tail_open(struct tail *tail, const char *dir, int64_t preallocate, struct err *err);
/* Gives preallocated space back. */
void tail_close(struct tail *tail);

/* Everything below is done between these two. */
bool tail_lock(struct tail *tail, struct err *err);
void tail_unlock(struct tail *tail);

/* Before a file of the class is replaced: the others read its end anew. */
bool tail_raise(struct tail *tail, struct err *err);

/* A new, empty file for `day` (a part when the day has one already) becomes the current one. */
bool tail_new_file(struct tail *tail, int64_t day, struct err *err);

enum tail_result {
	TAIL_OK,
	TAIL_WRITE_FAILED,             /* nothing of it is there any more; the file may be continued */
	TAIL_SYNC_FAILED,              /* nobody knows what is on the disk; the file is spoilt */
};
/* Appends and syncs. The caller puts head where it was unless TAIL_OK. */
enum tail_result tail_append(struct tail *tail, struct str lines, struct err *err);

/* For tail.c alone: reads the directory anew, repairs what a crash left. */
bool tail_load(struct tail *tail, struct err *err);
/* For tail.c alone: reads in what others appended to the current file, `size` octets long by now. */
bool tail_follow(struct tail *tail, int64_t size, struct err *err);

#endif
