/* sekisho track: opens and clicks of a tenant or a message; forgetting a recipient; links taken out of use. */
#include <stdio.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "milter/track/deny.h"
#include "milter/track/hit.h"
#include "policy/key.h"

/* --- stats */

#define DAYS_DEFAULT 14

struct stats {
	struct str message;
	int64_t days;
};
#define STATS(field) offsetof(struct stats, field)

static const struct option stats_options[] = {
	{ "--message", OPTION_TEXT, STATS(message), "ID", NULL,
	  "one message, link by link; ID as `log search' and `link decode' show it" },
	{ "--days", OPTION_COUNT, STATS(days), "N", NULL, "JST days, today the last (default 14)" },
	{ NULL },
};

/* As they stand in the keys and, with underscores, in JSON. */
static const struct {
	const char *name, *json, *title;
} figures[] = {
	{ "opens", "opens", "OPENS" },
	{ "opens.unique", "opens_unique", "UNIQUE" },
	{ "opens.flagged", "opens_flagged", "FLAGGED" },
	{ "clicks", "clicks", "CLICKS" },
	{ "clicks.unique", "clicks_unique", "UNIQUE" },
	{ "clicks.flagged", "clicks_flagged", "FLAGGED" },
	{ "unsubscribes", "unsubscribes", "UNSUBSCRIBED" },
};
#define FIGURES (sizeof figures / sizeof *figures)

/* A counter; absent is 0. */
static bool read_count(struct tool *tool, struct str key, int64_t *out, struct err *err)
{
	struct str value;
	bool found;

	*out = 0;
	if (!tool->store->ops->get(tool->store, key, &tool->arena, &value, &found, err))
		return false;
	return !found || num_parse_i64(value, out) || err_set(err, ERR_BUSY, STR_FMT " is no counter", STR_ARG(key));
}

/* Of a day or of a message: `where` is "day:2026-11-21" or "message:spring". */
static bool read_figures(struct tool *tool, struct str tenant, struct str where, int64_t out[FIGURES], struct err *err)
{
	for (size_t i = 0; i < FIGURES; i++)
		if (!read_count(tool,
				tool_text(tool, "sekisho:{" STR_FMT "}:hits:" STR_FMT ":%s", STR_ARG(tenant),
					  STR_ARG(where), figures[i].name),
				&out[i], err))
			return false;
	return true;
}

static void write_figures_json(struct tool *tool, const int64_t values[FIGURES])
{
	for (size_t i = 0; i < FIGURES; i++)
		json_member_i64(&tool->json, figures[i].json, values[i]);
}

static bool write_day(struct tool *tool, struct table *table, const char *name, const int64_t values[FIGURES])
{
	struct str cells[1 + FIGURES] = { tool_text(tool, "%s", name) };

	for (size_t i = 0; i < FIGURES; i++)
		cells[1 + i] = tool_number(tool, values[i]);
	return table_add(table, cells);
}

static int stats_of_tenant(struct tool *tool, struct str tenant, int64_t days)
{
	static const struct column columns[] = {
		{ "DAY", COLUMN_LEFT },	     { "OPENS", COLUMN_RIGHT },	       { "UNIQUE", COLUMN_RIGHT },
		{ "FLAGGED", COLUMN_RIGHT }, { "CLICKS", COLUMN_RIGHT },       { "UNIQUE", COLUMN_RIGHT },
		{ "FLAGGED", COLUMN_RIGHT }, { "UNSUBSCRIBED", COLUMN_RIGHT },
	};
	int64_t today = jst_day(clock_now_us()), sums[FIGURES] = { 0 }, values[FIGURES];
	char date[JST_DATE_LEN + 1];
	struct table table;
	struct err err;

	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	json_object_open(&tool->json);
	json_member_str(&tool->json, "tenant", tenant);
	json_key(&tool->json, "days");
	json_array_open(&tool->json);
	for (int64_t day = today - days + 1; day <= today; day++) {
		jst_format_date(day, date);
		if (!read_figures(tool, tenant, tool_text(tool, "day:%s", date), values, &err))
			return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
		json_object_open(&tool->json);
		json_member_str(&tool->json, "day", str_from_c(date));
		write_figures_json(tool, values);
		json_object_close(&tool->json);
		for (size_t i = 0; i < FIGURES; i++)
			sums[i] += values[i];
		if (!write_day(tool, &table, date, values))
			return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	}
	json_array_close(&tool->json);
	write_figures_json(tool, sums);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
	if (!tool->is_json) {
		buf_reset(&tool->out);          /* what was written for programs */
		write_day(tool, &table, "in all", sums);
		tool_table(tool, &table);
	}
	return TOOL_OK;
}

