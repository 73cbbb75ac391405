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

static bool encrypt(EVP_CIPHER_CTX *ctx, unsigned char *blocks, size_t len)
{
	int n = 0;

	return ctx && EVP_EncryptUpdate(ctx, blocks, &n, blocks, (int)len) == 1 && (size_t)n == len;
}

/* CMAC (RFC 4493): CBC over the text, whose last block is completed and mixed with a subkey. `work` is overwritten; it
 * has room for len rounded up to whole blocks. */
static bool cmac(struct siv *siv, unsigned char *work, size_t len, unsigned char out[SIV_BLOCK])
{
	size_t whole = len ? (len + SIV_BLOCK - 1) / SIV_BLOCK * SIV_BLOCK : SIV_BLOCK;

	memset(work + len, 0, whole - len);
	if (len < whole)
		work[len] = 0x80;
	mix(work + whole - SIV_BLOCK, len < whole ? siv->subkey_cut : siv->subkey_whole);
	mix(work, siv->chain);                 /* with what the context will mix in itself: the IV is zero */
	if (!encrypt(siv->cbc, work, whole)) {
		siv_clear(siv);                /* what it will mix in is unknown now */
		return false;
	}
	memcpy(siv->chain, work + whole - SIV_BLOCK, SIV_BLOCK);
	memcpy(out, siv->chain, SIV_BLOCK);
	return true;
}

/* CTR: `text` mixed with the encrypted counters from `iv` on. `work` as above. */
static bool mix_stream(struct siv *siv, const unsigned char iv[SIV_BLOCK], unsigned char *text, size_t len, unsigned char *work)
{
	size_t whole = (len + SIV_BLOCK - 1) / SIV_BLOCK * SIV_BLOCK;
	unsigned char counter[SIV_BLOCK];

	/* RFC 5297 2.5: two bits are cleared, so that only the last word ever counts. */
	memcpy(counter, iv, SIV_BLOCK);
	counter[8] &= 0x7f;
	counter[12] &= 0x7f;
	for (size_t at = 0; at < whole; at += SIV_BLOCK) {
		memcpy(work + at, counter, SIV_BLOCK);
		for (size_t i = SIV_BLOCK - 1; ++counter[i] == 0; i--)
			;
	}
	if (!encrypt(siv->ecb, work, whole))
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] ^= work[i];
	return true;
}

static EVP_CIPHER_CTX *context_new(const EVP_CIPHER *cipher, const unsigned char *key, const unsigned char *iv)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL) == 1 && EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

bool siv_init(struct siv *siv, const EVP_CIPHER *cbc, const EVP_CIPHER *ecb, const unsigned char key[SIV_KEY_LEN])
{
	static const unsigned char zero[SIV_BLOCK];

	*siv = (struct siv){ .cbc = context_new(cbc, key, zero), .ecb = context_new(ecb, key + SIV_KEY_LEN / 2, NULL) };
	if (!siv->cbc || !siv->ecb || !encrypt(siv->cbc, siv->subkey_whole, SIV_BLOCK)) {
		siv_clear(siv);
		return false;
	}
	memcpy(siv->chain, siv->subkey_whole, SIV_BLOCK);
	dbl(siv->subkey_whole);
	memcpy(siv->subkey_cut, siv->subkey_whole, SIV_BLOCK);
	dbl(siv->subkey_cut);
	return true;
}

void siv_clear(struct siv *siv)
{
	EVP_CIPHER_CTX_free(siv->cbc);
	EVP_CIPHER_CTX_free(siv->ecb);
	*siv = (struct siv){ .cbc = NULL };
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
	memcpy(work, text, len);
	mix(work + len - SIV_BLOCK, bound->octets);
	return cmac(siv, work, len, out_iv) && mix_stream(siv, out_iv, text, len, work);
}
