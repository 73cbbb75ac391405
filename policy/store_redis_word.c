#include "policy/store_redis_word.h"

#include <stdio.h>

struct str redis_number(int64_t value, char room[REDIS_NUMBER_TEXT])
{
	return str_of(room, (size_t)snprintf(room, REDIS_NUMBER_TEXT, "%lld", (long long)value));
}

int64_t redis_life_ms(int64_t ttl_us)
{
	return ttl_us / 1000 + (ttl_us % 1000 != 0);
}

bool redis_not_understood(redisReply *reply, struct err *err)
{
	freeReplyObject(reply);
	return err_set(err, ERR_BUSY, "redis: an answer that is not understood");
}
