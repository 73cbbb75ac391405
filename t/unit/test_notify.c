/* milter/notify and milter/letterbox: the operator is told by a program and by mail, and nobody waits for either of them. */
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "milter/letterbox.h"
#include "milter/notify.h"

#define LONG_US (30 * US_PER_S)
#define SHORT_US (US_PER_S / 4)

/* --- a server that answers as a row says */

enum manner {
	POLITE,                        /* every answer is the row's next one */
	MUTE,                          /* after the row's answers, none */
	DEPARTING,                     /* after the row's answers it hangs up */
	DRIPPING,                      /* after the row's answers an octet now and then, and never a line */
	FLOODING,                      /* after the row's answers a line without end */
};

struct server {
	int fd;
	char name[40];
	enum manner manner;
	const char *const *answers;
	struct buf heard;
	pthread_t thread;
	_Atomic bool is_over;
};

static void drip(struct server *s, int peer)
{
	while (!atomic_load(&s->is_over) && send(peer, "2", 1, MSG_NOSIGNAL) == 1)
		usleep(20000);
}

static void flood(int peer)
{
	static const char octets[4096] = "250-";

	while (send(peer, octets, sizeof octets, MSG_NOSIGNAL) > 0)
		;
}

/* Whole commands, and the letter as one. */
static bool hear_one(struct server *s, int peer, bool is_letter)
{
	size_t from = s->heard.len;
	char octet;

	while (recv(peer, &octet, 1, 0) == 1) {
		struct str now;

		buf_add_byte(&s->heard, octet);
		now = str_from(buf_view(&s->heard), from);
		if (str_ends(now, is_letter ? STR("\r\n.\r\n") : STR("\r\n")))
			return true;
	}
	return false;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int peer = accept(s->fd, NULL, NULL);
	bool is_letter = false;

	for (size_t i = 0; s->answers[i]; i++) {
		size_t len = strlen(s->answers[i]);

		if (send(peer, s->answers[i], len, MSG_NOSIGNAL) != (ssize_t)len || send(peer, "\r\n", 2, MSG_NOSIGNAL) != 2)
			break;
		is_letter = s->answers[i][0] == '3';
		if (!hear_one(s, peer, is_letter))
			break;
	}
	if (s->manner == DRIPPING)
		drip(s, peer);
	if (s->manner == FLOODING)
		flood(peer);
	while (s->manner == MUTE && !atomic_load(&s->is_over))
		usleep(10000);
	close(peer);
	return NULL;
}

static void server_open(struct server *s, enum manner manner, const char *const *answers)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;

	*s = (struct server){ .manner = manner, .answers = answers };
	buf_init(&s->heard, 1 << 20);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert(bind(s->fd, (struct sockaddr *)&address, len) == 0 && listen(s->fd, 1) == 0);
	ck_assert(getsockname(s->fd, (struct sockaddr *)&address, &len) == 0);
	snprintf(s->name, sizeof s->name, "127.0.0.1:%d", ntohs(address.sin_port));
	ck_assert(pthread_create(&s->thread, NULL, serve, s) == 0);
}

/* What it heard, as a C string until it is cleared. */
static const char *server_close(struct server *s)
{
	atomic_store(&s->is_over, true);
	pthread_join(s->thread, NULL);
	close(s->fd);
	buf_add_byte(&s->heard, '\0');
	return s->heard.ptr;
}

static struct str recipients[] = { STR_INIT("ops@example.org"), STR_INIT("night@example.org") };
static const struct letterbox_mail letter = {
	.from = STR_INIT("sekisho@gate.example"), .own_sender = STR_INIT("sekisho-0123"), .node = STR_INIT("gate1"),
	.to = { .items = recipients, .count = 2 }, .subject = STR_INIT("acme: \u505c\u6b62"), .text = STR_INIT("one\n.\ntwo\n"),
};

START_TEST(a_letter)
{
	static const char *const answers[] = { "220-gate\r\n220 ready", "250 hello", "250 sender", "250 one", "251 two", "354 go on", "250 done",
					       NULL };
	struct server server;
	struct err err = { .text = "" };
	const char *heard;

	server_open(&server, POLITE, answers);
	ck_assert_msg(letterbox_send(str_from_c(server.name), &letter, LONG_US, &err), "%s", err.text);
	heard = server_close(&server);
	ck_assert_msg(strstr(heard, "HELO gate1\r\nMAIL FROM:<sekisho-0123@gate.example>\r\nRCPT TO:<ops@example.org>\r\n"
				    "RCPT TO:<night@example.org>\r\nDATA\r\nFrom: Sekisho on gate1 <sekisho@gate.example>\r\n"
				    "To: ops@example.org,\r\n night@example.org\r\nSubject: =?utf-8?B?YWNtZTog5YGc5q2i?=\r\nDate: ") == heard,
		      "%s", heard);
	ck_assert_msg(strstr(heard, "\r\n\r\nb25lCi4KdHdvCg==\r\n.\r\n"), "%s", heard);
	buf_clear(&server.heard);
}
END_TEST

