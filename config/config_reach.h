/*
 * config_reach - does a pattern of addresses have any in common with those of a list?
 *
 * Patterns are what settings take: user@domain, @domain, @*.domain. Each of the list is noted by what it is and by where it
 * lies, as hashes, so that a pattern is answered by a few lookups, however long the list.
 *
 * Memory   of `arena`; the list is not needed afterwards
 * Bounds   linear in the list's octets; 64-bit hashes under a random seed stand for the texts
 */
#ifndef SEKISHO_CONFIG_REACH_H
#define SEKISHO_CONFIG_REACH_H

#include "config/base/arena.h"
#include "config/config.h"

struct config_reach {
	uint64_t seed, *slots;         /* 0: free */
	size_t mask;
};

/* False: out of memory. */
bool config_reach_init(struct config_reach *reach, struct str_list list, struct arena *arena);
bool config_reach_meets(const struct config_reach *reach, struct str pattern);

#endif
