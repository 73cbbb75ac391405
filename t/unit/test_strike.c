/* milter/guarding, milter/strike and milter/warned: a guard strikes, the tenant is stopped, it is on the record, and the operator is
 * told once; so he is of levels of quotas. */
#include "t/lib/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/metrics.h"
#include "milter/guarding.h"
#include "milter/notify.h"
#include "milter/strike.h"
#include "policy/tenant.h"
#include "t/lib/configured.h"
#include "t/lib/relaylog.h"

#define LONG_US (30 * US_PER_S)
#define ALL (struct member){ .kind = MEMBER_ALL }

static struct gate gate;
static struct config *config;          /* the gate's snapshot, acquired */
static struct relaylog ops;            /* its class, for reading */
static char told[1100];                /* what notify.command heard, a line each time */

static void write_file(const char *path, const char *text, mode_t mode)
{
	struct err err;

	ck_assert_msg(io_replace_file(path, str_from_c(text), mode, &err), "%s", err.text);
}

static void setup(void)
{
	char home[1000], path[PATH_MAX], text[8 * 1024];
	struct err err = { .text = "" };

	relaylog_setup(&ops);                  /* sets the clock, too */
	snprintf(home, sizeof home, "%s/strike-%d", unit_dir(), (int)getpid());
	snprintf(ops.dir, sizeof ops.dir, "%.900s/log/ops", home);
	snprintf(told, sizeof told, "%.900s.told", home);
	snprintf(path, sizeof path, "%.900s.sh", home);
	snprintf(text, sizeof text, "#!/bin/sh\ncat >>%s\n", told);
	write_file(path, text, 0700);
	snprintf(text, sizeof text,
		 "node: gate1\nstate_dir: %1$s/state\nmilter: {listen: \"unix:%1$s.sock\"}\nmetrics: {listen: none}\n"
		 "relay_log: {dir: %1$s/log, key_file: none}\nnotify: {command: %1$s.sh, cool_down: 1h}\n"
		 "defaults: {guard: {hard_bounces: 5%%, sample: 10}}\ntenants:\n"
		 "  acme: {match: [{auth: acme}]}\n"
		 "  ginza: {match: [{auth: ginza}], guard: {senders: true, tenant: false, action: hold}}\n"
		 "  quiet: {match: [{auth: quiet}], guard: {action: notify}}\n",
		 home);
	snprintf(path, sizeof path, "%.900s.yaml", home);
	write_file(path, text, 0600);
	config = configured_file(path);
	ck_assert_msg(gate_open(&gate, config, &err), "%s", err.text);
	config_publish(config);
	config = config_acquire();
}

static void teardown(void)
{
	config_release(config);
	gate_close(&gate);
	config_publish(NULL);
	clock_set(0);
}

static const struct tenant *tenant_of(const char *name)
{
	const struct tenant *tenant = config_find_tenant(config, str_from_c(name));

	ck_assert_msg(tenant, "%s", name);
	return tenant;
}

/* Twenty recipients of this sender, half of whom do not exist. */
static void bounce(const char *tenant, const char *sender)
{
	struct err err;

	for (int i = 0; i < 20; i++) {
		const struct guard_outcome outcome = { .sender = str_from_c(sender), .recipients = 1, .is_hard = i % 2 == 0 };

		ck_assert_msg(guard_count_outcome(gate.policy.store, tenant_of(tenant), &outcome, &err), "%s", err.text);
	}
	pulse_note_failed(gate.pulse, tenant_of(tenant), str_from_c(sender));
}

/* The guards' thread has looked, and whoever it told has heard. */
static void look(void)
{
	struct guarding *guarding;
	struct err err;

	ck_assert_msg(guarding_start(&gate, &guarding, &err), "%s", err.text);
	guarding_stop(guarding);
	notify_finish(LONG_US);
}

