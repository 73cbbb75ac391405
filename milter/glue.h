/*
 * glue - libmilter on one side, sessions on the other. The only file that knows libmilter.
 *
 * libmilter moves the callbacks of one session between its threads; nothing here is thread-local. It owns SIGHUP, SIGINT
 * and SIGTERM while glue_run runs: each of them makes it return.
 */
#ifndef SEKISHO_GLUE_H
#define SEKISHO_GLUE_H

#include "milter/gate.h"

/* Opens config->listen with its mode and group. A stale socket file is removed: hold the pid file's lock before. */
bool glue_open(struct gate *gate, const struct config *config, struct err *err);
/* Serves until stopped. False when libmilter ends by a failure. */
bool glue_run(struct err *err);
/* From any thread: makes glue_run return soon. */
void glue_stop(void);
/* After glue_run: callbacks may still be at work; waits for them, at most wait_us. Sessions that libmilter leaves open stay in
 * the gate, which frees them. */
void glue_drain(int64_t wait_us);

#endif
