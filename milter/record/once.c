#include "milter/record/once.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"

#define SLOT_SIZE 512

static bool read_slots(struct once *once, struct err *err)
{
	for (int i = 0; i < 2; i++) {
		unsigned char slot[2 * SIGN_KEY_LEN] = { 0 };

		if (pread(once->fd, slot, sizeof slot, i * SLOT_SIZE) < 0)
			return err_errno(err, ERR_BUSY, "read .once");
		memcpy(once->seeds[i], slot, SIGN_KEY_LEN);
		memcpy(once->keys[i], slot + SIGN_KEY_LEN, SIGN_KEY_LEN);
		explicit_bzero(slot, sizeof slot);
	}
	return true;
}

static bool write_slot(const struct once *once, int slot, struct err *err)
{
	unsigned char octets[SLOT_SIZE] = { 0 };

	memcpy(octets, once->seeds[slot], SIGN_KEY_LEN);
	memcpy(octets + SIGN_KEY_LEN, once->keys[slot], SIGN_KEY_LEN);

	ssize_t n = pwrite(once->fd, octets, sizeof octets, slot * SLOT_SIZE);

	explicit_bzero(octets, sizeof octets);
	if (n != SLOT_SIZE)
		return err_errno(err, ERR_BUSY, "write .once");
	return io_sync(once->fd, ".once", err);
}

static bool make_key(struct once *once, int slot, struct err *err)
{
	size_t len = SIGN_KEY_LEN;

	if (getrandom(once->seeds[slot], SIGN_KEY_LEN, 0) != SIGN_KEY_LEN)
		return err_errno(err, ERR_BUSY, "getrandom");

	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, once->seeds[slot], SIGN_KEY_LEN);
	bool ok = pkey && EVP_PKEY_get_raw_public_key(pkey, once->keys[slot], &len) && len == SIGN_KEY_LEN;

	EVP_PKEY_free(pkey);
	return ok || err_set(err, ERR_BUSY, "OpenSSL cannot make an Ed25519 key");
}

static bool prepare(struct once *once, struct str named, struct err *err)
{
	char base64[ONCE_BASE64_LEN + 1];

	if (!read_slots(once, err))
		return false;
	once->current = -1;
	for (int i = 0; i < 2; i++) {
		EVP_EncodeBlock((unsigned char *)base64, once->keys[i], SIGN_KEY_LEN);
		if (str_eq(named, str_from_c(base64)))
			once->current = i;
	}

	int next = once->current == 0 ? 1 : 0;

	if (!make_key(once, next, err) || !write_slot(once, next, err))
		return false;
	EVP_EncodeBlock((unsigned char *)once->next, once->keys[next], SIGN_KEY_LEN);
	return true;
}

bool once_begin(struct once *once, const char *dir, struct str named, struct err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/.once", dir) >= (int)sizeof path)
		return err_set(err, ERR_CONFIG, "%s: path too long", dir);
	once->fd = io_open(path, O_RDWR | O_CREAT, 0600, err);
	if (once->fd < 0)
		return false;
	if (prepare(once, named, err))
		return true;
	once_end(once, false);
	return false;
}

bool once_sign(const struct once *once, struct str text, char out[SIGN_BASE64_LEN + 1])
{
	unsigned char sig[SIGN_LEN];
	size_t len = sizeof sig;

	assert(once->current >= 0);

	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, once->seeds[once->current], SIGN_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = pkey && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) &&
		  EVP_DigestSign(ctx, sig, &len, (const unsigned char *)text.ptr, text.len) && len == SIGN_LEN;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	if (ok)
		EVP_EncodeBlock((unsigned char *)out, sig, SIGN_LEN);
	return ok;
}

void once_end(struct once *once, bool is_durable)
{
	struct err err;

	if (is_durable && once->current >= 0) {
		explicit_bzero(once->seeds[once->current], SIGN_KEY_LEN);
		explicit_bzero(once->keys[once->current], SIGN_KEY_LEN);
		if (!write_slot(once, once->current, &err))
			log_warn("a one-time key that was used is not wiped yet: %s", err.text);
	}
	explicit_bzero(once->seeds, sizeof once->seeds);
	close(once->fd);
	once->fd = -1;
}

bool once_check(struct str named, struct str text, struct str sig)
{
	unsigned char raw[SIGN_KEY_LEN + 1];        /* one "=": EVP_DecodeBlock gives 33 octets */
	struct sign_public public = { .id = "" };

	if (named.len != ONCE_BASE64_LEN ||
	    EVP_DecodeBlock(raw, (const unsigned char *)named.ptr, ONCE_BASE64_LEN) != (int)sizeof raw)
		return false;
	memcpy(public.raw, raw, SIGN_KEY_LEN);
	return sign_check(&public, text, sig);
}
