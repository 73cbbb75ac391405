/*
 * config: files in, a snapshot or messages out.
 *
 * t/unit/config/NAME.yaml is a configuration, NAME.expected what is said about it, line by line; one that has a line
 * without "warning: " is refused.
 */
#include "t/lib/unit.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/config_report.h"

static glob_t fixtures;
static char fixture_dir[512];

/* Written without the directory, which differs from machine to machine. */
static void add_lines(struct buf *out, const struct config_error *errors, size_t count, const char *mark)
{
	struct str dir = str_from_c(fixture_dir);
	struct buf line;

	buf_init(&line, 65536);
	for (size_t i = 0; i < count && i < CONFIG_ERRORS_MAX; i++) {
		struct str rest;

		buf_reset(&line);
		config_error_format(&errors[i], &line);
		buf_add_c(out, mark);
		for (rest = buf_view(&line); rest.len;) {
			size_t at = str_find(rest, dir);

			buf_add(out, str_slice(rest, 0, at));
			rest = str_from(rest, at + dir.len);
		}
		buf_add_byte(out, '\n');
	}
	buf_clear(&line);
}

static void add_report(struct buf *out, const struct config_report *report)
{
	add_lines(out, report->errors, report->count, "");
	add_lines(out, report->warnings, report->warning_count, "warning: ");
}

static struct config *load_or_fail(const char *path)
{
	struct config *config = NULL;
	struct config_report report;
	struct buf text;

	buf_init(&text, 65536);
	if (!config_load(path, &config, &report)) {
		add_report(&text, &report);
		ck_abort_msg("%s: " STR_FMT, path, STR_ARG(buf_view(&text)));
	}
	buf_clear(&text);
	config_report_clear(&report);
	return config;
}

#define ONE_TENANT "tenants: {t: {match: [{auth: t}]}}\n"

static struct config *load_text(const char *text)
{
	return load_or_fail(unit_file("config.yaml", str_from_c(text)));
}

START_TEST(fixture)
{
	const char *path = fixtures.gl_pathv[_i];
	char expected_path[600];
	struct config_report report;
	struct config *config = NULL;
	struct buf got, want;
	struct err err;

	buf_init(&got, 65536);
	buf_init(&want, 65536);
	snprintf(expected_path, sizeof expected_path, "%.*s.expected", (int)(strlen(path) - 5), path);
	ck_assert_msg(io_read_file(expected_path, &want, &err), "%s", err.text);

	bool ok = config_load(path, &config, &report);

	add_report(&got, &report);
	ck_assert_msg(str_eq(buf_view(&got), buf_view(&want)), "%s: got\n" STR_FMT "want\n" STR_FMT, path,
		      STR_ARG(buf_view(&got)), STR_ARG(buf_view(&want)));
	ck_assert_int_eq(ok, report.count == 0);
	ck_assert_int_eq(ok, config != NULL);
	ck_assert_uint_gt(want.len, 0);
	config_free(config);
	config_report_clear(&report);
	buf_clear(&got);
	buf_clear(&want);
}
END_TEST

static void refuses(const char *text, const char *why)
{
	struct config_report report;
	struct config *config;

	ck_assert(!config_load(unit_file("config.yaml", str_from_c(text)), &config, &report));
	ck_assert_uint_eq(report.count, 1);
	ck_assert_msg(strstr(report.errors[0].text.ptr, why), "%s", report.errors[0].text.ptr);
	config_report_clear(&report);
}

