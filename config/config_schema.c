#include "config/config_schema.h"

#include "config/base/log.h"
#include "config/base/num.h"
#include "config/config_read.h"

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define CONFIG(member) FIELD(struct config_draft, config.member)
#define TENANT(member) FIELD(struct tenant_draft, tenant.member)
#define CONTENT(member) FIELD(struct content_rule, member)
#define QUOTA(member) FIELD(struct quota_draft, quota.member)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define SECONDS(n) (INT64_C(n) * US_PER_S)
#define TABLE(rows) { rows, sizeof rows / sizeof *rows }

/* Only what this program can do: a second backend brings its words along. */
static const struct setting_word failure_words[] = {
	{ "local", STORE_FAILURE_LOCAL }, { "defer", STORE_FAILURE_DEFER }, { "accept", STORE_FAILURE_ACCEPT }, { 0 },
};
static const struct setting_word backend_words[] = { { "embedded", STORE_EMBEDDED }, { "redis", STORE_REDIS }, { 0 } };
static const struct setting_word redis_words[] = {
	{ "single", REDIS_SINGLE }, { "sentinel", REDIS_SENTINEL }, { "cluster", REDIS_CLUSTER }, { 0 },
};
static const struct setting_word personal_words[] = { { "plain", false }, { "sealed", true }, { 0 } };
static const struct setting_word log_words[] = { { "syslog", true }, { "stderr", false }, { 0 } };
static const struct setting_word level_words[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warn", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { 0 },
};
static const struct setting_word identify_words[] = {
	{ "auth", MATCH_AUTH }, { "cert", MATCH_CERT }, { "daemon", MATCH_DAEMON }, { "client", MATCH_CLIENT },
	{ "sender", MATCH_SENDER }, { 0 },
};
static const struct setting_word require_words[] = { { "tls", REQUIRE_TLS }, { "auth", REQUIRE_AUTH }, { 0 } };
static const struct setting_word from_words[] = { { "any", FROM_ANY }, { "senders", FROM_SENDERS }, { 0 } };
static const struct setting_word refuse_words[] = { { "defer", EXCESS_DEFER }, { "reject", EXCESS_REJECT }, { 0 } };
static const struct setting_word guard_words[] = {
	{ "notify", GUARD_NOTIFY }, { "halve", GUARD_HALVE }, { "defer", GUARD_DEFER }, { "reject", GUARD_REJECT }, { "hold", GUARD_HOLD }, { 0 },
};
static const struct setting_word returned_words[] = {
	{ "sender", RETURNED_SENDER }, { "accept", RETURNED_ACCEPT }, { "discard", RETURNED_DISCARD }, { 0 },
};
static const struct setting_word suppress_words[] = {
	{ "reject", SUPPRESS_MODE_REJECT }, { "monitor", SUPPRESS_MODE_MONITOR }, { "off", SUPPRESS_MODE_OFF }, { 0 },
};
static const struct setting_word excess_words[] = {
	{ "defer", EXCESS_DEFER }, { "reject", EXCESS_REJECT }, { "hold", EXCESS_HOLD }, { 0 },
};
static const struct setting_word window_words[] = {
	{ "rolling", WINDOW_ROLLING }, { "burst", WINDOW_BURST }, { "calendar", WINDOW_CALENDAR }, { 0 },
};
static const struct setting_word counts_words[] = {
	{ "recipients", COUNTS_RECIPIENTS }, { "messages", COUNTS_MESSAGES }, { "bytes", COUNTS_BYTES }, { 0 },
};
static const struct setting_word key_words[] = {
	{ "tenant", KEY_TENANT }, { "sender", KEY_SENDER }, { "auth", KEY_AUTH }, { "client", KEY_CLIENT },
	{ "recipient_domain", KEY_RECIPIENT_DOMAIN }, { 0 },
};

static const struct setting_word exclude_words[] = {
	{ "null_sender", EXCLUDE_NULL_SENDER }, { "local_domains", EXCLUDE_LOCAL_DOMAINS },
	{ "same_tenant", EXCLUDE_SAME_TENANT },
	{ 0 },
};

static const struct setting_word signed_words[] = {
	{ "skip", SIGNED_SKIP }, { "strip", SIGNED_STRIP }, { "rewrite", SIGNED_REWRITE }, { 0 },
};
static const struct setting_word client_words[] = {
	{ "truncated", CLIENT_TRUNCATED }, { "full", CLIENT_FULL }, { "none", CLIENT_NONE }, { 0 },
};

