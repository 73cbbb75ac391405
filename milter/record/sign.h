/*
 * sign - the Ed25519 keys that sign the relay log's statements (RFC 8032, by OpenSSL).
 *
 * The private key is a PEM file that only its owner reads; the public one stands beside it as FILE.pub. A key's id is
 * the first 8 hex digits of SHA-256 of its 32 raw public octets. A file of public keys may hold several PEM blocks: the
 * present key and retired ones.
 *
 * Errors   ERR_CONFIG when a file does not hold what it should; ERR_BUSY when it cannot be read
 * Threads  a loaded key may be used by several
 */
#ifndef SEKISHO_RECORD_SIGN_H
#define SEKISHO_RECORD_SIGN_H

#include "config/base/err.h"
#include "config/base/str.h"

#define SIGN_KEY_LEN 32
#define SIGN_ID_LEN 8
#define SIGN_LEN 64
#define SIGN_BASE64_LEN 88                          /* of a signature */
#define SIGN_KEYS_MAX 64

struct sign_key;

bool sign_key_load(const char *path, struct sign_key **out, struct err *err);
void sign_key_free(struct sign_key *key);           /* NULL is fine */
const char *sign_key_id(const struct sign_key *key);
const unsigned char *sign_key_public(const struct sign_key *key);
/* The signature in base64, with a NUL. */
bool sign_text(const struct sign_key *key, struct str text, char out[SIGN_BASE64_LEN + 1], struct err *err);

struct sign_public {
	unsigned char raw[SIGN_KEY_LEN];
	char id[SIGN_ID_LEN + 1];
};
struct sign_publics {
	struct sign_public keys[SIGN_KEYS_MAX];
	size_t count;
};

/* All public keys of a PEM file. A private key's file will do too: its public half is taken. */
bool sign_publics_load(const char *path, struct sign_publics *out, struct err *err);
/* NULL: none of that id. */
const struct sign_public *sign_publics_find(const struct sign_publics *publics, struct str id);
/* False for a wrong signature and for one that is none. */
bool sign_check(const struct sign_public *key, struct str text, struct str base64);

/* Makes a new pair: `path` (0600) and `path`.pub (0644). Never overwrites: ERR_CONFIG when either is there. */
bool sign_key_new(const char *path, char out_id[SIGN_ID_LEN + 1], struct err *err);

void sign_id_of(const unsigned char raw[SIGN_KEY_LEN], char out[SIGN_ID_LEN + 1]);

/* By main, before OpenSSL is first used: a wrong signature and one that it had no memory to look at both say no, and from now on
 * config/base/memory.h tells the one from the other. */
void sign_count_shortages(void);

#endif
