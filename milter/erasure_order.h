/*
 * erasure_order - an erasure that is to happen later, by rule, and the daemon's thread that carries it out.
 *
 * STATE_DIR/erasures/NAME.order is a note signed with the operator's key:
 *
 *   Order of erasure / 消去予約
 *   relay NODE
 *   tenant NAME
 *   ended TIME
 *   rule RULE
 *   due TIME
 *   [reason TEXT]
 *
 * The thread looks each minute. An order that the operator did not sign is passed over and said so; one for a tenant that is
 * still in the configuration waits, and says so once an hour: its next message would be recorded again. What was done is a
 * record in ops, and its certificate lies in STATE_DIR/erasures.
 */
#ifndef SEKISHO_ERASURE_ORDER_H
#define SEKISHO_ERASURE_ORDER_H

#include "milter/erasure.h"
#include "milter/gate.h"

struct erasure_order {
	struct str tenant, rule, reason;
	int64_t ended_us, due_us;
	struct str file;               /* its path */
	bool is_good;                  /* signed with an operator's key that is known here */
};

/* Replaces an order of before. */
bool erasure_order_write(const struct config *config, const struct erasure_order *order, const struct sign_key *key, struct err *err);
bool erasure_order_cancel(const struct config *config, struct str tenant, bool *out_found, struct err *err);
/* All that are there, in no order; strings in `arena`. */
bool erasure_orders_read(const struct config *config, struct arena *arena, struct erasure_order **out, size_t *out_count,
			 struct err *err);
/* Is it to be carried out now? By hours, within the hour before its time. */
bool erasure_order_is_due(const struct erasure_order *order, int64_t now_us);

struct eraser;

bool eraser_start(struct gate *gate, struct eraser **out, struct err *err);
void eraser_stop(struct eraser *eraser);       /* NULL is fine */

#endif
