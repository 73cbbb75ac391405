#include "policy/store_redis_map.h"

#include <stdio.h>

#include "config/base/num.h"

/* CRC-16/XMODEM, as the cluster specification has it. */
static unsigned int crc16(struct str s)
{
	unsigned int crc = 0;

	for (size_t i = 0; i < s.len; i++) {
		crc ^= (unsigned int)(unsigned char)s.ptr[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
	}
	return crc;
}

int redis_key_slot(struct str key)
{
	struct str before, rest, tag, after;

	if (str_cut(key, '{', &before, &rest) && str_cut(rest, '}', &tag, &after) && tag.len)
		key = tag;
	return (int)(crc16(key) % REDIS_SLOTS);
}

void redis_map_init(struct redis_map *map)
{
	*map = (struct redis_map){ 0 };
	memset(map->node_of, REDIS_NO_NODE, sizeof map->node_of);
}

static bool is_same(const struct redis_address *a, const struct redis_address *b)
{
	return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

int redis_map_add(struct redis_map *map, const struct redis_address *address)
{
	int at = map->count < REDIS_NODES_MAX ? map->count : -1;

	for (int i = 0; i < map->count; i++) {
		if (is_same(&map->nodes[i], address)) {
			map->is_used[i] = true;
			return i;
		}
		if (at < 0 && !map->is_used[i])
			at = i;
	}
	if (at < 0)
		return -1;
	map->nodes[at] = *address;
	map->is_used[at] = true;
	map->count += at == map->count;
	return at;
}

static bool make_address(struct str host, int64_t port, const struct redis_address *asked, struct redis_address *out)
{
	char text[300];

	if (host.len == 0 || str_eq(host, STR("?")))
		host = str_from_c(asked->host);
	bool is_v6 = str_find_byte(host, ':') < host.len;

	snprintf(text, sizeof text, is_v6 ? "[" STR_FMT "]:%lld" : STR_FMT ":%lld", STR_ARG(host), (long long)port);
	return redis_address_parse(str_from_c(text), out, NULL);
}

/* [from, to, [host, port, ...], replicas...] */
static bool learn_range(struct redis_map *map, const redisReply *range, const struct redis_address *asked)
{
	const redisReply *master = range->type == REDIS_REPLY_ARRAY && range->elements >= 3 ? range->element[2] : NULL;
	struct redis_address address;

	if (!master || master->type != REDIS_REPLY_ARRAY || master->elements < 2 ||
	    range->element[0]->type != REDIS_REPLY_INTEGER || range->element[1]->type != REDIS_REPLY_INTEGER ||
	    master->element[1]->type != REDIS_REPLY_INTEGER)
		return false;

	const redisReply *host = master->element[0];
	long long from = range->element[0]->integer, to = range->element[1]->integer;
	struct str name = host->type == REDIS_REPLY_STRING ? str_of(host->str, (size_t)host->len) : STR_EMPTY;

	if (from < 0 || to >= REDIS_SLOTS || !make_address(name, master->element[1]->integer, asked, &address))
		return false;
	int node = redis_map_add(map, &address);

	for (long long slot = from; node >= 0 && slot <= to; slot++)
		map->node_of[slot] = (uint8_t)node;
	return node >= 0;
}

bool redis_map_learn(struct redis_map *map, const redisReply *reply, const struct redis_address *asked)
{
	bool ok = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0;

	if (!ok)
		return false;
	for (int i = 0; i < map->count; i++)
		map->is_used[i] = false;
	memset(map->node_of, REDIS_NO_NODE, sizeof map->node_of);
	for (size_t i = 0; i < reply->elements; i++)
		ok &= learn_range(map, reply->element[i], asked);
	return ok;
}

int redis_map_redirect(struct redis_map *map, struct str error, const struct redis_address *asked)
{
	struct str rest, word, slot_text, host, port_text;
	struct redis_address address;
	uint64_t slot;
	int64_t port;

	if (!str_cut(error, ' ', &word, &rest) || !str_cut(rest, ' ', &slot_text, &rest) ||
	    !num_parse_u64(slot_text, &slot) || slot >= REDIS_SLOTS || !str_cut_last(rest, ':', &host, &port_text) ||
	    !num_parse_i64(port_text, &port) || !make_address(host, port, asked, &address))
		return -1;

	int node = redis_map_add(map, &address);

	if (node >= 0 && str_eq(word, STR("MOVED")))
		map->node_of[slot] = (uint8_t)node;
	return node;
}
