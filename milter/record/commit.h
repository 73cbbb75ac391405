/*
 * commit - one group of records made durable.
 *
 * The group's lines are stamped and chained, the log's own lines put among them where they are due (begin and tenants at the
 * head of a file, recovered after a repair, clock when its state changed, checkpoint), and the whole goes into one write
 * and one sync. Days and parts change here. What fails leaves the state as it was.
 *
 * Memory   the group being built; COMMIT_GROUP_MAX octets of bodies at most, the caller sees to it
 * Threads  one at a time
 */
#ifndef SEKISHO_RECORD_COMMIT_H
#define SEKISHO_RECORD_COMMIT_H

#include "milter/record/sign.h"
#include "milter/record/tail.h"
#include "milter/record/timesync.h"

#define COMMIT_GROUP_MAX ((size_t)4 << 20)
#define COMMIT_TENANT_MAX 128
#define COMMIT_SALTS 256                            /* random octets are taken for so many lines at once */

struct commit_item {
	struct commit_item *next;
	struct record_body body;
	struct str tenant;             /* COMMIT_TENANT_MAX octets at most */
	size_t row;                    /* the rest is commit's: the tenant's row, and whether its number was raised */
	bool is_counted;
};

struct commit {
	struct str node, class_name;   /* the caller's */
	const struct sign_key *key;    /* the caller's; NULL: no checkpoints */
	int64_t part_max;              /* octets of a file after which a new part begins; 0: never */
	struct tail tail;
	struct buf group, detail, line;
	struct once once;
	bool has_once;                 /* the group being built holds a checkpoint */
	unsigned char salts[COMMIT_SALTS][RECORD_SALT_LEN];
	size_t salt_at;
	enum timesync sync;
	int64_t clock_error_us;
	int64_t sync_us;               /* how long the last write and sync took */
	int64_t octets;                /* of the last group */
	int64_t damages;               /* repairs that were no torn tail */
};

bool commit_open(struct commit *commit, const char *dir, int64_t preallocate, struct err *err);
void commit_close(struct commit *commit);

/* `first` may be NULL: only what is due. `is_signed`: a checkpoint ends the group (when there is a key). */
bool commit_group(struct commit *commit, struct commit_item *first, bool is_signed, struct err *err);

#endif