static const struct setting top_rows[] = {
	{ "node", SETTING_NAME, CONFIG(node), .computed = "the host's name, up to its first dot",
	  .meaning = "This relay's name in records and charges; two relays that share a store need two names. The relay log goes on "
		     "under a new name from the next start on; a class that is no longer configured keeps its old one, which "
		     "sekisho log verify --node takes." },
	{ "state_dir", SETTING_PATH, CONFIG(state_dir), .fallback = "/var/lib/sekisho",
	  .meaning = "Directory for what is kept over a restart." },
	{ "pid_file", SETTING_PATH, CONFIG(pid_file), .computed = "sekisho-milter.pid in state_dir",
	  .meaning = "File that holds the daemon's process id, and its lock." },
	{ "milter", SETTING_SECTION, .section = TABLE_MILTER, .meaning = "The side that the MTA talks to." },
	{ "store", SETTING_SECTION, .section = TABLE_STORE, .meaning = "Where quota counts and suspensions are kept." },
	{ "relay_log", SETTING_SECTION, .section = TABLE_RELAY_LOG, .meaning = "The evidence of what passed." },
	{ "backup", SETTING_SECTION, .section = TABLE_BACKUP, .is_short = true,
	  .meaning = "Copies of the relay log and the store, which sekisho backup makes." },
	{ "tracking", SETTING_SECTION, .section = TABLE_TRACKING, .meaning = "Opens and clicks, for all tenants." },
	{ "submit", SETTING_SECTION, .section = TABLE_SUBMIT, .is_short = true,
	  .meaning = "Whose mail it is that scripts on this host send: see sekisho-sendmail(8)." },
	{ "maillog", SETTING_SECTION, .section = TABLE_MAILLOG, .is_short = true,
	  .meaning = "The MTA's own log, which says what became of mail." },
	{ "bounces", SETTING_SECTION, .section = TABLE_BOUNCES, .meaning = "How failures are judged." },
	{ "notify", SETTING_SECTION, .section = TABLE_NOTIFY, .is_short = true,
	  .meaning = "Who is told when the guard strikes, or a quota reaches a level of warn_at." },
	{ "alarm", SETTING_SECTION, .section = TABLE_ALARM, .is_short = true,
	  .meaning = "Who is told when something is wrong with the relay log." },
	{ "metrics", SETTING_SECTION, .section = TABLE_METRICS, .meaning = "Figures for Prometheus." },
	{ "log", SETTING_SECTION, .section = TABLE_LOG, .meaning = "What the operator reads." },
	{ "replies", SETTING_REPLIES, CONFIG(reply_texts), .fallback = "{}",
	  .meaning = "Own texts of SMTP replies, by tag; {fields} in braces are filled in." },
	{ "sender_match_networks", SETTING_NETWORKS, CONFIG(sender_match_networks),
	  .fallback = "[127.0.0.0/8, \"::1\"]",
	  .meaning = "Clients whose envelope sender is believed by match rules on sender; mail handed in on the host "
		     "itself always is." },
	{ "local_domains", SETTING_DOMAINS, CONFIG(local_domains), .fallback = "[]",
	  .meaning = "Recipient domains that quotas may leave out with exclude: [local_domains]." },
	{ "identify", SETTING_IDENTIFY, CONFIG(identify), .words = identify_words,
	  .fallback = "[auth, cert, daemon, client, sender]",
	  .meaning = "What a tenant is recognised by, first come first; what is not listed is not looked at." },
	{ "default_tenant", SETTING_TENANT_NAME, FIELD(struct config_draft, default_tenant),
	  .computed = "none: such mail is refused with 550 5.7.1",
	  .meaning = "Tenant that mail belongs to which no match rule claims." },
	{ "include", SETTING_INCLUDE, FIELD(struct config_draft, includes),
	  .meaning = "More files, as a pattern or a list of patterns, relative to the file that says so; they may hold "
		     "any of these settings, each once." },
	{ "defaults", SETTING_TENANT, FIELD(struct config_draft, defaults),
	  .meaning = "Settings every tenant begins with: any of tenants.NAME but plan and match." },
	{ "plans", SETTING_TENANTS, FIELD(struct config_draft, plans),
	  .meaning = "Named sets of settings over the defaults, for tenants to begin with: any of tenants.NAME but "
		     "plan and match." },
	{ "tenants", SETTING_TENANTS, FIELD(struct config_draft, tenants),
	  .meaning = "The customers, by name. A list given here replaces the one inherited from plan or defaults." },
};

static const struct setting milter_rows[] = {
	{ "listen", SETTING_MILTER_LISTEN, CONFIG(listen), .fallback = "unix:/run/sekisho/milter.sock",
	  .meaning = "Where the MTA connects: unix:/path, inet:port@host or inet6:port@host." },
	{ "socket_mode", SETTING_MODE, CONFIG(socket_mode), .max = 0777, .fallback = "0660",
	  .meaning = "Permissions of a Unix socket." },
	{ "socket_group", SETTING_TEXT, CONFIG(socket_group), .accepts_none = true, .fallback = "none",
	  .meaning = "Group of a Unix socket, the MTA's; none leaves it alone." },
	{ "transaction_memory_max", SETTING_SIZE, CONFIG(transaction_memory_max), .min = 64 * KIB, .max = GIB,
	  .fallback = "4MiB",
	  .meaning = "Memory for one message's envelope and headers; one that needs more is deferred." },
	{ "recipients_max", SETTING_INTEGER, CONFIG(recipients_max), .min = 1, .max = 1000000, .fallback = "10000",
	  .meaning = "Recipients of one message, whatever a tenant may." },
	{ "sessions_max", SETTING_INTEGER, CONFIG(sessions_max), .min = 1, .max = 1000000, .fallback = "4096",
	  .meaning = "Connections at once; more are told to come again." },
	{ "shutdown_wait", SETTING_DURATION, CONFIG(shutdown_wait_us), .min = SECONDS(0), .max = SECONDS(600),
	  .fallback = "30s",
	  .meaning = "How long a stop waits for messages under way." },
};

