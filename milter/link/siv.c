#include "milter/link/siv.h"

/* RFC 5297 2.3: multiplication by x in GF(2^128). */
static void dbl(unsigned char block[SIV_BLOCK])
{
	unsigned carry = block[0] >> 7;

	for (size_t i = 0; i + 1 < SIV_BLOCK; i++)
		block[i] = (unsigned char)(block[i] << 1 | block[i + 1] >> 7);
	block[SIV_BLOCK - 1] = (unsigned char)(block[SIV_BLOCK - 1] << 1 ^ (carry ? 0x87 : 0));
}

static void mix(unsigned char *into, const unsigned char *with)
{
	for (size_t i = 0; i < SIV_BLOCK; i++)
		into[i] ^= with[i];
}

static bool run(EVP_CIPHER_CTX *ctx, const unsigned char iv[SIV_BLOCK], const unsigned char *in, unsigned char *out,
		size_t len)
{
	int n = 0;

	return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv) == 1 &&
	       EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1 && (size_t)n == len;
}

bool siv_init(struct siv *siv, const EVP_CIPHER *cbc, const EVP_CIPHER *ctr, const unsigned char key[SIV_KEY_LEN])
{
	static const unsigned char zero[SIV_BLOCK];

	*siv = (struct siv){ .cbc = EVP_CIPHER_CTX_new(), .ctr = EVP_CIPHER_CTX_new() };
	if (!siv->cbc || !siv->ctr || EVP_EncryptInit_ex2(siv->cbc, cbc, key, zero, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(siv->cbc, 0) != 1 ||
	    EVP_EncryptInit_ex2(siv->ctr, ctr, key + SIV_KEY_LEN / 2, zero, NULL) != 1 ||
	    !run(siv->cbc, zero, zero, siv->subkey_whole, SIV_BLOCK)) {
		siv_clear(siv);
		return false;
	}
	dbl(siv->subkey_whole);
	memcpy(siv->subkey_cut, siv->subkey_whole, SIV_BLOCK);
	dbl(siv->subkey_cut);
	return true;
}

void siv_clear(struct siv *siv)
{
	EVP_CIPHER_CTX_free(siv->cbc);
	EVP_CIPHER_CTX_free(siv->ctr);
	*siv = (struct siv){ .cbc = NULL };
}

/* CMAC (RFC 4493): CBC over the text, whose last block is completed and mixed with a subkey. `work` is overwritten; it
 * has room for len rounded up to whole blocks. */
static bool cmac(struct siv *siv, unsigned char *work, size_t len, unsigned char out[SIV_BLOCK])
{
	static const unsigned char zero[SIV_BLOCK];
	size_t whole = len ? (len + SIV_BLOCK - 1) / SIV_BLOCK * SIV_BLOCK : SIV_BLOCK;

	memset(work + len, 0, whole - len);
	if (len < whole)
		work[len] = 0x80;
	mix(work + whole - SIV_BLOCK, len < whole ? siv->subkey_cut : siv->subkey_whole);
	if (!run(siv->cbc, zero, work, work, whole))
		return false;
	memcpy(out, work + whole - SIV_BLOCK, SIV_BLOCK);
	return true;
}

bool siv_bind(struct siv *siv, struct str associated, struct siv_bound *out)
{
	unsigned char work[512] = { 0 }, mac[SIV_BLOCK];

	if (associated.len > sizeof work - SIV_BLOCK || !cmac(siv, work, SIV_BLOCK, out->octets))
		return false;
	memcpy(work, associated.ptr, associated.len);
	if (!cmac(siv, work, associated.len, mac))
		return false;
	dbl(out->octets);
	mix(out->octets, mac);
	return true;
}

bool siv_seal(struct siv *siv, const struct siv_bound *bound, unsigned char *text, size_t len, unsigned char *work,
	      unsigned char out_iv[SIV_BLOCK])
{
	unsigned char counter[SIV_BLOCK];

	memcpy(work, text, len);
	mix(work + len - SIV_BLOCK, bound->octets);
	if (!cmac(siv, work, len, out_iv))
		return false;
	memcpy(counter, out_iv, SIV_BLOCK);
	/* RFC 5297 2.5: two bits are cleared, so that counters may be added in words of 32. */
	counter[8] &= 0x7f;
	counter[12] &= 0x7f;
	return run(siv->ctr, counter, text, text, len);
}