static const struct {
	const char *name;
	enum manner manner;
	const char *answers[8];
	const char *want;
} refusals[] = {
	{ "a greeting that refuses", POLITE, { "554 no mail here" }, "it answers our call with 554 no mail here" },
	{ "HELO refused", POLITE, { "220 a", "501 who?" }, "it answers HELO with 501 who?" },
	{ "the sender refused", POLITE, { "220 a", "250 b", "451 later" }, "it answers MAIL FROM with 451 later" },
	{ "the second recipient refused", POLITE, { "220 a", "250 b", "250 c", "250 d", "550 unknown" }, "it answers RCPT TO with 550 unknown" },
	{ "DATA refused", POLITE, { "220 a", "250 b", "250 c", "250 d", "250 e", "452 full" }, "it answers DATA with 452 full" },
	{ "the letter refused", POLITE, { "220 a", "250 b", "250 c", "250 d", "250 e", "354 f", "554 g" }, "it answers the letter with 554 g" },
	{ "no words at all", MUTE, { NULL }, "after our call: no answer in time" },
	{ "silence in the middle", MUTE, { "220 a", "250 b" }, "after MAIL FROM: no answer in time" },
	{ "an answer that begins and never ends", DRIPPING, { "220 a" }, "after HELO: no answer in time" },
	{ "a line without end", FLOODING, { NULL }, "after our call: an answer without end" },
	{ "gone at once", DEPARTING, { NULL }, "hung up" },
	{ "gone in the middle", DEPARTING, { "220 a", "250 b" }, "hung up" },
};

START_TEST(refused)
{
	struct server server;
	struct err err = { .text = "" };
	int64_t start_us = clock_mono_us();

	server_open(&server, refusals[_i].manner, refusals[_i].answers);
	ck_assert_msg(!letterbox_send(str_from_c(server.name), &letter, refusals[_i].manner == POLITE ? LONG_US : SHORT_US, &err), "%s",
		      refusals[_i].name);
	ck_assert_msg(strstr(err.text, refusals[_i].want) && strstr(err.text, server.name), "%s: %s", refusals[_i].name, err.text);
	ck_assert_msg(clock_mono_us() - start_us < LONG_US, "%s: waited for ever", refusals[_i].name);
	server_close(&server);
	buf_clear(&server.heard);
}
END_TEST

START_TEST(nobody_there)
{
	struct err err = { .text = "" };

	ck_assert(!letterbox_send(STR("127.0.0.1:1"), &letter, SHORT_US, &err));
	ck_assert_msg(strstr(err.text, "connecting"), "%s", err.text);
	ck_assert(!letterbox_send(STR("mail.example"), &letter, SHORT_US, &err));
	ck_assert_msg(strstr(err.text, "ADDRESS:PORT"), "%s", err.text);
}
END_TEST

/* Nobody guesses it, and no two starts have the same. */
START_TEST(own_names)
{
	char one[LETTERBOX_SENDER_MAX + 1], other[LETTERBOX_SENDER_MAX + 1];

	letterbox_name(one);
	letterbox_name(other);
	ck_assert_uint_eq(strlen(one), strlen("sekisho-") + 24);
	ck_assert_str_ne(one, other);
}
END_TEST

/* --- programs */

static char path[4096], heard[4096 + 8];

/* A program of these lines; what it is told goes to `heard`. */
static struct str program(const char *lines)
{
	static int number;
	char text[8192];
	struct err err;

	number++;
	snprintf(path, sizeof path, "%s/told%d-%d", unit_dir(), (int)getpid(), number);
	snprintf(heard, sizeof heard, "%s.heard", path);
	snprintf(text, sizeof text, "#!/bin/sh\nheard=%s\n%s\n", heard, lines);
	ck_assert_msg(io_replace_file(path, str_from_c(text), 0700, &err), "%s", err.text);
	return str_from_c(path);
}

static void expect(int64_t told, int64_t failed, const char *what)
{
	notify_finish(LONG_US);
	ck_assert_msg(metrics_read(METRIC_NOTICES) == told && metrics_read(METRIC_NOTICE_FAILURES) == failed, "%s: %lld told, %lld failed", what,
		      (long long)metrics_read(METRIC_NOTICES), (long long)metrics_read(METRIC_NOTICE_FAILURES));
}

