/*
 * bounce_reason - why mail came back: the vocabulary, one row a reason.
 *
 * The names are those that Sisimai established. A reason is hard when trying again cannot help: the mailbox or the
 * domain does not exist. A 5xx alone makes nothing hard, and a 4xx alone nothing soft, but for notaccept: a domain that
 * refuses mail with 4xx may change its mind.
 */
#ifndef SEKISHO_BOUNCE_REASON_H
#define SEKISHO_BOUNCE_REASON_H

#include "config/base/str.h"

enum bounce_reason {
	BOUNCE_UNDEFINED,              /* no words at all */
	BOUNCE_ONHOLD,                 /* words that no rule knows */
	BOUNCE_USERUNKNOWN, BOUNCE_HOSTUNKNOWN, BOUNCE_HASMOVED, BOUNCE_NOTACCEPT,
	BOUNCE_FILTERED, BOUNCE_SUSPEND, BOUNCE_SUPPRESSED,
	BOUNCE_MAILBOXFULL, BOUNCE_SYSTEMFULL, BOUNCE_EMAILTOOLARGE,
	BOUNCE_REJECTED, BOUNCE_BLOCKED, BOUNCE_BADREPUTATION, BOUNCE_REQUIREPTR, BOUNCE_AUTHFAILURE, BOUNCE_RATELIMITED,
	BOUNCE_NORELAYING, BOUNCE_NOTCOMPLIANTRFC, BOUNCE_POLICYVIOLATION, BOUNCE_SECURITYERROR,
	BOUNCE_SPAMDETECTED, BOUNCE_VIRUSDETECTED, BOUNCE_CONTENTERROR, BOUNCE_SYNTAXERROR,
	BOUNCE_EXPIRED, BOUNCE_NETWORKERROR, BOUNCE_FAILEDSTARTTLS, BOUNCE_SYSTEMERROR, BOUNCE_MAILERERROR,
	BOUNCE_DELIVERED, BOUNCE_FEEDBACK, BOUNCE_VACATION,
	BOUNCE_REASON_COUNT
};

const char *bounce_reason_name(enum bounce_reason reason);
bool bounce_reason_parse(struct str name, enum bounce_reason *out);
/* `is_transient`: the code is 4xx. */
bool bounce_reason_is_hard(enum bounce_reason reason, bool is_transient);

#endif
