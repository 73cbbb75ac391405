#include <inttypes.h>

#include "config/base/clock.h"
#include "policy/guard_keys.h"
#include "policy/key.h"

#define WORK_MAX ((size_t)32 << 10)

bool guard_key(struct str tenant, const char *family, struct str period, struct member member, const char *what,
	       struct arena *arena, struct str *out)
{
	struct str part;

	return member_key(member, arena, &part) &&
	       arena_printf(arena, out, "sekisho:{" STR_FMT "}:%s:" STR_FMT "%s" STR_FMT "%s%s", STR_ARG(tenant), family,
			    STR_ARG(period), period.len ? ":" : "", STR_ARG(part), what[0] ? ":" : "", what);
}

bool guard_read(struct store *st, struct str key, struct arena *arena, int64_t *out, struct err *err)
{
	struct str value;
	bool found;

	*out = 0;
	if (!st->ops->get(st, key, arena, &value, &found, err))
		return false;
	if (found && !num_parse_i64(value, out))
		*out = 0;
	return true;
}

bool guard_date(int64_t day, struct arena *arena, struct str *out)
{
	char date[JST_DATE_LEN + 1];

	jst_format_date(day, date);
	return arena_printf(arena, out, "%s", date);
}

bool guard_hour(int64_t at_us, struct arena *arena, struct str *out)
{
	char time[JST_TIME_LEN + 1];

	jst_format_time(at_us, time);
	return arena_printf(arena, out, "%.13s", time);        /* 2026-11-21T15 */
}

/* --- outcomes */

static bool add(struct store *st, const struct tenant *tenant, struct member member, const char *what, int64_t n,
		struct arena *arena, struct err *err)
{
	struct str date, key;
	int64_t total;

	if (n == 0)
		return true;
	if (!guard_date(jst_day(clock_now_us()), arena, &date) || !guard_key(tenant->name, "watch", date, member, what, arena, &key))
		return err_memory(err);
	return st->ops->count_add(st, key, n, GUARD_KEEP_US, &total, err);
}

static bool add_outcome(struct store *st, const struct tenant *tenant, struct member member, const struct guard_outcome *o,
			struct arena *arena, struct err *err)
{
	return add(st, tenant, member, GUARD_ALL, o->recipients, arena, err) &&
	       add(st, tenant, member, GUARD_HARD, o->is_hard, arena, err) &&
	       add(st, tenant, member, GUARD_UNKNOWN, o->is_unknown_user, arena, err) &&
	       add(st, tenant, member, GUARD_COMPLAINTS, o->is_complaint, arena, err);
}

static bool has_ratios(const struct tenant *t)
{
	return t->guard_hard != LIMIT_NONE || t->guard_unknown != LIMIT_NONE || t->guard_complaints != LIMIT_NONE;
}

bool guard_count_outcome(struct store *st, const struct tenant *tenant, const struct guard_outcome *o, struct err *err)
{
	const struct member members[] = { { .kind = MEMBER_ALL }, { .kind = MEMBER_SENDER, .name = o->sender } };
	struct arena arena;
	bool ok = true;

	if (!has_ratios(tenant))
		return true;
	arena_init(&arena, WORK_MAX);
	for (size_t i = 0; ok && i < sizeof members / sizeof *members; i++)
		if (guard_watches(tenant, members[i].kind) && (members[i].kind == MEMBER_ALL || o->sender.len))
			ok = add_outcome(st, tenant, members[i], o, &arena, err);
	arena_clear(&arena);
	return ok || err_wrap(err, "guard of tenant " STR_FMT, STR_ARG(tenant->name));
}

/* --- volume */

/* Relays that share a store may write it at once: the larger of two is lost then, until the next message. */
static bool raise_peak(struct store *st, const struct tenant *tenant, struct member member, int64_t hour_total, int64_t at_us,
		       struct arena *arena, struct err *err)
{
	struct str date, key, text;
	int64_t peak;