static const struct setting store_rows[] = {
	{ "backend", SETTING_WORD, CONFIG(store_backend), .words = backend_words, .fallback = "embedded",
	  .meaning =
		  "embedded: a database in the state directory, nothing else to run; redis: shared by all relays that "
		  "use the same server." },
	{ "path", SETTING_PATH, CONFIG(store_path), .computed = "store in state_dir",
	  .meaning = "Directory of the embedded store." },
	{ "size_max", SETTING_SIZE, CONFIG(store_size_max), .min = MIB, .max = 1024 * GIB, .fallback = "4GiB",
	  .meaning = "Size up to which the embedded store may grow." },
	{ "on_store_failure", SETTING_WORD, CONFIG(on_store_failure), .words = failure_words, .fallback = "local",
	  .meaning =
		  "Without Redis: local (this relay counts in its embedded store and adds that to Redis later), defer "
		  "(451 4.3.0, the mail waits) or accept (uncounted, and on the record). Without the embedded store "
		  "local "
		  "is defer." },
	{ "local_share", SETTING_INTEGER, CONFIG(store_local_share), .min = 1, .max = 100, .fallback = "100",
	  .meaning = "Per cent of each limit that this relay may use by itself while Redis is away." },
	{ "timeout", SETTING_DURATION, CONFIG(store_timeout_us), .min = 1000, .max = SECONDS(25), .fallback = "250ms",
	  .meaning = "How long a message waits for the store at most." },
	{ "redis", SETTING_SECTION, .section = TABLE_REDIS, .meaning = "Where Redis is, for backend: redis." },
};

static const struct setting redis_rows[] = {
	{ "mode", SETTING_WORD, CONFIG(redis_mode), .words = redis_words, .fallback = "single",
	  .meaning = "single: one server; sentinel: the master that Sentinels name; cluster: Redis Cluster." },
	{ "addresses", SETTING_SERVERS, CONFIG(redis_addresses), .fallback = "[\"127.0.0.1:6379\"]",
	  .meaning = "The server, the Sentinels, or some nodes of the cluster: host:port or unix:/path." },
	{ "master", SETTING_TEXT, CONFIG(redis_master), .accepts_none = true, .fallback = "none",
	  .meaning = "What the Sentinels call the master, for mode: sentinel." },
	{ "database", SETTING_INTEGER, CONFIG(redis_database), .min = 0, .max = 1000000, .fallback = "0",
	  .meaning = "Number of the database; a cluster has only 0." },
	{ "user", SETTING_TEXT, CONFIG(redis_user), .accepts_none = true, .fallback = "none",
	  .meaning = "User of the server's access list; none is its default user." },
	{ "password_file", SETTING_PATH, CONFIG(redis_password_file), .accepts_none = true, .fallback = "none",
	  .meaning = "File with the password alone in it, which nobody else may read; none gives no password. It is read again when a "
		     "server refuses the password, so a new one needs no restart." },
	{ "sentinel_password_file", SETTING_PATH, CONFIG(redis_sentinel_password_file), .accepts_none = true, .fallback = "none",
	  .meaning = "The same for the Sentinels, for mode: sentinel." },
	{ "tls", SETTING_BOOL, CONFIG(redis_tls), .fallback = "false",
	  .meaning = "Speak TLS, and only to servers whose certificate is valid for the name or address used." },
	{ "ca_file", SETTING_PATH, CONFIG(redis_ca_file), .accepts_none = true, .fallback = "none",
	  .meaning = "Certificate authorities that servers are held against; none: those of the system. A file that has changed is "
		     "read again by the next connection, and so are the two below, so new ones need no restart." },
	{ "cert_file", SETTING_PATH, CONFIG(redis_cert_file), .accepts_none = true, .fallback = "none",
	  .meaning = "Certificate (chain) to show to servers that ask for one." },
	{ "key_file", SETTING_PATH, CONFIG(redis_key_file), .accepts_none = true, .fallback = "none",
	  .meaning = "Private key of cert_file, which nobody else may read." },
};

static const struct setting relay_log_rows[] = {
	{ "dir", SETTING_PATH, CONFIG(log_dir), .fallback = "/var/log/sekisho",
	  .meaning = "Directory of the relay log; one below it for each class." },
	{ "key_file", SETTING_PATH, CONFIG(log_key_file), .accepts_none = true,
	  .fallback = "/etc/sekisho/relay-log.key",
	  .meaning = "Ed25519 private key that signs checkpoints; none writes the log without them." },
	{ "operator_key_file", SETTING_PATH, CONFIG(operator_key_file), .accepts_none = true, .fallback = "/etc/sekisho/operator.key",
	  .meaning = "Ed25519 private key that signs erasures, redactions and restored backups, and must be another one; made by "
		     "sekisho key new --operator. The daemon needs it only for erasures by rule." },
	{ "erase_rule", SETTING_TEXT, CONFIG(erase_rule), .accepts_none = true, .fallback = "none",
	  .meaning = "When tenant erase --ended erases a former tenant: next-month-10 (that day of the following month), 72h "
		     "(hours) or P6M (months, days, years)." },
	{ "checkpoint_every", SETTING_DURATION, CONFIG(checkpoint_busy_us), .min = SECONDS(1), .max = SECONDS(3600),
	  .fallback = "60s",
	  .meaning = "Time between signed checkpoints while mail passes." },
	{ "checkpoint_idle", SETTING_DURATION, CONFIG(checkpoint_idle_us), .min = SECONDS(1), .max = SECONDS(86400),
	  .fallback = "1h",
	  .meaning = "Time between signed checkpoints while none does." },
	{ "disk_warn", SETTING_INTEGER, CONFIG(disk_warn_percent), .min = 0, .max = 99, .fallback = "10",
	  .meaning = "Per cent of free space below which there is a warning." },
	{ "preallocate", SETTING_SIZE, CONFIG(preallocate), .min = 0, .max = GIB, .fallback = "16MiB",
	  .meaning = "Disk space taken in advance, a step at a time." },
	{ "personal_data", SETTING_WORD, CONFIG(log_is_sealed), .words = personal_words, .fallback = "plain",
	  .meaning = "plain, or sealed: what records say of people is encrypted under a key of the day and one of the tenant, so that "
		     "destroying either ends every copy of it, in backups too. Class ops stays plain." },
	{ "keyring", SETTING_PATH, CONFIG(log_keyring), .fallback = "/var/lib/sekisho-keyring",
	  .meaning = "Directory of those keys, for the user that the programs run as alone; never part of a backup." },
	{ "classes", SETTING_CLASSES, CONFIG(classes),
	  .fallback = "{relay: 60d, history: 14d, action: 1y, bounce-api: 20d, ops: 2y}",
	  .meaning = "How long each class of records is kept, in JST days; those not given stay as they are by "
		     "default. Name a class for as long as it has records: nobody purges those of a class that is taken out. Where "
		     "a time is made longer, log verify --retention and the daily look call EARLY what was purged by the shorter one, as "
		     "long as its purged records are there: each says in keep by which time it was done, and is no breach when it is "
		     "older than the change (a config record in ops)." },
};

