#include "milter/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "milter/letterbox.h"

extern char **environ;

/* One notice on its way. */
struct notice {
	struct arena arena;            /* all its strings */
	int64_t timeout_us;
	struct str command, object;    /* to a program; */
	struct letterbox_mail mail;    /* or, when `command` is empty, by mail */
	struct str server;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gone = PTHREAD_COND_INITIALIZER;
static size_t running;

/* --- a program */

static bool spawn(const char *path, int in, pid_t *out, struct err *err)
{
	char *const argv[] = { (char *)(uintptr_t)path, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, child;

	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaddset(&child, SIGPIPE);
	posix_spawn_file_actions_init(&files);                 /* it and the attributes ask for no memory */
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &child);
	errno = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	if (errno == 0)
		errno = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	if (errno == 0)
		errno = posix_spawn(out, path, &files, &attr, argv, environ);

	bool ok = errno == 0 || err_errno(err, ERR_BUSY, "%s", path);

	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return ok;
}

/* Its end, by itself or by us: it leaves no zombie. */
static bool see_off(const char *path, pid_t pid, int64_t timeout_us, struct err *err)
{
	struct pollfd end = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	siginfo_t info = { 0 };
	int ready;

	do
		ready = end.fd < 0 ? 1 : poll(&end, 1, (int)(timeout_us / 1000));
	while (ready < 0 && errno == EINTR);
	if (ready == 0)
		kill(-pid, SIGKILL);
	if (end.fd >= 0)
		close(end.fd);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED) != 0 && errno == EINTR)
		;
	if (ready == 0)
		return err_set(err, ERR_BUSY, "%s: killed, it ran longer than %lld s", path,
			       (long long)(timeout_us / US_PER_S));
	if (info.si_code == CLD_EXITED && info.si_status != 0)
		return err_set(err, ERR_BUSY, "%s: exit status %d", path, info.si_status);
	return info.si_code == CLD_EXITED || info.si_code == 0 ||
	       err_set(err, ERR_BUSY, "%s: ended by signal %d", path, info.si_status);
}

static bool run(const char *path, struct str line, int64_t timeout_us, struct err *err)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_errno(err, ERR_BUSY, "pipe for %s", path);

	/* The pipe has room for all of it, and where it has not, nobody waits for a program that has not begun. */
	fcntl(ends[1], F_SETFL, O_NONBLOCK);

	bool ok = io_write_all(ends[1], line, path, err);

	close(ends[1]);
	ok = ok && spawn(path, ends[0], &pid, err);
	close(ends[0]);
	return ok && see_off(path, pid, timeout_us, err);
}

/* --- on its way */

static void notice_free(struct notice *n)
{
	arena_clear(&n->arena);
	free(n);
}

static void leave(struct notice *n)
{
	notice_free(n);
	pthread_mutex_lock(&lock);
	running--;
	pthread_cond_broadcast(&gone);
	pthread_mutex_unlock(&lock);
}

static void *go(void *arg)
{
	struct notice *n = arg;
	struct err err;
	bool ok = n->command.len ? run(n->command.ptr, n->object, n->timeout_us, &err)
				 : letterbox_send(n->server, &n->mail, n->timeout_us, &err);

	metrics_add(ok ? METRIC_NOTICES : METRIC_NOTICE_FAILURES, 1);
	if (!ok)
		log_error("the operator is not told: %s", err.text);
	leave(n);
	return NULL;
}

static bool may_go(void)
{
	pthread_mutex_lock(&lock);

	bool ok = running < NOTIFY_RUNNING_MAX;

	running += ok;
	pthread_mutex_unlock(&lock);
	return ok;
}

/* Takes the notice over. */
static void send_off(struct notice *n)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int why;

	if (!may_go()) {
		metrics_add(METRIC_NOTICE_FAILURES, 1);
		log_error("the operator is not told: %d notices are on their way already", NOTIFY_RUNNING_MAX);
		notice_free(n);
		return;
	}
	sigfillset(&all);                      /* signals belong to main */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	why = pthread_create(&thread, &attr, go, n);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (why == 0)
		return;
	metrics_add(METRIC_NOTICE_FAILURES, 1);
	log_error("the operator is not told: thread: %s", strerrordesc_np(why));
	leave(n);
}

static struct notice *notice_new(int64_t timeout_us)
{
	struct notice *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	arena_init(&n->arena, (size_t)1 << 20);
	n->timeout_us = timeout_us;
	return n;
}

/* There was no room to say it. */
static void give_up(struct notice *n)
{
	metrics_add(METRIC_NOTICE_FAILURES, 1);
	log_error("the operator is not told: out of memory (at most %d octets here)", NOTIFY_MAX);
	if (n)
		notice_free(n);
}

static int64_t timeout_in_force(void)
{
	struct config *config = config_acquire();
	int64_t us = config ? config->notify_timeout_us : 0;

	config_release(config);
	return us ? us : 30 * US_PER_S;
}

void notify_tell(struct str command, const struct buf *object)
{
	struct notice *n;

	if (command.len == 0)
		return;
	n = notice_new(timeout_in_force());
	if (n && !object->failed && object->len <= NOTIFY_MAX &&
	    arena_printf(&n->arena, &n->command, STR_FMT, STR_ARG(command)) &&
	    arena_printf(&n->arena, &n->object, STR_FMT "\n", STR_ARG(buf_view(object))))
		send_off(n);
	else
		give_up(n);
}

static bool copy_mail(struct notice *n, const struct config *config, struct str own_sender, struct str subject, struct str text)
{
	struct letterbox_mail *mail = &n->mail;
	struct str *to = arena_array(&n->arena, config->notify_to.count, sizeof *to);

	for (size_t i = 0; to && i < config->notify_to.count; i++)
		if (!arena_copy(&n->arena, config->notify_to.items[i], &to[i]))
			return false;
	mail->to = (struct str_list){ .items = to, .count = config->notify_to.count };
	return to && arena_copy(&n->arena, config->notify_from, &mail->from) && arena_copy(&n->arena, own_sender, &mail->own_sender) &&
	       arena_copy(&n->arena, config->node, &mail->node) && arena_copy(&n->arena, subject, &mail->subject) &&
	       arena_copy(&n->arena, text, &mail->text) && arena_copy(&n->arena, config->notify_server, &n->server);
}

void notify_mail(const struct config *config, struct str own_sender, struct str subject, const struct buf *text)
{
	struct notice *n;

	if (config->notify_to.count == 0)
		return;
	n = notice_new(config->notify_timeout_us);
	if (n && !text->failed && copy_mail(n, config, own_sender, subject, buf_view(text)))
		send_off(n);
	else
		give_up(n);
}

bool notify_is_busy(void)
{
	pthread_mutex_lock(&lock);

	bool is_busy = running >= NOTIFY_RUNNING_MAX / 2;

	pthread_mutex_unlock(&lock);
	return is_busy;
}

void notify_finish(int64_t wait_us)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_us / US_PER_S;
	pthread_mutex_lock(&lock);
	while (running && pthread_cond_timedwait(&gone, &lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&lock);
}
