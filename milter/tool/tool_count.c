/* sekisho bounce count: how many recipients a tenant could not reach, by reason, domain or day. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/tool/commands.h"
#include "policy/tally.h"

#define DAYS_DEFAULT 7
#define LINES_DEFAULT 20
#define BAR_COLUMNS 28
#define LINES_MAX (1 << 20)             /* counters that are looked at */

struct values {
	int64_t days, limit;
	struct str by;
};

/* One line: a reason, a domain, a day. */
struct line {
	struct str name;
	int64_t hard, soft;
};

struct counting {
	struct tool *tool;
	bool is_by_day, is_by_domain;
	struct line *lines;
	size_t count, room;
	int64_t delivered, failed, hard, complaints;
	bool is_full;
};

static int64_t line_total(const struct line *line)
{
	return line->hard + line->soft;
}

static bool add_line(struct counting *c, struct str name, const struct tally_count *row)
{
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct line *lines = room <= LINES_MAX ? arena_array(&c->tool->arena, room, sizeof *lines) : NULL;

		if (!lines) {
			c->is_full = true;
			return false;
		}
		if (c->count)
			memcpy(lines, c->lines, c->count * sizeof *lines);
		c->lines = lines;
		c->room = room;
	}
	c->lines[c->count++] = (struct line){ .name = tool_text(c->tool, STR_FMT, STR_ARG(name)),
					      .hard = row->is_hard ? row->count : 0, .soft = row->is_hard ? 0 : row->count };
	return true;
}

static void sum(struct counting *c, const struct tally_count *row)
{
	if (str_eq(row->reason, STR("delivered"))) {
		c->delivered += row->count;
	} else if (str_eq(row->reason, STR("feedback"))) {
		c->complaints += row->count;
	} else {
		c->failed += row->count;
		c->hard += row->is_hard ? row->count : 0;
	}
}

static bool add_reason(void *arg, const struct tally_count *row)
{
	struct counting *c = arg;
	char date[JST_DATE_LEN + 1];

	sum(c, row);
	if (c->is_by_domain || str_eq(row->reason, STR("delivered")))
		return true;
	jst_format_date(row->day, date);
	return add_line(c, c->is_by_day ? str_from_c(date) : row->reason, row);
}

static bool add_domain(void *arg, const struct tally_count *row)
{
	return add_line(arg, row->domain.len ? row->domain : STR("(no domain)"), row);
}

/* Most first; days in their order. */
static int most_first(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int64_t m = line_total(x), n = line_total(y);

	return m != n ? (m < n) - (m > n) : str_cmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct line *)a)->name, ((const struct line *)b)->name);
}

/* Lines of one name become one. */
static void join_lines(struct counting *c)
{
	size_t kept = 0;

	if (c->count == 0)
		return;
	qsort(c->lines, c->count, sizeof *c->lines, by_name);
	for (size_t i = 1; i < c->count; i++)
		if (str_eq(c->lines[i].name, c->lines[kept].name)) {
			c->lines[kept].hard += c->lines[i].hard;
			c->lines[kept].soft += c->lines[i].soft;
		} else {
			c->lines[++kept] = c->lines[i];
		}
	c->count = kept + 1;
	if (!c->is_by_day)
		qsort(c->lines, c->count, sizeof *c->lines, most_first);
}

static bool read_all(struct counting *c, const struct tenant *tenant, const struct values *v, struct err *err)
{
	struct store *st = c->tool->store;
	const struct record_class *class = config_find_class(tool_config(c->tool), config_bounce_class(tenant));
	int64_t days = v->days ? v->days : DAYS_DEFAULT, last = jst_day(clock_now_us()), first;

	/* Older ones are gone (tally_end_us). */
	if (class && days > retention_days_most(class->keep) + 1)
		days = retention_days_most(class->keep) + 1;
	first = last - days + 1;

	c->is_by_day = str_eq(v->by, STR("day"));
	c->is_by_domain = str_eq(v->by, STR("domain"));
	if (!tally_each_reason(st, tenant->name, first, last, add_reason, c, err) ||
	    (c->is_by_domain && !tally_each_domain(st, tenant->name, first, last, add_domain, c, err)))
		return false;
	join_lines(c);
	return true;
}

/* --- showing */

/* "4.3 %" of what is known to have come to an end. */
static struct str percent(struct tool *tool, int64_t n, int64_t of)
{
	return of > 0 ? tool_text(tool, " (%.1f %%)", 100.0 * (double)n / (double)of) : STR_EMPTY;
}

static void write_totals(struct counting *c, const struct tenant *tenant, int64_t days)
{
	struct tool *tool = c->tool;
	int64_t all = c->delivered + c->failed;

	tool_field(tool, "Tenant", STR_FMT ", %lld day%s", STR_ARG(tenant->name), (long long)days, days == 1 ? "" : "s");
	tool_field(tool, "Delivered", STR_FMT, STR_ARG(tool_number(tool, c->delivered)));
	tool_field(tool, "Failed", STR_FMT STR_FMT ", " STR_FMT " of them hard" STR_FMT, STR_ARG(tool_number(tool, c->failed)),
		   STR_ARG(percent(tool, c->failed, all)), STR_ARG(tool_number(tool, c->hard)), STR_ARG(percent(tool, c->hard, all)));
	tool_field(tool, "Complaints", STR_FMT STR_FMT, STR_ARG(tool_number(tool, c->complaints)),
		   STR_ARG(percent(tool, c->complaints, all)));
	tool_print(tool, "\n");
}

