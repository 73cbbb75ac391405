/* milter/backup, milter/restore: copies prove themselves, hold no secret, and forget what was destroyed since. */
#include "t/lib/relaylog.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/erasure.h"
#include "milter/record/seal.h"
#include "milter/restore.h"

static struct relaylog relay;
static struct config config;
static struct record_class classes[2];
static char top[PATH_MAX], log_dir[2 * PATH_MAX], state_dir[2 * PATH_MAX], operator_key[2 * PATH_MAX], operator_pub[2 * PATH_MAX],
	dir[2 * PATH_MAX], store_dir[2 * PATH_MAX];
static struct sign_key *key, *log_key;
static struct store *store;

static void open_store(void)
{
	struct err err;

	ck_assert_msg(store_open(&config, &store, &err), "%s", err.text);
}

static void setup(void)
{
	char id[SIGN_ID_LEN + 1];

	relaylog_setup(&relay);
	snprintf(top, sizeof top, "%.*s", (int)(strlen(relay.dir) - strlen("/relay")), relay.dir);
	snprintf(log_dir, sizeof log_dir, "%s", top);
	snprintf(state_dir, sizeof state_dir, "%s.state", top);
	snprintf(store_dir, sizeof store_dir, "%s.store", top);
	snprintf(dir, sizeof dir, "%s.backups", top);
	snprintf(operator_key, sizeof operator_key, "%s.operator", top);
	snprintf(operator_pub, sizeof operator_pub, "%s.operator.pub", top);
	ck_assert(sign_key_new(operator_key, id, NULL));
	classes[0] = (struct record_class){ .name = STR("relay"), .keep.days = 60 };
	classes[1] = (struct record_class){ .name = STR("ops"), .keep.days = 730 };
	config = (struct config){
		.node = STR("mx1"), .state_dir = str_from_c(state_dir), .log_dir = str_from_c(log_dir), .store_backend = STORE_EMBEDDED,
		.store_path = str_from_c(store_dir), .store_size_max = 64 << 20, .store_timeout_us = US_PER_S,
		.log_key_file = str_from_c(relay.key), .operator_key_file = str_from_c(operator_key),
		.log_keyring = str_from_c(relay.keyring), .backup_dir = str_from_c(dir), .classes = classes, .class_count = 2,
	};
	ck_assert(erasure_key(&config, STR_EMPTY, &key, NULL));
	ck_assert(sign_key_load(relay.key, &log_key, NULL));
	open_store();
}

static void teardown(void)
{
	store_close(store);
	sign_key_free(key);
	sign_key_free(log_key);
}

static void put(const char *name, const char *value)
{
	ck_assert(store->ops->put(store, str_from_c(name), str_from_c(value), 100 * DAY_US, NULL));
}

static bool has(const char *name)
{
	struct arena arena;
	struct str value;
	bool found = false;

	arena_init(&arena, 1 << 20);
	ck_assert(store->ops->get(store, str_from_c(name), &arena, &value, &found, NULL));
	arena_clear(&arena);
	return found;
}

/* `days` days from NOON on, a record of acme's and one of ginza's each. */
static void write_log(int days)
{
	struct record_writer_config writer_config = relaylog_config(&relay);
	struct record_writer *writer;

	writer_config.is_sealed = config.log_is_sealed;
	ck_assert(record_writer_open(&writer_config, &writer, NULL));
	for (int day = 0; day < days; day++) {
		clock_set(clock_now_us() + (day ? DAY_US : 0));
		relaylog_append(writer, "accepted", "acme");
		relaylog_append(writer, "accepted", "ginza");
	}
	record_writer_close(writer);
}

static struct backup_made backup(char path[4 * PATH_MAX])
{
	struct backup_made made;
	struct err err;

	ck_assert_msg(backup_run(&config, dir, store, log_key, NULL, &made, &err), "%s", err.text);
	snprintf(path, 4 * PATH_MAX, "%s/%s", dir, made.name);
	return made;
}

static enum verify_result check(const char *path, const char *why)
{
	struct backup_checked checked;
	struct err err;

	ck_assert_msg(backup_verify(&config, path, str_from_c(relay.pub), str_from_c(operator_pub), NULL, &checked, &err), "%s", err.text);
	ck_assert_msg(strstr(checked.why, why) != NULL, "%s", checked.why);
	return checked.result;
}

/* --- no secret in any file, whatever its name */

static int secrets;

