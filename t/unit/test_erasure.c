/* config/erase_rule, milter/erasure, milter/erasure_order: when a former tenant goes, by whose word, and what is left. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <sys/stat.h>

#include "config/base/io.h"
#include "config/erase_rule.h"
#include "milter/erasure_order.h"
#include "milter/record/note.h"
#include "milter/record/seal.h"
#include "t/lib/store_fake.h"

static int64_t at(const char *time)
{
	int64_t us = 0;

	ck_assert(jst_parse_time(str_from_c(time), &us));
	return us;
}

static const struct { const char *rule, *ended, *due; } due_rows[] = {
	{ "next-month-10", "2026-11-20T00:00:00.000000+09:00", "2026-12-10T00:00:00.000000+09:00" },
	{ "next-month-10", "2026-12-31T23:59:59.999999+09:00", "2027-01-10T00:00:00.000000+09:00" },
	{ "next-month-1", "2028-01-31T00:00:00.000000+09:00", "2028-02-01T00:00:00.000000+09:00" },
	{ "72h", "2026-11-20T12:34:56.000000+09:00", "2026-11-23T12:34:56.000000+09:00" },
	{ "P6M", "2026-11-20T12:00:00.000000+09:00", "2027-05-20T00:00:00.000000+09:00" },
	{ "P6M", "2026-08-31T12:00:00.000000+09:00", "2027-03-01T00:00:00.000000+09:00" },
	{ "P3M", "2027-11-30T12:00:00.000000+09:00", "2028-03-01T00:00:00.000000+09:00" },
	{ "P1M", "2026-12-31T00:00:00.000000+09:00", "2027-01-31T00:00:00.000000+09:00" },
	{ "P1Y", "2028-02-29T00:00:00.000000+09:00", "2029-03-01T00:00:00.000000+09:00" },
	{ "P10D", "2026-12-25T23:00:00.000000+09:00", "2027-01-04T00:00:00.000000+09:00" },
};
START_TEST(due)
{
	struct erase_rule rule;
	char got[JST_TIME_LEN + 1];

	ck_assert(erase_rule_parse(str_from_c(due_rows[_i].rule), &rule));
	jst_format_time(erase_rule_due_us(rule, at(due_rows[_i].ended)), got);
	ck_assert_str_eq(got, due_rows[_i].due);
}
END_TEST

static const char *const no_rules[] = { "", "h", "0h", "72", "72H", "-1h", "next-month-", "next-month-0", "next-month-29", "P", "P6", "PM",
					"P0M", "P6W", "P121M", "P11Y", "P1Y6M", "p6M", "99999999999999999999h" };
START_TEST(no_rule)
{
	struct erase_rule rule;

	ck_assert_msg(!erase_rule_parse(str_from_c(no_rules[_i]), &rule), "%s", no_rules[_i]);
}
END_TEST

/* --- with a log and an operator */

static struct relaylog relay;
static struct config config;
static struct record_class classes[2];
static char log_dir[PATH_MAX], state_dir[2 * PATH_MAX], operator_key[2 * PATH_MAX];
static struct sign_key *key;

static void setup(void)
{
	char id[SIGN_ID_LEN + 1];

	relaylog_setup(&relay);
	snprintf(log_dir, sizeof log_dir, "%.*s", (int)(strlen(relay.dir) - strlen("/relay")), relay.dir);
	snprintf(state_dir, sizeof state_dir, "%s.state", log_dir);
	snprintf(operator_key, sizeof operator_key, "%s.operator", relay.key);
	ck_assert(sign_key_new(operator_key, id, NULL));
	classes[0] = (struct record_class){ .name = STR("relay"), .keep.days = 60 };
	classes[1] = (struct record_class){ .name = STR("ops"), .keep.days = 730 };
	config = (struct config){
		.node = STR("mx1"), .state_dir = str_from_c(state_dir), .log_dir = str_from_c(log_dir),
		.log_key_file = str_from_c(relay.key), .operator_key_file = str_from_c(operator_key),
		.log_keyring = str_from_c(relay.keyring), .log_is_sealed = true, .classes = classes, .class_count = 2,
	};
	ck_assert(erasure_key(&config, STR_EMPTY, &key, NULL));
}

static void teardown(void)
{
	sign_key_free(key);
}

