#include "config/config_read.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/config_hint.h"

const char *scope_text(const struct scope *scope, char out[SCOPE_TEXT_MAX])
{
	const char *join = " in ";
	size_t at = 0;

	out[0] = '\0';
	for (; scope && at < SCOPE_TEXT_MAX - 1; scope = scope->up, join = " of ") {
		char quoted[CONFIG_QUOTE_SIZE];
		int n;

		if (scope->index >= 0)
			n = snprintf(out + at, SCOPE_TEXT_MAX - at, "%s%s[%td]", join, scope->what, scope->index);
		else if (scope->name.len && config_is_name(scope->name))
			n = snprintf(out + at, SCOPE_TEXT_MAX - at, "%s%s " STR_FMT, join, scope->what,
				     STR_ARG(scope->name));
		else if (scope->name.len)
			n = snprintf(out + at, SCOPE_TEXT_MAX - at, "%s%s %s", join, scope->what,
				     config_quote(scope->name, quoted));
		else
			n = snprintf(out + at, SCOPE_TEXT_MAX - at, "%s%s", join, scope->what);
		at += n > 0 ? (size_t)n : 0;
	}
	return out;
}

bool config_refuse(struct reader *r, struct config_place at, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	config_report_error(r->report, at, "%s", text);
	return false;
}

bool config_no_memory(struct reader *r)
{
	return config_refuse(r, (struct config_place){ 0 }, "the configuration takes more memory than there is");
}

bool config_expected(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		     const char *expected)
{
	char where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_HINT_SIZE] = "";
	bool is_text = node->kind == NODE_TEXT && (node->text.len || node->is_quoted);

	return config_refuse(r, node_place(node), "%s%s: expected %s, found %s%s", name, scope_text(scope, where),
			     expected, is_text ? config_quote(node->text, quoted) : node_kind_words(node),
			     is_text ? config_hint_wide(node->text, hint) : hint);
}

bool config_read_items(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		       const struct node **out_first, size_t *out_count)
{
	if (node->kind == NODE_LIST) {
		*out_first = node->first;
		*out_count = node->count;
		return true;
	}
	if (node->kind == NODE_MAP || (node->text.len == 0 && !node->is_quoted))
		return config_expected(r, scope, name, node, "a list");
	*out_first = node;
	*out_count = 1;
	return true;
}

const struct node *config_next_item(const struct node *list, const struct node *item)
{
	return list == item ? NULL : item->next;
}

static const struct setting *find_row(const struct setting_table *table, struct str name)
{
	for (size_t i = 0; i < table->count; i++)
		if (str_eq(str_from_c(table->rows[i].name), name))
			return &table->rows[i];
	return NULL;
}

static bool refuse_key(struct reader *r, const struct scope *scope, const struct setting_table *table,
		       const struct node *node)
{
	struct config_nearest nearest = { .name = node->key };
	char quoted[CONFIG_QUOTE_SIZE], where[SCOPE_TEXT_MAX], hint[CONFIG_QUOTE_SIZE], wide[CONFIG_HINT_SIZE];

	for (size_t i = 0; i < table->count; i++)
		config_nearest_offer(&nearest, table->rows[i].name);
	return config_refuse(r, node_key_place(node), "unknown key %s%s%s", config_quote(node->key, quoted),
			     scope ? scope_text(scope, where) : "",
			     nearest.best ? config_nearest_hint(&nearest, hint) : config_hint_wide(node->key, wide));
}

static bool is_from_every_file(enum setting_type type)
{
	return type == SETTING_TENANTS || type == SETTING_INCLUDE || type == SETTING_SECTION;
}

static bool note_seen(struct reader *r, const struct scope *scope, const struct setting *row, const struct node *node,
		      const struct node **seen)
{
	const struct node *first = *seen;
	char where[SCOPE_TEXT_MAX];

	if (!first || is_from_every_file(row->type)) {
		*seen = node;
		return true;
	}
	if (first->file == node->file)          /* the YAML reader has said so */
		return false;
	return config_refuse(r, node_key_place(node), "%s%s is set already, in " STR_FMT " line %u", row->name,
			     scope_text(scope, where), STR_ARG(*first->file), first->key_line);
}

static bool read_section(struct reader *r, const struct scope *scope, const struct setting *row,
			 const struct node *node, bool is_once, void *base)
{
	const struct setting *first = &setting_tables[row->section].rows[0];
	struct scope inner = { .up = scope, .what = row->name, .index = -1 };
	bool is_text = row->is_short && node->kind == NODE_TEXT;
	bool is_list = row->is_short && node->kind == NODE_LIST && config_takes_list(first->type);

	/* `size_max:` of a tenant, and nothing behind it: no limit is what nobody meant. */
	if (is_text && scope && node->text.len == 0 && !node->is_quoted)
		return config_expected(r, scope, row->name, node, "a value, or settings of its own (key: value)");
	if (is_list || (is_text && (node->text.len || node->is_quoted))) {
		if (is_once && !note_seen(r, &inner, first, node, &r->seen[row->section][0]))
			return false;
		return config_read_value(r, &inner, first, node, base);
	}
	return config_read_map(r, &inner, node, row->section, is_once, base);
}

bool config_read_map(struct reader *r, const struct scope *scope, const struct node *map, enum setting_table_id id,
		     bool is_once, void *base)
{
	const struct setting_table *table = &setting_tables[id];
	bool ok = true;

	/* `milter:` with every line below it commented out. */
	if (map->kind == NODE_TEXT && map->text.len == 0 && !map->is_quoted)
		return true;
	if (map->kind != NODE_MAP) {
		char where[SCOPE_TEXT_MAX];

		return config_refuse(r, node_place(map), "expected settings (key: value)%s, found %s",
				     scope_text(scope, where), node_kind_words(map));
	}
	for node_each(node, map) {
		const struct setting *row = find_row(table, node->key);

		if (!row)
			ok = refuse_key(r, scope, table, node);
		else if (is_once && !note_seen(r, scope, row, node, &r->seen[id][row - table->rows]))
			ok = false;
		else if (row->type == SETTING_SECTION)
			ok &= read_section(r, scope, row, node, is_once, base);
		else
			ok &= config_read_value(r, scope, row, node, base);
	}
	return ok;
}

/* A default is read as if it stood in a file of this name. */
static const struct str fallback_file = STR_INIT("(default)");

static bool read_fallback(struct reader *r, const struct setting *row, void *base)
{
	struct node *node;

	if (!config_yaml_read(str_from_c(row->fallback), &fallback_file, r->scratch, r->report, &node) || !node)
		return false;
	return config_read_value(r, NULL, row, node, base);
}

bool config_read_defaults(struct reader *r, enum setting_table_id id, void *base)
{
	const struct setting_table *table = &setting_tables[id];
	bool ok = true;

	for (size_t i = 0; i < table->count; i++) {
		const struct setting *row = &table->rows[i];

		if (row->type == SETTING_SECTION)
			ok &= config_read_defaults(r, row->section, base);
		else if (row->fallback)
			ok &= read_fallback(r, row, base);
	}
	return ok;
}

struct config_place config_setting_place(const struct reader *r, enum setting_table_id id, const char *name,
					 struct str otherwise)
{
	const struct setting_table *table = &setting_tables[id];

	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->rows[i].name, name) == 0 && r->seen[id][i])
			return node_place(r->seen[id][i]);
	return (struct config_place){ .file = otherwise };
}
