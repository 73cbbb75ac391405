/*
 * usage - what a tenant has used of its quotas, by everybody who used any of it.
 *
 * The store is looked at, never changed. A scope that stands hashed in the store's key (long, or with odd octets) is
 * known by that hash alone: "#" and 64 hex digits.
 */
#ifndef SEKISHO_USAGE_H
#define SEKISHO_USAGE_H

#include "milter/tool/tool.h"
#include "policy/quota.h"

struct usage {
	const struct quota *quota;
	struct str scope;              /* empty: the tenant's own */
	struct str key;                /* the store's */
	int64_t used, limit, resets_us;
	bool is_halved;                /* `limit` is half of the configured one: the tenant is halved, or who this is about */
	bool is_warming;               /* it is as much of it as a warm-up allows today */
	int64_t attempts;              /* messages refused lately */
};

struct usage_list {
	struct usage *items;           /* fullest first, quota by quota */
	size_t count, room;
};

/* Of one quota or (NULL) all; of one scope or (empty) all that there are. */
bool usage_read(struct tool *tool, const struct tenant *tenant, const struct quota *only, struct str scope,
		struct usage_list *out, struct err *err);
/* "1,000", "half: 500", "warm-up: 200" */
struct str usage_limit(struct tool *tool, int64_t limit, bool is_halved, bool is_warming);
/* At most `most` lines a quota. */
void usage_write(struct tool *tool, const struct usage_list *list, size_t most);
void usage_write_json(struct tool *tool, const struct usage_list *list);

/* Forgets what was counted: the counts, refused attempts, and warnings told. */
bool usage_reset(struct tool *tool, const struct tenant *tenant, const struct quota *quota, struct str scope,
		 struct err *err);

/* NULL: there is none (said). */
const struct quota *usage_find_quota(struct tool *tool, const struct tenant *tenant, struct str name);
/* "recipients/hour of each login" */
struct str usage_describe(struct tool *tool, const struct quota *quota);
const char *usage_excess_name(enum excess_action action);

#endif
