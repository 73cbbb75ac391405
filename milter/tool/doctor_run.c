/* Another program's answer, for sekisho doctor. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/tool/doctor.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define WAIT_US (20 * US_PER_S)

/* In the child: never returns. */
static void become(char *const *argv, int out)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execv(argv[0], argv);
	_exit(127);
}

static bool collect(int fd, struct buf *answer, struct err *err)
{
	int64_t end_us = clock_mono_us() + WAIT_US, left_us;

	while ((left_us = end_us - clock_mono_us()) > 0) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&wait, 1, (int)(left_us / 1000) + 1) < 0 && errno != EINTR)
			return err_errno(err, ERR_BUSY, "waiting");
		if (!wait.revents)
			continue;
		if (!buf_reserve(answer, 4096))
			return err_set(err, ERR_BUSY, "it says more than %zu octets", ANSWER_MAX);
		n = read(fd, answer->ptr + answer->len, 4096);
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return err_errno(err, ERR_BUSY, "reading");
		answer->len += n > 0 ? (size_t)n : 0;
	}
	return err_set(err, ERR_BUSY, "no end after 20 s");
}

static bool finish(pid_t child, bool is_collected, struct err *err)
{
	int status;

	if (!is_collected)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, ERR_BUSY, "its end");
	if (is_collected && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		return err_set(err, ERR_BUSY, "it failed; run it by hand to see why");
	return is_collected;
}

bool doctor_run(struct doctor *doctor, char *const *argv, struct str *out, struct err *err)
{
	struct buf answer;
	int ends[2];
	pid_t child;
	bool ok;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_errno(err, ERR_BUSY, "pipe");
	child = fork();
	if (child == 0)
		become(argv, ends[1]);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return err_set(err, ERR_BUSY, "%s: no process", argv[0]);
	}
	buf_init(&answer, ANSWER_MAX);
	ok = finish(child, collect(ends[0], &answer, err), err);
	ok = ok && (arena_copy(&doctor->tool->arena, buf_view(&answer), out) || err_memory(err));
	buf_clear(&answer);
	close(ends[0]);
	return ok || err_wrap(err, "%s", argv[0]);
}
