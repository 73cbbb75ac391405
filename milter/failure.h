/*
 * failure - one recipient whom a message of a tenant did not reach, or who complained: counted once, and suppressed where
 * that follows.
 *
 * Whoever learns of it says so here: the follower of the MTA's log, and the session for what comes back. Both steps may be done
 * twice without harm, so that whoever could not finish may begin again.
 *
 * Suppressed   hard bounces and complaints, each for as long as the tenant says; nothing else ever is
 * Errors       ERR_BUSY from the store
 * Threads      any
 */
#ifndef SEKISHO_FAILURE_H
#define SEKISHO_FAILURE_H

#include "policy/bounce.h"
#include "policy/store.h"

struct failure {
	struct str message;            /* ours */
	struct str recipient;          /* as it was given to us; empty: one of the message's, nobody can tell which */
	enum bounce_reason reason;     /* BOUNCE_FEEDBACK: a complaint */
	bool is_hard;
	struct str by;                 /* "mail.log", "dsn", "arf": who says so */
	struct str sender;             /* of the message, for the guard; empty: unknown */
};
/* *out_is_first: nobody had said so before. */
bool failure_count(struct store *st, const struct config *config, const struct tenant *tenant, const struct failure *failure,
		   bool *out_is_first, struct err *err);

#endif
