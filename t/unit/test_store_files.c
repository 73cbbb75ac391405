/* The embedded store's files: found damaged, full, left by the dead, or not ours. */
#include "t/lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "policy/store.h"

#define START_US (INT64_C(1795186800) * US_PER_S)
#define KEYS 3000

static char root[2048];

static void setup(struct config *config, const char *name)
{
	snprintf(root, sizeof root, "%s/%s", unit_dir(), name);
	*config = (struct config){ .store_backend = STORE_EMBEDDED,
				   .store_path = str_from_c(root),
				   .store_size_max = 8 << 20 };
	clock_set(START_US);
}

static const char *path_in(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%s", root, name);
	return path;
}

static struct store *open_store(const struct config *config)
{
	struct store *st = NULL;
	struct err err = { 0 };

	ck_assert_msg(store_open(config, &st, &err), "%s", err.text);
	return st;
}

static bool add(struct store *st, int number, int64_t ttl_us, int64_t *out_total, struct err *err)
{
	char key[80];

	snprintf(key, sizeof key, "sekisho:{acme}:bounce:2026-11-21:%06d", number);
	return st->ops->count_add(st, str_from_c(key), 1, ttl_us, out_total, err);
}

static void fill(struct store *st)
{
	struct err err = { 0 };
	int64_t total;

	for (int i = 0; i < KEYS; i++)
		ck_assert_msg(add(st, i, DAY_US, &total, &err), "%s", err.text);
	for (int i = 0; i < 3; i++)
		ck_assert_msg(
			st->ops->put(st, str_from_c((const char *[]){ "a", "b", "c" }[i]), STR("fact"), DAY_US, &err),
			"%s", err.text);
}

static bool count_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	(void)key;
	(void)expires_us;
	ck_assert(str_eq(value, STR("1")) || str_eq(value, STR("fact")));
	++*(int *)arg;
	return true;
}

static bool count_any(void *arg, struct str key, struct str value, int64_t expires_us)
{
	(void)key;
	(void)value;
	(void)expires_us;
	++*(int *)arg;
	return true;
}

static int keys_left(struct store *st)
{
	struct err err = { 0 };
	int keys = 0;

	ck_assert_msg(st->ops->scan(st, STR(""), count_key, &keys, &err), "%s", err.text);
	return keys;
}

/* Fills the store and dies without closing it. */
static void fill_and_die(const struct config *config)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fill(open_store(config));
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	ck_assert(WIFSIGNALED(status));
}

static void pretend_power_failure(void)
{
	struct err err = { 0 };

	ck_assert_int_eq(access(path_in("counts/boot"), F_OK), 0);
	ck_assert_msg(io_replace_file(path_in("counts/boot"), STR("00000000-another-boot\n"), 0660, &err), "%s",
		      err.text);
}

static bool is_set_aside(const char *dir_name)
{
	DIR *dir = opendir(path_in(dir_name));
	bool found = false;

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		found |= str_starts(str_from_c(entry->d_name), STR("data.mdb.damaged-"));
	if (dir)
		closedir(dir);
	return found;
}

START_TEST(clean_close_leaves_no_mark)
{
	struct config config;

	setup(&config, "clean");
	struct store *st = open_store(&config);

	ck_assert_int_eq(access(path_in("counts/boot"), F_OK), 0);
	fill(st);
	store_close(st);
	ck_assert_int_ne(access(path_in("counts/boot"), F_OK), 0);
	st = open_store(&config);
	ck_assert_int_eq(keys_left(st), KEYS + 3);
	ck_assert_str_eq(st->notice, "");
	store_close(st);
}
END_TEST

START_TEST(death_in_the_same_boot_needs_no_mending)
{
	struct config config;

	setup(&config, "death");
	fill_and_die(&config);
	struct store *st = open_store(&config);

	ck_assert_int_eq(keys_left(st), KEYS + 3);
	ck_assert_str_eq(st->notice, "");
	store_close(st);
}
END_TEST

