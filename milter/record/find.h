/*
 * find - the lines of a class that a search may want, over days, by several threads, in order.
 *
 * Where a finished file has a good index (index.h) and a key is wanted, only the blocks that it names are read. Everything else
 * is read in pieces: text by text (needle.h) before any line is taken apart, then by `match`. Lines reach `found` one
 * by one in the order of the log, or newest first. Lines that are none (torn, longer than RECORD_LINE_MAX, behind the end
 * that a later part states) are passed over. Sealed lines are opened first, where there is a key.
 *
 * Files are opened when their turn is near: a file that is replaced meanwhile is read as it was.
 *
 * Threads  `match` is called in any of them, several at once; `found` and `progress` in the caller's
 * Bounds   FIND_FILES files at a time are open; FIND_THREADS_MAX threads, each with two pieces of FIND_PIECE octets
 */
#ifndef SEKISHO_RECORD_FIND_H
#define SEKISHO_RECORD_FIND_H

#include "milter/record/format.h"
#include "milter/record/index.h"
#include "milter/record/seal.h"

#define FIND_FILES 128
#define FIND_PIECE ((int64_t)1 << 20)
#define FIND_THREADS_MAX 64
#define FIND_WISHES_MAX 80

struct find_key {
	enum index_field field;
	struct str value;
};

/* Does the line belong to the answer? `scratch` is empty and the call's. May be NULL: all do. */
typedef bool find_match_fn(void *arg, struct str line, struct arena *scratch);
/* False: enough. `line` lives for the call. */
typedef bool find_found_fn(void *arg, struct str line);
typedef void find_progress_fn(void *arg, int64_t bytes_done, int64_t bytes_total);

struct find_query {
	const char *dir;               /* LOGDIR/CLASS; one that is not there holds no lines */
	int64_t first_day, last_day;   /* JST days, inclusive; and the next that there are files of, whichever that is: what was
					  committed after midnight is there, or while a clock that had been ahead was right again */
	bool newest_first, ignores_index;
	/* What a line must hold, by its index and as octets that stand in it (escaped; ASCII letters of any case): all
	 * of them, or with `any` one. FIND_WISHES_MAX each. */
	bool any;
	const struct find_key *keys;
	size_t key_count;
	const struct str *texts;
	size_t text_count;
	struct seal *seal;             /* NULL: sealed lines stay as they are */
	int threads;                   /* 0: as many as there are cores */
	find_match_fn *match;
	find_found_fn *found;
	find_progress_fn *progress;    /* may be NULL */
	void *arg;
};

struct find_report {
	int64_t files, indexed;        /* looked into; of these by their index */
	int64_t bytes_read;            /* of log files */
	int64_t closed;                /* sealed lines among them that could not be opened */
};

bool record_find(const struct find_query *query, struct find_report *out, struct err *err);

#endif
