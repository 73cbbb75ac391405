#include "policy/store_steps.h"

static bool mark_is_due(const struct store_charge *charge, const struct store_charged *out, const struct store_mark *mark)
{
	const struct store_take *take = &charge->takes[mark->take];
	const struct store_taken *taken = &out->taken[mark->take];

	if (mark->reaches == STORE_REFUSED)
		return !out->is_taken && taken->is_over && take->is_enforced;
	/* used + cost >= reaches, and may not pass the largest number */
	return out->is_taken && taken->used < mark->reaches && take->cost >= mark->reaches - taken->used;
}

static int64_t mark_ttl_us(const struct store_charge *charge, const struct store_charged *out, const struct store_mark *mark)
{
	const struct store_take *take = &charge->takes[mark->take];

	return take->window == WINDOW_CALENDAR ? out->taken[mark->take].resets_us - out->now_us : take->period_us;
}

bool store_charge_in_steps(struct store *st, const struct store_steps *steps, const struct store_charge *charge,
			   struct store_charged *out, struct err *err)
{
	struct store_charge own = *charge;
	bool found = false;

	if (charge->asked_count && !steps->look_up(st, charge, &found, err))
		return false;
	bool is_barred = found && charge->is_barred;

	own.is_peek |= is_barred;
	if (!steps->windows(st, &own, out, err))
		return false;
	out->is_taken &= !is_barred;
	for (size_t i = 0; i < charge->mark_count; i++) {
		const struct store_mark *mark = &charge->marks[i];

		out->marked[i] = !is_barred && mark_is_due(charge, out, mark);
		/* The charge stands by now, whatever becomes of its marks: told twice is better than never. */
		if (out->marked[i] && !charge->is_peek)
			st->ops->count_add(st, mark->key, 1, mark_ttl_us(charge, out, mark), &out->marked[i], NULL);
	}
	return true;
}
