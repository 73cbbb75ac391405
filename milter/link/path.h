/*
 * path - the local part of a return path: which message came back, and that it was ours.
 *
 *   01jd8z6h2m3n4p5q6r7s8t9v0w-<36 letters>          63 octets, RFC 5321 4.5.3.1.1 allows 64
 *   the message's id as in the record, in lower case; then, five bits a letter in the same alphabet:
 *   key id 1 | owner 4 | recipient 4 | sender 5 | MAC 8      and four bits 0
 *
 * Case does not count: mail servers change it. The id holds the time (48 bits of milliseconds), so nothing else has to say how
 * old a path is. `owner` tells whose it is, among tenants that share a domain; `recipient` and `sender` are the beginnings of
 * hashes, by which addresses can be known again that would not fit. The MAC is over all of that, the tenant's name and the
 * domain: HMAC-SHA256 with a key made of the token key named, cut to 64 bits. Whoever guesses asks this server each time.
 *
 * Input    any address, from anybody
 * Bounds   constant
 */
#ifndef SEKISHO_LINK_PATH_H
#define SEKISHO_LINK_PATH_H

#include "milter/link/token.h"

#define PATH_LOCAL_LEN 63
#define PATH_MESSAGE_LEN 26
#define PATH_RECIPIENT_LEN 4
#define PATH_SENDER_LEN 5
#define PATH_MAC_LEN 8

struct path {
	char message[PATH_MESSAGE_LEN + 1];       /* as in records: upper case */
	unsigned key;
	uint32_t owner;
	unsigned char recipient[PATH_RECIPIENT_LEN];      /* all zero: the message had several */
	unsigned char sender[PATH_SENDER_LEN];
	unsigned char mac[PATH_MAC_LEN];
};

/* Fills key (the one that seals) and mac, and writes the local part. False: message is no id. */
bool path_write(struct path *path, const struct token_keys *keys, struct str tenant, struct str domain,
		char out[PATH_LOCAL_LEN + 1]);
/* By its looks alone; whether it is genuine is for path_is_genuine. */
bool path_read(struct str local, struct path *out);
/* `domain` as in path_write but for its case. */
bool path_is_genuine(const struct path *path, const struct token_keys *keys, struct str tenant, struct str domain);
int64_t path_made_us(const struct path *path);

/* The beginning of SHA-256 over tenant, NUL, address in lower case; never all zero. At most DIGEST_LEN octets. */
void path_mark(struct str tenant, struct str address, unsigned char *out, size_t len);

#endif
