/*
 * hit_count: many hits, each counter once.
 *
 * Counters are gathered in a table by key. Readers' go to the store first: the answer tells whether it is this reader's
 * first time, which is one more counter; links' tell whether where they lead has been noted yet.
 */
#include <assert.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "milter/rewrite.h"
#include "milter/track/hit.h"
#include "policy/key.h"

#define SLOTS_PER_HIT 16               /* a hit has at most nine counters */
#define PIECES 12

static const struct {
	struct str name;
	bool has_readers;              /* first times are counted */
} kinds[HIT_KIND_COUNT] = {
	[HIT_OPEN] = { STR_INIT("opens"), true },
	[HIT_CLICK] = { STR_INIT("clicks"), true },
	[HIT_UNSUBSCRIBE] = { STR_INIT("unsubscribes"), false },
};

enum role { ROLE_PLAIN, ROLE_READER, ROLE_LINK };

struct counter {
	struct str key;                /* empty: the slot is free */
	int64_t n;
	enum role role;
	const struct hit *hit;         /* the first that counted here */
};

struct counting {
	struct store *st;
	struct arena *arena;
	struct err *err;
	int64_t ttl_us;
	struct counter *slots;
	size_t slot_count;
	bool is_url_lost;              /* where a link leads could not be noted: `err` says why */
};

static bool join(struct counting *c, const struct str *pieces, char *room, size_t room_len, struct str *out)
{
	size_t len = 0;

	for (; pieces->ptr; pieces++) {
		if (pieces->len > room_len - len)
			return err_set(c->err, ERR_INPUT, "a counter's key is too long");
		memcpy(room + len, pieces->ptr, pieces->len);
		len += pieces->len;
	}
	*out = str_of(room, len);
	return true;
}

/* One more in the counter whose key the pieces make; the last of them is { NULL }. */
static bool gather(struct counting *c, enum role role, const struct hit *hit, const struct str *pieces)
{
	char room[STORE_KEY_MAX];
	struct counter *slot;
	struct str key;

	if (!join(c, pieces, room, sizeof room, &key))
		return false;
	for (uint64_t at = str_hash(key);; at++) {
		slot = &c->slots[at % c->slot_count];
		if (slot->key.len == 0 || str_eq(slot->key, key))
			break;
	}
	if (slot->key.len == 0) {
		*slot = (struct counter){ .role = role, .hit = hit };
		if (!arena_copy(c->arena, key, &slot->key))
			return err_memory(c->err);
	}
	slot->n++;
	return true;
}

/* Of the day and of the message. */
static bool gather_both(struct counting *c, const struct hit *hit, struct str message, struct str suffix)
{
	struct str name = kinds[hit->kind].name;
	char date[JST_DATE_LEN + 1];

	jst_format_date(jst_day(hit->time_us), date);

	const struct str day[PIECES] = {
		STR("sekisho:{"), hit->tenant, STR("}:hits:day:"), str_of(date, JST_DATE_LEN), STR(":"), name, suffix
	};
	const struct str all[PIECES] = {
		STR("sekisho:{"), hit->tenant, STR("}:hits:message:"), message, STR(":"), name, suffix
	};

	return gather(c, ROLE_PLAIN, hit, day) && gather(c, ROLE_PLAIN, hit, all);
}

static bool gather_link(struct counting *c, const struct hit *hit, struct str message)
{
	char number[8];
	struct str link = { number, (size_t)snprintf(number, sizeof number, "%u", (unsigned)hit->link) };
	struct str pieces[PIECES] = { STR("sekisho:{"), hit->tenant,   STR("}:hits:message:"),
				      message,		STR(":link:"), link };

	if (!gather(c, ROLE_LINK, hit, pieces))
		return false;
	pieces[6] = STR(".flagged");
	return !hit->flags || gather(c, ROLE_PLAIN, hit, pieces);
}

static bool gather_hit(struct counting *c, const struct hit *hit)
{
	struct str message;

	if (!key_part(hit->message, false, c->arena, &message))
		return err_memory(c->err);

	const struct str reader[PIECES] = { STR("sekisho:{"), hit->tenant, STR("}:hits:reader:"), hit->reader, STR(":"),
					    message,	      STR(":"),	   kinds[hit->kind].name };
	bool is_numbered = hit->link && !str_eq(hit->message, STR(REWRITE_ANONYMOUS));
	bool is_persons = !hit->flags && kinds[hit->kind].has_readers && hit->reader.len;

	return gather_both(c, hit, message, STR("")) &&
	       (!hit->flags || gather_both(c, hit, message, STR(".flagged"))) &&
	       (!is_numbered || gather_link(c, hit, message)) && (!is_persons || gather(c, ROLE_READER, hit, reader));
}

/* Where a link leads is noted with its first hit. */
static bool note_url(struct counting *c, const struct hit *hit)
{
	struct str message, key;

	if (!key_part(hit->message, false, c->arena, &message) ||
	    !arena_printf(c->arena, &key, "sekisho:{" STR_FMT "}:hits:message:" STR_FMT ":url:%u", STR_ARG(hit->tenant),
			  STR_ARG(message), (unsigned)hit->link))
		return err_memory(c->err);
	return (c->st->ops->note ? c->st->ops->note : c->st->ops->put)(c->st, key, str_slice(hit->url, 0, 4096), c->ttl_us, c->err);
}

static bool store_one(struct counting *c, const struct counter *counter)
{
	struct str message;
	int64_t total;

	if (!c->st->ops->count_add(c->st, counter->key, counter->n, c->ttl_us, &total, c->err))
		return false;
	if (counter->role == ROLE_PLAIN || total != counter->n)
		return true;
	/* While a shared store is away it can be counted, and not noted: then the counts at least. */
	if (counter->role == ROLE_LINK) {
		c->is_url_lost |= !note_url(c, counter->hit);
		return true;
	}
	return (key_part(counter->hit->message, false, c->arena, &message) || err_memory(c->err)) &&
	       gather_both(c, counter->hit, message, STR(".unique"));
}

static bool store_all(struct counting *c, enum role role)
{
	for (size_t i = 0; i < c->slot_count; i++)
		if (c->slots[i].key.len && c->slots[i].role == role && !store_one(c, &c->slots[i]))
			return false;
	return true;
}

bool hit_count(struct store *st, const struct hit *const hits[], size_t count, int64_t ttl_us, struct arena *arena,
	       struct err *err)
{
	struct counting c = { .st = st, .arena = arena, .err = err, .ttl_us = ttl_us };

	assert(count <= HIT_BATCH_MAX);
	c.slot_count = SLOTS_PER_HIT * (count + 1);
	c.slots = arena_array(arena, c.slot_count, sizeof *c.slots);
	if (!c.slots)
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		if (!gather_hit(&c, hits[i]))
			return false;
	return store_all(&c, ROLE_READER) && store_all(&c, ROLE_LINK) && store_all(&c, ROLE_PLAIN) && !c.is_url_lost;
}
