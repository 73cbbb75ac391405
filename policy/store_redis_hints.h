/*
 * store_redis_hints - which keys had a value when this process last heard of them.
 *
 * What is suspended or suppressed is rare, and what is not need not be asked for: a hint says when a question is worth a
 * round trip of its own, before the charge that asks for all. One hash a key in a table of fixed size; a key that falls on
 * another's place takes it. So a hint may be missing or out of date, and nothing may depend on it but time.
 *
 * Memory   REDIS_HINTS words of 64 bits
 * Threads  any, at any time
 */
#ifndef SEKISHO_STORE_REDIS_HINTS_H
#define SEKISHO_STORE_REDIS_HINTS_H

#include <stdatomic.h>

#include "config/base/str.h"

#define REDIS_HINTS 65536

struct redis_hints {
	atomic_uint_fast64_t hashes[REDIS_HINTS];      /* 0: free */
};

void redis_hints_note(struct redis_hints *hints, struct str key, bool has_value);
bool redis_hints_have(const struct redis_hints *hints, struct str key);

#endif
