/* The embedded store: what every store does, and what only files can do. */
#include "t/lib/store_rows.h"
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"

#define START_US (INT64_C(1795186800) * US_PER_S)      /* 2026-11-21 00:00 JST */

static int64_t now_us;

/* A fresh directory each time; tests run in processes of their own. */
static void store_config(struct config *config, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%s", unit_dir(), name);
	*config = (struct config){ .store_backend = STORE_EMBEDDED, .store_path = str_from_c(path), .store_size_max = 64 << 20 };
}

static struct store *open_store(const struct config *config)
{
	struct store *st = NULL;
	struct err err = { 0 };

	ck_assert_msg(store_open(config, &st, &err), "%s", err.text);
	return st;
}

static void pass_time(void *arg, int64_t us)
{
	(void)arg;
	now_us += us;
	clock_set(now_us);
}

START_TEST(rows)
{
	struct config config;
	char name[32];

	snprintf(name, sizeof name, "row-%d", _i);
	store_config(&config, name);
	now_us = START_US;
	clock_set(now_us);

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	store_row_run(_i, &under);
	store_close(under.st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("store");

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, rows, 0, store_row_count);
	return unit_main(suite);
}
