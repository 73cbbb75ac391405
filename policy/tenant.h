/*
 * tenant - what the store says about a tenant beyond its configuration: suspended or not.
 *
 * A suspension has a reason, an actor and an end (or none); it stays until `tenant resume` or its end. It is kept
 * under sekisho:{TENANT}:suspended, for at most TENANT_SUSPEND_MAX_US.
 */
#ifndef SEKISHO_TENANT_H
#define SEKISHO_TENANT_H

#include "config/base/num.h"
#include "policy/store.h"

#define TENANT_SUSPEND_MAX_US (INT64_C(3650) * 86400 * US_PER_S)
#define TENANT_ACTOR_MAX 256
#define TENANT_REASON_MAX 2048

struct suspension {
	enum excess_action action;     /* EXCESS_DEFER, EXCESS_REJECT or EXCESS_HOLD */
	int64_t since_us, until_us;    /* until 0: no end */
	struct str actor, reason;
};

/* ERR_INPUT for an end that is past or too far, or texts over their bounds. Replaces an earlier suspension. */
bool tenant_suspend(struct store *st, struct str tenant, const struct suspension *suspension, struct err *err);
/* *out_was: there was one. */
bool tenant_resume(struct store *st, struct str tenant, bool *out_was, struct err *err);
/* One that cannot be read is an error (ERR_BUSY), not an absence: nobody is set free by a damaged entry. */
bool tenant_suspension(struct store *st, struct str tenant, struct arena *arena, struct suspension *out, bool *out_found,
		       struct err *err);

/* For who asks the store himself: the key, false without memory; and what its value means. */
bool tenant_suspension_key(struct str tenant, struct arena *arena, struct str *out);
bool tenant_suspension_read(struct str tenant, struct str value, struct suspension *out, bool *out_stands, struct err *err);

#endif