static const struct setting backup_rows[] = {
	{ "dir", SETTING_PATH, CONFIG(backup_dir), .fallback = "/var/backups/sekisho",
	  .meaning = "Directory of backups, one below it for each." },
	{ "keep", SETTING_INTEGER, CONFIG(backup_keep), .min = 1, .max = 3660, .fallback = "35",
	  .meaning = "Backups of so many days stay when sekisho backup prune removes the others." },
};

static const struct setting tracking_rows[] = {
	{ "key_file", SETTING_PATH, CONFIG(token_key_file), .fallback = "/etc/sekisho/tracking.key",
	  .meaning = "Keys that seal tracked links and sign return paths, one a line; the last one is used, all of them are known again." },
	{ "links_expire", SETTING_DURATION, CONFIG(tracking_expire_us), .accepts_none = true, .min = SECONDS(86400),
	  .max = SECONDS(3650 * 86400), .fallback = "none",
	  .meaning = "How long a tracked link leads somewhere and a pixel counts, from the JST day on which its mail went "
		     "out; none: always. Unsubscribing does not expire." },
	{ "listen", SETTING_HTTP_LISTEN, CONFIG(tracking_listen), .fallback = "127.0.0.1:9186",
	  .meaning = "Address and port of sekisho-track, behind a proxy that speaks TLS." },
	{ "proxies", SETTING_NETWORKS, CONFIG(tracking_proxies), .fallback = "[127.0.0.0/8, \"::1\"]",
	  .meaning = "Where proxies in front of sekisho-track are: the last address of X-Forwarded-For that is none of theirs is the "
		     "reader's." },
	{ "client_address", SETTING_WORD, CONFIG(tracking_client), .words = client_words, .fallback = "truncated",
	  .meaning = "Readers' addresses in records: truncated to a network of 24 (IPv6: 48) bits, full, or none." },
	{ "spool_max", SETTING_SIZE, CONFIG(tracking_spool_max), .min = 0, .max = 1024 * GIB, .fallback = "8GiB",
	  .meaning =
		  "Disk space in state_dir for large bodies while they wait to be rewritten; what finds no room passes "
		  "as it came." },
};

static const struct setting maillog_rows[] = {
	{ "path", SETTING_PATH, CONFIG(maillog_path), .accepts_none = true, .fallback = "none",
	  .meaning = "File in which Postfix or Sendmail logs, by syslog or maillog_file; it is read as it grows, rotated or not, "
		     "and each delivery, delay and failure becomes a record. Read permission is all it needs." },
	{ "journal", SETTING_TEXT, CONFIG(maillog_journal), .accepts_none = true, .fallback = "none",
	  .meaning = "Instead of a file, where the MTA logs by syslog to systemd-journald alone: system, or an absolute path of a "
		     "directory of journals or of one. The daemon's user must be in the group systemd-journal or adm." },
};

static const struct setting bounces_rows[] = {
	{ "rules", SETTING_PATH, CONFIG(bounce_rules_file), .accepts_none = true, .fallback = "none",
	  .meaning = "Rules of your own, as in sekisho-bounce-rules(5): they go before those that came with the program, and one "
		     "with an id of theirs takes its place." },
};

static const struct setting submit_rows[] = {
	{ "socket", SETTING_PATH, CONFIG(submit_socket), .accepts_none = true, .fallback = "none",
	  .meaning = "Unix socket where sekisho-sendmail asks, open to every user of the host. Mail handed in through it belongs "
		     "to the login USER@unix, USER being the Unix user who called it; a rule for him is auth: \"web42@unix\"." },
	{ "valid", SETTING_DURATION, CONFIG(submit_valid_us), .min = SECONDS(60), .max = SECONDS(30 * 86400), .fallback = "5d",
	  .meaning = "How long what the gate has said of a message holds, for mail that waits on the host." },
};

