#include "milter/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/buf.h"
#include "config/base/io.h"
#include "config/base/log.h"

extern char **environ;

static bool run(const char *path, int in, struct err *err)
{
	char *const argv[] = { (char *)(uintptr_t)path, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, child;
	pid_t pid;

	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaddset(&child, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &child);
	errno = posix_spawn(&pid, path, &files, &attr, argv, environ);

	bool ok = errno == 0 || err_errno(err, ERR_BUSY, "%s", path);

	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return ok;
}

static bool tell(const char *path, struct str line, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_errno(err, ERR_BUSY, "pipe for %s", path);

	bool ok = io_write_all(ends[1], line, path, err);

	close(ends[1]);
	ok = ok && run(path, ends[0], err);
	close(ends[0]);
	return ok;
}

void notify_tell(struct str command, struct str object)
{
	char path[PATH_MAX];
	struct buf buf;
	struct str line;
	struct err err;

	if (command.len == 0 || command.len >= sizeof path)
		return;
	snprintf(path, sizeof path, STR_FMT, STR_ARG(command));
	buf_init(&buf, NOTIFY_MAX);
	buf_add(&buf, object);
	buf_add_byte(&buf, '\n');
	if (!buf_done(&buf, &line, &err) || !tell(path, line, &err))
		log_error("the operator is not told: %s", err.text);
	buf_clear(&buf);
}