static void write_log(void)
{
	struct record_writer_config writer_config = relaylog_config(&relay);
	struct record_writer *writer;

	writer_config.is_sealed = true;
	ck_assert(record_writer_open(&writer_config, &writer, NULL));
	relaylog_append(writer, "accepted", "acme");
	relaylog_append(writer, "accepted", "ginza");
	record_writer_close(writer);
}

static enum verify_result verify(const char *operators)
{
	static struct verify_report report;
	const struct verify_options options = {
		.dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .operator_key_file = str_from_c(operators),
		.node = STR("mx1"), .class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX };
	struct err err;

	ck_assert_msg(record_verify(&options, &report, &err), "%s", err.text);
	enum verify_result result = report.result;

	verify_report_clear(&report);
	return result;
}

START_TEST(a_tenant)
{
	struct erasure erasure = { .config = &config, .tenant = STR("acme"), .id = STR_EMPTY, .reason = STR("ended"), .key = key };
	struct sign_publics publics;
	struct erased erased;
	struct str text, name, value;
	struct buf certificate;
	char pub[3 * PATH_MAX];
	bool found;

	write_log();
	snprintf(pub, sizeof pub, "%s.pub", operator_key);
	buf_init(&certificate, CERTIFICATE_MAX);
	erasure.is_dry_run = true;
	ck_assert(erasure_run(&erasure, &erased, &certificate, NULL));
	ck_assert_int_eq(erased.records, 1);
	ck_assert_uint_eq(certificate.len, 0);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:acme:1"));
	erasure.is_dry_run = false;
	ck_assert(erasure_run(&erasure, &erased, &certificate, NULL));
	ck_assert_int_eq(erased.records, 1);
	ck_assert(erased.had_key);
	ck_assert(seal_destroy_tenant(config.log_keyring, STR("acme"), &found, NULL) && !found);
	ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "acme"));

	/* By the operator's key alone: not by the log's. */
	ck_assert(sign_publics_load(pub, &publics, NULL));
	ck_assert(note_open(buf_view(&certificate), &publics, &text, &name, NULL));
	ck_assert(certificate_find(text, STR("tenant"), &value));
	ck_assert_str_is(value, STR("acme"));
	ck_assert_int_eq(verify(pub), VERIFY_OK);
	ck_assert_int_eq(verify(relay.pub), VERIFY_TAMPERED);
	ck_assert(sign_publics_load(relay.pub, &publics, NULL));
	ck_assert(!note_open(buf_view(&certificate), &publics, &text, &name, NULL));
	buf_clear(&certificate);
}
END_TEST

/* Looked for without a trace: by a record, or by the key that outlives its records. */
START_TEST(nobody)
{
	struct erasure erasure = { .config = &config, .tenant = STR("acne"), .id = STR_EMPTY, .reason = STR_EMPTY, .is_dry_run = true,
				   .must_find = true };
	struct erased erased;
	struct err err;

	write_log();
	ck_assert(!erasure_run(&erasure, &erased, NULL, &err));
	ck_assert(err.kind == ERR_INPUT && erased.is_nothing);
	ck_assert_uint_lt(str_find(str_from_c(err.text), STR("nothing is known of a tenant acne")), strlen(err.text));
	erasure.tenant = STR("acme");
	ck_assert_msg(erasure_run(&erasure, &erased, NULL, &err), "%s", err.text);
	ck_assert_int_eq(mkdir(state_dir, 0700), 0);
	config.log_dir = config.state_dir;     /* where no record is */
	ck_assert_msg(erasure_run(&erasure, &erased, NULL, &err), "%s", err.text);
	ck_assert_int_eq(erased.records, 0);
	ck_assert(erased.had_key);
}
END_TEST

/* Its class went out of the configuration with it, as whoever erases a tenant is told to do with the tenant. */
START_TEST(a_class_of_before)
{
	struct erasure erasure = { .config = &config, .tenant = STR("acme"), .id = STR_EMPTY, .reason = STR_EMPTY, .key = key };
	struct erased erased;
	struct buf certificate;
	struct err err;

	write_log();
	config.classes = classes + 1;
	config.class_count = 1;
	buf_init(&certificate, CERTIFICATE_MAX);
	ck_assert_msg(erasure_run(&erasure, &erased, &certificate, &err), "%s", err.text);
	ck_assert_int_eq(erased.records, 1);
	ck_assert_uint_lt(str_find(buf_view(&certificate), STR("\nclass relay: 1 records in 1 files\n")), certificate.len);
	ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "acme"));
	buf_clear(&certificate);
}
END_TEST

