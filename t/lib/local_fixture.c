#include "t/lib/local_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "t/lib/unit.h"

void local_setup(struct config *config, int64_t share)
{
	static char path[400];

	redis_setup(config, false);
	snprintf(path, sizeof path, "%s/own", the_redis.dir);
	config->on_store_failure = STORE_FAILURE_LOCAL;
	config->store_path = str_from_c(path);
	config->store_size_max = 16 << 20;
	config->store_local_share = share;
	config->node = STR("mx1");
}

void local_charge_shared(struct store *st, int count)
{
	char id[32];

	for (int i = 0; i < count; i++) {
		snprintf(id, sizeof id, "shared-%d", i);
		redis_charge_until_taken(st, id);
	}
}

void local_charge_alone(struct store *st, int count, int64_t limit, int taken)
{
	struct err err = { 0 };
	bool is_taken;
	char id[32];

	for (int i = 0; i < count; i++) {
		snprintf(id, sizeof id, "alone-%d", i);
		ck_assert_msg(redis_charge_one(st, id, limit, &is_taken, &err), "%s", err.text);
		ck_assert_msg(is_taken == (i < taken), "charge %d", i);
	}
}

void local_wait_for_merged(struct store *st, int64_t least, int64_t most)
{
	while (atomic_load(&st->is_local) || redis_used(st) < least || redis_used(st) > most)
		usleep(20000);
}
