#include "milter/record/seal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/digest.h"
#include "config/base/hex.h"
#include "config/base/memory.h"
#include "milter/record/entry.h"
#include "milter/record/scan.h"
#include "milter/record/seal_ring.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define ID_LEN 8
#define SEALED_MEMBER ",\"sealed\":\""
#define LABEL_LEN (JST_DATE_LEN + 1 + ID_LEN + 1)   /* "YYYY-MM-DD:KEYID:" */

/* A key derived for one tenant and day, or the knowledge that there is none. */
struct derived {
	char tenant[ENTRY_NAME_MAX + 1];
	int64_t day, looked_us;        /* monotonic; 0: an empty place */
	bool is_there, is_unread;      /* unread: that could not be seen */
	unsigned char key[SEAL_KEY_LEN];
	char id[ID_LEN];
};

struct seal {
	struct seal_ring ring;
	EVP_CIPHER *cipher;
	EVP_KDF *kdf;
	pthread_rwlock_t lock;         /* guards the cache: a tenant's and day's place is by their hash */
	struct derived *cache;
};

void seal_close(struct seal *seal)
{
	if (!seal)
		return;
	if (seal->cache)
		explicit_bzero(seal->cache, SEAL_CACHE_MAX * sizeof *seal->cache);
	free(seal->cache);
	pthread_rwlock_destroy(&seal->lock);
	EVP_CIPHER_free(seal->cipher);
	EVP_KDF_free(seal->kdf);
	free(seal);
}

bool seal_open(struct str keyring, struct str class_name, struct seal **out, struct err *err)
{
	struct seal *seal = calloc(1, sizeof *seal);

	if (!seal)
		return err_memory(err);
	pthread_rwlock_init(&seal->lock, NULL);
	seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	seal->kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	seal->cache = calloc(SEAL_CACHE_MAX, sizeof *seal->cache);
	bool ok = (seal->cipher && seal->kdf && seal->cache) || err_memory(err);

	if (!ok || !seal_ring_init(&seal->ring, keyring, class_name, err)) {
		seal_close(seal);
		return false;
	}
	*out = seal;
	return true;
}

/* --- keys */

/* `secrets` are the day's key and the tenant's. */
static bool derive(const struct seal *seal, unsigned char secrets[2 * SEAL_KEY_LEN], struct derived *out, struct err *err)
{
	char info[2 * ENTRY_NAME_MAX + 64], date[JST_DATE_LEN + 1];
	unsigned char digest[DIGEST_LEN];
	char sha256[] = "SHA256";

	jst_format_date(out->day, date);
	int n = snprintf(info, sizeof info, "sekisho seal\n%s\n%s\n%s", seal->ring.class_name, date, out->tenant);
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, secrets, 2 * SEAL_KEY_LEN),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info, (size_t)n),
		OSSL_PARAM_END,
	};
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(seal->kdf);
	bool ok = ctx && EVP_KDF_derive(ctx, out->key, sizeof out->key, params) == 1;

	EVP_KDF_CTX_free(ctx);
	if (ok) {
		digest_of(str_of((const char *)out->key, sizeof out->key), digest);
		hex_write(digest, ID_LEN / 2, out->id);
	}
	return ok || err_memory(err);
}

/* From the disk. A line without a tenant has the day's key alone. */
static bool look_up(const struct seal *seal, bool is_wanted, struct derived *out, struct err *err)
{
	unsigned char secrets[2 * SEAL_KEY_LEN] = { 0 };
	struct str tenant = str_from_c(out->tenant);
	bool ok = seal_ring_day(&seal->ring, out->day, is_wanted, secrets, &out->is_there, err);

	if (ok && out->is_there && tenant.len)
		ok = seal_ring_tenant(&seal->ring, tenant, is_wanted, secrets + SEAL_KEY_LEN, &out->is_there, err);
	if (ok && out->is_there)
		ok = derive(seal, secrets, out, err);
	explicit_bzero(secrets, sizeof secrets);
	return ok;
}

