#include "milter/record/chain.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct chain_hash {
	EVP_MD *sha256;
	EVP_MD_CTX *ctx;
};

bool chain_hash_new(struct chain_hash **out, struct err *err)
{
	struct chain_hash *hash = calloc(1, sizeof *hash);

	if (!hash)
		return err_memory(err);
	hash->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hash->ctx = EVP_MD_CTX_new();
	if (!hash->sha256 || !hash->ctx || !EVP_DigestInit_ex2(hash->ctx, hash->sha256, NULL)) {
		chain_hash_free(hash);
		return err_set(err, ERR_BUSY, "OpenSSL offers no SHA-256");
	}
	*out = hash;
	return true;
}

void chain_hash_free(struct chain_hash *hash)
{
	if (!hash)
		return;
	EVP_MD_CTX_free(hash->ctx);
	EVP_MD_free(hash->sha256);
	free(hash);
}

/* With the digest already set these calls want at most a hundred octets of OpenSSL, and cannot fail but for them. */
static void digest(struct chain_hash *hash, struct str text, unsigned char out[CHAIN_LEN])
{
	unsigned len = 0;
	bool ok = EVP_DigestInit_ex2(hash->ctx, NULL, NULL) && EVP_DigestUpdate(hash->ctx, text.ptr, text.len) &&
		  EVP_DigestFinal_ex(hash->ctx, out, &len);

	assert(ok && len == CHAIN_LEN);
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
