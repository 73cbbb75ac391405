#include "policy/guard.h"

#include <inttypes.h>

#include "config/base/clock.h"
#include "policy/tally.h"
#include "policy/tenant.h"

/*
 * The value: "1 DAY HARD UNKNOWN COMPLAINTS SAMPLE\n", what today's counters said when the guard struck; DAY is that JST day.
 */
#define LAYOUT "1"
#define ACTOR STR("guard")

struct counts {
	int64_t day, hard, unknown, complaints, sample;
};

static bool add(void *arg, const struct tally_count *row)
{
	struct counts *c = arg;

	if (str_eq(row->reason, STR("feedback"))) {
		c->complaints += row->count;
		return true;
	}
	c->sample += row->count;
	c->hard += row->is_hard ? row->count : 0;
	c->unknown += str_eq(row->reason, STR("userunknown")) ? row->count : 0;
	return true;
}

static bool key_of(struct str tenant, struct arena *arena, struct str *out, struct err *err)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:guard", STR_ARG(tenant)) || err_memory(err);
}

static bool decode(struct str value, struct counts *out)
{
	int64_t *const fields[] = { &out->day, &out->hard, &out->unknown, &out->complaints, &out->sample };
	struct str line, rest, word;

	if (!str_cut(value, '\n', &line, &rest) || rest.len || !str_next(&line, ' ', &word) || !str_eq(word, STR(LAYOUT)))
		return false;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (!str_next(&line, ' ', &word) || !num_parse_i64(word, fields[i]))
			return false;
	return line.len == 0;
}

/* Today's counters without what was held against the tenant already. One that cannot be read holds nothing back. */
static bool read_counts(struct store *st, const struct tenant *tenant, struct arena *arena, struct counts *all,
			struct counts *since, struct err *err)
{
	struct counts before;
	struct str key, value;
	bool found;

	*all = (struct counts){ .day = jst_day(clock_now_us()) };
	if (!tally_each_reason(st, tenant->name, all->day, all->day, add, all, err) || !key_of(tenant->name, arena, &key, err) ||
	    !st->ops->get(st, key, arena, &value, &found, err))
		return false;
	*since = *all;
	if (!found || !decode(value, &before) || before.day != all->day)
		return true;
	since->hard -= before.hard;
	since->unknown -= before.unknown;
	since->complaints -= before.complaints;
	since->sample -= before.sample;
	return true;
}

static bool remember(struct store *st, const struct tenant *tenant, const struct counts *all, struct arena *arena,
		     struct err *err)
{
	struct str key, value;

	if (!key_of(tenant->name, arena, &key, err))
		return false;
	if (!arena_printf(arena, &value, LAYOUT " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", all->day,
			  all->hard, all->unknown, all->complaints, all->sample))
		return err_memory(err);
	return st->ops->put(st, key, value, 2 * DAY_US, err);
}

/* The first bound that is passed; NULL `what`: none. */
static struct guard_strike worst_of(const struct tenant *t, const struct counts *c)
{
	const struct {
		const char *what;
		int64_t count, bound;
	} rows[] = {
		{ "hard bounces", c->hard, t->guard_hard },
		{ "unknown users", c->unknown, t->guard_unknown },
		{ "complaints", c->complaints, t->guard_complaints },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].bound != LIMIT_NONE && c->sample >= t->guard_sample &&
		    (double)rows[i].count * 1000 > (double)rows[i].bound * (double)c->sample)
			return (struct guard_strike){ .what = rows[i].what, .count = rows[i].count, .sample = c->sample,
						      .bound = rows[i].bound, .action = t->guard_action };
	return (struct guard_strike){ .what = NULL };
}

static bool describe(struct guard_strike *s, struct arena *arena)
{
	return arena_printf(arena, &s->reason, "%" PRId64 " %s among %" PRId64 " recipients today (%.1f %%), more than %.1f %%",
			    s->count, s->what, s->sample, 100.0 * (double)s->count / (double)s->sample, (double)s->bound / 10);
}

static bool suspend(struct store *st, const struct tenant *tenant, struct guard_strike *s, struct arena *arena, struct err *err)
{
	static const enum excess_action actions[] = { [GUARD_DEFER] = EXCESS_DEFER, [GUARD_REJECT] = EXCESS_REJECT,
						      [GUARD_HOLD] = EXCESS_HOLD };
	struct suspension now;

	if (!tenant_suspension(st, tenant->name, arena, &now, &s->was_suspended, err))
		return false;
	if (s->action == GUARD_NOTIFY || s->was_suspended)
		return true;
	return tenant_suspend(st, tenant->name,
			      &(struct suspension){ .action = actions[s->action], .since_us = clock_now_us(), .actor = ACTOR,
						    .reason = s->reason }, err);
}

static bool look(struct store *st, const struct tenant *tenant, struct arena *arena, struct guard_strike *out, bool *out_struck,
		 struct err *err)
{
	struct counts all, since;
	struct guard_strike strike;

	if (!read_counts(st, tenant, arena, &all, &since, err))
		return false;
	strike = worst_of(tenant, &since);
	if (!strike.what) {
		*out_struck = false;
		return true;
	}
	if (!describe(&strike, arena))
		return err_memory(err);
	/* Suspended first: were the rest to fail, it would only be looked at again. */
	if (!suspend(st, tenant, &strike, arena, err) || !remember(st, tenant, &all, arena, err))
		return false;
	*out = strike;
	*out_struck = true;
	return true;
}

bool guard_has_bounds(const struct tenant *tenant)
{
	return tenant->guard_hard != LIMIT_NONE || tenant->guard_unknown != LIMIT_NONE || tenant->guard_complaints != LIMIT_NONE;
}

bool guard_look(struct store *st, const struct tenant *tenant, struct arena *arena, struct guard_strike *out, bool *out_struck,
		struct err *err)
{
	*out_struck = false;
	return !guard_has_bounds(tenant) || look(st, tenant, arena, out, out_struck, err) ||
	       err_wrap(err, "guard of tenant " STR_FMT, STR_ARG(tenant->name));
}
