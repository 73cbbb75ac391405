#include "milter/tool/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/memory.h"

#define CHUNK 4096

/* In the child: never returns. */
static void become(char *const *argv, int out, enum child_hears hears)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(hears == CHILD_OUTPUT ? null : out, STDERR_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0)
		execv(argv[0], argv);
	_exit(127);
}

static pid_t start(char *const *argv, enum child_hears hears, int *out_fd, struct err *err)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		err_errno(err, ERR_BUSY, "pipe");
		return -1;
	}
	child = fork();
	if (child == 0)
		become(argv, ends[1], hears);
	close(ends[1]);
	if (child < 0) {
		err_errno(err, ERR_BUSY, "no process");
		close(ends[0]);
	}
	*out_fd = ends[0];
	return child;
}

/* One piece into `answer`; *out_end at the end of all. */
static bool read_piece(int fd, struct buf *answer, bool *out_end, struct err *err)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	unsigned long shortages = memory_shortages();
	ssize_t n;

	*out_end = false;
	n = poll(&wait, 1, (int)(CHILD_WAIT_US / 1000));
	if (n == 0)
		return err_set(err, ERR_BUSY, "not a word for 20 s");
	if (n < 0)
		return errno == EINTR || err_errno(err, ERR_BUSY, "waiting");
	if (!buf_reserve(answer, CHUNK))
		return memory_shortages() != shortages ? err_memory(err)
						       : err_set(err, ERR_BUSY, "it says more than %zu octets", answer->max);
	n = read(fd, answer->ptr + answer->len, CHUNK);
	if (n < 0)
		return errno == EINTR || err_errno(err, ERR_BUSY, "reading");
	answer->len += (size_t)n;
	*out_end = n == 0;
	return true;
}

static bool finish(pid_t child, int fd, bool is_read, struct err *err)
{
	int status;

	close(fd);
	if (!is_read)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, ERR_BUSY, "its end");
	if (is_read && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		return err_set(err, ERR_BUSY, "it failed; run it by hand to see why");
	return is_read;
}

bool child_run(char *const *argv, enum child_hears hears, size_t max, struct arena *arena, struct str *out, struct err *err)
{
	bool ok = true, is_end = false;
	struct buf answer;
	int fd;
	pid_t child = start(argv, hears, &fd, err);

	if (child < 0)
		return err_wrap(err, "%s", argv[0]);
	buf_init(&answer, max);
	while (ok && !is_end)
		ok = read_piece(fd, &answer, &is_end, err);
	ok = finish(child, fd, ok, err) && (arena_copy(arena, buf_view(&answer), out) || err_memory(err));
	buf_clear(&answer);
	return ok || err_wrap(err, "%s", argv[0]);
}

/* Whole lines off the front; what remains moves there. */
static bool take_lines(struct buf *answer, child_line_fn *fn, void *arg)
{
	struct str rest = buf_view(answer), line, after;
	bool goes_on = true;

	while (goes_on && str_cut(rest, '\n', &line, &after)) {
		goes_on = fn(arg, line);
		rest = after;
	}
	if (rest.len)
		memmove(answer->ptr, rest.ptr, rest.len);
	answer->len = rest.len;
	return goes_on;
}

bool child_lines(char *const *argv, child_line_fn *fn, void *arg, struct err *err)
{
	bool ok = true, is_end = false, goes_on = true;
	struct buf answer;
	int fd;
	pid_t child = start(argv, CHILD_OUTPUT, &fd, err);

	if (child < 0)
		return err_wrap(err, "%s", argv[0]);
	buf_init(&answer, CHILD_LINE_MAX);
	while (ok && goes_on && !is_end) {
		ok = read_piece(fd, &answer, &is_end, err);
		goes_on = take_lines(&answer, fn, arg);
	}
	if (ok && goes_on && answer.len)
		fn(arg, buf_view(&answer));
	buf_clear(&answer);
	if (ok && !goes_on)
		return finish(child, fd, false, err) || true;
	return finish(child, fd, ok, err) || err_wrap(err, "%s", argv[0]);
}