	if (!guard_date(jst_day(at_us), arena, &date) || !guard_key(tenant->name, "peak", date, member, "", arena, &key))
		return err_memory(err);
	if (!guard_read(st, key, arena, &peak, err))
		return false;
	if (hour_total <= peak)
		return true;
	return (arena_printf(arena, &text, "%" PRId64, hour_total) || err_memory(err)) &&
	       st->ops->put(st, key, text, GUARD_PEAK_KEEP_US, err);
}

static bool count_passed(struct store *st, const struct tenant *tenant, struct member member, int64_t n, int64_t at_us,
			 struct arena *arena, struct err *err)
{
	struct str hour, key;
	int64_t total;

	if (!guard_hour(at_us, arena, &hour) || !guard_key(tenant->name, "hour", hour, member, "", arena, &key))
		return err_memory(err);
	if (!st->ops->count_add(st, key, n, GUARD_KEEP_US, &total, err))
		return false;
	/* Counted is counted: were this told as a failure, all would be counted again. The next message raises the peak. */
	raise_peak(st, tenant, member, total, at_us, arena, NULL);
	return true;
}

bool guard_count_passed(struct store *st, const struct tenant *tenant, struct member member, int64_t recipients, int64_t at_us,
			struct err *err)
{
	struct arena arena;
	bool ok;

	if (tenant->guard_volume == LIMIT_NONE || !guard_watches(tenant, member.kind))
		return true;
	arena_init(&arena, WORK_MAX);
	ok = count_passed(st, tenant, member, recipients, at_us, &arena, err);
	arena_clear(&arena);
	return ok || err_wrap(err, "guard of tenant " STR_FMT, STR_ARG(tenant->name));
}

/* --- clients */

static bool count_client(struct store *st, const struct tenant *tenant, struct str login, struct str client, struct arena *arena,
			 struct err *err)
{
	const struct member member = { .kind = MEMBER_LOGIN, .name = login };
	struct str date, text, lower, part, key;
	int64_t total;

	/* The colon makes no plain part of it: always hashed, so that the store holds no address. */
	if (!guard_date(jst_day(clock_now_us()), arena, &date) || !arena_copy_lower(arena, login, &lower) ||
	    !arena_printf(arena, &text, STR_FMT ":" STR_FMT, STR_ARG(lower), STR_ARG(client)) || !key_part(text, false, arena, &part) ||
	    !arena_printf(arena, &key, "sekisho:{" STR_FMT "}:client:" STR_FMT ":" STR_FMT, STR_ARG(tenant->name), STR_ARG(date),
			  STR_ARG(part)))
		return err_memory(err);
	if (!st->ops->count_add(st, key, 1, GUARD_KEEP_US, &total, err))
		return false;
	return total != 1 || ((guard_key(tenant->name, "clients", date, member, "", arena, &key) || err_memory(err)) &&
			      st->ops->count_add(st, key, 1, GUARD_KEEP_US, &total, err));
}

bool guard_count_client(struct store *st, const struct tenant *tenant, struct str login, struct str client, struct err *err)
{
	struct arena arena;
	bool ok;

	if (tenant->guard_clients == LIMIT_NONE)
		return true;
	arena_init(&arena, WORK_MAX);
	ok = count_client(st, tenant, login, client, &arena, err);
	arena_clear(&arena);
	return ok || err_wrap(err, "guard of tenant " STR_FMT, STR_ARG(tenant->name));
}

/* --- telling */

bool guard_was_told(struct store *st, const struct tenant *tenant, const struct guard_strike *strike, int64_t cool_down_us,
		    struct arena *arena)
{
	struct str part, key;
	struct err err;
	int64_t total;

	if (cool_down_us == 0 || !member_key(strike->member, arena, &part) ||
	    !arena_printf(arena, &key, "sekisho:{" STR_FMT "}:told:%c:" STR_FMT, STR_ARG(tenant->name), strike->what[0], STR_ARG(part)))
		return false;
	return st->ops->count_add(st, key, 1, cool_down_us, &total, &err) && total > 1;
}
