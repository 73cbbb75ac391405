#include "policy/store_lmdb_mend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "policy/store_lmdb_record.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_UNKNOWN "unknown"
#define BOOT_ID_MAX 64
#define COPY_GROUP 1000                /* records a transaction */
#define COPY_CPU_S 600                 /* a walk that goes round in circles ends */
#define EXPIRES_MAX_US (3660 * DAY_US) /* nothing lives longer: a later end is damage */
#define OPEN_TRIES 200
#define OPEN_PAUSE_MS 50

/* --- small files */

static bool join(const char *dir, const char *name, char out[PATH_MAX], struct err *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX)
		return true;
	return err_set(err, ERR_CONFIG, "store %.200s: path too long", dir);
}

/* The first word of a small file; empty when there is none. False: there is one, and it cannot be read now. */
static bool read_word(const char *path, char out[BOOT_ID_MAX], struct err *err)
{
	struct buf buf;
	struct str word = STR_EMPTY;
	bool ok;

	buf_init(&buf, 4096);
	ok = io_read_file(path, &buf, err);
	if (ok)
		word = str_trim(buf_view(&buf));
	else
		ok = access(path, F_OK) != 0 && errno == ENOENT;
	snprintf(out, BOOT_ID_MAX, STR_FMT, STR_ARG(word));
	buf_clear(&buf);
	return ok;
}

/* Where it may not be read, each start is one after a power failure. */
static bool read_boot_id(char out[BOOT_ID_MAX], struct err *err)
{
	bool is_denied = access(BOOT_ID_PATH, R_OK) != 0 && errno == EACCES;

	out[0] = '\0';
	if (!is_denied && !read_word(BOOT_ID_PATH, out, err))
		return false;
	if (!out[0])
		snprintf(out, BOOT_ID_MAX, "%s", BOOT_ID_UNKNOWN);
	return true;
}

/* --- the child: copies what it can read */

struct copying {
	struct lmdb_env *to;
	struct lmdb_cursor *from;
	bool was_begun;                /* this group: the cursor has moved on */
	char last[STORE_KEY_MAX];      /* keys only rise: a tree that was mixed up is left where it first turns */
	size_t last_len;
};

static bool is_sane(const struct copying *copying, const struct lmdb_txn *txn)
{
	const struct lmdb_cursor *from = copying->from;

	return from->key.len <= STORE_KEY_MAX && from->record.payload.len <= STORE_VALUE_MAX &&
	       from->record.expires_us <= txn->now_us + EXPIRES_MAX_US &&
	       (from->record.kind == RECORD_VALUE || from->record.kind == RECORD_COUNTER ||
		from->record.kind == RECORD_WINDOW);
}

static bool copy_group(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct copying *copying = arg;
	struct lmdb_cursor *from = copying->from;

	if (copying->was_begun)
		return err_set(err, ERR_FULL, "no room for the copy");
	copying->was_begun = true;
	for (size_t i = 0; i < COPY_GROUP && !from->is_at_end; i++) {
		if (copying->last_len && str_cmp(from->key, str_of(copying->last, copying->last_len)) <= 0)
			return err_set(err, ERR_BUSY, "keys out of order");
		if (is_sane(copying, txn)) {
			if (!lmdb_put(txn, from->key, &from->record, err))
				return false;
			copying->last_len = from->key.len;
			memcpy(copying->last, from->key.ptr, from->key.len);
		}
		if (!lmdb_cursor_next(from, err))
			return false;
	}
	return true;
}

static bool copy_all(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct copying *copying = arg;
	struct lmdb_cursor cursor;
	bool ok = true;

	if (!lmdb_cursor_open(txn, STR_EMPTY, &cursor, err))
		return false;
	copying->from = &cursor;
	while (ok && !cursor.is_at_end) {
		copying->was_begun = false;
		ok = lmdb_env_write(copying->to, copy_group, copying, err);
	}
	lmdb_cursor_close(&cursor);
	return ok;
}

/* How the child ends: signals and COPY_DAMAGED say that a page was wrong, COPY_FAILED that it could not be told. */
enum copied { COPY_WHOLE, COPY_DAMAGED, COPY_FAILED };

static enum copied copy_env(const char *from_dir, const char *to_dir, int64_t size_max)
{
	struct lmdb_env *from = NULL;
	struct copying copying = { 0 };
	struct err err = { 0 };
	/* Filled in another order, it may need more room than the one that is copied. */
	bool has_room = lmdb_env_open(to_dir, 2 * size_max, false, &copying.to, NULL);
	bool ok = has_room && lmdb_env_open(from_dir, size_max, false, &from, &err) &&
		  lmdb_env_read(from, copy_all, &copying, &err);

