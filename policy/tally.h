/*
 * tally - how many of a tenant's recipients could not be reached: counted once each, kept as long as was promised.
 *
 *   sekisho:{TENANT}:bounce:DATE:REASON:hard|soft       recipients; DATE is the JST day; REASON "delivered" has the rest
 *   sekisho:{TENANT}:bounced:DATE:hard|soft:DOMAIN      failed recipients of one domain
 *   sekisho:{TENANT}:failed:HASH                        this recipient of this message was counted
 *
 * Once     the MTA's log, its notice to the sender and the remote's report may all speak of one failure: the first to come
 *          is counted, the others change nothing for TALLY_ONCE_US. A complaint is counted apart from a failure
 * Expiry   counters end with the day at which records of the tenant's class end: 60 JST days for relay, 20 for bounce-api
 * Errors   ERR_BUSY from the store
 * Crash    between the two steps of counting: that one failure is missing from the counters, never twice in them
 */
#ifndef SEKISHO_TALLY_H
#define SEKISHO_TALLY_H

#include "config/base/clock.h"
#include "policy/store.h"

#define TALLY_ONCE_US (14 * DAY_US)       /* longer than any queue keeps a message */

struct tally_failure {
	struct str message;            /* our id; empty: unknown, and then it cannot be known as the same: counted */
	struct str recipient;          /* empty: one of them, unknown which; counted under no domain, and once a message */
	struct str reason;             /* "userunknown", ..., "feedback" */
	bool is_hard;
	struct str sender;             /* of the message, for the guard; empty: unknown */
};
/* *out_is_first: it was not counted before. */
bool tally_failed(struct store *st, const struct config *config, const struct tenant *tenant,
		  const struct tally_failure *failure, bool *out_is_first, struct err *err);
/* To one recipient. `sender` as above. */
bool tally_delivered(struct store *st, const struct config *config, const struct tenant *tenant, struct str sender,
		     struct err *err);

/* One counter. Of a domain: `reason` is empty; of a reason: `domain` is. */
struct tally_count {
	int64_t day;                   /* JST */
	struct str reason, domain;
	bool is_hard;
	int64_t count;
};
/* Days first to last inclusive, in the order of the store. False from `fn` stops; the row lives for the call. */
typedef bool tally_fn(void *arg, const struct tally_count *row);
bool tally_each_reason(struct store *st, struct str tenant, int64_t first_day, int64_t last_day, tally_fn *fn, void *arg,
		       struct err *err);
bool tally_each_domain(struct store *st, struct str tenant, int64_t first_day, int64_t last_day, tally_fn *fn, void *arg,
		       struct err *err);

/* When what happened on this day is over, for records of this class. */
int64_t tally_end_us(const struct record_class *class, int64_t day);

#endif
