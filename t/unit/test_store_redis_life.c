/*
 * Every key expires: a day of a relay's work in fast-forward, through everything that writes to the store, and then a walk
 * over the whole keyspace. No key without an end, none that lives longer than its kind may, none that nobody documented, and
 * none documented that nobody wrote.
 */
#include "t/lib/configured.h"
#include "t/lib/redis_fixture.h"
#include "t/lib/unit.h"

#include <ctype.h>
#include <fnmatch.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/link/token.h"
#include "milter/record/format.h"
#include "milter/return_path.h"
#include "milter/track/deny.h"
#include "milter/track/hit.h"
#include "policy/emptied.h"
#include "policy/guard.h"
#include "policy/policy.h"
#include "policy/suppress.h"
#include "policy/tally.h"
#include "policy/tenant.h"

#define HOUR_US (3600 * US_PER_S)
#define YEAR_US (365 * DAY_US)
#define STEPS 96                       /* a quarter of an hour each */

/* What a key may begin with behind its tenant, and how long it may have to live by then. */
static const struct kind { const char *family; int64_t most_us; } kinds[] = {
	{ "q:minute:b1m.rcpt.tenant:", 2 * 60 * US_PER_S },
	{ "q:hour:r1h.rcpt.auth:", HOUR_US + 3 * 60 * US_PER_S },
	{ "q:halfday:r12h.msg.sender:", 13 * HOUR_US },
	{ "q:day:cday.rcpt.domain:", DAY_US },
	{ "q:week:cweek.msg.client:", 7 * DAY_US },
	{ "q:month:cmonth.byte.tenant:", 31 * DAY_US },
	{ "q:small:r1h.msg.tenant:", HOUR_US + 3 * 60 * US_PER_S },
	{ "over:small:", HOUR_US },
	{ "warn50:hour:", HOUR_US },
	{ "suspended", 10 * YEAR_US },
	{ "suppress:", 30 * DAY_US },
	{ "bounce:", 61 * DAY_US },
	{ "bounced:", 61 * DAY_US },
	{ "failed:", 14 * DAY_US },
	{ "watch:", 2 * DAY_US },
	{ "hour:", 2 * DAY_US },
	{ "peak:", 9 * DAY_US },
	{ "client:", 2 * DAY_US },
	{ "clients:", 2 * DAY_US },
	{ "guard:", 2 * DAY_US },
	{ "told:", HOUR_US },
	{ "keys:", 10 * YEAR_US },
	{ "sender:", 10 * DAY_US },
	{ "sent:", 8 * DAY_US },
	{ "hits:day:", YEAR_US },
	{ "hits:message:", YEAR_US },
	{ "hits:reader:", YEAR_US },
	{ "forgotten:", 10 * YEAR_US },
	{ "deny", 10 * YEAR_US },
	{ "charge:", STORE_CHARGE_TTL_US },
	{ "back", US_PER_S },
	{ "mark", 10 * YEAR_US },
};

static struct config *config;
static struct store *st;
static struct token_keys *keys;
static struct arena arena;

static void load_config(void)
{
	char path[400], text[4096];

	snprintf(path, sizeof path, "%s/sekisho.yaml", the_redis.dir);
	snprintf(text, sizeof text,
		 "node: n1\nstate_dir: %s\n"
		 "tracking: {key_file: %s/tokens}\n"
		 "store: {backend: redis, timeout: 25s, redis: {addresses: ['%s']}}\n"
		 "tenants:\n"
		 "  acme:\n"
		 "    match: [{auth: '*@acme.test'}]\n"
		 "    quotas:\n"
		 "      - {name: minute, limit: 1000/minute, window: burst}\n"
		 "      - {name: hour, limit: 60/hour, key: auth, warn_at: [50]}\n"
		 "      - {name: halfday, limit: 100000, per: 12h, key: sender, counts: messages}\n"
		 "      - {name: day, limit: 100000/day, window: calendar, key: recipient_domain}\n"
		 "      - {name: week, limit: 100000/week, window: calendar, key: client, counts: messages}\n"
		 "      - {name: month, limit: 1GiB, per: month, window: calendar, counts: bytes}\n"
		 "  guarded: {match: [{auth: '*@guarded.test'}], guard: {hard_bounces: 5%%, volume: 100, clients: 9, sample: 10}}\n"
		 "  paths: {match: [{auth: '*@paths.test'}], return_path: {domain: bounce.paths.test, keep: 7d}}\n"
		 "  small:\n"
		 "    match: [{auth: '*@small.test'}]\n"
		 "    quotas: [{name: small, limit: 2/hour, counts: messages}]\n",
		 the_redis.dir, the_redis.dir, the_redis.address);
	ck_assert(io_replace_file(path, str_from_c(text), 0600, NULL));
	config = configured_file(path);
}

