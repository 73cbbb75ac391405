#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/domain.h"
#include "config/base/num.h"
#include "config/config_read.h"

#define QUOTA_LIMIT_MAX INT64_C(1000000000000000)
#define PERIOD_MAX_US (31 * DAY_US)

struct period {
	enum calendar_unit calendar;   /* what the word means on a calendar; CALENDAR_NONE: nothing */
	int64_t us;                    /* 0: a month, whose length varies */
};

static const struct {
	struct str word;
	struct period period;
} periods[] = {
	{ STR_INIT("second"), { CALENDAR_NONE, US_PER_S } },
	{ STR_INIT("minute"), { CALENDAR_NONE, 60 * US_PER_S } },
	{ STR_INIT("hour"), { CALENDAR_NONE, HOUR_US } },
	{ STR_INIT("day"), { CALENDAR_DAY, DAY_US } },
	{ STR_INIT("week"), { CALENDAR_WEEK, 7 * DAY_US } },
	{ STR_INIT("month"), { CALENDAR_MONTH, 0 } },
};
#define PERIOD_COUNT (sizeof periods / sizeof *periods)

/* One quota being put together. */
struct making {
	struct reader *r;
	const struct scope *scope;
	struct quota_draft draft;
};

static bool parse_period(struct str s, struct period *out)
{
	for (size_t i = 0; i < PERIOD_COUNT; i++)
		if (str_eq(periods[i].word, s)) {
			*out = periods[i].period;
			return true;
		}
	*out = (struct period){ CALENDAR_NONE, 0 };
	return num_parse_duration(s, &out->us) && out->us >= US_PER_S && out->us <= PERIOD_MAX_US;
}

static bool refuse_period(const struct making *m, const char *name, const struct node *node, struct str found)
{
	struct config_nearest nearest = { .name = found };
	char where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];

	for (size_t i = 0; i < PERIOD_COUNT; i++)
		config_nearest_offer(&nearest, periods[i].word.ptr);
	return config_refuse(m->r, node_place(node), "%s%s: expected " CONFIG_PERIOD_WORDS ", found %s%s", name,
			     scope_text(m->scope, where), config_quote(found, quoted),
			     config_nearest_hint(&nearest, hint));
}

/* "none", a whole number, or octets where bytes are counted; 0 means nothing at all. */
static bool parse_amount(struct str s, enum quota_counts counts, int64_t *out)
{
	int64_t value;

	if (str_eq(s, STR("none"))) {
		*out = LIMIT_NONE;
		return true;
	}
	if (counts == COUNTS_BYTES ? !num_parse_bytes(s, &value) : !num_parse_i64(s, &value))
		return false;
	if (value < 0 || value > QUOTA_LIMIT_MAX)
		return false;
	*out = value;
	return true;
}

static const char *amount_words(enum quota_counts counts, struct str found)
{
	bool has_unit = found.len && !ascii_is_digit(found.ptr[found.len - 1]);
	int64_t octets;

	if (counts == COUNTS_BYTES)
		return "a size such as 10GiB, or none, with or without a period as in 10GiB/day";
	if (has_unit && num_parse_bytes(found, &octets))
		return "a whole number as in 1000/hour, or counts: bytes for a size";
	return "a whole number up to 10^15 (digits alone), or none, with or without a period as in 1000/hour";
}

/* "1000" or "1000/hour". */
static bool read_limit(struct making *m, const char *name, const struct node *node, struct period *out_period,
		       bool *out_has_period)
{
	struct quota *quota = &m->draft.quota;
	struct str amount = node->text, period;

	*out_has_period = str_cut(node->text, '/', &amount, &period);
	if (node->kind != NODE_TEXT || !parse_amount(amount, quota->counts, &quota->limit))
		return config_expected(m->r, m->scope, name, node, amount_words(quota->counts, amount));
	return !*out_has_period || parse_period(period, out_period) || refuse_period(m, name, node, period);
}

static bool refuse_window(struct making *m, const struct node *at, const char *why)
{
	char where[SCOPE_TEXT_MAX];

	return config_refuse(m->r, node_place(at), "window%s: %s", scope_text(m->scope, where), why);
}

static bool set_window(struct making *m, const struct node *at, const struct period *period)
{
	struct quota *quota = &m->draft.quota;

	quota->window = m->draft.window >= 0 ? (enum quota_window)m->draft.window :
			period->calendar != CALENDAR_NONE ? WINDOW_CALENDAR : WINDOW_ROLLING;
	quota->calendar = quota->window == WINDOW_CALENDAR ? period->calendar : CALENDAR_NONE;
	quota->period_us = quota->window == WINDOW_CALENDAR ? 0 : period->us;
	if (quota->window == WINDOW_CALENDAR && quota->calendar == CALENDAR_NONE)
		return refuse_window(m, at, "a calendar window goes with per: day, week or month");
	if (quota->window != WINDOW_CALENDAR && quota->period_us == 0)
		return refuse_window(m, at, "a month has no fixed length; write per: 30d, or window: calendar");
	return true;
}

