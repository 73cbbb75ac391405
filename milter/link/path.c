#include "milter/link/path.h"

#include <openssl/crypto.h>
#include <string.h>

#include "config/base/digest.h"

#define TAIL_OCTETS (1 + 4 + PATH_RECIPIENT_LEN + PATH_SENDER_LEN + PATH_MAC_LEN)
#define TAIL_LETTERS ((TAIL_OCTETS * 8 + 4) / 5)
#define FACTS_OCTETS (TAIL_OCTETS - PATH_MAC_LEN)
#define USE STR("sekisho return path 1")

_Static_assert(PATH_MESSAGE_LEN + 1 + TAIL_LETTERS == PATH_LOCAL_LEN, "as drawn in path.h");

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static int value_of(char c)
{
	const char *at = memchr(digits, ascii_lower(c), sizeof digits - 1);

	return at ? (int)(at - digits) : -1;
}

static void write_letters(const unsigned char octets[TAIL_OCTETS], char out[TAIL_LETTERS])
{
	unsigned bits = 0, have = 0;
	size_t at = 0;

	for (size_t i = 0; i < TAIL_OCTETS; i++) {
		bits = bits << 8 | octets[i];
		for (have += 8; have >= 5; have -= 5)
			out[at++] = digits[bits >> (have - 5) & 31];
	}
	if (have)
		out[at] = digits[bits << (5 - have) & 31];
}

/* One spelling for each value. */
static bool read_letters(struct str letters, unsigned char out[TAIL_OCTETS])
{
	unsigned bits = 0, have = 0;
	size_t at = 0;

	for (size_t i = 0; i < letters.len; i++) {
		int value = value_of(letters.ptr[i]);

		if (value < 0)
			return false;
		bits = bits << 5 | (unsigned)value;
		have += 5;
		if (have >= 8) {
			have -= 8;
			out[at++] = (unsigned char)(bits >> have);
		}
	}
	return (bits & ((1U << have) - 1)) == 0;
}

static bool copy_message(struct str id, char (*change)(char c), char *out)
{
	if (id.len != PATH_MESSAGE_LEN || value_of(id.ptr[0]) > 7)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		if (value_of(id.ptr[i]) < 0)
			return false;
		out[i] = change(id.ptr[i]);
	}
	return true;
}

static char upper(char c)
{
	return ascii_is_lower(c) ? (char)(c - 32) : c;
}

static void put(unsigned char **at, const void *from, size_t len)
{
	memcpy(*at, from, len);
	*at += len;
}

static void write_facts(const struct path *path, unsigned char out[FACTS_OCTETS])
{
	const unsigned char owner[] = { (unsigned char)(path->owner >> 24), (unsigned char)(path->owner >> 16),
					(unsigned char)(path->owner >> 8), (unsigned char)path->owner };

	*out++ = (unsigned char)path->key;
	put(&out, owner, sizeof owner);
	put(&out, path->recipient, PATH_RECIPIENT_LEN);
	put(&out, path->sender, PATH_SENDER_LEN);
}

static bool make_mac(const struct path *path, const struct token_keys *keys, struct str tenant, struct str domain,
		     unsigned char out[PATH_MAC_LEN])
{
	unsigned char text[PATH_MESSAGE_LEN + FACTS_OCTETS + 255 + 1 + 255], *at = text, mac[TOKEN_MAC_LEN];

	if (tenant.len > 255 || domain.len > 255)
		return false;
	put(&at, path->message, PATH_MESSAGE_LEN);
	write_facts(path, at);
	at += FACTS_OCTETS;
	put(&at, tenant.ptr, tenant.len);
	*at++ = '\0';
	for (size_t i = 0; i < domain.len; i++)
		*at++ = (unsigned char)ascii_lower(domain.ptr[i]);
	if (!token_keys_mac(keys, path->key, USE, str_of((const char *)text, (size_t)(at - text)), mac))
		return false;
	memcpy(out, mac, PATH_MAC_LEN);
	return true;
}

bool path_write(struct path *path, const struct token_keys *keys, struct str tenant, struct str domain,
		char out[PATH_LOCAL_LEN + 1])
{
	unsigned char tail[TAIL_OCTETS];

	path->key = token_keys_current(keys);
	if (!copy_message(str_from_c(path->message), ascii_lower, out) || !make_mac(path, keys, tenant, domain, path->mac))
		return false;
	write_facts(path, tail);
	memcpy(tail + FACTS_OCTETS, path->mac, PATH_MAC_LEN);
	out[PATH_MESSAGE_LEN] = '-';
	write_letters(tail, out + PATH_MESSAGE_LEN + 1);
	out[PATH_LOCAL_LEN] = '\0';
	return true;
}

bool path_read(struct str local, struct path *out)
{
	unsigned char tail[TAIL_OCTETS];
	const unsigned char *at = tail;

	if (local.len != PATH_LOCAL_LEN || local.ptr[PATH_MESSAGE_LEN] != '-' ||
	    !copy_message(str_slice(local, 0, PATH_MESSAGE_LEN), upper, out->message) ||
	    !read_letters(str_from(local, PATH_MESSAGE_LEN + 1), tail))
		return false;
	out->message[PATH_MESSAGE_LEN] = '\0';
	out->key = *at++;
	out->owner = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	at += 4;
	memcpy(out->recipient, at, PATH_RECIPIENT_LEN);
	at += PATH_RECIPIENT_LEN;
	memcpy(out->sender, at, PATH_SENDER_LEN);
	at += PATH_SENDER_LEN;
	memcpy(out->mac, at, PATH_MAC_LEN);
	return true;
}

bool path_is_genuine(const struct path *path, const struct token_keys *keys, struct str tenant, struct str domain)
{
	unsigned char mac[PATH_MAC_LEN];

	return make_mac(path, keys, tenant, domain, mac) && CRYPTO_memcmp(mac, path->mac, PATH_MAC_LEN) == 0;
}

/* 26 letters of five bits are 130: three bits of the first count, and the first ten hold the 48 bits of the time. */
int64_t path_made_us(const struct path *path)
{
	int64_t ms = 0;

	for (size_t i = 0; i < 10; i++)
		ms = ms << 5 | value_of(path->message[i]);
	return ms * 1000;
}

void path_mark(struct str tenant, struct str address, unsigned char *out, size_t len)
{
	unsigned char octets[DIGEST_LEN];
	struct digest digest;
	char run[64];

	digest_begin(&digest);
	digest_add(&digest, tenant);
	digest_add(&digest, str_of("", 1));
	for (size_t i = 0, n = 0; i < address.len; n = 0) {
		while (i < address.len && n < sizeof run)
			run[n++] = ascii_lower(address.ptr[i++]);
		digest_add(&digest, str_of(run, n));
	}
	digest_end(&digest, octets);
	memcpy(out, octets, len);
	for (size_t i = 0; i < len; i++)
		if (out[i])
			return;
	out[len - 1] = 1;
}