struct link {
	bool is_known;
	int64_t clicks, flagged;
	struct str url;
};

#define LINKS (UINT16_MAX + 1)         /* by the number that a token has */

struct links {
	struct tool *tool;
	struct link *items;
	size_t count;
	struct str prefix;
	bool is_cut;                   /* no memory for the rest */
};

/* "link:3", "link:3.flagged", "url:3" */
static bool collect_link(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct links *links = arg;
	struct str rest = str_from(key, links->prefix.len), kind, number, suffix = STR_EMPTY;
	struct link *link;
	uint64_t n;

	(void)expires_us;
	if (!str_cut(rest, ':', &kind, &number))
		return true;
	str_cut(number, '.', &number, &suffix);
	if (!num_parse_u64(number, &n) || n >= LINKS)
		return true;
	link = &links->items[n];
	links->count += !link->is_known;
	link->is_known = true;
	if (!str_eq(kind, STR("url"))) {
		num_parse_i64(value, suffix.len ? &link->flagged : &link->clicks);
		return true;
	}
	links->is_cut = !arena_copy(&links->tool->arena, value, &link->url);
	return !links->is_cut;
}

static bool read_links(struct tool *tool, struct str tenant, struct str where, struct links *out, struct err *err)
{
	*out = (struct links){ .tool = tool, .items = arena_array(&tool->arena, LINKS, sizeof *out->items) };
	out->prefix = tool_text(tool, "sekisho:{" STR_FMT "}:hits:" STR_FMT ":", STR_ARG(tenant), STR_ARG(where));
	if (!out->items)
		return err_memory(err);
	return tool->store->ops->scan(tool->store, out->prefix, collect_link, out, err) && (!out->is_cut || err_memory(err));
}

static void write_message_json(struct tool *tool, struct str tenant, struct str message, const int64_t values[FIGURES],
			       const struct links *links)
{
	json_object_open(&tool->json);
	json_member_str(&tool->json, "tenant", tenant);
	json_member_str(&tool->json, "message", message);
	write_figures_json(tool, values);
	json_key(&tool->json, "links");
	json_array_open(&tool->json);
	for (size_t i = 0; i < LINKS; i++) {
		if (!links->items[i].is_known)
			continue;
		json_object_open(&tool->json);
		json_member_i64(&tool->json, "link", (int64_t)i);
		json_member_i64(&tool->json, "clicks", links->items[i].clicks);
		json_member_i64(&tool->json, "flagged", links->items[i].flagged);
		json_member_str_opt(&tool->json, "url", links->items[i].url);
		json_object_close(&tool->json);
	}
	json_array_close(&tool->json);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static void write_message(struct tool *tool, const int64_t values[FIGURES], const struct links *links)
{
	static const struct column columns[] = {
		{ "LINK", COLUMN_RIGHT },    { "CLICKS", COLUMN_RIGHT },
		{ "FLAGGED", COLUMN_RIGHT }, { "DESTINATION", COLUMN_FOLD },
	};
	struct table table;

	tool_field(tool, "Opens", "%lld (readers: %lld, flagged: %lld)", (long long)values[0], (long long)values[1],
		   (long long)values[2]);
	tool_field(tool, "Clicks", "%lld (readers: %lld, flagged: %lld)", (long long)values[3], (long long)values[4],
		   (long long)values[5]);
	tool_field(tool, "Unsubscribed", "%lld", (long long)values[6]);
	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < LINKS; i++) {
		const struct link *link = &links->items[i];

		if (link->is_known)
			table_add(&table, (const struct str[]){ tool_number(tool, (int64_t)i), tool_number(tool, link->clicks),
								tool_number(tool, link->flagged), link->url });
	}
	if (links->count) {
		tool_print(tool, "\n");
		tool_table(tool, &table);
	}
}