static int look_for_secrets(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	struct buf text;

	(void)at;
	if (kind != FTW_F || st->st_size == 0)
		return 0;
	buf_init(&text, 64 << 20);
	ck_assert(io_read_file(path, &text, NULL));
	secrets += str_find(buf_view(&text), STR("PRIVATE KEY")) < text.len || strstr(path, ".once") || strstr(path, ".key") ||
		   strstr(path, ".index") || strstr(path, "ring");
	buf_clear(&text);
	return 0;
}

START_TEST(a_generation)
{
	char first[4 * PATH_MAX], second[4 * PATH_MAX];

	config.log_is_sealed = true;
	write_log(3);
	put("sekisho:{acme}:x", "1");
	ck_assert_int_eq(backup(first).linked, 0);
	ck_assert_int_eq(check(first, ""), VERIFY_OK);
	secrets = 0;
	ck_assert_int_eq(nftw(first, look_for_secrets, 8, FTW_PHYS), 0);
	ck_assert_int_eq(secrets, 0);

	/* The next day three files are as they were; they are linked, and both generations stand by themselves. */
	clock_set(clock_now_us() + DAY_US);
	write_log(1);
	ck_assert_int_eq(backup(second).linked, 3);
	ck_assert_int_eq(check(second, ""), VERIFY_OK);
	ck_assert(backup_remove_tree(first, NULL));
	ck_assert_int_eq(check(second, ""), VERIFY_OK);
}
END_TEST

static void overwrite(const char *path, const char *name, const char *text)
{
	char file[5 * PATH_MAX];

	snprintf(file, sizeof file, "%s/%s", path, name);
	ck_assert(io_replace_file(file, str_from_c(text), 0640, NULL));
}

/* Of a run that was killed nothing outlives what it copied; one that may still be at it is left alone. */
START_TEST(leftovers)
{
	static const struct { const char *name; bool goes; } rows[] = {
		{ ".20261120T115959.tmp", true }, { ".20261120T120001.tmp", false }, { ".20261121T120001.tmp", false },
		{ ".20271121T120000.tmp", true }, { ".20261120T115959.txt", false }, { ".2026.tmp", false },
	};
	char left[5 * PATH_MAX], path[4 * PATH_MAX];

	write_log(1);
	clock_set(NOON);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(left, sizeof left, "%s/%s/log", dir, rows[i].name);
		ck_assert(io_make_dirs(left, 0750, NULL));
	}
	backup(path);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(left, sizeof left, "%s/%s", dir, rows[i].name);
		ck_assert_msg((access(left, F_OK) != 0) == rows[i].goes, "%s", rows[i].name);
	}
}
END_TEST

START_TEST(altered)
{
	struct backup_checked checked;
	char path[4 * PATH_MAX], file[5 * PATH_MAX];
	struct buf text;
	struct err err;

	write_log(2);
	backup(path);
	overwrite(path, "log/relay/2026-11-20.jsonl", "");
	ck_assert_int_eq(check(path, "was not part of the backup"), VERIFY_TAMPERED);
	snprintf(file, sizeof file, "%s/log/relay/2026-11-20.jsonl", path);
	unlink(file);
	overwrite(path, "keys/log.pub", "x");
	ck_assert_int_eq(check(path, "not as long as it was"), VERIFY_TAMPERED);
	snprintf(file, sizeof file, "%s/log/relay/2026-11-22.jsonl", path);
	ck_assert_int_eq(truncate(file, 100), 0);
	ck_assert_int_eq(check(path, "log/relay/2026-11-22.jsonl"), VERIFY_TAMPERED);

	/* The list itself: one digit, and no list. */
	snprintf(file, sizeof file, "%s/MANIFEST", path);
	buf_init(&text, MANIFEST_MAX);
	ck_assert(io_read_file(file, &text, NULL));
	text.ptr[str_find(buf_view(&text), STR("2026-11-21.jsonl")) + 17] ^= 1;
	ck_assert(io_replace_file(file, buf_view(&text), 0640, NULL));
	ck_assert(!backup_verify(&config, path, str_from_c(relay.pub), str_from_c(operator_pub), NULL, &checked, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	for (size_t n = 0; n < text.len; n += 7) {
		ck_assert(io_replace_file(file, str_slice(buf_view(&text), 0, n), 0640, NULL));
		ck_assert(!backup_verify(&config, path, str_from_c(relay.pub), str_from_c(operator_pub), NULL, &checked, NULL));
	}
	buf_clear(&text);
}
END_TEST

START_TEST(pruned)
{
	char path[4 * PATH_MAX];
	char (*names)[BACKUP_NAME_LEN + 1];
	size_t count;
	int64_t gone;

	write_log(1);
	for (int day = 0; day < 40; day++) {
		clock_set(NOON + day * DAY_US);
		backup(path);
		if (day == 39) {
			clock_set(NOON + day * DAY_US + US_PER_S);
			backup(path);
		}
	}
	ck_assert(backup_prune(dir, 35, true, &gone, NULL));
	ck_assert_int_eq(gone, 5);
	ck_assert(backup_prune(dir, 35, false, &gone, NULL));
	ck_assert_int_eq(gone, 5);
	ck_assert(backup_prune(dir, 35, false, &gone, NULL));
	ck_assert_int_eq(gone, 0);
	ck_assert(backup_list(dir, &names, &count, NULL));
	ck_assert_uint_eq(count, 36);
	ck_assert_str_eq(names[0], "20261126T120000");
	free(names);
	ck_assert_int_eq(check(path, ""), VERIFY_OK);
}
END_TEST

/* --- back again */

static void lose_everything(void)
{
	store_close(store);
	ck_assert(backup_remove_tree(log_dir, NULL));
	ck_assert(backup_remove_tree(store_dir, NULL));
	open_store();
}

static bool try_restore(const char *path, struct restored *out, struct err *err)
{
	const struct restore_request request = { &config, path, str_from_c(relay.pub), str_from_c(operator_pub), key, store };

	return restore_run(&request, out, err);
}

static enum verify_result verify(void)
{
	static struct verify_report report;
	const struct verify_options options = {
		.dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .operator_key_file = str_from_c(operator_pub),
		.node = STR("mx1"), .class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX,
		.has_retention = true, .keep = { .days = 60 } };
	struct err err;

	ck_assert_msg(record_verify(&options, &report, &err), "%s", err.text);
	enum verify_result result = report.result;

	ck_assert_msg(result != VERIFY_OK || report.restored <= 1, "restored once");
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)result, "restored", "--operator-key", operator_pub, NULL);
	return result;
}

