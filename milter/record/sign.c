#include "milter/record/sign.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/digest.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/memory.h"

#define FILE_MAX ((size_t)64 << 10)

struct sign_key {
	EVP_PKEY *pkey;
	struct sign_public public;
};

/* --- memory */

static void *count_realloc(void *old, size_t n, const char *file, int line)
{
	void *ptr = n ? realloc(old, n) : NULL;

	(void)file;
	(void)line;
	if (n == 0)
		free(old);
	else if (!ptr)
		memory_ran_out();
	return ptr;
}

static void *count_malloc(size_t n, const char *file, int line)
{
	return count_realloc(NULL, n, file, line);
}

static void let_go(void *ptr, const char *file, int line)
{
	(void)file;
	(void)line;
	free(ptr);
}

void sign_count_shortages(void)
{
	CRYPTO_set_mem_functions(count_malloc, count_realloc, let_go);
}

/* --- keys */

void sign_id_of(const unsigned char raw[SIGN_KEY_LEN], char out[SIGN_ID_LEN + 1])
{
	unsigned char octets[DIGEST_LEN];

	digest_of(str_of((const char *)raw, SIGN_KEY_LEN), octets);
	hex_write(octets, SIGN_ID_LEN / 2, out);
	out[SIGN_ID_LEN] = '\0';
}

/* Nobody is at the terminal: a PEM file under a passphrase is refused, not asked for. */
static int no_passphrase(char *out, int size, int is_writing, void *arg)
{
	(void)out;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static bool public_of(EVP_PKEY *pkey, struct sign_public *out)
{
	size_t len = SIGN_KEY_LEN;

	if (!EVP_PKEY_is_a(pkey, "ED25519") || !EVP_PKEY_get_raw_public_key(pkey, out->raw, &len) || len != SIGN_KEY_LEN)
		return false;
	sign_id_of(out->raw, out->id);
	return true;
}

static EVP_PKEY *read_private(struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	return pkey;
}

/* The usual first error of all: what to do about it. */
static void tell_missing(const char *path, struct err *err)
{
	char user[IO_USER_MAX];

	if (access(path, F_OK) == 0 || errno != ENOENT)
		return;
	io_user(user);
	err_set(err, ERR_CONFIG, "%s: there is no such key; make it with: sekisho key new --owner %s %s", path, user, path);
}

bool sign_key_load(const char *path, struct sign_key **out, struct err *err)
{
	unsigned long shortages = memory_shortages();
	struct sign_key *key = calloc(1, sizeof *key);
	struct buf pem;
	bool ok = false;

	if (!key)
		return err_memory(err);
	buf_init(&pem, FILE_MAX);
	if (!io_read_secret(path, &pem, err)) {
		tell_missing(path, err);
		goto done;
	}
	key->pkey = read_private(buf_view(&pem));
	bool is_key = key->pkey && public_of(key->pkey, &key->public);

	if (memory_shortages() != shortages) {
		err_memory(err);
		goto done;
	}
	if (!is_key) {
		err_set(err, ERR_CONFIG, "%s: not an Ed25519 private key in PEM; move it away, and make one with: sekisho key new %s",
			path, path);
		goto done;
	}
	*out = key;
	key = NULL;
	ok = true;
done:
	if (pem.ptr)
		explicit_bzero(pem.ptr, pem.size);
	buf_clear(&pem);
	sign_key_free(key);
	return ok;
}

void sign_key_free(struct sign_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

const char *sign_key_id(const struct sign_key *key)
{
	return key->public.id;
}

const unsigned char *sign_key_public(const struct sign_key *key)
{
	return key->public.raw;
}

bool sign_text(const struct sign_key *key, struct str text, char out[SIGN_BASE64_LEN + 1], struct err *err)
{
	unsigned char sig[SIGN_LEN];
	size_t len = sizeof sig;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) &&
		  EVP_DigestSign(ctx, sig, &len, (const unsigned char *)text.ptr, text.len) && len == SIGN_LEN;

	EVP_MD_CTX_free(ctx);
	if (!ok)
		return err_set(err, ERR_BUSY, "OpenSSL cannot sign with key %s", key->public.id);
	EVP_EncodeBlock((unsigned char *)out, sig, SIGN_LEN);
	return true;
}

static bool add_public(EVP_PKEY *pkey, struct sign_publics *out)
{
	bool ok = out->count < SIGN_KEYS_MAX && public_of(pkey, &out->keys[out->count]);

	EVP_PKEY_free(pkey);
	if (ok)
		out->count++;
	return ok;
}

static bool read_publics(struct str pem, struct sign_publics *out)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *pkey;
	bool ok = bio != NULL;

	while (ok && (pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL)) != NULL)
		ok = add_public(pkey, out);
	BIO_free(bio);
	if (ok && out->count == 0 && (pkey = read_private(pem)) != NULL)
		ok = add_public(pkey, out);
	return ok && out->count;
}

