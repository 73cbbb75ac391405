/*
 * gate - what all sessions of one process share: store, relay log, counters.
 *
 * Opened by main before the first session, closed after the last.
 */
#ifndef SEKISHO_GATE_H
#define SEKISHO_GATE_H

#include "config/base/metrics.h"
#include "milter/record/writer.h"
#include "policy/policy.h"

struct gate {
	struct policy policy;
	struct store *store;
	struct record_writer *relay;   /* class "relay" */
	struct record_writer *ops;     /* class "ops": configuration, access, daemon */
};

bool gate_open(struct gate *gate, const struct config *config, struct err *err);
void gate_close(struct gate *gate);

#endif
