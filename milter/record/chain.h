/*
 * chain - the hashes that tie each log line to all lines before it.
 *
 *   leaf  = SHA-256(the line's octets before its last `,"chain"`)
 *   chain = SHA-256(previous chain, 32 octets || leaf, 32 octets)
 *
 * The first line of a class continues 32 zero octets.
 */
#ifndef SEKISHO_RECORD_CHAIN_H
#define SEKISHO_RECORD_CHAIN_H

#include "config/base/digest.h"
#include "config/base/str.h"

#define CHAIN_LEN DIGEST_LEN
#define CHAIN_HEX_LEN 64

void chain_leaf(struct str text, unsigned char out[CHAIN_LEN]);
/* `chain` goes in as the previous value and comes out as the next. */
void chain_advance(unsigned char chain[CHAIN_LEN], const unsigned char leaf[CHAIN_LEN]);

#endif