static struct derived *place_of(const struct seal *seal, struct str tenant, int64_t day)
{
	return &seal->cache[(str_hash(tenant) + (uint64_t)day * 0x9e3779b97f4a7c15u) % SEAL_CACHE_MAX];
}

static bool is_same(const struct derived *place, struct str tenant, int64_t day)
{
	return place->looked_us && place->day == day && str_eq(str_from_c(place->tenant), tenant);
}

/* Nothing has to be looked up: nearly always so, and then nobody waits for anybody. */
static bool is_fresh(const struct derived *place, struct str tenant, int64_t day, bool is_wanted)
{
	return is_same(place, tenant, day) && clock_mono_us() - place->looked_us < SEAL_CACHE_US &&
	       (place->is_there || !is_wanted);
}

/* Brings a place up to date. One that was good a while ago is most likely still there: it is looked at before it is made. */
static bool renew(const struct seal *seal, struct str tenant, int64_t day, bool is_wanted, struct derived *place, struct err *err)
{
	bool was_there = is_same(place, tenant, day) && place->is_there;

	if (is_fresh(place, tenant, day, is_wanted))
		return true;
	*place = (struct derived){ .day = day, .looked_us = clock_mono_us() };
	snprintf(place->tenant, sizeof place->tenant, STR_FMT, STR_ARG(tenant));
	bool ok = look_up(seal, is_wanted && !was_there, place, err) &&
		  (place->is_there || !is_wanted || look_up(seal, true, place, err));

	place->is_there = ok && place->is_there;
	place->is_unread = !ok;                     /* a reader that may not look does not try for each line */
	return ok;
}

/* A writer wants the key and has it made; for a reader it is there or not. */
static bool find_key(struct seal *seal, struct str tenant, int64_t day, bool is_wanted, struct derived *out, struct err *err)
{
	struct derived *place = place_of(seal, tenant, day);

	if (tenant.len && !entry_is_name(tenant))
		return err_set(err, ERR_INPUT, "a tenant whose name can be no file's");
	pthread_rwlock_rdlock(&seal->lock);
	bool ok = is_fresh(place, tenant, day, is_wanted);

	if (ok)
		*out = *place;
	pthread_rwlock_unlock(&seal->lock);
	if (ok)
		return true;
	pthread_rwlock_wrlock(&seal->lock);
	ok = renew(seal, tenant, day, is_wanted, place, err);
	if (ok)
		*out = *place;
	pthread_rwlock_unlock(&seal->lock);
	return ok;
}

/* --- sealing */

/* What the ciphertext is bound to: the class, and what stays readable in the line, in two pieces. */
struct bound {
	struct str class_name, first, second;
};

static bool add_bound(EVP_CIPHER_CTX *ctx, const struct bound *bound)
{
	const struct str pieces[] = { bound->class_name, STR_INIT("\n"), bound->first, bound->second };
	int n;

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		if (EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)pieces[i].ptr, (int)pieces[i].len) != 1)
			return false;
	return true;
}

/* `out` holds NONCE_LEN + text.len + TAG_LEN octets. */
static bool encrypt(const struct seal *seal, const struct derived *key, const struct bound *bound, struct str text,
		    unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char *body = out + NONCE_LEN;
	int n = 0, last = 0;
	bool ok = ctx && RAND_bytes(out, NONCE_LEN) == 1 && EVP_EncryptInit_ex2(ctx, seal->cipher, key->key, out, NULL) == 1 &&
		  add_bound(ctx, bound) && EVP_EncryptUpdate(ctx, body, &n, (const unsigned char *)text.ptr, (int)text.len) == 1 &&
		  EVP_EncryptFinal_ex(ctx, body + n, &last) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + text.len) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/* Is it about a tenant or about mail? */
