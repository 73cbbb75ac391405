#include "milter/link/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/digest.h"
#include "config/base/memory.h"
#include "config/base/num.h"
#include "milter/link/siv.h"
#include "milter/link/token_text.h"

enum { FORMAT_1 = 1, IV_LEN = SIV_BLOCK, HEAD_LEN = 2, FACTS_MIN = SIV_BLOCK, TEXT_GROUP = 3, HOST_MAX = 255 };

/* The flags of the facts; the URL is written without what they say. */
enum { FLAG_HTTPS = 1, FLAG_WWW = 2, FLAG_URL = 4, FLAG_ALL = 7 };

struct token_keys {
	EVP_CIPHER *siv, *cbc, *ecb;
	EVP_CIPHER_CTX *openers[TOKEN_KEYS_MAX + 1];      /* by id; never used, only copied: that costs less than to make one ready */
	unsigned char keys[TOKEN_KEYS_MAX + 1][TOKEN_KEY_LEN];    /* by id */
	bool has_key[TOKEN_KEYS_MAX + 1];
	unsigned current;
	struct token_key_facts facts[TOKEN_KEYS_MAX];
	size_t count;
};

struct token_sealer {
	unsigned key;
	struct siv siv;
	enum token_purpose purpose;    /* `bound` is for it and `host` */
	struct str host;
	struct siv_bound bound;
	struct buf sealed, work;
};

/* "KEY [DAY]" */
static bool day_cut(struct str *key_text, int64_t *out_day)
{
	struct str day;

	*out_day = TOKEN_DAY_UNKNOWN;
	*key_text = str_trim(*key_text);
	return !str_cut(*key_text, ' ', key_text, &day) || jst_parse_date(str_trim(day), out_day);
}

static bool key_read(struct token_keys *keys, struct str line, size_t line_no, struct err *err)
{
	struct str id_text, key_text;
	uint64_t id;
	int64_t made;

	if (!str_cut(line, ' ', &id_text, &key_text) || !num_parse_u64(id_text, &id) || id < 1 || id > TOKEN_KEYS_MAX)
		return err_set(err, ERR_CONFIG, "line %zu: expected \"ID KEY [DAY]\", ID from 1 to %d", line_no,
			       TOKEN_KEYS_MAX);
	if (keys->has_key[id])
		return err_set(err, ERR_CONFIG, "line %zu: key %u is there twice", line_no, (unsigned)id);
	if (!day_cut(&key_text, &made))
		return err_set(err, ERR_CONFIG, "line %zu: behind a key stands the day when it was made, 2026-11-21",
			       line_no);
	if (key_text.len != 2 * TOKEN_KEY_LEN)
		return err_set(err, ERR_CONFIG, "line %zu: a key has %d hex digits", line_no, 2 * TOKEN_KEY_LEN);
	for (size_t i = 0; i < TOKEN_KEY_LEN; i++) {
		int high = ascii_hex(key_text.ptr[2 * i]), low = ascii_hex(key_text.ptr[2 * i + 1]);

		if (high < 0 || low < 0)
			return err_set(err, ERR_CONFIG, "line %zu: a key has %d hex digits", line_no,
				       2 * TOKEN_KEY_LEN);
		keys->keys[id][i] = (unsigned char)(high * 16 + low);
	}
	keys->has_key[id] = true;
	keys->current = (unsigned)id;
	keys->facts[keys->count++] = (struct token_key_facts){ .id = (unsigned)id, .made = made };
	return true;
}

size_t token_keys_list(const struct token_keys *keys, struct token_key_facts out[TOKEN_KEYS_MAX])
{
	memcpy(out, keys->facts, keys->count * sizeof *out);
	return keys->count;
}

static bool openers_make(struct token_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		EVP_CIPHER_CTX **opener = &keys->openers[keys->facts[i].id];

		*opener = EVP_CIPHER_CTX_new();
		if (!*opener || EVP_DecryptInit_ex2(*opener, keys->siv, keys->keys[keys->facts[i].id], NULL, NULL) != 1)
			return false;
	}
	return true;
}