static void erase(struct str tenant)
{
	struct erasure erasure = { .config = &config, .stores = { store }, .tenant = tenant, .id = STR_EMPTY, .reason = STR_EMPTY, .key = key };
	struct erased erased;
	struct buf certificate;
	struct err err;

	buf_init(&certificate, CERTIFICATE_MAX);
	ck_assert_msg(erasure_run(&erasure, &erased, &certificate, &err), "%s", err.text);
	buf_clear(&certificate);
}

/* A tenant erased after the backup does not come back; what was over its time by now does not either. */
static void life(void)
{
	char path[4 * PATH_MAX], other[4 * PATH_MAX];
	struct restored restored;
	struct err err;

	write_log(2);
	put("sekisho:{acme}:x", "1");
	put("sekisho:{ginza}:x", "1");
	backup(path);
	clock_set(clock_now_us() + 600 * US_PER_S);
	erase(STR("acme"));
	clock_set(clock_now_us() + 600 * US_PER_S);
	write_log(1);                               /* acme comes back after its erasure */
	backup(other);
	ck_assert(!try_restore(path, &restored, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "move it away"));
	lose_everything();
	clock_set(jst_day_start_us(jst_day(NOON) + 61));
	ck_assert_msg(try_restore(path, &restored, &err), "%s", err.text);
	ck_assert_int_eq(restored.erased, 2);
	ck_assert_int_eq(restored.purged, 1);
	ck_assert(!has("sekisho:{acme}:x"));
	ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "accepted:acme"));
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:ginza:2"));
	ck_assert_int_eq(verify(), VERIFY_OK);

	/* And goes on. */
	write_log(1);
	ck_assert_int_eq(verify(), VERIFY_OK);

	/* From the later one acme's new record comes back, and nothing of before. */
	lose_everything();
	clock_set(NOON + 2 * DAY_US);
	ck_assert_msg(try_restore(other, &restored, &err), "%s", err.text);
	ck_assert_int_eq(restored.erased, 0);
	ck_assert(has("sekisho:{ginza}:x") && !has("sekisho:{acme}:x"));
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:acme:"));
	ck_assert_int_eq(verify(), VERIFY_OK);
}

/* What the configuration does not name (any more) is not left out as if it had not been there. */
START_TEST(a_class_without_a_name)
{
	char path[4 * PATH_MAX];
	struct restored restored;
	struct err err = { .text = "" };

	write_log(1);
	backup(path);
	lose_everything();
	classes[0].name = STR("gold");
	ck_assert(!try_restore(path, &restored, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "the backup holds class relay"));
	classes[0].name = STR("relay");
	ck_assert(try_restore(path, &restored, &err));
}
END_TEST

START_TEST(restored_plain)
{
	life();
}
END_TEST

