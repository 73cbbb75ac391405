#include <inttypes.h>
#include <sys/stat.h>

#include "config/config_read.h"
#include "config/erase_rule.h"

/* --- one tenant */

static bool check_names(struct reader *r, const struct scope *scope, const struct node *node,
			const struct tenant *tenant)
{
	char where[SCOPE_TEXT_MAX];

	for (size_t i = 0; i < tenant->quota_count; i++)
		for (size_t j = 0; j < i; j++)
			if (str_eq(tenant->quotas[i].name, tenant->quotas[j].name))
				return config_refuse(r, node_place(node), "two quotas%s are named " STR_FMT,
						     scope_text(scope, where), STR_ARG(tenant->quotas[i].name));
	return true;
}

static bool is_same_measure(const struct quota *a, const struct quota *b)
{
	return a->counts == b->counts && a->calendar == b->calendar && a->period_us == b->period_us;
}

/* Legal, the pool still caps it: but hardly meant. */
static void warn_loose_children(struct reader *r, const struct scope *scope, const struct node *node,
				const struct tenant *tenant)
{
	char where[SCOPE_TEXT_MAX];

	for (size_t i = 0; i < tenant->quota_count; i++)
		for (size_t j = 0; j < tenant->quota_count; j++) {
			const struct quota *child = &tenant->quotas[i], *parent = &tenant->quotas[j];

			if (child->key == KEY_TENANT || parent->key != KEY_TENANT || !is_same_measure(child, parent) ||
			    child->limit == LIMIT_NONE || child->limit <= parent->limit)
				continue;
			config_report_warning(r->report, node_place(node),
					      "quota " STR_FMT "%s allows more than " STR_FMT
					      ", which holds for the whole tenant", STR_ARG(child->name),
					      scope_text(scope, where), STR_ARG(parent->name));
		}
}

static struct config_place key_place(const struct node *map, const char *key)
{
	const struct node *node = node_find(map, str_from_c(key));

	return node ? node_place(node) : node_place(map);
}

/* Said where the quota is written; a plan may leave the senders to its tenants. */
static void warn_idle_exclusions(struct reader *r, const struct scope *scope, const struct config *config,
				 const struct tenant_draft *draft, bool is_tenant)
{
	const struct quota *quota = draft->quota_list.items;
	char where[SCOPE_TEXT_MAX];

	scope_text(scope, where);
	for (const struct node *item = draft->quotas ? draft->quotas->first : NULL; item; item = item->next, quota++) {
		if (quota->exclude_local_domains && config->local_domains.count == 0)
			config_report_warning(r->report, key_place(item, "exclude"), "quota " STR_FMT "%s excludes nobody by "
					      "local_domains: that list is empty", STR_ARG(quota->name), where);
		if (is_tenant && quota->exclude_same_tenant && draft->tenant.senders.count == 0)
			config_report_warning(r->report, key_place(item, "exclude"), "quota " STR_FMT "%s excludes nobody by "
					      "same_tenant: that means recipients in senders, and there are none",
					      STR_ARG(quota->name), where);
	}
}

#define QUOTAS_MAX 64

static bool check_quotas(struct reader *r, const struct scope *scope, const struct tenant_draft *draft)
{
	const struct node *at = draft->quotas ? draft->quotas : draft->pool ? draft->pool : draft->per_login;
	char where[SCOPE_TEXT_MAX];

	if (!at)                       /* inherited: checked where they stand */
		return true;
	if (draft->tenant.quota_count > QUOTAS_MAX)
		return config_refuse(r, node_place(at), "more than %d quotas%s", QUOTAS_MAX, scope_text(scope, where));
	if (!check_names(r, scope, at, &draft->tenant))
		return false;
	warn_loose_children(r, scope, at, &draft->tenant);
	return true;
}

