/* Several servers: a master with Sentinel, and a Cluster. */
#include "t/lib/redis_server.h"
#include "t/lib/unit.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "policy/store.h"
#include "policy/store_redis_map.h"

#define NODES 3

static struct redis_server servers[NODES + 1];
static struct str addresses[NODES + 1];

static void setup(struct config *config, enum redis_mode mode, size_t count)
{
	for (size_t i = 0; i < count; i++)
		addresses[i] = str_from_c(servers[i].address);
	*config = (struct config){ .store_backend = STORE_REDIS,
				   .store_timeout_us = 250000,
				   .redis_mode = mode,
				   .on_store_failure = STORE_FAILURE_DEFER,
				   .redis_master = STR("relay"),
				   .redis_addresses = { .items = addresses, .count = count } };
}

static struct store *open_store(const struct config *config)
{
	struct store *st = NULL;
	struct err err = { 0 };

	ck_assert_msg(store_open(config, &st, &err), "%s", err.text);
	return st;
}

static bool charge(struct store *st, const char *tenant, const char *id, int64_t *out_used, struct err *err)
{
	char keys[2][80];
	struct store_take takes[2];
	struct store_taken taken[2];
	struct store_charge one = { .tenant = str_from_c(tenant), .id = str_from_c(id), .takes = takes, .count = 2 };
	struct store_charged charged = { .taken = taken };

	for (int i = 0; i < 2; i++) {
		snprintf(keys[i], sizeof keys[i], "sekisho:{%s}:quota:%d", tenant, i);
		takes[i] = (struct store_take){ .key = str_from_c(keys[i]),
						.window = WINDOW_ROLLING,
						.period_us = DAY_US,
						.limit = 1000000,
						.cost = 1,
						.is_enforced = true };
	}
	if (!st->ops->charge(st, &one, &charged, err))
		return false;
	ck_assert(charged.is_taken);
	*out_used = taken[0].used + 1;
	return true;
}

static int64_t charge_until_taken(struct store *st, const char *tenant, const char *id)
{
	int64_t used = 0;
	struct err err = { 0 };

	while (!charge(st, tenant, id, &used, &err))
		usleep(20000);
	return used;
}

static void ask_until(const struct redis_server *server, const char *command, const char *want)
{
	while (!strstr(redis_server_ask(server, command), want))
		usleep(20000);
}

static void stop_all(void)
{
	for (int i = 0; i <= NODES; i++)
		redis_server_stop(&servers[i]);
}

/* Tests share a directory, and each has servers of its own. */
static const char *fresh(const char *name)
{
	static char text[64];
	static int number;

	snprintf(text, sizeof text, "%s-%d-%d", name, (int)getpid(), number++);
	return text;
}

/* --- Sentinel: server 0 is the first master, 1 its replica; the first Sentinel of the list is not there */

static void start_sentinel(void)
{
	char port[16];

	redis_server_start(&servers[0], fresh("master"), (const char *[]){ "--repl-diskless-sync-delay", "0", NULL });
	snprintf(port, sizeof port, "%d", servers[0].port);
	redis_server_start(&servers[1], fresh("replica"), (const char *[]){ "--replicaof", "127.0.0.1", port, NULL });
	ask_until(&servers[1], "INFO replication", "master_link_status:up");
	redis_sentinel_start(&servers[2], fresh("sentinel"), servers[0].port);
	ask_until(&servers[2], "INFO sentinel", "slaves=1");
}

START_TEST(sentinel_names_another_master)
{
	struct config config;

	setup(&config, REDIS_SENTINEL, 3);
	addresses[0] = STR("127.0.0.1:1");
	config.redis_addresses.items = (struct str[]){ addresses[0], addresses[2] };
	config.redis_addresses.count = 2;
	struct store *st = open_store(&config);

	ck_assert_int_eq(charge_until_taken(st, "acme", "1"), 1);
	ck_assert_int_eq(charge_until_taken(st, "acme", "2"), 2);
	ask_until(&servers[1], "EXISTS sekisho:{acme}:charge:2", "1");
	kill(servers[0].pid, _i ? SIGSTOP : SIGKILL);
	/* What fails over keeps what was counted; what timed out meanwhile was undone or never done. */
	ck_assert_int_ge(charge_until_taken(st, "acme", "3"), 3);
	ck_assert_ptr_nonnull(strstr(redis_server_ask(&servers[1], "INFO replication"), "role:master"));
	store_close(st);
}
END_TEST