static const struct setting notify_rows[] = {
	{ "command", SETTING_PATH, CONFIG(notify_command), .accepts_none = true, .fallback = "none",
	  .meaning = "Program that gets one JSON object on its standard input, once for each notice; no mail waits for it." },
	{ "timeout", SETTING_DURATION, CONFIG(notify_timeout_us), .min = SECONDS(1), .max = SECONDS(3600), .fallback = "30s",
	  .meaning = "How long the program may run before it is killed, and how long each step of a mail may take." },
	{ "to", SETTING_ADDRESSES, CONFIG(notify_to), .fallback = "[]",
	  .meaning = "Who gets the same by mail." },
	{ "from", SETTING_ADDRESS, CONFIG(notify_from), .accepts_none = true, .fallback = "none",
	  .meaning = "Who such mail is from; needed with to." },
	{ "server", SETTING_HTTP_LISTEN, CONFIG(notify_server), .fallback = "127.0.0.1:25",
	  .meaning = "SMTP server that takes it, without TLS or login: this host's own MTA, whose gate knows such mail and counts it "
		     "for nobody." },
	{ "cool_down", SETTING_DURATION, CONFIG(notify_cool_down_us), .min = SECONDS(0), .max = SECONDS(604800), .fallback = "1h",
	  .meaning = "For how long the operator is not told again that a guard struck for the same reason, or a quota reached the "
		     "same level; it is on the record each time." },
};

static const struct setting alarm_rows[] = {
	{ "command", SETTING_PATH, CONFIG(alarm_command), .accepts_none = true, .computed = "notify.command",
	  .meaning = "Program that gets each alarm as one JSON object on its standard input; nobody waits for it." },
	{ "again", SETTING_DURATION, CONFIG(alarm_again_us), .min = SECONDS(1), .max = SECONDS(7 * 86400), .fallback = "1h",
	  .meaning = "How often the same alarm is told while it lasts." },
	{ "silence", SETTING_DURATION, CONFIG(alarm_silence_us), .min = SECONDS(1), .max = SECONDS(7 * 86400), .accepts_none = true,
	  .fallback = "1h",
	  .meaning = "How long no mail may be recorded while the MTA's log speaks of mail that did not pass here, or while there was "
		     "mail at this time yesterday and a week ago; none: for ever." },
	{ "verify_rate", SETTING_SIZE, CONFIG(alarm_verify_rate), .min = 64 * KIB, .max = GIB, .fallback = "32MiB",
	  .meaning = "Octets of the relay log that the daily verification reads in a second." },
};

static const struct setting metrics_rows[] = {
	{ "listen", SETTING_HTTP_LISTEN, CONFIG(metrics_listen), .accepts_none = true, .fallback = "127.0.0.1:9185",
	  .meaning = "Address and port for Prometheus; none switches it off." },
};

static const struct setting log_rows[] = {
	{ "to", SETTING_WORD, CONFIG(log_to_syslog), .words = log_words, .fallback = "syslog",
	  .meaning = "Where messages to the operator go." },
	{ "level", SETTING_WORD, CONFIG(log_level), .words = level_words, .fallback = "info",
	  .meaning = "How much is told." },
};

static const struct setting tenant_rows[] = {
	{ "plan", SETTING_NAME, TENANT(plan), .accepts_none = true, .fallback = "none",
	  .meaning = "Plan whose settings this tenant begins with." },
	{ "match", SETTING_MATCH, FIELD(struct tenant_draft, match),
	  .meaning = "List of rules, any of which makes a message this tenant's." },
	{ "suspended", SETTING_BOOL, TENANT(is_suspended), .fallback = "false",
	  .meaning = "May send nothing, until this is false again." },
	{ "record_class", SETTING_NAME, TENANT(record_class), .fallback = "relay",
	  .meaning = "Class of relay_log.classes for this tenant's records." },
	{ "bounce_class", SETTING_NAME, TENANT(bounce_class), .accepts_none = true, .computed = "that of record_class",
	  .meaning = "Class for its bounces and complaints alone (events failed, expired, bounced, complained); what is counted of "
		     "its deliveries ends with this class." },
	{ "readers", SETTING_USERS, TENANT(readers), .fallback = "[]",
	  .meaning = "Users and @groups of this host who may see its records, and no others', by sekisho log serve." },
	{ "senders", SETTING_SECTION, .section = TABLE_SENDERS, .is_short = true, .meaning = "Envelope senders it may use." },
	{ "recipients", SETTING_SECTION, .section = TABLE_RECIPIENTS, .is_short = true, .meaning = "Whom it may write to." },
	{ "from", SETTING_SECTION, .section = TABLE_FROM, .is_short = true,
	  .meaning = "What the header From may say." },
	{ "require", SETTING_REQUIRE, TENANT(require_tls), .words = require_words, .fallback = "[]",
	  .meaning = "What a session must have before mail is taken." },
	{ "recipients_max", SETTING_SECTION, .section = TABLE_RECIPIENTS_MAX, .is_short = true,
	  .meaning = "Recipients of one message." },
	{ "size_max", SETTING_SECTION, .section = TABLE_SIZE_MAX, .is_short = true, .meaning = "Size of one message." },
	{ "content", SETTING_CONTENT, TENANT(content), .fallback = "[]",
	  .meaning = "Rules on what fields of the header say, at most 64. At the end of a message the first that is met decides; those "
		     "with monitor are only recorded, and the search goes on behind them." },
	{ "tracking", SETTING_SECTION, .section = TABLE_TENANT_TRACKING, .meaning = "Which mail is tracked, and how." },
	{ "return_path", SETTING_SECTION, .section = TABLE_RETURN_PATH, .is_short = true,
	  .meaning = "Envelope senders of our own making, so that what comes back can be told from what is forged." },
	{ "suppress", SETTING_SECTION, .section = TABLE_SUPPRESS, .is_short = true,
	  .meaning = "The suppression list: recipients that this tenant's mail no longer goes to." },
	{ "guard", SETTING_SECTION, .section = TABLE_GUARD, .is_short = true,
	  .meaning = "How much of a day's mail may go wrong before this tenant is stopped." },
	{ "pool", SETTING_RATES, FIELD(struct tenant_draft, pool), .computed = "none",
	  .meaning = "Recipients for the whole tenant, as 10000/day or a list of such: quotas with key: tenant, in "
		     "short." },
	{ "default_per_login", SETTING_RATES, FIELD(struct tenant_draft, per_login), .computed = "none",
	  .meaning = "Recipients for each login, as 500/hour or a list of such: quotas with key: auth, in short." },
	{ "quotas", SETTING_QUOTAS, FIELD(struct tenant_draft, quotas), .computed = "none",
	  .meaning = "List of limits, all of which hold at once." },
};

