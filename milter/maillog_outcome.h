/*
 * maillog_outcome - what follows from a line of the MTA's log: a record, a count, an entry of the suppression list.
 *
 * Events     delivered, delayed, failed, expired; `outcome` is
 *            {"dsn","reply","relay","reason","hard","known","logged"}: code and words of the remote, who it was, why by
 *            the rules of policy/bounce, whether a report had said so before, the line's own time. An alias is recorded
 *            under the address that we were given
 * Once       a line that says again what a recent one said (same queue id, recipient, event, time) changes nothing
 * Order      count and suppress first (both may be done twice without harm), then the record: with store or disk gone the
 *            line is refused, and comes again
 * Not ours   queue ids that the map does not know are counted and left alone
 */
#ifndef SEKISHO_MAILLOG_OUTCOME_H
#define SEKISHO_MAILLOG_OUTCOME_H

#include "milter/gate.h"
#include "milter/maillog_line.h"
#include "policy/bounce.h"

/* Outcomes that are remembered as said: in rows, by their hash, so that one more puts out only the oldest of its row. */
#define MAILLOG_RECENT_ROWS (1u << 12)
#define MAILLOG_RECENT_COLUMNS 16

struct maillog_judge {
	struct gate *gate;
	struct maillog_map *map;
	uint64_t recent[MAILLOG_RECENT_ROWS][MAILLOG_RECENT_COLUMNS];     /* newest first */
	int64_t last_stamp_us;         /* of the last line with a time */
};

/* False: store or relay log cannot take it now; give the same line again. */
bool maillog_judge_line(struct maillog_judge *judge, struct str line, struct err *err);

/*
 * What was before a restart, out of the relay log: which message each queue id means, who waits, and (from since_us on) what
 * was said already. Stops early when *stop turns true.
 */
bool maillog_judge_recall(struct maillog_judge *judge, const struct config *config, int64_t since_us, const _Atomic bool *stop,
			  struct err *err);

#endif