START_TEST(power_failure_rebuilds)
{
	struct config config;

	setup(&config, "power");
	fill_and_die(&config);
	pretend_power_failure();
	struct store *st = open_store(&config);

	ck_assert_int_eq(keys_left(st), KEYS + 3);
	ck_assert_msg(strstr(st->notice, "rebuilt after a power failure"), "%s", st->notice);
	ck_assert(!is_set_aside("counts"));
	store_close(st);
	st = open_store(&config);
	ck_assert_str_eq(st->notice, "");
	store_close(st);
}
END_TEST

/* What the disk might hold after the power went, each with the mark of another boot. */
static const struct { const char *name; off_t at; off_t len; bool is_cut, is_zero; } damage_rows[] = {
	{ "garbage from the start", 0, 1 << 20, false, false },
	{ "both headers gone", 0, 8192, false, true },
	{ "pages in the middle are noise", 5 * 4096, 200 * 4096, false, false },
	{ "a page is zero", 40 * 4096, 4096, false, true },
	{ "half the file is missing", 100000, 0, true, false },
	{ "nothing but the headers", 8192, 0, true, false },
	{ "an empty file", 0, 0, true, false },
};
START_TEST(power_failure_damages)
{
	struct config config;
	unsigned int seed = 3;
	char name[32];

	snprintf(name, sizeof name, "damage-%d", _i);
	setup(&config, name);
	fill_and_die(&config);

	int fd = open(path_in("counts/data.mdb"), O_RDWR);
	struct stat st_of;

	ck_assert_int_eq(fstat(fd, &st_of), 0);
	if (damage_rows[_i].is_cut)
		ck_assert_int_eq(ftruncate(fd, damage_rows[_i].at), 0);
	for (off_t at = damage_rows[_i].at; at < damage_rows[_i].at + damage_rows[_i].len && at < st_of.st_size;
	     at += 4) {
		uint32_t noise = damage_rows[_i].is_zero ? 0 : (uint32_t)rand_r(&seed);

		ck_assert_int_eq(pwrite(fd, &noise, sizeof noise, at), sizeof noise);
	}
	close(fd);
	pretend_power_failure();

	struct store *st = open_store(&config);
	int left = keys_left(st);
	struct err err = { 0 };
	int64_t total;

	ck_assert_msg(left >= 3 && left <= KEYS + 3, "%s: %d keys", damage_rows[_i].name, left);
	if (left < KEYS + 3)
		ck_assert_msg(is_set_aside("counts") && strstr(st->notice, "damaged by"), "%s: %s",
			      damage_rows[_i].name, st->notice);
	ck_assert_msg(add(st, KEYS + 1, DAY_US, &total, &err), "%s", err.text);
	ck_assert_int_eq(total, 1);
	store_close(st);
}
END_TEST

/* Without a power failure nobody but the operator can have done this: said, and not touched. */
START_TEST(garbage_is_an_error)
{
	struct config config;
	struct store *st = NULL;
	struct err err = { 0 };
	char garbage[20000];

	setup(&config, _i ? "garbage-facts" : "garbage-counts");
	store_close(open_store(&config));
	memset(garbage, 'x', sizeof garbage);
	ck_assert(io_replace_file(path_in(_i ? "facts/data.mdb" : "counts/data.mdb"), str_of(garbage, sizeof garbage),
				  0660, &err));
	ck_assert(!store_open(&config, &st, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, _i ? "facts" : "counts") && strstr(err.text, "not a store of this program"),
		      "%s", err.text);

	struct stat st_of;

	ck_assert_int_eq(stat(path_in(_i ? "facts/data.mdb" : "counts/data.mdb"), &st_of), 0);
	ck_assert_int_eq(st_of.st_size, sizeof garbage);
}
END_TEST