/* How often a word stands in what the operator was told (or in the records). Static text until the next call. */
static int times(bool in_records, const char *word)
{
	static struct buf text = { .max = 1 << 20 };
	const struct record_event last = { .event = STR("access") };
	char path[PATH_MAX];
	struct err err;
	int n = 0;

	buf_reset(&text);
	ck_assert(record_append(gate_writer(&gate, CLASS_OPS, &err), &last, RECORD_DURABLE, NULL, &err));
	relaylog_path(&ops, "2026-11-21.jsonl", path);
	if (!io_read_file(in_records ? path : told, &text, &err))
		return 0;
	buf_add_byte(&text, '\0');
	for (const char *at = text.ptr; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}

START_TEST(strikes)
{
	struct err err;
	bool was;

	bounce("acme", "a@acme.example");
	look();
	ck_assert_int_eq(times(true, "\"event\":\"suspended\",\"tenant\":\"acme\""), 1);
	ck_assert_int_eq(times(true, "\"by\":\"guard\",\"what\":\"hard bounces\",\"count\":10,\"sample\":20,\"percent\":50"), 1);
	ck_assert_int_eq(times(false, "{\"event\":\"suspended\",\"time\":\"2026-11-21T12:00:00.000000+09:00\",\"node\":\"gate1\",\"tenant\":\"acme\""), 1);
	look();
	ck_assert_int_eq(times(true, "\"event\":\"suspended\""), 1);
	ck_assert(tenant_resume(gate.policy.store, STR("acme"), ALL, &was, &err) && was);
	bounce("acme", "a@acme.example");
	look();
	ck_assert_int_eq(times(true, "\"event\":\"suspended\""), 2);      /* on the record each time, */
	ck_assert_int_eq(times(false, "\"event\":\"suspended\""), 1);     /* told once in notify.cool_down */
}
END_TEST

START_TEST(a_sender_alone)
{
	bounce("ginza", "bad@ginza.example");
	look();
	ck_assert_int_eq(times(true, "\"by\":\"guard\",\"member\":\"sender\",\"what\":\"hard bounces\""), 1);
	ck_assert_int_eq(times(true, "\"reason\":\"10 hard bounces among 20 recipients"), 1);
	ck_assert_int_eq(times(true, "bad@ginza.example"), 0);         /* class ops holds no customer's data */
	ck_assert_int_eq(times(false, "\"sender\":\"bad@ginza.example\",\"what\""), 1);
	ck_assert_int_eq(times(false, "\"reason\":\"sender bad@ginza.example: 10 hard bounces among 20"), 1);
	ck_assert_int_eq(times(false, "\"action\":\"hold\""), 1);
}
END_TEST

START_TEST(only_told)
{
	bounce("quiet", "a@quiet.example");
	look();
	ck_assert_int_eq(times(false, "{\"event\":\"guard\""), 1);
	ck_assert_int_eq(times(true, "\"event\":\"suspended\""), 0);
}
END_TEST

START_TEST(nothing_to_say)
{
	struct json json;
	struct buf text;

	look();
	ck_assert_int_eq(times(false, "event"), 0);
	bounce("acme", "a@acme.example");
	look();
	buf_init(&text, 65536);
	json_init(&json, &text);
	json_object_open(&json);
	strike_write_status(&json);
	json_object_close(&json);
	ck_assert_uint_lt(str_find(buf_view(&text), STR("{\"guard\":{\"strikes\":1,\"last\":\"acme: ")), text.len);
	buf_clear(&text);
}
END_TEST

/* --- levels of quotas */

static const struct policy_note level = { .rule = STR_INIT("hourly"), .percent = 80, .used = 4, .limit = 5 };

/* Whoever was told at that time has heard. */
static void tell_at(int64_t now_us)
{
	warned_tell(gate.warned, config, STR("own"), now_us);
	notify_finish(LONG_US);
}

START_TEST(a_level)
{
	warned_note(gate.warned, config, STR("acme"), &level);
	look();
	ck_assert_int_eq(times(false, "{\"event\":\"warned\",\"time\":\"2026-11-21T12:00:00.000000+09:00\",\"node\":\"gate1\","
				      "\"tenant\":\"acme\",\"quota\":\"hourly\",\"percent\":80,\"used\":4,\"limit\":5,\"times\":1}\n"), 1);
	look();
	ck_assert_int_eq(times(false, "event"), 1);
}
END_TEST

/* Hundreds of logins: one notice at once, another one of all the rest when it has cooled down; other levels do not wait for it. */
START_TEST(a_level_of_many)
{
	struct policy_note note = level;
	char key[32];

	note.scope = STR("first@acme");
	warned_note(gate.warned, config, STR("acme"), &note);
	tell_at(LONG_US);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof key, "u%d@acme", i);
		note.scope = str_from_c(key);
		warned_note(gate.warned, config, STR("acme"), &note);
	}
	note.percent = 95;
	warned_note(gate.warned, config, STR("acme"), &note);
	warned_note(gate.warned, config, STR("ginza"), &level);
	note = level;
	note.rule = STR("daily");
	warned_note(gate.warned, config, STR("acme"), &note);
	tell_at(LONG_US + HOUR_US - 1);
	ck_assert_int_eq(times(false, "\"key\":\"first@acme\",\"percent\":80,"), 1);
	ck_assert_int_eq(times(false, "\"event\":\"warned\""), 4);
	tell_at(LONG_US + HOUR_US);
	ck_assert_int_eq(times(false, "\"key\":\"u299@acme\",\"percent\":80,\"used\":4,\"limit\":5,\"times\":300}"), 1);
	ck_assert_int_eq(times(false, "\"event\":\"warned\""), 5);
}
END_TEST

