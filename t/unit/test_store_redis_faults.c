/* The shared store: what servers and networks do to us. */
#include "t/lib/proxy.h"
#include "t/lib/redis_fixture.h"
#include "t/lib/unit.h"

#include <openssl/pem.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/io.h"

START_TEST(a_silent_server)
{
	struct config config;
	bool is_taken;
	struct err err = { 0 };
	char id[32];

	redis_setup(&config, false);
	config.store_timeout_us = 50000;
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	kill(the_redis.pid, SIGSTOP);
	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof id, "silent-%d", i);
		ck_assert(!redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err));
		ck_assert_int_eq(err.kind, ERR_BUSY);
		ck_assert_msg(strstr(err.text, "answer"), "%s", err.text);
		usleep(20000);
	}
	kill(the_redis.pid, SIGCONT);
	redis_charge_until_taken(st, "after");
	redis_wait_for_used(st, 2);
	store_close(st);
}
END_TEST

START_TEST(a_server_that_dies)
{
	struct config config;
	bool is_taken;
	struct err err = { 0 };

	redis_setup(&config, _i);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	redis_server_stop(&the_redis);
	while (redis_charge_one(st, "during", LIMIT_NONE, &is_taken, &err))
		;
	ck_assert_int_eq(err.kind, ERR_BUSY);
	redis_server_restart(&the_redis, NULL);
	redis_charge_until_taken(st, "after");
	ck_assert_int_eq(redis_used(st), 1);         /* it came back empty */
	store_close(st);
}
END_TEST

START_TEST(a_server_that_is_not_there_yet)
{
	struct config config;

	redis_setup(&config, false);
	config.store_timeout_us = 60 * US_PER_S;
	redis_server_stop(&the_redis);
	struct store *st = redis_open(&config);

	ck_assert_msg(strstr(st->notice, "efused"), "%s", st->notice);
	redis_server_restart(&the_redis, NULL);
	redis_charge_until_taken(st, "after");
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

	proxy_start(&proxy, the_redis.port);
	redis_setup(&config, false);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	for (int i = 0; i < 40; i++) {
		bool is_taken = false;

		redis_charge_until_taken(st, "steady");
		st->ops->refund(st, STR("acme"), STR("steady"), &err);
		snprintf(id, sizeof id, "cut-%d", i);
		atomic_store(&proxy.cut_after, i);
		if (redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err))
			taken += is_taken;
		else
			failed++;
		atomic_store(&proxy.cut_after, -1);
	}
	ck_assert_int_gt(failed, 15);
	redis_wait_for_used(st, taken);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

