#include "policy/store_copy.h"

#include "config/base/clock.h"
#include "policy/window.h"

/* Memory for the source's keys and values, all at once: a scan must not wait for the other store. */
#define COPY_MEMORY_MAX ((size_t)4 << 30)

struct one {
	struct one *next;
	struct str key, value;
	int64_t expires_us;
};

struct all {
	struct arena arena;
	struct one *first, **last;
	int64_t count;
	bool is_short_of_memory;
};

static bool collect(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct all *all = arg;
	struct one *one = arena_new(&all->arena, struct one);

	if (!one || !arena_copy(&all->arena, key, &one->key) || !arena_copy(&all->arena, value, &one->value)) {
		all->is_short_of_memory = true;
		return false;
	}
	one->expires_us = expires_us;
	*all->last = one;
	all->last = &one->next;
	all->count++;
	return true;
}

/* "sekisho:{acme}:q:..." is of tenant acme and family q. */
static bool split_key(struct str key, struct str *out_tenant, struct str *out_family)
{
	struct str before, rest, tenant, after, family, more;

	if (!str_starts(key, STR("sekisho:{")) || !str_cut(key, '{', &before, &rest) ||
	    !str_cut(rest, '}', &tenant, &after) || !str_starts(after, STR(":")))
		return false;
	family = str_from(after, 1);
	str_cut(family, ':', &family, &more);
	*out_tenant = tenant;
	*out_family = family;
	return true;
}

static bool next_number(struct str *rest, int64_t *out)
{
	struct str word;

	return str_next(rest, ' ', &word) && num_parse_i64(word, out) && *out >= 0;
}

/* As store_redis_script.c's scan shows a window: shape, what is used, and what drains it. */
static bool read_redis_window(struct str text, struct store_take *take)
{
	struct str shape, slots, period;
	int64_t number, drain;

	if (!str_next(&text, ' ', &shape) || shape.len < 2 || !next_number(&text, &take->cost) ||
	    !next_number(&text, &drain))
		return false;
	take->limit = shape.ptr[0] == 'b' ? drain : LIMIT_NONE;
	if (shape.ptr[0] == 'r') {
		take->window = WINDOW_ROLLING;
		return str_cut(str_from(shape, 1), ':', &slots, &period) && num_parse_i64(period, &take->period_us);
	}
	if (!num_parse_i64(str_from(shape, 1), &number) || number < 0)
		return false;
	if (shape.ptr[0] == 'b') {
		take->window = WINDOW_BURST;
		take->period_us = number;
		return true;
	}
	take->window = WINDOW_CALENDAR;
	take->calendar = (enum calendar_unit)number;
	return shape.ptr[0] == 'c' && number <= CALENDAR_MONTH;
}

/* The embedded store's own bytes. */
static bool read_own_window(struct str bytes, struct store_take *take)
{
	struct window_state state;
	struct store_taken taken;

	if (!window_shape(bytes, take))
		return false;
	window_decode(take, bytes, &state);
	window_look(take, &state, clock_now_us(), &taken);
	take->cost = taken.used;
	take->limit = take->window == WINDOW_BURST ? state.drain : LIMIT_NONE;
	return true;
}

static bool copy_window(struct store *to, struct str tenant, const struct one *one, struct store_copied *out,
			struct err *err)
{
	struct store_take take = { .key = one->key };
	struct store_taken taken;
	struct store_charge charge = { .tenant = tenant, .id = STR("copy"), .takes = &take, .count = 1 };
	struct store_charged charged = { .taken = &taken };

	if (!read_own_window(one->value, &take) && !read_redis_window(one->value, &take)) {
		out->skipped++;
		return true;
	}
	out->windows++;
	return to->ops->put(to, one->key, STR_EMPTY, 0, err) && to->ops->charge(to, &charge, &charged, err);
}

static bool copy_one(struct store *to, const struct one *one, struct store_copied *out, struct err *err)
{
	int64_t n, total, ttl_us = one->expires_us - clock_now_us();
	struct str tenant, family;

	if (!split_key(one->key, &tenant, &family) || str_eq(family, STR("charge")) || str_eq(family, STR("keys")) ||
	    str_eq(family, STR("mark")) || ttl_us <= 0) {
		out->skipped++;
		return true;
	}
	if (str_eq(family, STR("q")))
		return copy_window(to, tenant, one, out, err);
	if (!num_parse_i64(one->value, &n)) {
		out->values++;
		return to->ops->put(to, one->key, one->value, ttl_us, err);
	}
	out->counters++;
	return to->ops->put(to, one->key, STR_EMPTY, 0, err) &&
	       to->ops->count_add(to, one->key, n, ttl_us, &total, err);
}

bool store_copy(struct store *from, struct store *to, void (*progress)(int64_t done, int64_t total),
		struct store_copied *out, struct err *err)
{
	struct all all = { .last = &all.first };
	int64_t done = 0;
	bool ok;

	*out = (struct store_copied){ 0 };
	arena_init(&all.arena, COPY_MEMORY_MAX);
	ok = from->ops->scan(from, STR(""), collect, &all, err);
	if (ok && all.is_short_of_memory)
		ok = err_memory(err);
	for (struct one *one = all.first; ok && one; one = one->next) {
		ok = copy_one(to, one, out, err) || err_wrap(err, STR_FMT, STR_ARG(one->key));
		if (progress && ++done % 100 == 0)
			progress(done, all.count);
	}
	arena_clear(&all.arena);
	return ok;
}