START_TEST(facts_cut_short_are_mended)
{
	struct config config;

	setup(&config, "short");
	struct store *st = open_store(&config);

	fill(st);
	store_close(st);
	ck_assert_int_eq(truncate(path_in("facts/data.mdb"), 8192), 0);
	st = open_store(&config);
	ck_assert_msg(strstr(st->notice, "facts: damaged by being cut short"), "%s", st->notice);
	ck_assert(is_set_aside("facts"));
	ck_assert_int_ge(keys_left(st), KEYS);
	store_close(st);
}
END_TEST

/* LMDB writes through these: the program's own come before the C library's. */
static _Atomic int writes_left = INT_MAX;
static int writes_fail = EIO;

ssize_t lmdb_pwrite(int fd, const void *data, size_t n, off_t at) __asm__("pwrite");
ssize_t lmdb_pwrite(int fd, const void *data, size_t n, off_t at)
{
	if (atomic_fetch_sub(&writes_left, 1) == 1) {
		errno = writes_fail;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, n, at);
}

/* Whatever write fails, that of a header too, which LMDB itself takes for the end: one answer, and it goes on. */
START_TEST(nth_write_fails)
{
	struct config config;
	int failures = 0, keys = 0;

	setup(&config, "nth-write");
	struct store *st = open_store(&config);

	for (int n = 1; n <= 12; n++) {
		struct err err = { 0 };
		int64_t before, total;

		ck_assert_msg(add(st, 1, DAY_US, &before, &err), "%s", err.text);
		atomic_store(&writes_left, n);
		failures += !add(st, 1, DAY_US, &total, &err);
		failures += !st->ops->put(st, STR("a"), STR("fact"), DAY_US, &err);
		atomic_store(&writes_left, INT_MAX);
		ck_assert_msg(add(st, 1, DAY_US, &total, &err), "write %d: %s", n, err.text);
		ck_assert_int_ge(total, before + 1);
		ck_assert_int_le(total, before + 2);
		ck_assert_msg(st->ops->put(st, STR("a"), STR("fact"), DAY_US, &err), "write %d: %s", n, err.text);
	}
	ck_assert_int_ge(failures, 3);              /* pages and header */
	store_close(st);
	st = open_store(&config);
	ck_assert(st->ops->scan(st, STR(""), count_any, &keys, NULL));
	ck_assert_int_eq(keys, 2);
	store_close(st);
}
END_TEST

static _Atomic bool syncs_fail;