static bool check_class(struct reader *r, const struct scope *scope, const struct node *node,
			const struct config *config, const char *key, struct str name)
{
	struct config_nearest nearest = { .name = name };
	char where[SCOPE_TEXT_MAX], hint[CONFIG_QUOTE_SIZE];

	if (str_eq(name, CLASS_OPS))
		return config_refuse(r, key_place(node, key), "%s%s: ops holds no customer's data", key, scope_text(scope, where));
	if (config_find_class(config, name))
		return true;
	for (size_t i = 0; i < config->class_count; i++)
		config_nearest_offer(&nearest, config->classes[i].name.ptr);
	return config_refuse(r, key_place(node, key), "%s%s: relay_log.classes has no class " STR_FMT "%s", key,
			     scope_text(scope, where), STR_ARG(name), config_nearest_hint(&nearest, hint));
}

/* A plan may leave the host to its tenants. */
static bool check_tracking(struct reader *r, const struct scope *scope, const struct node *node, const struct tenant *tenant)
{
	char where[SCOPE_TEXT_MAX];

	if (tenant->tracks_text && !tenant->tracks_clicks)
		return config_refuse(r, key_place(node, "tracking"), "tracking%s: text_links needs clicks", scope_text(scope, where));
	if (tenant->tracking_host.len || (!tenant->tracks_opens && !tenant->tracks_clicks && !tenant->adds_list_unsubscribe))
		return true;
	return config_refuse(r, key_place(node, "tracking"), "tracking%s: opens, clicks and list_unsubscribe need a host",
			     scope_text(scope, where));
}

/* Legal, who keeps such lists elsewhere can export this one: but hardly meant. Said once, where it is written. */
static void warn_empty_promise(struct reader *r, const struct scope *scope, const struct node *node, const struct tenant *tenant)
{
	char where[SCOPE_TEXT_MAX];

	if (!tenant->adds_list_unsubscribe || tenant->suppress == SUPPRESS_MODE_REJECT ||
	    !(node_find(node, STR("tracking")) || node_find(node, STR("suppress"))))
		return;
	config_report_warning(r->report, key_place(node, "suppress"), "suppress%s lets mail through to those who were told, by "
			      "list_unsubscribe, that no more is sent; list: reject holds to that", scope_text(scope, where));
}

/* The same: legal, but hardly meant. */
static void warn_idle_bound(struct reader *r, const struct scope *scope, const struct node *node, const struct config *config,
			    const struct tenant *tenant)
{
	char where[SCOPE_TEXT_MAX];

	if (tenant->recipients_max != LIMIT_NONE && tenant->recipients_max > config->recipients_max &&
	    node_find(node, STR("recipients_max")))
		config_report_warning(r->report, key_place(node, "recipients_max"), "recipients_max%s allows more than recipients_max in "
				      "milter, %" PRId64 ", which holds for each message", scope_text(scope, where),
				      config->recipients_max);
}

#define RETURN_DOMAIN_MAX 189          /* with a local part of 64 and the @ an address of 254 (RFC 5321 4.5.3.1.3) */

static struct str address_domain_part(struct str pattern)
{
	struct str local, domain = STR_EMPTY;

	str_cut_last(pattern, '@', &local, &domain);
	return domain;
}

static bool check_return_path(struct reader *r, const struct scope *scope, const struct node *node, const struct tenant *tenant)
{
	struct config_place at = key_place(node, "return_path");
	char where[SCOPE_TEXT_MAX];

	if (tenant->return_domain.len > RETURN_DOMAIN_MAX)
		return config_refuse(r, at, "return_path%s: a domain of more than %d octets leaves no room for the address",
				     scope_text(scope, where), RETURN_DOMAIN_MAX);
	for (size_t i = 0; tenant->return_domain.len && i < tenant->senders.count; i++)
		if (str_eq(address_domain_part(tenant->senders.items[i]), tenant->return_domain))
			return config_refuse(r, at, "return_path%s: " STR_FMT " stands in senders too; mail to what is no return path "
					     "is refused there, so take a domain of its own, such as bounce." STR_FMT,
					     scope_text(scope, where), STR_ARG(tenant->return_domain), STR_ARG(tenant->return_domain));
	return true;
}

