/*
 * config - the immutable snapshot of everything an operator decides.
 *
 * Built by config_load (config_yaml.c reads, config_schema.c knows each setting, config_check.c holds settings against
 * one another), then never changed. A session acquires the snapshot it begins with and keeps it; reload builds a new
 * one and config_publish swaps it in, or reports why not and changes nothing.
 *
 * Units    durations in microseconds, sizes in octets; LIMIT_NONE says "none" (unlimited), 0 says "nothing at all"
 * Memory   all inside the snapshot's own arena; freed with its last release
 * Errors   ERR_CONFIG; config_report.h collects them with file:line:column
 * Bounds   CONFIG_FILE_MAX octets in all files, CONFIG_FILES_MAX files, CONFIG_DEPTH_MAX levels; no YAML aliases
 */
#ifndef SEKISHO_CONFIG_H
#define SEKISHO_CONFIG_H

#include "config/base/arena.h"
#include "config/base/buf.h"
#include "config/base/err.h"
#include "config/base/retention.h"
#include "config/net.h"

#define LIMIT_NONE INT64_MAX

#define CONFIG_FILE_MAX ((size_t)256 << 20)
#define CONFIG_FILES_MAX 200000
#define CONFIG_DEPTH_MAX 16
#define CONFIG_CLASSES_MAX 32          /* of records */
#define CLASS_RELAY STR("relay")       /* what happened to messages */
#define CLASS_ACTION STR("action")     /* what readers did with them */
#define CLASS_OPS STR("ops")           /* start, stop, configuration, access; no customer's data */
#define CONFIG_NAME_MAX 64             /* octets, of a tenant, plan, quota, node or class */
#define CONFIG_DEFAULT_PATH "/etc/sekisho/sekisho.yaml"

struct str_list {
	const struct str *items;
	size_t count;
};

/* How a tenant is recognised; also the default order in which it is tried (`identify:`). */
enum match_kind {
	MATCH_AUTH,        /* SASL login, glob, lower case */
	MATCH_CERT,        /* client certificate: issuer + subject, only when the MTA verified it */
	MATCH_DAEMON,      /* {daemon_name}: a listener of its own */
	MATCH_CLIENT,      /* client address, CIDR, longest prefix first */
	MATCH_SENDER,      /* envelope sender: address, then domain; only from `sender_match_networks` */
	MATCH_KIND_COUNT
};

enum quota_window { WINDOW_ROLLING, WINDOW_BURST, WINDOW_CALENDAR };
enum calendar_unit { CALENDAR_NONE, CALENDAR_DAY, CALENDAR_WEEK, CALENDAR_MONTH };   /* JST; weeks begin on Monday */
enum quota_counts { COUNTS_RECIPIENTS, COUNTS_MESSAGES, COUNTS_BYTES };
enum quota_key { KEY_TENANT, KEY_SENDER, KEY_AUTH, KEY_CLIENT, KEY_RECIPIENT_DOMAIN };
enum excess_action { EXCESS_DEFER, EXCESS_REJECT, EXCESS_HOLD };
enum from_rule { FROM_ANY, FROM_SENDERS };        /* header From (and Sender): anything, or inside `senders` */
enum signed_rule { SIGNED_SKIP, SIGNED_STRIP, SIGNED_REWRITE };    /* what to do with a DKIM-Signature that is there */
enum client_address { CLIENT_TRUNCATED, CLIENT_FULL, CLIENT_NONE };              /* in records of opens and clicks */
enum guard_action { GUARD_NOTIFY, GUARD_HALVE, GUARD_DEFER, GUARD_REJECT, GUARD_HOLD };
enum returned_mail { RETURNED_SENDER, RETURNED_ACCEPT, RETURNED_DISCARD };       /* where mail to a return path goes */
enum suppress_mode { SUPPRESS_MODE_OFF, SUPPRESS_MODE_MONITOR, SUPPRESS_MODE_REJECT };
enum store_backend { STORE_EMBEDDED, STORE_REDIS };
enum redis_mode { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };
enum store_failure { STORE_FAILURE_LOCAL, STORE_FAILURE_DEFER, STORE_FAILURE_ACCEPT };

struct quota_override {
	struct str key;                /* lower case; a login, sender, address or domain, as `key` says */
	int64_t limit;
};

