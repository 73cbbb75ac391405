/*
 * content - which of a tenant's rules on content does a message meet?
 *
 * A rule (`content:` of the configuration) names a field of the header and a pattern. Every field of that name is looked at,
 * as people read it: see struct content_field.
 *
 * Bounds   linear in the values: rules and their patterns have a largest number and length
 */
#ifndef SEKISHO_POLICY_CONTENT_H
#define SEKISHO_POLICY_CONTENT_H

#include "policy/policy.h"

/* The next rule behind `after` (NULL: the first) that is met; NULL: none is. */
const struct content_rule *content_next(const struct tenant *tenant, const struct policy_facts *facts,
					const struct content_rule *after);

#endif
