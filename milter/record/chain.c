#include "milter/record/chain.h"

#include <stdlib.h>

#include "config/base/digest.h"

struct chain_hash {
	struct digest digest;
};

bool chain_hash_new(struct chain_hash **out, struct err *err)
{
	*out = calloc(1, sizeof **out);
	return *out || err_memory(err);
}

void chain_hash_free(struct chain_hash *hash)
{
	free(hash);
}

static void digest(struct chain_hash *hash, struct str text, unsigned char out[CHAIN_LEN])
{
	digest_begin(&hash->digest);
	digest_add(&hash->digest, text);
	digest_end(&hash->digest, out);
}

void chain_leaf(struct chain_hash *hash, struct str text, unsigned char out[CHAIN_LEN])
{
	digest(hash, text, out);
}

void chain_advance(struct chain_hash *hash, unsigned char chain[CHAIN_LEN], const unsigned char leaf[CHAIN_LEN])
{
	char both[2 * CHAIN_LEN];

	memcpy(both, chain, CHAIN_LEN);
	memcpy(both + CHAIN_LEN, leaf, CHAIN_LEN);
	digest(hash, str_of(both, sizeof both), chain);
}
