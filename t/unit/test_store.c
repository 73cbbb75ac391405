/* The embedded store: what every store does, and what only files can do. */
#include "t/lib/store_random.h"
#include "t/lib/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"

#define START_US (INT64_C(1795186800) * US_PER_S)      /* 2026-11-21 00:00 JST */

static int64_t now_us;

/* A fresh directory each time; tests run in processes of their own. */
static void store_config(struct config *config, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%s", unit_dir(), name);
	*config = (struct config){ .store_backend = STORE_EMBEDDED,
				   .store_path = str_from_c(path),
				   .store_size_max = 64 << 20 };
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

START_TEST(beside_a_charge)
{
	struct config config;

	store_config(&config, "beside");
	now_us = START_US;
	clock_set(now_us);

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	store_beside_run(&under);
	store_close(under.st);
}
END_TEST

START_TEST(random_operations)
{
	struct config config;
	char name[32];

	snprintf(name, sizeof name, "random-%d", _i);
	store_config(&config, name);
	now_us = START_US + _i * 5 * DAY_US;
	clock_set(now_us);

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	store_random_run(&under, (unsigned int)_i + 1, 1500);
	store_close(under.st);
}
END_TEST

/* --- many at once, by the real clock */

#define CROWD 64
#define CROWD_LIMIT 500

static bool charge_one(struct store *st, const char *id, int64_t limit, bool *out_taken, struct err *err)
{
	struct store_take take = { .key = STR("sekisho:{acme}:quota:crowd"), .window = WINDOW_ROLLING,
				   .period_us = DAY_US, .limit = limit, .cost = 1, .is_enforced = true };
	struct store_taken taken;
	struct store_charge charge = { .tenant = STR("acme"), .id = str_from_c(id), .takes = &take, .count = 1 };
	struct store_charged charged = { .taken = &taken };

	if (!st->ops->charge(st, &charge, &charged, err))
		return false;
	*out_taken = charged.is_taken;
	return true;
}

struct crowd {
	struct store *st;
	int number;
	size_t tries, taken;
};

static void *crowd_work(void *arg)
{
	struct crowd *own = arg;
	char id[32];

	for (size_t i = 0; i < own->tries; i++) {
		bool is_taken = false;
		struct err err = { 0 };

		snprintf(id, sizeof id, "crowd-%d-%zu", own->number, i);
		ck_assert_msg(charge_one(own->st, id, CROWD_LIMIT, &is_taken, &err), "%s", err.text);
		own->taken += is_taken;
	}
	return NULL;
}

static size_t run_crowd(struct store *st, int first, size_t threads, size_t tries)
{
	pthread_t ids[CROWD];
	struct crowd crowd[CROWD];
	size_t taken = 0;

	for (size_t i = 0; i < threads; i++) {
		crowd[i] = (struct crowd){ .st = st, .number = first + (int)i, .tries = tries };
		ck_assert_int_eq(pthread_create(&ids[i], NULL, crowd_work, &crowd[i]), 0);
	}
	for (size_t i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		taken += crowd[i].taken;
	}
	return taken;
}

START_TEST(threads_take_exactly_the_limit)
{
	struct config config;

	store_config(&config, "threads");
	struct store *st = open_store(&config);

	ck_assert_uint_eq(run_crowd(st, 0, CROWD, 16), CROWD_LIMIT);
	store_close(st);
}
END_TEST

/* A child of our own; the check library forks, but not like this. */
static pid_t start_child(void (*work)(const struct config *config, int number, int report), const struct config *config,
			 int number, int report)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		work(config, number, report);
		_exit(0);
	}
	return pid;
}

static void take_in_process(const struct config *config, int number, int report)
{
	struct store *st = open_store(config);
	uint32_t taken = (uint32_t)run_crowd(st, number * 100, 8, 25);

	store_close(st);
	if (write(report, &taken, sizeof taken) != sizeof taken)
		_exit(1);
}