/* A directory that cannot be looked into may hold tenants, whose mail would be refused as nobody's. */
START_TEST(include_unseen)
{
	char loop[PATH_MAX], inner[PATH_MAX];

	snprintf(loop, sizeof loop, "%s/loop", unit_dir());
	snprintf(inner, sizeof inner, "%s/each", unit_dir());
	ck_assert_int_eq(symlink("loop", loop), 0);             /* one that root cannot look into either */
	refuses("include: \"loop/*.yaml\"\n" ONE_TENANT, "/loop: Too many levels of symbolic links");
	ck_assert_int_eq(mkdir(inner, 0755), 0);
	snprintf(inner, sizeof inner, "%s/each/acme", unit_dir());
	ck_assert_int_eq(mkdir(inner, 0), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(unit_dir(), 0777), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	refuses("include: \"each/*/*.yaml\"\n" ONE_TENANT, "/each/acme/: Permission denied");
	refuses("include: \"each/*/tenant.yaml\"\n" ONE_TENANT, "/each/acme/: Permission denied");
	ck_assert_int_eq(seteuid(getuid()), 0);
	ck_assert_int_eq(chmod(unit_dir(), 0700), 0);
}
END_TEST

START_TEST(listen_spelt)
{
	struct config *config = load_text("milter: {listen: \"local:/run/m.sock\"}\n" ONE_TENANT);

	ck_assert_str_is(config->listen, STR("unix:/run/m.sock"));
	config_free(config);
}
END_TEST

START_TEST(alarm_to_whom)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "", "/bin/tell" }, { "alarm: none\n", "" }, { "alarm: {again: 2h}\n", "/bin/tell" }, { "alarm: /bin/cry\n", "/bin/cry" },
		{ "alarm: {command: none}\n", "" },
	};
	char text[200];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(text, sizeof text, "%snotify: {command: /bin/tell}\n" ONE_TENANT, rows[i].text);
		struct config *config = load_text(text);

		ck_assert_str_is(config->alarm_command, str_from_c(rows[i].want));
		config_free(config);
	}
}
END_TEST

START_TEST(every_default)
{
	struct config *config = load_text("tenants: {acme: {match: [{auth: a}]}}\n");
	const struct tenant *acme = config_find_tenant(config, STR("acme"));

	ck_assert_uint_gt(config->node.len, 0);
	ck_assert_str_is(config->state_dir, STR("/var/lib/sekisho"));
	ck_assert_str_is(config->pid_file, STR("/var/lib/sekisho/sekisho-milter.pid"));
	ck_assert_str_is(config->store_path, STR("/var/lib/sekisho/store"));
	ck_assert_str_is(config->listen, STR("unix:/run/sekisho/milter.sock"));
	ck_assert_int_eq(config->socket_mode, 0660);
	ck_assert_uint_eq(config->socket_group.len, 0);
	ck_assert_int_eq(config->transaction_memory_max, 4 << 20);
	ck_assert_int_eq(config->recipients_max, 10000);
	ck_assert_int_eq(config->shutdown_wait_us, 30000000);
	ck_assert_int_eq(config->store_backend, STORE_EMBEDDED);
	ck_assert_int_eq(config->on_store_failure, STORE_FAILURE_LOCAL);
	ck_assert_int_eq(config->store_timeout_us, 250000);
	ck_assert_str_is(config->metrics_listen, STR("127.0.0.1:9185"));
	ck_assert(config->log_to_syslog);
	ck_assert_int_eq(config->log_level, LOG_LEVEL_INFO);
	ck_assert_uint_eq(config->identify_count, MATCH_KIND_COUNT);
	for (size_t i = 0; i < MATCH_KIND_COUNT; i++)
		ck_assert_uint_eq(config->identify[i], i);
	ck_assert_uint_eq(config->sender_match_networks.count, 2);
	ck_assert_ptr_null(config->default_tenant);
	ck_assert(!config->needs_body && !config->needs_rewrite && !config->needs_return_path && !config->needs_keys);
	ck_assert_uint_eq(acme->return_domain.len, 0);
	ck_assert_str_is(config->token_key_file, STR("/etc/sekisho/tracking.key"));
	ck_assert_str_is(config->tracking_listen, STR("127.0.0.1:9186"));
	ck_assert_int_eq(config->tracking_client, CLIENT_TRUNCATED);
	ck_assert_int_eq(config->tracking_spool_max, INT64_C(8) << 30);
	ck_assert_uint_eq(acme->tracking_host.len, 0);
	ck_assert(!config_tenant_tracks(acme));
	ck_assert_int_eq(acme->on_signed, SIGNED_SKIP);
	ck_assert_int_eq(acme->recipients_max, LIMIT_NONE);
	ck_assert_int_eq(acme->size_max, LIMIT_NONE);
	ck_assert_int_eq(acme->from, FROM_ANY);
	ck_assert_str_is(acme->record_class, STR("relay"));
	ck_assert_str_is(config_bounce_class(acme), STR("relay"));
	ck_assert_uint_eq(acme->quota_count, 0);
	config_free(config);
}
END_TEST

