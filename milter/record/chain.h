/*
 * chain - the hashes that tie each log line to all lines before it.
 *
 *   leaf  = SHA-256(the line's octets before its last `,"chain"`)
 *   chain = SHA-256(previous chain, 32 octets || leaf, 32 octets)
 *
 * The first line of a class continues 32 zero octets.
 *
 * Memory   a context of OpenSSL, made once and used for every line: fetching the digest costs more than hashing a line
 * Threads  one at a time for each context
 */
#ifndef SEKISHO_RECORD_CHAIN_H
#define SEKISHO_RECORD_CHAIN_H

#include "config/base/err.h"
#include "config/base/str.h"

#define CHAIN_LEN 32
#define CHAIN_HEX_LEN 64

struct chain_hash;

bool chain_hash_new(struct chain_hash **out, struct err *err);
void chain_hash_free(struct chain_hash *hash);

void chain_leaf(struct chain_hash *hash, struct str text, unsigned char out[CHAIN_LEN]);
/* `chain` goes in as the previous value and comes out as the next. */
void chain_advance(struct chain_hash *hash, unsigned char chain[CHAIN_LEN], const unsigned char leaf[CHAIN_LEN]);

#endif
