/*
 * reconcile - the MTA's own log against the relay log: did any mail go round the gate?
 *
 * Fed with all lines of the MTA's log first, then with the records of those days. Every queue id that became active in the MTA must
 * have a record, or a reason why it has none; every message that the gate let pass must have its queue id in that log.
 *
 *   reasons   the MTA's own report about another message (a bounce, a delay); a message that goes on under a new queue id (requeued,
 *             back from a content filter on this host, forwarded by an alias); an address probe; arrived before these files or before
 *             the relay log begin
 *
 * Input    lines as anybody's addresses and remote replies shape them: only what stands where no stranger writes is believed, and a
 *          reply "queued as ID" only when the host itself gave it
 * Memory   about 200 octets a queue id, in an arena
 * Queue ids that are used again (short ones soon are) are told apart by time
 */
#ifndef SEKISHO_RECONCILE_H
#define SEKISHO_RECONCILE_H

#include "config/base/arena.h"

struct reconcile_queue;

struct reconcile {
	struct arena arena;
	struct reconcile_queue **slots;        /* by id: a power of two of them */
	size_t slot_count, count;
	struct reconcile_queue *first, **last; /* in order of appearance */
	int64_t now_us;                /* for stamps without a year */
	int64_t first_us, last_us;     /* of all lines; first 0: none had a time */
	int64_t lines, active, records;/* active: queue ids that were; records: that match one */
	const char *(*tongue)(const char *english);       /* of reasons; NULL: English */
	struct reconcile_stray *strays, **last_stray;     /* records whose queue id the log does not know */
};

void reconcile_init(struct reconcile *reconcile, int64_t now_us);
void reconcile_clear(struct reconcile *reconcile);

/* False: out of memory. */
bool reconcile_line(struct reconcile *reconcile, struct str line);
/* A record about a message with its queue id; has_passed: accepted or held, so the MTA must know it. */
bool reconcile_record(struct reconcile *reconcile, struct str queue_id, struct str id, int64_t time_us, bool has_passed);

struct reconcile_item {
	struct str queue_id, record;   /* record: of a stray; else empty */
	int64_t time_us;               /* 0: not known */
	bool is_explained;
	struct str reason;
};
typedef void reconcile_fn(void *arg, const struct reconcile_item *item);

/* All that does not agree, in order of appearance. `log_begin_us`: the relay log's first record; INT64_MAX: it has none. */
void reconcile_conclude(struct reconcile *reconcile, int64_t log_begin_us, reconcile_fn *tell, void *arg);

#endif
