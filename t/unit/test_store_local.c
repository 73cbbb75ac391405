/* on_store_failure: local. Redis goes, and comes back: what is counted where, and that nothing is counted twice. */
#include "t/lib/proxy.h"
#include "t/lib/redis_fixture.h"
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

static void setup_local(struct config *config, int64_t share)
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

/* Until Redis itself says so much. */
static void wait_for_merged(struct store *st, int64_t least, int64_t most)
{
	while (atomic_load(&st->is_local) || redis_used(st) < least || redis_used(st) > most)
		usleep(20000);
}

static void note_change(void *arg, bool is_local, const char *why)
{
	ck_assert_int_eq(is_local, why[0] != '\0');
	atomic_fetch_add((atomic_int *)arg, is_local ? 1 : 100);
}

START_TEST(without_redis_counts_locally)
{
	atomic_int changes = 0;
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	int64_t total;
	char id[32];

	setup_local(&config, 50);
	struct store *st = redis_open(&config);

	st->on_local_arg = &changes;
	atomic_store(&st->on_local, note_change);
	for (int i = 0; i < 7; i++) {
		snprintf(id, sizeof id, "shared-%d", i);
		redis_charge_until_taken(st, id);
	}
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 2, DAY_US, &total, &err));
	kill(the_redis.pid, SIGSTOP);
	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof id, "local-%d", i);
		ck_assert_msg(redis_charge_one(st, id, 20, &is_taken, &err), "%s", err.text);
		ck_assert_msg(is_taken == (i < 10), "charge %d", i);
	}
	ck_assert(atomic_load(&st->is_local));
	ck_assert_int_eq(changes, 1);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 3, DAY_US, &total, &err));
	ck_assert_int_eq(total, 3);
	/* Each where it was taken, though one of them cannot be reached. */
	ck_assert_msg(st->ops->refund(st, STR("acme"), STR("local-3"), &err), "%s", err.text);
	ck_assert_msg(st->ops->refund(st, STR("acme"), STR("shared-3"), &err), "%s", err.text);

	if (_i) {                       /* our process dies before Redis is back */
		store_close(st);
		st = redis_open(&config);
	}
	kill(the_redis.pid, SIGCONT);
	/* With the process died what it still wanted undone: one refund, and three charges that were never answered. */
	wait_for_merged(st, 7 - 1 + 9, 7 - 1 + 9 + (_i ? 4 : 0));
	while (!_i && atomic_load(&changes) == 1)       /* it is told after it is so */
		usleep(20000);
	ck_assert_int_eq(changes, _i ? 1 : 101);
	/* counters are merged after the windows */
	for (int i = 0; i < 2000; i++) {
		ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 0, DAY_US, &total, &err));
		if (total == 5)
			break;
		usleep(5000);
	}
	ck_assert_int_eq(total, 5);
	ck_assert(redis_charge_one(st, "full", 15, &is_taken, &err));
	ck_assert(!is_taken);
	store_close(st);
}
END_TEST

/* What Redis has given out already is not given out again, and what was given out alone is not given out by Redis. */
START_TEST(no_more_than_was_left)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	char id[32];

	setup_local(&config, 100);
	struct store *st = redis_open(&config);

	for (int i = 0; i < 15; i++) {
		snprintf(id, sizeof id, "shared-%d", i);
		redis_charge_until_taken(st, id);
	}
	kill(the_redis.pid, SIGSTOP);
	for (int i = 0; i < 10; i++) {
		snprintf(id, sizeof id, "alone-%d", i);
		ck_assert_msg(redis_charge_one(st, id, 20, &is_taken, &err), "%s", err.text);
		ck_assert_msg(is_taken == (i < 5), "charge %d", i);
	}
	kill(the_redis.pid, SIGCONT);
	for (int i = 0; i < 200 && atomic_load(&st->is_local); i++, usleep(10000)) {
		ck_assert(redis_charge_one(st, "back", 20, &is_taken, &err));
		ck_assert(!is_taken);
	}
	wait_for_merged(st, 20, 20);
	store_close(st);
}
END_TEST