	lmdb_env_close(from);
	if (!lmdb_env_close(copying.to) || !has_room || err.kind == ERR_FULL)
		return COPY_FAILED;
	return ok ? COPY_WHOLE : COPY_DAMAGED;
}

/* Dying is this child's way to say that a page was wrong; nobody's handler shall make more of it. */
static void die_quietly(void)
{
	struct rlimit cpu = { .rlim_cur = COPY_CPU_S, .rlim_max = COPY_CPU_S }, core = { 0 };

	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &core);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
}

static enum copied copy_in_child(const char *from_dir, const char *to_dir, int64_t size_max)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		die_quietly();
		_exit((int)copy_env(from_dir, to_dir, size_max));
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return COPY_DAMAGED;
	if (pid < 0)
		return COPY_FAILED;
	return WIFEXITED(status) ? (enum copied)WEXITSTATUS(status) : COPY_DAMAGED;
}

/* --- mending */

static void remove_env(const char *dir)
{
	static const char *const names[] = { "data.mdb", "lock.mdb" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (join(dir, names[i], path, NULL))
			unlink(path);
	rmdir(dir);
}

/* A second name for the damaged file; the first one is taken from it in the next step. */
static bool set_aside(const char *data, char out[PATH_MAX], struct err *err)
{
	char time_text[JST_TIME_LEN + 1];

	jst_format_time(clock_now_us(), time_text);
	if (snprintf(out, PATH_MAX, "%s.damaged-%.19s", data, time_text) >= PATH_MAX)
		return err_set(err, ERR_CONFIG, "store %.200s: path too long", data);
	if (link(data, out) != 0 && errno != EEXIST)
		return err_errno(err, ERR_BUSY, "store: set %s aside", data);
	return true;
}

static bool replace_data(const char *data, const char *mended, struct err *err)
{
	struct stat st;

	/* To the same group, if we may; when not, the directory's setgid bit has done it. */
	if (stat(data, &st) == 0 && chown(mended, (uid_t)-1, st.st_gid) != 0)
		log_warn("store: %s has lost its group", data);
	if (rename(mended, data) != 0)
		return err_errno(err, ERR_BUSY, "store: rename %s", mended);
	return io_sync_dir_of(data, err);
}

static bool mend(const char *dir, const char *why, int64_t size_max, char notice[STORE_NOTICE_MAX], struct err *err)
{
	char mending[PATH_MAX], data[PATH_MAX], mended[PATH_MAX], aside[PATH_MAX];

	if (snprintf(mending, sizeof mending, "%s.mending", dir) >= (int)sizeof mending ||
	    !join(dir, "data.mdb", data, err) || !join(mending, "data.mdb", mended, err))
		return err_set(err, ERR_CONFIG, "store %.200s: path too long", dir);
	remove_env(mending);
	if (!io_make_dirs(mending, 0770, err))
		return false;

	/* An empty file is a new store to LMDB; here it is one that was lost. */
	struct stat st;
	bool was_there = stat(data, &st) == 0 && st.st_size > 0;
	/* Lowered meanwhile, size_max is no bound of what is there already. */
	enum copied copied = copy_in_child(dir, mending, was_there && st.st_size > size_max ? st.st_size : size_max);
	bool is_whole = copied == COPY_WHOLE && was_there;

	if (copied == COPY_FAILED) {
		remove_env(mending);
		return err_set(err, ERR_BUSY, "store %.200s: not rebuilt after %s: no process, memory or disk space for the copy",
			       dir, why);
	}

	if (!is_whole && !set_aside(data, aside, err))
		return false;
	if (is_whole)
		snprintf(notice, STORE_NOTICE_MAX,
			 "store %.200s: rebuilt after %s; what was counted in its last second may be missing", dir,
			 why);
	else
		snprintf(notice, STORE_NOTICE_MAX,
			 "store %.120s: damaged by %s; what could be read was kept, the old file is %.200s", dir, why,
			 aside);
	log_warn("%s", notice);

	/* The child may have died before it made a file; then there is nothing to keep. */
	bool ok = access(mended, F_OK) == 0 ? replace_data(data, mended, err) : unlink(data) == 0 || errno == ENOENT;

	remove_env(mending);
	return ok;
}

/* LMDB reads the file's header only, so this much is safe even when the rest is missing. */
static bool find_cut(const char *dir, int64_t size_max, bool *out_cut, struct err *err)
{
	struct lmdb_env *env;

	if (!lmdb_env_open(dir, size_max, true, &env, err))
		return false;
	*out_cut = lmdb_env_is_cut(env);
	lmdb_env_close(env);
	return true;
}

/* Nobody else has the store open. */
static bool make_ready(const struct lmdb_guard *guard, const char *mark, const char *boot_id, int64_t size_max,
		       char notice[STORE_NOTICE_MAX], struct err *err)
{
	static const char *const names[] = { "counts", "facts" };
	char dir[PATH_MAX], left[BOOT_ID_MAX];

	if (!read_word(mark, left, err))
		return false;
	bool had_power_failure = left[0] && (strcmp(left, boot_id) != 0 || strcmp(boot_id, BOOT_ID_UNKNOWN) == 0);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		bool is_cut = false, lost_power = i == 0 && had_power_failure;

		if (!join(guard->dir, names[i], dir, err) || (!lost_power && !find_cut(dir, size_max, &is_cut, err)))
			return false;

		const char *why = lost_power ? "a power failure" : is_cut ? "being cut short" : NULL;

		if (why && !mend(dir, why, size_max, notice, err))
			return false;
	}
	if (!io_replace_file(mark, str_from_c(boot_id), 0660, err))
		return false;
	return chmod(mark, 0660) == 0 || err_errno(err, ERR_BUSY, "store: %s", mark);
}

