/*
 * policy - facts about a message in, one verdict out.
 *
 * Four questions, asked when the SMTP session has the facts for them (at MAIL, RCPT, DATA, end of message). None of
 * them knows a protocol library: the session fills `struct policy_facts` as it learns, and turns the verdict into a
 * reply. All quotas of a message are taken in one atomic step at DATA (those on bytes at end of message, when the size
 * is known); whoever does not accept the message in the end, for whatever reason, calls `policy_refund`.
 *
 * Nobody's  mail that the MTA made itself (is_internal, a null sender, no login) has no tenant and is always let through: a
 *           bounce that is refused is lost. Its verdict has tenant NULL; with tenant NULL the later questions accept
 * Shared    with a store that relays share, what is not known here of suspensions and suppressions is asked along with the
 *           charge at DATA, which then refuses: see bar.h
 * Held      a VERDICT_HOLD, at MAIL, DATA or end of message, lets the message go on into quarantine. The session sets
 *           facts.is_held and asks on: the later questions may still refuse, but take nothing more
 * Monitor   what is only monitored becomes a note of the verdict
 *
 * Memory   a verdict's strings live in the arena that was passed, or in the snapshot
 * Errors   none: a store that fails is itself a verdict, by on_store_failure
 */
#ifndef SEKISHO_POLICY_H
#define SEKISHO_POLICY_H

#include "policy/store.h"

enum verdict_action {
	VERDICT_ACCEPT = 1,
	VERDICT_DEFER,
	VERDICT_REJECT,
	VERDICT_HOLD,
};

/* Why, and so which reply: one row each in milter/reply.c. */
enum verdict_reason {
	REASON_NONE,                   /* accepted */
	REASON_NO_TENANT,              /* SKQ-WHO */
	REASON_SUSPENDED,              /* SKQ-SUSP */
	REASON_SENDER,                 /* SKQ-SENDER: envelope sender not the tenant's */
	REASON_ADDRESS,                /* SKQ-ADDR: envelope sender or recipient that cannot be read */
	REASON_FROM,                   /* SKQ-FROM: header From not the tenant's */
	REASON_CONTENT,                /* SKQ-CONTENT: a rule on content is met */
	REASON_TLS,                    /* SKQ-TLS */
	REASON_AUTH,                   /* SKQ-AUTH */
	REASON_SIZE,                   /* SKQ-SIZE */
	REASON_RECIPIENT,              /* SKQ-TO: not one that the tenant may write to */
	REASON_SUPPRESSED,             /* SKQ-SUPP: the recipient is on the tenant's suppression list */
	REASON_RETURN_PATH,            /* SKQ-PATH: a return path that is forged or has expired */
	REASON_RECIPIENTS,             /* SKQ-RCPTS: too many in one message */
	REASON_RATE,                   /* SKQ-RATE: would fit later */
	REASON_QUOTA,                  /* SKQ-QUOTA: calendar quota used up */
	REASON_NEVER,                  /* SKQ-NEVER: larger than the whole limit */
	REASON_STORE,                  /* SKQ-STORE */
	REASON_MEMORY,                 /* SKQ-MEM: over transaction_memory_max */
	REASON_RECORD,                 /* SKQ-LOG: the relay log cannot be written */
	REASON_RECORD_FULL,            /* SKQ-DISK */
	REASON_COUNT
};

/* A field of the header that a rule on content asks for. */
struct content_field {
	struct str name, value;        /* decoded, UTF-8, in one line */
	const struct content_field *next;
};

struct policy_facts {
	/* the session */
	const struct net_addr *client; /* NULL: none (a local submission) */
	struct str auth;               /* lower case */
	struct str cert_subject, cert_issuer;      /* only of a verified certificate */
	struct str daemon_name;
	bool has_tls;
	bool is_internal;              /* not from the network (a bounce, a notice, sendmail(1)): refused at its end, and whole */
	bool is_judged_at_end;         /* from the network, and judged at its end all the same (milter/late.h): refused whole too */
	bool is_held;                  /* an earlier verdict was VERDICT_HOLD: nothing is taken any more */
	/* the envelope */
	struct str sender;             /* bare, as typed; empty: null sender */
	int64_t declared_size;         /* of SIZE=; 0: not said */
	const struct str *recipients;  /* bare, as typed */
	size_t recipient_count;
	/* the content, at end of message */
	const struct str *from;        /* every address of From and Sender, bare */
	size_t from_count;
	bool has_from;                 /* there is a From field */
	bool from_is_broken;           /* a From or Sender field with nothing in it, or something that is no address */
	const struct content_field *content;       /* in no order; NULL: there are none */
	int64_t size;                  /* octets of header and body; 0: not measured */
};

