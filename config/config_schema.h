/*
 * config_schema - every setting there is, one row each: name, type, unit, bounds, default, meaning, where it goes.
 *
 * The reader, the manual (sekisho.yaml(5)) and config/sekisho.yaml all follow these rows. A default is written as in
 * the file and read by the same code, so it cannot mean something else.
 */
#ifndef SEKISHO_CONFIG_SCHEMA_H
#define SEKISHO_CONFIG_SCHEMA_H

#include "config/base/buf.h"
#include "config/config_yaml.h"

enum setting_type {
	SETTING_TEXT,          /* without control characters */
	SETTING_NAME,          /* [a-z0-9][a-z0-9._-]{0,63} */
	SETTING_PATH,          /* absolute */
	SETTING_MILTER_LISTEN, /* unix:/path, inet:port@host, inet6:port@host */
	SETTING_HTTP_LISTEN,   /* address:port */
	SETTING_HOST,          /* a host's name in ASCII */
	SETTING_DURATION,
	SETTING_SIZE,
	SETTING_INTEGER,
	SETTING_DATE,          /* a JST day */
	SETTING_LIMIT,         /* an integer or none */
	SETTING_SIZE_LIMIT,    /* a size or none */
	SETTING_MODE,          /* octal */
	SETTING_BOOL,
	SETTING_WORD,          /* one of `words` */
	SETTING_NETWORK,
	SETTING_ADDRESS,       /* "user@domain", "@domain", "@*.domain" */
	SETTING_NETWORKS,      /* lists from here */
	SETTING_ADDRESSES,
	SETTING_DOMAINS,
	SETTING_USERS,         /* "user", "@group" */
	SETTING_SERVERS,       /* host:port, unix:/path */
	SETTING_IDENTIFY,
	SETTING_REQUIRE,
	SETTING_PERCENTS,
	SETTING_PERCENTAGE,    /* 5%, 0.1%: thousandths */
	SETTING_RATIO,         /* the same or none */
	SETTING_EXCLUDE,
	SETTING_CLASSES,       /* maps: class: how long to keep */
	SETTING_REPLIES,       /* tag: text */
	SETTING_HEADER,        /* a field's name */
	SETTING_PATTERN,       /* str_glob */
	SETTING_CONTENT,
	SETTING_SECTION,       /* a map with a table of its own; a single value is its first setting, if `is_short` */
	SETTING_RATE,          /* these are kept as nodes until all around them is known */
	SETTING_PERIOD,
	SETTING_RATES,
	SETTING_QUOTAS,
	SETTING_OVERRIDES,
	SETTING_MATCH,
	SETTING_TENANT,
	SETTING_TENANT_NAME,
	SETTING_TENANTS,       /* these from every file */
	SETTING_INCLUDE,
	SETTING_TYPE_COUNT
};

struct setting_word {
	const char *word;
	int value;
};

enum setting_table_id {
	TABLE_TOP, TABLE_MILTER, TABLE_STORE, TABLE_REDIS, TABLE_RELAY_LOG, TABLE_BACKUP, TABLE_TRACKING, TABLE_MAILLOG,
	TABLE_SUBMIT, TABLE_BOUNCES, TABLE_NOTIFY, TABLE_ALARM, TABLE_METRICS, TABLE_LOG,
	TABLE_TENANT, TABLE_SENDERS, TABLE_RECIPIENTS, TABLE_FROM, TABLE_RECIPIENTS_MAX, TABLE_SIZE_MAX, TABLE_TENANT_TRACKING, TABLE_SUPPRESS, TABLE_GUARD,
	TABLE_RETURN_PATH, TABLE_CONTENT,
	TABLE_QUOTA, TABLE_WARM_UP,
	TABLE_MATCH, TABLE_CERT,
	TABLE_COUNT
};

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset, size;           /* in the struct that the table fills */
	int64_t min, max;
	const struct setting_word *words;      /* ends with a NULL word */
	enum setting_table_id section;
	bool is_short;
	bool accepts_none;             /* the word none: empty, a duration 0 */
	const char *fallback;          /* the default as one would write it; NULL: none, or see `computed` */
	const char *computed;          /* the default in words, where it depends on something */
	const char *meaning;           /* one sentence */
};

struct setting_table {
	const struct setting *rows;
	size_t count;
};
#define CONFIG_ADDRESS_WORDS "an address pattern: user@domain, \"@domain\" or \"@*.domain\""
#define CONFIG_PERIOD_WORDS "a period: second, minute, hour, day, week, month or a duration from 1s to 31d"
bool config_is_address_pattern(struct str s);
#define SETTING_ROWS_MAX 32
extern const struct setting_table setting_tables[TABLE_COUNT];

/* A row for readers: path as in "milter.listen", "tenants.NAME.size_max.limit", "tenants.NAME.quotas[].limit". */
#define CONFIG_ROW_PATH_MAX 80
struct config_row {
	char path[CONFIG_ROW_PATH_MAX];
	const char *type;              /* "duration" */
	enum setting_table_id table;
	const struct setting *setting;
};
/* False after the last. Sections have a row of their own only where they can be given as a single value. */
bool config_schema_row(size_t at, struct config_row *out);
/* What can be written there, in words: "a duration such as 90s, 15m or 60d". */
const char *config_type_words(enum setting_type type);

/* A value of `min` or `max` as one would write it; returns `out`. */
#define CONFIG_BOUND_SIZE 32
const char *config_format_bound(enum setting_type type, int64_t value, char out[CONFIG_BOUND_SIZE]);

/* config_mdoc.c: the whole list as mdoc (.Bl -tag), for sekisho.yaml(5). */
void config_schema_mdoc(struct buf *out);

#endif