#define QUOTA_WARN_MAX 4

struct quota {
	struct str name;               /* unique within the tenant; part of the store's key */
	int64_t limit;                 /* LIMIT_NONE: counted, never refused */
	enum quota_window window;
	enum calendar_unit calendar;   /* with WINDOW_CALENDAR */
	int64_t period_us;             /* with WINDOW_ROLLING and WINDOW_BURST */
	enum quota_counts counts;
	enum quota_key key;
	enum excess_action on_excess;
	bool is_monitor;               /* decided, logged, counted, not enforced */
	uint8_t warn_at[QUOTA_WARN_MAX];   /* per cent, ascending */
	size_t warn_count;
	bool exclude_null_sender;      /* what is excluded costs 0; it never exempts the rest of the message */
	bool exclude_local_domains;    /* recipients in `local_domains` */
	bool exclude_same_tenant;      /* recipients in the tenant's own `senders` */
	struct str_list exclude_recipients;       /* addresses, "@domain" */
	const struct quota_override *overrides;   /* sorted by key */
	size_t override_count;
	int64_t warm_start;            /* limit until the first day of a warm-up is over; 0: there is none */
	int64_t warm_from;             /* that day, JST */
	int64_t warm_growth;           /* by so many thousandths more each day, until `limit` */
};

/* What a field of the header may not say. */
struct content_rule {
	struct str name;               /* in records: "content:overdue", or made of header and place, "content:subject-1" */
	struct str header;             /* as it was written; names have no case */
	struct str match;              /* str_glob over the value as people read it */
	enum excess_action action;
	bool is_monitor;
};

/* Where a tenant has a setting from. */
enum setting_origin { ORIGIN_BUILT_IN, ORIGIN_DEFAULTS, ORIGIN_PLAN, ORIGIN_TENANT, ORIGIN_COUNT };

struct tenant {
	struct str name;               /* [a-z0-9][a-z0-9._-]{0,63} */
	struct str plan;               /* empty: none */
	struct str record_class;       /* class of its relay records */
	struct str bounce_class;       /* of those of its bounces and complaints; empty: record_class, see config_bounce_class */
	bool is_suspended;             /* by configuration; the store may say so too */
	struct str_list readers;       /* "user", "@group" of this host: who may see its records, and no others' */
	struct str_list senders;       /* "@domain", "@*.domain", "user@domain", lower case; empty: any */
	bool senders_is_monitor;
	struct str_list recipients;    /* likewise: whom it may write to; empty: anybody */
	bool recipients_is_monitor;
	enum from_rule from;
	bool from_is_monitor;
	bool require_tls, require_auth;
	int64_t recipients_max;        /* a message */
	enum excess_action recipients_on_excess;    /* defer: 452 4.5.3, the MTA splits; reject: 550 5.5.3 */
	bool recipients_max_is_monitor;
	int64_t size_max;
	bool size_is_monitor;
	const struct content_rule *content;
	size_t content_count;
	struct str tracking_host;      /* of tracked links; empty: none are made */
	bool tracks_opens, tracks_clicks;
	bool tracks_text;              /* links of text/plain parts as well */
	bool is_anonymous;             /* its links and pixels do not say whose they are */
	bool adds_list_unsubscribe;    /* to a message for one recipient that has none */
	enum signed_rule on_signed;
	struct str return_domain;      /* of its return paths, lower case; empty: its mail keeps its envelope sender */
	int64_t return_keep_us;        /* how long mail to one is taken */
	enum returned_mail returned_mail;
	/* Bounds of what may go wrong in a day, in thousandths of the recipients whose outcome is known; LIMIT_NONE: none. */
	int64_t guard_hard, guard_unknown, guard_complaints;
	int64_t guard_sample;          /* so many recipients at least, before anything is said */
	int64_t guard_volume;          /* an hour's recipients, in times of the busiest hour of the last week; LIMIT_NONE: any */
	int64_t guard_clients;         /* addresses from which one login may be used in a day; LIMIT_NONE: any */
	bool guards_tenant, guards_senders;    /* who is looked at: the tenant as a whole, each of its envelope senders */
	enum guard_action guard_action;
	enum suppress_mode suppress;   /* what the suppression list does at RCPT */
	int64_t suppress_hard_us, suppress_complaint_us;    /* so long a bounce, a complaint puts somebody on it; 0: never */
	bool suppress_releases;        /* a good delivery takes back what a bounce has entered */
	const struct quota *quotas;
	size_t quota_count;
	uint32_t given[ORIGIN_COUNT];  /* which settings stand where: a bit a row of the tenant's table; see config_setting_origin */
};

