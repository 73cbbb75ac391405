/* How the schema is put to a person: a setting's path, what can be written there, a bound as one would write it. */
#include <stdio.h>

#include "config/base/num.h"
#include "config/config_schema.h"

static const struct {
	const char *name, *words;
} type_texts[SETTING_TYPE_COUNT] = {
	[SETTING_TEXT] = { "text", "a text" },
	[SETTING_NAME] = { "name", "a name" },
	[SETTING_PATH] = { "path", "an absolute path" },
	[SETTING_MILTER_LISTEN] = { "listen", "unix:/path, inet:port@host or inet6:port@host" },
	[SETTING_HTTP_LISTEN] = { "address:port", "address:port, as in 127.0.0.1:9185" },
	[SETTING_HOST] = { "host name", "a host name such as track.acme.example" },
	[SETTING_DURATION] = { "duration", "a duration such as 250ms, 90s, 15m, 12h or 60d" },
	[SETTING_SIZE] = { "size", "a size such as 512KiB, 25MiB or 4GiB" },
	[SETTING_INTEGER] = { "number", "a whole number" },
	[SETTING_DATE] = { "date", "a date such as 2026-12-01" },
	[SETTING_LIMIT] = { "number or none", "a whole number or none" },
	[SETTING_SIZE_LIMIT] = { "size or none", "a size such as 25MiB, or none" },
	[SETTING_MODE] = { "octal mode", "an octal mode such as 0660" },
	[SETTING_BOOL] = { "true or false", "true or false" },
	[SETTING_WORD] = { "word", "a word" },
	[SETTING_NETWORK] = { "network", "an address or a network such as 192.0.2.0/24, without bits past its length" },
	[SETTING_ADDRESS] = { "address pattern", CONFIG_ADDRESS_WORDS },
	[SETTING_NETWORKS] = { "list of networks", "a list of networks" },
	[SETTING_ADDRESSES] = { "list of address patterns", "a list of address patterns" },
	[SETTING_DOMAINS] = { "list of domains", "a list of domains" },
	[SETTING_USERS] = { "list of users", "a list of users" },
	[SETTING_SERVERS] = { "list of addresses", "a list of addresses" },
	[SETTING_IDENTIFY] = { "list of words", "a list of words" },
	[SETTING_REQUIRE] = { "list of words", "a list of words" },
	[SETTING_PERCENTAGE] = { "percentage", "a percentage such as 50% or 12.5%" },
	[SETTING_RATIO] = { "percentage or none", "a percentage such as 5%, 0.3%, or none" },
	[SETTING_PERCENTS] = { "list of percentages", "a list of percentages" },
	[SETTING_EXCLUDE] = { "list", "a list" },
	[SETTING_CLASSES] = { "map of durations", "a map (class: how long to keep)" },
	[SETTING_REPLIES] = { "map of texts", "a map (tag: text)" },
	[SETTING_HEADER] = { "header name", "a header's name such as Subject, without its colon" },
	[SETTING_PATTERN] = { "pattern", "a pattern of at most 200 octets such as \"*invoice overdue*\" (\"*\" alone for any value)" },
	[SETTING_CONTENT] = { "list of rules", "a list of rules" },
	[SETTING_SECTION] = { "settings", "settings (key: value)" },
	[SETTING_RATE] = { "limit", "a limit such as 1000, none or 1000/hour" },
	[SETTING_PERIOD] = { "period", CONFIG_PERIOD_WORDS },
	[SETTING_RATES] = { "rate or list of rates", "a rate such as 10000/day" },
	[SETTING_QUOTAS] = { "list of quotas", "a list of quotas" },
	[SETTING_OVERRIDES] = { "map of limits", "a map (value: limit)" },
	[SETTING_MATCH] = { "list of rules", "a list of rules" },
	[SETTING_TENANT] = { "settings of a tenant", "settings of a tenant" },
	[SETTING_TENANT_NAME] = { "tenant's name", "a tenant's name" },
	[SETTING_TENANTS] = { "map", "a map (name: settings)" },
	[SETTING_INCLUDE] = { "path or list of paths", "a path pattern or a list of them" },
};