static void make_keys(void)
{
	char path[400], text[2 * TOKEN_KEY_LEN + 8];
	size_t len = (size_t)snprintf(text, sizeof text, "7 ");
	struct err err = { 0 };

	for (size_t i = 0; i < 2 * TOKEN_KEY_LEN; i++)
		text[len++] = "0123456789abcdef"[i * 5 % 16];
	ck_assert_msg(token_keys_read(str_of(text, len), &keys, &err), "%s", err.text);
	snprintf(path, sizeof path, "%s/tokens", the_redis.dir);
	ck_assert(io_replace_file(path, str_of(text, len), 0600, NULL));
}

/* Both clocks: Redis' own, and that of the program. */
static void pass_time(int64_t us)
{
	redis_pass_time(NULL, us);
	clock_set(clock_now_us() + us);
}

static void begin(void)
{
	struct err err = { 0 };
	struct timespec ts;

	redis_begin();
	redis_set_quiet_time();
	clock_gettime(CLOCK_REALTIME, &ts);
	clock_set((int64_t)ts.tv_sec * US_PER_S + atomic_load(the_redis.shift_us));
	arena_init(&arena, (size_t)64 << 20);
	make_keys();
	load_config();
	ck_assert_msg(store_open(config, &st, &err), "%s", err.text);
}

static void end(void)
{
	store_close(st);
	config_free(config);
	token_keys_free(keys);
	arena_clear(&arena);
	clock_set(0);
	redis_end();
}

/* --- a day's work */

static const struct tenant *tenant_named(const char *name)
{
	for (size_t i = 0; i < config->tenant_count; i++)
		if (str_eq(config->tenants[i].name, str_from_c(name)))
			return &config->tenants[i];
	ck_abort_msg("no tenant %s", name);
}

static void send_message(const char *tenant, int step)
{
	const struct policy policy = { .store = st, .node = STR("n1") };
	const struct tenant *t = tenant_named(tenant);
	struct net_addr client;
	char login[64], id[64], to[3][64];
	struct str rcpts[3];
	struct policy_facts facts = { .client = &client, .sender = STR("news@acme.test"), .recipients = rcpts,
				      .recipient_count = 3, .size = 5000 };
	struct verdict v;

	net_parse_addr(STR("192.0.2.7"), &client);
	snprintf(login, sizeof login, "user%d@%s.test", step % 3, tenant);
	facts.auth = str_from_c(login);
	snprintf(id, sizeof id, "m-%s-%d", tenant, step);
	for (int i = 0; i < 3; i++) {
		snprintf(to[i], sizeof to[i], "r%d@host%d.test", step, (step + i) % 9);
		rcpts[i] = str_from_c(to[i]);
	}
	policy_on_mail(&policy, config, &facts, &arena, &v);
	policy_on_rcpt(&policy, config, t, &facts, &arena, &v);
	policy_on_data(&policy, config, t, &facts, str_from_c(id), &arena, &v);
	if (v.action != VERDICT_ACCEPT)
		return;
	policy_on_eom(&policy, config, t, &facts, str_from_c(id), &arena, &v);
	if (step % 5 == 0)
		policy_refund(&policy, t, str_from_c(id));
	else
		policy_settle(&policy, t, str_from_c(id));
}

