/* Any octets as a token, and as a key file: only what was sealed here opens, in one spelling. */
#include <assert.h>

#include "milter/link/token.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct token_keys *keys, const struct token *token, struct str text)
{
	struct token_sealer *sealer;
	struct buf out;

	buf_init(&out, 2 * TOKEN_MAX);
	assert(token_sealer_new(keys, &sealer, NULL));
	assert(token_seal(sealer, token, STR("t.example"), &out, NULL));
	assert(str_eq(buf_view(&out), text));
	token_sealer_free(sealer);
	buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum token_purpose purposes[] = { TOKEN_CLICK, TOKEN_OPEN, TOKEN_UNSUBSCRIBE };
	struct str input = str_of((const char *)data, size);
	struct token_keys *keys, *other;
	struct token token;
	struct arena arena;

	arena_init(&arena, (size_t)1 << 20);
	assert(token_keys_read(STR("1 " KEY), &keys, NULL));
	for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
		if (token_open(keys, purposes[i], STR("t.example"), input, &arena, &token))
			check_again(keys, &token, input);
	token_keys_free(keys);
	if (token_keys_read(input, &other, NULL))
		token_keys_free(other);
	arena_clear(&arena);
	return 0;
}