/* It comes and goes, and never answers a message between: what went over is not given out again. */
START_TEST(no_more_however_often)
{
	struct config config;
	struct err err = { 0 };
	int taken = 1;
	bool is_taken;
	char id[32];

	setup_local(&config, 25);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "shared");
	for (int times = 0; times < 6; times++) {
		kill(the_redis.pid, SIGSTOP);
		for (int i = 0; i < 6; i++) {
			snprintf(id, sizeof id, "alone-%d-%d", times, i);
			ck_assert_msg(redis_charge_one(st, id, 20, &is_taken, &err), "%s", err.text);
			taken += is_taken;
		}
		kill(the_redis.pid, SIGCONT);
		wait_for_merged(st, taken, taken);
	}
	ck_assert_int_eq(taken, 20);
	store_close(st);
}
END_TEST

/* Two that look alike are still two. */
START_TEST(the_same_count_again)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	char id[32];

	setup_local(&config, 100);
	struct store *st = redis_open(&config);

	for (int i = 1; i <= 4; i++) {
		kill(the_redis.pid, SIGSTOP);
		snprintf(id, sizeof id, "alone-%d", i);
		ck_assert_msg(redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
		kill(the_redis.pid, SIGCONT);
		wait_for_merged(st, i, i);
	}
	store_close(st);
}
END_TEST

