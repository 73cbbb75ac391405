/*
 * once - keys that sign one checkpoint each, so that who takes the machine today cannot rewrite yesterday unseen.
 *
 * Each checkpoint names the public key of the next one, which signs it besides the log key. A secret is made just before
 * the checkpoint that names its public half, and wiped when it has signed: to write other records behind an old checkpoint
 * takes a secret that is no more.
 *
 * CLASS/.once holds two slots of 512 octets, each a seed and its public key (32 octets each) or zeros. They are written in
 * place, so that a wiped seed is overwritten where it stood (on file systems that write in place).
 *
 * Crash    before the checkpoint is durable the key it was to be signed with is still there; after, the named one is
 * Threads  under the lock of the class
 */
#ifndef SEKISHO_RECORD_ONCE_H
#define SEKISHO_RECORD_ONCE_H

#include "milter/record/sign.h"

#define ONCE_BASE64_LEN 44                          /* of a public key */

struct once {
	unsigned char seeds[2][SIGN_KEY_LEN], keys[2][SIGN_KEY_LEN];
	int fd;
	int current;                   /* slot of the key that the last checkpoint named; -1: it is not there */
	char next[ONCE_BASE64_LEN + 1];/* to be named in the coming checkpoint */
};

/* Before a checkpoint: finds the key that the one before named (`named`; empty: none did) and makes the next. */
bool once_begin(struct once *once, const char *dir, struct str named, struct err *err);
/* The signature of the present key (current >= 0); false without memory. */
bool once_sign(const struct once *once, struct str text, char out[SIGN_BASE64_LEN + 1]);
/* After: when the checkpoint is on disk the key that signed it goes. Always called after once_begin succeeded. */
void once_end(struct once *once, bool is_durable);

/* Was `text` signed with the key that stands in base64 in a checkpoint? */
bool once_check(struct str named, struct str text, struct str sig);

#endif