const char *config_type_words(enum setting_type type)
{
	return type_texts[type].words;
}

/* The largest unit that leaves a whole number. */
static void format_size(int64_t octets, char out[CONFIG_BOUND_SIZE])
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB" };
	size_t unit = 0;

	for (; unit < 3 && octets && octets % 1024 == 0; unit++)
		octets /= 1024;
	snprintf(out, CONFIG_BOUND_SIZE, "%lld%s", (long long)octets, units[unit]);
}

const char *config_format_bound(enum setting_type type, int64_t value, char out[CONFIG_BOUND_SIZE])
{
	if (type == SETTING_DURATION && value != 0)
		num_format_duration(value, out);
	else if (type == SETTING_SIZE || type == SETTING_SIZE_LIMIT)
		format_size(value, out);
	else if ((type == SETTING_RATIO || type == SETTING_PERCENTAGE) && value % 10)
		snprintf(out, CONFIG_BOUND_SIZE, "%lld.%lld%%", (long long)value / 10, (long long)value % 10);
	else if (type == SETTING_RATIO || type == SETTING_PERCENTAGE)
		snprintf(out, CONFIG_BOUND_SIZE, "%lld%%", (long long)value / 10);
	else
		snprintf(out, CONFIG_BOUND_SIZE, "%lld", (long long)value);
	return out;
}

static const struct {
	enum setting_table_id table;
	const char *prefix;
} row_order[] = {
	{ TABLE_TOP, "" },
	{ TABLE_MILTER, "milter." },
	{ TABLE_STORE, "store." },
	{ TABLE_REDIS, "store.redis." },
	{ TABLE_RELAY_LOG, "relay_log." },
	{ TABLE_BACKUP, "backup." },
	{ TABLE_TRACKING, "tracking." },
	{ TABLE_MAILLOG, "maillog." },
	{ TABLE_BOUNCES, "bounces." },
	{ TABLE_SUBMIT, "submit." },
	{ TABLE_NOTIFY, "notify." },
	{ TABLE_ALARM, "alarm." },
	{ TABLE_METRICS, "metrics." },
	{ TABLE_LOG, "log." },
	{ TABLE_TENANT, "tenants.NAME." },
	{ TABLE_MATCH, "tenants.NAME.match[]." },
	{ TABLE_CERT, "tenants.NAME.match[].cert." },
	{ TABLE_SENDERS, "tenants.NAME.senders." },
	{ TABLE_RECIPIENTS, "tenants.NAME.recipients." },
	{ TABLE_FROM, "tenants.NAME.from." },
	{ TABLE_RECIPIENTS_MAX, "tenants.NAME.recipients_max." },
	{ TABLE_SIZE_MAX, "tenants.NAME.size_max." },
	{ TABLE_CONTENT, "tenants.NAME.content[]." },
	{ TABLE_TENANT_TRACKING, "tenants.NAME.tracking." },
	{ TABLE_RETURN_PATH, "tenants.NAME.return_path." },
	{ TABLE_SUPPRESS, "tenants.NAME.suppress." },
	{ TABLE_GUARD, "tenants.NAME.guard." },
	{ TABLE_QUOTA, "tenants.NAME.quotas[]." },
	{ TABLE_WARM_UP, "tenants.NAME.quotas[].warm_up." },
};
_Static_assert(sizeof row_order / sizeof *row_order == TABLE_COUNT, "every table has its place in the manual");

bool config_schema_row(size_t at, struct config_row *out)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct setting_table *table = &setting_tables[row_order[i].table];

		for (size_t j = 0; j < table->count; j++) {
			const struct setting *row = &table->rows[j];

			if (row->type == SETTING_SECTION && !row->is_short)
				continue;
			if (at-- > 0)
				continue;
			*out = (struct config_row){ .setting = row, .table = row_order[i].table };
			out->type = type_texts[row->type].name;
			snprintf(out->path, sizeof out->path, "%s%s", row_order[i].prefix, row->name);
			return true;
		}
	}
	return false;
}
