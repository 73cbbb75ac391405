#include <stdlib.h>

#include "config/config_match.h"

/* A plan, and the defaults as the plan without a name. */
struct plan {
	struct str name;
	struct tenant_draft draft;
	bool is_wrong;                 /* said already: what others have from it is not complained about again */
};

struct tenants {
	struct reader *r;
	struct config *config;
	bool is_whole;                 /* every file could be read */
	struct plan defaults;
	struct plan unknown;           /* stands for those that there are not */
	struct plan *plans;            /* sorted by name */
	size_t plan_count;
};

static int key_order(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
	int order = str_cmp(x->key, y->key);

	if (order == 0)
		order = str_cmp(*x->file, *y->file);
	return order ? order : (x->key_line > y->key_line) - (x->key_line < y->key_line);
}

/* "none" is what says that there is no plan, or no default tenant. */
static bool check_name(struct reader *r, const char *what, const struct node *node)
{
	char quoted[CONFIG_QUOTE_SIZE];

	if (str_eq(node->key, STR("none")))
		return config_refuse(r, node_key_place(node),
				     "%s none: none means that there is no %s; choose another name", what, what);
	return config_is_name(node->key) ||
	       config_refuse(r, node_key_place(node),
			     "%s %s: a name is made of a-z, 0-9, \".\", \"_\" and \"-\", at most 64 long", what,
			     config_quote(node->key, quoted));
}

/*
 * The values of all maps of the chain, sorted by name; a name given twice in different files is an error. What has no
 * name of its own is left out.
 */
static bool sort_nodes(struct reader *r, const struct node_chain *chain, const char *what, const struct node ***out,
		       size_t *out_count)
{
	const struct node **nodes = arena_array(r->scratch, chain->count, sizeof *nodes);
	size_t count = 0, kept = 0;

	if (!nodes)
		return config_no_memory(r);
	for (const struct node_link *link = chain->first; link; link = link->next)
		for node_each(node, link->node)
			if (check_name(r, what, node))
				nodes[count++] = node;
	qsort(nodes, count, sizeof *nodes, key_order);
	for (size_t i = 0; i < count; i++)
		if (kept && str_eq(nodes[kept - 1]->key, nodes[i]->key))
			config_refuse(r, node_key_place(nodes[i]),
				      "%s " STR_FMT " is there already, in " STR_FMT " line %u", what,
				      STR_ARG(nodes[i]->key), STR_ARG(*nodes[kept - 1]->file),
				      nodes[kept - 1]->key_line);
		else
			nodes[kept++] = nodes[i];
	*out = nodes;
	*out_count = kept;
	return kept == chain->count;
}

/* One list of quotas out of the three kinds of settings. */
static bool join_quotas(struct reader *r, struct tenant_draft *draft)
{
	const struct quota_list *lists[] = { &draft->quota_list, &draft->pool_list, &draft->per_login_list };
	size_t count = 0, at = 0;
	struct quota *quotas;

	for (size_t i = 0; i < 3; i++)
		count += lists[i]->count;
	quotas = arena_array(r->arena, count, sizeof *quotas);
	if (!quotas)
		return config_no_memory(r);
	for (size_t i = 0; i < 3; at += lists[i++]->count)
		if (lists[i]->count)
			memcpy(quotas + at, lists[i]->items, lists[i]->count * sizeof *quotas);
	draft->tenant.quotas = quotas;
	draft->tenant.quota_count = count;
	return true;
}

static bool read_quota_settings(struct reader *r, const struct scope *scope, struct tenant_draft *draft)
{
	bool ok = true;

	if (!draft->quotas && !draft->pool && !draft->per_login)
		return true;
	if (draft->quotas)
		ok &= config_read_quotas(r, scope, draft->quotas, &draft->quota_list);
	if (draft->pool)
		ok &= config_read_rates(r, scope, "pool", draft->pool, KEY_TENANT, "pool", &draft->pool_list);
	if (draft->per_login)
		ok &= config_read_rates(r, scope, "default_per_login", draft->per_login, KEY_AUTH, "per-login",
					&draft->per_login_list);
	return ok && join_quotas(r, draft);
}

_Static_assert(SETTING_ROWS_MAX <= 32, "a bit a row");

/* The rows that this map gives; what is no row was refused already. */
static uint32_t rows_given(const struct node *map)
{
	const struct setting_table *table = &setting_tables[TABLE_TENANT];
	uint32_t rows = 0;

	for (size_t i = 0; map->kind == NODE_MAP && i < table->count; i++)
		if (node_find(map, str_from_c(table->rows[i].name)))
			rows |= UINT32_C(1) << i;
	return rows;
}