/* It answers, but takes no more: that is away too, and not back every second. */
START_TEST(a_full_redis_is_away)
{
	atomic_int changes = 0;
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	setup_local(&config, 100);
	struct store *st = redis_open(&config);

	st->on_local_arg = &changes;
	atomic_store(&st->on_local, note_change);
	redis_charge_until_taken(st, "before");
	redis_server_ask(&the_redis, "CONFIG SET maxmemory 1");
	for (int i = 0; i < 12; i++) {
		char id[24];

		snprintf(id, sizeof id, "full-%d", i);
		ck_assert_msg(redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
		usleep(100000);
	}
	ck_assert_int_eq(changes, 1);
	redis_server_ask(&the_redis, "CONFIG SET maxmemory 0");
	wait_for_merged(st, 13, 13);
	ck_assert_int_eq(changes, 101);
	store_close(st);
}
END_TEST

START_TEST(without_redis_knows_what_it_knew)
{
	struct config config;
	struct err err = { 0 };
	struct arena arena;
	struct str value;
	bool found;

	setup_local(&config, 100);
	struct store *st = redis_open(&config);

	arena_init(&arena, SIZE_MAX);
	ck_assert(st->ops->put(st, STR("sekisho:{acme}:suspended"), STR("yes"), DAY_US, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{beta}:suspended"), STR("yes"), DAY_US, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{beta}:suspended"), STR(""), 0, &err));
	redis_server_ask(&the_redis, "SET sekisho:{gamma}:suspended elsewhere PX 100000");
	ck_assert(st->ops->get(st, STR("sekisho:{gamma}:suspended"), &arena, &value, &found, &err) && found);
	redis_server_stop(&the_redis);

	while (!atomic_load(&st->is_local))
		ck_assert(st->ops->get(st, STR("sekisho:{acme}:suspended"), &arena, &value, &found, &err));
	ck_assert(st->ops->get(st, STR("sekisho:{acme}:suspended"), &arena, &value, &found, &err) && found);
	ck_assert_str_is(value, STR("yes"));
	ck_assert(st->ops->get(st, STR("sekisho:{beta}:suspended"), &arena, &value, &found, &err) && !found);
	ck_assert(st->ops->get(st, STR("sekisho:{gamma}:suspended"), &arena, &value, &found, &err) && found);
	ck_assert_str_is(value, STR("elsewhere"));
	ck_assert(!st->ops->put(st, STR("sekisho:{acme}:suspended"), STR("no"), DAY_US, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	arena_clear(&arena);
	store_close(st);
}
END_TEST

static int64_t count_in_redis(const char *key)
{
	char command[200];

	snprintf(command, sizeof command, "GET %s", key);
	return strtoll(redis_server_ask(&the_redis, command), NULL, 10);
}

/* Answers are lost while it goes over (the last key first), each twice: what was done, though nobody learnt of it, is done once. */
START_TEST(a_merge_whose_answers_are_lost_counts_once)
{
	static const char *const lost[] = { "watch:two", "watch:two", "watch:one", "watch:one", "quota:crowd", "quota:crowd" };
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	bool is_taken = false;
	int64_t total;

	proxy_start(&proxy, the_redis.port);
	setup_local(&config, 100);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "shared");
	kill(the_redis.pid, SIGSTOP);
	ck_assert_msg(redis_charge_one(st, "alone", LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
	ck_assert(atomic_load(&st->is_local));
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:watch:one"), 3, DAY_US, &total, &err));
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:watch:two"), 5, DAY_US, &total, &err));
	atomic_store(&proxy.loses, lost[0]);
	kill(the_redis.pid, SIGCONT);
	for (size_t i = 1; i <= sizeof lost / sizeof *lost; i++) {
		while (atomic_load(&proxy.loses))
			usleep(1000);
		/* More is counted alone meanwhile, and goes over behind it. */
		if (i == 3)
			ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:watch:one"), 4, DAY_US, &total, &err));
		atomic_store(&proxy.loses, i < sizeof lost / sizeof *lost ? lost[i] : NULL);
	}
	while (atomic_load(&st->is_local))
		usleep(10000);
	redis_wait_for_used(st, 2);
	ck_assert_int_eq(count_in_redis("sekisho:{acme}:watch:one"), 7);
	ck_assert_int_eq(count_in_redis("sekisho:{acme}:watch:two"), 5);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

/* --- a bucket */

static bool pour(struct store *st, const char *id, int64_t cost, bool is_peek, int64_t *out_used)
{
	const struct store_take take = { .key = STR("sekisho:{acme}:q:m"), .window = WINDOW_BURST, .period_us = DAY_US,
					 .limit = 100, .cost = cost, .is_enforced = true };
	struct store_taken taken = { 0 };
	const struct store_charge one = { .tenant = STR("acme"), .id = str_from_c(id), .takes = &take, .count = 1, .is_peek = is_peek };
	struct store_charged charged = { .taken = &taken };
	struct err err = { 0 };

	ck_assert_msg(st->ops->charge(st, &one, &charged, &err), "%s", err.text);
	*out_used = taken.used;
	return charged.is_taken;
}

/* What was left when Redis went is the limit of who counts alone; the bucket that it goes over to keeps its own. */
START_TEST(a_bucket_goes_over_whole)
{
	struct config config;
	int64_t used;

	setup_local(&config, 100);
	struct store *st = redis_open(&config);

	ck_assert(pour(st, "shared", 60, false, &used));
	kill(the_redis.pid, SIGSTOP);
	ck_assert(pour(st, "alone", 40, false, &used) && atomic_load(&st->is_local));
	kill(the_redis.pid, SIGCONT);
	while (atomic_load(&st->is_local))
		usleep(20000);
	pour(st, "", 1, true, &used);
	ck_assert_int_eq(used, 100);
	ck_assert(!pour(st, "more", 40, false, &used));
	store_close(st);
}
END_TEST

/* Nobody gives it back: it need not be remembered for a quarter of an hour. */
START_TEST(what_is_settled_alone_is_forgotten)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	setup_local(&config, 100);
	struct store *st = redis_open(&config);

	kill(the_redis.pid, SIGSTOP);
	ck_assert_msg(redis_charge_one(st, "alone", 1, &is_taken, &err) && is_taken, "%s", err.text);
	ck_assert_ptr_nonnull(st->ops->settle);
	st->ops->settle(st, STR("acme"), STR("alone"));
	ck_assert(st->ops->refund(st, STR("acme"), STR("alone"), &err));
	ck_assert(redis_charge_one(st, "more", 1, &is_taken, &err) && !is_taken);
	kill(the_redis.pid, SIGCONT);
	store_close(st);
}
END_TEST

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
	char id[32];

	setup_local(&config, 100);
	pid_t other = fork();

	if (other == 0)
		be_another(&config);
	ck_assert(waitpid(other, &status, WUNTRACED) == other && WIFSTOPPED(status));
	struct store *st = redis_open(&config);

	for (int i = 0; i < 15; i++) {
		snprintf(id, sizeof id, "shared-%d", i);
		redis_charge_until_taken(st, id);
	}
	kill(the_redis.pid, SIGSTOP);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof id, "alone-%d", i);
		ck_assert_msg(redis_charge_one(st, id, 20, &is_taken, &err) && is_taken, "%s", err.text);
	}
	if (_i) {
		store_close(st);
		kill(other, SIGKILL);
		ck_assert(waitpid(other, &status, 0) == other);
		st = redis_open(&config);
	}
	kill(the_redis.pid, SIGCONT);
	/* With the process died that it wanted one undone which was never answered. */
	wait_for_merged(st, 20, 20 + _i);
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
	char id[32];

	setup_local(&config, 100);
	kill(the_redis.pid, SIGSTOP);
	struct store *st = redis_open(&config);

	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof id, "alone-%d", i);
		ck_assert_msg(redis_charge_one(st, id, 5, &is_taken, &err), "%s", err.text);
		ck_assert_msg(is_taken == (i < 5), "charge %d", i);
	}
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
	wait_for_merged(st, 5, 5);
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

	setup_local(&config, 100);
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