static int stats_of_message(struct tool *tool, struct str tenant, struct str message)
{
	int64_t values[FIGURES];
	struct links links;
	struct str part, where;
	struct err err;

	if (!key_part(message, false, &tool->arena, &part))
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	where = tool_text(tool, "message:" STR_FMT, STR_ARG(part));
	if (!read_figures(tool, tenant, where, values, &err) || !read_links(tool, tenant, where, &links, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (values[0] + values[3] + values[6] == 0)
		return tool_fail(tool, TOOL_NO, "nothing is counted for message " STR_FMT " of " STR_FMT,
				 STR_ARG(message), STR_ARG(tenant));
	if (tool->is_json)
		write_message_json(tool, tenant, message, values, &links);
	else
		write_message(tool, values, &links);
	return TOOL_OK;
}

#define DAYS_MAX 400

static int run_stats(struct tool *tool, const void *values)
{
	const struct stats *stats = values;
	const struct tenant *tenant;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	tenant = tool_tenant(tool, tool->operands.items[0]);
	if (!tenant)
		return TOOL_NO;
	if (stats->days > DAYS_MAX)
		return tool_usage(tool, "--days goes up to %d", DAYS_MAX);
	if (stats->days && stats->message.ptr)
		return tool_usage(tool, "--message is counted as a whole, from its first open on; --days is about the tenant");
	if (!tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	return stats->message.ptr ? stats_of_message(tool, tenant->name, stats->message) :
				    stats_of_tenant(tool, tenant->name, stats->days ? stats->days : DAYS_DEFAULT);
}

const struct tool_command command_track_stats = {
	.name = "track stats",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "opens, clicks and unsubscriptions",
	.about = "Shows what sekisho-track has counted: for each day, or for one message and each of its links. "
		 "Flagged is what no person is likely to have done, and is part of the first figure; unique counts "
		 "each reader of a message once, where the message went to one recipient, and leaves out what is "
		 "flagged.",
	.options = stats_options,
	.values_size = sizeof(struct stats),
	.has_json = true,
	.examples = "sekisho track stats acme\nsekisho track stats acme --message spring-2026 --json",
	.ok = "shown",
	.no = "there is no such tenant, or nothing is counted for that message",
	.unknown = "configuration or store cannot be read",
	.run = run_stats,
};

/* --- forget */

struct forget {
	struct str reason;
};

static const struct option forget_options[] = {
	{ "--reason", OPTION_PROSE, offsetof(struct forget, reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

static int run_forget(struct tool *tool, const void *values)
{
	const struct forget *forget = values;
	const struct tenant *tenant;
	struct str address, reader;
	size_t removed;
	struct err err;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	tenant = tool_tenant(tool, tool->operands.items[0]);
	if (!tenant)
		return TOOL_NO;
	if (!tool_recipient(tool, tool->operands.items[1], &address))
		return TOOL_NO;
	if (!tool_ops(tool) || !tool_store(tool, TOOL_CHANGE))
		return TOOL_UNKNOWN;

	const struct tool_trace trace = { .event = STR("reader_forgotten"),
					  .command = STR("track forget"),
					  .tenant = tenant->name,
					  .reason = forget->reason,
					  .count = -1 };

	if (!tool_record(tool, &trace))
		return TOOL_UNKNOWN;
	if (!hit_reader(tenant->name, address, &tool->arena, &reader))
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	if (!hit_forget(tool->store, tenant->name, reader, &removed, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	tool_print(tool, "Reader " STR_FMT " is forgotten: %zu counts are gone, and nothing more will be counted\n",
		   STR_ARG(reader), removed);
	return TOOL_OK;
}

const struct tool_command command_track_forget = {
	.name = "track forget",
	.operands = "TENANT RECIPIENT",
	.operands_min = 2,
	.operands_max = 2,
	.summary = "stop following one recipient",
	.about = "Removes what is counted for one recipient alone, and counts and records no open or click of theirs "
		 "any more, also for mail that was sent long ago. Links go on working, and so does unsubscribing. "
		 "Records that were written already keep the reader's digits until their class is over.",
	.options = forget_options,
	.values_size = sizeof(struct forget),
	.examples = "sekisho track forget acme reader@example.net --reason 'asked by phone'",
	.ok = "forgotten",
	.no = "there is no such tenant, or that is no address",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_forget,
};

/* --- deny, allow */

struct deny {
	struct str message, host, reason;
};
#define DENY(field) offsetof(struct deny, field)

static const struct option deny_options[] = {
	{ "--message", OPTION_TEXT, DENY(message), "ID", NULL, "links of this message alone" },
	{ "--host", OPTION_TEXT, DENY(host), "HOST", NULL, "links that lead to this host alone, as a name or as a link to it" },
	{ "--reason", OPTION_PROSE, DENY(reason), "TEXT", NULL, "why, for the record in class ops" },
	{ NULL },
};

static const char *entry_words(struct tool *tool, const struct deny_entry *entry)
{
	if (entry->kind == DENY_TENANT)
		return "all links";
	return tool_text(tool, entry->kind == DENY_MESSAGE ? "links of message " STR_FMT : "links to " STR_FMT,
			 STR_ARG(entry->name))
		.ptr;
}

static int change_list(struct tool *tool, const struct deny *deny, bool is_denied)
{
	struct deny_entry entry = {
		.kind = deny->message.ptr ? DENY_MESSAGE : deny->host.ptr ? DENY_HOST : DENY_TENANT,
		.name = deny->message.ptr ? deny->message : STR_EMPTY,
	};
	struct str name = tool->operands.items[0];
	struct err err;
	bool was;

	if (deny->message.ptr && deny->host.ptr)
		return tool_usage(tool, "--message and --host exclude each other");
	if (deny->host.ptr && !deny_host_key(&tool->arena, deny->host, &entry.name))
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	if (!deny_check(&entry, &err))
		return tool_fail(tool, TOOL_NO, "%s", err.text);
	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (!tool_tenant(tool, name))
		return TOOL_NO;
	if (!tool_ops(tool) || !tool_store(tool, TOOL_CHANGE))
		return TOOL_UNKNOWN;

	const struct tool_trace trace = { .event = is_denied ? STR("links_denied") : STR("links_allowed"),
					  .command = is_denied ? STR("track deny") : STR("track allow"), .tenant = name,
					  .reason = deny->reason, .count = -1 };

	if (!tool_record(tool, &trace))
		return TOOL_UNKNOWN;
	if (!(is_denied ? deny_add : deny_remove)(tool->store, name, &entry, &was, &err))
		return tool_fail(tool, err.kind == ERR_INPUT ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	if (!is_denied && !was)
		return tool_fail(tool, TOOL_NO, "%s: not denied", entry_words(tool, &entry));
	tool_print(tool, STR_FMT ": %s %s\n", STR_ARG(name), entry_words(tool, &entry),
		   is_denied ? "lead nowhere now" : "work again");
	return TOOL_OK;
}

static int run_deny(struct tool *tool, const void *values)
{
	return change_list(tool, values, true);
}

static int run_allow(struct tool *tool, const void *values)
{
	return change_list(tool, values, false);
}

const struct tool_command command_track_deny = {
	.name = "track deny",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "take tracked links out of use",
	.about = "Lets a tenant's tracked links lead nowhere any more: all of them, those of one message, or those to "
		 "one host. Who follows one, from a second later on, hears 410 and is not counted. Unsubscribing goes "
		 "on working.",
	.options = deny_options,
	.values_size = sizeof(struct deny),
	.examples = "sekisho track deny acme --host phish.example --reason 'abuse report 17'\n"
		    "sekisho track deny acme --message spring-2026",
	.ok = "done, or it was so already",
	.no = "there is no such tenant, the name cannot be one, or the list is full",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_deny,
};

const struct tool_command command_track_allow = {
	.name = "track allow",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "undo what track deny did",
	.about = "Takes one entry off the list of links that lead nowhere; the options name it as they did for track "
		 "deny.",
	.options = deny_options,
	.values_size = sizeof(struct deny),
	.examples = "sekisho track allow acme --host phish.example",
	.ok = "done",
	.no = "there is no such tenant, or no such entry",
	.unknown = "configuration, store or record cannot be read or written",
	.run = run_allow,
};