START_TEST(restored_sealed)
{
	config.log_is_sealed = true;
	life();
}
END_TEST

/* Without the operator's word a cut row of one-time keys is what it looks like. */
START_TEST(not_the_operators)
{
	char path[4 * PATH_MAX];
	struct restored restored;
	struct sign_key *mine = key;
	struct err err;

	write_log(2);
	backup(path);
	lose_everything();
	key = log_key;
	ck_assert_msg(try_restore(path, &restored, &err), "%s", err.text);
	key = mine;
	ck_assert_int_eq(verify(), VERIFY_UNKNOWN);
}
END_TEST

static struct str detail;

static void take_detail(void *arg, struct str line)
{
	struct arena *arena = arg;
	struct record_line record;

	if (str_find(line, STR("\"restored\"")) < line.len && record_parse(line, arena, &record, NULL))
		ck_assert(arena_copy(arena, record.event.detail, &detail));
}

/* The holder of the log key puts the operator's old word into another place, to excuse another gap. */
START_TEST(an_old_word)
{
	struct record_writer_config writer_config = relaylog_config(&relay);
	char path[4 * PATH_MAX];
	struct restored restored;
	struct record_writer *writer;
	struct str rest, line;
	struct arena arena;
	struct buf text;

	write_log(2);
	backup(path);
	lose_everything();
	ck_assert(try_restore(path, &restored, NULL));
	ck_assert_int_eq(verify(), VERIFY_OK);
	arena_init(&arena, 1 << 20);
	relaylog_read(&relay, "2026-11-22.jsonl", &text);
	rest = buf_view(&text);
	while (str_next(&rest, '\n', &line))
		take_detail(&arena, line);
	ck_assert_uint_gt(detail.len, 0);
	ck_assert(record_writer_open(&writer_config, &writer, NULL));
	ck_assert(record_append(writer, &(struct record_event){ .event = STR("restored"), .detail = detail }, RECORD_DURABLE, NULL, NULL));
	record_writer_close(writer);
	ck_assert_int_eq(verify(), VERIFY_TAMPERED);
	buf_clear(&text);
	arena_clear(&arena);
}
END_TEST

/* --- when the disk fails */

static struct io_calls real;
static struct { int call; atomic_int times; atomic_long countdown; atomic_bool has_failed; } fault;          /* verify has threads */

static bool is_due(int call)
{
	if (fault.call != call || fault.times == 0 || atomic_fetch_sub(&fault.countdown, 1) > 1)
		return false;
	fault.times--;
	fault.has_failed = true;
	errno = ENOSPC;
	return true;
}

static ssize_t fail_write(int fd, const void *data, size_t n) { return is_due(0) ? -1 : real.write(fd, data, n); }
static int fail_sync(int fd) { return is_due(1) ? -1 : real.sync(fd); }
static int fail_open(const char *path, int flags, mode_t mode) { return is_due(2) ? -1 : real.open(path, flags, mode); }

/* LOGDIR is a file system of its own. */
static int fail_rename(const char *from, const char *to)
{
	size_t n = strlen(log_dir);

	if ((strncmp(from, log_dir, n) == 0 && from[n] == '/') == (strncmp(to, log_dir, n) == 0 && to[n] == '/'))
		return is_due(3) ? -1 : real.rename(from, to);
	errno = EXDEV;
	return -1;
}

static void arm(int call, long n)
{
	fault.call = call;
	fault.times = 1;
	fault.countdown = n;
	fault.has_failed = false;
	real = io_calls;
	io_calls.write = fail_write;
	io_calls.sync = fail_sync;
	io_calls.open = fail_open;
	io_calls.rename = fail_rename;
}

/* A run that fails leaves no generation; one that says it is done can be restored, and has mended a certificate that was cut off. */
START_TEST(nth_call_of_a_run_fails)
{
	static const char certificate[] = "of a tenant that is gone";
	char beside[3 * PATH_MAX];

	write_log(2);
	for (int i = 0; i < 2; i++) {
		snprintf(beside, sizeof beside, "%s/" ERASURE_DIR, i ? dir : state_dir);
		ck_assert(io_make_dirs(beside, 0750, NULL));
		overwrite(beside, "a.cert", certificate);
	}
	snprintf(beside, sizeof beside, "%s/" ERASURE_DIR "/a.cert", dir);
	for (long n = 1;; n++) {
		struct backup_made made;
		char path[4 * PATH_MAX];
		struct stat st;
		struct err err;

		clock_set(NOON + 2 * DAY_US + n * US_PER_S);
		ck_assert(close(creat(beside, 0640)) == 0);
		arm(_i, n);
		bool ok = backup_run(&config, dir, store, log_key, NULL, &made, &err);

		io_calls = real;
		ck_assert(!ok || (stat(beside, &st) == 0 && st.st_size == sizeof certificate - 1));
		snprintf(path, sizeof path, "%s/%s", dir, made.name);
		if (ok || stat(path, &st) == 0)     /* nothing but the sync of its name may be missing */
			ck_assert_int_eq(check(path, ""), VERIFY_OK);
		if (!fault.has_failed) {
			ck_assert(ok);
			break;
		}
	}
}
END_TEST

