#include "policy/bounce_reason.h"

static const struct { const char *name; bool is_hard; } reasons[BOUNCE_REASON_COUNT] = {
	[BOUNCE_UNDEFINED] = { "undefined", false },                /* no words to judge by */
	[BOUNCE_ONHOLD] = { "onhold", false },                      /* words that no rule knows */
	[BOUNCE_USERUNKNOWN] = { "userunknown", true },             /* the mailbox does not exist */
	[BOUNCE_HOSTUNKNOWN] = { "hostunknown", true },             /* the domain does not exist */
	[BOUNCE_HASMOVED] = { "hasmoved", true },                   /* moved away, nothing is forwarded */
	[BOUNCE_NOTACCEPT] = { "notaccept", true },                 /* the domain takes no mail */
	[BOUNCE_FILTERED] = { "filtered", false },                  /* a filter on the recipient's side refused it */
	[BOUNCE_SUSPEND] = { "suspend", false },                    /* the account is disabled, inactive or expired */
	[BOUNCE_SUPPRESSED] = { "suppressed", false },              /* on the provider's suppression list */
	[BOUNCE_MAILBOXFULL] = { "mailboxfull", false },            /* the mailbox is full */
	[BOUNCE_SYSTEMFULL] = { "systemfull", false },              /* the server's disk is full */
	[BOUNCE_EMAILTOOLARGE] = { "emailtoolarge", false },        /* the message is too large for there */
	[BOUNCE_REJECTED] = { "rejected", false },                  /* the envelope sender was refused */
	[BOUNCE_BLOCKED] = { "blocked", false },                    /* the sending host or address was refused */
	[BOUNCE_BADREPUTATION] = { "badreputation", false },        /* low reputation of the sending address or domain */
	[BOUNCE_REQUIREPTR] = { "requireptr", false },              /* no or bad reverse DNS */
	[BOUNCE_AUTHFAILURE] = { "authfailure", false },            /* SPF, DKIM or DMARC failed */
	[BOUNCE_RATELIMITED] = { "ratelimited", false },            /* too many or too fast */
	[BOUNCE_NORELAYING] = { "norelaying", false },              /* relaying denied */
	[BOUNCE_NOTCOMPLIANTRFC] = { "notcompliantrfc", false },    /* broken or duplicate header fields */
	[BOUNCE_POLICYVIOLATION] = { "policyviolation", false },    /* against another policy of theirs */
	[BOUNCE_SECURITYERROR] = { "securityerror", false },        /* login, TLS or another matter of security */
	[BOUNCE_SPAMDETECTED] = { "spamdetected", false },          /* taken for spam */
	[BOUNCE_VIRUSDETECTED] = { "virusdetected", false },        /* taken for a virus */
	[BOUNCE_CONTENTERROR] = { "contenterror", false },          /* header, MIME or attachment not accepted */
	[BOUNCE_SYNTAXERROR] = { "syntaxerror", false },            /* SMTP syntax or sequence */
	[BOUNCE_EXPIRED] = { "expired", false },                    /* not delivered within the time it may take */
	[BOUNCE_NETWORKERROR] = { "networkerror", false },          /* DNS, routing, a loop, a connection */
	[BOUNCE_FAILEDSTARTTLS] = { "failedstarttls", false },      /* STARTTLS failed */
	[BOUNCE_SYSTEMERROR] = { "systemerror", false },            /* trouble on the server */
	[BOUNCE_MAILERERROR] = { "mailererror", false },            /* a program that delivers mail failed */
	[BOUNCE_DELIVERED] = { "delivered", false },                /* no failure */
	[BOUNCE_FEEDBACK] = { "feedback", false },                  /* a complaint, not a bounce */
	[BOUNCE_VACATION] = { "vacation", false },                  /* an automatic answer */
};

const char *bounce_reason_name(enum bounce_reason reason)
{
	return reasons[reason].name;
}

bool bounce_reason_parse(struct str name, enum bounce_reason *out)
{
	for (int i = 0; i < BOUNCE_REASON_COUNT; i++) {
		if (str_eq(str_from_c(reasons[i].name), name)) {
			*out = (enum bounce_reason)i;
			return true;
		}
	}
	return false;
}

bool bounce_reason_is_hard(enum bounce_reason reason, bool is_transient)
{
	return reasons[reason].is_hard && !(reason == BOUNCE_NOTACCEPT && is_transient);
}