/* Whose return paths may be at a domain. */
struct return_owner {
	struct str domain;             /* lower case */
	uint32_t mark;
	const struct tenant *tenant;
};

struct record_class {
	struct str name;               /* a directory below relay_log.dir */
	struct retention keep;
};

struct reply_text {
	struct str tag;                /* "SKQ-RATE" */
	struct str text;
	struct str file;               /* where it stands */
	size_t line, column;
};

struct config {
	struct arena arena;
	struct str path;               /* of the main file */
	uint64_t generation;           /* set by config_publish, from 1 */
	int64_t loaded_us;
	uint64_t fingerprint;          /* of what its files said, one after the other: has any of them changed since? */

	struct str node;               /* this relay's name in records and charges */
	struct str state_dir;
	struct str pid_file;

	struct str listen;             /* for libmilter, checked: "unix:/path", "inet:port@host", "inet6:port@host" */
	int64_t socket_mode;
	struct str socket_group;       /* empty: left alone */
	int64_t transaction_memory_max;
	int64_t recipients_max;        /* a message, whatever the tenant says */
	int64_t sessions_max;
	int64_t shutdown_wait_us;

	enum store_backend store_backend;
	struct str store_path;         /* embedded: directory */
	int64_t store_size_max;
	enum store_failure on_store_failure;
	int64_t store_timeout_us;
	int64_t store_local_share;     /* per cent of a limit that this relay may use by itself */

	enum redis_mode redis_mode;
	struct str_list redis_addresses;          /* the server, the Sentinels, or some nodes of the cluster */
	struct str redis_master;       /* Sentinel: what it calls the master */
	int64_t redis_database;
	struct str redis_user;         /* of the ACL; empty: the default user */
	struct str redis_password_file;           /* empty: no password */
	struct str redis_sentinel_password_file;  /* likewise */
	bool redis_tls;
	struct str redis_ca_file;      /* empty: the system's authorities */
	struct str redis_cert_file, redis_key_file;       /* empty: no certificate of our own */

	struct str log_dir;
	struct str log_key_file;       /* Ed25519 private key, PEM; made by `sekisho key new` */
	struct str operator_key_file;  /* Ed25519 private key that signs what is taken out of the log; empty: none */
	struct str erase_rule;         /* erase_rule.h; empty: none */
	int64_t checkpoint_busy_us;    /* while there is activity */
	int64_t checkpoint_idle_us;
	int64_t disk_warn_percent;     /* free space below this: warning */
	int64_t preallocate;           /* octets a step */
	bool log_is_sealed;            /* personal data is encrypted, but for class ops, which has none: config_seals */
	struct str log_keyring;        /* its keys: a directory outside every backup */
	const struct record_class *classes;
	size_t class_count;

	struct str backup_dir;
	int64_t backup_keep;           /* days of which backups stay */

	struct str token_key_file;     /* seals tracked links: milter/link/token.h */
	struct str tracking_listen;    /* of sekisho-track: "127.0.0.1:9186" */
	struct net_list tracking_proxies;         /* whose X-Forwarded-For is believed */
	enum client_address tracking_client;
	int64_t tracking_expire_us;    /* of links and pixels; 0: never */
	int64_t tracking_spool_max;    /* octets of all bodies that wait on disk */

	struct str bounce_rules_file;  /* the operator's own; empty: none */
	struct str submit_socket;      /* where sekisho-sendmail asks; empty: nobody can */
	int64_t submit_valid_us;

	struct str notify_command;     /* hears on its standard input of what the operator should know; empty: none */
	struct str alarm_command;      /* the same, of alarms of the relay log */
	int64_t alarm_again_us, alarm_silence_us;         /* silence 0: never */
	int64_t alarm_verify_rate;     /* octets a second */
	struct str notify_from;        /* sender of notices by mail */
	struct str_list notify_to;     /* empty: none by mail */
	struct str notify_server;      /* "127.0.0.1:25" */
	int64_t notify_timeout_us;     /* for the program, and for each step of the mail */
	int64_t notify_cool_down_us;   /* the same is not told again before */
	struct str maillog_path;       /* the MTA's log, which tells what became of mail */
	struct str maillog_journal;    /* or in the journal: "system", a directory, a journal file */

