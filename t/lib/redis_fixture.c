#include "t/lib/redis_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "t/lib/unit.h"

struct redis_server the_redis;
struct str redis_address;

void redis_setup(struct config *config, bool by_socket)
{
	redis_address = str_from_c(by_socket ? the_redis.socket : the_redis.address);
	*config = (struct config){ .store_backend = STORE_REDIS,
				   .store_timeout_us = 500000,
				   .on_store_failure = STORE_FAILURE_DEFER,
				   .redis_addresses = { .items = &redis_address, .count = 1 } };
}

struct store *redis_open(const struct config *config)
{
	struct store *st = NULL;
	struct err err = { 0 };

	ck_assert_msg(store_open(config, &st, &err), "%s", err.text);
	return st;
}

void redis_begin(void)
{
	static int number;
	char name[32];

	snprintf(name, sizeof name, "redis-%d-%d", (int)getpid(), number++);
	redis_server_start(&the_redis, name, NULL);
}

void redis_end(void)
{
	redis_server_stop(&the_redis);
}

void redis_pass_time(void *arg, int64_t us)
{
	(void)arg;
	atomic_fetch_add(the_redis.shift_us, us);
}

/* So that no row runs over the end of a day or into another slot of its own accord. */
void redis_set_quiet_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	int64_t now_us = (int64_t)ts.tv_sec * US_PER_S, start_us = jst_day_start_us(jst_day(now_us) + 1);

	atomic_store(the_redis.shift_us, start_us + 5 * US_PER_S - now_us);
}

bool redis_charge_one(struct store *st, const char *id, int64_t limit, bool *out_taken, struct err *err)
{
	struct store_take take = { .key = STR("sekisho:{acme}:quota:crowd"), .window = WINDOW_ROLLING,
				   .period_us = DAY_US, .limit = limit, .cost = 1, .is_enforced = true };
	struct store_taken taken;
	struct store_charge one = { .tenant = STR("acme"), .id = str_from_c(id), .takes = &take, .count = 1 };
	struct store_charged charged = { .taken = &taken };

	if (!st->ops->charge(st, &one, &charged, err))
		return false;
	*out_taken = charged.is_taken;
	return true;
}

int64_t redis_used(struct store *st)
{
	struct store_take take = { .key = STR("sekisho:{acme}:quota:crowd"), .window = WINDOW_ROLLING,
				   .period_us = DAY_US, .limit = LIMIT_NONE, .cost = 1, .is_enforced = true };
	struct store_taken taken = { 0 };
	struct store_charge one = { .tenant = STR("acme"), .takes = &take, .count = 1, .is_peek = true };
	struct store_charged charged = { .taken = &taken };
	struct err err = { 0 };

	while (!st->ops->charge(st, &one, &charged, &err))
		usleep(20000);
	return taken.used;
}

/* Until it works: a server that is there again is found again. */
void redis_charge_until_taken(struct store *st, const char *id)
{
	bool is_taken = false;
	struct err err = { 0 };

	while (!redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err))
		usleep(20000);
	ck_assert(is_taken);
}

/* Until what nobody learnt the outcome of has been undone. */
void redis_wait_for_used(struct store *st, int64_t want)
{
	for (int tries = 0; tries < 200 && redis_used(st) != want; tries++)
		usleep(20000);
	ck_assert_int_eq(redis_used(st), want);
}
