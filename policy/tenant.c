#include "policy/tenant.h"

#include <inttypes.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "policy/key.h"

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

#define HALVE STR("halve")

static const char *const kinds[MEMBER_KIND_COUNT] = {
	[MEMBER_ALL] = "tenant", [MEMBER_SENDER] = "sender", [MEMBER_LOGIN] = "login",
};

const char *member_kind_name(enum member_kind kind)
{
	return kinds[kind];
}

bool member_key(struct member member, struct arena *arena, struct str *out)
{
	struct str name, part;

	return arena_copy_lower(arena, member.name, &name) && key_part(name, true, arena, &part) &&
	       arena_concat(arena, out, str_from_c(kinds[member.kind]), STR(":"), part);
}

bool tenant_suspension_key(struct str tenant, struct member member, struct arena *arena, struct str *out)
{
	struct str part;

	if (member.kind == MEMBER_ALL)
		return arena_concat(arena, out, STR("sekisho:{"), tenant, STR("}:suspended"));
	return member_key(member, arena, &part) &&
	       arena_concat(arena, out, STR("sekisho:{"), tenant, STR("}:suspended:"), part);
}

static bool key_of(struct str tenant, struct member member, struct arena *arena, struct str *out, struct err *err)
{
	return tenant_suspension_key(tenant, member, arena, out) || err_memory(err);
}

static bool encode(const struct suspension *s, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, LAYOUT " " STR_FMT " %" PRId64 " %" PRId64 " %zu\n" STR_FMT STR_FMT,
			    STR_ARG(s->is_halved ? HALVE : actions[s->action]), s->since_us, s->until_us, s->actor.len, STR_ARG(s->actor),
			    STR_ARG(s->reason));
}

static bool decode_action(struct str word, struct suspension *out)
{
	out->is_halved = str_eq(word, HALVE);
	if (out->is_halved)
		return true;
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (str_eq(actions[i], word)) {
			out->action = (enum excess_action)i;
			return true;
		}
	return false;
}

static bool decode(struct str value, struct suspension *out)
{
	struct str line, texts, layout, action, since, until;
	struct suspension s = { .action = EXCESS_REJECT };
	uint64_t actor_len;

	if (!str_cut(value, '\n', &line, &texts) || !str_next(&line, ' ', &layout) || !str_eq(layout, STR(LAYOUT)) ||
	    !str_next(&line, ' ', &action) || !decode_action(action, &s) || !str_next(&line, ' ', &since) ||
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
	if (!key_of(tenant, s->of, arena, &key, err) || !encode(s, arena, &value))
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

bool tenant_resume(struct store *st, struct str tenant, struct member member, bool *out_was, struct err *err)
{
	struct arena arena;
	struct str key, value;
	bool was = false;

	arena_init(&arena, (size_t)2 * STORE_VALUE_MAX);

	bool ok = key_of(tenant, member, &arena, &key, err) && st->ops->get(st, key, &arena, &value, &was, err) &&
		  (!was || st->ops->put(st, key, STR_EMPTY, 0, err));

	arena_clear(&arena);
	if (!ok)
		return err_wrap(err, "resuming tenant " STR_FMT, STR_ARG(tenant));
	*out_was = was;
	return true;
}

bool tenant_suspension_read(struct str tenant, struct member member, struct str value, struct suspension *out, bool *out_stands,
			    struct err *err)
{
	struct suspension s;

	if (!decode(value, &s))
		return err_set(err, ERR_BUSY, "suspension of tenant " STR_FMT ": the store's entry is damaged", STR_ARG(tenant));
	s.of = member;
	/* The store forgets it at its end by its own clock; ours may be ahead. */
	*out_stands = s.until_us == 0 || s.until_us > clock_now_us();
	if (*out_stands)
		*out = s;
	return true;
}

bool tenant_suspension(struct store *st, struct str tenant, struct member member, struct arena *arena, struct suspension *out,
		       bool *out_found, struct err *err)
{
	struct str key, value;
	bool found;

	if (!key_of(tenant, member, arena, &key, err) || !st->ops->get(st, key, arena, &value, &found, err))
		return err_wrap(err, "suspension of tenant " STR_FMT, STR_ARG(tenant));
	if (found)
		return tenant_suspension_read(tenant, member, value, out, out_found, err);
	*out_found = false;
	return true;
}

/* --- all of them */

struct looking {
	struct str tenant;
	size_t prefix_len;
	tenant_suspension_fn *fn;
	void *arg;
	struct err *err;
	bool ok;
};

/* "" or ":sender:a@b" */
static bool member_parse(struct str rest, struct member *out)
{
	struct str kind;

	*out = (struct member){ .kind = MEMBER_ALL };
	if (rest.len == 0)
		return true;
	if (rest.ptr[0] != ':' || !str_cut(str_from(rest, 1), ':', &kind, &out->name))
		return false;
	for (size_t i = MEMBER_SENDER; i < MEMBER_KIND_COUNT; i++)
		if (str_eq(kind, str_from_c(kinds[i])))
			out->kind = (enum member_kind)i;
	return out->kind != MEMBER_ALL;
}

static bool look_at(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct looking *l = arg;
	struct suspension s;
	struct member member;
	bool stands;

	(void)expires_us;
	if (!member_parse(str_from(key, l->prefix_len), &member))
		return true;
	l->ok = tenant_suspension_read(l->tenant, member, value, &s, &stands, l->err);
	return l->ok && (!stands || l->fn(l->arg, &s));
}

bool tenant_each_suspension(struct store *st, struct str tenant, tenant_suspension_fn *fn, void *arg, struct err *err)
{
	struct looking l = { .tenant = tenant, .fn = fn, .arg = arg, .err = err, .ok = true };
	struct arena arena;
	struct str prefix;

	arena_init(&arena, ARENA_BLOCK);

	bool ok = key_of(tenant, (struct member){ .kind = MEMBER_ALL }, &arena, &prefix, err);

	l.prefix_len = ok ? prefix.len : 0;
	ok = ok && st->ops->scan(st, prefix, look_at, &l, err) && l.ok;
	arena_clear(&arena);
	return ok || err_wrap(err, "suspensions of tenant " STR_FMT, STR_ARG(tenant));
}

struct resuming {
	struct arena arena;
	struct str keys[1000];
	size_t count;
};

static bool keep_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct resuming *r = arg;

	(void)value;
	(void)expires_us;
	return r->count < sizeof r->keys / sizeof *r->keys && arena_copy(&r->arena, key, &r->keys[r->count]) &&
	       ++r->count;
}

static bool resume_some(struct store *st, struct str tenant, struct resuming *r, struct err *err)
{
	struct str prefix;

	r->count = 0;
	arena_reset(&r->arena);
	if (!key_of(tenant, (struct member){ .kind = MEMBER_ALL }, &r->arena, &prefix, err) ||
	    !st->ops->scan(st, prefix, keep_key, r, err))
		return false;
	for (size_t i = 0; i < r->count; i++)
		if (!st->ops->put(st, r->keys[i], STR_EMPTY, 0, err))
			return false;
	return true;
}

bool tenant_resume_all(struct store *st, struct str tenant, int64_t *out_count, struct err *err)
{
	struct resuming r;
	bool ok;

	*out_count = 0;
	arena_init(&r.arena, (size_t)1 << 20);
	do {
		ok = resume_some(st, tenant, &r, err);
		*out_count += ok ? (int64_t)r.count : 0;
	} while (ok && r.count);
	arena_clear(&r.arena);
	return ok || err_wrap(err, "resuming tenant " STR_FMT, STR_ARG(tenant));
}