enum setting_origin config_setting_origin(const struct tenant *tenant, const char *name)
{
	const struct setting_table *table = &setting_tables[TABLE_TENANT];
	size_t at = 0;

	while (at < table->count && strcmp(table->rows[at].name, name) != 0)
		at++;
	for (enum setting_origin origin = ORIGIN_TENANT; at < table->count && origin > ORIGIN_BUILT_IN; origin--)
		if (tenant->given[origin] & UINT32_C(1) << at)
			return origin;
	return ORIGIN_BUILT_IN;
}

bool config_follows_maillog(const struct config *config)
{
	return config->maillog_path.len || config->maillog_journal.len;
}

bool config_tenant_tracks(const struct tenant *tenant)
{
	return tenant->tracking_host.len &&
	       (tenant->tracks_opens || tenant->tracks_clicks || tenant->adds_list_unsubscribe);
}

static bool read_settings(struct tenants *t, const struct scope *scope, const struct node *node, enum setting_origin origin,
			  const struct plan *begin, struct tenant_draft *out)
{
	*out = begin->draft;
	out->match = out->pool = out->per_login = out->quotas = NULL;
	out->tenant.given[origin] = rows_given(node);

	bool ok = config_read_map(t->r, scope, node, TABLE_TENANT, false, out);

	ok &= read_quota_settings(t->r, scope, out);
	return ok && (begin->is_wrong || config_check_tenant(t->r, scope, node, t->config, out, origin == ORIGIN_TENANT));
}

/* Defaults and plans are for many tenants: neither a plan nor match rules can be theirs. */
static bool refuse_own_settings(struct tenants *t, const struct scope *scope, const struct node *node)
{
	static const struct str own[] = { STR_INIT("plan"), STR_INIT("match") };
	char where[SCOPE_TEXT_MAX];
	bool ok = true;

	for (size_t i = 0; node->kind == NODE_MAP && i < 2; i++) {
		const struct node *value = node_find(node, own[i]);

		if (value)
			ok = config_refuse(t->r, node_key_place(value), STR_FMT "%s: only a tenant can have this",
					   STR_ARG(own[i]), scope_text(scope, where));
	}
	return ok;
}

static bool read_plan(struct tenants *t, const struct scope *scope, const struct node *node,
		      const struct plan *begin, struct plan *out)
{
	bool ok = refuse_own_settings(t, scope, node);

	ok &= read_settings(t, scope, node, out == &t->defaults ? ORIGIN_DEFAULTS : ORIGIN_PLAN, begin, &out->draft);
	out->name = node->key;
	out->is_wrong = !ok || begin->is_wrong;
	return ok;
}

static bool read_plans(struct tenants *t, const struct config_draft *draft)
{
	struct scope scope = { .what = "defaults", .index = -1 };
	struct plan initial = { .is_wrong = !t->is_whole };
	const struct node **nodes = NULL;
	size_t count = 0;
	bool ok = config_read_defaults(t->r, TABLE_TENANT, &initial.draft);

	t->defaults = initial;
	if (draft->defaults)
		ok &= read_plan(t, &scope, draft->defaults, &initial, &t->defaults);
	t->unknown = t->defaults;
	t->unknown.is_wrong = true;
	ok &= sort_nodes(t->r, &draft->plans, "plan", &nodes, &count);
	t->plans = arena_array(t->r->scratch, count, sizeof *t->plans);
	if (!nodes || !t->plans) {
		t->is_whole = false;
		return config_no_memory(t->r);
	}
	t->plan_count = count;
	scope.what = "plan";
	for (size_t i = 0; i < count; i++) {
		scope.name = nodes[i]->key;
		ok &= read_plan(t, &scope, nodes[i], &t->defaults, &t->plans[i]);
	}
	return ok;
}

static int plan_order(const void *name, const void *plan)
{
	return str_cmp(*(const struct str *)name, ((const struct plan *)plan)->name);
}

