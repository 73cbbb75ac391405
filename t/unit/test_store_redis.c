/* The shared store: the same table as the embedded one, and what only a server can do to us. */
#include "t/lib/proxy.h"
#include "t/lib/redis_server.h"
#include "t/lib/store_random.h"
#include "t/lib/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "policy/store_copy.h"

static struct redis_server server;
static struct str address;

static void setup(struct config *config, bool by_socket)
{
	address = str_from_c(by_socket ? server.socket : server.address);
	*config = (struct config){ .store_backend = STORE_REDIS,
				   .store_timeout_us = 500000,
				   .on_store_failure = STORE_FAILURE_DEFER,
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

START_TEST(beside_a_charge)
{
	struct config config;

	setup(&config, true);
	set_quiet_time();

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	store_beside_run(&under);
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

/* --- many at once */

#define LIMIT 300

static bool charge(struct store *st, const char *id, int64_t limit, bool *out_taken, struct err *err)
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

static int64_t used(struct store *st)
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

struct crowd {
	pthread_t thread;
	struct store *st;
	int number, taken;
};

static void *crowd_work(void *arg)
{
	struct crowd *own = arg;
	char id[32];

	for (int i = 0; i < 12; i++) {
		bool is_taken = false;
		struct err err = { 0 };

		snprintf(id, sizeof id, "crowd-%d-%d", own->number, i);
		ck_assert_msg(charge(own->st, id, LIMIT, &is_taken, &err), "%s", err.text);
		own->taken += is_taken;
	}
	return NULL;
}

/* Two relays with 32 sessions each, one quota; and each decision is one command, whatever else is going on. */
START_TEST(relays_take_exactly_the_limit)
{
	struct config config;
	struct crowd crowd[64];
	struct store *relays[2];
	int taken = 0;

	setup(&config, false);
	config.store_timeout_us = 10 * US_PER_S;
	for (int i = 0; i < 2; i++)
		relays[i] = open_store(&config);
	redis_server_ask(&server, "CONFIG RESETSTAT");
	for (int i = 0; i < 64; i++) {
		crowd[i] = (struct crowd){ .st = relays[i % 2], .number = i };
		ck_assert_int_eq(pthread_create(&crowd[i].thread, NULL, crowd_work, &crowd[i]), 0);
	}
	for (int i = 0; i < 64; i++) {
		pthread_join(crowd[i].thread, NULL);
		taken += crowd[i].taken;
	}
	ck_assert_int_eq(taken, LIMIT);
	ck_assert_ptr_nonnull(strstr(redis_server_ask(&server, "INFO commandstats"), "cmdstat_evalsha:calls=768,"));
	ck_assert_ptr_null(strstr(redis_server_ask(&server, "INFO commandstats"), "cmdstat_eval:"));
	ck_assert_int_eq(used(relays[1]), LIMIT);
	for (int i = 0; i < 2; i++)
		store_close(relays[i]);
}
END_TEST

static bool has_end(void *arg, struct str key, struct str value, int64_t expires_us)
{
	(void)key;
	(void)value;
	ck_assert_int_gt(expires_us, 0);
	++*(int *)arg;
	return true;
}

/* What the random test left: no key without an end, and a month later no key. */
START_TEST(every_key_expires)
{
	struct config config;
	struct err err = { 0 };
	int64_t total;
	int seen = 0;

	setup(&config, true);
	set_quiet_time();

	struct store_under_test under = { .st = open_store(&config), .advance = pass_time };

	store_random_run(&under, 99, 600);
	ck_assert(under.st->ops->count_add(under.st, STR("sekisho:{acme}:bounce:x"), 1, 60 * DAY_US, &total, &err));
	ck_assert(under.st->ops->put(under.st, STR("sekisho:{acme}:suppress:x"), STR("v"), DAY_US, &err));
	ck_assert(under.st->ops->scan(under.st, STR(""), has_end, &seen, &err));
	ck_assert_int_eq(seen, atoi(redis_server_ask(&server, "DBSIZE")));
	ck_assert_int_gt(seen, 5);
	pass_time(NULL, 62 * DAY_US);
	seen = 0;
	ck_assert(under.st->ops->scan(under.st, STR(""), has_end, &seen, &err));
	ck_assert_int_eq(seen, 0);
	store_close(under.st);
}
END_TEST

/* --- what servers and networks do */

/* Until it works: a server that is there again is found again. */
static void charge_until_taken(struct store *st, const char *id)
{
	bool is_taken = false;
	struct err err = { 0 };

	while (!charge(st, id, LIMIT_NONE, &is_taken, &err))
		usleep(20000);
	ck_assert(is_taken);
}

/* Until what nobody learnt the outcome of has been undone. */
static void wait_for_used(struct store *st, int64_t want)
{
	for (int tries = 0; tries < 200 && used(st) != want; tries++)
		usleep(20000);
	ck_assert_int_eq(used(st), want);
}

START_TEST(a_silent_server)
{
	struct config config;
	bool is_taken;
	struct err err = { 0 };
	char id[32];

	setup(&config, false);
	config.store_timeout_us = 50000;
	struct store *st = open_store(&config);

	charge_until_taken(st, "before");
	kill(server.pid, SIGSTOP);
	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof id, "silent-%d", i);
		ck_assert(!charge(st, id, LIMIT_NONE, &is_taken, &err));
		ck_assert_int_eq(err.kind, ERR_BUSY);
		ck_assert_msg(strstr(err.text, "answer"), "%s", err.text);
		usleep(20000);
	}
	kill(server.pid, SIGCONT);
	charge_until_taken(st, "after");
	wait_for_used(st, 2);
	store_close(st);
}
END_TEST

START_TEST(a_server_that_dies)
{
	struct config config;
	bool is_taken;
	struct err err = { 0 };

	setup(&config, _i);
	struct store *st = open_store(&config);

	charge_until_taken(st, "before");
	redis_server_stop(&server);
	while (charge(st, "during", LIMIT_NONE, &is_taken, &err))
		;
	ck_assert_int_eq(err.kind, ERR_BUSY);
	redis_server_restart(&server, NULL);
	charge_until_taken(st, "after");
	ck_assert_int_eq(used(st), 1);         /* it came back empty */
	store_close(st);
}
END_TEST

START_TEST(a_server_that_is_not_there_yet)
{
	struct config config;

	setup(&config, false);
	redis_server_stop(&server);
	struct store *st = open_store(&config);

	ck_assert_msg(strstr(st->notice, "efused"), "%s", st->notice);
	redis_server_restart(&server, NULL);
	charge_until_taken(st, "after");
	store_close(st);
}
END_TEST

/* Cut at each octet, an answer is lost and what it answered is undone; nothing is counted that nobody was told of. */
START_TEST(answers_cut_anywhere)
{
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	int64_t taken = 0, failed = 0;
	char id[32];

	proxy_start(&proxy, server.port);
	setup(&config, false);
	address = str_from_c(proxy.address);
	struct store *st = open_store(&config);

	for (int i = 0; i < 40; i++) {
		bool is_taken = false;

		charge_until_taken(st, "steady");
		st->ops->refund(st, STR("acme"), STR("steady"), &err);
		snprintf(id, sizeof id, "cut-%d", i);
		atomic_store(&proxy.cut_after, i);
		if (charge(st, id, LIMIT_NONE, &is_taken, &err))
			taken += is_taken;
		else
			failed++;
		atomic_store(&proxy.cut_after, -1);
	}
	ck_assert_int_gt(failed, 15);
	wait_for_used(st, taken);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

START_TEST(a_slow_network)
{
	struct config config;
	struct proxy proxy;

	proxy_start(&proxy, server.port);
	setup(&config, false);
	address = str_from_c(proxy.address);
	config.store_timeout_us = 2 * US_PER_S;
	struct store *st = open_store(&config);

	atomic_store(&proxy.delay_us, 100000);
	for (int i = 0; i < 3; i++) {
		char id[32];

		snprintf(id, sizeof id, "slow-%d", i);
		charge_until_taken(st, id);
	}
	atomic_store(&proxy.delay_us, 0);
	ck_assert_int_eq(used(st), 3);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

static const struct { const char *name, *before, *after, *says; enum err_kind kind;
} mood_rows[] = {
	{ "its scripts are forgotten", "SCRIPT FLUSH", NULL, NULL, ERR_NONE },
	{ "it is a replica now", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY", ERR_BUSY },
	{ "its memory is full", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM", ERR_FULL },
	{ "it hangs up on us", "CLIENT KILL TYPE normal SKIPME yes", NULL, NULL, ERR_NONE },
	{ "its disk is broken", "CONFIG SET min-replicas-to-write 3", "CONFIG SET min-replicas-to-write 0",
	  "NOREPLICAS", ERR_BUSY },
};
START_TEST(moods_of_a_server)
{
	struct config config;
	bool is_taken;
	struct err err = { 0 };

	setup(&config, false);
	struct store *st = open_store(&config);

	charge_until_taken(st, "before");
	ck_assert_str_ne(redis_server_ask(&server, mood_rows[_i].before), "-no answer");
	if (mood_rows[_i].says) {
		/* Twice: the first may only find out. */
		(void)charge(st, "during", LIMIT_NONE, &is_taken, &err);
		ck_assert_msg(!charge(st, "during", LIMIT_NONE, &is_taken, &err), "%s", mood_rows[_i].name);
		ck_assert_msg(err.kind == mood_rows[_i].kind && strstr(err.text, mood_rows[_i].says), "%s: %s",
			      mood_rows[_i].name, err.text);
		redis_server_ask(&server, mood_rows[_i].after);
	}
	charge_until_taken(st, "after");
	ck_assert_int_eq(used(st), 2);
	store_close(st);
}
END_TEST

/* --- on_store_failure: local */

static void setup_local(struct config *config, int64_t share)
{
	static char path[400];

	setup(config, false);
	snprintf(path, sizeof path, "%s/own", server.dir);
	config->on_store_failure = STORE_FAILURE_LOCAL;
	config->store_path = str_from_c(path);
	config->store_size_max = 16 << 20;
	config->store_local_share = share;
	config->node = STR("mx1");
}

/* Until Redis itself says so much. */
static void wait_for_merged(struct store *st, int64_t least, int64_t most)
{
	while (atomic_load(&st->is_local) || used(st) < least || used(st) > most)
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
	struct store *st = open_store(&config);

	st->on_local_arg = &changes;
	atomic_store(&st->on_local, note_change);
	for (int i = 0; i < 7; i++) {
		snprintf(id, sizeof id, "shared-%d", i);
		charge_until_taken(st, id);
	}
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 2, DAY_US, &total, &err));
	kill(server.pid, SIGSTOP);
	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof id, "local-%d", i);
		ck_assert_msg(charge(st, id, 20, &is_taken, &err), "%s", err.text);
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
		st = open_store(&config);
	}
	kill(server.pid, SIGCONT);
	/* With the process died what it still wanted undone: one refund, and three charges that were never answered. */
	wait_for_merged(st, 7 - 1 + 9, 7 - 1 + 9 + (_i ? 4 : 0));
	ck_assert_int_eq(changes, _i ? 1 : 101);
	/* counters are merged after the windows */
	for (int i = 0; i < 2000; i++) {
		ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 0, DAY_US, &total, &err));
		if (total == 5)
			break;
		usleep(5000);
	}
	ck_assert_int_eq(total, 5);
	ck_assert(charge(st, "full", 15, &is_taken, &err));
	ck_assert(!is_taken);
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
	struct store *st = open_store(&config);

	st->on_local_arg = &changes;
	atomic_store(&st->on_local, note_change);
	charge_until_taken(st, "before");
	redis_server_ask(&server, "CONFIG SET maxmemory 1");
	for (int i = 0; i < 12; i++) {
		char id[24];

		snprintf(id, sizeof id, "full-%d", i);
		ck_assert_msg(charge(st, id, LIMIT_NONE, &is_taken, &err) && is_taken, "%s", err.text);
		usleep(100000);
	}
	ck_assert_int_eq(changes, 1);
	redis_server_ask(&server, "CONFIG SET maxmemory 0");
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
	struct store *st = open_store(&config);

	arena_init(&arena, SIZE_MAX);
	ck_assert(st->ops->put(st, STR("sekisho:{acme}:suspended"), STR("yes"), DAY_US, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{beta}:suspended"), STR("yes"), DAY_US, &err));
	ck_assert(st->ops->put(st, STR("sekisho:{beta}:suspended"), STR(""), 0, &err));
	redis_server_ask(&server, "SET sekisho:{gamma}:suspended elsewhere PX 100000");
	ck_assert(st->ops->get(st, STR("sekisho:{gamma}:suspended"), &arena, &value, &found, &err) && found);
	redis_server_stop(&server);

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

START_TEST(a_server_that_forgets)
{
	struct config config;

	setup(&config, true);
	ck_assert_str_eq(redis_server_ask(&server, "CONFIG SET maxmemory-policy allkeys-lru"), "OK");
	struct store *st = open_store(&config);

	ck_assert_msg(strstr(st->notice, "maxmemory-policy is allkeys-lru"), "%s", st->notice);
	store_close(st);
}
END_TEST

/* --- TLS */

/* A certificate for this address that signs itself, so that it is its own authority. */
static void make_certificate(const char *key, const char *cert, const char *address_in_it)
{
	char names[64];
	int status;
	pid_t pid = fork();

	snprintf(names, sizeof names, "subjectAltName=IP:%s", address_in_it);
	if (pid == 0) {
		freopen("/dev/null", "w", stderr);
		execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		       "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=redis", "-addext", names,
		       "-keyout", key, "-out", cert, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}

static const struct { const char *name, *address_in_it; bool trusts_it; const char *says; } tls_rows[] = {
	{ "all is well", "127.0.0.1", true, NULL },
	{ "not our authority", "127.0.0.1", false, "certificate" },
	{ "another host's certificate", "127.0.0.2", true, "mismatch" },
};
START_TEST(tls)
{
	struct config config;
	struct store *st;
	struct err err = { 0 };
	char key[300], cert[300], port[16], own[64];
	bool is_taken;

	stop_server();
	snprintf(key, sizeof key, "%s/key.pem", server.dir);
	snprintf(cert, sizeof cert, "%s/cert.pem", server.dir);
	snprintf(port, sizeof port, "%d", server.bus_port);
	make_certificate(key, cert, tls_rows[_i].address_in_it);
	redis_server_restart(&server,
			     (const char *[]){ "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
					       "--tls-ca-cert-file", cert, "--tls-auth-clients", "no", NULL });
	setup(&config, false);
	snprintf(own, sizeof own, "127.0.0.1:%s", port);
	address = str_from_c(own);
	config.redis_tls = true;
	config.redis_ca_file = tls_rows[_i].trusts_it ? str_from_c(cert) : STR_EMPTY;
	st = open_store(&config);
	if (tls_rows[_i].says) {
		ck_assert(!charge(st, "1", LIMIT_NONE, &is_taken, &err));
		ck_assert_msg(strstr(err.text, tls_rows[_i].says), "%s: %s", tls_rows[_i].name, err.text);
	} else {
		char id[16];

		for (int i = 0; i < 50; i++) {
			snprintf(id, sizeof id, "tls-%d", i);
			charge_until_taken(st, id);
		}
		ck_assert_int_eq(used(st), 50);
		redis_server_ask(&server, "CLIENT KILL TYPE normal SKIPME yes");
		charge_until_taken(st, "again");
	}
	store_close(st);
}
END_TEST

/* --- copying */

#define Q "sekisho:{acme}:q:"

static const struct store_take copied[] = {
	{ .key = STR_INIT(Q "r"),
	  .window = WINDOW_ROLLING,
	  .period_us = DAY_US,
	  .limit = 100,
	  .cost = 7,
	  .is_enforced = true },
	{ .key = STR_INIT(Q "c"),
	  .window = WINDOW_CALENDAR,
	  .calendar = CALENDAR_MONTH,
	  .limit = 100,
	  .cost = 8,
	  .is_enforced = true },
	{ .key = STR_INIT(Q "b"),
	  .window = WINDOW_BURST,
	  .period_us = DAY_US,
	  .limit = 100,
	  .cost = 9,
	  .is_enforced = true },
};

static void check_copy(struct store *st)
{
	struct store_taken taken[3];
	struct store_charge peek = { .tenant = STR("acme"), .takes = copied, .count = 3, .is_peek = true };
	struct store_charged charged = { .taken = taken };
	struct err err = { 0 };
	struct arena arena;
	struct str value;
	int64_t total = 0;
	bool found;

	arena_init(&arena, SIZE_MAX);
	ck_assert_msg(st->ops->charge(st, &peek, &charged, &err), "%s", err.text);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(taken[i].used, copied[i].cost);
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:bounce:x"), 0, DAY_US, &total, &err));
	ck_assert_int_eq(total, 5);
	ck_assert(st->ops->get(st, STR("sekisho:{acme}:suppress:a@b"), &arena, &value, &found, &err) && found);
	ck_assert_str_is(value, STR("bounce since ever"));
	arena_clear(&arena);
}

/* From the embedded store to Redis and into another embedded store: twice each, and all is as it was. */
START_TEST(copies_both_ways)
{
	static char paths[2][400];
	struct config config;
	struct store *own[2], *shared;
	struct store_taken taken[3];
	struct store_charge charge_all = { .tenant = STR("acme"), .id = STR("x"), .takes = copied, .count = 3 };
	struct store_charged charged = { .taken = taken };
	struct store_copied counts;
	struct err err = { 0 };
	int64_t total;

	setup(&config, true);
	shared = open_store(&config);
	config.store_backend = STORE_EMBEDDED;
	config.store_size_max = 16 << 20;
	for (int i = 0; i < 2; i++) {
		snprintf(paths[i], sizeof paths[i], "%s/own-%d", server.dir, i);
		config.store_path = str_from_c(paths[i]);
		own[i] = open_store(&config);
	}
	ck_assert(own[0]->ops->charge(own[0], &charge_all, &charged, &err) && charged.is_taken);
	ck_assert(own[0]->ops->count_add(own[0], STR("sekisho:{acme}:bounce:x"), 5, DAY_US, &total, &err));
	ck_assert(own[0]->ops->put(own[0], STR("sekisho:{acme}:suppress:a@b"), STR("bounce since ever"), DAY_US, &err));
	check_copy(own[0]);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(store_copy(own[0], shared, NULL, &counts, &err), "%s", err.text);
	ck_assert(counts.windows == 3 && counts.counters == 1 && counts.values == 1);
	check_copy(shared);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(store_copy(shared, own[1], NULL, &counts, &err), "%s", err.text);
	ck_assert(counts.windows == 3 && counts.counters == 1 && counts.values == 1);
	check_copy(own[1]);
	store_close(shared);
	store_close(own[0]);
	store_close(own[1]);
}
END_TEST

/* --- passwords */

static const char *write_password(const char *text, mode_t mode)
{
	static char path[400];
	struct err err = { 0 };

	snprintf(path, sizeof path, "%s/password", server.dir);
	ck_assert(io_replace_file(path, str_from_c(text), mode, &err));
	return path;
}

START_TEST(passwords)
{
	struct config config;
	struct store *st = NULL;
	struct err err = { 0 };
	bool is_taken;

	setup(&config, true);
	config.redis_user = STR("relay");
	config.redis_database = 2;
	config.redis_password_file = str_from_c(write_password("sesame\n", 0600));
	ck_assert_str_eq(redis_server_ask(&server, "ACL SETUSER relay on >sesame ~sekisho:* +@all"), "OK");
	ck_assert_str_eq(redis_server_ask(&server, "ACL SETUSER default off"), "OK");
	st = open_store(&config);
	charge_until_taken(st, "1");
	store_close(st);

	write_password("guess", 0600);
	st = open_store(&config);
	ck_assert(!charge(st, "2", LIMIT_NONE, &is_taken, &err));
	ck_assert_msg(strstr(err.text, "WRONGPASS"), "%s", err.text);
	store_close(st);

	write_password("sesame", 0644);
	ck_assert(!store_open(&config, &st, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "chmod"), "%s", err.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store redis");
	TCase *tc = tcase_create("redis"), *faults = tcase_create("faults");

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, start_server, stop_server);
	tcase_add_loop_test(tc, rows, 0, store_row_count);
	tcase_add_test(tc, beside_a_charge);
	tcase_add_loop_test(tc, random_operations, 0, 4);
	tcase_add_test(tc, relays_take_exactly_the_limit);
	tcase_add_test(tc, every_key_expires);
	tcase_add_test(tc, passwords);
	unit_add_rows(tc, tls, tls_rows);
	tcase_add_test(tc, copies_both_ways);
	tcase_add_test(tc, a_server_that_forgets);

	suite_add_tcase(suite, faults);
	tcase_set_timeout(faults, 60);
	tcase_add_checked_fixture(faults, start_server, stop_server);
	tcase_add_test(faults, a_silent_server);
	tcase_add_loop_test(faults, a_server_that_dies, 0, 2);
	tcase_add_test(faults, a_server_that_is_not_there_yet);
	tcase_add_test(faults, answers_cut_anywhere);
	tcase_add_test(faults, a_slow_network);
	unit_add_rows(faults, moods_of_a_server, mood_rows);
	tcase_add_loop_test(faults, without_redis_counts_locally, 0, 2);
	tcase_add_test(faults, a_full_redis_is_away);
	tcase_add_test(faults, without_redis_knows_what_it_knew);
	return unit_main(suite);
}