START_TEST(processes_take_exactly_the_limit)
{
	struct config config;
	int report[2], status;
	pid_t pids[4];
	uint32_t taken, sum = 0;

	store_config(&config, "processes");
	ck_assert_int_eq(pipe(report), 0);
	for (int i = 0; i < 4; i++)
		pids[i] = start_child(take_in_process, &config, i, report[1]);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
		ck_assert_int_eq(read(report[0], &taken, sizeof taken), sizeof taken);
		sum += taken;
	}
	ck_assert_uint_eq(sum, CROWD_LIMIT);
}
END_TEST

/* --- death at any instant */

/* Says how many charges were answered, after each; counts without end. */
static void charge_until_killed(const struct config *config, int number, int report)
{
	struct store *st = open_store(config);
	char id[48];

	for (uint32_t done = 1;; done++) {
		bool is_taken = false;
		struct err err = { 0 };

		snprintf(id, sizeof id, "death-%d-%u-%d", number, done, (int)getpid());
		if (!charge_one(st, id, INT64_MAX - 1, &is_taken, &err) ||
		    write(report, &done, sizeof done) != sizeof done)
			_exit(1);
	}
}

static uint32_t last_report(int fd)
{
	uint32_t value = 0, last = 0;

	while (read(fd, &value, sizeof value) == sizeof value)
		last = value;
	return last;
}

static int64_t crowd_used(struct store *st)
{
	struct store_take take = { .key = STR("sekisho:{acme}:quota:crowd"), .window = WINDOW_ROLLING,
				   .period_us = DAY_US, .limit = INT64_MAX - 1, .is_enforced = true };
	struct store_taken taken = { 0 };
	struct store_charge charge = { .tenant = STR("acme"), .takes = &take, .count = 1, .is_peek = true };
	struct store_charged charged = { .taken = &taken };
	struct err err = { 0 };

	ck_assert_msg(st->ops->charge(st, &charge, &charged, &err), "%s", err.text);
	return taken.used;
}

/* Until it has answered once, or died. */
static void await_report(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&poll_fd, 1, -1), 1);
}

/* Two write; one or both are killed somewhere, in every other round after each has written. All that was answered is
 * there, and at most one more a process. */
START_TEST(killed_writers_lose_nothing)
{
	struct config config;
	int64_t least = 0;
	unsigned int seed = 7;

	store_config(&config, "killed");
	for (int round = 0; round < 25; round++) {
		int report[2][2], status;
		pid_t pids[2];

		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(pipe2(report[i], O_CLOEXEC | O_NONBLOCK), 0);
			fcntl(report[i][1], F_SETPIPE_SZ, 1 << 20);
			pids[i] = start_child(charge_until_killed, &config, round, report[i][1]);
			close(report[i][1]);
		}
		for (int i = 0; i < 2 && round % 2 == 0; i++)
			await_report(report[i][0]);
		usleep(3000 + (useconds_t)(rand_r(&seed) % 15000));
		for (int i = 0; i < 2; i++) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], &status, 0);
			ck_assert(WIFSIGNALED(status));
			usleep((useconds_t)(rand_r(&seed) % 1000));
			least += last_report(report[i][0]);
			close(report[i][0]);
		}

		struct store *st = open_store(&config);
		int64_t used = crowd_used(st);

		ck_assert_msg(used >= least && used <= least + 2, "round %d: %lld stored, %lld answered", round,
			      (long long)used, (long long)least);
		ck_assert_str_eq(st->notice, "");
		least = used;
		store_close(st);
	}
	ck_assert_int_gt(least, 25);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("store"), *crowd = tcase_create("crowd");

	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, crowd);
	tcase_add_loop_test(tc, rows, 0, store_row_count);
	tcase_add_test(crowd, beside_a_charge);
	tcase_add_loop_test(crowd, random_operations, 0, 6);
	tcase_add_test(crowd, threads_take_exactly_the_limit);
	tcase_add_test(crowd, processes_take_exactly_the_limit);
	tcase_add_test(crowd, killed_writers_lose_nothing);
	return unit_main(suite);
}
