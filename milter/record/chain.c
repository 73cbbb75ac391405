#include "milter/record/chain.h"

void chain_leaf(struct str text, unsigned char out[CHAIN_LEN])
{
	digest_of(text, out);
}

void chain_advance(unsigned char chain[CHAIN_LEN], const unsigned char leaf[CHAIN_LEN])
{
	struct digest digest;

	digest_begin(&digest);
	digest_add(&digest, str_of((const char *)chain, CHAIN_LEN));
	digest_add(&digest, str_of((const char *)leaf, CHAIN_LEN));
	digest_end(&digest, chain);
}
