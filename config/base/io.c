#include "config/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static int real_allocate(int fd, off_t at, off_t n) { return fallocate(fd, FALLOC_FL_KEEP_SIZE, at, n); }

struct io_calls io_calls = {
	.open = real_open,
	.write = write,
	.sync = fdatasync,
	.allocate = real_allocate,
	.rename = rename,
	.unlink = unlink,
	.truncate = ftruncate,
};

void io_hold_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);     /* the lowest that is free: this one */
}

int io_open(const char *path, int flags, mode_t mode, struct err *err)
{
	int fd = io_calls.open(path, flags | O_CLOEXEC, mode);

	if (fd < 0)
		err_errno(err, ERR_BUSY, "%s", path);
	return fd;
}

bool io_write_all(int fd, struct str data, const char *name, struct err *err)
{
	while (data.len) {
		ssize_t n = io_calls.write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_BUSY, "write %s", name);
		data = str_from(data, (size_t)n);
	}
	return true;
}

bool io_sync(int fd, const char *name, struct err *err)
{
	if (io_calls.sync(fd) != 0)
		return err_errno(err, ERR_BUSY, "sync %s", name);
	return true;
}

bool io_sync_dir_of(const char *path, struct err *err)
{
	char dir[PATH_MAX];
	struct str parent, name;

	if (!str_cut_last(str_from_c(path), '/', &parent, &name))
		parent = STR(".");
	else if (parent.len == 0)
		parent = STR("/");
	if (parent.len >= sizeof dir)
		return err_set(err, ERR_BUSY, "%s: path too long", path);
	snprintf(dir, sizeof dir, STR_FMT, STR_ARG(parent));

	int fd = io_open(dir, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return false;
	bool ok = io_calls.sync(fd) == 0 || err_errno(err, ERR_BUSY, "sync %s", dir);

	close(fd);
	return ok;
}

static bool read_fd(int fd, const char *path, struct buf *out, struct err *err)
{
	for (;;) {
		size_t room = out->max - out->len < 65536 ? out->max - out->len : 65536;
		char beyond;

		if (room && !buf_reserve(out, room))
			return err_memory(err);
		ssize_t n = room ? read(fd, out->ptr + out->len, room) : read(fd, &beyond, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_BUSY, "read %s", path);
		if (n == 0)
			return true;
		if (room == 0)
			return err_set(err, ERR_INPUT, "%s: larger than %zu octets", path, out->max);
		out->len += (size_t)n;
	}
}

bool io_read_file(const char *path, struct buf *out, struct err *err)
{
	int fd = io_open(path, O_RDONLY, 0, err);

	if (fd < 0)
		return false;
	bool ok = read_fd(fd, path, out, err);

	close(fd);
	return ok;
}

bool io_read_stdin(struct buf *out, struct err *err)
{
	return read_fd(STDIN_FILENO, "standard input", out, err);
}

static void name_user(uid_t uid, char out[IO_USER_MAX])
{
	struct passwd room, *user = NULL;
	char text[4096];

	if (getpwuid_r(uid, &room, text, sizeof text, &user) == 0 && user && strlen(user->pw_name) < IO_USER_MAX)
		snprintf(out, IO_USER_MAX, "%s", user->pw_name);
	else
		snprintf(out, IO_USER_MAX, "%lu", (unsigned long)uid);
}

void io_user(char out[IO_USER_MAX])
{
	name_user(geteuid(), out);
}

bool io_read_secret(const char *path, struct buf *out, struct err *err)
{
	struct stat st;
	char user[IO_USER_MAX], owner[IO_USER_MAX];
	int fd = io_open(path, O_RDONLY, 0, err);

	/* Whose it should be depends on who asks: a chown for everybody who may not read it would take a key from the daemons. */
	if (fd < 0 && errno == EACCES) {
		if (stat(path, &st) != 0)
			return err_errno(err, ERR_CONFIG, "%s", path);
		io_user(user);
		name_user(st.st_uid, owner);
		return err_set(err, ERR_CONFIG, "%s: user %s may not read it: it belongs to %s (mode %04o)", path, user, owner,
			       (unsigned)(st.st_mode & 07777));
	}
	if (fd < 0)
		return false;
	bool ok = fstat(fd, &st) == 0 || err_errno(err, ERR_BUSY, "%s", path);

	if (ok && (st.st_mode & 077) != 0)
		ok = err_set(err, ERR_CONFIG, "%s: mode %04o lets others use this secret; run: chmod 600 %s", path,
			     (unsigned)(st.st_mode & 07777), path);
	if (ok)
		ok = read_fd(fd, path, out, err);
	close(fd);
	return ok;
}

/* What root writes anew stays whose it was: a daemon's own file is not taken from it. */
static bool keep_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (geteuid() != 0 || stat(path, &st) != 0)
		return true;
	return fchown(fd, st.st_uid, st.st_gid) == 0 || err_errno(err, ERR_BUSY, "giving %s to its owner", path);
}

bool io_replace_file(const char *path, struct str data, mode_t mode, struct err *err)
{
	char tmp[PATH_MAX];

	if (snprintf(tmp, sizeof tmp, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof tmp)
		return err_set(err, ERR_BUSY, "%s: path too long", path);

	int fd = io_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, mode, err);

	if (fd < 0)
		return false;
	bool ok = keep_owner(fd, path, err) && io_write_all(fd, data, tmp, err) && io_sync(fd, tmp, err);

	close(fd);
	if (ok && io_calls.rename(tmp, path) != 0)
		ok = err_errno(err, ERR_BUSY, "rename %s", path);
	if (!ok) {
		io_calls.unlink(tmp);
		return false;
	}
	return io_sync_dir_of(path, err);
}

bool io_remove_socket(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT || err_errno(err, ERR_CONFIG, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_CONFIG, "%s is there and is no socket", path);
	return io_calls.unlink(path) == 0 || errno == ENOENT || err_errno(err, ERR_CONFIG, "%s", path);
}

bool io_make_dirs(const char *path, mode_t mode, struct err *err)
{
	char dir[PATH_MAX];

	if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir)
		return err_set(err, ERR_BUSY, "%s: path too long", path);
	for (char *at = dir + 1;; at++) {
		if (*at != '/' && *at != '\0')
			continue;
		char end = *at;

		*at = '\0';
		if (mkdir(dir, mode) != 0 && errno != EEXIST)
			return err_errno(err, ERR_BUSY, "mkdir %s", dir);
		if (end == '\0')
			break;
		*at = end;
	}

	struct stat st;

	if (stat(path, &st) != 0)
		return err_errno(err, ERR_BUSY, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_BUSY, "%s: not a directory", path);
	return true;
}
