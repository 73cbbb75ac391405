/*
 * gate - what all sessions of one process share: store, relay log, the list of who is inside.
 *
 * Opened by main before the first session, closed after the last. Sessions enter and leave the list themselves, so
 * that at the end those which the MTA never closed are closed here and give their quota back.
 *
 * Threads  gate_enter, gate_leave, gate_record: any; open and close: main, with no callback running
 */
#ifndef SEKISHO_GATE_H
#define SEKISHO_GATE_H

#include <pthread.h>

#include "milter/record/writer.h"
#include "policy/policy.h"

struct session;

/* A session's place in the list. */
struct gate_link {
	struct gate_link *next, *prev;
	struct session *session;
};

struct gate {
	struct policy policy;
	struct record_writer *relay;   /* class "relay": what happened to messages */
	struct record_writer *ops;     /* class "ops": start, stop, configuration; no customer's data */
	char node[256];
	pthread_mutex_t lock;          /* over `inside` */
	struct gate_link inside;       /* a ring */
};

bool gate_open(struct gate *gate, const struct config *config, struct err *err);
/* Frees the sessions still inside, then closes log and store. */
void gate_close(struct gate *gate);

void gate_enter(struct gate *gate, struct gate_link *link, struct session *session);
void gate_leave(struct gate *gate, struct gate_link *link);

/* One record in class ops: what the program itself did. `detail` is a JSON object or empty. A failure is logged. */
void gate_record(struct gate *gate, struct str event, struct str detail);

#endif
