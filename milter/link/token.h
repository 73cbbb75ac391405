/*
 * token - what a tracked URL carries, sealed.
 *
 *   base64url( version 1 | key id | synthetic IV 16 | AES-256-SIV(facts) )
 *   associated data: "sekisho" NUL version, key id, purpose, host in lower case
 *   facts: flags 1 | day 2 | tenant | message | recipient | link 2 | rest of the URL     (a text: length 1, octets)
 *   Facts are filled up with NUL to 16 octets, and by one more where three octets of the whole would go into four digits
 *   and leave none over: a text ends in a letter or digit then, for what finds links in plain text takes a `-` or `_` at
 *   the end for the sentence's, and "-->" must not come about in a comment.
 *
 * RFC 5297: deterministic, so that a retry of a message gives the same octets, and nobody can read, alter or make one
 * without the key. Purpose and host are bound in: a click token opens nothing else, and not on another's host. The
 * tenant is sealed inside. Nothing is stored; a token works as long as its key is in the key file.
 *
 * Key file  one key a line, "ID KEY [DAY]": ID 1 to 255, KEY 128 hex digits, DAY when it was made (2026-11-21, JST); `#`
 *           begins a comment. The last line's key seals, all of them open. The file belongs to the service and nobody else
 *           may read it
 * Memory    a token_keys is immutable after token_keys_read and may be shared between threads; a token_sealer may not
 * Bounds    TOKEN_MAX octets of text; names up to 255 octets
 */
#ifndef SEKISHO_LINK_TOKEN_H
#define SEKISHO_LINK_TOKEN_H

#include "config/base/arena.h"
#include "config/base/buf.h"

#define TOKEN_URL_MAX 1500             /* a tracked URL longer than this is not made */
#define TOKEN_MAX 4096                 /* what is opened at all */
#define TOKEN_TEXT_MAX 255             /* octets of a name in it */
#define TOKEN_KEY_LEN 64
#define TOKEN_KEYS_MAX 255

enum token_purpose { TOKEN_CLICK = 'c', TOKEN_OPEN = 'o', TOKEN_UNSUBSCRIBE = 'u' };

struct token {
	enum token_purpose purpose;
	struct str tenant;
	struct str message;            /* as the sender named it, or 8 octets made of its Message-ID */
	struct str recipient;          /* empty: the message had several. To unsubscribe: the address; else 8 octets made of it */
	uint16_t day;                  /* JST days since 1970-01-01, when it was made */
	uint16_t link;                 /* number of the link within the message, from 1; 65535: and beyond */
	struct str url;                /* of a click: where it leads */
};

struct token_keys;                     /* keys and prepared cipher */
struct token_sealer;

#define TOKEN_MAC_LEN 32

/* `text` is the key file. */
bool token_keys_read(struct str text, struct token_keys **out, struct err *err);
void token_keys_free(struct token_keys *keys);
/* The id of the key that seals. */
unsigned token_keys_current(const struct token_keys *keys);

/* HMAC-SHA256 with a key of its own for each `use`, made of key `id`. False: there is no such key. */
bool token_keys_mac(const struct token_keys *keys, unsigned id, struct str use, struct str text, unsigned char out[TOKEN_MAC_LEN]);

struct token_key_facts {
	unsigned id;
	int64_t made;                  /* JST day; TOKEN_DAY_UNKNOWN: the file does not say */
};
#define TOKEN_DAY_UNKNOWN (-1)
/* The keys in the order of the file, at most TOKEN_KEYS_MAX; how many. The last one seals. */
size_t token_keys_list(const struct token_keys *keys, struct token_key_facts out[TOKEN_KEYS_MAX]);

/* Seals many tokens of one message; keeps `keys`. */
bool token_sealer_new(const struct token_keys *keys, struct token_sealer **out, struct err *err);
void token_sealer_free(struct token_sealer *sealer);
/* Appends the token's text. `host` lives as long as the sealer. */
bool token_seal(struct token_sealer *sealer, const struct token *token, struct str host, struct buf *out, struct err *err);

/* The host that tokens are bound to, of one as a browser may write it: "track.acme.example.:443". */
struct str token_host(struct str authority);

/* False for whatever this key file, this purpose and this host did not make. Strings live in the arena. */
bool token_open(const struct token_keys *keys, enum token_purpose purpose, struct str host, struct str text,
		struct arena *arena, struct token *out);

/* Does the text name a key that the file has not? */
bool token_misses_key(const struct token_keys *keys, struct str text);

/* 8 octets that stand for a longer name: of SHA-256 over tenant, NUL, name. */
void token_short(struct str tenant, struct str name, char out[8]);

#endif