/* An admin's order, and the old master goes on as one: nothing tells but the Sentinel, and what it takes now is lost. */
START_TEST(sentinel_gives_the_order)
{
	struct config config;
	char id[24], command[80];
	bool is_master;
	int n = 1;

	setup(&config, REDIS_SENTINEL, 3);
	config.redis_addresses.items = &addresses[2];
	config.redis_addresses.count = 1;
	struct store *st = open_store(&config);

	ck_assert_int_eq(charge_until_taken(st, "acme", "1"), 1);
	ck_assert_str_eq(redis_server_ask(&servers[0], "ACL SETUSER default -replicaof -slaveof"), "OK");
	ask_until(&servers[2], "SENTINEL FAILOVER relay", "OK");        /* once it knows enough of the replica */
	do {    /* what it has of a time before it was master, it may have of the old one */
		usleep(20000);
		is_master = strstr(redis_server_ask(&servers[1], "INFO replication"), "role:master");
		snprintf(id, sizeof id, "%d", ++n);
		charge_until_taken(st, "acme", id);
		snprintf(command, sizeof command, "EXISTS sekisho:{acme}:charge:%s", id);
	} while (!is_master || strcmp(redis_server_ask(&servers[1], command), "1") != 0);
	ck_assert_ptr_nonnull(strstr(redis_server_ask(&servers[0], "INFO replication"), "role:master"));
	snprintf(id, sizeof id, "%d", ++n);
	charge_until_taken(st, "acme", id);
	snprintf(command, sizeof command, "EXISTS sekisho:{acme}:charge:%s", id);
	ck_assert_str_eq(redis_server_ask(&servers[0], command), "0");
	store_close(st);
}
END_TEST

/* --- a Sentinel that we play, in the midst of a failover that it leads: the new epoch already, and still the old address */

static struct { int listener, port; atomic_int addresses, masters; } played;       /* how often it was asked for each */

static void answer(int peer, const redisReply *question)
{
	const char *what = question->elements > 1 ? question->element[1]->str : "";
	char text[300], port[16];

	snprintf(port, sizeof port, "%d", servers[0].port);
	if (strcmp(what, "get-master-addr-by-name") == 0) {
		played.addresses++;
		snprintf(text, sizeof text, "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
	} else if (strcmp(what, "MASTER") == 0) {
		played.masters++;
		snprintf(text, sizeof text, "*8\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$1\r\n1\r\n$5\r\nflags\r\n"
					    "$34\r\nmaster,o_down,failover_in_progress\r\n$12\r\nconfig-epoch\r\n$1\r\n7\r\n");
	} else {
		snprintf(text, sizeof text, "+OK\r\n");
	}
	send(peer, text, strlen(text), MSG_NOSIGNAL);
}

static void *play(void *arg)
{
	for (int peer; (peer = accept(played.listener, NULL, NULL)) >= 0; close(peer)) {
		redisReader *reader = redisReaderCreate();
		char piece[4096];
		void *question;

		for (ssize_t n; (n = recv(peer, piece, sizeof piece, 0)) > 0;) {
			redisReaderFeed(reader, piece, (size_t)n);
			while (redisReaderGetReply(reader, &question) == REDIS_OK && question) {
				answer(peer, question);
				freeReplyObject(question);
			}
		}
		redisReaderFree(reader);
	}
	return arg;
}

static void start_playing(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	pthread_t thread;

	redis_server_start(&servers[0], fresh("master"), (const char *[]){ NULL });
	played.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(played.listener, (struct sockaddr *)&sin, sizeof sin), 0);
	ck_assert_int_eq(listen(played.listener, 16), 0);
	ck_assert_int_eq(getsockname(played.listener, (struct sockaddr *)&sin, &len), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, play, NULL), 0);
	pthread_detach(thread);
	played.port = ntohs(sin.sin_port);
}

