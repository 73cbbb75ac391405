/*
 * log - what the operator reads: syslog (facility mail) or stderr.
 *
 * One line an event. Octets that could steer a terminal or forge a second line are shown as \xNN, whoever wrote
 * them. This is not the relay log: no promise is kept here.
 *
 * Threads  any
 */
#ifndef SEKISHO_LOG_H
#define SEKISHO_LOG_H

enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Before log_open: stderr, level info, no name. `ident` is kept. */
void log_open(const char *ident, enum log_target target, enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
