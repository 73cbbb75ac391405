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

static struct config *config_with(const char *file, const char *keep, const char *tracking)
{
	return configured(file,
			  "node: gate1\nstate_dir: %1$s/state\nmilter: {listen: \"unix:%1$s.sock\"}\nmetrics: {listen: none}\n"
			  "relay_log: {dir: %1$s/log, key_file: none, operator_key_file: none, classes: {relay: %2$s}}\n"
			  "tracking: {key_file: %1$s/tokens}\nlog: {to: stderr, level: error}\n"
			  "tenants: {acme: {match: [{auth: acme}]%3$s}}\n", home, keep, tracking);
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
	snprintf(home, sizeof home, "%s/gate-%ld", unit_dir(), (long)getpid());
	clock_set(NOON - DAYS_AGO * DAY_US);
	open_gate();
	close_gate();                          /* a file of that day is there now */
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
	tcase_add_test(tcase, tells_how_to_make_keys);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
