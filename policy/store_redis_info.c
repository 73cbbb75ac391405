#include "policy/store_redis_info.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "policy/store_redis_link.h"

static bool ask(struct redis_link *link, struct arena *arena, struct str *out, struct err *err)
{
	const struct str word = STR("INFO");
	const struct redis_words call = { .script = SCRIPT_NONE, .words = &word, .count = 1 };
	redisReply *reply;
	bool ok;

	if (!redis_link_call(link, &call, -1, &reply, err))
		return false;
	if (reply->type != REDIS_REPLY_STRING)
		ok = err_set(err, ERR_BUSY, "INFO was not answered with text");
	else
		ok = arena_copy(arena, str_of(reply->str, reply->len), out) || err_memory(err);
	freeReplyObject(reply);
	return ok;
}

bool store_redis_info(const struct config *config, struct arena *arena, struct str *out, struct err *err)
{
	struct redis_link *link;
	bool ok;

	if (!redis_link_open(config, &link, err))
		return false;
	ok = ask(link, arena, out, err);
	redis_link_close(link);
	return ok;
}
