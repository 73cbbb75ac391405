/* on_store_failure: local, where others count too: the relay's processes, each at a seat of its own, and sessions of one of them. */
#include "t/lib/local_fixture.h"
#include "t/lib/proxy.h"
#include "t/lib/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "policy/store_local_inside.h"

/* --- other processes */

static struct store *open_as_track(const struct config *config)
{
	struct store *st = NULL;
	struct err err = { 0 };

	ck_assert_msg(store_open_at(config, STORE_SEAT_TRACK, &st, &err), "%s", err.text);
	return st;
}

/* It counted alone once, and hangs now. */
static _Noreturn void be_another(const struct config *config)
{
	struct store *st = open_as_track(config);
	int64_t total;

	kill(the_redis.pid, SIGSTOP);
	st->ops->count_add(st, STR("sekisho:{acme}:hits:x"), 1, DAY_US, &total, NULL);
	kill(the_redis.pid, SIGCONT);
	while (atomic_load(&st->is_local))
		usleep(10000);
	raise(SIGSTOP);
	_exit(0);
}

/* Each adds what it counted, whatever becomes of the other; and in the second round it dies, and the next that runs does. */
START_TEST(each_process_adds_its_own)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	int status;

	local_setup(&config, 100);
	pid_t other = fork();

	if (other == 0)
		be_another(&config);
	ck_assert(waitpid(other, &status, WUNTRACED) == other && WIFSTOPPED(status));
	struct store *st = redis_open(&config);

	local_charge_shared(st, 15);
	kill(the_redis.pid, SIGSTOP);
	local_charge_alone(st, 5, 20, 5);
	if (_i) {
		store_close(st);
		kill(other, SIGKILL);
		ck_assert(waitpid(other, &status, 0) == other);
		st = redis_open(&config);
	}
	kill(the_redis.pid, SIGCONT);
	/* With the process died that it wanted one undone which was never answered. */
	local_wait_for_merged(st, 20, 20 + _i);
	ck_assert(redis_charge_one(st, "more", 20, &is_taken, &err) && !is_taken);
	store_close(st);
	if (!_i) {
		kill(other, SIGKILL);
		waitpid(other, &status, 0);
	}
}
END_TEST

/* All daemons are started again while Redis is away, in whichever order: what was given out stays given out. */
START_TEST(a_restart_gives_nothing_out_again)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	int status;

	local_setup(&config, 100);
	kill(the_redis.pid, SIGSTOP);
	struct store *st = redis_open(&config);

	local_charge_alone(st, 6, 5, 5);
	store_close(st);
	pid_t other = fork();

	if (other == 0) {
		open_as_track(&config);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert(waitpid(other, &status, WUNTRACED) == other && WIFSTOPPED(status));
	st = redis_open(&config);
	ck_assert_msg(redis_charge_one(st, "again", 5, &is_taken, &err), "%s", err.text);
	ck_assert(!is_taken);
	kill(the_redis.pid, SIGCONT);
	local_wait_for_merged(st, 5, 5);
	store_close(st);
	kill(other, SIGKILL);
	waitpid(other, &status, 0);
}
END_TEST

static void be_user(uid_t user)
{
	if (getuid() == 0)
		ck_assert(seteuid(0) == 0 && setegid(100) == 0 && seteuid(user) == 0);
}

static int64_t mode_of(const struct config *config, const char *name)
{
	char path[500];
	struct stat st;

	snprintf(path, sizeof path, STR_FMT "/%s", STR_ARG(config->store_path), name);
	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return st.st_mode & 0777;
}

/* The daemons run as two users of one group, with an umask that leaves it nothing; and where only one may make files beside the
 * store, the other counts all the same. */
START_TEST(another_user_of_the_group_counts_too)
{
	struct config config;
	char merge[500];

	local_setup(&config, 100);
	ck_assert_int_eq(chmod(unit_dir(), 0711), 0);
	if (getuid() == 0)
		ck_assert_int_eq(chown(the_redis.dir, 0, 100), 0);
	ck_assert_int_eq(chmod(the_redis.dir, 0770), 0);
	umask(027);
	be_user(1);
	store_close(redis_open(&config));
	be_user(2);
	store_close(open_as_track(&config));
	ck_assert_int_eq(mode_of(&config, "merge"), 0660);
	ck_assert_int_eq(mode_of(&config, "counts/merge1"), 0660);
	be_user(0);
	snprintf(merge, sizeof merge, STR_FMT "/merge", STR_ARG(config.store_path));
	ck_assert_int_eq(unlink(merge), 0);
	be_user(2);
	store_close(redis_open(&config));
	be_user(0);
}
END_TEST

/* --- sessions that go on meanwhile */

#define COUNTERS 8
#define SESSIONS 4

static void count_one(struct store *st, const char *tenant, int number)
{
	char key[64];
	int64_t total;
	struct err err;

	snprintf(key, sizeof key, "sekisho:{%s}:watch:%d", tenant, number % COUNTERS);
	ck_assert_msg(st->ops->count_add(st, str_from_c(key), 1, DAY_US, &total, &err), "%s", err.text);
}

/* So many of the tenant's counters are in Redis. */
static int arrived(const char *tenant)
{
	char command[512] = "EXISTS";
	size_t len = strlen(command);

	for (int i = 0; i < COUNTERS; i++)
		len += (size_t)snprintf(command + len, sizeof command - len, " sekisho:{%s}:watch:%d", tenant, i);
	return (int)strtol(redis_server_ask(&the_redis, command), NULL, 10);
}

