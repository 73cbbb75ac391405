/*
 * siv - AES-256-SIV (RFC 5297) for many short texts under one key and one associated datum.
 *
 * OpenSSL's own SIV makes its keys ready anew for each text, which costs more than the text, and so does a new IV for its
 * CBC or CTR. Here two contexts (CBC for CMAC, ECB for the counters of CTR) are made once and never touched again, and so is
 * what the associated data contribute. Only sealing is here: opening is OpenSSL's, so that each token that opens has been
 * computed twice, independently.
 */
#ifndef SEKISHO_LINK_SIV_H
#define SEKISHO_LINK_SIV_H

#include <openssl/evp.h>

#include "config/base/str.h"

#define SIV_BLOCK 16
#define SIV_KEY_LEN 64

struct siv {
	EVP_CIPHER_CTX *cbc, *ecb;                       /* NULL: not to be used any more */
	unsigned char chain[SIV_BLOCK];                  /* the last block that `cbc` made */
	unsigned char subkey_whole[SIV_BLOCK], subkey_cut[SIV_BLOCK];    /* of CMAC: K1 and K2 */
};

struct siv_bound {
	unsigned char octets[SIV_BLOCK];
};

bool siv_init(struct siv *siv, const EVP_CIPHER *cbc, const EVP_CIPHER *ecb, const unsigned char key[SIV_KEY_LEN]);
void siv_clear(struct siv *siv);
/* What one string of associated data contributes to every text. */
bool siv_bind(struct siv *siv, struct str associated, struct siv_bound *out);
/* Encrypts `text` in place; its synthetic IV goes to `out_iv`. At least SIV_BLOCK octets. `work` has room for
 * len + SIV_BLOCK. */
bool siv_seal(struct siv *siv, const struct siv_bound *bound, unsigned char *text, size_t len, unsigned char *work,
	      unsigned char out_iv[SIV_BLOCK]);

#endif
