/*
 * bar - what bars a message whatever its quotas: its tenant is suspended, its recipients are suppressed.
 *
 * The tenant's suspensions are asked about at MAIL, and again along with each charge, where halved limits matter; what is new
 * since is met there. Recipients are asked about at RCPT in a store on this host. A shared one would cost a round trip each
 * time, so there they are asked about along with the charge at DATA, and before that only what the store may have (a hint) is
 * worth a trip of its own: what this process has met is refused at MAIL or RCPT, and what is news to it at DATA. Nothing is
 * taken from a message that is refused so.
 *
 * Mixed    when some recipients are suppressed and others not, and DATA is where that comes out, the message is deferred: at
 *          its next attempt those are refused alone, and the others pass. When all are, it is refused for good
 * Private to policy/.
 */
#ifndef SEKISHO_POLICY_BAR_H
#define SEKISHO_POLICY_BAR_H

#include "policy/asking.h"
#include "policy/tenant.h"

/* At MAIL. */
void bar_check_tenant(const struct asking *a);
/* At RCPT: the last recipient. */
void bar_check_recipient(const struct asking *a);

/* A shared store: DATA asks it though nothing is taken. */
bool bar_is_far(const struct asking *a);

/* The questions that go along with a charge. */
struct bar {
	const struct asking *a;
	struct arena arena;            /* of its own: ten thousand recipients must not use up the message's */
	struct member members[MEMBER_KIND_COUNT];      /* whose message it is: the tenant's, its sender's, its login's */
	size_t member_count;
	struct str *keys;              /* the members' suspensions, then the recipients' suppressions */
	size_t count;
	size_t suppressed;             /* recipients found so */
	bool is_halved;                /* limits are to be taken by half */
	bool was_met;                  /* something was there, so the store took nothing */
	struct err err;                /* kind ERR_NONE: all that was there could be read */
};

/* `with_recipients`: of those who were not asked about before. False: out of memory. bar_end in any case. */
bool bar_begin(struct bar *bar, const struct asking *a, bool with_recipients);
void bar_end(struct bar *bar);
/* Adds the questions to a charge. */
void bar_ask(struct bar *bar, struct store_charge *charge);
/* After the charge: true when the message is refused or held for what was there. */
bool bar_decides(struct bar *bar);

#endif