static bool is_due(const struct record_event *event)
{
	return event->tenant.len || event->message.len || event->client.len || event->auth.len || event->helo.len || event->from.len ||
	       event->to_count || event->rcpt.len || event->reply.len || event->outcome.len || event->subject_hash.len;
}

/* The member in the place of what it holds. */
static bool put_member(const struct derived *key, struct buf *text, size_t at, const unsigned char *blob, size_t len)
{
	char date[JST_DATE_LEN + 1];

	jst_format_date(key->day, date);
	text->len = at;
	buf_printf(text, SEALED_MEMBER "%s:%.*s:", date, ID_LEN, key->id);
	if (!buf_reserve(text, (len + 2) / 3 * 4 + 2))
		return false;
	text->len += (size_t)EVP_EncodeBlock((unsigned char *)text->ptr + text->len, blob, (int)len);
	buf_add_byte(text, '"');
	return !text->failed;
}

bool seal_body(struct seal *seal, const struct record_event *event, int64_t time_us, struct buf *text,
	       struct record_body *body, struct err *err)
{
	size_t head_len = body->head.len, open_len = body->open_len, at = head_len + open_len;
	struct str secret = str_from(body->tail, open_len);
	struct bound bound = { str_from_c(seal->ring.class_name), body->head, str_slice(body->tail, 0, open_len) };
	struct derived key;

	if (secret.len == 0 || !is_due(event))
		return true;
	if (!find_key(seal, event->tenant, jst_day(time_us), true, &key, err))
		return false;

	size_t len = NONCE_LEN + secret.len + TAG_LEN;
	unsigned char *blob = malloc(len);
	bool ok = blob && encrypt(seal, &key, &bound, secret, blob) && put_member(&key, text, at, blob, len);

	free(blob);
	explicit_bzero(&key, sizeof key);
	if (!ok)
		return err_memory(err);
	*body = (struct record_body){ str_slice(buf_view(text), 0, head_len), str_from(buf_view(text), head_len), open_len };
	return true;
}

/* --- reading */

/* Where things stand in a sealed line. */
struct sealed_line {
	struct str tenant;
	struct bound bound;
	struct str value;              /* between the quotes of `sealed` */
	size_t at, end;                /* of the whole member, in the line */
};

static size_t offset_of(struct str line, const char *at)
{
	return (size_t)(at - line.ptr);
}

/* False: nothing is sealed in it. */
static bool find_sealed(struct str line, struct sealed_line *out)
{
	struct scan scan;
	struct str name, value, rest;
	size_t head = 0, tseq = 0, tseq_end = 0;

	*out = (struct sealed_line){ .tenant = STR_EMPTY };
	if (!memmem(line.ptr, line.len, SEALED_MEMBER, sizeof SEALED_MEMBER - 1) || !scan_open(line, '{', &scan))
		return false;
	while (scan_member(&scan, &name, &value) == SCAN_ITEM && !str_eq(name, STR("salt"))) {
		size_t begin = offset_of(line, name.ptr) - 2, end = offset_of(line, value.ptr + value.len);

		if (str_eq(name, STR("time")))
			head = end;
		else if (str_eq(name, STR("tenant")) && !scan_is_string(value, &out->tenant))
			return false;
		else if (str_eq(name, STR("tseq")))
			tseq = begin, tseq_end = end;
		if (!str_eq(name, STR("sealed")))
			continue;
		if (head == 0 || begin < head || !scan_is_string(value, &out->value))
			return false;
		rest = str_slice(line, 0, begin);
		out->bound.first = str_slice(rest, head, tseq ? tseq - head : begin - head);
		out->bound.second = tseq ? str_from(rest, tseq_end) : STR_EMPTY;
		out->at = begin;
		out->end = end;
		return true;
	}
	return false;
}

static bool take_label(struct str value, int64_t *out_day, struct str *out_id, struct str *out_base64)
{
	*out_id = str_slice(value, JST_DATE_LEN + 1, ID_LEN);
	*out_base64 = str_from(value, LABEL_LEN);
	return value.len > LABEL_LEN && value.ptr[JST_DATE_LEN] == ':' && value.ptr[LABEL_LEN - 1] == ':' &&
	       jst_parse_date(str_slice(value, 0, JST_DATE_LEN), out_day);
}

