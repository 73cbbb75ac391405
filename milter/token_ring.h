/*
 * token_ring - the keys of tracked links and return paths that are in force, shared by all threads and replaced at reload.
 *
 * Errors   ERR_CONFIG: the file is missing, readable by others, or holds no keys; ERR_BUSY: it could not be read now. What was
 *          in force stays; `err` is not NULL
 * Threads  any
 */
#ifndef SEKISHO_TOKEN_RING_H
#define SEKISHO_TOKEN_RING_H

#include <sys/stat.h>

#include "milter/link/token.h"
#include "milter/shared.h"

struct token_ring {
	struct shared keys;
	pthread_mutex_t lock;          /* over `read` */
	struct stat read;              /* the file as it was when it was read last, well or not */
};

void token_ring_init(struct token_ring *ring);
void token_ring_clear(struct token_ring *ring);
/* The keys of a file, in force nowhere yet; the caller's. */
bool token_ring_read(struct str path, struct token_keys **out, struct err *err);
/* Takes over `keys`, and puts them in force. */
bool token_ring_put(struct token_ring *ring, struct token_keys *keys, struct err *err);
/* Both. */
bool token_ring_load(struct token_ring *ring, struct str path, struct err *err);
/* The same when the file is another than was read last, so that anybody may cause it. *out_is_new: it is, and its keys are in
 * force. False: it is, and cannot be read; after ERR_BUSY the next call tries again. */
bool token_ring_refresh(struct token_ring *ring, struct str path, bool *out_is_new, struct err *err);

/* NULL when there are none. */
struct holding *token_ring_acquire(struct token_ring *ring);
const struct token_keys *token_ring_keys(const struct holding *set);
void token_ring_release(struct token_ring *ring, struct holding *set);       /* NULL is fine */

#endif
