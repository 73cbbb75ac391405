#include "policy/tenant.h"

#include <inttypes.h>

#include "config/base/clock.h"
#include "config/base/num.h"

/*
 * The value, one line and then the two texts:
 *
 *   1 ACTION SINCE UNTIL ACTOR-LENGTH\n ACTOR REASON
 *
 * 1 names this layout; ACTION is a word; times are microseconds; nothing stands between actor and reason.
 */
#define LAYOUT "1"

static const struct str actions[] = {
	[EXCESS_DEFER] = STR_INIT("defer"),
	[EXCESS_REJECT] = STR_INIT("reject"),
	[EXCESS_HOLD] = STR_INIT("hold"),
};

bool tenant_suspension_key(struct str tenant, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:suspended", STR_ARG(tenant));
}

static bool key_of(struct str tenant, struct arena *arena, struct str *out, struct err *err)
{
	return tenant_suspension_key(tenant, arena, out) || err_memory(err);
}

static bool encode(const struct suspension *s, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, LAYOUT " " STR_FMT " %" PRId64 " %" PRId64 " %zu\n" STR_FMT STR_FMT,
			    STR_ARG(actions[s->action]), s->since_us, s->until_us, s->actor.len, STR_ARG(s->actor),
			    STR_ARG(s->reason));
}

static bool decode_action(struct str word, enum excess_action *out)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (str_eq(actions[i], word)) {
			*out = (enum excess_action)i;
			return true;
		}
	return false;
}

static bool decode(struct str value, struct suspension *out)
{
	struct str line, texts, layout, action, since, until;
	struct suspension s;
	uint64_t actor_len;

	if (!str_cut(value, '\n', &line, &texts) || !str_next(&line, ' ', &layout) || !str_eq(layout, STR(LAYOUT)) ||
	    !str_next(&line, ' ', &action) || !decode_action(action, &s.action) || !str_next(&line, ' ', &since) ||
	    !num_parse_i64(since, &s.since_us) || !str_next(&line, ' ', &until) || !num_parse_i64(until, &s.until_us) ||
	    !num_parse_u64(line, &actor_len) || actor_len > texts.len)
		return false;
	s.actor = str_slice(texts, 0, (size_t)actor_len);
	s.reason = str_from(texts, (size_t)actor_len);
	*out = s;
	return true;
}

static bool suspend_in(struct arena *arena, struct store *st, struct str tenant, const struct suspension *s, struct err *err)
{
	int64_t ttl_us = s->until_us ? s->until_us - clock_now_us() : TENANT_SUSPEND_MAX_US;
	struct str key, value;

	if (ttl_us <= 0 || ttl_us > TENANT_SUSPEND_MAX_US)
		return err_set(err, ERR_INPUT, "a suspension ends after now and within ten years");
	if (s->actor.len > TENANT_ACTOR_MAX || s->reason.len > TENANT_REASON_MAX)
		return err_set(err, ERR_INPUT, "actor or reason too long (at most %d and %d octets)", TENANT_ACTOR_MAX,
			       TENANT_REASON_MAX);
	if (!key_of(tenant, arena, &key, err) || !encode(s, arena, &value))
		return err_memory(err);
	return st->ops->put(st, key, value, ttl_us, err);
}

bool tenant_suspend(struct store *st, struct str tenant, const struct suspension *suspension, struct err *err)
{
	struct arena arena;

	arena_init(&arena, (size_t)16 << 10);

	bool ok = suspend_in(&arena, st, tenant, suspension, err);

	arena_clear(&arena);
	return ok || err_wrap(err, "suspending tenant " STR_FMT, STR_ARG(tenant));
}

bool tenant_resume(struct store *st, struct str tenant, bool *out_was, struct err *err)
{
	struct arena arena;
	struct str key, value;
	bool was = false;

	arena_init(&arena, (size_t)2 * STORE_VALUE_MAX);

	bool ok = key_of(tenant, &arena, &key, err) && st->ops->get(st, key, &arena, &value, &was, err) &&
		  (!was || st->ops->put(st, key, STR_EMPTY, 0, err));

	arena_clear(&arena);
	if (!ok)
		return err_wrap(err, "resuming tenant " STR_FMT, STR_ARG(tenant));
	*out_was = was;
	return true;
}

bool tenant_suspension_read(struct str tenant, struct str value, struct suspension *out, bool *out_stands, struct err *err)
{
	struct suspension s;

	if (!decode(value, &s))
		return err_set(err, ERR_BUSY, "suspension of tenant " STR_FMT ": the store's entry is damaged", STR_ARG(tenant));
	/* The store forgets it at its end by its own clock; ours may be ahead. */
	*out_stands = s.until_us == 0 || s.until_us > clock_now_us();
	if (*out_stands)
		*out = s;
	return true;
}

bool tenant_suspension(struct store *st, struct str tenant, struct arena *arena, struct suspension *out, bool *out_found,
		       struct err *err)
{
	struct str key, value;
	bool found;

	if (!key_of(tenant, arena, &key, err) || !st->ops->get(st, key, arena, &value, &found, err))
		return err_wrap(err, "suspension of tenant " STR_FMT, STR_ARG(tenant));
	if (found)
		return tenant_suspension_read(tenant, value, out, out_found, err);
	*out_found = false;
	return true;
}
