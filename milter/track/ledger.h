/*
 * ledger - hits being written down: counted in the store and recorded in class "action" of the relay log.
 *
 * One thread does it, behind whoever answers: no reader waits for store or disk. What the thread cannot keep up with
 * waits, LEDGER_WAITING_MAX hits at most; more are counted as lost, and the operator hears of it.
 *
 * The process holds no key of the relay log: it writes records, the milter's checkpoints cover them.
 *
 * Threads  ledger_add from any
 */
#ifndef SEKISHO_LEDGER_H
#define SEKISHO_LEDGER_H

#include "milter/record/writer.h"
#include "milter/track/hit.h"

#define LEDGER_WAITING_MAX 100000

struct ledger;

bool ledger_open(const struct config *config, struct store *store, struct ledger **out, struct err *err);
/* Writes what waits. NULL is fine. */
void ledger_close(struct ledger *ledger);
/* Copies the hit. */
void ledger_add(struct ledger *ledger, const struct hit *hit);
/* One that nobody could make out for want of memory; told with the next. */
void ledger_lose(struct ledger *ledger);

#endif