static void bounce_and_deliver(int step)
{
	const struct tenant *t = tenant_named("guarded");
	char message[32], recipient[64];
	struct tally_failure failure = { .reason = step % 2 ? STR("userunknown") : STR("mailboxfull"), .is_hard = step % 2 };
	struct suppression entry = { .source = SUPPRESS_BOUNCE, .reason = failure.reason, .since_us = clock_now_us(),
				     .until_us = clock_now_us() + 30 * DAY_US };
	const struct member all = { .kind = MEMBER_ALL };
	struct guard_strike strike;
	struct err err = { 0 };
	bool first, struck;

	snprintf(message, sizeof message, "M%d", step);
	snprintf(recipient, sizeof recipient, "r%d@host%d.test", step, step % 9);
	failure.message = str_from_c(message);
	failure.recipient = entry.recipient = str_from_c(recipient);
	ck_assert_msg(tally_failed(st, config, t, &failure, &first, &err), "%s", err.text);
	ck_assert_msg(tally_delivered(st, config, t, STR("news@guarded.test"), &err), "%s", err.text);
	ck_assert_msg(guard_count_passed(st, t, all, 3, clock_now_us(), &err), "%s", err.text);
	ck_assert_msg(guard_count_client(st, t, STR("user@guarded.test"), STR("192.0.2.7"), &err), "%s", err.text);
	ck_assert_msg(guard_look(st, t, all, &arena, &strike, &struck, &err), "%s", err.text);
	if (struck)
		ck_assert(!guard_was_told(st, t, &strike, HOUR_US, &arena));
	ck_assert_msg(!failure.is_hard || suppress_add(st, t->name, &entry, &err), "%s", err.text);
}

static void send_with_return_path(int step)
{
	static const struct str to[] = { STR_INIT("a@x.test"), STR_INIT("b@x.test") };
	char id[RECORD_ID_LEN + 1];
	const struct return_path_message message = { .tenant = tenant_named("paths"), .message = str_of(id, RECORD_ID_LEN),
						     .sender = STR("news@paths.test"), .recipients = to, .recipient_count = 2 };
	struct str out;
	struct err err = { 0 };

	record_id_new(clock_now_us() + step, id);
	ck_assert_msg(return_path_make(st, keys, &message, &arena, &out, &err), "%s", err.text);
}

static void open_and_click(int step)
{
	char reader[HIT_READER_LEN + 1], message[32];
	struct hit hit = { .kind = HIT_OPEN, .time_us = clock_now_us(), .tenant = STR("acme"), .url = STR("https://x.test/"),
			   .link = (uint16_t)(step % 4) };
	const struct hit *const hits[] = { &hit };
	struct err err = { 0 };

	snprintf(reader, sizeof reader, "%0*x", HIT_READER_LEN, (unsigned)step % 7);
	snprintf(message, sizeof message, "M%d", step / 4);
	hit.reader = str_from_c(reader);
	hit.message = str_from_c(message);
	ck_assert_msg(hit_count(st, hits, 1, hit_ttl_us(config), &arena, &err), "%s", err.text);
	hit.kind = HIT_CLICK;
	hit.flags = step % 3 ? 0 : HIT_FLAG_AGENT;
	ck_assert_msg(hit_count(st, hits, 1, hit_ttl_us(config), &arena, &err), "%s", err.text);
}

static void operate(void)
{
	const struct suspension s = { .action = EXCESS_DEFER, .since_us = clock_now_us(), .until_us = clock_now_us() + 90 * DAY_US };
	const struct suspension one = { .of = { MEMBER_LOGIN, STR("bob") }, .action = EXCESS_HOLD, .since_us = clock_now_us() };
	const struct deny_entry host = { .kind = DENY_HOST, .name = STR("bad.test") };
	struct err err = { 0 };
	struct emptied emptied = { 0 };
	size_t removed;
	int64_t total;
	bool was;

	ck_assert(!emptied_look(&emptied, st));
	ck_assert_msg(tenant_suspend(st, STR("other"), &s, &err), "%s", err.text);
	ck_assert_msg(tenant_suspend(st, STR("other"), &one, &err), "%s", err.text);
	ck_assert_msg(deny_add(st, STR("acme"), &host, &was, &err), "%s", err.text);
	ck_assert_msg(hit_forget(st, STR("acme"), STR("00000000000000ff"), &removed, &err), "%s", err.text);
	/* as a relay asks whether Redis is back */
	ck_assert(st->ops->count_add(st, STR("sekisho:{acme}:back"), 0, US_PER_S, &total, &err));
}

