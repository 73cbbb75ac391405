#include "policy/store_redis_word.h"

#include <stdio.h>

#include "policy/store.h"

struct str redis_number(int64_t value, char room[REDIS_NUMBER_TEXT])
{
	return str_of(room, (size_t)snprintf(room, REDIS_NUMBER_TEXT, "%lld", (long long)value));
}

int64_t redis_life_ms(int64_t ttl_us)
{
	return ttl_us / 1000 + (ttl_us % 1000 != 0);
}

bool redis_key_fits(struct str key, struct err *err)
{
	if (key.len > 0 && key.len <= STORE_KEY_MAX)
		return true;
	return err_set(err, ERR_INPUT, "store: a key of %zu octets (1 to %d are possible)", key.len, STORE_KEY_MAX);
}

bool redis_not_understood(redisReply *reply, struct err *err)
{
	freeReplyObject(reply);
	return err_set(err, ERR_BUSY, "redis: an answer that is not understood");
}