/* What would never strike, or strike at nothing. A plan may leave the rest to its tenants. */
static bool check_guard(struct reader *r, const struct scope *scope, const struct node *node, const struct tenant *t)
{
	bool has_shares = t->guard_hard != LIMIT_NONE || t->guard_unknown != LIMIT_NONE || t->guard_complaints != LIMIT_NONE ||
			  t->guard_volume != LIMIT_NONE;
	char where[SCOPE_TEXT_MAX];

	if (has_shares && !t->guards_tenant && !t->guards_senders)
		return config_refuse(r, key_place(node, "guard"), "guard%s: it has bounds, but looks neither at the tenant nor at its "
				     "senders; say tenant: true or senders: true", scope_text(scope, where));
	if ((has_shares || t->guard_clients != LIMIT_NONE) && t->guard_action == GUARD_HALVE && t->quota_count == 0)
		return config_refuse(r, key_place(node, "guard"), "guard%s: action: halve needs quotas to halve", scope_text(scope, where));
	return true;
}

bool config_check_tenant(struct reader *r, const struct scope *scope, const struct node *node,
			 const struct config *config, const struct tenant_draft *draft, bool is_tenant)
{
	const struct tenant *tenant = &draft->tenant;
	char where[SCOPE_TEXT_MAX];
	bool ok = check_class(r, scope, node, config, "record_class", tenant->record_class);

	if (tenant->bounce_class.len)
		ok &= check_class(r, scope, node, config, "bounce_class", tenant->bounce_class);
	ok &= check_quotas(r, scope, draft);
	warn_idle_exclusions(r, scope, config, draft, is_tenant);
	warn_empty_promise(r, scope, node, tenant);
	warn_idle_bound(r, scope, node, config, tenant);
	if (is_tenant) {                /* all of them, so that each says what is wrong */
		ok &= check_tracking(r, scope, node, tenant);
		ok &= check_return_path(r, scope, node, tenant);
		ok &= check_guard(r, scope, node, tenant);
	}
	/* A plan may leave the list to its tenants. */
	if (is_tenant && tenant->from == FROM_SENDERS && tenant->senders.count == 0)
		ok = config_refuse(r, key_place(node, "from"), "from%s: the rule senders needs a list of senders",
				   scope_text(scope, where));
	return ok;
}

/* --- the whole */

/*
 * A secret that others can read is none. One that is not there yet, or not for this user to see, is its reader's
 * matter.
 */
static bool check_secret(struct reader *r, enum setting_table_id table, const char *name, struct str path,
			 const struct config *config)
{
	struct config_place at = config_setting_place(r, table, name, config->path);
	const char *section = table == TABLE_REDIS ? "redis of store" : table == TABLE_TRACKING ? "tracking" : "relay_log";
	struct stat st;

	if (path.len == 0 || stat(path.ptr, &st) != 0)
		return true;
	if (!S_ISREG(st.st_mode))
		return config_refuse(r, at, "%s in %s: " STR_FMT " is no regular file", name, section, STR_ARG(path));
	if ((st.st_mode & 077) == 0)
		return true;
	config_refuse(r, at, "%s in %s: mode %04o of " STR_FMT " lets others use this secret", name, section,
		      (unsigned)(st.st_mode & 07777), STR_ARG(path));
	config_report_command(r->report, "chmod 600 " STR_FMT, STR_ARG(path));
	return false;
}

static bool is_inside(struct str path, struct str dir)
{
	while (str_ends(dir, STR("/")))
		dir = str_slice(dir, 0, dir.len - 1);
	return str_starts(path, dir) && (path.len == dir.len || path.ptr[dir.len] == '/');
}

/* What is copied with the log outlives the destruction of its keys. */
static bool check_keyring(struct reader *r, const struct config *config)
{
	struct config_place at = config_setting_place(r, TABLE_RELAY_LOG, "keyring", config->path);
	struct stat st;

	if (!config->log_is_sealed)
		return true;
	if (is_inside(config->log_keyring, config->log_dir) || is_inside(config->log_keyring, config->store_path) ||
	    is_inside(config->log_keyring, config->backup_dir))
		return config_refuse(r, at, "keyring in relay_log: " STR_FMT " lies in what is backed up; give it a directory of its own",
				     STR_ARG(config->log_keyring));
	if (stat(config->log_keyring.ptr, &st) == 0 && (st.st_mode & 077))
		return config_refuse(r, at, "keyring in relay_log: mode %04o of " STR_FMT " lets others in; run: chmod 700 " STR_FMT,
				     (unsigned)(st.st_mode & 07777), STR_ARG(config->log_keyring), STR_ARG(config->log_keyring));
	return true;
}

