#include "policy/content.h"

static bool is_met(const struct content_rule *rule, const struct policy_facts *facts)
{
	for (const struct content_field *field = facts->content; field; field = field->next)
		if (str_eq_nocase(field->name, rule->header) && str_glob(rule->match, field->value))
			return true;
	return false;
}

const struct content_rule *content_next(const struct tenant *tenant, const struct policy_facts *facts,
					const struct content_rule *after)
{
	for (size_t i = after ? (size_t)(after - tenant->content) + 1 : 0; i < tenant->content_count; i++)
		if (is_met(&tenant->content[i], facts))
			return &tenant->content[i];
	return NULL;
}