START_TEST(sentinel_that_is_not_done)
{
	struct config config;
	char address[32];
	struct err err;
	int64_t used;

	setup(&config, REDIS_SENTINEL, 1);
	snprintf(address, sizeof address, "127.0.0.1:%d", played.port);
	addresses[0] = str_from_c(address);
	struct store *st = open_store(&config);

	ck_assert_int_eq(charge_until_taken(st, "acme", "1"), 1);
	while (played.masters < 2)               /* what it said the first time has been heeded */
		usleep(20000);
	ck_assert_msg(charge(st, "acme", "2", &used, &err), "%s", err.text);
	ck_assert_int_eq(played.addresses, 1);    /* nobody was lost, and asked for anew */
	store_close(st);
}
END_TEST

/* It says why, as soon as it is known. */
static void fail_until(struct store *st, const char *why)
{
	struct err err = { 0 };
	int64_t used;

	while (!strstr(err.text, why)) {
		ck_assert(!charge(st, "acme", "refused", &used, &err));
		usleep(20000);
	}
}

/* One that wants a password is told it, and one that is told none or another says so. */
START_TEST(sentinel_with_a_password)
{
	struct config config;
	char path[400];

	setup(&config, REDIS_SENTINEL, 3);
	config.redis_addresses.items = &addresses[2];
	config.redis_addresses.count = 1;
	ck_assert_str_eq(redis_server_ask(&servers[2], "ACL SETUSER default resetpass >sesame"), "OK");
	struct store *st = open_store(&config);

	fail_until(st, "NOAUTH");
	store_close(st);
	snprintf(path, sizeof path, "%s/password", servers[2].dir);
	config.redis_sentinel_password_file = str_from_c(path);
	ck_assert(io_replace_file(path, STR("guess"), 0600, NULL));
	st = open_store(&config);
	fail_until(st, "WRONGPASS");
	ck_assert(io_replace_file(path, STR("sesame\n"), 0600, NULL));
	ck_assert_int_eq(charge_until_taken(st, "acme", "3"), 1);
	store_close(st);
}
END_TEST

/* --- Cluster: three masters, each a third of the slots */

static void restart_node(struct redis_server *server)
{
	char bus[16];

	snprintf(bus, sizeof bus, "%d", server->bus_port);
	redis_server_restart(server, (const char *[]){ "--cluster-enabled", "yes", "--cluster-port", bus, "--databases", "1",
						       "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000", NULL });
}

static void start_cluster(void)
{
	char command[120];

	for (int i = 0; i < NODES; i++) {
		redis_server_start(&servers[i], fresh("node"), NULL);
		redis_server_stop(&servers[i]);
		restart_node(&servers[i]);
		snprintf(command, sizeof command, "CLUSTER ADDSLOTSRANGE %d %d", REDIS_SLOTS * i / NODES,
			 REDIS_SLOTS * (i + 1) / NODES - 1);
		ck_assert_str_eq(redis_server_ask(&servers[i], command), "OK");
	}
	for (int i = 1; i < NODES; i++) {
		snprintf(command, sizeof command, "CLUSTER MEET 127.0.0.1 %d %d", servers[i].port, servers[i].bus_port);
		ck_assert_str_eq(redis_server_ask(&servers[0], command), "OK");
	}
	for (int i = 0; i < NODES; i++)
		ask_until(&servers[i], "CLUSTER INFO", "cluster_slots_ok:16384");
}

static int node_of(const char *tenant)
{
	char key[80];

	snprintf(key, sizeof key, "sekisho:{%s}:x", tenant);
	for (int i = 0; i < NODES; i++)
		if (redis_key_slot(str_from_c(key)) < REDIS_SLOTS * (i + 1) / NODES)
			return i;
	return -1;
}

static bool count_one(void *arg, struct str key, struct str value, int64_t expires_us)
{
	(void)value;
	ck_assert_int_gt(expires_us, 0);
	*(int *)arg += str_ends(key, STR(":quota:0"));
	return true;
}

