/*
 * endpoint - HTTP on one side, answers on the other. The only file of sekisho-track that knows libmicrohttpd.
 *
 * Speaks plain HTTP/1.1 at tracking.listen, behind a proxy that speaks TLS; X-Forwarded-For is believed from a peer in
 * tracking.proxies alone, and only its last address, the one that proxy has put there, or the one before where that is a
 * proxy too. A request that a proxy may have read otherwise (two hosts, two lengths) is refused, and its connection closed.
 *
 * Bounds   ENDPOINT_PEERS_MAX connections: one more sends away who took longest to ask (milter/peers.h); ENDPOINT_MEMORY
 *          octets of request line and fields each; ENDPOINT_BODY_MAX octets of a POST are looked at; a peer that is
 *          silent for ENDPOINT_TIMEOUT_S is let go
 */
#ifndef SEKISHO_ENDPOINT_H
#define SEKISHO_ENDPOINT_H

#include "milter/track/answer.h"
#include "milter/track/ledger.h"

#define ENDPOINT_PEERS_MAX 1024u
#define ENDPOINT_MEMORY ((size_t)16 << 10)
#define ENDPOINT_BODY_MAX ((size_t)8 << 10)
#define ENDPOINT_TIMEOUT_S 10u

struct endpoint;

/* `tracker` and `ledger` outlive the endpoint; the published configuration is asked anew for each request. */
bool endpoint_open(const struct config *config, struct tracker *tracker, struct ledger *ledger, struct endpoint **out,
		   struct err *err);
/* Answers what was begun. NULL is fine. */
void endpoint_close(struct endpoint *endpoint);

#endif
