#include "policy/guard.h"

#include <inttypes.h>

#include "config/base/clock.h"
#include "policy/guard_keys.h"

/*
 * The value of :guard: is "2 DAY HOUR HARD UNKNOWN COMPLAINTS SAMPLE CLIENTS PASSED\n", what the counters said when the guard
 * struck; DAY and HOUR are those of the clock then, since 1970 and JST.
 */
#define LAYOUT "2"
#define ACTOR STR("guard")

struct counts {
	int64_t day, hour;
	int64_t hard, unknown, complaints, sample, clients;    /* of the day */
	int64_t passed;                                        /* of the hour */
	int64_t busiest;               /* hour of the last week, today and that hour left out; not kept */
};

static const char *const action_names[] = {
	[GUARD_NOTIFY] = "notify", [GUARD_HALVE] = "halve", [GUARD_DEFER] = "defer", [GUARD_REJECT] = "reject", [GUARD_HOLD] = "hold",
};

const char *guard_action_name(enum guard_action action)
{
	return action_names[action];
}

bool guard_watches(const struct tenant *t, enum member_kind kind)
{
	bool has_more = t->guard_hard != LIMIT_NONE || t->guard_unknown != LIMIT_NONE || t->guard_complaints != LIMIT_NONE ||
			t->guard_volume != LIMIT_NONE;

	switch (kind) {
	case MEMBER_ALL:
		return has_more && t->guards_tenant;
	case MEMBER_SENDER:
		return has_more && t->guards_senders;
	case MEMBER_LOGIN:
		return t->guard_clients != LIMIT_NONE;
	case MEMBER_KIND_COUNT:
		break;
	}
	return false;
}

/* --- what is known */

static bool decode(struct str value, struct counts *out)
{
	int64_t *const fields[] = { &out->day, &out->hour, &out->hard, &out->unknown, &out->complaints, &out->sample, &out->clients,
				    &out->passed };
	struct str line, rest, word;

	if (!str_cut(value, '\n', &line, &rest) || rest.len || !str_next(&line, ' ', &word) || !str_eq(word, STR(LAYOUT)))
		return false;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (!str_next(&line, ' ', &word) || !num_parse_i64(word, fields[i]))
			return false;
	return line.len == 0;
}

struct looking {
	struct store *st;
	const struct tenant *tenant;
	struct member member;
	struct arena *arena;
	int64_t now_us;
};

static bool read_one(const struct looking *l, const char *family, struct str period, const char *what, int64_t *out,
		     struct err *err)
{
	struct str key;

	if (!guard_key(l->tenant->name, family, period, l->member, what, l->arena, &key))
		return err_memory(err);
	return guard_read(l->st, key, l->arena, out, err);
}

static bool read_ratios(const struct looking *l, struct counts *c, struct err *err)
{
	const struct {
		const char *what;
		int64_t *into;
	} rows[] = {
		{ GUARD_ALL, &c->sample }, { GUARD_HARD, &c->hard }, { GUARD_UNKNOWN, &c->unknown },
		{ GUARD_COMPLAINTS, &c->complaints },
	};
	struct str date;

	if (!guard_date(c->day, l->arena, &date))
		return err_memory(err);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!read_one(l, "watch", date, rows[i].what, rows[i].into, err))
			return false;
	return true;
}

static bool read_volume(const struct looking *l, struct counts *c, struct err *err)
{
	struct str period;

	if (!guard_hour(l->now_us, l->arena, &period))
		return err_memory(err);
	if (!read_one(l, "hour", period, "", &c->passed, err))
		return false;
	for (int64_t day = c->day - GUARD_WEEK_DAYS; day < c->day; day++) {
		int64_t peak;

		if (!guard_date(day, l->arena, &period))
			return err_memory(err);
		if (!read_one(l, "peak", period, "", &peak, err))
			return false;
		c->busiest = peak > c->busiest ? peak : c->busiest;
	}
	return true;
}

static bool read_clients(const struct looking *l, struct counts *c, struct err *err)
{
	struct str date;

	return (guard_date(c->day, l->arena, &date) || err_memory(err)) && read_one(l, "clients", date, "", &c->clients, err);
}

static bool read_all(const struct looking *l, struct counts *out, struct err *err)
{
	*out = (struct counts){ .day = jst_day(l->now_us), .hour = (l->now_us + JST_OFFSET_US) / HOUR_US };
	if (l->member.kind == MEMBER_LOGIN)
		return read_clients(l, out, err);
	return read_ratios(l, out, err) && (l->tenant->guard_volume == LIMIT_NONE || read_volume(l, out, err));
}

/* Without what was held against it already. What cannot be read holds nothing back. */
static bool forgive(const struct looking *l, struct counts *c, struct err *err)
{
	struct counts before = { 0 };
	struct str key, value;
	bool found;

	if (!guard_key(l->tenant->name, "guard", STR_EMPTY, l->member, "", l->arena, &key))
		return err_memory(err);
	if (!l->st->ops->get(l->st, key, l->arena, &value, &found, err))
		return false;
	if (!found || !decode(value, &before))
		return true;
	if (before.day == c->day) {
		c->hard -= before.hard;
		c->unknown -= before.unknown;
		c->complaints -= before.complaints;
		c->sample -= before.sample;
		c->clients -= before.clients;
	}
	if (before.hour == c->hour)
		c->passed -= before.passed;
	return true;
}

