/* The shared store: the same table as the embedded one, and what only a server can do to us. */
#include "t/lib/redis_server.h"
#include "t/lib/store_random.h"
#include "t/lib/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"

static struct redis_server server;
static struct str address;

static void setup(struct config *config, bool by_socket)
{
	address = str_from_c(by_socket ? server.socket : server.address);
	*config = (struct config){ .store_backend = STORE_REDIS, .store_timeout_us = 500000,
				   .redis_addresses = { .items = &address, .count = 1 } };
}

static struct store *open_store(const struct config *config)
{
	struct store *st = NULL;
	struct err err = { 0 };

	ck_assert_msg(store_open(config, &st, &err), "%s", err.text);
	return st;
}

static void start_server(void)
{
	static int number;
	char name[32];

	snprintf(name, sizeof name, "redis-%d-%d", (int)getpid(), number++);
	redis_server_start(&server, name, NULL);
}

static void stop_server(void)
{
	redis_server_stop(&server);
}

static void pass_time(void *arg, int64_t us)
{
	(void)arg;
	atomic_fetch_add(server.shift_us, us);
}

/* So that no row runs over the end of a day or into another slot of its own accord. */
static void set_quiet_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	int64_t now_us = (int64_t)ts.tv_sec * US_PER_S, start_us = jst_day_start_us(jst_day(now_us) + 1);

	atomic_store(server.shift_us, start_us + 5 * US_PER_S - now_us);
}

START_TEST(rows)
{
	struct config config;

	setup(&config, _i % 2);
	set_quiet_time();

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	ck_assert_str_eq(under.st->notice, "");
	store_row_run(_i, &under);
	store_close(under.st);
}
END_TEST

START_TEST(random_operations)
{
	struct config config;

	setup(&config, true);
	set_quiet_time();

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	store_random_run(&under, (unsigned int)_i + 1, 1500);
	store_close(under.st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store redis");
	TCase *tc = tcase_create("redis");

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, start_server, stop_server);
	tcase_add_loop_test(tc, rows, 0, store_row_count);
	tcase_add_loop_test(tc, random_operations, 0, 4);
	return unit_main(suite);
}
