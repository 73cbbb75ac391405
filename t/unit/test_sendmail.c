/* milter/submit: the program in sendmail(1)'s place: what it hands on, to whom, and what its caller hears. Under make check only. */
#include "t/lib/unit.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/base/io.h"

#define FIELD "X-Sekisho-Submit: 1 web42 1 2 3\n"
#define MESSAGE "To: a@example.org\n\nhello\n"
#define MAILBOX "From web42 Sat Nov 21 18:04:05 2026\n"
#define LONG_FIELD "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define GETS_IT "cat >$heard; exit 0"
#define NOBODY NULL                    /* nothing listens */

static const struct {
	const char *name;
	const char *answer;            /* of the gate */
	const char *argv[5];
	const char *real;              /* a shell's lines */
	const char *input;             /* NULL: a directory, which cannot be read */
	int want;
	const char *heard, *said;      /* what the real one read; on stderr */
} rows[] = {
	{ "a message", FIELD, { "sendmail", "-t" }, GETS_IT, MESSAGE, 0, FIELD MESSAGE, "" },
	{ "an empty one", FIELD, { "sendmail", "-t" }, GETS_IT, "", 0, FIELD, "" },
	{ "a mailbox's line stays in front", FIELD, { "sendmail", "-t" }, GETS_IT, MAILBOX MESSAGE, 0, MAILBOX FIELD MESSAGE, "" },
	{ "and nothing else", FIELD, { "sendmail" }, GETS_IT, MAILBOX, 0, MAILBOX FIELD, "" },
	{ "From is a field", FIELD, { "sendmail" }, GETS_IT, "From: a@b\n" MESSAGE, 0, FIELD "From: a@b\n" MESSAGE, "" },
	{ "a mailbox's line without end", FIELD, { "sendmail" }, GETS_IT, "From me", 0, FIELD "From me", "" },
	{ "text that begins with a blank", FIELD, { "sendmail" }, GETS_IT, "  12 %\n", 0, FIELD "\n  12 %\n", "" },
	{ "with a tab, behind a mailbox's line", FIELD, { "sendmail" }, GETS_IT, MAILBOX "\tx", 0, MAILBOX FIELD "\n\tx", "" },
	{ "the real one's exit status", FIELD, { "sendmail" }, "cat >$heard; exit 67", MESSAGE, EX_NOUSER, FIELD MESSAGE, "" },
	{ "what looks like an option and is a recipient", FIELD, { "/usr/sbin/sendmail", "--", "-bs" }, GETS_IT, MESSAGE, 0, FIELD MESSAGE, "" },
	{ "-bm is a message", FIELD, { "sendmail", "-bm" }, GETS_IT, MESSAGE, 0, FIELD MESSAGE, "" },
	{ "an SMTP session", NOBODY, { "sendmail", "-bs" }, GETS_IT, "EHLO x\n", 0, "EHLO x\n", "" },
	{ "the queue", NOBODY, { "sendmail", "-q30m" }, GETS_IT, "", 0, "", "" },
	{ "the alias map", NOBODY, { "sendmail", "-I" }, GETS_IT, "", 0, "", "" },
	{ "mailq", NOBODY, { "/usr/bin/mailq" }, GETS_IT, "", 0, "", "" },
	{ "newaliases", NOBODY, { "newaliases" }, GETS_IT, "", 0, "", "" },
	{ "no gate", NOBODY, { "sendmail" }, GETS_IT, MESSAGE, EX_TEMPFAIL, NULL, "No such file or directory" },
	{ "a gate that hangs up", "", { "sendmail" }, GETS_IT, MESSAGE, EX_TEMPFAIL, NULL, "Protocol error" },
	{ "half a field", "X-Sekisho-Sub", { "sendmail" }, GETS_IT, MESSAGE, EX_TEMPFAIL, NULL, "Protocol error" },
	{ "a field without end", LONG_FIELD LONG_FIELD LONG_FIELD LONG_FIELD LONG_FIELD LONG_FIELD, { "sendmail" }, GETS_IT, MESSAGE, EX_TEMPFAIL,
	  NULL, "Protocol error" },
	{ "no real one", FIELD, { "sendmail" }, NULL, MESSAGE, 127, NULL, "No such file or directory" },
	{ "no real one for the queue", NOBODY, { "mailq" }, NULL, "", 127, NULL, "No such file or directory" },
	{ "a real one that does not read", FIELD, { "sendmail" }, "exec <&-; exit 3", "x", 3, NULL, "" },
	{ "a real one that is killed", FIELD, { "sendmail" }, "kill -9 $$", MESSAGE, EX_TEMPFAIL, NULL, "" },
	{ "a message that breaks off", FIELD, { "sendmail" }, "cat >/dev/null; echo sent >$heard", NULL, EX_TEMPFAIL, NULL, "" },
};