int lmdb_fdatasync(int fd) __asm__("fdatasync");
int lmdb_fdatasync(int fd)
{
	if (atomic_load(&syncs_fail)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* What may not be on disk is looked at as after a power failure, if there was one. */
START_TEST(sync_that_fails_leaves_the_mark)
{
	struct config config;

	setup(&config, "unsynced");
	struct store *st = open_store(&config);

	fill(st);
	atomic_store(&syncs_fail, true);
	store_close(st);
	atomic_store(&syncs_fail, false);
	ck_assert_int_eq(access(path_in("counts/boot"), F_OK), 0);
	store_close(open_store(&config));
	ck_assert_int_ne(access(path_in("counts/boot"), F_OK), 0);
}
END_TEST

static void fill_up_and_die(const struct config *config)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct store *st = open_store(config);
		struct err err = { 0 };
		int64_t total;

		for (int n = 0; add(st, n, HOUR_US, &total, &err);)
			n++;
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	ck_assert(WIFSIGNALED(status));
}

/* It opens though its bound was lowered meanwhile; and when what it holds is over, there is room again. */
START_TEST(power_failure_of_a_full_one)
{
	struct config config;
	struct err err = { 0 };
	int64_t total;
	bool ok = false;

	setup(&config, _i == 0 ? "full-as-ever" : "full-and-lowered");
	fill_up_and_die(&config);
	pretend_power_failure();
	config.store_size_max = _i == 0 ? config.store_size_max : 1 << 20;
	struct store *st = open_store(&config);

	ck_assert_msg(strstr(st->notice, "rebuilt after a power failure"), "%s", st->notice);
	clock_set(START_US + 3 * HOUR_US);
	for (int n = 0; !ok && n < 50; n++)
		ok = add(st, 1000000 + n, HOUR_US, &total, &err);
	ck_assert_msg(ok, "%s", err.text);
	store_close(st);
}
END_TEST

/* A disk that has no room for the copy says nothing of what is copied: it stays as it is, until there is room. */
START_TEST(no_room_to_rebuild)
{
	struct config config;
	struct store *st = NULL;
	int n = 0;

	setup(&config, "no-room");
	fill_and_die(&config);
	pretend_power_failure();
	writes_fail = ENOSPC;
	while (!st && ++n < 100) {
		struct err err = { 0 };

		atomic_store(&writes_left, n);
		if (store_open(&config, &st, &err))
			break;
		ck_assert_int_eq(err.kind, ERR_BUSY);
		ck_assert_msg(strstr(err.text, "not rebuilt after a power failure"), "write %d: %s", n, err.text);
	}
	atomic_store(&writes_left, INT_MAX);
	ck_assert_int_gt(n, 2);
	ck_assert(!is_set_aside("counts"));
	ck_assert_int_eq(keys_left(st), KEYS + 3);
	store_close(st);
}
END_TEST

static int (*open_file)(const char *path, int flags, mode_t mode);

static int open_no_mark(const char *path, int flags, mode_t mode)
{
	errno = EMFILE;
	return str_ends(str_from_c(path), STR("/counts/boot")) ? -1 : open_file(path, flags, mode);
}

/* Who cannot read the mark does not know whether the power failed. */
START_TEST(mark_that_cannot_be_read)
{
	struct config config;
	struct store *st;
	struct err err = { 0 };

	setup(&config, "unread");
	fill_and_die(&config);
	pretend_power_failure();
	open_file = io_calls.open;
	io_calls.open = open_no_mark;
	ck_assert(!store_open(&config, &st, &err));
	ck_assert_msg(strstr(err.text, "counts/boot"), "%s", err.text);
	io_calls.open = open_file;
	st = open_store(&config);
	ck_assert_msg(strstr(st->notice, "rebuilt after a power failure"), "%s", st->notice);
	store_close(st);
}
END_TEST

/* Full says what to raise; when things expire there is room again, and the file has not grown over its bound. */
START_TEST(full_and_free_again)
{
	struct config config;
	struct err err = { 0 };
	int64_t total;
	struct stat st_of;

	setup(&config, "full");
	config.store_size_max = 1 << 20;
	struct store *st = open_store(&config);

	for (int cycle = 0; cycle < 3; cycle++) {
		int kept = 0;

		while (add(st, cycle * 100000 + kept, 3600 * US_PER_S, &total, &err))
			kept++;
		ck_assert_int_eq(err.kind, ERR_FULL);
		ck_assert_msg(strstr(err.text, "store.size_max"), "%s", err.text);
		ck_assert_msg(kept > 1000, "cycle %d: %d kept", cycle, kept);
		ck_assert_int_eq(keys_left(st), kept);
		clock_set(START_US + (cycle + 1) * DAY_US);
		ck_assert_int_eq(keys_left(st), 0);
	}
	store_close(st);
	ck_assert_int_eq(stat(path_in("counts/data.mdb"), &st_of), 0);
	ck_assert_int_le(st_of.st_size, (1 << 20) + (2 << 20));        /* and a reserve for removing */
}
END_TEST

/* Keys come and go all day; what has expired makes room without ever being asked for. */
START_TEST(does_not_grow_for_ever)
{
	struct config config;
	struct err err = { 0 };
	int64_t total, size = 0;
	struct stat st_of;

	setup(&config, "steady");
	struct store *st = open_store(&config);

	for (int i = 0; i < 12000; i++) {
		clock_set(START_US + i * US_PER_S);
		ck_assert_msg(add(st, i, 600 * US_PER_S, &total, &err), "%s", err.text);
		ck_assert_int_eq(stat(path_in("counts/data.mdb"), &st_of), 0);
		if (i == 4000)
			size = st_of.st_size;
	}
	ck_assert_int_le(st_of.st_size, size * 5 / 4);
	ck_assert_int_le(keys_left(st), 601);
	store_close(st);
}
END_TEST

START_TEST(permission_is_explained)
{
	struct config config;
	struct store *st = NULL;
	struct err err = { 0 };

	setup(&config, "mine");
	store_close(open_store(&config));
	ck_assert_int_eq(chmod(path_in("lock"), 0), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(unit_dir(), 0711), 0);
		ck_assert_int_eq(chmod(root, 0755), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	ck_assert(!store_open(&config, &st, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "in the group that owns it"), "%s", err.text);
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

START_TEST(modes_are_for_the_group)
{
	static const char *const names[] = { "lock",	       "counts/boot",	"counts/data.mdb", "counts/lock.mdb",
					     "facts/data.mdb", "facts/lock.mdb" };
	struct config config;
	struct stat st_of;

	setup(&config, "modes");
	umask(077);
	struct store *st = open_store(&config);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ck_assert_int_eq(stat(path_in(names[i]), &st_of), 0);
		ck_assert_msg((st_of.st_mode & 0777) == 0660, "%s: %o", names[i], st_of.st_mode & 0777);
	}
	store_close(st);
}
END_TEST

START_TEST(too_long)
{
	struct config config;
	struct err err = { 0 };
	char key[STORE_KEY_MAX + 1];
	char *value = calloc(1, STORE_VALUE_MAX + 1);
	struct arena arena;
	struct str got;
	bool found;

	setup(&config, "long");
	struct store *st = open_store(&config);

	memset(key, 'k', sizeof key);
	ck_assert_ptr_nonnull(value);
	ck_assert(!st->ops->put(st, str_of(key, sizeof key), STR("x"), DAY_US, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert(!st->ops->put(st, STR(""), STR("x"), DAY_US, &err));
	ck_assert(!st->ops->put(st, STR("v"), str_of(value, STORE_VALUE_MAX + 1), DAY_US, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_msg(st->ops->put(st, str_of(key, STORE_KEY_MAX), str_of(value, STORE_VALUE_MAX), DAY_US, &err), "%s",
		      err.text);
	arena_init(&arena, SIZE_MAX);
	ck_assert_msg(st->ops->get(st, str_of(key, STORE_KEY_MAX), &arena, &got, &found, &err), "%s", err.text);
	ck_assert(found && got.len == STORE_VALUE_MAX);
	arena_clear(&arena);
	free(value);
	store_close(st);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store files");
	TCase *tc = tcase_create("files");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, clean_close_leaves_no_mark);
	tcase_add_test(tc, death_in_the_same_boot_needs_no_mending);
	tcase_add_test(tc, power_failure_rebuilds);
	tcase_add_loop_test(tc, power_failure_of_a_full_one, 0, 2);
	unit_add_rows(tc, power_failure_damages, damage_rows);
	tcase_add_loop_test(tc, garbage_is_an_error, 0, 2);
	tcase_add_test(tc, facts_cut_short_are_mended);
	tcase_add_test(tc, nth_write_fails);
	tcase_add_test(tc, sync_that_fails_leaves_the_mark);
	tcase_add_test(tc, no_room_to_rebuild);
	tcase_add_test(tc, mark_that_cannot_be_read);
	tcase_add_test(tc, full_and_free_again);
	tcase_add_test(tc, does_not_grow_for_ever);
	tcase_add_test(tc, permission_is_explained);
	tcase_add_test(tc, modes_are_for_the_group);
	tcase_add_test(tc, too_long);
	return unit_main(suite);
}
