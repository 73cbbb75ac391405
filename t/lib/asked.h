/*
 * asked - a relay log of random values, questions about it, and what must be answered: every line, taken apart, without index.
 *
 * One log a program, in `asked`; the values are the same in each run. What fails fails the test.
 */
#ifndef SEKISHO_T_ASKED_H
#define SEKISHO_T_ASKED_H

#include "milter/record/find.h"
#include "milter/record/index_build.h"
#include "milter/record/seal.h"
#include "t/lib/relaylog.h"

#define ASKED_DAYS 4
#define ASKED_RECORDS 700                       /* a day: some 250 KB, so that a file has several blocks */
#define ASKED_MAX ((size_t)64 << 20)            /* octets of an answer */

extern struct asked {
	struct relaylog relay;
	struct seal *seal;             /* NULL: the log is not sealed */
	char ring[PATH_MAX];
	unsigned seed;
} asked;

struct wish {
	enum index_field field;
	char value[64];
	struct str text;               /* besides, or alone when field is 0 */
};

struct answer {
	struct wish *wish;
	struct buf text;
	int limit;
};

/* Writes the log, from NOON's day on; afterwards asked_close. */
void asked_write(bool is_sealed);
void asked_close(void);
/* From 0 to n - 1. */
int asked_some(int n);

struct index_work asked_update(bool anew);
/* What must be answered, appended to `out`, a line a record. */
void asked_expect(struct wish *wish, bool newest_first, struct buf *out);
/* What is answered, at most `limit` records (0: all); the caller clears out->text. */
struct find_report asked_find(struct wish *wish, bool newest_first, int limit, struct answer *out);
/* So many random questions, all answered as they must be; how many octets were read for them. */
int64_t asked_compare(int questions);

/* For a find_query of one's own, whose `arg` is a struct answer. */
bool asked_match(void *arg, struct str line, struct arena *scratch);
bool asked_take(void *arg, struct str line);

#endif
