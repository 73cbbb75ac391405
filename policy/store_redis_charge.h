/*
 * store_redis_charge - a charge and a refund as one script each: SCRIPT_CHARGE, SCRIPT_REFUND.
 *
 * Private to policy/store_redis*.c; store.h has the contract.
 */
#ifndef SEKISHO_STORE_REDIS_CHARGE_H
#define SEKISHO_STORE_REDIS_CHARGE_H

#include "policy/store.h"
#include "policy/store_redis_hints.h"
#include "policy/store_redis_link.h"

/* sekisho:{TENANT}:charge:ID in `room`; ERR_INPUT when it does not fit. */
bool redis_charge_key(struct str tenant, struct str id, char room[STORE_KEY_MAX + 1], struct str *out, struct err *err);
bool redis_charge_send(struct redis_link *link, struct redis_hints *hints, const struct store_charge *charge,
		       struct store_charged *out, struct err *err);
/* A refund that nobody saw done is done again, when a server answers. */
bool redis_refund_send(struct redis_link *link, struct str tenant, struct str id, struct err *err);

#endif