bool token_keys_read(struct str text, struct token_keys **out, struct err *err)
{
	struct token_keys *keys = calloc(1, sizeof *keys);
	struct str line;
	size_t line_no = 0;

	if (!keys)
		return err_memory(err);
	while (str_next(&text, '\n', &line)) {
		line_no++;
		line = str_trim(line);
		if (line.len && line.ptr[0] != '#' && !key_read(keys, line, line_no, err))
			goto failed;
	}
	if (!keys->current) {
		err_set(err, ERR_CONFIG, "no key in it");
		goto failed;
	}
	keys->siv = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
	keys->cbc = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	keys->ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
	if (!keys->siv || !keys->cbc || !keys->ecb) {
		err_set(err, ERR_BUSY, "OpenSSL has no AES-256-SIV, CBC and ECB here, or no memory for them");
		goto failed;
	}
	if (!openers_make(keys)) {
		err_set(err, ERR_BUSY, "OpenSSL could not make a token key ready");
		goto failed;
	}
	*out = keys;
	return true;
failed:
	token_keys_free(keys);
	return false;
}

void token_keys_free(struct token_keys *keys)
{
	if (!keys)
		return;
	for (size_t i = 0; i < keys->count; i++)
		EVP_CIPHER_CTX_free(keys->openers[keys->facts[i].id]);
	EVP_CIPHER_free(keys->siv);
	EVP_CIPHER_free(keys->cbc);
	EVP_CIPHER_free(keys->ecb);
	OPENSSL_cleanse(keys, sizeof *keys);
	free(keys);
}

unsigned token_keys_current(const struct token_keys *keys)
{
	return keys->current;
}

static bool mac(const unsigned char *key, size_t len, struct str text, unsigned char out[TOKEN_MAC_LEN])
{
	unsigned out_len = 0;

	if (HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)text.ptr, text.len, out, &out_len) && out_len == TOKEN_MAC_LEN)
		return true;
	memory_ran_out();
	return false;
}

bool token_keys_mac(const struct token_keys *keys, unsigned id, struct str use, struct str text, unsigned char out[TOKEN_MAC_LEN])
{
	unsigned char own[TOKEN_MAC_LEN];
	bool ok = id <= TOKEN_KEYS_MAX && keys->has_key[id] && mac(keys->keys[id], TOKEN_KEY_LEN, use, own) &&
		  mac(own, sizeof own, text, out);

	OPENSSL_cleanse(own, sizeof own);
	return ok;
}

bool token_sealer_new(const struct token_keys *keys, struct token_sealer **out, struct err *err)
{
	struct token_sealer *sealer = calloc(1, sizeof *sealer);

	if (!sealer)
		return err_memory(err);
	sealer->key = keys->current;
	if (!siv_init(&sealer->siv, keys->cbc, keys->ecb, keys->keys[keys->current])) {
		free(sealer);
		return err_set(err, ERR_BUSY, "OpenSSL could not make a token key ready");
	}
	buf_init(&sealer->sealed, TOKEN_MAX);
	buf_init(&sealer->work, TOKEN_MAX);
	*out = sealer;
	return true;
}

void token_sealer_free(struct token_sealer *sealer)
{
	if (!sealer)
		return;
	siv_clear(&sealer->siv);
	buf_clear(&sealer->sealed);
	buf_clear(&sealer->work);
	free(sealer);
}

/* The octets that are not sealed but that the seal depends on. */
struct bound {
	char octets[8 + HEAD_LEN + 1 + HOST_MAX];
	size_t len;
};

static bool bound_make(struct bound *bound, const char head[HEAD_LEN], enum token_purpose purpose, struct str host)
{
	if (host.len > HOST_MAX)
		return false;
	memcpy(bound->octets, "sekisho", 8);
	memcpy(bound->octets + 8, head, HEAD_LEN);
	bound->octets[8 + HEAD_LEN] = (char)purpose;
	for (size_t i = 0; i < host.len; i++)
		bound->octets[8 + HEAD_LEN + 1 + i] = ascii_lower(host.ptr[i]);
	bound->len = 8 + HEAD_LEN + 1 + host.len;
	return true;
}

