/*
 * tenant - what the store says about a tenant beyond its configuration: suspended or not.
 *
 * A suspension has a reason, an actor and an end (or none); it stays until `tenant resume` or its end. It is kept
 * under sekisho:{TENANT}:suspended, for at most TENANT_SUSPEND_MAX_US.
 */
#ifndef SEKISHO_TENANT_H
#define SEKISHO_TENANT_H

#include "policy/store.h"

#define TENANT_SUSPEND_MAX_US (INT64_C(3650) * 86400 * US_PER_S)

struct suspension {
	enum excess_action action;     /* EXCESS_DEFER, EXCESS_REJECT or EXCESS_HOLD */
	int64_t since_us, until_us;    /* until 0: no end */
	struct str actor, reason;
};

bool tenant_suspend(struct store *st, struct str tenant, const struct suspension *suspension, struct err *err);
/* *out_was: there was one. */
bool tenant_resume(struct store *st, struct str tenant, bool *out_was, struct err *err);
bool tenant_suspension(struct store *st, struct str tenant, struct arena *arena, struct suspension *out, bool *out_found,
		       struct err *err);

#endif
