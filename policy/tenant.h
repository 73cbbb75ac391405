/*
 * tenant - what the store says about a tenant beyond its configuration: suspended or not, it or one of its members.
 *
 * A suspension has a reason, an actor and an end (or none); it stays until `tenant resume` or its end. It is kept
 * under sekisho:{TENANT}:suspended, a member's under sekisho:{TENANT}:suspended:sender|login:NAME, for at most
 * TENANT_SUSPEND_MAX_US. The mildest lets mail pass, but with half of each quota.
 */
#ifndef SEKISHO_TENANT_H
#define SEKISHO_TENANT_H

#include "config/base/clock.h"
#include "policy/store.h"

#define TENANT_SUSPEND_MAX_US (3650 * DAY_US)
#define TENANT_ACTOR_MAX 256
#define TENANT_REASON_MAX 2048

/* The tenant as a whole, or one of its envelope senders or logins. */
enum member_kind { MEMBER_ALL, MEMBER_SENDER, MEMBER_LOGIN, MEMBER_KIND_COUNT };
struct member {
	enum member_kind kind;
	struct str name;               /* any case; empty with MEMBER_ALL */
};
const char *member_kind_name(enum member_kind kind);      /* "tenant", "sender", "login" */
/* "KIND:NAME" as the last parts of a key, hashed where it is not plain. False: out of memory. */
bool member_key(struct member member, struct arena *arena, struct str *out);

struct suspension {
	struct member of;
	enum excess_action action;     /* EXCESS_DEFER, EXCESS_REJECT or EXCESS_HOLD */
	bool is_halved;                /* instead of the action: limits are halved */
	int64_t since_us, until_us;    /* until 0: no end */
	struct str actor, reason;
};

/* ERR_INPUT for an end that is past or too far, or texts over their bounds. Replaces an earlier suspension. */
bool tenant_suspend(struct store *st, struct str tenant, const struct suspension *suspension, struct err *err);
/* *out_was: there was one. */
bool tenant_resume(struct store *st, struct str tenant, struct member member, bool *out_was, struct err *err);
/* It and all its members. *out_count: how many there were. */
bool tenant_resume_all(struct store *st, struct str tenant, int64_t *out_count, struct err *err);
/* One that cannot be read is an error (ERR_BUSY), not an absence: nobody is set free by a damaged entry. */
bool tenant_suspension(struct store *st, struct str tenant, struct member member, struct arena *arena, struct suspension *out,
		       bool *out_found, struct err *err);
/* Every one of a tenant; strings live for the call. A name that was hashed in its key comes as it stands there. */
typedef bool tenant_suspension_fn(void *arg, const struct suspension *suspension);
bool tenant_each_suspension(struct store *st, struct str tenant, tenant_suspension_fn *fn, void *arg, struct err *err);

/* For who asks the store himself: the key, false without memory; and what its value means. */
bool tenant_suspension_key(struct str tenant, struct member member, struct arena *arena, struct str *out);
bool tenant_suspension_read(struct str tenant, struct member member, struct str value, struct suspension *out, bool *out_stands,
			    struct err *err);

#endif