static bool check_erasure(struct reader *r, const struct config *config)
{
	struct erase_rule rule;
	bool ok = true;

	if (config->erase_rule.len && !erase_rule_parse(config->erase_rule, &rule))
		ok = config_refuse(r, config_setting_place(r, TABLE_RELAY_LOG, "erase_rule", config->path),
				   "erase_rule in relay_log: expected " ERASE_RULE_WORDS ", got \"" STR_FMT "\"",
				   STR_ARG(str_slice(config->erase_rule, 0, 40)));
	if (config->operator_key_file.len && str_eq(config->operator_key_file, config->log_key_file))
		ok = config_refuse(r, config_setting_place(r, TABLE_RELAY_LOG, "operator_key_file", config->path),
				   "operator_key_file in relay_log: must be another key than key_file: who takes over the gate could "
				   "take records away unseen");
	return check_secret(r, TABLE_RELAY_LOG, "operator_key_file", config->operator_key_file, config) && ok;
}

static bool redis_is_wrong(struct reader *r, const struct config *config, const char *name, const char *why)
{
	return config_refuse(r, config_setting_place(r, TABLE_REDIS, name, config->path), "%s in redis of store: %s",
			     name, why);
}

static bool check_redis(struct reader *r, const struct config *config)
{
	struct config_place unused = config_setting_place(r, TABLE_STORE, "redis", STR_EMPTY);
	bool ok = true;

	/* Legal, store copy needs both: but hardly meant. */
	if (config->store_backend != STORE_REDIS && unused.file.len)
		config_report_warning(r->report, unused, "redis in store: the gate does not ask it without backend: redis");
	if (config->redis_mode == REDIS_SINGLE && config->redis_addresses.count > 1)
		ok = redis_is_wrong(r, config, "addresses", "mode: single knows one server; expected one address");
	if (config->redis_mode == REDIS_SENTINEL && config->redis_master.len == 0)
		ok = redis_is_wrong(r, config, "mode", "sentinel needs master: NAME, what the Sentinels call it");
	if (config->redis_mode != REDIS_SENTINEL && config->redis_master.len)
		ok = redis_is_wrong(r, config, "master", "only mode: sentinel asks for a master by name");
	if (config->redis_mode != REDIS_SENTINEL && config->redis_sentinel_password_file.len)
		ok = redis_is_wrong(r, config, "sentinel_password_file", "only mode: sentinel has Sentinels");
	if (config->redis_mode == REDIS_CLUSTER && config->redis_database)
		ok = redis_is_wrong(r, config, "database", "a cluster has only database 0");
	if (config->redis_user.len && config->redis_password_file.len == 0)
		ok = redis_is_wrong(r, config, "user", "a user needs a password_file");
	if ((config->redis_cert_file.len == 0) != (config->redis_key_file.len == 0))
		ok = redis_is_wrong(r, config, config->redis_cert_file.len ? "cert_file" : "key_file",
				    "cert_file and key_file need each other");
	if (!config->redis_tls && (config->redis_ca_file.len || config->redis_cert_file.len))
		ok = redis_is_wrong(r, config, config->redis_ca_file.len ? "ca_file" : "cert_file",
				    "means nothing without tls: true");
	ok &= check_secret(r, TABLE_REDIS, "password_file", config->redis_password_file, config);
	ok &= check_secret(r, TABLE_REDIS, "sentinel_password_file", config->redis_sentinel_password_file, config);
	return check_secret(r, TABLE_REDIS, "key_file", config->redis_key_file, config) && ok;
}