static bool set_limit(struct making *m, const struct node *node)
{
	const struct node *limit = m->draft.limit, *per = m->draft.per;
	struct period period, also;
	char where[SCOPE_TEXT_MAX];
	bool has_period;

	if (!limit)
		return config_refuse(m->r, node_place(node), "limit is missing%s", scope_text(m->scope, where));
	if (!read_limit(m, "limit", limit, &period, &has_period))
		return false;
	if (!per && !has_period)
		return config_refuse(m->r, node_place(limit),
				     "limit%s has no period; write limit: 1000/hour, or per: hour",
				     scope_text(m->scope, where));
	if (per && !parse_period(per->text, &also))
		return refuse_period(m, "per", per, per->text);
	if (per && has_period && (period.us != also.us || period.calendar != also.calendar))
		return config_refuse(m->r, node_place(per), "per%s says another period than limit does",
				     scope_text(m->scope, where));
	return set_window(m, per ? per : limit, per ? &also : &period);
}

static bool refuse_override_key(struct making *m, const struct node *item, const char *what)
{
	char where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE];

	return config_refuse(m->r, node_key_place(item), "overrides%s: expected %s for keys, found %s", scope_text(m->scope, where),
			     what, config_quote(item->key, quoted));
}

/* A value of the key in the form in which it will be asked for. */
static bool read_override_key(struct making *m, const struct node *item, struct str *out)
{
	struct str key = item->key, local, domain;
	bool (*copy)(struct arena *, struct str, struct str *) = arena_copy_lower;
	char text[INET6_ADDRSTRLEN], where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE];
	struct net_addr addr;

	switch (m->draft.quota.key) {
	case KEY_SENDER:
		if (!config_is_address_pattern(key) || (str_cut_last(key, '@', &local, &domain) && local.len == 0))
			return refuse_override_key(m, item, "addresses such as user@domain");
		copy = domain_key;
		break;
	case KEY_RECIPIENT_DOMAIN:
		if (!config_is_domain(key))
			return refuse_override_key(m, item, "domains such as example.com");
		copy = domain_key;
		break;
	case KEY_CLIENT:
		if (!net_parse_addr(key, &addr))
			return refuse_override_key(m, item, "client addresses");
		net_format_addr(&addr, text);
		key = str_from_c(text);
		break;
	case KEY_AUTH:
		if (str_find_byte(key, '*') < key.len || str_find_byte(key, '?') < key.len)
			config_report_warning(m->r->report, node_key_place(item),
					      "overrides%s: no pattern is read here, %s is the login of just this name",
					      scope_text(m->scope, where), config_quote(key, quoted));
		break;
	default:
		break;
	}
	return copy(m->r->arena, key, out) || config_no_memory(m->r);
}

/* One that is being read, and where it stands. */
struct placed {
	struct quota_override row;
	const struct node *node;
};

static int placed_order(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	int order = str_cmp(x->row.key, y->row.key);

	return order ? order : (x->node->key_line > y->node->key_line) - (x->node->key_line < y->node->key_line);
}

static bool read_override(struct making *m, const struct node *item, struct placed *out)
{
	enum quota_counts counts = m->draft.quota.counts;

	out->node = item;
	if (item->kind != NODE_TEXT || !parse_amount(item->text, counts, &out->row.limit))
		return config_expected(m->r, m->scope, "overrides", item,
				       counts == COUNTS_BYTES ? "a size such as 10GiB, or none, without a period"
							      : "a whole number or none, without a period");
	return read_override_key(m, item, &out->row.key);
}

/* In the order in which they are looked up; keys that are spelt in two ways are one. */
static bool keep_overrides(struct making *m, struct placed *placed, size_t count, struct quota_override *out)
{
	char where[SCOPE_TEXT_MAX], quoted[CONFIG_QUOTE_SIZE];
	bool ok = true;

	qsort(placed, count, sizeof *placed, placed_order);
	for (size_t i = 0; i < count; i++) {
		out[i] = placed[i].row;
		if (i && str_eq(out[i - 1].key, out[i].key))
			ok = config_refuse(m->r, node_key_place(placed[i].node),
					   "overrides%s: %s is given already, in line %u", scope_text(m->scope, where),
					   config_quote(out[i].key, quoted), placed[i - 1].node->key_line);
	}
	m->draft.quota.overrides = out;
	m->draft.quota.override_count = count;
	return ok;
}

static bool set_overrides(struct making *m)
{
	const struct node *node = m->draft.overrides;
	struct quota_override *overrides;
	struct placed *placed;
	char where[SCOPE_TEXT_MAX];
	size_t count = 0;
	bool ok = true;

	if (!node)
		return true;
	if (node->kind != NODE_MAP)
		return config_expected(m->r, m->scope, "overrides", node, "a map (value: limit)");
	if (m->draft.quota.key == KEY_TENANT)
		return config_refuse(m->r, node_place(node),
				     "overrides%s need key: sender, auth, client or recipient_domain",
				     scope_text(m->scope, where));
	overrides = arena_array(m->r->arena, node->count, sizeof *overrides);
	placed = arena_array(m->r->scratch, node->count, sizeof *placed);
	if (!overrides || !placed)
		return config_no_memory(m->r);
	for node_each(item, node)
		ok &= read_override(m, item, &placed[count++]);
	return ok && keep_overrides(m, placed, count, overrides);
}

