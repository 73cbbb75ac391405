/*
 * rulebook - how returned mail is read and judged: the rules in force, shared by the sessions and the follower of the MTA's
 * log, so that both say the same about the same words.
 *
 * Errors   ERR_CONFIG: the rules do not compile; what was in force stays. ERR_BUSY: memory
 * Threads  any
 */
#ifndef SEKISHO_RULEBOOK_H
#define SEKISHO_RULEBOOK_H

#include "milter/mail/report.h"
#include "milter/shared.h"
#include "policy/bounce_rules.h"

struct rulebook {
	struct report_reader *reader;
	struct shared rules;
};

/* `path`: the operator's rules, which go before those that came with the program; empty: none. */
bool rulebook_open(struct rulebook *book, struct str path, struct err *err);
/* Anew, for whoever acquires them from now on. Each error is logged. */
bool rulebook_load(struct rulebook *book, struct str path, struct err *err);
void rulebook_close(struct rulebook *book);            /* also one that is all zero */

struct holding *rulebook_acquire(struct rulebook *book);
const struct bounce_rules *rulebook_rules(const struct holding *set);
void rulebook_release(struct rulebook *book, struct holding *set);

#endif
