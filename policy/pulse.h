/*
 * pulse - what the guard should look at soon: who sent how much, which login came from where, whose mail failed.
 *
 * Sessions must not wait for the store to count this, so it is kept here, summed up, until one thread takes it to the store
 * every other second and looks at those it was about.
 *
 * Bounds   PULSE_MAX entries between two visits to the store; what finds no room is counted for the tenant alone, or not
 * Crash    what was not taken to the store yet is not counted
 * Threads  pulse_note_*: any; pulse_visit: one
 */
#ifndef SEKISHO_PULSE_H
#define SEKISHO_PULSE_H

#include "policy/guard.h"

#define PULSE_MAX 65536

struct pulse;

struct pulse *pulse_new(void);                     /* NULL: out of memory */
void pulse_free(struct pulse *pulse);

/* A message was let pass. `client` NULL: from this host. A NULL pulse notes nothing. */
void pulse_note_passed(struct pulse *pulse, const struct tenant *tenant, struct str sender, struct str login,
		       const struct net_addr *client, int64_t recipients);
/* Failures or complaints of this tenant, of mail from this sender (empty: unknown), were counted. */
void pulse_note_failed(struct pulse *pulse, const struct tenant *tenant, struct str sender);

/* Told of each member that something was counted of. False: the store was gone; it stays to be looked at. */
typedef bool pulse_fn(void *arg, const struct tenant *tenant, struct member member);
/* Counts what was noted since the last visit, and tells. False: the store is gone; what is left is kept for the next visit. */
bool pulse_visit(struct pulse *pulse, struct store *st, const struct config *config, pulse_fn *fn, void *arg, struct err *err);

#endif