/* From `start` it grows to the limit. */
static bool set_warm_up(struct making *m, const struct node *node)
{
	const struct node *start = m->draft.start, *given = node_find(node, STR("warm_up"));
	const struct scope scope = { .up = m->scope, .what = "warm_up", .index = -1 };
	struct quota *quota = &m->draft.quota;
	char where[SCOPE_TEXT_MAX];

	scope_text(m->scope, where);
	if (!given)
		return true;
	if (!start || !quota->warm_from)
		return config_refuse(m->r, node_place(given), "warm_up%s needs from and start: its first day, and that day's limit", where);
	if (!parse_amount(start->text, quota->counts, &quota->warm_start) || quota->warm_start == LIMIT_NONE || quota->warm_start == 0)
		return config_expected(m->r, &scope, "start", start,
				       quota->counts == COUNTS_BYTES ? "a size such as 10MiB, without a period"
								     : "a whole number from 1, without a period");
	if (quota->limit == LIMIT_NONE)
		return config_refuse(m->r, node_place(given), "warm_up%s has no limit to grow to: limit is none", where);
	if (quota->warm_start > quota->limit)
		return config_refuse(m->r, node_place(start), "warm_up%s: start is more than limit", where);
	return true;
}

static bool read_quota(struct reader *r, const struct scope *scope, const struct node *node,
		       const struct quota_draft *initial, struct quota *out)
{
	struct making m = { .r = r, .scope = scope, .draft = *initial };
	char where[SCOPE_TEXT_MAX];

	if (!config_read_map(r, scope, node, TABLE_QUOTA, false, &m.draft))
		return false;
	if (m.draft.quota.name.len == 0)
		return config_refuse(r, node_place(node), "name is missing%s", scope_text(scope, where));
	bool ok = set_limit(&m, node) && set_warm_up(&m, node);

	ok &= set_overrides(&m);
	if (ok)
		*out = m.draft.quota;
	return ok;
}

bool config_read_quotas(struct reader *r, const struct scope *scope, const struct node *node, struct quota_list *out)
{
	struct quota_draft initial = { .window = -1 };
	struct scope inner = { .up = scope, .what = "quotas", .index = 0 };
	const struct node *item;
	struct quota *quotas;
	size_t count;
	bool ok = true;

	if (node->kind != NODE_LIST)
		return config_expected(r, scope, "quotas", node, "a list of quotas");
	if (!config_read_defaults(r, TABLE_QUOTA, &initial))
		return false;
	count = node->count;
	quotas = arena_array(r->arena, count, sizeof *quotas);
	if (!quotas)
		return config_no_memory(r);
	for (item = node->first; item; item = item->next, inner.index++)
		ok &= read_quota(r, &inner, item, &initial, &quotas[inner.index]);
	*out = (struct quota_list){ .items = quotas, .count = count };
	return ok;
}

static bool read_rate(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		      enum quota_key key, const char *prefix, struct quota *out)
{
	struct making m = { .r = r, .scope = scope, .draft = { .window = -1, .quota = { .key = key } } };
	struct period period;
	struct str amount, period_text;
	bool has_period;

	if (node->kind != NODE_TEXT)
		return config_expected(r, scope, name, node, "a rate such as 10000/day");
	if (!read_limit(&m, name, node, &period, &has_period))
		return false;
	if (!has_period)
		return config_expected(r, scope, name, node, "a rate such as 10000/day, with its period");
	if (!set_window(&m, node, &period))
		return false;
	*out = m.draft.quota;
	str_cut(node->text, '/', &amount, &period_text);
	return arena_printf(r->arena, &out->name, "%s-" STR_FMT, prefix, STR_ARG(period_text)) || config_no_memory(r);
}

bool config_read_rates(struct reader *r, const struct scope *scope, const char *name, const struct node *node,
		       enum quota_key key, const char *prefix, struct quota_list *out)
{
	const struct node *item;
	struct quota *quotas;
	size_t count, at = 0;
	bool ok = true;

	if (node->kind == NODE_TEXT && !node->is_quoted && str_eq(node->text, STR("none"))) {
		*out = (struct quota_list){ 0 };
		return true;
	}
	if (!config_read_items(r, scope, name, node, &item, &count))
		return false;
	quotas = arena_array(r->arena, count, sizeof *quotas);
	if (!quotas)
		return config_no_memory(r);
	for (; item; item = config_next_item(node, item))
		ok &= read_rate(r, scope, name, item, key, prefix, &quotas[at++]);
	*out = (struct quota_list){ .items = quotas, .count = count };
	return ok;
}