/* Where nodes come back under another address each time, old ones make room. */
START_TEST(cluster_map_never_fills)
{
	struct redis_map map;
	struct redis_address address;
	char text[32];

	redis_map_init(&map);
	for (int i = 0; i < 2 * REDIS_NODES_MAX; i++) {
		snprintf(text, sizeof text, "192.0.2.%d:6379", i);
		ck_assert(redis_address_parse(str_from_c(text), &address, NULL));
		int node = redis_map_add(&map, &address);

		ck_assert_msg(node >= 0 && map.is_used[node], "server %d", i);
		ck_assert_str_eq(map.nodes[node].text, text);
		map.is_used[node] = i % 2;      /* every other one goes, until half are left that stay */
		if (i >= REDIS_NODES_MAX)
			map.is_used[node] = false;
	}
}
END_TEST

START_TEST(cluster_spreads_tenants)
{
	struct config config;
	struct err err = { 0 };
	int seen = 0, of_one = 0;
	bool is_used[NODES] = { false };

	setup(&config, REDIS_CLUSTER, 1);
	struct store *st = open_store(&config);

	for (int i = 0; i < 30; i++) {
		char tenant[16];

		snprintf(tenant, sizeof tenant, "t%d", i);
		ck_assert_int_eq(charge_until_taken(st, tenant, "1"), 1);
		ck_assert_int_eq(charge_until_taken(st, tenant, "2"), 2);
		is_used[node_of(tenant)] = true;
	}
	ck_assert(is_used[0] && is_used[1] && is_used[2]);
	ck_assert_msg(st->ops->scan(st, STR("sekisho:"), count_one, &seen, &err), "%s", err.text);
	ck_assert_int_eq(seen, 30);
	ck_assert_msg(st->ops->scan(st, STR("sekisho:{t7}:"), count_one, &of_one, &err), "%s", err.text);
	ck_assert_int_eq(of_one, 1);
	ck_assert(st->ops->refund(st, STR("t7"), STR("1"), &err));
	ck_assert_int_eq(charge_until_taken(st, "t7", "3"), 2);
	store_close(st);
}
END_TEST

/* A slot moves from one node to another while it is charged: nothing is lost, nothing counted twice. */
START_TEST(cluster_moves_a_slot)
{
	struct config config;
	char command[400], ids[NODES][64];
	int from = node_of("mover"), to = (from + 1) % NODES, slot = redis_key_slot(STR("sekisho:{mover}:x"));
	struct err err = { 0 };
	int64_t used;

	setup(&config, REDIS_CLUSTER, 3);
	struct store *st = open_store(&config);

	for (int i = 0; i < NODES; i++)
		snprintf(ids[i], sizeof ids[i], "%s", redis_server_ask(&servers[i], "CLUSTER MYID"));
	ck_assert_int_eq(charge_until_taken(st, "mover", "1"), 1);
	snprintf(command, sizeof command, "CLUSTER SETSLOT %d IMPORTING %s", slot, ids[from]);
	ck_assert_str_eq(redis_server_ask(&servers[to], command), "OK");
	snprintf(command, sizeof command, "CLUSTER SETSLOT %d MIGRATING %s", slot, ids[to]);
	ck_assert_str_eq(redis_server_ask(&servers[from], command), "OK");
	ck_assert(!charge(st, "mover", "between", &used, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);

	for (size_t i = 0; i < 3; i++) {
		static const char *const keys[] = { "quota:0", "quota:1", "charge:1" };

		snprintf(command, sizeof command, "MIGRATE 127.0.0.1 %d sekisho:{mover}:%s 0 5000", servers[to].port,
			 keys[i]);
		ck_assert_str_eq(redis_server_ask(&servers[from], command), "OK");
	}
	/* A single key is followed by ASK; a charge's record is nowhere yet, so a charge waits until the slot has
	 * arrived. */
	ck_assert_msg(st->ops->count_add(st, STR("sekisho:{mover}:count"), 1, DAY_US, &used, &err), "%s", err.text);
	ck_assert(!charge(st, "mover", "between", &used, &err));
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof command, "CLUSTER SETSLOT %d NODE %s", slot, ids[to]);
		ck_assert_str_eq(redis_server_ask(&servers[i ? from : to], command), "OK");
	}
	ck_assert_int_eq(charge_until_taken(st, "mover", "2"), 2);
	ck_assert_int_eq(charge_until_taken(st, "mover", "3"), 3);
	ck_assert(st->ops->refund(st, STR("mover"), STR("1"), &err));
	ck_assert_int_eq(charge_until_taken(st, "mover", "4"), 3);
	store_close(st);
}
END_TEST