static char sock[108 + 20], real_path[PATH_MAX], heard[PATH_MAX + 8], said[PATH_MAX + 8], input[PATH_MAX + 8];
static int listener;

static void *answer_one(void *answer)
{
	int fd = accept(listener, NULL, NULL);

	send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void name_files(void)
{
	const char *dir = unit_dir();
	int pid = (int)getpid();

	ck_assert_int_lt(snprintf(sock, sizeof sock, "%s/%d.sock", dir, pid), 108);
	snprintf(real_path, sizeof real_path, "%s/%d", dir, pid);
	snprintf(heard, sizeof heard, "%s.heard", real_path);
	snprintf(said, sizeof said, "%s.said", real_path);
	snprintf(input, sizeof input, "%s.input", real_path);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	struct err err;

	ck_assert_msg(io_replace_file(path, str_from_c(text), mode, &err), "%s", err.text);
}

/* NULL: there is no such file. Static. */
static const char *read_file(const char *path)
{
	static struct buf text = { .max = 1 << 20 };

	buf_reset(&text);
	if (!io_read_file(path, &text, NULL))
		return NULL;
	buf_add_byte(&text, '\0');
	return text.ptr;
}

static void become(char *const *argv, const char *real)
{
	char program[PATH_MAX];
	int in = open(access(input, F_OK) == 0 ? input : "/", O_RDONLY), out = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	dup2(in, STDIN_FILENO);
	dup2(out, STDERR_FILENO);
	setenv("SEKISHO_SUBMIT", sock, 1);
	setenv("SEKISHO_SENDMAIL", real, 1);
	snprintf(program, sizeof program, "%s/sekisho-sendmail", getenv("builddir"));
	execv(program, argv);
	_exit(126);
}

/* Its exit status, or minus its signal. */
static int run(char *const *argv, const char *real)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0)
		become(argv, real);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void open_gate(const char *answer)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	pthread_t thread;

	memcpy(at.sun_path, sock, strlen(sock) + 1);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert(bind(listener, (const void *)&at, sizeof at) == 0 && listen(listener, 1) == 0);
	ck_assert(pthread_create(&thread, NULL, answer_one, (char *)(uintptr_t)answer) == 0);
	pthread_detach(thread);
}

START_TEST(handed_on)
{
	char script[4 * PATH_MAX];

	if (!getenv("builddir"))
		return;
	name_files();
	snprintf(script, sizeof script, "#!/bin/sh\nheard=%s\n%s\n", heard, rows[_i].real ? rows[_i].real : "");
	write_file(real_path, script, 0700);
	if (rows[_i].input)
		write_file(input, rows[_i].input, 0600);
	if (rows[_i].answer)
		open_gate(rows[_i].answer);

	int got = run((char *const *)(uintptr_t)rows[_i].argv, rows[_i].real ? real_path : "/nonexistent");
	const char *text = read_file(heard);

	ck_assert_msg(got == rows[_i].want, "%s: exit %d, not %d", rows[_i].name, got, rows[_i].want);
	ck_assert_msg(rows[_i].heard ? text && strcmp(text, rows[_i].heard) == 0 : !text, "%s: the real one read \"%s\"", rows[_i].name,
		      text ? text : "");
	text = read_file(said);
	ck_assert_msg(rows[_i].said[0] ? strstr(text, rows[_i].said) != NULL : text[0] == '\0', "%s: it says \"%s\"", rows[_i].name, text);
}
END_TEST

/* More than a pipe holds, to one that stops reading in the middle: he hears its answer, and is not killed by a signal. */
START_TEST(gone_in_the_middle)
{
	char script[2 * PATH_MAX], *large = calloc(1, 1 << 20), *argv[] = { (char *)(uintptr_t) "sendmail", NULL };

	if (!getenv("builddir"))
		return;
	memset(large, 'x', (1 << 20) - 1);
	name_files();
	write_file(input, large, 0600);
	snprintf(script, sizeof script, "#!/bin/sh\nhead -c 100 >%s\nexit 69\n", heard);
	write_file(real_path, script, 0700);
	open_gate(FIELD);
	ck_assert_int_eq(run(argv, real_path), EX_UNAVAILABLE);
	ck_assert_uint_eq(strlen(read_file(heard)), 100);
	free(large);
}
END_TEST

START_TEST(a_name_too_long)
{
	char *argv[] = { (char *)(uintptr_t) "sendmail", NULL };

	if (!getenv("builddir"))
		return;
	name_files();
	write_file(input, MESSAGE, 0600);
	memset(sock, 'x', sizeof sock - 1);
	ck_assert_int_eq(run(argv, "/nonexistent"), EX_TEMPFAIL);
	ck_assert(strstr(read_file(said), "File name too long"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sendmail");
	TCase *tcase = tcase_create("sendmail");

	unit_add_rows(tcase, handed_on, rows);
	tcase_add_test(tcase, gone_in_the_middle);
	tcase_add_test(tcase, a_name_too_long);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