/* One connection breaks with a charge on its way, another brings what undoes it, and only then does the charge arrive. */
START_TEST(a_charge_that_comes_behind_its_undoing)
{
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	bool is_taken = false;

	proxy_start(&proxy, the_redis.port);
	redis_setup(&config, false);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	atomic_store(&proxy.holds, "charge:late");
	ck_assert(!redis_charge_one(st, "late", LIMIT_NONE, &is_taken, &err) && err.kind == ERR_BUSY);
	while (atomic_load(&proxy.holds))
		usleep(1000);
	ck_assert_int_eq(redis_used(st), 1);
	/* That was one attempt; the next counts, and can be given back. */
	redis_charge_until_taken(st, "late");
	ck_assert_int_eq(redis_used(st), 2);
	ck_assert(st->ops->refund(st, STR("acme"), STR("late"), &err));
	ck_assert_int_eq(redis_used(st), 1);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

START_TEST(a_slow_network)
{
	struct config config;
	struct proxy proxy;

	proxy_start(&proxy, the_redis.port);
	redis_setup(&config, false);
	redis_address = str_from_c(proxy.address);
	config.store_timeout_us = 2 * US_PER_S;
	struct store *st = redis_open(&config);

	atomic_store(&proxy.delay_us, 100000);
	for (int i = 0; i < 3; i++) {
		char id[32];

		snprintf(id, sizeof id, "slow-%d", i);
		redis_charge_until_taken(st, id);
	}
	atomic_store(&proxy.delay_us, 0);
	ck_assert_int_eq(redis_used(st), 3);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

/* Each answer comes, but when nobody waits for it any more: such a server is left like a silent one. */
START_TEST(a_network_that_is_too_slow)
{
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	bool is_taken;
	int count = 0;
	char id[32];

	proxy_start(&proxy, the_redis.port);
	redis_setup(&config, false);
	redis_address = str_from_c(proxy.address);
	config.store_timeout_us = 50000;
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	atomic_store(&proxy.delay_us, 300000);
	do {
		snprintf(id, sizeof id, "late-%d", ++count);
		ck_assert(!redis_charge_one(st, id, LIMIT_NONE, &is_taken, &err));
		ck_assert_int_eq(err.kind, ERR_BUSY);
	} while (!strstr(err.text, "connected, but no answer"));
	atomic_store(&proxy.delay_us, 0);
	redis_charge_until_taken(st, "after");
	redis_wait_for_used(st, 2);
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

static int connections_so_far(void)
{
	const char *stats = strstr(redis_server_ask(&the_redis, "INFO stats"), "total_connections_received:");

	ck_assert_ptr_nonnull(stats);
	return (int)strtol(strchr(stats, ':') + 1, NULL, 10);
}

/* However many ask, it is asked again only now and then whether it is a master. */
START_TEST(a_replica_is_left_alone)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;
	int before;

	redis_setup(&config, false);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	redis_server_ask(&the_redis, "REPLICAOF 127.0.0.1 1");
	before = connections_so_far();
	for (int i = 0; i < 2000; i++) {
		ck_assert(!redis_charge_one(st, "during", LIMIT_NONE, &is_taken, &err));
		usleep(500);
	}
	ck_assert_msg(strstr(err.text, "READONLY"), "%s", err.text);
	ck_assert_int_lt(connections_so_far() - before, 50);
	redis_server_ask(&the_redis, "REPLICAOF NO ONE");
	redis_charge_until_taken(st, "after");
	store_close(st);
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

	redis_setup(&config, false);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	ck_assert_str_ne(redis_server_ask(&the_redis, mood_rows[_i].before), "-no answer");
	if (mood_rows[_i].says) {
		/* Twice: the first may only find out. */
		(void)redis_charge_one(st, "during", LIMIT_NONE, &is_taken, &err);
		ck_assert_msg(!redis_charge_one(st, "during", LIMIT_NONE, &is_taken, &err), "%s", mood_rows[_i].name);
		ck_assert_msg(err.kind == mood_rows[_i].kind && strstr(err.text, mood_rows[_i].says), "%s: %s",
			      mood_rows[_i].name, err.text);
		redis_server_ask(&the_redis, mood_rows[_i].after);
	}
	redis_charge_until_taken(st, "after");
	ck_assert_int_eq(redis_used(st), 2);
	store_close(st);
}
END_TEST

/* What waits to be given back waits on while the server takes no writes. */
START_TEST(a_refund_that_is_refused_for_now)
{
	struct config config;
	struct err err = { 0 };

	redis_setup(&config, false);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "one");
	redis_server_ask(&the_redis, "CONFIG SET min-replicas-to-write 1");
	ck_assert_msg(st->ops->refund(st, STR("acme"), STR("one"), &err), "%s", err.text);
	usleep(200000);
	redis_server_ask(&the_redis, "CONFIG SET min-replicas-to-write 0");
	redis_wait_for_used(st, 0);
	store_close(st);
}
END_TEST

/* What servers say when they cannot: each is a reason to do without them, and none an end of the connection for good. */
static const struct { const char *says; enum err_kind kind; } words_rows[] = {
	{ "-LOADING Redis is loading the dataset in memory\r\n", ERR_BUSY },
	{ "-CLUSTERDOWN The cluster is down\r\n", ERR_BUSY },
	{ "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", ERR_BUSY },
	{ "-BUSY Redis is busy running a script.\r\n", ERR_BUSY },
	{ "-MISCONF Errors writing to the AOF file: No space left on device\r\n", ERR_BUSY },
	{ "-OOM command not allowed when used memory > 'maxmemory'.\r\n", ERR_FULL },
	{ "-NOAUTH Authentication required.\r\n", ERR_BUSY },
	{ "-ERR something that nobody has heard of\r\n", ERR_BUSY },
	{ "+OK\r\n", ERR_BUSY },
	{ "*3\r\n:1\r\n:2\r\n+three\r\n", ERR_BUSY },
	{ "$-1\r\n", ERR_BUSY },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", ERR_BUSY },
};
START_TEST(words_of_a_server)
{
	struct config config;
	struct proxy proxy;
	struct err err = { 0 };
	bool is_taken;

	proxy_start(&proxy, the_redis.port);
	redis_setup(&config, false);
	redis_address = str_from_c(proxy.address);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	atomic_store(&proxy.says, words_rows[_i].says);
	ck_assert_msg(!redis_charge_one(st, "during", LIMIT_NONE, &is_taken, &err), "%s", words_rows[_i].says);
	ck_assert_msg(err.kind == words_rows[_i].kind, "%s: kind %d, %s", words_rows[_i].says, err.kind, err.text);
	atomic_store(&proxy.says, NULL);
	redis_charge_until_taken(st, "after");
	store_close(st);
	proxy_stop(&proxy);
}
END_TEST

START_TEST(a_server_that_forgets)
{
	struct config config;

	redis_setup(&config, true);
	config.store_timeout_us = 60 * US_PER_S;       /* what is asked at open is asked once */
	ck_assert_str_eq(redis_server_ask(&the_redis, "CONFIG SET maxmemory-policy allkeys-lru"), "OK");
	struct store *st = redis_open(&config);

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

/* It was good until yesterday. */
static void let_expire(const char *key_path, const char *cert_path)
{
	FILE *in = fopen(key_path, "r"), *file = fopen(cert_path, "r+");

	ck_assert(in && file);
	EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
	X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);

	ck_assert(key && cert && X509_gmtime_adj(X509_getm_notBefore(cert), -2 * 86400L) &&
		  X509_gmtime_adj(X509_getm_notAfter(cert), -86400L) && X509_sign(cert, key, EVP_sha256()));
	rewind(file);
	ck_assert(ftruncate(fileno(file), 0) == 0 && PEM_write_X509(file, cert));
	fclose(file);
	fclose(in);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* A server that speaks TLS with this certificate, beside its plain port. */
static void restart_with(const char *key, const char *cert)
{
	char port[16];

	snprintf(port, sizeof port, "%d", the_redis.bus_port);
	redis_server_restart(&the_redis,
			     (const char *[]){ "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
					       "--tls-ca-cert-file", cert, "--tls-auth-clients", "no", NULL });
}

static const struct { const char *name, *address_in_it; bool trusts_it, has_expired; const char *says; } tls_rows[] = {
	{ "all is well", "127.0.0.1", true, false, NULL },
	{ "not our authority", "127.0.0.1", false, false, "certificate" },
	{ "another host's certificate", "127.0.0.2", true, false, "mismatch" },
	{ "yesterday's certificate", "127.0.0.1", true, true, "certificate has expired" },
};
START_TEST(tls)
{
	struct config config;
	struct store *st;
	struct err err = { 0 };
	char key[300], cert[300], own[64];
	bool is_taken;

	redis_end();
	snprintf(key, sizeof key, "%s/key.pem", the_redis.dir);
	snprintf(cert, sizeof cert, "%s/cert.pem", the_redis.dir);
	make_certificate(key, cert, tls_rows[_i].address_in_it);
	if (tls_rows[_i].has_expired)
		let_expire(key, cert);
	restart_with(key, cert);
	redis_setup(&config, false);
	snprintf(own, sizeof own, "127.0.0.1:%d", the_redis.bus_port);
	redis_address = str_from_c(own);
	config.store_timeout_us = 60 * US_PER_S;       /* it is the handshake that fails */
	config.redis_tls = true;
	config.redis_ca_file = tls_rows[_i].trusts_it ? str_from_c(cert) : STR_EMPTY;
	st = redis_open(&config);
	if (tls_rows[_i].says) {
		ck_assert(!redis_charge_one(st, "1", LIMIT_NONE, &is_taken, &err));
		ck_assert_msg(strstr(err.text, tls_rows[_i].says), "%s: %s", tls_rows[_i].name, err.text);
	} else {
		char id[16];

		for (int i = 0; i < 50; i++) {
			snprintf(id, sizeof id, "tls-%d", i);
			redis_charge_until_taken(st, id);
		}
		ck_assert_int_eq(redis_used(st), 50);
		redis_server_ask(&the_redis, "CLIENT KILL TYPE normal SKIPME yes");
		redis_charge_until_taken(st, "again");
	}
	store_close(st);
}
END_TEST

static void put_file(const char *path, struct str text)
{
	struct err err = { 0 };

	ck_assert_msg(io_replace_file(path, text, 0600, &err), "%s", err.text);
}

static void copy_file(const char *from, const char *to)
{
	struct err err = { 0 };
	struct buf text;

	buf_init(&text, 65536);
	ck_assert_msg(io_read_file(from, &text, &err), "%s", err.text);
	put_file(to, buf_view(&text));
	buf_clear(&text);
}

/* Authorities change while the process runs: the file is read again, and one that is no good changes nothing. */
START_TEST(new_authorities)
{
	struct config config;
	struct err err = { 0 };
	char keys[2][300], certs[2][300], ca[300], own[64];
	bool is_taken;

	redis_end();
	for (int i = 0; i < 2; i++) {
		snprintf(keys[i], sizeof keys[i], "%s/key%d.pem", the_redis.dir, i);
		snprintf(certs[i], sizeof certs[i], "%s/cert%d.pem", the_redis.dir, i);
		make_certificate(keys[i], certs[i], "127.0.0.1");
	}
	snprintf(ca, sizeof ca, "%s/ca.pem", the_redis.dir);
	copy_file(certs[0], ca);
	restart_with(keys[0], certs[0]);
	redis_setup(&config, false);
	snprintf(own, sizeof own, "127.0.0.1:%d", the_redis.bus_port);
	redis_address = str_from_c(own);
	config.redis_tls = true;
	config.redis_ca_file = str_from_c(ca);
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "before");
	put_file(ca, STR("half a file"));
	redis_server_ask(&the_redis, "CLIENT KILL TYPE normal SKIPME yes");
	redis_charge_until_taken(st, "with the old ones");
	redis_server_stop(&the_redis);
	restart_with(keys[1], certs[1]);
	do {
		ck_assert_msg(!redis_charge_one(st, "stranger", LIMIT_NONE, &is_taken, &err), "a stranger is believed");
	} while (!strstr(err.text, "certificate"));
	copy_file(certs[1], ca);
	redis_charge_until_taken(st, "with the new ones");
	store_close(st);
}
END_TEST

/* --- passwords */

static const char *write_password(const char *text, mode_t mode)
{
	static char path[400];
	struct err err = { 0 };

	snprintf(path, sizeof path, "%s/password", the_redis.dir);
	ck_assert(io_replace_file(path, str_from_c(text), mode, &err));
	return path;
}

START_TEST(passwords)
{
	struct config config;
	struct store *st = NULL;
	struct err err = { 0 };
	bool is_taken;

	redis_setup(&config, true);
	config.redis_user = STR("relay");
	config.redis_database = 2;
	config.redis_password_file = str_from_c(write_password("sesame\n", 0600));
	ck_assert_str_eq(redis_server_ask(&the_redis, "ACL SETUSER relay on >sesame ~sekisho:* +@all"), "OK");
	ck_assert_str_eq(redis_server_ask(&the_redis, "ACL SETUSER default off"), "OK");
	st = redis_open(&config);
	redis_charge_until_taken(st, "1");
	store_close(st);

	write_password("guess", 0600);
	st = redis_open(&config);
	ck_assert(!redis_charge_one(st, "2", LIMIT_NONE, &is_taken, &err));
	ck_assert_msg(strstr(err.text, "WRONGPASS"), "%s", err.text);
	store_close(st);

	write_password("sesame", 0644);
	ck_assert(!store_open(&config, &st, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "chmod"), "%s", err.text);
}
END_TEST

/* It becomes another while the daemon runs: what is refused reads the file again. */
START_TEST(a_password_that_changes)
{
	struct config config;
	struct err err = { 0 };
	bool is_taken;

	redis_setup(&config, true);
	config.redis_password_file = str_from_c(write_password("old", 0600));
	ck_assert_str_eq(redis_server_ask(&the_redis, "ACL SETUSER admin on nopass ~* +@all"), "OK");
	ck_assert_str_eq(redis_server_ask(&the_redis, "ACL SETUSER default resetpass >old"), "OK");
	struct store *st = redis_open(&config);

	redis_charge_until_taken(st, "1");
	ck_assert_str_eq(redis_server_ask_as(&the_redis, "admin", "ACL SETUSER default resetpass >new"), "OK");
	redis_server_ask_as(&the_redis, "admin", "CLIENT KILL USER default");
	while (redis_charge_one(st, "2", LIMIT_NONE, &is_taken, &err) || !strstr(err.text, "WRONGPASS"))
		ck_assert_msg(err.kind == ERR_BUSY || err.kind == ERR_NONE, "%s", err.text);
	write_password("new", 0600);
	redis_charge_until_taken(st, "3");
	store_close(st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store redis faults");
	TCase *tc = tcase_create("store redis faults");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, redis_begin, redis_end);
	tcase_add_test(tc, a_silent_server);
	tcase_add_loop_test(tc, a_server_that_dies, 0, 2);
	tcase_add_test(tc, a_server_that_is_not_there_yet);
	tcase_add_test(tc, answers_cut_anywhere);
	tcase_add_test(tc, a_charge_that_comes_behind_its_undoing);
	tcase_add_test(tc, a_slow_network);
	tcase_add_test(tc, a_network_that_is_too_slow);
	tcase_add_test(tc, a_replica_is_left_alone);
	unit_add_rows(tc, moods_of_a_server, mood_rows);
	tcase_add_test(tc, a_refund_that_is_refused_for_now);
	unit_add_rows(tc, words_of_a_server, words_rows);
	tcase_add_test(tc, a_server_that_forgets);
	unit_add_rows(tc, tls, tls_rows);
	tcase_add_test(tc, new_authorities);
	tcase_add_test(tc, passwords);
	tcase_add_test(tc, a_password_that_changes);
	return unit_main(suite);
}
