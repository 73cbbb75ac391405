/*
 * store_redis_word - the words of Redis commands that the store's verbs are made of.
 *
 * Private to policy/store_redis*.c.
 */
#ifndef SEKISHO_STORE_REDIS_WORD_H
#define SEKISHO_STORE_REDIS_WORD_H

#include "policy/store_redis_link.h"

#define REDIS_NUMBER_TEXT 24

struct str redis_number(int64_t value, char room[REDIS_NUMBER_TEXT]);
/* Redis counts lives in milliseconds; a started one is whole. */
int64_t redis_life_ms(int64_t ttl_us);

/* Frees the reply. */
bool redis_not_understood(redisReply *reply, struct err *err);

#endif