/* It has the object, a line, and nothing of ours: no other descriptor, no blocked signal. */
START_TEST(a_program)
{
	struct err err;
	struct buf text;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	ck_assert_int_ge(dup(0), 3);
	notify_tell(program("{ cat; ls /proc/self/fd | wc -l; grep SigBlk /proc/self/status; } >$heard"), BUF("{\"event\":\"suspended\"}"));
	expect(1, 0, "a program");
	buf_init(&text, 4096);
	ck_assert_msg(io_read_file(heard, &text, &err), "%s", err.text);
	/* the three, and that of the directory that ls reads */
	ck_assert_str_is(buf_view(&text), STR("{\"event\":\"suspended\"}\n4\nSigBlk:\t0000000000000000\n"));
	buf_clear(&text);
}
END_TEST

static const struct { const char *name, *lines; } faults[] = {
	{ "exit 3", "exit 3" },
	{ "a signal", "kill -TERM $$" },
	{ "does not read, and fails", "exec false" },
};

START_TEST(programs_that_fail)
{
	notify_tell(program(faults[_i].lines), BUF("{}"));
	expect(0, 1, faults[_i].name);
}
END_TEST

START_TEST(no_program)
{
	notify_tell(STR("/nonexistent/program"), BUF("{}"));
	expect(0, 1, "a program that is not there");
	notify_tell(STR_EMPTY, BUF("{}"));
	expect(0, 1, "nobody to tell");
}
END_TEST

/* The limit holds, and those who run are waited for. */
START_TEST(too_many)
{
	struct str command = program("while [ ! -e $heard ]; do sleep 0.05; done");
	struct err err;

	for (int i = 0; i < NOTIFY_RUNNING_MAX + 3; i++)
		notify_tell(command, BUF("{}"));
	ck_assert_int_eq(metrics_read(METRIC_NOTICE_FAILURES), 3);
	notify_finish(0);
	ck_assert_int_eq(metrics_read(METRIC_NOTICES), 0);
	ck_assert_msg(io_replace_file(heard, STR("go"), 0600, &err), "%s", err.text);
	expect(NOTIFY_RUNNING_MAX, 3, "as many as may run");
}
END_TEST

static struct config *configuration(const char *server)
{
	char name[32];

	snprintf(name, sizeof name, "notify%d.yaml", (int)getpid());
	return configured(name, "node: gate1\nrelay_log: {key_file: none}\ntenants: {a: {match: [{auth: a}]}}\n"
				"notify: {to: [ops@example.org], from: sekisho@gate.example, server: \"%s\", timeout: 1s}\n", server);
}

/* All of it is copied: the configuration may go while the letter is on its way. */
START_TEST(by_mail)
{
	static const char *const answers[] = { "220 a", "250 b", "250 c", "250 d", "354 e", "250 f", NULL };
	struct server server;
	struct config *config;

	server_open(&server, POLITE, answers);
	config = configuration(server.name);
	notify_mail(config, STR("sekisho-own"), STR("subject"), BUF("text\n"));
	config_free(config);
	expect(1, 0, "a letter");
	ck_assert(strstr(server_close(&server), "MAIL FROM:<sekisho-own@gate.example>\r\nRCPT TO:<ops@example.org>\r\n"));
	buf_clear(&server.heard);
}
END_TEST

/* With what it started: they all have our stdout, and nobody has it any more when the notice is gone. */
START_TEST(a_program_that_hangs)
{
	struct config *config = configuration("127.0.0.1:1");
	int ends[2];
	char octet;

	ck_assert(pipe(ends) == 0 && dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO && close(ends[1]) == 0);
	config_publish(config);
	notify_tell(program("sleep 1000 & sleep 1000"), BUF("{}"));
	expect(0, 1, "killed after notify.timeout");
	config_publish(NULL);
	ck_assert_int_eq(close(STDOUT_FILENO), 0);
	ck_assert_int_eq(read(ends[0], &octet, 1), 0);
	close(ends[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tcase = tcase_create("notify");

	tcase_add_test(tcase, a_letter);
	unit_add_rows(tcase, refused, refusals);
	tcase_add_test(tcase, nobody_there);
	tcase_add_test(tcase, own_names);
	tcase_add_test(tcase, a_program);
	unit_add_rows(tcase, programs_that_fail, faults);
	tcase_add_test(tcase, no_program);
	tcase_add_test(tcase, too_many);
	tcase_add_test(tcase, by_mail);
	tcase_add_test(tcase, a_program_that_hangs);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