/* A class given changes that class alone. */
START_TEST(classes)
{
	struct config *config = load_text("relay_log: {classes: {relay: 30d, mine: 2y}}\n" ONE_TENANT);
	static const struct { struct str name; int64_t days; bool is_year; } rows[] = {
		{ STR_INIT("relay"), 30, false }, { STR_INIT("history"), 14, false }, { STR_INIT("action"), 365, true },
		{ STR_INIT("bounce-api"), 20, false }, { STR_INIT("ops"), 730, true }, { STR_INIT("mine"), 730, true },
	};

	ck_assert_uint_eq(config->class_count, sizeof rows / sizeof *rows);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct record_class *class = config_find_class(config, rows[i].name);

		ck_assert_ptr_nonnull(class);
		ck_assert_int_eq(class->keep.days, rows[i].days);
		ck_assert_int_eq(class->keep.is_years, rows[i].is_year);
	}
	ck_assert_ptr_null(config_find_class(config, STR("rela")));
	config_free(config);
}
END_TEST

/* Defaults, then the plan, then the tenant: what is not said is inherited, 0 is nothing, none is unlimited. */
START_TEST(inheritance)
{
	struct config *config = load_text(
		"defaults: {recipients_max: 50, size_max: 1MiB, require: [tls], pool: 10/day,\n"
		"  senders: ['@d.example']}\n"
		"plans:\n"
		"  gold: {recipients_max: {limit: 100, on_excess: reject, monitor: true}, \n"
		"         recipients: {allow: ['@r.example', '@t.example'], monitor: true},\n"
		"         default_per_login: [5/hour, 9/10m]}\n"
		"tenants:\n"
		"  plain: {match: [{auth: plain}]}\n"
		"  golden: {match: [{auth: golden}], plan: gold, size_max: none, require: [], guard: 0.5%, suppress: off}\n"
		"  zero: {match: [{auth: zero}], plan: gold, recipients_max: 0, pool: none, senders: []}\n"
		"  same: {match: [{auth: same}], plan: gold}\n"
		"  own: {match: [{auth: own}], plan: gold, recipients: ['@own.example']}\n");
	const struct tenant *plain = config_find_tenant(config, STR("plain")),
		*golden = config_find_tenant(config, STR("golden"));
	const struct tenant *zero = config_find_tenant(config, STR("zero")),
		*same = config_find_tenant(config, STR("same")), *own = config_find_tenant(config, STR("own"));

	ck_assert_int_eq(plain->recipients_max, 50);
	ck_assert_int_eq(plain->recipients_on_excess, EXCESS_DEFER);
	ck_assert(plain->require_tls && !plain->require_auth);
	ck_assert_uint_eq(plain->quota_count, 1);
	ck_assert_str_is(plain->quotas[0].name, STR("pool-day"));
	ck_assert_int_eq(plain->quotas[0].window, WINDOW_CALENDAR);
	ck_assert_int_eq(plain->quotas[0].calendar, CALENDAR_DAY);
	ck_assert_int_eq(plain->quotas[0].key, KEY_TENANT);

	ck_assert_str_is(golden->plan, STR("gold"));
	ck_assert_int_eq(golden->recipients_max, 100);
	ck_assert_int_eq(golden->recipients_on_excess, EXCESS_REJECT);
	ck_assert(golden->recipients_max_is_monitor);
	ck_assert_int_eq(golden->size_max, LIMIT_NONE);
	ck_assert_int_eq(golden->guard_hard, 5);
	ck_assert_int_eq(golden->guard_complaints, LIMIT_NONE);
	ck_assert_int_eq(golden->suppress, SUPPRESS_MODE_OFF);
	ck_assert_int_eq(golden->suppress_hard_us, 30 * DAY_US);
	ck_assert(!golden->require_tls);
	ck_assert_uint_eq(golden->quota_count, 3);
	ck_assert_str_is(golden->quotas[1].name, STR("per-login-hour"));
	ck_assert_int_eq(golden->quotas[1].key, KEY_AUTH);
	ck_assert_int_eq(golden->quotas[1].window, WINDOW_ROLLING);
	ck_assert_int_eq(golden->quotas[1].period_us, INT64_C(3600) * 1000000);
	ck_assert_str_is(golden->quotas[2].name, STR("per-login-10m"));

	ck_assert_int_eq(zero->recipients_max, 0);
	ck_assert(zero->recipients_max_is_monitor);
	ck_assert_uint_eq(zero->quota_count, 2);
	ck_assert_uint_eq(zero->senders.count, 0);
	ck_assert_uint_eq(same->senders.count, 1);
	ck_assert_ptr_eq(same->quotas, golden->quotas);
	ck_assert(plain->recipients.count == 0 && !plain->recipients_is_monitor);
	ck_assert(golden->recipients.count == 2 && golden->recipients_is_monitor);
	ck_assert(own->recipients.count == 1 && own->recipients_is_monitor);
	ck_assert_str_is(own->recipients.items[0], STR("@own.example"));
	ck_assert(config->needs_body);
	config_free(config);
}
END_TEST