/*
 * Octets of base64 (RFC 4648, padded) written at `out`, which holds a fourth less than it, rounded up; 0 when it is none, or
 * spelt in another way than we spell it (3.5: the last digit's unused bits are zeros).
 */
static size_t decode(struct str base64, unsigned char *out)
{
	unsigned char again[5];
	int n = base64.len == 0 || base64.len % 4 ? 0 : EVP_DecodeBlock(out, (const unsigned char *)base64.ptr, (int)base64.len);

	for (size_t i = base64.len; n > 0 && i > base64.len - 2 && base64.ptr[i - 1] == '='; i--)
		n--;
	if (n <= 0)
		return 0;
	EVP_EncodeBlock(again, out + (n - 1) / 3 * 3, n - (n - 1) / 3 * 3);
	return memcmp(again, base64.ptr + base64.len - 4, 4) == 0 ? (size_t)n : 0;
}

/* In place: `blob` holds nonce, ciphertext, tag, and the text in the place of the ciphertext afterwards. */
static bool decrypt(const struct seal *seal, const struct derived *key, const struct bound *bound, unsigned char *blob, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char *body = blob + NONCE_LEN;
	int n = 0, last = 0, text_len = (int)(len - NONCE_LEN - TAG_LEN);

	if (!ctx)
		memory_ran_out();
	bool ok = ctx && EVP_DecryptInit_ex2(ctx, seal->cipher, key->key, blob, NULL) == 1 && add_bound(ctx, bound) &&
		  EVP_DecryptUpdate(ctx, body, &n, body, text_len) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, body + text_len) == 1 &&
		  EVP_DecryptFinal_ex(ctx, body + n, &last) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/* The line with the text in the member's place, built where it will stand. */
static bool open_into(const struct seal *seal, const struct derived *key, struct str line, const struct sealed_line *sealed,
		      struct str base64, struct buf *room)
{
	buf_add(room, str_slice(line, 0, sealed->at));
	if (!buf_reserve(room, base64.len + line.len))
		return false;

	unsigned char *blob = (unsigned char *)room->ptr + room->len;
	size_t len = decode(base64, blob);

	if (len <= NONCE_LEN + TAG_LEN || !decrypt(seal, key, &sealed->bound, blob, len))
		return false;
	len -= NONCE_LEN + TAG_LEN;
	memmove(blob, blob + NONCE_LEN, len);
	room->len += len;
	buf_add(room, str_from(line, sealed->end));
	return !room->failed;
}

enum seal_result seal_read_line(struct seal *seal, struct str line, struct buf *room, struct str *out)
{
	struct sealed_line sealed;
	struct derived key;
	struct str id, base64;
	int64_t day;
	enum seal_result result = SEAL_CLOSED;

	*out = line;
	if (line.len > RECORD_LINE_MAX || !find_sealed(line, &sealed))
		return SEAL_PLAIN;
	if (!take_label(sealed.value, &day, &id, &base64))
		return SEAL_FORGED;
	if (!seal || (sealed.tenant.len && !entry_is_name(sealed.tenant)))
		return SEAL_CLOSED;
	if (!find_key(seal, sealed.tenant, day, false, &key, NULL) || key.is_unread)
		return SEAL_UNREAD;
	if (!key.is_there)
		return SEAL_CLOSED;
	if (str_eq(id, str_of(key.id, ID_LEN))) {
		sealed.bound.class_name = str_from_c(seal->ring.class_name);
		buf_reset(room);
		result = open_into(seal, &key, line, &sealed, base64, room) ? SEAL_OPENED : SEAL_FORGED;
	}
	if (result == SEAL_OPENED)
		*out = buf_view(room);
	explicit_bzero(&key, sizeof key);
	return result;
}
