#include "policy/store_redis_hints.h"

static uint64_t hash_of(struct str key)
{
	uint64_t hash = str_hash(key);

	return hash ? hash : 1;
}

void redis_hints_note(struct redis_hints *hints, struct str key, bool has_value)
{
	uint64_t hash = hash_of(key);
	uint_fast64_t was = hash;

	if (has_value)
		atomic_store_explicit(&hints->hashes[hash % REDIS_HINTS], hash, memory_order_relaxed);
	else
		atomic_compare_exchange_strong(&hints->hashes[hash % REDIS_HINTS], &was, 0);
}

bool redis_hints_have(const struct redis_hints *hints, struct str key)
{
	uint64_t hash = hash_of(key);

	return atomic_load_explicit(&hints->hashes[hash % REDIS_HINTS], memory_order_relaxed) == hash;
}