struct session { struct store *st; pthread_t thread; int begin; };

static void *count_while_local(void *arg)
{
	struct session *s = arg;

	for (int i = s->begin; atomic_load(&s->st->is_local); i++)
		count_one(s->st, "acme", i);
	return NULL;
}

/* Redis is back, and slow: what one tenant counted alone goes over little by little, and nobody else waits for that. Nor does it
 * go on for ever, though there is always more. */
START_TEST(a_slow_merge_lets_others_through)
{
	struct config config;
	struct proxy proxy;
	struct session sessions[SESSIONS];

	proxy_start(&proxy, the_redis.port);
	local_setup(&config, 100);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "shared");
	kill(the_redis.pid, SIGSTOP);
	count_one(st, "beta", 0);
	for (int i = 0; i < COUNTERS; i++)
		count_one(st, "acme", i);
	atomic_store(&proxy.delay_us, 200000);
	kill(the_redis.pid, SIGCONT);
	while (arrived("acme") < 3)     /* one was on its way before it was counted alone */
		usleep(10000);
	for (int i = 0; i < 3; i++)
		count_one(st, "beta", i);
	ck_assert_int_lt(arrived("acme"), COUNTERS);
	atomic_store(&proxy.delay_us, 60000);
	for (int i = 0; i < SESSIONS; i++) {
		sessions[i] = (struct session){ .st = st, .begin = i * COUNTERS / SESSIONS };
		ck_assert_int_eq(pthread_create(&sessions[i].thread, NULL, count_while_local, &sessions[i]), 0);
	}
	for (int i = 0; i < SESSIONS; i++)
		pthread_join(sessions[i].thread, NULL);
	atomic_store(&proxy.delay_us, 0);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

/* A tenant that shares acme's slot. */
static void neighbour_of_acme(char out[32])
{
	uint64_t slot = str_hash(STR("acme")) % STORE_LOCAL_TENANTS;
	int i = 0;

	do
		snprintf(out, 32, "neighbour-%d", i++);
	while (str_hash(str_from_c(out)) % STORE_LOCAL_TENANTS != slot);
}

/* The merger has looked who has something left, and is at a neighbour, when acme is counted alone for the first time: it stays so
 * until its own has gone over. */
START_TEST(who_comes_late_is_given_nothing_twice)
{
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	bool is_taken;
	char neighbour[32], id[32];

	proxy_start(&proxy, the_redis.port);
	local_setup(&config, 100);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	neighbour_of_acme(neighbour);
	kill(the_redis.pid, SIGSTOP);
	for (int i = 0; i < COUNTERS; i++)
		count_one(st, neighbour, i);
	atomic_store(&proxy.delay_us, 100000);
	kill(the_redis.pid, SIGCONT);
	while (arrived(neighbour) < 3)
		usleep(10000);
	for (int i = 0; i < 2; i++) {
		snprintf(id, sizeof id, "late-%d", i);
		ck_assert_msg(redis_charge_one(st, id, 2, &is_taken, &err) && is_taken, "%s", err.text);
	}
	ck_assert_int_lt(arrived(neighbour), COUNTERS);
	for (int i = 0; atomic_load(&st->is_local); i++) {
		snprintf(id, sizeof id, "again-%d", i);
		ck_assert_msg(redis_charge_one(st, id, 2, &is_taken, &err), "%s", err.text);
		ck_assert_msg(!is_taken, "try %d was given out twice", i);
	}
	atomic_store(&proxy.delay_us, 0);
	local_wait_for_merged(st, 2, 2);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

static void *charge_while_local(void *arg)
{
	static atomic_long charges;
	struct store *st = arg;
	bool is_taken;
	char id[32];

	while (atomic_load(&st->is_local)) {
		snprintf(id, sizeof id, "busy-%ld", atomic_fetch_add(&charges, 1));
		redis_charge_one(st, id, LIMIT_NONE, &is_taken, NULL);
	}
	return NULL;
}

/* A tenant's sessions never all pause at once, and yet what they counted goes over. */
START_TEST(a_busy_relay_is_shared_again)
{
	pthread_t sessions[16];
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	local_setup(&config, 100);
	struct store *st = redis_open(&config);

	kill(the_redis.pid, SIGSTOP);
	ck_assert_msg(redis_charge_one(st, "alone", LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
	for (size_t i = 0; i < 16; i++)
		ck_assert_int_eq(pthread_create(&sessions[i], NULL, charge_while_local, st), 0);
	kill(the_redis.pid, SIGCONT);
	for (size_t i = 0; i < 16; i++)
		pthread_join(sessions[i], NULL);
	store_close(st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store local seat");
	TCase *tc = tcase_create("store local seat");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, redis_begin, redis_end);
	tcase_add_loop_test(tc, each_process_adds_its_own, 0, 2);
	tcase_add_test(tc, a_restart_gives_nothing_out_again);
	tcase_add_test(tc, another_user_of_the_group_counts_too);
	tcase_add_test(tc, a_slow_merge_lets_others_through);
	tcase_add_test(tc, who_comes_late_is_given_nothing_twice);
	tcase_add_test(tc, a_busy_relay_is_shared_again);
	return unit_main(suite);
}