bool sign_publics_load(const char *path, struct sign_publics *out, struct err *err)
{
	struct sign_publics publics = { .count = 0 };
	unsigned long shortages = memory_shortages();
	struct buf pem;
	bool ok = false;

	buf_init(&pem, FILE_MAX);
	if (io_read_file(path, &pem, err)) {
		ok = read_publics(buf_view(&pem), &publics) ||
		     err_set(err, ERR_CONFIG, "%s: no Ed25519 public key in PEM (at most %d)", path, SIGN_KEYS_MAX);
		ok = memory_shortages() == shortages ? ok : err_memory(err);
		if (ok)
			*out = publics;
		explicit_bzero(pem.ptr, pem.size);
	}
	buf_clear(&pem);
	return ok;
}

const struct sign_public *sign_publics_find(const struct sign_publics *publics, struct str id)
{
	for (size_t i = 0; i < publics->count; i++)
		if (str_eq(str_from_c(publics->keys[i].id), id))
			return &publics->keys[i];
	return NULL;
}

bool sign_check(const struct sign_public *key, struct str text, struct str base64)
{
	unsigned char sig[SIGN_LEN + 2];            /* base64 of 64 octets ends in "==": EVP_DecodeBlock gives 66 */
	char again[SIGN_BASE64_LEN + 1];

	if (base64.len != SIGN_BASE64_LEN ||
	    EVP_DecodeBlock(sig, (const unsigned char *)base64.ptr, (int)base64.len) != (int)sizeof sig)
		return false;
	EVP_EncodeBlock((unsigned char *)again, sig, SIGN_LEN);
	if (!str_eq(base64, str_from_c(again)))     /* one spelling for each signature */
		return false;

	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->raw, SIGN_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) &&
		  EVP_DigestVerify(ctx, sig, SIGN_LEN, (const unsigned char *)text.ptr, text.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ok;
}

static bool write_pem(EVP_PKEY *pkey, bool is_private, const char *path, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	bool ok = bio && (is_private ? PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL)
				     : PEM_write_bio_PUBKEY(bio, pkey));
	long len = ok ? BIO_get_mem_data(bio, &text) : 0;

	ok = ok ? io_replace_file(path, str_of(text, (size_t)len), is_private ? 0600 : 0644, err)
		: err_set(err, ERR_BUSY, "OpenSSL cannot write a key");
	if (text)
		explicit_bzero(text, (size_t)len);
	BIO_free(bio);
	return ok;
}

static bool is_free_name(const char *path, struct err *err)
{
	if (access(path, F_OK) == 0)
		return err_set(err, ERR_CONFIG, "%s: exists already; a key is never overwritten", path);
	return errno == ENOENT || err_errno(err, ERR_CONFIG, "%s", path);
}

bool sign_key_new(const char *path, char out_id[SIGN_ID_LEN + 1], struct err *err)
{
	char pub[PATH_MAX];
	struct sign_public public;

	if (snprintf(pub, sizeof pub, "%s.pub", path) >= (int)sizeof pub)
		return err_set(err, ERR_CONFIG, "%s: path too long", path);
	if (!is_free_name(path, err) || !is_free_name(pub, err))
		return false;

	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (!pkey || !public_of(pkey, &public)) {
		EVP_PKEY_free(pkey);
		return err_set(err, ERR_BUSY, "OpenSSL cannot make an Ed25519 key");
	}
	bool ok = write_pem(pkey, true, path, err) && write_pem(pkey, false, pub, err);

	if (!ok) {                                  /* half a pair, or a name not synced, would stand in the way of the next try */
		io_calls.unlink(path);
		io_calls.unlink(pub);
	}
	EVP_PKEY_free(pkey);
	if (ok)
		memcpy(out_id, public.id, sizeof public.id);
	return ok;
}