/* So many of acme's counters are in Redis. */
static int arrived(void)
{
	char command[512] = "EXISTS";
	size_t len = strlen(command);

	for (int i = 0; i < COUNTERS; i++)
		len += (size_t)snprintf(command + len, sizeof command - len, " sekisho:{acme}:watch:%d", i);
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
	setup_local(&config, 100);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "shared");
	kill(the_redis.pid, SIGSTOP);
	count_one(st, "beta", 0);
	for (int i = 0; i < COUNTERS; i++)
		count_one(st, "acme", i);
	atomic_store(&proxy.delay_us, 200000);
	kill(the_redis.pid, SIGCONT);
	while (arrived() < 3)           /* one was on its way before it was counted alone */
		usleep(10000);
	for (int i = 0; i < 3; i++)
		count_one(st, "beta", i);
	ck_assert_int_lt(arrived(), COUNTERS);
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

	setup_local(&config, 100);
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
	Suite *suite = suite_create("store local");
	TCase *tc = tcase_create("store local");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, redis_begin, redis_end);
	tcase_add_loop_test(tc, without_redis_counts_locally, 0, 2);
	tcase_add_test(tc, no_more_than_was_left);
	tcase_add_test(tc, no_more_however_often);
	tcase_add_test(tc, the_same_count_again);
	tcase_add_test(tc, a_full_redis_is_away);
	tcase_add_test(tc, a_merge_whose_answers_are_lost_counts_once);
	tcase_add_test(tc, without_redis_knows_what_it_knew);
	tcase_add_test(tc, a_bucket_goes_over_whole);
	tcase_add_test(tc, what_is_settled_alone_is_forgotten);
	tcase_add_loop_test(tc, each_process_adds_its_own, 0, 2);
	tcase_add_test(tc, a_restart_gives_nothing_out_again);
	tcase_add_test(tc, another_user_of_the_group_counts_too);
	tcase_add_test(tc, a_slow_merge_lets_others_through);
	tcase_add_test(tc, a_busy_relay_is_shared_again);
	return unit_main(suite);
}
