/* milter/track/ledger: what becomes of hits behind the reader's back, also when store or disk fail. */
#include "t/lib/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/track/ledger.h"
#include "t/lib/configured.h"
#include "t/lib/relaylog.h"
#include "t/lib/store_fake.h"

static struct store_fake fake;
static struct config *config;
static struct relaylog action;         /* the class directory below */
static struct ledger *ledger;

static void open_config(void)
{
	char name[32];

	relaylog_setup(&action);

	size_t parent = (size_t)(strrchr(action.dir, '/') - action.dir);

	snprintf(name, sizeof name, "%d.yaml", (int)getpid());
	config = configured(name, "node: n1\nrelay_log: {dir: %.*s, key_file: none}\ntenants: {acme: {match: [{auth: a}]}}\n", (int)parent,
			    action.dir);
	snprintf(action.dir + parent, sizeof action.dir - parent, "/action");
}

static void setup(void)
{
	struct err err;

	open_config();                         /* sets the clock, too */
	store_fake_init(&fake);
	ck_assert_msg(ledger_open(config, &fake.store, &ledger, &err), "%s", err.text);
	config_publish(config);
}

static void teardown(void)
{
	config_publish(NULL);
	store_fake_clear(&fake);
	clock_set(0);
}

static struct hit hit_of(enum hit_kind kind, const char *reader)
{
	return (struct hit){ .kind = kind, .time_us = NOON, .tenant = STR("acme"), .message = STR("spring"), .reader = str_from_c(reader),
			     .link = kind == HIT_CLICK ? 3 : 0, .url = kind == HIT_CLICK ? STR("https://example.org/a") : STR_EMPTY,
			     .client = STR("192.0.2.0"), .agent = STR("Mozilla/5.0 \"x\"") };
}

static void add(enum hit_kind kind, const char *reader)
{
	struct hit hit = hit_of(kind, reader);

	ledger_add(ledger, &hit);
}

static int64_t counted(const char *name)
{
	char key[200];
	const struct store_fake_fact *fact;

	snprintf(key, sizeof key, "sekisho:{acme}:hits:message:spring:%s", name);
	fact = store_fake_find(&fake, key);
	return fact ? fact->total : 0;
}

/* All is written when it is closed, at the latest. */
START_TEST(written_down)
{
	struct hit hit = hit_of(HIT_CLICK, "0102030405060708");
	struct buf text;

	hit.flags = HIT_FLAG_AGENT | HIT_FLAG_BURST;
	ledger_add(ledger, &hit);
	add(HIT_OPEN, "");
	add(HIT_UNSUBSCRIBE, "0102030405060708");
	ledger_close(ledger);
	ck_assert_str_eq(relaylog_story(&action, false), "begin clicked:acme:1 opened:acme:2 unsubscribed:acme:3");
	relaylog_read(&action, "2026-11-21.jsonl", &text);
	buf_add_byte(&text, '\0');
	ck_assert_msg(strstr(text.ptr, "\"message\":\"spring\"") && strstr(text.ptr, "\"client\":\"192.0.2.0\""), "%s", text.ptr);
	ck_assert_msg(strstr(text.ptr, "{\"reader\":\"0102030405060708\",\"link\":3,\"url\":\"https://example.org/a\","
				       "\"agent\":\"Mozilla/5.0 \\\"x\\\"\",\"flags\":[\"agent\",\"burst\"]}"), "%s", text.ptr);
	buf_clear(&text);
	ck_assert_int_eq(counted("clicks"), 1);
	ck_assert_int_eq(counted("clicks.flagged"), 1);
	ck_assert_int_eq(counted("opens"), 1);
	ck_assert_int_eq(counted("unsubscribes"), 1);
}
END_TEST

START_TEST(forgotten)
{
	size_t removed;
	struct err err;

	ck_assert(hit_forget(&fake.store, STR("acme"), STR("0102030405060708"), &removed, &err));
	add(HIT_OPEN, "0102030405060708");
	add(HIT_CLICK, "0102030405060708");
	add(HIT_UNSUBSCRIBE, "0102030405060708");
	add(HIT_OPEN, "ffffffffffffffff");
	ledger_close(ledger);
	ck_assert_str_eq(relaylog_story(&action, false), "begin unsubscribed:acme:1 opened:acme:2");
	ck_assert_int_eq(counted("opens"), 1);
	ck_assert_int_eq(counted("clicks"), 0);
}
END_TEST

