/*
 * deny - links that must not lead anywhere any more: all of a tenant, of one message, or to one host.
 *
 * One value a tenant, under sekisho:{TENANT}:deny: a line an entry, "tenant", "message NAME" or "host NAME". Whoever
 * follows such a link hears 410 and is not counted.
 *
 * The endpoint remembers a list for DENY_FRESH_US: that is how late a change may be heard of.
 *
 * Bounds   DENY_ENTRIES_MAX entries a tenant; names of DENY_NAME_MAX octets without blanks or control characters
 * Expiry   ten years after the last change
 */
#ifndef SEKISHO_DENY_H
#define SEKISHO_DENY_H

#include <pthread.h>

#include "config/base/arena.h"
#include "policy/store.h"

#define DENY_ENTRIES_MAX 200
#define DENY_NAME_MAX 255
#define DENY_FRESH_US US_PER_S
#define DENY_SLOTS 256                 /* lists remembered */

enum deny_kind { DENY_TENANT = 1, DENY_MESSAGE, DENY_HOST };

struct deny_entry {
	enum deny_kind kind;
	struct str name;               /* of a message as hit_readable has it; of a host as deny_host_key has it */
};

/* Can there be such an entry? ERR_INPUT: not with this name. The two below ask it too. */
bool deny_check(const struct deny_entry *entry, struct err *err);
/* *out_was: it was there already. */
bool deny_add(struct store *st, struct str tenant, const struct deny_entry *entry, bool *out_was, struct err *err);
bool deny_remove(struct store *st, struct str tenant, const struct deny_entry *entry, bool *out_was, struct err *err);

struct deny_cache {
	pthread_mutex_t lock;
	struct deny_slot {
		struct str tenant, list;       /* its own memory; tenant empty: free */
		int64_t read_us;               /* monotonic */
	} slots[DENY_SLOTS];
};

void deny_cache_init(struct deny_cache *cache);
void deny_cache_clear(struct deny_cache *cache);
/* The list as it stands, or stood DENY_FRESH_US ago; empty: nothing is denied. Any thread. */
bool deny_recall(struct deny_cache *cache, struct store *st, struct str tenant, struct arena *arena, struct str *out,
		 struct err *err);

/* One spelling of the host of a link, or of a host alone, which may be written in many: percent sequences undone, A-labels
 * (config/base/domain.h), lower case, no full stop at the end. False: the arena is used up. */
bool deny_host_key(struct arena *arena, struct str link, struct str *out);

/* Does the list stop a link of this message to this host (empty: it leads nowhere)? */
bool deny_stops(struct str list, struct str message, struct str host);

#endif
