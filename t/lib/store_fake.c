#include "t/lib/store_fake.h"

#include <inttypes.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/memory.h"
#include "policy/store_steps.h"

static struct store_fake *fake_of(struct store *st)
{
	return (struct store_fake *)st;
}

static bool works(const struct store_fake *fake, enum store_fake_verb verb, struct err *err)
{
	if (!(fake->failing & verb))
		return true;
	if (!fake->is_short)
		return err_set(err, ERR_BUSY, "the fake is gone");
	memory_ran_out();
	return err_memory(err);
}

static struct str keep(struct store_fake *fake, struct str s)
{
	struct str copy;

	if (!arena_copy(&fake->arena, s, &copy))
		abort();
	return copy;
}

static bool charge_windows(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	struct store_fake *fake = fake_of(st);

	if (!works(fake, FAKE_CHARGE, err))
		return false;
	if (charge->is_peek)
		fake->peeks++;
	else
		fake->charges++;
	fake->charge_id = keep(fake, charge->id);
	fake->take_count = charge->count;
	out->now_us = fake->now_us;
	out->is_taken = true;
	for (size_t i = 0; i < charge->count; i++) {
		const struct store_take *take = &charge->takes[i];

		fake->takes[i] = *take;
		fake->takes[i].key = keep(fake, take->key);
		out->taken[i] = fake->answers[i];
		out->taken[i].is_over = take->cost > take->limit - fake->answers[i].used;
		if (take->cost > take->limit)
			out->taken[i].retry_after_us = STORE_NEVER_US;
		out->is_taken &= !out->taken[i].is_over || !take->is_enforced;
	}
	return true;
}

static bool look_up(struct store *st, const struct store_charge *charge, bool *out_found, struct err *err)
{
	for (size_t i = 0; i < charge->asked_count; i++) {
		struct str value;
		bool found;

		if (!st->ops->get(st, charge->asked[i], &fake_of(st)->arena, &value, &found, err))
			return false;
		if (found)
			charge->on_found(charge->on_found_arg, i, value);
		*out_found |= found;
	}
	return true;
}

static const struct store_steps fake_steps = { .look_up = look_up, .windows = charge_windows };

static bool fake_charge(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	return store_charge_in_steps(st, &fake_steps, charge, out, err);
}

static bool fake_refund(struct store *st, struct str tenant, struct str id, struct err *err)
{
	struct store_fake *fake = fake_of(st);

	(void)tenant;
	if (!works(fake, FAKE_REFUND, err))
		return false;
	if (fake->refund_count < STORE_FAKE_REFUNDS_MAX)
		fake->refunds[fake->refund_count++] = keep(fake, id);
	return true;
}

static struct store_fake_fact *find(struct store_fake *fake, struct str key)
{
	for (size_t i = 0; i < fake->fact_count; i++)
		if (str_eq(fake->facts[i].key, key) && fake->facts[i].expires_us > clock_now_us())
			return &fake->facts[i];
	return NULL;
}

static struct store_fake_fact *add(struct store_fake *fake, struct str key, int64_t ttl_us)
{
	if (fake->fact_count == STORE_FAKE_FACTS_MAX)
		abort();
	struct store_fake_fact *fact = &fake->facts[fake->fact_count++];

	*fact = (struct store_fake_fact){ .key = keep(fake, key), .expires_us = clock_now_us() + ttl_us };
	return fact;
}

static bool fake_get(struct store *st, struct str key, struct arena *arena, struct str *out_value, bool *out_found,
		     struct err *err)
{
	struct store_fake *fake = fake_of(st);
	const struct store_fake_fact *fact = find(fake, key);

	fake->gets++;
	if (!works(fake, FAKE_GET, err))
		return false;
	*out_found = fact != NULL;
	if (!fact)
		return true;
	return fact->total ? arena_printf(arena, out_value, "%" PRId64, fact->total) : arena_copy(arena, fact->value, out_value);
}

static bool fake_put(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	struct store_fake *fake = fake_of(st);
	struct store_fake_fact *fact = find(fake, key);

	fake->puts++;
	if (!works(fake, FAKE_PUT, err))
		return false;
	if (!fact)
		fact = add(fake, key, ttl_us);
	fact->value = keep(fake, value);
	fact->expires_us = clock_now_us() + ttl_us;
	return true;
}

static bool fake_count_add(struct store *st, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total, struct err *err)
{
	struct store_fake *fake = fake_of(st);
	struct store_fake_fact *fact = find(fake, key);

	fake->counts++;
	if (!works(fake, FAKE_COUNT, err))
		return false;
	if (!fact)
		fact = add(fake, key, ttl_us);
	fact->total += n;
	*out_total = fact->total;
	return true;
}

static bool fake_scan(struct store *st, struct str prefix, store_scan_fn *fn, void *arg, struct err *err)
{
	struct store_fake *fake = fake_of(st);

	if (!works(fake, FAKE_SCAN, err))
		return false;
	for (size_t i = 0; i < fake->fact_count; i++)
		if (str_starts(fake->facts[i].key, prefix) && fake->facts[i].expires_us > clock_now_us() &&
		    !fn(arg, fake->facts[i].key, fake->facts[i].value, fake->facts[i].expires_us))
			break;
	return true;
}

static bool fake_open(const struct config *config, struct store **out, struct err *err)
{
	(void)config;
	(void)out;
	return err_set(err, ERR_CONFIG, "a fake is made by store_fake_init");
}

static void fake_close(struct store *st)
{
	(void)st;
}

static bool fake_may_have(struct store *st, struct str key)
{
	(void)key;
	return fake_of(st)->hints;
}

#define FAKE_OPS                                                                                                       \
	.name = "fake", .open = fake_open, .close = fake_close, .charge = fake_charge, .refund = fake_refund,          \
	.get = fake_get, .put = fake_put, .count_add = fake_count_add, .scan = fake_scan

static const struct store_ops store_fake_ops = { FAKE_OPS };
static const struct store_ops store_fake_far_ops = { FAKE_OPS, .may_have = fake_may_have };

void store_fake_set_far(struct store_fake *fake)
{
	fake->store.ops = &store_fake_far_ops;
}

void store_fake_init(struct store_fake *fake)
{
	*fake = (struct store_fake){ .store.ops = &store_fake_ops, .now_us = clock_now_us() };
	arena_init(&fake->arena, (size_t)16 << 20);
}

void store_fake_clear(struct store_fake *fake)
{
	arena_clear(&fake->arena);
}

const struct store_fake_fact *store_fake_find(const struct store_fake *fake, const char *key)
{
	return find((struct store_fake *)(uintptr_t)fake, str_from_c(key));
}
