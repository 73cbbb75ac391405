#include "policy/emptied.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/base/clock.h"

/* No tenant can be called so. */
#define MARK STR("sekisho:{@}:mark")
#define MARK_TTL_US (3650 * DAY_US)

/* *out: 0 where there is none. False: it cannot be told, as while this relay counts alone. */
static bool read_mark(struct store *st, int64_t *out)
{
	struct arena arena;
	struct str value;
	bool found;

	arena_init(&arena, (size_t)2 * STORE_VALUE_MAX);

	bool ok = st->ops->get(st, MARK, &arena, &value, &found, NULL) && !atomic_load(&st->is_local);

	if (ok && (!found || !num_parse_i64(value, out)))
		*out = 0;
	arena_clear(&arena);
	return ok;
}

static bool put_mark(struct store *st)
{
	char now[24];

	return st->ops->put(st, MARK, str_of(now, (size_t)snprintf(now, sizeof now, "%" PRId64, clock_now_us())), MARK_TTL_US, NULL);
}

bool emptied_look(struct emptied *emptied, struct store *st)
{
	int64_t before_us = emptied->since_us, since_us;

	/* What cannot be marked is looked at again, and told then. */
	if (!st->ops->may_have || !read_mark(st, &since_us) || (since_us == 0 && !put_mark(st)))
		return false;
	emptied->since_us = since_us;   /* two relays may just have put one: the next look says whose it is */
	return before_us && before_us != since_us;
}