static bool remember(const struct looking *l, const struct counts *c, struct err *err)
{
	struct str key, value;

	if (!guard_key(l->tenant->name, "guard", STR_EMPTY, l->member, "", l->arena, &key) ||
	    !arena_printf(l->arena, &value,
			  LAYOUT " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n",
			  c->day, c->hour, c->hard, c->unknown, c->complaints, c->sample, c->clients, c->passed))
		return err_memory(err);
	return l->st->ops->put(l->st, key, value, GUARD_KEEP_US, err);
}

/* --- judging */

/* The first bound that is passed; `what` NULL: none. */
static struct guard_strike ratio_of(const struct tenant *t, const struct counts *c)
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
						      .bound = rows[i].bound, .is_ratio = true };
	return (struct guard_strike){ .what = NULL };
}

/* One who has no past is not held to it: its quotas are. */
static bool is_sudden(const struct tenant *t, const struct counts *c)
{
	return t->guard_volume != LIMIT_NONE && c->busiest > 0 && c->passed >= t->guard_sample &&
	       (double)c->passed > (double)t->guard_volume * (double)c->busiest;
}

static struct guard_strike worst_of(const struct tenant *t, const struct counts *c)
{
	struct guard_strike strike = ratio_of(t, c);

	if (!strike.what && is_sudden(t, c))
		strike = (struct guard_strike){ .what = "volume", .count = c->passed, .sample = c->busiest, .bound = t->guard_volume };
	if (!strike.what && t->guard_clients != LIMIT_NONE && c->clients > t->guard_clients)
		strike = (struct guard_strike){ .what = "clients", .count = c->clients, .sample = c->clients,
						.bound = t->guard_clients };
	return strike;
}

/* "12 hard bounces among ..." */
static bool describe_nameless(struct guard_strike *s, struct arena *arena)
{
	if (s->is_ratio)
		return arena_printf(arena, &s->nameless,
				    "%" PRId64 " %s among %" PRId64 " recipients today (%.1f %%), more than %.1f %%",
				    s->count, s->what, s->sample, 100.0 * (double)s->count / (double)s->sample,
				    (double)s->bound / 10);
	if (s->member.kind == MEMBER_LOGIN)
		return arena_printf(arena, &s->nameless, "used from %" PRId64 " addresses today, more than %" PRId64, s->count,
				    s->bound);
	return arena_printf(arena, &s->nameless,
			    "%" PRId64 " recipients this hour, more than %" PRId64 " times the busiest hour of the last week (%"
			    PRId64 ")", s->count, s->bound, s->sample);
}

/* "sender a@b: 12 hard bounces among ..." */
static bool describe(struct guard_strike *s, struct arena *arena)
{
	if (!describe_nameless(s, arena))
		return false;
	s->reason = s->nameless;
	return s->member.kind == MEMBER_ALL ||
	       arena_printf(arena, &s->reason, "%s " STR_FMT ": " STR_FMT, member_kind_name(s->member.kind),
			    STR_ARG(s->member.name), STR_ARG(s->nameless));
}

static bool suspend(const struct looking *l, struct guard_strike *s, struct err *err)
{
	static const enum excess_action actions[] = { [GUARD_DEFER] = EXCESS_DEFER, [GUARD_REJECT] = EXCESS_REJECT,
						      [GUARD_HOLD] = EXCESS_HOLD };
	struct suspension now = { .of = s->member, .is_halved = s->action == GUARD_HALVE, .since_us = l->now_us, .actor = ACTOR,
				  .reason = s->reason }, before;
	bool found;

	if (!tenant_suspension(l->st, l->tenant->name, s->member, l->arena, &before, &found, err))
		return false;
	/* Half of its limits is no stop. */
	s->was_suspended = found && (now.is_halved || !before.is_halved);
	if (s->action == GUARD_NOTIFY || s->was_suspended)
		return true;
	if (!now.is_halved)
		now.action = actions[s->action];
	return tenant_suspend(l->st, l->tenant->name, &now, err);
}

static bool look(const struct looking *l, struct guard_strike *out, bool *out_struck, struct err *err)
{
	struct guard_strike strike;
	struct counts all, since;

	if (!read_all(l, &all, err))
		return false;
	since = all;
	if (!forgive(l, &since, err))
		return false;
	strike = worst_of(l->tenant, &since);
	if (!strike.what)
		return true;
	strike.member = l->member;
	strike.action = l->tenant->guard_action;
	if (!describe(&strike, l->arena))
		return err_memory(err);
	if (!suspend(l, &strike, err))
		return false;
	/* Who has just been suspended is told of now: the next look would find it suspended before. */
	if (!remember(l, &all, err) && (strike.action == GUARD_NOTIFY || strike.was_suspended))
		return false;
	*out = strike;
	*out_struck = true;
	return true;
}

bool guard_look(struct store *st, const struct tenant *tenant, struct member member, struct arena *arena,
		struct guard_strike *out, bool *out_struck, struct err *err)
{
	const struct looking l = { .st = st, .tenant = tenant, .member = member, .arena = arena, .now_us = clock_now_us() };

	*out_struck = false;
	return !guard_watches(tenant, member.kind) || look(&l, out, out_struck, err) ||
	       err_wrap(err, "guard of tenant " STR_FMT, STR_ARG(tenant->name));
}