/* Whose return paths are where: found by domain and mark, among a thousand who share one and those who do not. */
START_TEST(return_paths)
{
	struct buf text;
	struct config *config;
	size_t count;

	buf_init(&text, 1 << 20);
	buf_add_c(&text, "defaults: {return_path: {domain: Bounce.Shared.example, bounces: accept}}\ntenants:\n"
			 "  own: {match: [{auth: own}], return_path: {domain: bounce.own.example, keep: 3d}}\n"
			 "  plain: {match: [{auth: plain}], return_path: none}\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "  t%d: {match: [{auth: t%d}]}\n", i, i);
	buf_add_byte(&text, '\0');
	config = load_text(buf_view(&text).ptr);
	buf_clear(&text);
	ck_assert(config->needs_return_path && config->needs_keys && config->needs_body && !config->needs_rewrite);
	ck_assert_uint_eq(config->return_owner_count, 1001);
	ck_assert(config_is_return_domain(config, STR("bounce.shared.example")) && !config_is_return_domain(config, STR("shared.example")));
	for (size_t i = 0; i < config->tenant_count; i++) {
		const struct tenant *tenant = &config->tenants[i];
		const struct return_owner *owners =
			config_return_owners(config, tenant->return_domain, config_return_mark(tenant->name), &count);
		size_t is_there = 0;

		for (size_t j = 0; j < count; j++)
			is_there += owners[j].tenant == tenant;
		ck_assert_uint_eq(is_there, tenant->return_domain.len > 0);
	}
	config_return_owners(config, STR("bounce.own.example"), config_return_mark(STR("t1")), &count);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(config_return_mark(STR("acme")), 0xf4f6de0f);     /* in addresses that are out in the world */
	ck_assert_int_eq(config_find_tenant(config, STR("own"))->returned_mail, RETURNED_ACCEPT);
	ck_assert_int_eq(config_find_tenant(config, STR("own"))->return_keep_us, INT64_C(3) * 86400 * 1000000);
	config_free(config);
}
END_TEST

/* A plan says what is tracked, its tenant where to. */
START_TEST(tracking)
{
	struct config *config = load_text(
		"tracking: {key_file: /nowhere/track.key, client_address: none, spool_max: 0, proxies: [10.0.0.0/8]}\n"
		"plans: {seen: {tracking: {opens: true, clicks: true, on_signed: strip}}}\n"
		"tenants:\n"
		"  acme: {match: [{auth: a}], plan: seen, tracking: {host: Track.Acme.Example, clicks: false}}\n"
		"  shy: {match: [{auth: b}], tracking: {host: track.shy.example}}\n");
	const struct tenant *acme = config_find_tenant(config, STR("acme")), *shy = config_find_tenant(config, STR("shy"));

	ck_assert_str_is(config->token_key_file, STR("/nowhere/track.key"));
	ck_assert_int_eq(config->tracking_client, CLIENT_NONE);
	ck_assert_int_eq(config->tracking_spool_max, 0);
	ck_assert_uint_eq(config->tracking_proxies.count, 1);
	ck_assert(config->needs_body && config->needs_rewrite);
	ck_assert_str_is(acme->tracking_host, STR("track.acme.example"));
	ck_assert(acme->tracks_opens && !acme->tracks_clicks && !acme->adds_list_unsubscribe);
	ck_assert_int_eq(acme->on_signed, SIGNED_STRIP);
	ck_assert(config_tenant_tracks(acme) && !config_tenant_tracks(shy));
	config_free(config);
}
END_TEST

static const struct {
	const char *text;
	int64_t limit;
	enum quota_window window;
	enum calendar_unit calendar;
	int64_t period_us;
} quota_rows[] = {
	{ "limit: 10, per: hour", 10, WINDOW_ROLLING, CALENDAR_NONE, INT64_C(3600000000) },
	{ "limit: 10/hour, per: 1h", 10, WINDOW_ROLLING, CALENDAR_NONE, INT64_C(3600000000) },
	{ "limit: 10/second, window: burst", 10, WINDOW_BURST, CALENDAR_NONE, 1000000 },
	{ "limit: none/day", LIMIT_NONE, WINDOW_CALENDAR, CALENDAR_DAY, 0 },
	{ "limit: none, per: week", LIMIT_NONE, WINDOW_CALENDAR, CALENDAR_WEEK, 0 },
	{ "limit: 0/month", 0, WINDOW_CALENDAR, CALENDAR_MONTH, 0 },
	{ "limit: 5/day, window: rolling", 5, WINDOW_ROLLING, CALENDAR_NONE, DAY_US },
	{ "limit: 5/24h", 5, WINDOW_ROLLING, CALENDAR_NONE, DAY_US },
	{ "limit: 5/30d", 5, WINDOW_ROLLING, CALENDAR_NONE, 30 * DAY_US },
	{ "limit: 10GiB/day, counts: bytes", INT64_C(10) << 30, WINDOW_CALENDAR, CALENDAR_DAY, 0 },
	{ "counts: bytes, per: day, limit: 10KB", 10000, WINDOW_CALENDAR, CALENDAR_DAY, 0 },
};
START_TEST(quota)
{
	char text[300];

	snprintf(text, sizeof text, "tenants: {acme: {match: [{auth: a}], quotas: [{name: q, %s}]}}\n",
		 quota_rows[_i].text);

	struct config *config = load_text(text);
	const struct quota *got = &config->tenants[0].quotas[0];

	ck_assert_int_eq(got->limit, quota_rows[_i].limit);
	ck_assert_int_eq(got->window, quota_rows[_i].window);
	ck_assert_int_eq(got->calendar, quota_rows[_i].calendar);
	ck_assert_int_eq(got->period_us, quota_rows[_i].period_us);
	ck_assert_int_eq(got->on_excess, EXCESS_DEFER);
	ck_assert_int_eq(config->needs_body, got->counts == COUNTS_BYTES);
	config_free(config);
}
END_TEST

START_TEST(quota_details)
{
	struct config *config = load_text(
		"tenants:\n"
		"  acme:\n"
		"    match: [{auth: a}]\n"
		"    quotas:\n"
		"      - {name: q, limit: 1/hour, key: client, counts: messages, on_excess: hold, monitor: true, "
		"warn_at: [80, 95],\n"
		"         exclude: [null_sender, \"@Dom.example\", A@b.example, same_tenant],\n"
		"         overrides: {\"2001:DB8::0:1\": 5, 192.0.2.9: none, 10.0.0.1: 0}}\n");
	const struct quota *q = &config->tenants[0].quotas[0];

	ck_assert_int_eq(q->counts, COUNTS_MESSAGES);
	ck_assert_int_eq(q->on_excess, EXCESS_HOLD);
	ck_assert(q->is_monitor && q->exclude_null_sender && q->exclude_same_tenant && !q->exclude_local_domains);
	ck_assert_uint_eq(q->warn_count, 2);
	ck_assert_int_eq(q->warn_at[1], 95);
	ck_assert_uint_eq(q->exclude_recipients.count, 2);
	ck_assert_str_is(q->exclude_recipients.items[0], STR("@dom.example"));
	ck_assert_str_is(q->exclude_recipients.items[1], STR("a@b.example"));
	ck_assert_uint_eq(q->override_count, 3);
	ck_assert_str_is(q->overrides[0].key, STR("10.0.0.1"));
	ck_assert_int_eq(q->overrides[0].limit, 0);
	ck_assert_int_eq(q->overrides[1].limit, LIMIT_NONE);
	ck_assert_str_is(q->overrides[2].key, STR("2001:db8::1"));
	config_free(config);
}
END_TEST

/* Includes are relative to the file that has them, whatever its directory is called. */
START_TEST(includes)
{
	char dir[600], path[700];
	struct err err;

	snprintf(dir, sizeof dir, "%s/a[1]*/tenants.d", unit_dir());
	ck_assert_msg(io_make_dirs(dir, 0700, &err), "%s", err.text);
	unit_file("a[1]*/main.yaml", STR("include: [tenants.d/*.yaml, more.yaml]\n"
					  "plans: {gold: {recipients_max: 7}}\n"));
	unit_file("a[1]*/more.yaml", STR("milter: {listen: 'inet:1@::1'}\nlocal_domains: [x.example]\n"));
	unit_file("a[1]*/tenants.d/b.yaml", STR("tenants: {b: {plan: gold, match: [{auth: b}]}}\n"
						 "milter: {sessions_max: 9}\n"));
	unit_file("a[1]*/tenants.d/a.yaml", STR("tenants: {a: {plan: gold, match: [{auth: a}]}}\n"));
	snprintf(path, sizeof path, "%s/a[1]*/main.yaml", unit_dir());

	struct config *config = load_or_fail(path);

	ck_assert_uint_eq(config->tenant_count, 2);
	ck_assert_str_is(config->tenants[0].name, STR("a"));
	ck_assert_int_eq(config->tenants[1].recipients_max, 7);
	ck_assert_int_eq(config->sessions_max, 9);
	ck_assert_str_is(config->listen, STR("inet:1@::1"));
	config_free(config);
}
END_TEST

/* One file a tenant; one that comes a second time is known among them all, by whatever name. */
START_TEST(many_files)
{
	enum { FILES = 500 };
	char dir[600], name[700];
	struct config_report report;
	struct config *config;
	struct err err;

	snprintf(dir, sizeof dir, "%s/many", unit_dir());
	ck_assert_msg(io_make_dirs(dir, 0700, &err), "%s", err.text);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "%s/t%d.yaml", dir, i);

		FILE *out = fopen(name, "w");

		ck_assert_ptr_nonnull(out);
		fprintf(out, "tenants: {t%d: {match: [{auth: t%d}]}}\n", i, i);
		fclose(out);
	}

	const char *path = unit_file("main.yaml", STR("include: many/*.yaml\n"));

	config = load_or_fail(path);
	ck_assert_uint_eq(config->tenant_count, FILES);
	config_free(config);
	snprintf(name, sizeof name, "%s/zzz.yaml", dir);
	ck_assert_int_eq(symlink("t1.yaml", name), 0);
	ck_assert(!config_load(path, &config, &report));
	config_report_first(&report, &err);
	ck_assert_ptr_nonnull(strstr(err.text, "zzz.yaml is read already"));
	config_report_clear(&report);
}
END_TEST

