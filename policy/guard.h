/*
 * guard - a tenant whose mail goes wrong is stopped before its relay is.
 *
 * Looked at when failures or complaints were counted: of today's recipients whose outcome is known, how many bounced hard,
 * how many did not exist, how many complained? Over a bound, with the sample large enough to say so, the tenant is
 * suspended (or only told of), as by `sekisho tenant suspend`, until somebody says `sekisho tenant resume`. What was counted
 * up to then is not held against it again: the day begins anew with the suspension.
 *
 * Keys     sekisho:{TENANT}:guard: what was counted when it last struck, for a day
 * Errors   ERR_BUSY from the store
 */
#ifndef SEKISHO_GUARD_H
#define SEKISHO_GUARD_H

#include "policy/store.h"

struct guard_strike {
	const char *what;              /* "hard bounces", "unknown users", "complaints" */
	int64_t count, sample;
	int64_t bound;                 /* thousandths */
	enum guard_action action;
	bool was_suspended;            /* somebody had done so before */
	struct str reason;             /* the whole in a sentence */
};

bool guard_has_bounds(const struct tenant *tenant);
/* *out_struck false: all is well, too little is known, or the tenant has no bounds. Strings live in `arena`. */
bool guard_look(struct store *st, const struct tenant *tenant, struct arena *arena, struct guard_strike *out, bool *out_struck,
		struct err *err);

#endif