static void add_text(struct buf *out, struct str s)
{
	buf_add_byte(out, (char)s.len);
	buf_add(out, s);
}

static void add_u16(struct buf *out, uint16_t value)
{
	buf_add_byte(out, (char)(value >> 8));
	buf_add_byte(out, (char)value);
}

static void facts_write(const struct token *token, struct buf *out)
{
	struct str url = token->url;
	int flags = 0;

	if (str_starts(url, STR("https://"))) {
		flags = FLAG_URL | FLAG_HTTPS;
		url = str_from(url, 8);
	} else if (str_starts(url, STR("http://"))) {
		flags = FLAG_URL;
		url = str_from(url, 7);
	}
	if (flags && str_starts(url, STR("www."))) {
		flags |= FLAG_WWW;
		url = str_from(url, 4);
	}
	buf_add_byte(out, (char)flags);
	add_u16(out, token->day);
	add_text(out, token->tenant);
	add_text(out, token->message);
	add_text(out, token->recipient);
	add_u16(out, token->link);
	if (flags)
		buf_add(out, url);
}

static const unsigned char *octets_of(const char *p)
{
	return (const unsigned char *)p;
}

/* Purpose and host stay the same for most tokens of a message. */
static bool sealer_bind(struct token_sealer *sealer, enum token_purpose purpose, struct str host,
			const char head[HEAD_LEN])
{
	struct bound bound;

	if (sealer->purpose == purpose && sealer->host.ptr == host.ptr && sealer->host.len == host.len)
		return true;
	if (!bound_make(&bound, head, purpose, host) ||
	    !siv_bind(&sealer->siv, str_of(bound.octets, bound.len), &sealer->bound))
		return false;
	sealer->purpose = purpose;
	sealer->host = host;
	return true;
}

bool token_seal(struct token_sealer *sealer, const struct token *token, struct str host, struct buf *out,
		struct err *err)
{
	char head[HEAD_LEN] = { FORMAT_1, (char)sealer->key }, iv[IV_LEN] = { 0 };
	struct buf *sealed = &sealer->sealed;
	size_t facts = HEAD_LEN + IV_LEN;

	if (token->tenant.len > TOKEN_TEXT_MAX || token->message.len > TOKEN_TEXT_MAX || token->recipient.len > TOKEN_TEXT_MAX ||
	    host.len > HOST_MAX)
		return err_set(err, ERR_INPUT, "a name is too long for a token");
	if (!sealer_bind(sealer, token->purpose, host, head))
		return err_set(err, ERR_BUSY, "OpenSSL could not seal a token");
	buf_reset(sealed);
	buf_reset(&sealer->work);
	buf_add(sealed, str_of(head, HEAD_LEN));
	buf_add(sealed, str_of(iv, IV_LEN));
	facts_write(token, sealed);
	while (!sealed->failed && (sealed->len < facts + SIV_BLOCK || sealed->len % TEXT_GROUP == 0))
		buf_add_byte(sealed, 0);
	if (sealed->failed || !buf_reserve(&sealer->work, sealed->len + SIV_BLOCK))
		return err_set(err, ERR_INPUT, "too long for a token");

	unsigned char *octets = (unsigned char *)sealed->ptr;

	if (!siv_seal(&sealer->siv, &sealer->bound, octets + facts, sealed->len - facts,
		      (unsigned char *)sealer->work.ptr, octets + HEAD_LEN))
		return err_set(err, ERR_BUSY, "OpenSSL could not seal a token");
	token_text_write(buf_view(sealed), out);
	return out->failed ? err_memory(err) : true;
}

struct str token_host(struct str authority)
{
	struct str port;

	str_cut(authority, ':', &authority, &port);
	if (str_ends(authority, STR(".")))
		authority.len--;
	return authority;
}

