/*
 * digest - SHA-256 of octets that come in pieces. It needs no memory and cannot fail.
 */
#ifndef SEKISHO_DIGEST_H
#define SEKISHO_DIGEST_H

#include <openssl/sha.h>

#include "config/base/str.h"

#define DIGEST_LEN SHA256_DIGEST_LENGTH

struct digest {
	SHA256_CTX ctx;
};

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, struct str octets);
void digest_end(struct digest *digest, unsigned char out[DIGEST_LEN]);
/* The same of octets that are all there. */
void digest_of(struct str octets, unsigned char out[DIGEST_LEN]);

#endif