/* Whether a reader wants to be forgotten cannot be asked: no trace of him is better than one too many. */
START_TEST(nobody_to_ask)
{
	fake.failing = FAKE_GET;
	add(HIT_OPEN, "0102030405060708");
	add(HIT_OPEN, "");
	ledger_close(ledger);
	ck_assert_str_eq(relaylog_story(&action, false), "begin opened:acme:1");
	ck_assert_int_eq(counted("opens"), 1);
}
END_TEST

START_TEST(counts_fail)
{
	fake.failing = FAKE_COUNT;
	add(HIT_OPEN, "");
	add(HIT_CLICK, "");
	ledger_close(ledger);
	ck_assert_str_eq(relaylog_story(&action, false), "begin opened:acme:1 clicked:acme:2");
	ck_assert_int_eq(counted("opens"), 0);
}
END_TEST

/* --- a store that does not come back before it may */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool is_asked, may_answer;

static bool slow_get(struct store *st, struct str key, struct arena *arena, struct str *out_value, bool *out_found, struct err *err)
{
	(void)st;
	(void)key;
	(void)arena;
	(void)out_value;
	(void)err;
	pthread_mutex_lock(&gate);
	is_asked = true;
	pthread_cond_broadcast(&moved);
	while (!may_answer)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
	*out_found = true;
	return true;
}

/* What waits is bounded: the oldest stay, of the rest it is only known how many they were. All but the last that fits are of a
 * reader who is forgotten, and so cost nothing. */
START_TEST(too_many)
{
	struct store_ops slow = *fake.store.ops;

	slow.get = slow_get;
	fake.store.ops = &slow;
	add(HIT_OPEN, "0102030405060708");
	pthread_mutex_lock(&gate);
	while (!is_asked)
		pthread_cond_wait(&moved, &gate);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < LEDGER_WAITING_MAX - 1; i++)
		add(HIT_OPEN, "0102030405060708");
	for (int i = 0; i < 8; i++)
		add(HIT_UNSUBSCRIBE, "0102030405060708");
	pthread_mutex_lock(&gate);
	may_answer = true;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	ledger_close(ledger);
	ck_assert_str_eq(relaylog_story(&action, false), "begin unsubscribed:acme:1");
	ck_assert_int_eq(counted("unsubscribes"), 1);
}
END_TEST

/* A year is a calendar year, as for the records of class action: with a leap day in it where there is one. */
START_TEST(counted_as_long_as_recorded)
{
	clock_set(jst_day_start_us(jst_day_from_civil(2026, 11, 21)));
	ck_assert_int_eq(hit_ttl_us(config), 365 * DAY_US);
	clock_set(jst_day_start_us(jst_day_from_civil(2027, 11, 21)));
	ck_assert_int_eq(hit_ttl_us(config), 366 * DAY_US);
	ledger_close(ledger);
}
END_TEST

START_TEST(no_directory)
{
	struct ledger *other = NULL;
	struct err err;
	char path[PATH_MAX];

	open_config();
	snprintf(path, sizeof path, STR_FMT, STR_ARG(config->log_dir));
	ck_assert(io_replace_file(path, STR("a file"), 0600, &err));
	ck_assert(!ledger_open(config, &fake.store, &other, &err));
	ck_assert_ptr_null(other);
	ck_assert_msg(strstr(err.text, "relay log class action") && strstr(err.text, path), "%s", err.text);
	config_free(config);
	ledger_close(ledger);
	ledger_close(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ledger");
	TCase *tcase = tcase_create("ledger");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, written_down);
	tcase_add_test(tcase, forgotten);
	tcase_add_test(tcase, nobody_to_ask);
	tcase_add_test(tcase, counts_fail);
	tcase_add_test(tcase, too_many);
	tcase_add_test(tcase, counted_as_long_as_recorded);
	tcase_add_test(tcase, no_directory);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
