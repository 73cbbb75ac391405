#include "policy/store_local_left.h"

#include "policy/window.h"

static struct left_entry *entry_of(struct left *left, uint64_t hash)
{
	return &left->entries[hash % LEFT_ENTRIES];
}

/* When the last of what is used now has gone. A rolling window is up to one slot longer than its period. */
static int64_t gone_us(const struct store_take *take, const struct store_taken *taken, int64_t now_us)
{
	if (take->window == WINDOW_CALENDAR)
		return taken->resets_us;
	return now_us + take->period_us + take->period_us / window_slots(take->period_us) + 1;
}

void left_note(struct left *left, const struct store_charge *charge, const struct store_charged *charged, int64_t now_us)
{
	if (charge->is_peek)
		return;
	pthread_mutex_lock(&left->mutex);
	for (size_t i = 0; i < charge->count; i++) {
		const struct store_take *take = &charge->takes[i];
		const struct store_taken *taken = &charged->taken[i];
		uint64_t hash = str_hash(take->key);
		struct left_entry entry = { hash, taken->used, gone_us(take, taken, now_us) };

		if (charged->is_taken && __builtin_add_overflow(entry.used, take->cost, &entry.used))
			entry.used = INT64_MAX;
		*entry_of(left, hash) = entry;
	}
	pthread_mutex_unlock(&left->mutex);
}

int64_t left_of(struct left *left, const struct store_take *take, int64_t now_us)
{
	uint64_t hash = str_hash(take->key);

	pthread_mutex_lock(&left->mutex);
	struct left_entry entry = *entry_of(left, hash);

	pthread_mutex_unlock(&left->mutex);
	if (take->limit == LIMIT_NONE || entry.hash != hash || entry.until_us <= now_us)
		return take->limit;
	return entry.used < take->limit ? take->limit - entry.used : 0;
}
