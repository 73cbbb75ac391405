/*
 * suppress - whom a tenant's mail no longer goes to: the suppression list.
 *
 * One entry a tenant and recipient, under sekisho:{TENANT}:suppress:RECIPIENT (lower case; a long or odd one stands hashed,
 * the value has it whole). Every entry says why, since when, who entered it and when it ends, so that the refused sender
 * can be told and anybody can undo it.
 *
 * Joined   an entry that is there is never weakened: of the old and the new the one from the stronger source speaks
 *          (order of enum suppress_source; of two alike the one that ends later), it lasts as long as the longer one, and it
 *          covers the senders of both
 * Two at a time  entries of one recipient made at the same moment by two processes: the later one stands alone
 * Errors   ERR_INPUT for what no entry can hold; ERR_BUSY from the store, and for an entry that cannot be read
 */
#ifndef SEKISHO_SUPPRESS_H
#define SEKISHO_SUPPRESS_H

#include "config/base/clock.h"
#include "policy/store.h"

#define SUPPRESS_TTL_MAX_US (3650 * DAY_US)       /* "no end": ten years */
#define SUPPRESS_RECIPIENT_MAX 1024
#define SUPPRESS_REASON_MAX 256
#define SUPPRESS_BY_MAX 256
#define SUPPRESS_SCOPE_MAX 2048        /* a longer list of senders becomes: all */

/* Weakest first. */
enum suppress_source {
	SUPPRESS_BOUNCE,               /* a hard bounce; the only kind that a good delivery may release */
	SUPPRESS_COMPLAINT,
	SUPPRESS_UNSUBSCRIBE,
	SUPPRESS_OPERATOR,             /* by hand, or imported */
	SUPPRESS_SOURCE_COUNT
};

struct suppression {
	struct str recipient;          /* bare address; any case when added, lower case when found */
	enum suppress_source source;
	struct str reason;             /* "userunknown", "feedback", "one-click", or an operator's words */
	struct str by;                 /* "mail.log", "dsn", "alice (uid 1000)"; may be empty */
	struct str scope;              /* envelope senders, "user@domain", "@domain", "@*.domain" with a blank between; empty: all */
	int64_t since_us;
	int64_t until_us;              /* 0: no end */
};

bool suppress_add(struct store *st, struct str tenant, const struct suppression *entry, struct err *err);
/* *out_was: there was one. */
bool suppress_remove(struct store *st, struct str tenant, struct str recipient, bool *out_was, struct err *err);
bool suppress_find(struct store *st, struct str tenant, struct str recipient, struct arena *arena, struct suppression *out,
		   bool *out_found, struct err *err);

/* For who asks the store himself: the key, false without memory; and what its value means, which `out` points into. */
bool suppress_key(struct str tenant, struct str recipient, struct arena *arena, struct str *out);
bool suppress_read(struct str recipient, struct str value, struct suppression *out, bool *out_stands, struct err *err);

/* Does the entry stop mail of this envelope sender? */
bool suppress_covers(const struct suppression *entry, struct str sender);

/* Mail to this recipient arrived: what a bounce has entered goes. *out_was: there was such an entry. */
bool suppress_release(struct store *st, struct str tenant, struct str recipient, bool *out_was, struct err *err);

/* Every entry in the order of the store's keys; false from `fn` stops. `entry` lives for the call. *out_damaged: entries
 * that cannot be read. `fn` must not change the list. */
typedef bool suppress_fn(void *arg, const struct suppression *entry);
bool suppress_each(struct store *st, struct str tenant, suppress_fn *fn, void *arg, size_t *out_damaged, struct err *err);

/* "bounce", "complaint", "unsubscribe", "operator". */
const char *suppress_source_name(enum suppress_source source);
bool suppress_source_parse(struct str name, enum suppress_source *out);

#endif