static void work_for_a_day(void)
{
	for (int step = 0; step < STEPS; step++) {
		pass_time(DAY_US / STEPS);
		for (int i = 0; i < 9; i++)
			send_message("acme", step * 9 + i);
		for (int i = 0; i < 4; i++)
			send_message("small", step * 4 + i);
		bounce_and_deliver(step);
		open_and_click(step);
		send_with_return_path(step);
		arena_reset(&arena);
	}
	operate();
}

/* --- the walk: by Redis' own commands, as an admin would */

static int64_t time_to_live_us(redisContext *redis, const char *key)
{
	redisReply *reply = redisCommand(redis, "PTTL %s", key);

	ck_assert_ptr_nonnull(reply);
	int64_t left_us = reply->integer * 1000;

	freeReplyObject(reply);
	return left_us;
}

static void judge_key(redisContext *redis, const char *key, int *seen)
{
	const char *behind = strstr(key, "}:");
	int64_t left_us = time_to_live_us(redis, key);

	ck_assert_msg(strncmp(key, "sekisho:{", 9) == 0 && behind, "a key of another form: %s", key);
	if (left_us == -2000)           /* gone since it was listed */
		return;
	ck_assert_msg(left_us >= 0, "a key without an end: %s", key);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strncmp(behind + 2, kinds[i].family, strlen(kinds[i].family)) != 0)
			continue;
		ck_assert_msg(left_us <= kinds[i].most_us, "%s has %lld s to live, at most %lld are right", key,
			      (long long)(left_us / US_PER_S), (long long)(kinds[i].most_us / US_PER_S));
		seen[i]++;
		return;
	}
	ck_abort_msg("a key of no known kind: %s", key);
}

static int walk(int *seen)
{
	redisContext *redis = redisConnectUnix(the_redis.socket + strlen("unix:"));
	char cursor[32] = "0";
	int count = 0;

	ck_assert(redis && !redis->err);
	do {
		redisReply *page = redisCommand(redis, "SCAN %s COUNT 100", cursor);

		ck_assert(page && page->type == REDIS_REPLY_ARRAY && page->elements == 2);
		snprintf(cursor, sizeof cursor, "%s", page->element[0]->str);
		for (size_t i = 0; i < page->element[1]->elements; i++, count++)
			judge_key(redis, page->element[1]->element[i]->str, seen);
		freeReplyObject(page);
	} while (strcmp(cursor, "0") != 0);
	redisFree(redis);
	return count;
}

START_TEST(every_key_expires)
{
	int seen[sizeof kinds / sizeof *kinds] = { 0 };

	work_for_a_day();
	ck_assert_int_gt(walk(seen), 200);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		ck_assert_msg(seen[i] > 0, "nothing wrote a key of kind %s", kinds[i].family);
	pass_time(10 * YEAR_US + DAY_US);
	memset(seen, 0, sizeof seen);
	walk(seen);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		ck_assert_msg(seen[i] == 0, "after ten years there is a key of kind %s", kinds[i].family);
}
END_TEST

/* --- a server that comes back without its data */

START_TEST(an_emptied_store_is_noticed)
{
	struct emptied first = { 0 }, second = { 0 }, later = { 0 };

	for (int i = 0; i < 3; i++)
		ck_assert(!emptied_look(&first, st) && !emptied_look(&second, st));
	redis_server_ask(&the_redis, "FLUSHALL");
	pass_time(US_PER_S);
	ck_assert(emptied_look(&first, st));
	ck_assert_msg(emptied_look(&second, st), "the mark is there again, and was put by another");
	for (int i = 0; i < 3; i++)
		ck_assert(!emptied_look(&first, st) && !emptied_look(&second, st) && !emptied_look(&later, st));
}
END_TEST

