/*
 * redis_server - a private Redis for one test: on a port of the kernel's choice and a socket, in the test's own
 * directory.
 *
 * Its clock can be moved. It dies with the test, also when the test dies. REDIS_SERVER in the environment names the program
 * to be run instead of redis-server: Valkey's, or an older one.
 */
#ifndef SEKISHO_REDIS_SERVER_H
#define SEKISHO_REDIS_SERVER_H

#include <stdint.h>
#include <sys/types.h>

struct redis_server {
	pid_t pid;
	int port, bus_port;            /* of a cluster's nodes among themselves */
	char address[64];              /* "127.0.0.1:PORT" */
	char socket[300];              /* "unix:/path" */
	char dir[200];
	_Atomic int64_t *shift_us;     /* added to its wall clock */
};

/* `name` tells servers of one program apart; `options` are more words of its command line, NULL at the end. Aborts on
 * failure. */
void redis_server_start(struct redis_server *server, const char *name, const char *const *options);
/* The same directory, port and options again. */
void redis_server_restart(struct redis_server *server, const char *const *options);
/* A Sentinel that watches 127.0.0.1:`master_port` under the name "relay", and needs no other to agree. */
void redis_sentinel_start(struct redis_server *server, const char *name, int master_port);
void redis_server_stop(struct redis_server *server);

/* Answer of one command as text, errors as "-...", written into a static buffer. */
const char *redis_server_ask(const struct redis_server *server, const char *command);
/* The same as a user without a password; NULL: the default user. */
const char *redis_server_ask_as(const struct redis_server *server, const char *user, const char *command);

#endif
