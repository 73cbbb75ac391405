/*
 * mta - many MTA sessions against one milter, for measuring it.
 *
 * Speaks the MTA's side of the milter protocol (version 6) over K connections that share K times M messages, and obeys
 * what the milter negotiated: steps it does not want are not sent, steps it does not answer are not waited for. Packets
 * up to the next answer leave in one write, as an MTA's buffered stream does.
 *
 * Whichever connection is ready takes the next message, so that all K are at work until the last one. Were each given
 * its M, a run would end with the few that libmilter's pool of workers had left behind, and measure those.
 *
 * Bounds   MTA_THREADS_MAX threads, MTA_CONNECTIONS_MAX connections, MTA_MESSAGES_MAX messages in all; a run ends at
 *          `limit_us` even when messages are left
 */
#ifndef SEKISHO_BENCH_MTA_H
#define SEKISHO_BENCH_MTA_H

#include "config/base/buf.h"

#define MTA_THREADS_MAX 2
#define MTA_CONNECTIONS_MAX 4096
#define MTA_MESSAGES_MAX ((size_t)4 << 20)

struct mta_options {
	struct str socket;             /* "unix:/path" or "inet:port@host" */
	size_t connections, messages;  /* messages a connection, on the average */
	size_t size;                   /* octets of body */
	size_t recipients;
	struct str login, sender;      /* "#" becomes the connection's number modulo `tenants` */
	size_t tenants;
	size_t threads;
	int64_t limit_us;
	int64_t pace_us;               /* from one message of a connection to the next; 0: at once */
};

enum mta_outcome {
	MTA_ACCEPTED,
	MTA_HELD,                      /* accepted, and quarantined */
	MTA_DEFERRED,
	MTA_REJECTED,
	MTA_DISCARDED,
	MTA_BROKEN,                    /* the milter hung up, or answered what no milter may */
	MTA_OUTCOME_COUNT
};
extern const char *const mta_outcome_names[MTA_OUTCOME_COUNT];

/* What a milter answers to the negotiation. */
struct mta_offer {
	uint32_t version, actions, steps;
	struct buf symbols;            /* "2:i {auth_authen}\n3:...": the macros it asks for, by stage */
};

struct mta_result {
	size_t outcomes[MTA_OUTCOME_COUNT];
	size_t recipients_refused;
	int64_t elapsed_us;
	uint32_t *latency_us;          /* of each end of message that was answered, ascending; mta_result_clear frees */
	size_t latency_count;
	char first_refusal[256];       /* what the milter said with it; empty: no refusal */
};

bool mta_probe(struct str socket, struct mta_offer *out, struct err *err);
bool mta_run(const struct mta_options *options, struct mta_result *out, struct err *err);
void mta_result_clear(struct mta_result *result);

#endif