/* As many as there is room for wait; what was told gives up its place. */
START_TEST(too_many_levels)
{
	char name[32];

	for (int i = 0; i < WARNED_MAX + 1; i++) {
		snprintf(name, sizeof name, "t%d", i);
		warned_note(gate.warned, config, str_from_c(name), &level);
	}
	ck_assert_int_eq(metrics_read(METRIC_NOTICE_FAILURES), 1);
	tell_at(0);
	ck_assert_int_ge(times(false, "\"event\":\"warned\""), 1);
	warned_note(gate.warned, config, STR("last"), &level);
	ck_assert_int_eq(metrics_read(METRIC_NOTICE_FAILURES), 1);
}
END_TEST

/* A program that hangs leaves room to those that tell of a guard: the levels wait. */
START_TEST(waits_for_a_slow_program)
{
	char path[1200], text[1300], name[32];
	struct str command;

	snprintf(path, sizeof path, "%s.slow", told);
	snprintf(text, sizeof text, "#!/bin/sh\nwhile [ ! -e %s.go ]; do sleep 0.05; done\n", told);
	command = str_from_c(path);
	write_file(path, text, 0700);
	for (int i = 0; i < NOTIFY_RUNNING_MAX / 2; i++)
		notify_tell(command, BUF("{}"));
	for (int i = 0; i < 2 * NOTIFY_RUNNING_MAX; i++) {
		snprintf(name, sizeof name, "t%d", i);
		warned_note(gate.warned, config, str_from_c(name), &level);
	}
	warned_tell(gate.warned, config, STR("own"), 0);
	ck_assert(notify_is_busy());
	snprintf(path, sizeof path, "%s.go", told);
	write_file(path, "", 0600);
	notify_finish(LONG_US);
	ck_assert_int_eq(times(false, "event"), 0);
	while (times(false, "event") < 2 * NOTIFY_RUNNING_MAX)
		tell_at(0);
	ck_assert_int_eq(metrics_read(METRIC_NOTICE_FAILURES), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strike");
	TCase *tcase = tcase_create("strike");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, strikes);
	tcase_add_test(tcase, a_sender_alone);
	tcase_add_test(tcase, only_told);
	tcase_add_test(tcase, nothing_to_say);
	tcase_add_test(tcase, a_level);
	tcase_add_test(tcase, a_level_of_many);
	tcase_add_test(tcase, too_many_levels);
	tcase_add_test(tcase, waits_for_a_slow_program);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
