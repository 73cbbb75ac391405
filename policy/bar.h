/*
 * bar - what bars a message whatever its quotas: its tenant is suspended, its recipients are suppressed.
 *
 * A store on this host is asked when the question comes up, at MAIL and at each RCPT. A shared one would cost a round trip
 * each time, so there it is asked once, along with the charge at DATA; before that only what the store may have (a hint) is
 * worth a trip of its own. So a suspension or suppression that this process has met is refused at MAIL or RCPT, and one that
 * is news to it at DATA. Nothing is taken from a message that is refused so.
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

/* Wherever quotas are taken without such questions: are they to be taken by half, as far as is known here? */
bool bar_is_halved(const struct asking *a);

/* At DATA: the questions that go along with the charge. */
struct bar {
	const struct asking *a;
	struct arena arena;            /* of its own: ten thousand recipients must not use up the message's */
	struct member members[MEMBER_KIND_COUNT];      /* whose message it is: the tenant's, its sender's, its login's */
	size_t member_count;
	struct str *keys;              /* the members' suspensions, then the recipients' suppressions */
	size_t count;                  /* 0: nothing need be asked */
	size_t suppressed;             /* recipients found so */
	bool is_halved;                /* limits are to be taken by half */
	bool was_met;                  /* something was there, so the store took nothing */
	struct err err;                /* kind ERR_NONE: all that was there could be read */
};

/* False: out of memory. bar_end in any case. */
bool bar_begin(struct bar *bar, const struct asking *a);
void bar_end(struct bar *bar);
/* Adds the questions to a charge. */
void bar_ask(struct bar *bar, struct store_charge *charge);
/* After the charge: true when the message is refused or held for what was there. */
bool bar_decides(struct bar *bar);

#endif
