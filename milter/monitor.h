/*
 * monitor - the daemon's window: GET /metrics (Prometheus), /status and /tenants (JSON) and /health on loopback.
 *
 * Reads counters only; nothing that comes in changes anything. Other methods and paths are answered 405 and 404.
 *
 * Tenants  those that sent last, at most MONITOR_TENANTS_MAX: what they sent in the last minute, and in all
 * Bounds   MONITOR_PEERS_MAX connections: one more sends away who took longest to ask (peers.h); silent for 10 s: let go
 * Errors   ERR_CONFIG when the address is taken; config has seen to it that it is a loopback one
 * Threads  one of libmicrohttpd's
 */
#ifndef SEKISHO_MONITOR_H
#define SEKISHO_MONITOR_H

#include "milter/gate.h"

#define MONITOR_PEERS_MAX 16u
#define MONITOR_TENANTS_MAX 1000

/* Outcome of a reload, for /status and the metrics. Empty: good. Copied. */
void monitor_note_reload(struct str error);

struct monitor;

/* An empty config->metrics_listen opens nothing: *out is NULL, and that is success. */
bool monitor_open(struct gate *gate, const struct config *config, struct monitor **out, struct err *err);
void monitor_close(struct monitor *monitor);       /* NULL is fine */

#endif
