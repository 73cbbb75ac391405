#include "policy/store_local.h"

static const struct store_ops *const backends[] = {
	[STORE_EMBEDDED] = &store_lmdb,
	[STORE_REDIS] = &store_redis,
};

bool store_key_fits(struct str key, struct err *err)
{
	if (key.len > 0 && key.len <= STORE_KEY_MAX)
		return true;
	return err_set(err, ERR_INPUT, "store: a key of %zu octets (1 to %d are possible)", key.len, STORE_KEY_MAX);
}

bool store_open_at(const struct config *config, enum store_seat seat, struct store **out, struct err *err)
{
	if (config->store_backend == STORE_REDIS && config->on_store_failure == STORE_FAILURE_LOCAL)
		return store_local_open(config, seat, out, err);
	return backends[config->store_backend]->open(config, out, err);
}

bool store_open(const struct config *config, struct store **out, struct err *err)
{
	return store_open_at(config, STORE_SEAT_MILTER, out, err);
}

void store_close(struct store *st)
{
	if (st)
		st->ops->close(st);
}