static struct str bar(struct tool *tool, int64_t n, int64_t most)
{
	static const char full[BAR_COLUMNS + 1] = "############################";
	int columns = most > 0 ? (int)(((double)n * BAR_COLUMNS + (double)most - 1) / (double)most) : 0;

	return tool_text(tool, "%.*s", columns < BAR_COLUMNS ? columns : BAR_COLUMNS, full);
}

static void write_person(struct counting *c, const struct tenant *tenant, const struct values *v)
{
	struct tool *tool = c->tool;
	const struct column columns[] = {
		{ c->is_by_day ? "DAY (JST)" : c->is_by_domain ? "DOMAIN" : "REASON", COLUMN_FOLD },
		{ "HARD", COLUMN_RIGHT }, { "SOFT", COLUMN_RIGHT }, { "ALL", COLUMN_RIGHT }, { "", COLUMN_LEFT },
	};
	size_t limit = v->limit ? (size_t)v->limit : c->is_by_day ? SIZE_MAX : LINES_DEFAULT;
	struct table table;
	int64_t most = 0;

	write_totals(c, tenant, v->days ? v->days : DAYS_DEFAULT);
	if (c->count == 0)
		return;
	for (size_t i = 0; i < c->count; i++)
		most = line_total(&c->lines[i]) > most ? line_total(&c->lines[i]) : most;
	table_init(&table, &tool->arena, columns, isatty(STDOUT_FILENO) ? 5 : 4);
	for (size_t i = 0; i < c->count && i < limit; i++)
		table_add(&table, (struct str[]){ c->lines[i].name, tool_number(tool, c->lines[i].hard),
						  tool_number(tool, c->lines[i].soft),
						  tool_number(tool, line_total(&c->lines[i])),
						  bar(tool, line_total(&c->lines[i]), most) });
	tool_table(tool, &table);
	if (c->count > limit)
		tool_print(tool, "... and %zu more (--limit)\n", c->count - limit);
}

static void write_json(struct counting *c, const struct tenant *tenant, const struct values *v)
{
	const char *by = c->is_by_day ? "day" : c->is_by_domain ? "domain" : "reason";
	struct json *json = &c->tool->json;

	json_object_open(json);
	json_member_str(json, "tenant", tenant->name);
	json_member_i64(json, "days", v->days ? v->days : DAYS_DEFAULT);
	json_member_i64(json, "delivered", c->delivered);
	json_member_i64(json, "failed", c->failed);
	json_member_i64(json, "hard", c->hard);
	json_member_i64(json, "complaints", c->complaints);
	json_key(json, "counts");
	json_array_open(json);
	for (size_t i = 0; i < c->count; i++) {
		json_object_open(json);
		json_member_str(json, by, c->lines[i].name);
		json_member_i64(json, "hard", c->lines[i].hard);
		json_member_i64(json, "soft", c->lines[i].soft);
		json_object_close(json);
	}
	json_array_close(json);
	json_object_close(json);
	buf_add_byte(&c->tool->out, '\n');
}

static int run(struct tool *tool, const void *values)
{
	const struct values *v = values;
	struct counting c = { .tool = tool };
	const struct tenant *tenant;
	struct err err;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	tenant = tool_tenant(tool, tool->operands.items[0]);
	if (!tenant)
		return TOOL_NO;
	if (!tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	if (!read_all(&c, tenant, v, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (c.is_full)
		return tool_fail(tool, TOOL_UNKNOWN, "more than %d counters; ask for fewer days", LINES_MAX);
	if (tool->is_json)
		write_json(&c, tenant, v);
	else
		write_person(&c, tenant, v);
	return TOOL_OK;
}

static const struct option options[] = {
	{ "--days", OPTION_COUNT, offsetof(struct values, days), "N", NULL, "JST days up to today (default 7)" },
	{ "--by", OPTION_WORD, offsetof(struct values, by), "WHAT", "reason|domain|day", "reason (default), domain or day" },
	{ "--limit", OPTION_COUNT, offsetof(struct values, limit), "N", NULL, "lines at most, the most first (default 20)" },
	{ NULL },
};

const struct tool_command command_bounce_count = {
	.name = "bounce count",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "how many recipients could not be reached",
	.about = "Counts the recipients that a tenant's mail did not reach, hard (no such mailbox or domain) and soft, and its "
		 "complaints. One failure of one recipient of one message counts once, whether the MTA's log, a report or both "
		 "tell of it. Counters end with the tenant's class of records.",
	.options = options,
	.values_size = sizeof(struct values),
	.has_json = true,
	.examples = "sekisho bounce count acme\nsekisho bounce count acme --days 30 --by domain",
	.ok = "shown",
	.no = "there is no such tenant",
	.unknown = "configuration or store cannot be read",
	.run = run,
};