/* One node dies: its tenants hear of it, the others do not; and it is found again. */
START_TEST(cluster_loses_a_node)
{
	struct config config;
	struct err err = { 0 };
	int64_t used;
	int lost = node_of("acme");
	const char *other = node_of("beta") != lost ? "beta" : node_of("gamma") != lost ? "gamma" : "delta";

	setup(&config, REDIS_CLUSTER, 3);
	struct store *st = open_store(&config);

	charge_until_taken(st, "acme", "1");
	charge_until_taken(st, other, "1");
	redis_server_stop(&servers[lost]);
	while (charge(st, "acme", "during", &used, &err))
		;
	ck_assert_int_eq(err.kind, ERR_BUSY);
	for (int i = 0; i < 3; i++) {
		char id[32];

		snprintf(id, sizeof id, "still-%d", i);
		ck_assert_msg(charge(st, other, id, &used, &err), "%s", err.text);
	}
	restart_node(&servers[lost]);
	charge_until_taken(st, "acme", "after");
	store_close(st);
}
END_TEST

static atomic_int_least64_t passed_s;  /* since the start, more than it was */

/* Instead of the C library's: what waits for a server is given up in a quarter of an hour. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int result = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += id == CLOCK_MONOTONIC ? atomic_load(&passed_s) : 0;
	return result;
}

/* All are away for longer than anything waits; then they are asked again who has which slot. */
START_TEST(cluster_that_was_away_for_long)
{
	struct config config;

	setup(&config, REDIS_CLUSTER, 3);
	struct store *st = open_store(&config);

	charge_until_taken(st, "acme", "1");
	for (int i = 0; i < NODES; i++)
		redis_server_stop(&servers[i]);
	usleep(500000);
	atomic_store(&passed_s, 1000);
	usleep(200000);
	for (int i = 0; i < NODES; i++)
		restart_node(&servers[i]);
	charge_until_taken(st, "acme", "after");
	for (int i = 0, asked = 0; !asked; i++) {
		ck_assert_msg(i < 300, "nobody was asked for the map");
		for (int node = 0; node < NODES; node++)
			asked |= strstr(redis_server_ask(&servers[node], "INFO commandstats"), "cmdstat_cluster|slots") != NULL;
		usleep(100000);
	}
	store_close(st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store redis many");
	TCase *sentinel = tcase_create("sentinel"), *busy = tcase_create("sentinel that is busy"), *cluster = tcase_create("cluster"),
	      *away = tcase_create("cluster that was away");

	suite_add_tcase(suite, sentinel);
	tcase_add_checked_fixture(sentinel, start_sentinel, stop_all);
	tcase_add_loop_test(sentinel, sentinel_names_another_master, 0, 2);
	tcase_add_test(sentinel, sentinel_gives_the_order);
	tcase_add_test(sentinel, sentinel_with_a_password);
	suite_add_tcase(suite, busy);
	tcase_add_checked_fixture(busy, start_playing, stop_all);
	tcase_add_test(busy, sentinel_that_is_not_done);
	suite_add_tcase(suite, cluster);
	tcase_add_unchecked_fixture(cluster, start_cluster, stop_all);
	tcase_add_test(cluster, cluster_map_never_fills);
	tcase_add_test(cluster, cluster_spreads_tenants);
	tcase_add_test(cluster, cluster_moves_a_slot);
	tcase_add_test(cluster, cluster_loses_a_node);
	suite_add_tcase(suite, away);
	tcase_add_unchecked_fixture(away, start_cluster, stop_all);
	tcase_add_test(away, cluster_that_was_away_for_long);
	return unit_main(suite);
}
