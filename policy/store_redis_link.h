/*
 * store_redis_link - the way to Redis that all threads of a process share: one server, a Sentinel's master, or a
 * Cluster.
 *
 * One thread owns all connections. Others hand it calls and wait, each no longer than the configured timeout, whatever
 * the servers do; calls of many threads travel together. A server that did not answer a few calls in a row in time,
 * broke its connection or is no master any more is left, and tried again about twice a second until it has answered a
 * greeting: meanwhile calls fail at once. So they do while the thread waits for a name to be looked up. What nobody learnt
 * the outcome of is undone as soon as there is a server again. One that refuses the password is told the one that its file
 * has by then.
 *
 * Sentinel  before each connect the next Sentinel of the list is asked for the master, and one every second whether it still is
 * Cluster   slots are learnt from CLUSTER SLOTS, again after MOVED, and again and again while a node is lost; ASK is obeyed
 */
#ifndef SEKISHO_STORE_REDIS_LINK_H
#define SEKISHO_STORE_REDIS_LINK_H

#include "config/config.h"
#include "policy/store_redis_map.h"
#include "policy/store_redis_script.h"

struct redis_link;

/* ERR_CONFIG for settings that cannot work. A server that is away is no error: calls will say so. */
bool redis_link_open(const struct config *config, struct redis_link **out, struct err *err);
void redis_link_close(struct redis_link *link);        /* NULL is fine */

/* What to send: a script with its arguments, or (SCRIPT_NONE) a command. */
struct redis_words {
	enum redis_script script;
	const struct str *words;       /* of a script: KEYS, then ARGV */
	size_t count, key_count;
	const struct redis_words *undo;        /* sent once nobody can know whether this was done; the same keys */
};

/*
 * One round trip. The slot is that of words' first key. `node` -1, or the one to ask, of redis_link_nodes. The caller
 * frees *out, which is never an error: those are in `err`, ERR_FULL for a server without memory.
 */
bool redis_link_call(struct redis_link *link, const struct redis_words *words, int node, redisReply **out,
		     struct err *err);
/* To be done as soon as a server answers, within STORE_CHARGE_TTL_US; what can be done twice. */
bool redis_link_later(struct redis_link *link, const struct redis_words *words, struct err *err);
/* How many nodes there are, from 0; some of them may be unused. */
int redis_link_nodes(struct redis_link *link);
bool redis_link_node_is_used(struct redis_link *link, int node);

#endif
