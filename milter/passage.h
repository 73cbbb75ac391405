/*
 * passage - one message on its way through the gate: what is known of it, and its entry in the relay log.
 *
 * The session learns stage by stage and keeps it here; policy judges `facts`; passage_record writes what was decided.
 * The verdict's record carries the message's own id, so that the reference a sender hears, the header
 * Sekisho-Record and `sekisho log show` all name the same thing.
 *
 * Memory   one arena, at most transaction_memory_max, given back by passage_end
 * Errors   functions that keep something return false when that memory is used up
 */
#ifndef SEKISHO_PASSAGE_H
#define SEKISHO_PASSAGE_H

#include "milter/gate.h"
#include "milter/reply.h"
#include "milter/rewrite.h"

/* What the MTA tells beside the command: macros; empty when it did not. */
struct session_macros {
	struct str queue_id, auth_authen, daemon_name, tls_version, verify, cert_subject, cert_issuer;
};

/* The session around it, for the record. Borrowed. */
struct peer {
	const struct net_addr *addr;   /* NULL: none */
	struct str client, helo;
};

/* What was decided and said, for one record. */
struct decision {
	enum verdict_action action;
	struct str id, rule, reply;
	struct str rcpt;               /* when it was about recipients alone: the first of them */
	int64_t rcpt_count;            /* how many they were; 0: it was about the message */
};

#define PASSAGE_REFUSALS_MAX 12        /* fewer rules refuse recipients alone */

/* Those whom one rule refused alone: they have a record, and hear its reference, together. */
struct refusal {
	struct decision decision;
	char id[RECORD_ID_LEN + 1];
};

struct passage {
	struct config *config;         /* NULL: no message under way */
	struct arena arena;
	struct policy_facts facts;
	const struct tenant *tenant;
	enum match_kind matched_by;
	struct verdict pending;        /* a refusal or a hold that end of message will speak of; action 0: none */
	char id[RECORD_ID_LEN + 1];
	bool is_id_used;               /* a record has it; further refusals get ids of their own */
	char later_id[RECORD_ID_LEN + 1];      /* the last of them */
	bool is_counted;               /* in traffic */
	bool is_charged;               /* quotas were taken under `id` */
	bool is_out_of_memory;
	bool is_returned;              /* it came back: what the MTA says of it is no delivery of the tenant's */
	struct verdict postponed;      /* of a message that may be going to a return path: said at its first other recipient */
	bool is_sender_unreadable;
	bool is_late;                  /* whose it is comes with the header: late.h */
	size_t submit_count;           /* fields SUBMIT_HEADER; the first one's value: */
	struct str submit_field;
	struct str *recipients;
	size_t recipient_room;
	struct str *from;
	size_t from_room;
	struct str tls_version, queue_id, message_id;
	char subject_hash[33];         /* first 16 octets of SHA-256 of the field's value, hex; empty: no subject */
	int64_t octets;                /* of header and body, as far as they were shown */
	struct str *actions;           /* for the record: "monitor:hourly", "warn:daily:80" */
	size_t action_count, action_room;
	struct refusal refusals[PASSAGE_REFUSALS_MAX];     /* at RCPT, by rule; their records are written when the message ends */
	size_t refusal_count;
};

/* Takes over one reference to `config`. */
void passage_begin(struct passage *p, struct config *config);
void passage_end(struct passage *p);

/* What a message hears whose facts found no room: to come again. */
struct verdict passage_memory_verdict(const struct passage *p);

/* Whose is it? Policy's question at MAIL. */
void passage_identify(struct passage *p, const struct policy *policy, struct verdict *verdict);
/* First wait: the store takes all quotas of the message, or none. */
void passage_take_quotas(struct passage *p, const struct policy *policy, struct verdict *verdict);
/* May its content change? */
bool passage_may_track(const struct passage *p);
bool passage_keep(struct passage *p, struct str s, struct str *out);
/* Whom the MTA takes the client for, and what MAIL's parameters say. */
bool passage_learn(struct passage *p, const struct session_macros *macros);
void passage_learn_size(struct passage *p, const struct str *params, size_t count);
/*
 * The arguments of MAIL and RCPT. The MTA may find an address in what cannot be read as one, and another than we would: no
 * limit, list or owner could be sure of it. So it is refused: a sender by passage_identify, a recipient at once (false, and
 * *verdict says so, or memory is out). A local submission can refuse nobody; its recipient stands as it was typed.
 */
bool passage_keep_sender(struct passage *p, struct str argument);
bool passage_keep_recipient(struct passage *p, struct str argument, struct str *out, struct verdict *verdict);
void passage_drop_recipient(struct passage *p);                /* the last one: it was refused */
void passage_add_header(struct passage *p, struct str name, struct str value);
/* Monitored limits and warn levels: into the record's actions and the operator's log; levels he is told of as well. */
void passage_add_notes(struct passage *p, const struct gate *gate, const struct verdict *verdict);
/* What was done to the content ("opens", "clicks:12", "unsubscribe", "signature:stripped"), and what was left alone and
 * why ("left:part 2: unknown charset"). `changes` NULL: all of it was, `why_not` (may be NULL) says why. */
void passage_add_changes(struct passage *p, const struct rewrite_result *changes, const char *why_not);

/* False: it is there already. */
bool passage_add_action(struct passage *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Nobody's mail may be going to a return path, which only its recipient says: until then what MAIL has against it waits. */
void passage_postpone(struct passage *p, struct verdict *verdict);
/* Keeps a hold or a refusal as `pending`: a refusal outweighs a hold, the first refusal and the last hold stand. */
void passage_remember(struct passage *p, const struct verdict *verdict);

/* The id that the next record about this message gets. Lives until the next one. */
struct str passage_next_id(struct passage *p);

/* One record of what was decided. For an accepted or held message it is durable on return. */
bool passage_record(struct passage *p, struct gate *gate, const struct peer *peer, const struct decision *decision,
		    struct err *err);
/* What a recipient hears that is refused alone; passage_record_refused writes it down, of each rule for its first one. */
void passage_refuse_recipient(struct passage *p, const struct verdict *verdict, struct str recipient, struct reply *out);
void passage_record_refused(struct passage *p, struct gate *gate, const struct peer *peer);

#endif
