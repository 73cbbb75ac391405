/*
 * OpenSSL 3.0 calls these functions deprecated. Those in their stead ask for memory for each digest, and can fail: what a
 * digest stands for (a key of the store, a link of the chain) would have no name then, or another's.
 */
#define OPENSSL_API_COMPAT 0x10100000L
#include "config/base/digest.h"

void digest_begin(struct digest *digest)
{
	SHA256_Init(&digest->ctx);
}

void digest_add(struct digest *digest, struct str octets)
{
	SHA256_Update(&digest->ctx, octets.ptr, octets.len);
}

void digest_end(struct digest *digest, unsigned char out[DIGEST_LEN])
{
	SHA256_Final(out, &digest->ctx);
}

void digest_of(struct str octets, unsigned char out[DIGEST_LEN])
{
	struct digest digest;

	digest_begin(&digest);
	digest_add(&digest, octets);
	digest_end(&digest, out);
}
