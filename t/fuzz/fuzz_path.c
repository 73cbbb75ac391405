/* Any octets as the local part of a return path: what reads is of the right length, and only what was signed here is genuine. */
#include <assert.h>
#include <string.h>

#include "milter/link/path.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same facts, signed: reads as what it was, in either case. */
static void check_again(const struct token_keys *keys, struct path path)
{
	char local[PATH_LOCAL_LEN + 1];
	struct path again;

	assert(path_write(&path, keys, STR("acme"), STR("bounce.example"), local));
	assert(strlen(local) == PATH_LOCAL_LEN && path_read(str_from_c(local), &again));
	assert(strcmp(again.message, path.message) == 0 && again.owner == path.owner);
	assert(memcmp(again.recipient, path.recipient, PATH_RECIPIENT_LEN) == 0);
	assert(memcmp(again.sender, path.sender, PATH_SENDER_LEN) == 0);
	assert(path_is_genuine(&again, keys, STR("acme"), STR("BOUNCE.example")));
	assert(!path_is_genuine(&again, keys, STR("other"), STR("bounce.example")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct path path = { .owner = 0 };
	struct token_keys *keys;

	if (!path_read(str_of((const char *)data, size), &path))
		return 0;
	assert(size == PATH_LOCAL_LEN && path_made_us(&path) >= 0);
	assert(token_keys_read(STR("1 " KEY), &keys, NULL));
	path_is_genuine(&path, keys, STR("acme"), STR("bounce.example"));
	check_again(keys, path);
	token_keys_free(keys);
	return 0;
}