/* One that was damaged here does not take the place of the whole one there. */
START_TEST(certificate_emptied_here)
{
	char own[3 * PATH_MAX], beside[3 * PATH_MAX], path[4 * PATH_MAX];
	struct backup_made made;
	struct stat st;
	struct err err;

	write_log(2);
	snprintf(own, sizeof own, "%s/" ERASURE_DIR, state_dir);
	snprintf(beside, sizeof beside, "%s/" ERASURE_DIR, dir);
	ck_assert(io_make_dirs(own, 0750, NULL) && io_make_dirs(beside, 0750, NULL));
	overwrite(own, "a.cert", "");
	overwrite(beside, "a.cert", "whole");
	clock_set(NOON + 2 * DAY_US);
	ck_assert_msg(backup_run(&config, dir, store, log_key, NULL, &made, &err), "%s", err.text);
	snprintf(path, sizeof path, "%s/a.cert", beside);
	ck_assert(stat(path, &st) == 0 && st.st_size == 5);
}
END_TEST

/* Whatever fails: nothing is there that was destroyed, and a second try gets through. */
START_TEST(nth_call_of_a_restore_fails)
{
	char path[4 * PATH_MAX];

	write_log(2);
	backup(path);
	clock_set(clock_now_us() + 600 * US_PER_S);
	erase(STR("acme"));
	for (long n = 1;; n++) {
		struct restored restored;
		struct err err = { .kind = ERR_NONE };

		lose_everything();
		arm(_i, n);
		bool ok = try_restore(path, &restored, &err);

		io_calls = real;
		if (access(relay.dir, F_OK) == 0)
			ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "acme"));
		ck_assert_msg(ok || fault.has_failed, "%s", err.text);
		if (ok)
			ck_assert_int_eq(verify(), VERIFY_OK);
		if (!fault.has_failed)
			break;
		n += n > 20 ? 6 : 0;                /* enough of the many alike */
	}
}
END_TEST

/* Whatever fails: the log verifies, and a second try leaves nothing of the tenant, nor its key. */
START_TEST(nth_call_of_an_erasure_fails)
{
	for (long n = 1;; n++) {
		lose_everything();

		struct erasure erasure = { .config = &config, .stores = { store }, .tenant = STR("acme"), .id = STR_EMPTY,
					   .reason = STR_EMPTY, .key = key };
		struct erased erased;
		struct buf certificate;
		struct err err = { .kind = ERR_NONE };
		bool found;

		config.log_is_sealed = true;
		clock_set(NOON);
		write_log(2);
		buf_init(&certificate, CERTIFICATE_MAX);
		arm(_i, n);
		bool ok = erasure_run(&erasure, &erased, &certificate, &err);

		io_calls = real;
		ck_assert_msg(ok || fault.has_failed, "%s", err.text);
		if (ok)
			ck_assert(certificate.len > 0);
		else
			erase(STR("acme"));
		ck_assert_ptr_null(strstr(relaylog_story(&relay, false), "accepted:acme"));
		ck_assert(seal_destroy_tenant(config.log_keyring, STR("acme"), &found, NULL) && !found);
		ck_assert_int_eq(verify(), VERIFY_OK);
		buf_clear(&certificate);
		if (!fault.has_failed)
			break;
		n += n > 10 ? 4 : 0;
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backup");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_generation);
	tcase_add_test(tcase, leftovers);
	tcase_add_test(tcase, altered);
	tcase_add_test(tcase, pruned);
	tcase_add_test(tcase, a_class_without_a_name);
	tcase_add_test(tcase, restored_plain);
	tcase_add_test(tcase, restored_sealed);
	tcase_add_test(tcase, not_the_operators);
	tcase_add_test(tcase, an_old_word);
	tcase_add_test(tcase, certificate_emptied_here);
	tcase_add_loop_test(tcase, nth_call_of_a_run_fails, 0, 4);
	tcase_add_loop_test(tcase, nth_call_of_a_restore_fails, 0, 4);
	tcase_add_loop_test(tcase, nth_call_of_an_erasure_fails, 0, 4);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
