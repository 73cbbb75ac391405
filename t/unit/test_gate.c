/* milter/gate: what a reload changes in it. */
#include "milter/gate.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "t/lib/configured.h"
#include "t/lib/relaylog.h"
#include "t/lib/unit.h"

#define DAYS_AGO 40

static struct gate gate;
static char home[1000];

static const char *node = "gate1", *key = "none";
static struct config *config_with(const char *file, const char *keep, const char *tracking)
{
	return configured(file,
			  "node: %4$s\nstate_dir: %1$s/state\nmilter: {listen: \"unix:%1$s.sock\"}\nmetrics: {listen: none}\n"
			  "relay_log: {dir: %1$s/log, key_file: %5$s, operator_key_file: none, classes: {relay: %2$s}}\n"
			  "tracking: {key_file: %1$s/tokens}\nlog: {to: stderr, level: error}\n"
			  "tenants: {acme: {match: [{auth: acme}]%3$s}}\n", home, keep, tracking, node, key);
}

static void open_gate(void)
{
	struct config *config = config_with("before.yaml", "60d", "");
	struct err err;

	ck_assert_msg(gate_open(&gate, config, &err), "%s", err.text);
	config_publish(config);
}

static void close_gate(void)
{
	gate_close(&gate);
	config_publish(NULL);
}

static void setup(void)
{
	const int days_ago[] = { DAYS_AGO, 2, 1 };     /* the last two vouch for the date where the kernel does not */

	snprintf(home, sizeof home, "%s/gate-%ld", unit_dir(), (long)getpid());
	for (size_t i = 0; i < sizeof days_ago / sizeof *days_ago; i++) {
		clock_set(NOON - days_ago[i] * DAY_US);
		open_gate();
		close_gate();                  /* a file of that day is there now */
	}
	clock_set(NOON);
	open_gate();
}

static void follow(const char *keep, const char *tracking)
{
	struct config *old = config_acquire(), *new = config_with("after.yaml", keep, tracking);

	gate_follow(&gate, old, new);
	config_publish(new);
	config_release(old);
}

static bool is_there(const char *what)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/log/%s", home, what);
	return access(path, F_OK) == 0;
}

static const char *old_file(void)
{
	static char name[40];
	char date[JST_DATE_LEN + 1];

	jst_format_date(jst_day(NOON) - DAYS_AGO, date);
	snprintf(name, sizeof name, "relay/%s.jsonl", date);
	return name;
}

START_TEST(keeps_as_long_as_it_now_says)
{
	follow("50d", "");
	ck_assert(is_there(old_file()));
	follow("30d", "");
	ck_assert(!is_there(old_file()));
	close_gate();
}
END_TEST

START_TEST(signs_actions_from_now_on)
{
	ck_assert(!is_there("action"));
	follow("60d", ", tracking: {host: t.acme.example, opens: true}");
	ck_assert(is_there("action"));
	close_gate();
}
END_TEST

static bool is_signed_by(struct relaylog *log, const char *class_name, const char *by)
{
	char name[100];
	struct buf text;

	snprintf(log->dir, sizeof log->dir, "%s/log/%s", home, class_name);
	snprintf(name, sizeof name, "\"node\":\"%s\"", by);
	relaylog_read(log, "2026-11-21.jsonl", &text);

	struct str rest = buf_view(&text), one;
	bool is_found = false;

	while (str_next(&rest, '\n', &one))
		is_found |= str_find(one, STR("\"event\":\"checkpoint\"")) < one.len && str_find(one, str_from_c(name)) < one.len;
	buf_clear(&text);
	return is_found;
}

/* A class that nobody writes to goes on under the new name, too, and one that is no more configured does not. */
START_TEST(renamed)
{
	static struct relaylog log;
	struct err err;

	close_gate();
	relaylog_setup(&log);
	key = log.key;
	open_gate();
	ck_assert(gate_writer(&gate, STR("bounce-api"), &err) && gate_writer(&gate, STR("former"), &err));
	close_gate();
	node = "gate2";
	open_gate();
	ck_assert(is_signed_by(&log, "bounce-api", "gate2"));
	ck_assert(is_signed_by(&log, "former", "gate1") && !is_signed_by(&log, "former", "gate2"));
	ck_assert(!is_there("history"));
	close_gate();
}
END_TEST

/* The first thing that goes wrong where links are to be tracked. */
START_TEST(tells_how_to_make_keys)
{
	struct config *config = config_with("tracked.yaml", "60d", ", tracking: {host: t.acme.example, opens: true}");
	struct gate second;
	struct err err;

	ck_assert(!gate_open(&second, config, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "make it with: sekisho key rotate"), "%s", err.text);
	config_free(config);
	close_gate();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gate");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, keeps_as_long_as_it_now_says);
	tcase_add_test(tcase, signs_actions_from_now_on);
	tcase_add_test(tcase, renamed);
	tcase_add_test(tcase, tells_how_to_make_keys);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
