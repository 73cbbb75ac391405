/*
 * store_redis_map - which server answers for which key.
 *
 * Without a cluster there is one node and it answers for all. Nodes are numbered; a server that left the cluster is only
 * marked unused, and keeps its number until another needs it.
 */
#ifndef SEKISHO_STORE_REDIS_MAP_H
#define SEKISHO_STORE_REDIS_MAP_H

#include "policy/store_redis_conn.h"

#define REDIS_NODES_MAX 64
#define REDIS_SLOTS 16384
#define REDIS_NO_NODE 0xff

struct redis_map {
	struct redis_address nodes[REDIS_NODES_MAX];
	bool is_used[REDIS_NODES_MAX];
	int count;
	uint8_t node_of[REDIS_SLOTS];
};

/* CRC16 of the key's hash tag: what stands between the first { and the next }, unless that is nothing. */
int redis_key_slot(struct str key);

void redis_map_init(struct redis_map *map);
/* The number of this server, new or known; -1: no room. It is used from now on. */
int redis_map_add(struct redis_map *map, const struct redis_address *address);
/* The answer to CLUSTER SLOTS; `asked` stands in for a host that the answer leaves out. False: not to be understood. */
bool redis_map_learn(struct redis_map *map, const redisReply *reply, const struct redis_address *asked);
/* "MOVED 3999 127.0.0.1:6381" or "ASK ...": the node's number, or -1. MOVED changes the map. */
int redis_map_redirect(struct redis_map *map, struct str error, const struct redis_address *asked);

#endif