/* --- the lock */

static bool lock_open(struct lmdb_guard *guard, struct err *err)
{
	char path[PATH_MAX];

	if (!join(guard->dir, "lock", path, err))
		return false;
	guard->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	if (guard->fd >= 0) {
		fchmod(guard->fd, 0660);        /* whatever the umask */
		return true;
	}
	guard->fd = open(path, O_RDWR | O_CLOEXEC);
	if (guard->fd >= 0)
		return true;
	return err_errno(err, ERR_CONFIG, "store %s (this user must be in the group that owns it)", path);
}

static bool is_marked(const char *mark, const char *boot_id)
{
	char left[BOOT_ID_MAX];

	return read_word(mark, left, NULL) && strcmp(left, boot_id) == 0;
}

/* In the end we share the lock with the others, and the mark of this boot stands. */
static bool enter(struct lmdb_guard *guard, int64_t size_max, char notice[STORE_NOTICE_MAX], struct err *err)
{
	char mark[PATH_MAX], boot_id[BOOT_ID_MAX];

	if (!join(guard->dir, "counts/boot", mark, err) || !read_boot_id(boot_id, err))
		return false;
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		if (flock(guard->fd, LOCK_EX | LOCK_NB) == 0 &&
		    !make_ready(guard, mark, boot_id, size_max, notice, err))
			return false;
		while (flock(guard->fd, LOCK_SH) != 0)
			if (errno != EINTR)
				return err_errno(err, ERR_BUSY, "store %s/lock", guard->dir);
		if (is_marked(mark, boot_id))
			return true;

		/* The last one out took it away between our two steps. */
		struct timespec pause = { .tv_nsec = OPEN_PAUSE_MS * 1000000L };

		flock(guard->fd, LOCK_UN);
		nanosleep(&pause, NULL);
	}
	return err_set(err, ERR_BUSY, "store %s: in use, but its mark %s is missing", guard->dir, mark);
}

bool lmdb_guard_open(const char *dir, int64_t size_max, struct lmdb_guard *out, char notice[STORE_NOTICE_MAX],
		     struct err *err)
{
	struct lmdb_guard guard = { .fd = -1 };

	if (snprintf(guard.dir, sizeof guard.dir, "%s", dir) >= (int)sizeof guard.dir)
		return err_set(err, ERR_CONFIG, "store %.200s: path too long", dir);
	if (!lock_open(&guard, err))
		return false;
	if (!enter(&guard, size_max, notice, err)) {
		close(guard.fd);
		return false;
	}
	*out = guard;
	return true;
}

void lmdb_guard_close(struct lmdb_guard *guard, bool is_synced)
{
	char mark[PATH_MAX];

	if (guard->fd < 0)
		return;
	if (is_synced && flock(guard->fd, LOCK_EX | LOCK_NB) == 0 && join(guard->dir, "counts/boot", mark, NULL))
		unlink(mark);
	close(guard->fd);
	guard->fd = -1;
}
