/*
 * quota - which counters a message touches, and by how much.
 *
 * A tenant's quotas and a message's facts become the takes of one charge: one a quota, and one a recipient domain where
 * a quota is kept by domain. What is excluded costs nothing and exempts nobody else; a quota that this message does not
 * touch is left out.
 *
 * Scope    whose counter it is: the key's value, lower case. There is no counter for an empty value, which would be one
 *          bucket for everybody: a null sender counts as "<>" and whoever sends it, no login as the client's address in
 *          brackets, no client at all (a local submission) as "local", a recipient without domain likewise. The
 *          tenant's own counter has the empty scope
 * Keys     sekisho:{TENANT}:q:NAME:WINDOW:SCOPE, where WINDOW says period, unit and kind of scope, "r1h.rcpt.auth": what
 *          was counted in one way is never read in another. The limit is no part of it: a changed limit keeps its
 *          past. Parts that are long or have odd octets stand as '#' and their SHA-256
 * Bounds   STORE_TAKES_MAX takes; a message that needs more is the caller's to refuse (is_too_many)
 */
#ifndef SEKISHO_QUOTA_H
#define SEKISHO_QUOTA_H

#include "policy/policy.h"

/* Who a take is for; beside the store's half at the same index. */
struct quota_share {
	const struct quota *quota;
	struct str scope;
	int64_t limit;                 /* today's: with overrides, and as far as a warm-up has come */
};

struct quota_plan {
	struct store_take *takes;
	struct quota_share *shares;
	size_t count;
	bool is_too_many;
};

enum quota_stage {
	QUOTA_AT_DATA,                 /* on recipients and messages */
	QUOTA_AT_EOM,                  /* on bytes */
	QUOTA_PEEK,                    /* all, those that would cost nothing included */
};

/* False: out of memory. */
bool quota_plan(const struct config *config, const struct tenant *tenant, const struct policy_facts *facts,
		enum quota_stage stage, struct arena *arena, struct quota_plan *out);

/*
 * A quota that lets nothing at all pass (limit 0) for this sender, login or client, whoever the recipients are: no need
 * to ask for them. Exclusions, monitoring, holding and quotas by recipient domain wait for DATA.
 */
bool quota_find_closed(const struct tenant *tenant, const struct policy_facts *facts, struct arena *arena,
		       struct quota_share *out);

/* The quota's limit for this scope, overrides considered. */
int64_t quota_limit(const struct quota *quota, struct str scope);
/* As much of it as a warm-up allows today, in Japan. */
int64_t quota_limit_today(const struct quota *quota, struct str scope);
/* What is left of a limit for who is halved: of 1 that, of none none. */
int64_t quota_half(int64_t limit);

/* Does any quota of the tenant count (only) at this stage? */
bool quota_has_stage(const struct tenant *tenant, enum quota_stage stage);
/* How many recipient domains one message of this tenant may have; SIZE_MAX: no quota is kept by domain. */
size_t quota_domains_max(const struct tenant *tenant);
/* Does the last recipient bring a domain that none before it had, beyond `most` of them? */
bool quota_is_domain_over(const struct policy_facts *facts, size_t most);

/* The store's key: `family` is "q" for the counter itself, "over" for refused attempts, "warn80" for a level told. */
bool quota_store_key(struct str tenant, const char *family, const struct quota *quota, struct str scope,
		     struct arena *arena, struct str *out);
/* "hour", "day", "10m". */
bool quota_period_name(const struct quota *quota, struct arena *arena, struct str *out);

#endif
