/*
 * daemon - the running sekisho-milter, asked over loopback HTTP, and signalled by its pid file.
 *
 * Errors   ERR_BUSY: it does not answer, or not with what we understand
 * Bounds   DAEMON_ANSWER_MAX octets, DAEMON_WAIT_S seconds
 */
#ifndef SEKISHO_DAEMON_H
#define SEKISHO_DAEMON_H

#include <jansson.h>
#include <sys/types.h>

#include "config/config.h"

#define DAEMON_ANSWER_MAX ((size_t)1 << 20)
#define DAEMON_WAIT_S 3

/* GET of "/status" or "/tenants" (milter/monitor.h): a JSON object, the caller's to json_decref. */
bool daemon_ask(const struct config *config, const char *page, json_t **out, struct err *err);

/* The pid file's process, when it is alive and is a sekisho-milter. */
bool daemon_pid(const struct config *config, pid_t *out, struct err *err);
/* Is that file not for this user to see, so that nobody can say? */
bool daemon_is_hidden(const struct config *config);

/* "config.generation" in a nested object; NULL: not there. */
const json_t *daemon_member(const json_t *object, const char *path);
/* The same as a number or text; 0 and "" when it is not there or something else. */
int64_t daemon_i64(const json_t *object, const char *path);
struct str daemon_str(const json_t *object, const char *path);

#endif
