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

void hex_write(const unsigned char *octets, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[octets[i] >> 4];
		out[2 * i + 1] = digits[octets[i] & 15];
	}
}

bool hex_read(struct str hex, unsigned char *out, size_t n)
{
	/* Value and 0x10 for a digit: verify reads one of these for every few hundred octets it hashes. */
	static const unsigned char digits[256] = {
		['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15, ['6'] = 0x16, ['7'] = 0x17,
		['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b, ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f,
	};
	const unsigned char *at = (const unsigned char *)hex.ptr;
	unsigned all = 0x10;

	if (hex.len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned high = digits[at[2 * i]], low = digits[at[2 * i + 1]];

		all &= high & low;
		out[i] = (unsigned char)(high << 4 | (low & 15));
	}
	return all == 0x10;
}
