#include "t/lib/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/io.h"
#include "t/lib/unit.h"

#define START_TRIES 500
#define START_PAUSE_US 10000
#define OPTIONS_MAX 40

static _Noreturn void give_up(const char *why)
{
	fprintf(stderr, "redis_server: %s\n", why);
	abort();
}

/* Free a moment ago; nobody else is told of it. */
static int free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		give_up("no port");
	close(fd);
	return ntohs(sin.sin_port);
}

static void make_shift(struct redis_server *server)
{
	char path[256];

	snprintf(path, sizeof path, "%s/shift", server->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 4096) != 0)
		give_up("no file for its clock");
	server->shift_us = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (server->shift_us == MAP_FAILED)
		give_up("no map for its clock");
}

/* Not before the test dies, and with a clock that can be moved. */
static _Noreturn void run(const struct redis_server *server, const char **words)
{
	const char *builddir = getenv("builddir");
	char preload[4096], shift[300];
	int nothing = open("/dev/null", O_WRONLY);

	snprintf(preload, sizeof preload, "%s/t/lib/timeshift.so", builddir ? builddir : ".");
	snprintf(shift, sizeof shift, "%s/shift", server->dir);
	if (access(preload, R_OK) != 0)
		give_up("timeshift.so is not built");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(nothing, STDOUT_FILENO);
	setenv("LD_PRELOAD", preload, 1);
	setenv("TIMESHIFT_FILE", shift, 1);
	if (getenv("REDIS_SERVER"))
		words[0] = getenv("REDIS_SERVER");
	execvp(words[0], (char *const *)(uintptr_t)words);
	give_up("redis-server cannot be run");
}

static _Noreturn void run_server(const struct redis_server *server, const char *const *options)
{
	char port[16];
	const char *words[OPTIONS_MAX] = {
		"redis-server",	    "--port",	 port,	      "--bind",	     "127.0.0.1", "--unixsocket",
		server->socket + 5, "--dir",	 server->dir, "--save",	     "",	  "--loglevel",
		"warning",	    "--logfile", "log",	      "--databases", "4",
	};
	size_t count = 17;

	snprintf(port, sizeof port, "%d", server->port);
	for (; options && *options && count + 1 < OPTIONS_MAX; options++)
		words[count++] = *options;
	run(server, words);
}

static _Noreturn void run_sentinel(const struct redis_server *server, int master_port)
{
	char path[300], text[1200];
	const char *words[] = { "redis-server", path, "--sentinel", NULL };

	snprintf(path, sizeof path, "%s/sentinel.conf", server->dir);
	snprintf(text, sizeof text,
		 "port %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\nlogfile log\nsentinel monitor relay 127.0.0.1 %d 1\n"
		 "sentinel down-after-milliseconds relay 1500\nsentinel failover-timeout relay 4000\n",
		 server->port, server->socket + 5, server->dir, master_port);
	if (!io_replace_file(path, str_from_c(text), 0600, NULL))
		give_up(path);
	run(server, words);
}

const char *redis_server_ask(const struct redis_server *server, const char *command)
{
	return redis_server_ask_as(server, NULL, command);
}

const char *redis_server_ask_as(const struct redis_server *server, const char *user, const char *command)
{
	static char answer[65536];
	struct timeval patience = { .tv_sec = 5 };
	redisContext *context = redisConnectUnixWithTimeout(server->socket + 5, patience);

	if (context && !context->err && user)
		freeReplyObject(redisCommand(context, "AUTH %s any", user));

	redisReply *reply = context && !context->err ? redisCommand(context, command) : NULL;

	if (!reply)
		snprintf(answer, sizeof answer, "-no answer");
	else if (reply->type == REDIS_REPLY_INTEGER)
		snprintf(answer, sizeof answer, "%lld", reply->integer);
	else
		snprintf(answer, sizeof answer, "%s%s", reply->type == REDIS_REPLY_ERROR ? "-" : "",
			 reply->str ? reply->str : "");
	if (reply)
		freeReplyObject(reply);
	if (context)
		redisFree(context);
	return answer;
}

static void wait_until_up(const struct redis_server *server)
{
	for (int tries = 0; tries < START_TRIES; tries++, usleep(START_PAUSE_US)) {
		const char *answer = redis_server_ask(server, "PING");

		if (strcmp(answer, "PONG") == 0 || strncmp(answer, "-NOAUTH", 7) == 0)
			return;
	}
	give_up("the server does not answer");
}

void redis_server_restart(struct redis_server *server, const char *const *options)
{
	server->pid = fork();
	if (server->pid == 0)
		run_server(server, options);
	wait_until_up(server);
}

static void prepare(struct redis_server *server, const char *name)
{
	*server = (struct redis_server){ .port = free_port(), .bus_port = free_port() };
	snprintf(server->dir, sizeof server->dir, "%.150s/%.40s", unit_dir(), name);
	snprintf(server->socket, sizeof server->socket, "unix:%s/socket", server->dir);
	snprintf(server->address, sizeof server->address, "127.0.0.1:%d", server->port);
	if (mkdir(server->dir, 0700) != 0)
		give_up(server->dir);
	make_shift(server);
}

void redis_server_start(struct redis_server *server, const char *name, const char *const *options)
{
	prepare(server, name);
	redis_server_restart(server, options);
}

void redis_sentinel_start(struct redis_server *server, const char *name, int master_port)
{
	prepare(server, name);
	server->pid = fork();
	if (server->pid == 0)
		run_sentinel(server, master_port);
	wait_until_up(server);
}

void redis_server_stop(struct redis_server *server)
{
	int status;

	if (server->pid <= 0)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, &status, 0);
	server->pid = 0;
}
