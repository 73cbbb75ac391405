/*
 * guard - a tenant whose mail goes wrong is stopped before its relay is, or only the sender or login of it that is to blame.
 *
 * What is looked at, of the tenant and (where its guard says so) of each envelope sender:
 *
 *   hard bounces, unknown users, complaints    among the JST day's recipients whose outcome is known
 *   volume                                     recipients of the JST hour, against the busiest hour of the last week
 *   clients                                    of a login: addresses it was used from on the JST day
 *
 * Over a bound, with the sample large enough to say so, it is suspended or its limits are halved (or it is only told of), as
 * by `sekisho tenant suspend`, until somebody says `sekisho tenant resume`. What was counted up to then is not held against
 * it again: all begins anew with the suspension.
 *
 * Keys     sekisho:{TENANT}:watch:DATE:MEMBER:WHAT       recipients; WHAT is all, hard, unknown, complaints; two days
 *          sekisho:{TENANT}:hour:HOUR:MEMBER             recipients let pass in that JST hour; two days
 *          sekisho:{TENANT}:peak:DATE:MEMBER             the most of an hour of that day; nine days
 *          sekisho:{TENANT}:client:DATE:HASH             this login was used from there; two days
 *          sekisho:{TENANT}:clients:DATE:MEMBER          from how many; two days
 *          sekisho:{TENANT}:guard:MEMBER                 what was counted when it last struck; two days
 *          sekisho:{TENANT}:told:WHAT:MEMBER             the operator was told; as long as who tells wants to be silent
 *          MEMBER is tenant:, sender:ADDRESS or login:NAME
 * Errors   ERR_BUSY from the store
 * Crash    between two counters: one of them is short of what was counted then
 */
#ifndef SEKISHO_GUARD_H
#define SEKISHO_GUARD_H

#include "policy/tenant.h"

#define GUARD_WEEK_DAYS 7              /* how far back a busiest hour counts */

/* --- counting */

struct guard_outcome {
	struct str sender;             /* of the message; empty: unknown, or none */
	int64_t recipients;            /* delivered or failed; 0 with a complaint, which is about one that was delivered */
	bool is_hard, is_unknown_user, is_complaint;      /* then of one recipient */
};
/* Nothing for a tenant whose guard has no use for it. */
bool guard_count_outcome(struct store *st, const struct tenant *tenant, const struct guard_outcome *outcome, struct err *err);
/* Recipients of messages that were let pass in the JST hour of `at_us`. */
bool guard_count_passed(struct store *st, const struct tenant *tenant, struct member member, int64_t recipients, int64_t at_us,
			struct err *err);
/* The login was used from there. */
bool guard_count_client(struct store *st, const struct tenant *tenant, struct str login, struct str client, struct err *err);

/* --- looking */

struct guard_strike {
	struct member member;
	const char *what;              /* "hard bounces", "unknown users", "complaints", "volume", "clients" */
	int64_t count, sample;         /* volume: sample is the busiest hour; clients: the same as count */
	int64_t bound;                 /* thousandths; volume: times; clients: how many */
	bool is_ratio;
	enum guard_action action;
	bool was_suspended;            /* somebody had done so before, or worse */
	struct str reason;             /* the whole in a sentence */
	struct str nameless;           /* the same without the member's name */
};

const char *guard_action_name(enum guard_action action);
/* Does the guard look at members of this kind? */
bool guard_watches(const struct tenant *tenant, enum member_kind kind);
/* *out_struck false: all is well, too little is known, or nothing is watched. Strings live in `arena`. */
bool guard_look(struct store *st, const struct tenant *tenant, struct member member, struct arena *arena,
		struct guard_strike *out, bool *out_struck, struct err *err);

/* Was the operator told of such a strike within the cool-down? From now on he was. Of all relays that share the store one
 * tells; one that cannot ask tells too: rather twice than not at all. */
bool guard_was_told(struct store *st, const struct tenant *tenant, const struct guard_strike *strike, int64_t cool_down_us,
		    struct arena *arena);

#endif
