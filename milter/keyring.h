/*
 * keyring - the keys of tracked links and return paths that are in force, shared by all threads and replaced at reload.
 *
 * Errors   ERR_CONFIG: the file is missing, readable by others, or holds no keys; what was in force stays
 * Threads  any
 */
#ifndef SEKISHO_KEYRING_H
#define SEKISHO_KEYRING_H

#include <sys/stat.h>

#include "milter/link/token.h"
#include "milter/shared.h"

struct keyring {
	struct shared keys;
	pthread_mutex_t lock;          /* over `read` */
	struct stat read;              /* the file as it was when it was read last, well or not */
};

void keyring_init(struct keyring *ring);
void keyring_clear(struct keyring *ring);
/* The keys of a file, in force nowhere yet; the caller's. */
bool keyring_read(struct str path, struct token_keys **out, struct err *err);
/* Takes over `keys`, and puts them in force. */
bool keyring_put(struct keyring *ring, struct token_keys *keys, struct err *err);
/* Both. */
bool keyring_load(struct keyring *ring, struct str path, struct err *err);
/* The same when the file is another than was read last, so that anybody may cause it. *out_is_new: it is, and its keys are in
 * force. False: it is, and cannot be read. */
bool keyring_refresh(struct keyring *ring, struct str path, bool *out_is_new, struct err *err);

/* NULL when there are none. */
struct holding *keyring_acquire(struct keyring *ring);
const struct token_keys *keyring_keys(const struct holding *set);
void keyring_release(struct keyring *ring, struct holding *set);       /* NULL is fine */

#endif