static bool check_sockets(struct reader *r, const struct config *config)
{
	struct str path = config->listen;

	if (!str_starts(path, STR("unix:")) || !str_eq(str_from(path, 5), config->submit_socket))
		return true;
	return config_refuse(r, config_setting_place(r, TABLE_SUBMIT, "socket", config->path),
			     "socket in submit: " STR_FMT " is that of milter.listen; give it one of its own", STR_ARG(config->submit_socket));
}

/* The figures tell of customers, and nobody is asked who they are: they stay on this host. */
static bool check_metrics(struct reader *r, const struct config *config)
{
	struct str listen = config->metrics_listen, host = STR_EMPTY, port;
	struct net_prefix v4, v6;
	struct net_addr addr;

	if (listen.len == 0 || !str_cut_last(listen, ':', &host, &port))
		return true;
	if (str_starts(host, STR("[")))
		host = str_slice(host, 1, host.len - 2);
	if (net_parse_addr(host, &addr) && net_parse_prefix(STR("127.0.0.0/8"), &v4) && net_parse_prefix(STR("::1"), &v6) &&
	    (net_prefix_covers(&v4, &addr) || net_prefix_covers(&v6, &addr)))
		return true;
	return config_refuse(r, config_setting_place(r, TABLE_METRICS, "listen", config->path),
			     "listen in metrics: " STR_FMT " is not a loopback address; use 127.0.0.1 and let a proxy that "
			     "asks for a password stand before it", STR_ARG(listen));
}

static bool check_maillog(struct reader *r, const struct config *config)
{
	struct config_place at = config_setting_place(r, TABLE_MAILLOG, "journal", config->path);
	struct str journal = config->maillog_journal;

	if (journal.len == 0)
		return true;
#ifndef HAVE_JOURNAL
	return config_refuse(r, at, "journal in maillog: this sekisho was built without libsystemd and cannot read the journal; build it "
			     "with libsystemd-dev, or let the MTA log into a file (Postfix: maillog_file; rsyslog: mail.*) and name it "
			     "with path");
#else
	if (config->maillog_path.len)
		return config_refuse(r, at, "journal in maillog: path names a file already; expected one of the two");
	return str_eq(journal, STR("system")) || journal.ptr[0] == '/' ||
	       config_refuse(r, at, "journal in maillog: expected system or an absolute path, found " STR_FMT, STR_ARG(journal));
#endif
}

/* A pattern is nobody who reads mail. */
static bool check_notify(struct reader *r, const struct config *config)
{
	bool ok = true;

	for (size_t i = 0; i < config->notify_to.count; i++)
		if (config->notify_to.items[i].ptr[0] == '@')
			ok = config_refuse(r, config_setting_place(r, TABLE_NOTIFY, "to", config->path),
					   "to in notify: " STR_FMT " is no address; expected user@domain",
					   STR_ARG(config->notify_to.items[i]));
	if (config->notify_to.count && (config->notify_from.len == 0 || config->notify_from.ptr[0] == '@'))
		ok = config_refuse(r, config_setting_place(r, TABLE_NOTIFY, config->notify_from.len ? "from" : "to", config->path),
				   "notify: mail needs from: user@domain, an address of this host's");
	return ok;
}

bool config_check(struct reader *r, struct config_draft *draft)
{
	const struct config *config = &draft->config;

	bool ok = check_secret(r, TABLE_RELAY_LOG, "key_file", config->log_key_file, config);

	ok = check_keyring(r, config) && ok;
	ok = check_erasure(r, config) && ok;
	ok = check_redis(r, config) && ok;
	ok = check_metrics(r, config) && ok;
	ok = check_sockets(r, config) && ok;
	ok = check_notify(r, config) && ok;
	ok = check_maillog(r, config) && ok;
	ok = check_secret(r, TABLE_TRACKING, "key_file", config->token_key_file, config) && ok;
	/* Most likely a file that was cut. Mail that waits for the gate to start is better than mail refused for good. */
	if (config->tenant_count == 0 && r->report->count == 0)
		ok = config_refuse(r, (struct config_place){ .file = config->path },
				   "there are no tenants: every message would be refused; name one under tenants: or include:");
	return ok;
}
