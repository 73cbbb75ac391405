#include "milter/track/hit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "milter/link/token.h"

struct str hit_event(enum hit_kind kind)
{
	static const struct str events[HIT_KIND_COUNT] = {
		[HIT_OPEN] = STR_INIT("opened"),
		[HIT_CLICK] = STR_INIT("clicked"),
		[HIT_UNSUBSCRIBE] = STR_INIT("unsubscribed"),
	};

	return events[kind];
}

const char *hit_flag_name(enum hit_flag flag)
{
	switch (flag) {
	case HIT_FLAG_AGENT: return "agent";
	case HIT_FLAG_NETWORK: return "network";
	case HIT_FLAG_PREFETCH: return "prefetch";
	case HIT_FLAG_BURST: return "burst";
	}
	return "";
}

static bool to_hex(struct str octets, struct arena *arena, struct str *out)
{
	char *text = arena_alloc(arena, 2 * octets.len);

	if (!text)
		return false;
	hex_write((const unsigned char *)octets.ptr, octets.len, text);
	*out = str_of(text, 2 * octets.len);
	return true;
}

bool hit_readable(struct str name, struct arena *arena, struct str *out)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f)
			return to_hex(name, arena, out);
	return arena_copy(arena, name, out);
}

bool hit_reader_of_tag(struct str tag, struct arena *arena, struct str *out)
{
	return to_hex(tag, arena, out);
}

bool hit_reader(struct str tenant, struct str address, struct arena *arena, struct str *out)
{
	struct str lower;
	char octets[HIT_READER_LEN / 2];

	if (!arena_copy_lower(arena, address, &lower))
		return false;
	token_short(tenant, lower, octets);
	return hit_reader_of_tag(str_of(octets, sizeof octets), arena, out);
}

int64_t hit_ttl_us(const struct config *config)
{
	const struct record_class *class = config_find_class(config, CLASS_ACTION);
	const struct retention keep = class ? class->keep : (struct retention){ RETENTION_YEAR_DAYS, true };     /* the default */
	int64_t now_us = clock_now_us();

	return retention_end_us(keep, now_us) - now_us;
}

/* --- forgetting */

static bool forgotten_key(struct str tenant, struct str reader, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:forgotten:" STR_FMT, STR_ARG(tenant), STR_ARG(reader));
}

bool hit_is_forgotten(struct store *st, struct str tenant, struct str reader, struct arena *arena, bool *out,
		      struct err *err)
{
	struct str key, value;

	*out = false;
	if (!reader.len)
		return true;
	return (forgotten_key(tenant, reader, arena, &key) || err_memory(err)) &&
	       st->ops->get(st, key, arena, &value, out, err);
}

struct found {
	struct arena *arena;
	struct str *keys;
	size_t count, room;
	bool failed;                   /* for want of memory */
};

static bool collect(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct found *found = arg;

	(void)value;
	(void)expires_us;
	if (found->count == found->room)
		return false;
	found->failed = !arena_copy(found->arena, key, &found->keys[found->count]);
	found->count += !found->failed;
	return !found->failed;
}

#define FORGET_STEP 1000
#define FORGOTTEN_TTL_US (INT64_C(3650) * DAY_US)      /* "no end", as on the suppression list */

/* FORGET_STEP keys at a time: a scan and changes to what it walks over do not mix. */
static bool remove_some(struct store *st, struct str prefix, size_t *out_removed, struct err *err)
{
	struct found found = { .room = FORGET_STEP };
	struct arena arena;
	bool ok;

	arena_init(&arena, (size_t)4 << 20);
	found.arena = &arena;
	found.keys = arena_array(&arena, FORGET_STEP, sizeof *found.keys);
	ok = found.keys ? st->ops->scan(st, prefix, collect, &found, err) : err_memory(err);
	ok = ok && (!found.failed || err_memory(err));
	for (size_t i = 0; ok && i < found.count; i++)
		ok = st->ops->put(st, found.keys[i], STR_EMPTY, 0, err);
	*out_removed = found.count;
	arena_clear(&arena);
	return ok;
}

bool hit_forget(struct store *st, struct str tenant, struct str reader, size_t *out_removed, struct err *err)
{
	struct arena arena;
	struct str key, prefix;
	size_t some = FORGET_STEP;
	bool ok;

	arena_init(&arena, 65536);
	*out_removed = 0;
	ok = (forgotten_key(tenant, reader, &arena, &key) &&
	      arena_printf(&arena, &prefix, "sekisho:{" STR_FMT "}:hits:reader:" STR_FMT ":", STR_ARG(tenant),
			   STR_ARG(reader))) ||
	     err_memory(err);
	ok = ok && st->ops->put(st, key, STR("1"), FORGOTTEN_TTL_US, err);
	for (; ok && some == FORGET_STEP; *out_removed += some)
		ok = remove_some(st, prefix, &some, err);
	arena_clear(&arena);
	return ok;
}