/* What the tenant begins with: its plan, or the defaults. */
static const struct plan *find_plan(struct tenants *t, const struct scope *scope, const struct node *node)
{
	const struct node *plan = node->kind == NODE_MAP ? node_find(node, STR("plan")) : NULL;
	char where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];
	struct config_nearest nearest;
	const struct plan *found;

	if (!plan || plan->kind != NODE_TEXT || str_eq(plan->text, STR("none")))
		return &t->defaults;
	found = t->plan_count ? bsearch(&plan->text, t->plans, t->plan_count, sizeof *t->plans, plan_order) : NULL;
	if (found)
		return found;
	if (!t->is_whole || !config_is_name(plan->text))        /* a file was missed; no name: the setting's reader says so */
		return &t->unknown;
	nearest = (struct config_nearest){ .name = plan->text };
	for (size_t i = 0; i < t->plan_count && i < 1000; i++)
		config_nearest_offer(&nearest, t->plans[i].name.ptr);
	config_refuse(t->r, node_place(plan), "plan%s: there is no plan %s%s", scope_text(scope, where),
		      config_quote(plan->text, quoted), config_nearest_hint(&nearest, hint));
	return &t->unknown;
}

static bool read_match(struct tenants *t, const struct scope *scope, const struct tenant *tenant,
		       const struct node *match)
{
	struct scope inner = { .up = scope, .what = "match", .index = 0 };
	bool ok = true;

	if (match->kind != NODE_LIST)
		return config_expected(t->r, scope, "match", match, "a list of rules such as - auth: \"acme-*\"");
	for (const struct node *item = match->first; item; item = item->next, inner.index++)
		ok &= config_match_add(t->r, &inner, tenant, item);
	return ok;
}

static bool read_tenant(struct tenants *t, const struct node *node, bool is_default, struct tenant *out)
{
	struct scope scope = { .what = "tenant", .name = node->key, .index = -1 };
	const struct plan *begin = find_plan(t, &scope, node);
	struct tenant_draft draft;
	bool ok = read_settings(t, &scope, node, ORIGIN_TENANT, begin, &draft);

	if (!ok || begin->is_wrong)             /* what is left of them says nothing about match rules */
		draft.tenant.senders = (struct str_list){ 0 };
	*out = draft.tenant;
	if (!arena_copy(t->r->arena, node->key, &out->name))
		return config_no_memory(t->r);
	if (draft.match && (draft.match->count || draft.match->text.len))
		return read_match(t, &scope, out, draft.match) && ok;
	if (!ok || is_default || !t->is_whole)
		return ok;
	return config_refuse(t->r, node_key_place(node), "tenant " STR_FMT ": no mail can be its own; give it match "
			     "rules, or name it default_tenant", STR_ARG(node->key));
}

/* Is there one of this name, though it was left out? */
static bool is_known(const struct node_chain *chain, struct str name)
{
	for (const struct node_link *link = chain->first; link; link = link->next)
		if (node_find(link->node, name))
			return true;
	return false;
}

static bool set_default_tenant(struct tenants *t, const struct node_chain *chain, const struct node *node)
{
	struct config_nearest nearest = { .name = node->text };
	char quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];

	t->config->default_tenant = config_find_tenant(t->config, node->text);
	if (t->config->default_tenant || !t->is_whole || is_known(chain, node->text))
		return true;
	for (size_t i = 0; i < t->config->tenant_count && i < 1000; i++)
		config_nearest_offer(&nearest, t->config->tenants[i].name.ptr);
	return config_refuse(t->r, node_place(node), "default_tenant: there is no tenant %s%s",
			     config_quote(node->text, quoted), config_nearest_hint(&nearest, hint));
}

bool config_read_tenants(struct reader *r, struct config_draft *draft, bool is_whole)
{
	const struct node *default_node = draft->default_tenant;
	struct tenants t = { .r = r, .config = &draft->config, .is_whole = is_whole };
	struct str default_name = default_node ? default_node->text : STR_EMPTY;
	const struct node **nodes = NULL;
	struct tenant *tenants;
	size_t count = 0;
	bool ok = read_plans(&t, draft);

	ok &= sort_nodes(r, &draft->tenants, "tenant", &nodes, &count);
	tenants = arena_array(r->arena, count, sizeof *tenants);
	if (!nodes || !tenants)
		return config_no_memory(r);
	for (size_t i = 0; i < count; i++)
		ok &= read_tenant(&t, nodes[i], str_eq(nodes[i]->key, default_name), &tenants[i]);
	draft->config.tenants = tenants;
	draft->config.tenant_count = count;
	if (default_node && !str_eq(default_name, STR("none")))
		ok &= set_default_tenant(&t, &draft->tenants, default_node);
	return config_match_build(r, &draft->config) && ok;
}
