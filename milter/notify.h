/*
 * notify - tell the operator: one JSON object, a line, on the standard input of a program.
 *
 * The program runs by itself: nobody waits for it, and its end is nobody's business. It inherits no descriptor but the
 * standard ones, no blocked signal, and no ignored SIGPIPE or SIGCHLD.
 *
 * Bounds   NOTIFY_MAX octets: a pipe takes it at once, so nobody waits for the program to read
 * Threads  any
 */
#ifndef SEKISHO_NOTIFY_H
#define SEKISHO_NOTIFY_H

#include "config/base/err.h"
#include "config/base/str.h"

#define NOTIFY_MAX 4096

/* An empty `command` tells nobody. What fails is logged. */
void notify_tell(struct str command, struct str object);

#endif