	struct str metrics_listen;     /* "127.0.0.1:9185"; empty: none */
	bool log_to_syslog;
	int64_t log_level;             /* enum log_level */

	struct net_list sender_match_networks;
	struct str_list local_domains;
	enum match_kind identify[MATCH_KIND_COUNT];
	size_t identify_count;
	const struct tenant *default_tenant;      /* NULL: nobody's mail is refused */
	const struct reply_text *reply_texts;
	size_t reply_text_count;

	const struct tenant *tenants;  /* sorted by name */
	size_t tenant_count;
	const struct match_index *match;
	const struct return_owner *return_owners;      /* sorted by domain, then mark */
	size_t return_owner_count;

	/* What sessions must ask the MTA for: true when any tenant needs it. */
	bool needs_body;               /* sizes are measured (size_max, a quota on bytes), or contents read */
	bool needs_rewrite;            /* some tenant tracks: headers and bodies may change */
	bool needs_return_path;        /* some tenant's mail gets signed envelope senders: envelopes change, bounces are read */
	bool needs_keys;               /* one of the two: token_key_file is read */
	uint64_t content_headers;      /* a bit for each name that a rule on content asks for; two names may share one */
};

struct config_report;                  /* config_report.h */

/* False: `report` has at least one error and *out stays. The report must be cleared either way. */
bool config_load(const char *path, struct config **out, struct config_report *report);

struct config *config_acquire(void);              /* the published snapshot; NULL before the first */
void config_release(struct config *config);
/* Takes over the caller's reference; NULL withdraws what is published, at the end of a program. */
void config_publish(struct config *config);
void config_free(struct config *config);          /* for a snapshot that was never published */

const struct tenant *config_find_tenant(const struct config *config, struct str name);
/* Does anybody read the MTA's log? */
bool config_follows_maillog(const struct config *config);
/* Does any message of the tenant change on its way? */
bool config_tenant_tracks(const struct tenant *tenant);
/* Does a rule on content look at such fields? `tenant` NULL: one of any tenant, so that too much may be said, and never too little. */
bool config_asks_for_header(const struct config *config, const struct tenant *tenant, struct str name);
/* Of records of what bounced, and of the counters. */
struct str config_bounce_class(const struct tenant *tenant);
const struct record_class *config_find_class(const struct config *config, struct str name);
/* Are records of that class sealed (milter/record/seal.h)? */
bool config_seals(const struct config *config, struct str class_name);
/* Of "senders", "quotas", "recipients_max" and so on: the names of sekisho.yaml(5). */
enum setting_origin config_setting_origin(const struct tenant *tenant, const char *name);

/* What is known of a session when its tenant is asked for; empty strings where nothing is known. */
struct match_facts {
	struct str auth, cert_subject, cert_issuer, daemon_name;
	struct str sender;             /* bare address, any case; empty: null sender */
	const struct net_addr *client; /* NULL: not known */
};
/* NULL: nobody claims it (the default tenant is the caller's business). *out_by says what decided. */
const struct tenant *config_match(const struct config *config, const struct match_facts *facts,
				  enum match_kind *out_by);
const char *match_kind_name(enum match_kind kind);
/* Is any tenant found by such a rule? */
bool config_match_has(const struct config *config, enum match_kind kind);
/* And what does the first of them look for? */
bool config_match_first(const struct config *config, enum match_kind kind, struct str *out_text);

/* What stands for a tenant in its return paths: of two tenants it may be the same. Never to be changed: they are out there. */
uint32_t config_return_mark(struct str tenant);
/* `domain` in lower case. Is it one of return paths at all? */
bool config_is_return_domain(const struct config *config, struct str domain);
/* The tenants with this mark at this domain; mostly one. */
const struct return_owner *config_return_owners(const struct config *config, struct str domain, uint32_t mark, size_t *out_count);

/* Is `address` covered by a list of "@domain", "@*.domain", "user@domain"? Domains fold case; local parts too. */
bool address_list_covers(struct str_list list, struct str address);

#endif
