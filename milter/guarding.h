/*
 * guarding - the thread that takes what was noted (policy/pulse.h) to the store and lets the guards look at it, every other
 * second. It also looks whether a shared store has lost what it held (policy/emptied.h), and tells of levels of quotas
 * (milter/warned.h).
 *
 * Errors   at its start alone; while the store is gone that is logged once, and what was noted waits
 */
#ifndef SEKISHO_GUARDING_H
#define SEKISHO_GUARDING_H

#include "milter/gate.h"

struct guarding;

bool guarding_start(struct gate *gate, struct guarding **out, struct err *err);
/* A last look, then its end. NULL is fine. */
void guarding_stop(struct guarding *guarding);

#endif
