/*
 * config_read - from nodes to values, following the rows of config_schema.h.
 *
 * Every function reports what is wrong and says whether it was right; reading goes on after an error, so that one run
 * shows them all. What is read lives in the snapshot's arena; the tree may go afterwards.
 */
#ifndef SEKISHO_CONFIG_READ_H
#define SEKISHO_CONFIG_READ_H

#include "config/config_schema.h"

/* Where in the configuration we are, for messages: "quotas[0] of tenant acme". */
struct scope {
	const struct scope *up;
	const char *what;              /* "tenant", "quotas", "milter" */
	struct str name;               /* "acme"; empty: none */
	ptrdiff_t index;               /* of a list's item; -1: none */
};
#define SCOPE_TEXT_MAX 240
/* " in quotas[0] of tenant acme"; empty at the top. Returns `out`. */
const char *scope_text(const struct scope *scope, char out[SCOPE_TEXT_MAX]);

struct node_link {
	const struct node *node;
	struct node_link *next;
};
/* Nodes of one kind from all files, in reading order. */
struct node_chain {
	struct node_link *first, *last;
	size_t count;                  /* of values in them */
};

struct match_link;                     /* config_match.c */

struct reader {
	struct arena *arena;           /* the snapshot's */
	struct arena *scratch;         /* dies after loading */
	struct config_report *report;
	/* Where each setting of a table that is filled once was given; NULL: nowhere. */
	const struct node *seen[TABLE_COUNT][SETTING_ROWS_MAX];
	/* The tenants' match rules so far, in reading order. */
	struct match_link *match_first, *match_last;
	size_t match_count, match_middles;
};

/* What the top table fills. */
struct config_draft {
	struct config config;
	const struct node *default_tenant, *defaults;
	struct node_chain plans, tenants, includes;
};

enum require_word { REQUIRE_TLS, REQUIRE_AUTH };
enum exclude_word { EXCLUDE_NULL_SENDER, EXCLUDE_LOCAL_DOMAINS, EXCLUDE_SAME_TENANT };

/* What the quota table fills. */
struct quota_draft {
	struct quota quota;
	const struct node *limit, *per, *overrides, *start;
	int window;                    /* enum quota_window, or -1: by the period */
};

struct quota_list {
	const struct quota *items;
	size_t count;
};

/* What the tenant table fills. A tenant begins as a copy of its plan's, or the defaults', draft. */
struct tenant_draft {
	struct tenant tenant;
	const struct node *match, *pool, *per_login, *quotas;      /* given here; NULL: inherited */
	struct quota_list pool_list, per_login_list, quota_list;
};

/* What the match table fills: one of them, or issuer and subject. */
struct match_draft {
	struct str auth, daemon, sender, issuer, subject;
	struct net_prefix client;
};

/* Reads a map by a table into `base`. `is_once`: the table is filled once, from whichever file. */
bool config_read_map(struct reader *r, const struct scope *scope, const struct node *map, enum setting_table_id table,
		     bool is_once, void *base);
/* The defaults of a table's rows, and of its sections' rows. */
bool config_read_defaults(struct reader *r, enum setting_table_id table, void *base);
/* Where a setting of a once table was given; else `otherwise`, the main file. */
struct config_place config_setting_place(const struct reader *r, enum setting_table_id table, const char *name,
					 struct str otherwise);

/* config_value.c: one value of any type but SETTING_SECTION. */
bool config_takes_list(enum setting_type type);
bool config_read_value(struct reader *r, const struct scope *scope, const struct setting *row, const struct node *node,
		       void *base);

/* `limit in quotas[0] of tenant acme: expected a number, found "x"`. Always false, like the next two. */
bool config_expected(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		     const char *expected);
bool config_refuse(struct reader *r, struct config_place at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool config_no_memory(struct reader *r);

/* A list's items, or a single value as a list of one. Anything else: an error, and false. */
bool config_read_items(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		       const struct node **out_first, size_t *out_count);
/* The next of such items. */
const struct node *config_next_item(const struct node *list, const struct node *item);

/* config_quota.c: `quotas`, and `pool` or `default_per_login`, whose quotas are named PREFIX-PERIOD. */
bool config_read_quotas(struct reader *r, const struct scope *scope, const struct node *node, struct quota_list *out);
bool config_read_rates(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		       enum quota_key key, const char *prefix, struct quota_list *out);

/* config_tenant.c: defaults, plans and tenants; fills draft->config's tenants and their match rules. Where a file is missing
 * (not is_whole) nothing is said of what may stand in it. */
bool config_read_tenants(struct reader *r, struct config_draft *draft, bool is_whole);

/* config_content.c: for config.content_headers. */
uint64_t config_content_headers(const struct config *config);

/* config_check.c: what only shows when settings are held against one another. `is_tenant`: no plan, no defaults. */
bool config_check_tenant(struct reader *r, const struct scope *scope, const struct node *node,
			 const struct config *config, const struct tenant_draft *draft, bool is_tenant);
bool config_check(struct reader *r, struct config_draft *draft);

bool config_is_name(struct str s);
bool config_is_domain(struct str s);

#endif
