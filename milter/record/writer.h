/*
 * writer - the relay log being written: durable before the MTA hears "accepted".
 *
 * Groups are committed: whatever is waiting when the disk is free goes into one write and one fdatasync; there is no
 * artificial delay. Who comes first commits for all who wait, so that a lone message passes no other thread; a thread of
 * the writer's own does it for records that nobody waits for, and signs in time.
 *
 * Files are LOGDIR/CLASS/YYYY-MM-DD.jsonl, the day being the JST day of the commit; a file that may not be continued
 * (failed sync, damage) or is large is followed by YYYY-MM-DD.2.jsonl and so on. A file continues the chain of the file
 * before.
 *
 * Several processes may hold a writer on one directory (the daemon, the tool's access records): each commit group
 * holds flock on CLASS/.lock and looks first whether the tail moved.
 *
 * Checkpoints  signed with the Ed25519 key: every checkpoint_busy_us while records come, every checkpoint_idle_us without,
 *              at day end and at close; besides with a key that signs once (once.h). A process without the key writes records and
 *              no checkpoints
 * Recovery     at open, and after another process died: a torn tail (no newline, zeros, a line that does not parse and
 *              none after it that does) is cut back to the last whole line and a `recovered` record says how much;
 *              damage before a valid later line is left as it is: new file part, `recovered` record with damage, alarm
 * Disk         space is preallocated in steps; below the warning level `is_low` is set; ENOSPC is ERR_FULL for every waiter
 *              and nothing of the group counts as written; what nobody waits for stays in memory and is offered again each
 *              second. A failed fdatasync is never retried: the group goes again into a new part, once, else ERR_BUSY
 * Clock        adjtimex maxerror per group: over 1 s "degraded", from 16 s "unsynchronised"; a change is a `clock` event.
 *              A wall clock that went back keeps the newer day's file, its lines say clock "behind"
 * Threads      record_append, record_writer_state: any; open and close: the owner, with nobody else inside
 */
#ifndef SEKISHO_RECORD_WRITER_H
#define SEKISHO_RECORD_WRITER_H

#include "milter/record/format.h"

struct record_writer_config {
	struct str dir;                /* LOGDIR/CLASS */
	struct str node;
	struct str key_file;           /* empty: no checkpoints */
	struct str keyring;            /* keys of personal data (seal.h); empty: none */
	bool is_sealed;                /* what is appended is sealed; false: the keyring is of earlier records */
	int64_t checkpoint_busy_us, checkpoint_idle_us;   /* 0: 60 s, 1 h */
	int64_t preallocate;           /* octets a step; 0: none */
	int64_t part_max;              /* octets; a larger file is followed by a new part, so that a start, which reads the last
					* file, takes about a second however busy the day. 0: 256 MiB */
	int64_t disk_warn_percent;     /* is_low when less of the disk is free */
	size_t queue_max;              /* octets of memory that waits, for RECORD_DURABLE twice that; beyond: ERR_BUSY at once.
					* 0: 64 MiB */
};

struct record_writer;

/* Keeps nothing of `config`. */
bool record_writer_open(const struct record_writer_config *config, struct record_writer **out, struct err *err);
/* Writes what waits, a last checkpoint, and closes. NULL is fine. */
void record_writer_close(struct record_writer *writer);

enum record_wait {
	RECORD_DURABLE,                /* returns when it is on disk, or says it is not */
	RECORD_QUEUED,                 /* returns at once; written with the next group that the disk takes: lost only with the process */
};

/* The event is copied (formatted) before this returns. out_id (may be NULL) gets the record's id. */
bool record_append(struct record_writer *writer, const struct record_event *event, enum record_wait wait,
		   char out_id[RECORD_ID_LEN + 1], struct err *err);

struct record_writer_state {
	int64_t seq;                   /* of the last durable line */
	int64_t records, groups, bytes;
	int64_t failures;              /* records that were refused, and those that nobody waited for and that are lost */
	int64_t damages;               /* times that lines which had been written were found damaged or missing */
	int64_t sync_us_last, sync_us_max;
	int64_t last_checkpoint_us;
	int free_percent;
	bool is_low, is_full;
	bool is_behind;                /* records that nobody waits for are kept until the disk takes them */
	const char *clock;             /* "ok", "degraded", "unsynchronised" */
	int64_t clock_error_us;        /* maxerror */
	char file[64];                 /* name of the current file */
};
void record_writer_state(struct record_writer *writer, struct record_writer_state *out);

#endif
