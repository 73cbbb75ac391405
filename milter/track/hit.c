#include "milter/track/hit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "milter/link/token.h"
#include "policy/key.h"

#define ACTION_DAYS 365                /* where the configuration has no class "action" */

static const struct {
	struct str name, event;
	bool has_readers;              /* first times are counted */
} kinds[HIT_KIND_COUNT] = {
	[HIT_OPEN] = { STR_INIT("opens"), STR_INIT("opened"), true },
	[HIT_CLICK] = { STR_INIT("clicks"), STR_INIT("clicked"), true },
	[HIT_UNSUBSCRIBE] = { STR_INIT("unsubscribes"), STR_INIT("unsubscribed"), false },
};

struct str hit_event(enum hit_kind kind)
{
	return kinds[kind].event;
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
	static const char digits[] = "0123456789abcdef";
	char *text = arena_alloc(arena, 2 * octets.len);

	if (!text)
		return false;
	for (size_t i = 0; i < octets.len; i++) {
		text[2 * i] = digits[(unsigned char)octets.ptr[i] >> 4];
		text[2 * i + 1] = digits[octets.ptr[i] & 15];
	}
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

bool hit_reader(struct str tenant, struct str address, struct arena *arena, struct str *out)
{
	struct str lower;
	char octets[HIT_READER_LEN / 2];

	if (!arena_copy_lower(arena, address, &lower))
		return false;
	token_short(tenant, lower, octets);
	return to_hex(str_of(octets, sizeof octets), arena, out);
}

int64_t hit_ttl_us(const struct config *config)
{
	const struct record_class *class = config_find_class(config, HIT_CLASS);

	return (class ? class->keep_days : ACTION_DAYS) * DAY_US;
}

/* --- counting */

struct counting {
	struct store *st;
	struct arena *arena;
	struct err *err;
	int64_t ttl_us;
	struct str tenant, message, reader;    /* parts of keys */
	char day[JST_DATE_LEN + 1];
};

static bool add(struct counting *c, struct str key, int64_t *out_total)
{
	int64_t total;

	if (!c->st->ops->count_add(c->st, key, 1, c->ttl_us, &total, c->err))
		return false;
	if (out_total)
		*out_total = total;
	return true;
}

/* Of the day and of the message. */
static bool add_both(struct counting *c, struct str name, const char *suffix)
{
	struct str key;

	if (!arena_printf(c->arena, &key, "sekisho:{" STR_FMT "}:hits:day:%s:" STR_FMT "%s", STR_ARG(c->tenant), c->day,
			  STR_ARG(name), suffix) ||
	    !add(c, key, NULL))
		return false;
	return arena_printf(c->arena, &key, "sekisho:{" STR_FMT "}:hits:message:" STR_FMT ":" STR_FMT "%s", STR_ARG(c->tenant),
			    STR_ARG(c->message), STR_ARG(name), suffix) &&
	       add(c, key, NULL);
}

static bool is_first_of_reader(struct counting *c, struct str name, bool *out)
{
	struct str key;
	int64_t total = 0;

	if (!arena_printf(c->arena, &key, "sekisho:{" STR_FMT "}:hits:reader:" STR_FMT ":" STR_FMT ":" STR_FMT, STR_ARG(c->tenant),
			  STR_ARG(c->reader), STR_ARG(c->message), STR_ARG(name)) ||
	    !add(c, key, &total))
		return false;
	*out = total == 1;
	return true;
}

/* A link's own count; its first one notes where it leads. */
static bool add_link(struct counting *c, const struct hit *hit)
{
	const char *suffix = hit->flags ? ".flagged" : "";
	struct str key, url_key;
	int64_t total = 0;

	if (!arena_printf(c->arena, &key, "sekisho:{" STR_FMT "}:hits:message:" STR_FMT ":link:%u", STR_ARG(c->tenant),
			  STR_ARG(c->message), (unsigned)hit->link) ||
	    !add(c, key, &total))
		return false;
	if (hit->flags && (!arena_printf(c->arena, &key, STR_FMT "%s", STR_ARG(key), suffix) || !add(c, key, NULL)))
		return false;
	if (total != 1)
		return true;
	return arena_printf(c->arena, &url_key, "sekisho:{" STR_FMT "}:hits:message:" STR_FMT ":url:%u", STR_ARG(c->tenant),
			    STR_ARG(c->message), (unsigned)hit->link) &&
	       c->st->ops->put(c->st, url_key, str_slice(hit->url, 0, 4096), c->ttl_us, c->err);
}

bool hit_count(struct store *st, const struct hit *hit, int64_t ttl_us, struct arena *arena, struct err *err)
{
	struct counting c = { .st = st, .arena = arena, .err = err, .ttl_us = ttl_us, .tenant = hit->tenant, .reader = hit->reader };
	struct str name = kinds[hit->kind].name;
	bool is_first = false;

	err_set(err, ERR_BUSY, "out of memory");       /* what stands when a key could not be made */
	jst_format_date(jst_day(hit->time_us), c.day);
	if (!key_part(hit->message, false, arena, &c.message) || !add_both(&c, name, ""))
		return false;
	if (hit->flags && !add_both(&c, name, ".flagged"))
		return false;
	if (hit->link && !add_link(&c, hit))
		return false;
	if (hit->flags || !kinds[hit->kind].has_readers || !hit->reader.len)
		return true;
	return is_first_of_reader(&c, name, &is_first) && (!is_first || add_both(&c, name, ".unique"));
}

/* --- forgetting */

static bool forgotten_key(struct str tenant, struct str reader, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:forgotten:" STR_FMT, STR_ARG(tenant), STR_ARG(reader));
}

bool hit_is_forgotten(struct store *st, struct str tenant, struct str reader, struct arena *arena, bool *out, struct err *err)
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
};

static bool collect(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct found *found = arg;

	(void)value;
	(void)expires_us;
	if (found->count == found->room)
		return false;
	found->count += arena_copy(found->arena, key, &found->keys[found->count]);
	return true;
}

#define FORGET_STEP 1000

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
	for (size_t i = 0; ok && i < found.count; i++)
		ok = st->ops->put(st, found.keys[i], STR_EMPTY, 0, err);
	*out_removed = found.count;
	arena_clear(&arena);
	return ok;
}

bool hit_forget(struct store *st, struct str tenant, struct str reader, int64_t ttl_us, size_t *out_removed, struct err *err)
{
	struct arena arena;
	struct str key, prefix;
	size_t some = FORGET_STEP;
	bool ok;

	arena_init(&arena, 65536);
	*out_removed = 0;
	ok = (forgotten_key(tenant, reader, &arena, &key) &&
	      arena_printf(&arena, &prefix, "sekisho:{" STR_FMT "}:hits:reader:" STR_FMT ":", STR_ARG(tenant), STR_ARG(reader))) ||
	     err_memory(err);
	ok = ok && st->ops->put(st, key, STR("1"), ttl_us, err);
	for (; ok && some == FORGET_STEP; *out_removed += some)
		ok = remove_some(st, prefix, &some, err);
	arena_clear(&arena);
	return ok;
}
