/*
 * store_local - Redis, and the embedded store of this relay while Redis does not answer (on_store_failure: local).
 *
 * See the head of store_local.c for what is promised meanwhile.
 */
#ifndef SEKISHO_STORE_LOCAL_H
#define SEKISHO_STORE_LOCAL_H

#include "policy/store.h"

bool store_local_open(const struct config *config, enum store_seat seat, struct store **out, struct err *err);

/* What stands before a key in the embedded store then: of a value that was seen in Redis, of what was counted alone (a list: by
 * one process or another, see store_local_seat.h). */
#define STORE_LOCAL_SEEN "seen:"
#define STORE_LOCAL_COUNTED "local:", "local1:", "local2:", "local3:", "local4:", "local5:", "local6:", "local7:"

#endif
