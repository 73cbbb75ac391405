/*
 * alarm - when the guard strikes: the tenant is suspended, the operator told, and it is on the record.
 *
 * Told     the daemon's log; a record in class ops ("suspended", or "guard" where the tenant is only to be told of); and
 *          notify.command with one JSON object on its standard input:
 *          {"event","time","node","tenant","what","count","sample","percent","bound_percent","action","reason"}
 * Threads  any
 */
#ifndef SEKISHO_ALARM_H
#define SEKISHO_ALARM_H

#include "milter/gate.h"

/* After failures or complaints of this tenant were counted. False: the store was gone; look again later. */
bool alarm_look(struct gate *gate, const struct config *config, const struct tenant *tenant, struct err *err);
/* The same for those whom a client waits for: where looking takes long (a large Redis), a tenant is looked at so rarely that it
 * takes no more than ALARM_SHARE of the time. A failure is logged. */
#define ALARM_SHARE 20                 /* one part in so many */
void alarm_glance(struct gate *gate, const struct config *config, const struct tenant *tenant);

#endif
