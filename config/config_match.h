/*
 * config_match - the rules by which tenants are recognised, in one table.
 *
 * All rules of all tenants stand in one hash table, keyed by their form and their fixed text. A pattern is found by the
 * text before its first and after its last wildcard, a network by its length and address, so that a lookup asks once
 * for each *shape* there is (pair of such lengths; prefix length), never once for each tenant.
 *
 * Bounds   MATCH_MIDDLES_MAX patterns with text between two wildcards, which only trying finds
 */
#ifndef SEKISHO_CONFIG_MATCH_H
#define SEKISHO_CONFIG_MATCH_H

#include "config/config_read.h"

#define MATCH_MIDDLES_MAX 1000

/* One item of a tenant's `match`. */
bool config_match_add(struct reader *r, const struct scope *scope, const struct tenant *tenant,
		      const struct node *node);
/* All of them into the index; two claims to the same thing are errors. */
bool config_match_build(struct reader *r, struct config *config);

#endif
