/*
 * sekisho-sendmail - sendmail(1) for scripts: the real one, with a field before the message that says whose it is.
 *
 * Has no rights of its own: it asks the gate for the field (milter/submit.h), and the kernel tells the gate who asks. So it may
 * stand in sendmail(1)'s place, with the real one moved aside as dpkg-divert does, or in php.ini's sendmail_path.
 *
 * Exit      the real one's; 75 (EX_TEMPFAIL) when the gate does not answer, so that the caller knows that nothing was sent;
 *           127 when there is no real one
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define SOCKET "/run/sekisho/submit.sock"
#define ASIDE "/usr/sbin/sendmail.distrib"
#define REAL "/usr/sbin/sendmail"
#define FIELD_MAX 512
#define WAIT_S 10

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "sekisho-sendmail: %s: %s\n", what, why);
	return EX_TEMPFAIL;
}

static const char *real_program(void)
{
	const char *told = getenv("SEKISHO_SENDMAIL");

	return told ? told : access(ASIDE, X_OK) == 0 ? ASIDE : REAL;
}

/* Only a message on standard input can carry a field: not an SMTP session, the queue, an alias map. */
static bool takes_message(char *const *argv)
{
	const char *name = strrchr(argv[0], '/');

	name = name ? name + 1 : argv[0];
	if (strcmp(name, "mailq") == 0 || strcmp(name, "newaliases") == 0)
		return false;
	for (char *const *arg = argv + 1; *arg && strcmp(*arg, "--") != 0; arg++)
		if ((strncmp(*arg, "-b", 2) == 0 && strcmp(*arg, "-bm") != 0) || strncmp(*arg, "-q", 2) == 0 || strcmp(*arg, "-I") == 0)
			return false;
	return true;
}

/* The field, its line feed included. */
static bool ask_gate(const char *path, char out[FIELD_MAX], size_t *out_len)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = WAIT_S };
	ssize_t n = -1;
	int fd;

	if (strlen(path) >= sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	memcpy(to.sun_path, path, strlen(path) + 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	*out_len = 0;
	if (connect(fd, (const void *)&to, sizeof to) == 0)
		while ((n = read(fd, out + *out_len, FIELD_MAX - *out_len)) > 0)
			*out_len += (size_t)n;
	close(fd);
	if (n == 0 && (*out_len == 0 || out[*out_len - 1] != '\n'))
		errno = EPROTO;
	return n == 0 && *out_len > 0 && out[*out_len - 1] == '\n';
}

static bool write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return false;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

#define CHUNK ((size_t)64 << 10)

/* How long the line is that a mailbox has before a message, which the real one takes off at the very front; 0: there is none. */
static size_t mailbox_line(const char *text, size_t len)
{
	static const char from[] = "From ";
	const char *end = len >= strlen(from) && memcmp(text, from, strlen(from)) == 0 ? memchr(text, '\n', len) : NULL;

	return end ? (size_t)(end - text) + 1 : 0;
}

/* Reads until the octet is there before which the field goes, and more; less at the end. False: it broke off. */
static bool read_head(char *chunk, size_t *out_len)
{
	ssize_t n;

	*out_len = 0;
	do {
		n = read(STDIN_FILENO, chunk + *out_len, CHUNK - *out_len);
		if (n < 0 && errno != EINTR)
			return false;
		*out_len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && *out_len < CHUNK &&
		 (memchr(chunk, '\n', *out_len) == NULL || mailbox_line(chunk, *out_len) == *out_len));
	return true;
}

/* A line that begins with a blank is text, and must not become more of the field. */
static bool write_head(int to, const char *field, size_t field_len, const char *chunk, size_t len)
{
	size_t at = mailbox_line(chunk, len);
	bool is_text = at < len && (chunk[at] == ' ' || chunk[at] == '\t');

	return write_all(to, chunk, at) && write_all(to, field, field_len) && write_all(to, "\n", is_text) &&
	       write_all(to, chunk + at, len - at);
}

/* The field, then all that is on standard input. A reader that has gone says itself why; false: what there is to read broke off. */
static bool feed(int to, const char *field, size_t field_len)
{
	static char chunk[CHUNK];
	size_t len;
	ssize_t n;

	if (!read_head(chunk, &len))
		return false;
	if (!write_head(to, field, field_len, chunk, len))
		return true;
	while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0 && !write_all(to, chunk, (size_t)n))
			return true;
	}
	return true;
}

static int become(char **argv)
{
	const char *program = real_program();

	execv(program, argv);
	complain(program, strerror(errno));
	return 127;
}

static int run_fed(char **argv, const char *field, size_t len)
{
	int ends[2], status;
	pid_t child;

	if (pipe(ends) != 0 || (child = fork()) < 0)
		return complain("no process", strerror(errno));
	if (child == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		close(ends[1]);
		_exit(become(argv));
	}
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	if (!feed(ends[1], field, len))
		kill(child, SIGKILL);          /* half a message is none */
	close(ends[1]);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return complain("waiting", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_TEMPFAIL;
}

int main(int argc, char **argv)
{
	const char *told = getenv("SEKISHO_SUBMIT"), *path = told ? told : SOCKET;
	char field[FIELD_MAX];
	size_t len;

	if (argc < 1 || !takes_message(argv))
		return become(argv);
	if (!ask_gate(path, field, &len))
		return complain(path, strerror(errno));
	return run_fed(argv, field, len);
}