/* As long as it cannot be marked, nobody may believe it was told. */
START_TEST(an_emptied_store_that_takes_no_writes)
{
	struct emptied emptied = { 0 };

	ck_assert(!emptied_look(&emptied, st) && !emptied_look(&emptied, st));
	redis_server_ask(&the_redis, "FLUSHALL");
	pass_time(US_PER_S);
	redis_server_ask(&the_redis, "REPLICAOF 127.0.0.1 1");
	ck_assert(!emptied_look(&emptied, st));
	redis_server_ask(&the_redis, "REPLICAOF NO ONE");
	while (!emptied_look(&emptied, st))
		usleep(20000);
	ck_assert(!emptied_look(&emptied, st));
}
END_TEST

/* --- what an admin reads */

#define ROWS_MAX 100

/* A key as the manual has it, "sekisho:{TENANT}:warnNN:QUOTA", as a pattern: capitals and choices stand for anything. */
struct row {
	char pattern[100];
	int seen;
};

static void as_pattern(struct str row, char out[100])
{
	struct str part;
	size_t len = 0;

	while (str_next(&row, ':', &part)) {
		bool is_choice = str_find_byte(part, '|') < part.len;

		if (len)
			out[len++] = ':';
		for (size_t i = 0; i < part.len; i++) {
			bool is_any = is_choice || isupper((unsigned char)part.ptr[i]);

			ck_assert_uint_lt(len + 2, 100);
			if (!is_any || out[len - 1] != '*')
				out[len++] = is_any ? '*' : part.ptr[i];
		}
	}
	out[len] = '\0';
}

static size_t read_manual(struct row rows[ROWS_MAX])
{
	const char *srcdir = getenv("srcdir");
	struct str rest, line;
	struct buf page;
	struct err err = { 0 };
	size_t count = 0;
	char path[4096];

	snprintf(path, sizeof path, "%s/contrib/man/sekisho-store.7", srcdir ? srcdir : ".");
	buf_init(&page, (size_t)1 << 20);
	ck_assert_msg(io_read_file(path, &page, &err), "%s", err.text);
	rest = buf_view(&page);
	while (str_next(&rest, '\n', &line)) {
		if (!str_starts(line, STR(".It Ql sekisho:")))
			continue;
		ck_assert_uint_lt(count, ROWS_MAX);
		as_pattern(str_from(line, strlen(".It Ql ")), rows[count++].pattern);
	}
	buf_clear(&page);
	return count;
}

static struct row rows[ROWS_MAX];
static size_t row_count;

static bool look_up(void *arg, struct str key, struct str value, int64_t expires_us)
{
	bool is_known = false;
	char text[STORE_KEY_MAX + 1];

	(void)arg, (void)value, (void)expires_us;
	snprintf(text, sizeof text, STR_FMT, STR_ARG(key));
	for (size_t i = 0; i < row_count; i++)
		if (fnmatch(rows[i].pattern, text, 0) == 0) {
			rows[i].seen++;
			is_known = true;
		}
	ck_assert_msg(is_known, "sekisho-store(7) does not tell of %s", text);
	return true;
}

START_TEST(every_key_is_documented)
{
	struct err err = { 0 };

	memset(rows, 0, sizeof rows);
	row_count = read_manual(rows);
	ck_assert_uint_gt(row_count, 20);
	work_for_a_day();
	ck_assert_msg(st->ops->scan(st, STR("sekisho:"), look_up, NULL, &err), "%s", err.text);
	for (size_t i = 0; i < row_count; i++)
		ck_assert_msg(rows[i].seen > 0, "sekisho-store(7) tells of %s, which nobody wrote", rows[i].pattern);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store redis life");
	TCase *tc = tcase_create("life");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, every_key_expires);
	tcase_add_test(tc, every_key_is_documented);
	tcase_add_test(tc, an_emptied_store_is_noticed);
	tcase_add_test(tc, an_emptied_store_that_takes_no_writes);
	return unit_main(suite);
}