static bool decrypt(const struct token_keys *keys, const struct bound *bound, unsigned key, unsigned char *sealed,
		    size_t len, unsigned char *out)
{
	bool is_ready = true, ok = false;

	/* The last step says no to a seal that is not ours and to a lack of memory alike. Asked once more it finds some, or there is
	 * none to begin with. */
	for (int i = 0; i < 2 && is_ready && !ok; i++) {
		EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
		int n = 0;

		is_ready = ctx && EVP_CIPHER_CTX_copy(ctx, keys->openers[key]) == 1 &&
			   EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, IV_LEN, sealed) == 1 &&
			   EVP_DecryptUpdate(ctx, NULL, &n, octets_of(bound->octets), (int)bound->len) == 1;
		ok = is_ready && EVP_DecryptUpdate(ctx, out, &n, sealed + IV_LEN, (int)(len - IV_LEN)) == 1 &&
		     (size_t)n == len - IV_LEN;
		EVP_CIPHER_CTX_free(ctx);
	}
	if (!is_ready)
		memory_ran_out();
	return ok;
}

static bool take_u16(struct str *rest, uint16_t *out)
{
	if (rest->len < 2)
		return false;
	*out = (uint16_t)((unsigned char)rest->ptr[0] << 8 | (unsigned char)rest->ptr[1]);
	*rest = str_from(*rest, 2);
	return true;
}

static bool take_text(struct str *rest, struct str *out)
{
	size_t len = rest->len ? (unsigned char)rest->ptr[0] : SIZE_MAX;

	if (len >= rest->len)
		return false;
	*out = str_slice(*rest, 1, len);
	*rest = str_from(*rest, 1 + len);
	return true;
}

static bool facts_read(struct str facts, struct arena *arena, struct token *out)
{
	unsigned flags = facts.len ? (unsigned char)facts.ptr[0] : FLAG_ALL + 1;

	facts = str_from(facts, 1);
	if (flags > FLAG_ALL || !take_u16(&facts, &out->day) || !take_text(&facts, &out->tenant) ||
	    !take_text(&facts, &out->message) || !take_text(&facts, &out->recipient) || !take_u16(&facts, &out->link))
		return false;
	if (!(flags & FLAG_URL)) {
		out->url = STR_EMPTY;
		return true;
	}
	facts = str_slice(facts, 0, str_find_byte(facts, '\0'));
	return arena_printf(arena, &out->url, "%s://%s%.*s", flags & FLAG_HTTPS ? "https" : "http",
			    flags & FLAG_WWW ? "www." : "", (int)facts.len, facts.ptr);
}

bool token_open(const struct token_keys *keys, enum token_purpose purpose, struct str host, struct str text,
		struct arena *arena, struct token *out)
{
	struct token token = { .purpose = purpose };
	struct bound bound;
	size_t len;

	if (text.len > TOKEN_MAX)
		return false;
	unsigned char *sealed = arena_alloc(arena, text.len + 1), *facts = arena_alloc(arena, text.len + 1);

	if (!sealed || !facts || !token_text_read(text, sealed, &len) || len < HEAD_LEN + IV_LEN + FACTS_MIN)
		return false;
	if (sealed[0] != FORMAT_1 || !keys->has_key[sealed[1]] || !bound_make(&bound, (char *)sealed, purpose, host))
		return false;
	if (!decrypt(keys, &bound, sealed[1], sealed + HEAD_LEN, len - HEAD_LEN, facts))
		return false;
	if (!facts_read(str_of((char *)facts, len - HEAD_LEN - IV_LEN), arena, &token))
		return false;
	/* What leads somewhere is a click, and a click leads somewhere. */
	if ((purpose == TOKEN_CLICK) != (token.url.len > 0))
		return false;
	*out = token;
	return true;
}

bool token_misses_key(const struct token_keys *keys, struct str text)
{
	unsigned char head[TEXT_GROUP];
	size_t len;

	return token_text_read(str_slice(text, 0, 4), head, &len) && len == sizeof head && head[0] == FORMAT_1 && head[1] &&
	       !keys->has_key[head[1]];
}

void token_short(struct str tenant, struct str name, char out[8])
{
	unsigned char octets[DIGEST_LEN];
	struct digest digest;

	digest_begin(&digest);
	digest_add(&digest, tenant);
	digest_add(&digest, str_of("", 1));
	digest_add(&digest, name);
	digest_end(&digest, octets);
	memcpy(out, octets, 8);
}