static const struct setting senders_rows[] = {
	{ "allow", SETTING_ADDRESSES, TENANT(senders), .fallback = "[]",
	  .meaning = "Which: user@domain, @domain, @*.domain; an empty list allows any." },
	{ "monitor", SETTING_BOOL, TENANT(senders_is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not refuse." },
};

static const struct setting recipients_rows[] = {
	{ "allow", SETTING_ADDRESSES, TENANT(recipients), .fallback = "[]",
	  .meaning = "Which: user@domain, @domain, @*.domain; an empty list allows anybody." },
	{ "monitor", SETTING_BOOL, TENANT(recipients_is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not refuse." },
};

static const struct setting from_rows[] = {
	{ "rule", SETTING_WORD, TENANT(from), .words = from_words, .fallback = "any",
	  .meaning = "any: whatever it likes; senders: each address in From and Sender is one of the list of senders, none is empty or "
		     "unreadable, and with a null sender there is a From." },
	{ "monitor", SETTING_BOOL, TENANT(from_is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not refuse." },
};

static const struct setting recipients_max_rows[] = {
	{ "limit", SETTING_LIMIT, TENANT(recipients_max), .max = 1000000, .fallback = "none",
	  .meaning = "At most so many in one message; 0 allows none." },
	{ "on_excess", SETTING_WORD, TENANT(recipients_on_excess), .words = refuse_words, .fallback = "defer",
	  .meaning = "defer: 452 4.5.3, and the sender's MTA splits the message; reject: 550 5.5.3, as always for a message that is "
		     "handed in on the host." },
	{ "monitor", SETTING_BOOL, TENANT(recipients_max_is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not refuse." },
};

static const struct setting size_max_rows[] = {
	{ "limit", SETTING_SIZE_LIMIT, TENANT(size_max), .max = 1024 * GIB, .fallback = "none",
	  .meaning = "At most this large, header and body." },
	{ "monitor", SETTING_BOOL, TENANT(size_is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not refuse." },
};

static const struct setting content_rows[] = {
	{ "name", SETTING_NAME, CONTENT(name), .computed = "header and place in the list, as subject-1",
	  .meaning = "Its name in records, as content:NAME." },
	{ "header", SETTING_HEADER, CONTENT(header), .computed = "required",
	  .meaning = "Name of the field, in any case; of several with this name each is looked at." },
	{ "match", SETTING_PATTERN, CONTENT(match), .computed = "required",
	  .meaning = "What its whole value must be, in one line, decoded, blanks in a row as one; * is any text, ? one octet, and "
		     "letters of ASCII are the same in either case." },
	{ "action", SETTING_WORD, CONTENT(action), .words = excess_words, .fallback = "reject",
	  .meaning = "reject: 550 5.7.1; defer: 451 4.7.1; hold: into the MTA's queue, on hold." },
	{ "monitor", SETTING_BOOL, CONTENT(is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not enforce." },
};

static const struct setting tenant_tracking_rows[] = {
	{ "host", SETTING_HOST, TENANT(tracking_host), .accepts_none = true, .fallback = "none",
	  .meaning = "Host of its tracked links, which leads to sekisho-track over https." },
	{ "opens", SETTING_BOOL, TENANT(tracks_opens), .fallback = "false",
	  .meaning = "Put a pixel into HTML mail." },
	{ "clicks", SETTING_BOOL, TENANT(tracks_clicks), .fallback = "false",
	  .meaning = "Lead links of HTML mail through host." },
	{ "anonymous", SETTING_BOOL, TENANT(is_anonymous), .fallback = "false",
	  .meaning = "Only add opens and clicks up: links and pixels do not say whose they are." },
	{ "text_links", SETTING_BOOL, TENANT(tracks_text), .fallback = "false",
	  .meaning = "Lead links of text/plain parts through host as well, where readers see them; needs clicks." },
	{ "list_unsubscribe", SETTING_BOOL, TENANT(adds_list_unsubscribe), .fallback = "false",
	  .meaning = "Add List-Unsubscribe, with one click (RFC 8058), to mail for one recipient that has none; a DKIM signer "
		     "must sign both fields." },
	{ "on_signed", SETTING_WORD, TENANT(on_signed), .words = signed_words, .fallback = "skip",
	  .meaning = "Mail with a DKIM-Signature: leave it alone, take the signature out, or rewrite and break it." },
};

static const struct setting return_path_rows[] = {
	{ "domain", SETTING_HOST, TENANT(return_domain), .accepts_none = true, .fallback = "none",
	  .meaning = "Domain of this tenant's return paths, whose mail comes here and is used for nothing else; tenants may share one." },
	{ "keep", SETTING_DURATION, TENANT(return_keep_us), .min = SECONDS(1), .max = SECONDS(1209600), .fallback = "14d",
	  .meaning = "How long mail to a return path is taken; later it is refused with 550 5.7.1." },
	{ "bounces", SETTING_WORD, TENANT(returned_mail), .words = returned_words, .fallback = "sender",
	  .meaning = "What becomes of a bounce once it is counted: sender, it goes on to the message's own sender; accept, the MTA "
		     "delivers it as it is; discard. What a person answered goes to the sender even so." },
};

static const struct setting guard_rows[] = {
	{ "hard_bounces", SETTING_RATIO, TENANT(guard_hard), .max = 1000, .fallback = "none",
	  .meaning = "Share of a JST day's recipients that may bounce hard, of those whose outcome is known." },
	{ "unknown_users", SETTING_RATIO, TENANT(guard_unknown), .max = 1000, .fallback = "none",
	  .meaning = "Share that may not exist at hosts that do." },
	{ "complaints", SETTING_RATIO, TENANT(guard_complaints), .max = 1000, .fallback = "none",
	  .meaning = "Share that may complain." },
	{ "volume", SETTING_LIMIT, TENANT(guard_volume), .min = 1, .max = 1000000, .fallback = "none",
	  .meaning = "How many times the busiest hour of the last seven days one JST hour's recipients may be; not asked of one who "
		     "sent nothing then." },
	{ "clients", SETTING_LIMIT, TENANT(guard_clients), .min = 1, .max = 1000000, .fallback = "none",
	  .meaning = "From how many addresses (IPv6: networks of 64 bits) one SASL login may be used in a JST day. Over it the login "
		     "is stopped, not the tenant." },
	{ "tenant", SETTING_BOOL, TENANT(guards_tenant), .fallback = "true",
	  .meaning = "Hold the tenant as a whole to these shares and to volume." },
	{ "senders", SETTING_BOOL, TENANT(guards_senders), .fallback = "false",
	  .meaning = "Hold each of its envelope senders to them too, and stop only that one. Each sender costs the store a few "
		     "counters for two days: not for mail with a sender of its own for each recipient." },
	{ "sample", SETTING_INTEGER, TENANT(guard_sample), .min = 1, .max = 1000000000, .fallback = "100",
	  .meaning = "So many recipients at least, before anything is said." },
	{ "action", SETTING_WORD, TENANT(guard_action), .words = guard_words, .fallback = "defer",
	  .meaning = "What happens over a bound: the operator is told, and unless it is notify whoever is over it is suspended so (defer, "
		     "reject, hold), or has each limit halved (halve), until sekisho tenant resume." },
};

static const struct setting suppress_rows[] = {
	{ "list", SETTING_WORD, TENANT(suppress), .words = suppress_words, .fallback = "reject",
	  .meaning = "reject: a listed recipient is refused with 550 5.7.1, and a message that is handed in on the host as a whole; "
		     "monitor: it is only recorded; off: nobody looks, and nobody is entered." },
	{ "hard_bounces", SETTING_DURATION, TENANT(suppress_hard_us), .min = SECONDS(60), .max = SECONDS(315360000),
	  .accepts_none = true, .fallback = "30d",
	  .meaning = "How long a hard bounce (no such mailbox or domain) puts its recipient on the list; none: it does "
		     "not." },
	{ "complaints", SETTING_DURATION, TENANT(suppress_complaint_us), .min = SECONDS(60), .max = SECONDS(315360000),
	  .accepts_none = true, .fallback = "1y", .meaning = "The same for a complaint." },
	{ "release", SETTING_BOOL, TENANT(suppress_releases), .fallback = "true",
	  .meaning = "A good delivery takes back what a bounce has entered; other entries stay." },
};

static const struct setting quota_rows[] = {
	{ "name", SETTING_NAME, QUOTA(name), .computed = "required",
	  .meaning = "Its name in replies, records and the store; a new name begins a new count." },
	{ "limit", SETTING_RATE, FIELD(struct quota_draft, limit), .computed = "required",
	  .meaning = "How much: 1000, 10GiB (of bytes), none, or with the period as 1000/hour; 0 allows nothing, none "
		     "only counts." },
	{ "per", SETTING_PERIOD, FIELD(struct quota_draft, per), .computed = "required, here or in limit",
	  .meaning = "In what time: second, minute, hour, day, week, month, or a duration such as 10m." },
	{ "window", SETTING_WORD, FIELD(struct quota_draft, window), .words = window_words,
	  .computed = "calendar for day, week and month, rolling for others",
	  .meaning = "rolling: in any period that long; burst: refilled evenly, the whole limit at once at most; "
		     "calendar: a JST day, week (from Monday) or month." },
	{ "counts", SETTING_WORD, QUOTA(counts), .words = counts_words, .fallback = "recipients",
	  .meaning = "What is counted." },
	{ "key", SETTING_WORD, QUOTA(key), .words = key_words, .fallback = "tenant",
	  .meaning = "Whose count it is: one for the tenant, or one for each value. Who may write any sender, or has a whole IPv6 "
		     "network, has as many counts by sender or client as he likes: give the tenant one of its own too." },
	{ "on_excess", SETTING_WORD, QUOTA(on_excess), .words = excess_words, .fallback = "defer",
	  .meaning = "What happens to mail over the limit: it waits at the sender, is refused, or is held in the MTA's "
		     "queue." },
	{ "monitor", SETTING_BOOL, QUOTA(is_monitor), .fallback = "false",
	  .meaning = "Decide and record, but do not enforce." },
	{ "warn_at", SETTING_PERCENTS, QUOTA(warn_at), .min = 1, .max = 100, .fallback = "[]",
	  .meaning = "Per cent of the limit at which a warning is recorded, and told to those in notify, ascending." },
	{ "exclude", SETTING_EXCLUDE, QUOTA(exclude_recipients), .words = exclude_words, .fallback = "[]",
	  .meaning = "What costs nothing: null_sender, local_domains, same_tenant, recipients as user@domain or "
		     "@domain." },
	{ "overrides", SETTING_OVERRIDES, FIELD(struct quota_draft, overrides), .computed = "none",
	  .meaning = "Other limits for single values of the key: a map of value to limit." },
	{ "warm_up", SETTING_SECTION, .section = TABLE_WARM_UP },
};

static const struct setting warm_up_rows[] = {
	{ "from", SETTING_DATE, QUOTA(warm_from), .computed = "required with start",
	  .meaning = "The first day, in Japan, of a warm-up: a new sender's limit begins low and grows each day, by the calendar, "
		     "until it is what limit says. Whoever sent nothing meanwhile begins anew with another date." },
	{ "start", SETTING_RATE, FIELD(struct quota_draft, start), .computed = "none",
	  .meaning = "What the limit is on that day, and before it." },
	{ "growth", SETTING_PERCENTAGE, QUOTA(warm_growth), .min = 1, .max = 9990, .fallback = "100%",
	  .meaning = "How much more it is each day than the day before: 100% doubles it." },
};

static const struct setting match_rows[] = {
	{ "auth", SETTING_TEXT, FIELD(struct match_draft, auth),
	  .meaning = "SASL login; * and ? are wildcards, the longest text before the first decides." },
	{ "client", SETTING_NETWORK, FIELD(struct match_draft, client),
	  .meaning = "Client address or network; the smallest network decides." },
	{ "cert", SETTING_SECTION, .section = TABLE_CERT, .meaning = "Verified client certificate." },
	{ "sender", SETTING_ADDRESS, FIELD(struct match_draft, sender),
	  .meaning = "Envelope sender as user@domain, @domain or @*.domain, of clients in sender_match_networks." },
	{ "daemon", SETTING_TEXT, FIELD(struct match_draft, daemon),
	  .meaning = "The MTA's {daemon_name}: a listener of its own." },
};

static const struct setting cert_rows[] = {
	{ "issuer", SETTING_TEXT, FIELD(struct match_draft, issuer),
	  .meaning = "Its issuer, as the MTA gives it in {cert_issuer}." },
	{ "subject", SETTING_TEXT, FIELD(struct match_draft, subject),
	  .meaning = "Its subject, as the MTA gives it in {cert_subject}." },
};

const struct setting_table setting_tables[TABLE_COUNT] = {
	[TABLE_TOP] = TABLE(top_rows),
	[TABLE_MILTER] = TABLE(milter_rows),
	[TABLE_STORE] = TABLE(store_rows),
	[TABLE_REDIS] = TABLE(redis_rows),
	[TABLE_RELAY_LOG] = TABLE(relay_log_rows),
	[TABLE_BACKUP] = TABLE(backup_rows),
	[TABLE_TRACKING] = TABLE(tracking_rows),
	[TABLE_MAILLOG] = TABLE(maillog_rows),
	[TABLE_BOUNCES] = TABLE(bounces_rows),
	[TABLE_SUBMIT] = TABLE(submit_rows),
	[TABLE_NOTIFY] = TABLE(notify_rows),
	[TABLE_ALARM] = TABLE(alarm_rows),
	[TABLE_METRICS] = TABLE(metrics_rows),
	[TABLE_LOG] = TABLE(log_rows),
	[TABLE_TENANT] = TABLE(tenant_rows),
	[TABLE_SENDERS] = TABLE(senders_rows),
	[TABLE_RECIPIENTS] = TABLE(recipients_rows),
	[TABLE_FROM] = TABLE(from_rows),
	[TABLE_RECIPIENTS_MAX] = TABLE(recipients_max_rows),
	[TABLE_SIZE_MAX] = TABLE(size_max_rows),
	[TABLE_CONTENT] = TABLE(content_rows),
	[TABLE_TENANT_TRACKING] = TABLE(tenant_tracking_rows),
	[TABLE_RETURN_PATH] = TABLE(return_path_rows),
	[TABLE_SUPPRESS] = TABLE(suppress_rows),
	[TABLE_GUARD] = TABLE(guard_rows),
	[TABLE_QUOTA] = TABLE(quota_rows),
	[TABLE_WARM_UP] = TABLE(warm_up_rows),
	[TABLE_MATCH] = TABLE(match_rows),
	[TABLE_CERT] = TABLE(cert_rows),
};