/* Whose records lie in what cannot be listed nobody can certify; what mkfs(8) makes for itself is no class. */
START_TEST(what_cannot_be_listed)
{
	static const struct { const char *name; bool is_fine; } rows[] = { { "", false }, { "../lost+found", true } };
	struct erasure erasure = { .config = &config, .tenant = STR("acme"), .id = STR_EMPTY, .reason = STR_EMPTY, .key = key };
	struct erased erased;
	struct buf certificate;
	char dir[PATH_MAX];

	write_log();
	relaylog_path(&relay, "../lost+found", dir);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	config.classes = classes + 1;
	config.class_count = 1;
	relaylog_lock_up(&relay, rows[_i].name);
	buf_init(&certificate, CERTIFICATE_MAX);
	ck_assert_int_eq(erasure_run(&erasure, &erased, &certificate, NULL), rows[_i].is_fine);
	ck_assert_int_eq(certificate.len > 0, rows[_i].is_fine);
	buf_clear(&certificate);
}
END_TEST

/* A key that there is no memory for is not passed by. */
START_TEST(a_key_without_memory)
{
	struct store_fake fake;
	struct buf name;
	int64_t count;

	store_fake_init(&fake);
	buf_init(&name, 1 << 20);
	buf_add_c(&name, "sekisho:{acme}:");
	while (name.len < 1 << 19)
		buf_add_byte(&name, 'x');
	ck_assert(fake.store.ops->put(&fake.store, buf_view(&name), STR("x"), 60 * US_PER_S, NULL));
	ck_assert(!erasure_forget(&fake.store, STR("acme"), false, &count, NULL));
	buf_clear(&name);
	store_fake_clear(&fake);
}
END_TEST

/* Beside Redis the store on this host knows what was seen there, and what was counted without it. */
START_TEST(what_was_seen_and_counted_alone)
{
	static const char *const keys[] = { "sekisho:{acme}:suppress:a@b.test", "seen:sekisho:{acme}:suppress:a@b.test",
					    "local:sekisho:{acme}:watch:x", "seen:sekisho:{ginza}:suppress:a@b.test" };
	char path[3 * PATH_MAX];
	struct config own = { .store_path = STR_EMPTY, .store_size_max = 16 << 20 };
	struct store *st;
	struct arena arena;
	struct str value;
	int64_t count;
	bool found;

	snprintf(path, sizeof path, "%s/own", unit_dir());
	own.store_path = str_from_c(path);
	arena_init(&arena, SIZE_MAX);
	ck_assert(store_open(&own, &st, NULL));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		ck_assert(st->ops->put(st, str_from_c(keys[i]), STR("x"), 60 * US_PER_S, NULL));
	ck_assert(erasure_forget(st, STR("acme"), false, &count, NULL));
	ck_assert_int_eq(count, 3);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		ck_assert(st->ops->get(st, str_from_c(keys[i]), &arena, &value, &found, NULL));
		ck_assert_msg(found == (strstr(keys[i], "ginza") != NULL), "%s", keys[i]);
	}
	store_close(st);
	arena_clear(&arena);
}
END_TEST

/* The store is away at first: the certificate of the run that succeeds says all that went. */
START_TEST(a_second_run)
{
	struct store_fake fake;
	struct erasure erasure = { .config = &config, .stores = { &fake.store }, .tenant = STR("acme"), .id = STR_EMPTY,
				   .reason = STR_EMPTY, .key = key };
	struct erased erased;
	struct buf certificate;
	struct err err;

	write_log();
	store_fake_init(&fake);
	fake.failing = FAKE_SCAN;
	buf_init(&certificate, CERTIFICATE_MAX);
	ck_assert(!erasure_run(&erasure, &erased, &certificate, &err));
	fake.failing = 0;
	ck_assert_msg(erasure_run(&erasure, &erased, &certificate, &err), "%s", err.text);
	ck_assert_int_eq(erased.records, 1);
	ck_assert_uint_lt(str_find(buf_view(&certificate), STR("\nclass relay: 1 records in 1 files\n")), certificate.len);
	buf_clear(&certificate);
	store_fake_clear(&fake);
}
END_TEST