/* A limit that was decided but not enforced, a level that was crossed: for the record and the log. */
struct policy_note {
	struct str rule;               /* quota's name, "senders", "from", "size_max", "content:NAME", ... */
	struct str scope;              /* as in the verdict */
	enum verdict_reason reason;    /* REASON_NONE: a warn level */
	int percent;                   /* of the limit, for a warn level */
	int64_t used, limit;
};
#define POLICY_NOTES_MAX 32
#define POLICY_NOTES_OTHERS 8         /* of them are not for rules on content, of which many may be met */

/* verdict.rule where no quota decided */
#define POLICY_RULE_SUSPENDED STR("suspended")
#define POLICY_RULE_SENDERS STR("senders")
#define POLICY_RULE_ADDRESS STR("address")
#define POLICY_RULE_FROM STR("from")
#define POLICY_RULE_TLS STR("require_tls")
#define POLICY_RULE_AUTH STR("require_auth")
#define POLICY_RULE_SIZE STR("size_max")
#define POLICY_RULE_RECIPIENTS STR("recipients_max")
#define POLICY_RULE_RECIPIENT STR("recipients")
#define POLICY_RULE_SUPPRESS STR("suppress")
#define POLICY_RULE_RETURN_PATH STR("return_path")
#define POLICY_RULE_DOMAINS STR("recipient_domains")    /* more than one charge can count: STORE_TAKES_MAX */

struct verdict {
	enum verdict_action action;
	enum verdict_reason reason;
	const struct tenant *tenant;   /* NULL: nobody's */
	enum match_kind matched_by;    /* MATCH_KIND_COUNT: nothing matched, it is the default tenant's or nobody's */
	struct str rule;               /* what decided */
	struct str scope;              /* whose: login, domain, address (the one that was refused); empty: the tenant's own */
	enum quota_counts counts;
	struct str period;             /* "hour", "day", "10m": for the sentence */
	int64_t used, limit;
	int64_t retry_at_us;           /* wall time when it would fit, or when a suspension ends; 0: unknown or never */
	bool fits_in_parts;            /* REASON_RATE, REASON_QUOTA: nothing need be used up, the message alone is more than the limit
					* is now (warm-up, half); it will not always be */
	struct str detail;             /* for REASON_SUSPENDED and REASON_SUPPRESSED: why; REASON_STORE: what the store said */
	struct policy_note notes[POLICY_NOTES_MAX];
	size_t note_count;
	bool was_store_gone;           /* decided without the store (on_store_failure: accept) */
	bool was_store_local;          /* counted by this relay alone (on_store_failure: local) */
	bool was_store_shared;         /* counted in a store that relays share */
	bool was_halved;               /* by half of each limit: a guard's doing, or a person's */
};

struct policy {
	struct store *store;
	struct str node;
	struct str own_sender;         /* local part by which the gate knows mail of its own; nobody else does. Empty: none */
};

/* Whose is it, may it send at all, may it use this sender. Sets out->tenant. */
void policy_on_mail(const struct policy *policy, const struct config *config, const struct policy_facts *facts,
		    struct arena *arena, struct verdict *out);
/* One recipient more, the last of facts->recipients: does it fit into the message, does it want mail at all? What is said of
 * mail handed in on the host is said of all of it. */
void policy_on_rcpt(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		    const struct policy_facts *facts, struct arena *arena, struct verdict *out);
/* All recipients are known: take every quota on recipients and messages, under the name `charge_id`, unless they or the tenant
 * turn out to be suppressed or suspended. */
void policy_on_data(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		    const struct policy_facts *facts, struct str charge_id, struct arena *arena, struct verdict *out);
/* The content is known: size, rules on content, header From, quotas on bytes (taken under charge_id + "/b"). */
void policy_on_eom(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		   const struct policy_facts *facts, struct str charge_id, struct arena *arena, struct verdict *out);
/* Refused, aborted or gone: both charges go back. A store that cannot is logged; the charge then ages out. */
void policy_refund(const struct policy *policy, const struct tenant *tenant, struct str charge_id);

/* The message has passed: its charges stand. */
void policy_settle(const struct policy *policy, const struct tenant *tenant, struct str charge_id);

/* What is left: one line a quota and key, with what these facts would cost. Takes nothing. */
struct quota_state {
	const struct quota *quota;
	struct str scope;              /* key's value; empty for the tenant's own */
	int64_t used, limit, resets_us;
	int64_t attempts;              /* messages it refused lately, forgotten after the quota's own period */
	bool is_over;                  /* this message would not fit */
	bool is_halved;                /* `limit` is half of the configured one */
	bool is_warming;               /* it is as much of it as a warm-up allows today */
};
#define QUOTA_STATES_MAX STORE_TAKES_MAX
bool policy_peek(const struct policy *policy, const struct config *config, const struct tenant *tenant,
		 const struct policy_facts *facts, struct arena *arena, struct quota_state *out, size_t *out_count,
		 struct err *err);

#endif