START_TEST(secret_mode)
{
	struct config_report report;
	struct config *config;
	struct err err;
	char key[600], text[700];

	snprintf(key, sizeof key, "%s", unit_file("key.pem", STR("secret")));
	snprintf(text, sizeof text, "relay_log: {key_file: %s}\n" ONE_TENANT, key);
	config_free(load_text(text));
	ck_assert_int_eq(chmod(key, 0640), 0);
	ck_assert(!config_load(unit_file("config.yaml", str_from_c(text)), &config, &report));
	config_report_first(&report, &err);
	ck_assert_ptr_nonnull(strstr(err.text, "config.yaml:1:23: key_file in relay_log: mode 0640 of "));
	ck_assert_ptr_nonnull(strstr(err.text, "run: chmod 600 "));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	config_report_clear(&report);
}
END_TEST

START_TEST(no_such_file)
{
	struct config_report report;
	struct config *config;
	struct err err;

	ck_assert(!config_load("/nonexistent/sekisho.yaml", &config, &report));
	config_report_first(&report, &err);
	ck_assert_str_eq(err.text, "/nonexistent/sekisho.yaml: No such file or directory");
	config_report_clear(&report);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	char pattern[600];

	snprintf(fixture_dir, sizeof fixture_dir, "%s/t/unit/config/", getenv("srcdir") ? getenv("srcdir") : ".");
	snprintf(pattern, sizeof pattern, "%s*.yaml", fixture_dir);
	suite_add_tcase(suite, tc);
	if (glob(pattern, 0, NULL, &fixtures) == 0)
		tcase_add_loop_test(tc, fixture, 0, (int)fixtures.gl_pathc);
	tcase_add_test(tc, include_unseen);
	tcase_add_test(tc, listen_spelt);
	tcase_add_test(tc, alarm_to_whom);
	tcase_add_test(tc, every_default);
	tcase_add_test(tc, classes);
	tcase_add_test(tc, inheritance);
	tcase_add_test(tc, return_paths);
	tcase_add_test(tc, tracking);
	unit_add_rows(tc, quota, quota_rows);
	tcase_add_test(tc, quota_details);
	tcase_add_test(tc, includes);
	tcase_add_test(tc, many_files);
	tcase_add_test(tc, secret_mode);
	tcase_add_test(tc, no_such_file);
	return unit_main(suite);
}
