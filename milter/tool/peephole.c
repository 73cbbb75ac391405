#include "milter/tool/peephole.h"

/* Every peephole begins with its store. */
static struct store *behind(struct store *st)
{
	return ((struct peephole *)st)->behind;
}

static bool peep_charge(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	struct store_charge look = *charge;

	look.is_peek = true;
	return behind(st)->ops->charge(behind(st), &look, out, err);
}

static bool peep_refund(struct store *st, struct str tenant, struct str id, struct err *err)
{
	(void)st, (void)tenant, (void)id, (void)err;
	return true;
}

static bool peep_get(struct store *st, struct str key, struct arena *arena, struct str *out_value, bool *out_found,
		     struct err *err)
{
	return behind(st)->ops->get(behind(st), key, arena, out_value, out_found, err);
}

static bool peep_put(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	(void)st, (void)key, (void)value, (void)ttl_us, (void)err;
	return true;
}

/* As if for the first time: a warning that this message would raise is told. */
static bool peep_count_add(struct store *st, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total, struct err *err)
{
	(void)st, (void)key, (void)ttl_us, (void)err;
	*out_total = n;
	return true;
}

static bool peep_scan(struct store *st, struct str prefix, store_scan_fn *fn, void *arg, struct err *err)
{
	return behind(st)->ops->scan(behind(st), prefix, fn, arg, err);
}

static const struct store_ops peep_ops = {
	.name = "peephole",
	.charge = peep_charge,
	.refund = peep_refund,
	.get = peep_get,
	.put = peep_put,
	.count_add = peep_count_add,
	.scan = peep_scan,
};

void peephole_init(struct peephole *peephole, struct store *behind)
{
	*peephole = (struct peephole){ .store = { .ops = &peep_ops }, .behind = behind };
}