START_TEST(not_with_the_logs_key)
{
	struct sign_key *none;
	struct err err;

	ck_assert(!erasure_key(&config, str_from_c(relay.key), &none, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "signs the log"));
	config.operator_key_file = STR_EMPTY;
	ck_assert(!erasure_key(&config, STR_EMPTY, &none, &err));
}
END_TEST

/* A key that is there and cannot be used is no key. */
START_TEST(a_key_of_no_use)
{
	struct sign_key *none;
	char path[PATH_MAX];
	struct err err;

	snprintf(path, sizeof path, "%s/open.key", unit_dir());
	ck_assert(io_replace_file(path, STR("no key\n"), 0644, NULL));
	ck_assert(!erasure_key(&config, str_from_c(path), &none, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "chmod 600"));
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert(!erasure_key(&config, str_from_c(path), &none, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "not an Ed25519 private key"));
	snprintf(path, sizeof path, "%s/nowhere.key", unit_dir());
	ck_assert(!erasure_key(&config, str_from_c(path), &none, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "there is no such file"));
}
END_TEST

static struct erasure_order *only_order(struct arena *arena)
{
	struct erasure_order *orders;
	size_t count;

	ck_assert(erasure_orders_read(&config, arena, &orders, &count, NULL));
	ck_assert_uint_eq(count, 1);
	return orders;
}

START_TEST(orders)
{
	const struct erasure_order order = { .tenant = STR("acme"), .rule = STR("72h"), .reason = STR_EMPTY, .ended_us = NOON,
					     .due_us = NOON + 72 * 3600 * US_PER_S };
	struct erasure_order *got;
	struct arena arena;
	struct buf file;
	bool found;

	arena_init(&arena, (size_t)64 << 20);
	ck_assert(erasure_order_write(&config, &order, key, NULL));
	got = only_order(&arena);
	ck_assert(got->is_good);
	ck_assert_str_is(got->tenant, STR("acme"));
	ck_assert(!erasure_order_is_due(got, order.due_us - 3600 * US_PER_S - 1));
	ck_assert(erasure_order_is_due(got, order.due_us - 3600 * US_PER_S));

	/* Somebody who can write into the directory puts another name or another date. */
	buf_init(&file, CERTIFICATE_MAX);
	ck_assert(io_read_file(got->file.ptr, &file, NULL));
	size_t name = str_find(buf_view(&file), STR("acme"));

	memcpy(file.ptr + name, "acmf", 4);
	ck_assert(io_replace_file(got->file.ptr, buf_view(&file), 0640, NULL));
	got = only_order(&arena);
	ck_assert(!got->is_good);
	ck_assert(!erasure_order_is_due(got, INT64_MAX));
	ck_assert(erasure_order_cancel(&config, STR("acme"), &found, NULL) && found);
	ck_assert(erasure_order_cancel(&config, STR("acme"), &found, NULL) && !found);
	ck_assert(!erasure_order_cancel(&config, STR("../acme"), &found, NULL));
	buf_clear(&file);
	arena_clear(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("erasure");
	TCase *rules = tcase_create("rules"), *erasures = tcase_create("erasures");

	unit_add_rows(rules, due, due_rows);
	unit_add_rows(rules, no_rule, no_rules);
	tcase_add_checked_fixture(erasures, setup, teardown);
	tcase_add_test(erasures, a_tenant);
	tcase_add_test(erasures, nobody);
	tcase_add_test(erasures, a_class_of_before);
	tcase_add_loop_test(erasures, what_cannot_be_listed, 0, 2);
	tcase_add_test(erasures, a_key_without_memory);
	tcase_add_test(erasures, a_second_run);
	tcase_add_test(erasures, what_was_seen_and_counted_alone);
	tcase_add_test(erasures, not_with_the_logs_key);
	tcase_add_test(erasures, a_key_of_no_use);
	tcase_add_test(erasures, orders);
	suite_add_tcase(suite, rules);
	suite_add_tcase(suite, erasures);
	return unit_main(suite);
}
