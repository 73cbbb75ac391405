/* A tenant's `content`: what fields of its header may not say. */
#include "config/config_value.h"
#include "config/hash.h"

#define RULES_MAX 64
#define HEADER_LEN_MAX 76              /* of RFC 5322's line of 78, colon and blank taken off */
#define PATTERN_LEN_MAX 200            /* each octet of a value may cost as many steps: str_glob */

/* RFC 5322 3.6.8: printable, and no colon. */
bool value_read_header(const struct value *v)
{
	struct str name = v->node->text;
	bool ok = name.len > 0 && name.len <= HEADER_LEN_MAX;

	for (size_t i = 0; i < name.len; i++)
		ok &= name.ptr[i] > 0x20 && name.ptr[i] < 0x7f && name.ptr[i] != ':';
	if (!ok)
		return value_expected(v, config_type_words(v->row->type));
	return arena_copy(v->r->arena, name, value_field(v)) || config_no_memory(v->r);
}

/* Its blanks as those of the values that it is held against: field.h. */
bool value_read_pattern(const struct value *v)
{
	struct str given = v->node->text, pattern;

	if (!arena_copy_squeezed(v->r->arena, given, &pattern))
		return config_no_memory(v->r);
	if (pattern.len == 0 || pattern.len > PATTERN_LEN_MAX || !value_is_clean(given))
		return value_expected(v, config_type_words(v->row->type));
	*(struct str *)value_field(v) = pattern;
	return true;
}

/* What stands for it in records: a name of its own, or its header and its place in the list. */
static bool name_rule(struct reader *r, struct content_rule *rule, size_t number)
{
	struct str header;

	if (rule->name.len)
		return arena_printf(r->arena, &rule->name, "content:" STR_FMT, STR_ARG(rule->name));
	return arena_copy_lower(r->scratch, rule->header, &header) &&
	       arena_printf(r->arena, &rule->name, "content:" STR_FMT "-%zu", STR_ARG(header), number);
}

static bool read_rule(const struct value *v, const struct scope *scope, const struct node *node,
		      const struct content_rule *initial, struct content_rule *rules)
{
	struct content_rule *rule = &rules[scope->index];
	char where[SCOPE_TEXT_MAX];

	*rule = *initial;
	if (!config_read_map(v->r, scope, node, TABLE_CONTENT, false, rule))
		return false;
	scope_text(scope, where);
	if (rule->header.len == 0)
		return config_refuse(v->r, node_place(node), "header is missing%s; write header: Subject", where);
	if (rule->match.len == 0)
		return config_refuse(v->r, node_place(node), "match is missing%s; write match: \"*invoice overdue*\"", where);
	if (!name_rule(v->r, rule, (size_t)scope->index + 1))
		return config_no_memory(v->r);
	for (const struct content_rule *before = rules; before < rule; before++)
		if (str_eq(before->name, rule->name))
			return config_refuse(v->r, node_place(node), "name%s: content[%zu] is named so already; choose another one", where,
					     (size_t)(before - rules));
	return true;
}

bool value_read_content(const struct value *v)
{
	struct tenant *tenant = &((struct tenant_draft *)v->base)->tenant;
	struct scope inner = { .up = v->scope, .what = "content", .index = 0 };
	struct content_rule initial = { 0 }, *rules;
	bool ok = true;

	if (v->node->kind != NODE_LIST)
		return value_expected(v, "a list of rules such as - {header: Subject, match: \"*invoice overdue*\"}");
	if (v->node->count > RULES_MAX)
		return value_expected(v, "at most 64 rules");
	if (!config_read_defaults(v->r, TABLE_CONTENT, &initial))
		return false;
	rules = arena_array(v->r->arena, v->node->count, sizeof *rules);
	if (!rules)
		return config_no_memory(v->r);
	for (const struct node *item = v->node->first; item; item = item->next, inner.index++)
		ok &= read_rule(v, &inner, item, &initial, rules);
	tenant->content = rules;
	tenant->content_count = v->node->count;
	return ok;
}

static uint64_t header_bit(struct str name)
{
	return UINT64_C(1) << (hash_nocase(0, name) & 63);
}

uint64_t config_content_headers(const struct config *config)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < config->tenant_count; i++)
		for (size_t j = 0; j < config->tenants[i].content_count; j++)
			bits |= header_bit(config->tenants[i].content[j].header);
	return bits;
}

bool config_asks_for_header(const struct config *config, const struct tenant *tenant, struct str name)
{
	if (!tenant)
		return config->content_headers && config->content_headers & header_bit(name);
	for (size_t i = 0; i < tenant->content_count; i++)
		if (str_eq_nocase(tenant->content[i].header, name))
			return true;
	return false;
}
