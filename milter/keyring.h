/*
 * keyring - the keys of tracked links that are in force, shared by all threads and replaced at reload.
 *
 * Whoever seals or opens tokens holds one set for that time; a set goes with the last who holds it.
 *
 * Errors   ERR_CONFIG: the file is missing, readable by others, or holds no keys; what was in force stays
 * Threads  any
 */
#ifndef SEKISHO_KEYRING_H
#define SEKISHO_KEYRING_H

#include <pthread.h>

#include "milter/link/token.h"

struct keyset;

struct keyring {
	pthread_mutex_t lock;
	struct keyset *current;        /* NULL: none were loaded */
};

void keyring_init(struct keyring *ring);
void keyring_clear(struct keyring *ring);
/* Reads the file and puts its keys in force. */
bool keyring_load(struct keyring *ring, struct str path, struct err *err);

/* NULL when there are none. */
struct keyset *keyring_acquire(struct keyring *ring);
const struct token_keys *keyset_keys(const struct keyset *set);
void keyring_release(struct keyring *ring, struct keyset *set);        /* NULL is fine */

#endif
