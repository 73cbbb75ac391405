/*
 * held - what of the held mail is the gate's, and whose: the MTA's queue beside the relay log.
 *
 * The queue says which messages wait; the record with the event "held" and the same queue id says which tenant's each is, why,
 * and what it would have cost. What somebody else put on hold has no such record, and is left alone. A message that has a record
 * "released" and is on hold all the same was paid for when that was tried: releasing it costs nothing again.
 *
 * Staged   held_charge takes what the message costs of the tenant's quotas, as if it came now, so that releases keep to the
 *          rate that the quotas allow; what does not fit stays where it is, and is not counted as an attempt
 * Memory   the tool's arena
 */
#ifndef SEKISHO_HELD_H
#define SEKISHO_HELD_H

#include "milter/tool/queue.h"
#include "policy/policy.h"

struct held {
	const struct queue_entry *entry;
	struct str tenant, message;    /* the record's id of the message */
	struct str class_name, rule, reply, auth, client, helo;
	int64_t since_us, size;
	bool was_paid;                 /* a release was recorded before */
	bool is_charged;               /* held_charge has taken it */
};
struct held_list {
	struct held *items;            /* the oldest first */
	size_t count;
	size_t strangers;              /* on hold, and not by the gate */
};
/* `tenant` empty: everybody's. */
bool held_read(struct tool *tool, const struct queue_mta *mta, struct str tenant, struct held_list *out, struct err *err);

/* False: it may not go now, and `out` says why (a verdict as for a message that comes now). */
bool held_charge(struct tool *tool, const struct tenant *tenant, struct held *held, struct verdict *out);
/* It could not be released after all. Nothing, when nothing was taken. */
void held_refund(struct tool *tool, const struct tenant *tenant, struct held *held);

#endif
