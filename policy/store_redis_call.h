/*
 * store_redis_call - a command as bytes: made once, sent as often as need be.
 */
#ifndef SEKISHO_STORE_REDIS_CALL_H
#define SEKISHO_STORE_REDIS_CALL_H

#include "policy/store_redis_conn.h"
#include "policy/store_redis_link.h"

/* NULL: out of memory. Its undo is made with it. */
struct redis_call *redis_call_new(const struct redis_words *words);
void redis_call_free(struct redis_call *call);         /* with undo and reply; NULL is fine */
/* EVALSHA becomes EVAL with the whole text; false when it is no script, or no more. */
bool redis_call_spell_out(struct redis_call *call);

/* *N, then each word. */
void redis_put_words(struct buf *out, const struct str *words, size_t count);

#endif
