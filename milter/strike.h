/*
 * strike - when the guard strikes (policy/guard.h): the tenant or its member is stopped, the operator told, and it is on
 * the record. Alarms of the relay log are watch.h's.
 *
 * Told     the daemon's log; a record in class ops ("suspended", or "guard" where it is only to be told of), each time, with
 *          the kind of the member ("member": "sender" or "login") and not its name, which is a customer's data. Once in
 *          notify.cool_down for the same reason: notify.command, with one JSON object on its standard input,
 *          {"event","time","node","tenant","sender"|"login","what","count","sample","percent","bound_percent","action","reason"}
 *          ("bound" alone where the bound is no ratio), and notify.to, by mail
 * Threads  any
 */
#ifndef SEKISHO_STRIKE_H
#define SEKISHO_STRIKE_H

#include "config/base/json.h"
#include "milter/gate.h"

/* After something was counted of this member. False: the store was gone; look again later. */
bool strike_look(struct gate *gate, const struct config *config, const struct tenant *tenant, struct member member,
		 struct err *err);

/* A member "guard" of /status: how often it struck since the start, and why at last. */
void strike_write_status(struct json *json);

#endif
