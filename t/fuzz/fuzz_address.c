/* Any octets as an envelope path and as a From field: no crash, and what comes out is spelt for good. */
#include <assert.h>

#include "milter/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str address, struct arena *arena)
{
	struct str again;

	assert(address_parse_path(address, arena, &again, NULL));
	assert(str_eq(address, again));
	assert(address_domain(address).len <= address.len);
	for (size_t i = 0; i < address.len; i++)
		assert(address.ptr[i] != '\0' && address.ptr[i] != '\r' && address.ptr[i] != '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size), path;
	struct address_list list;
	struct arena arena;

	arena_init(&arena, (size_t)1 << 20);
	if (address_parse_path(input, &arena, &path, NULL))
		check(path, &arena);
	if (address_parse_list(input, &arena, &list, NULL))
		for (size_t i = 0; i < list.count && !list.is_broken; i++)
			check(list.items[i], &arena);
	arena_clear(&arena);
	return 0;
}
