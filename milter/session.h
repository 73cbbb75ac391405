/*
 * session - one SMTP session, told stage by stage.
 *
 * Knows no protocol library: a front (glue.c with libmilter) calls one function a stage and does what the answer says.
 * Several messages may follow one another; session_mail begins one, session_abort ends it on every path that is not end
 * of message. A message keeps the configuration that was current when it began.
 *
 * Waits    three named steps may wait: the store at DATA (passage_take_quotas), the store at end of message (judge_content), the
 *          record becoming durable (record_passage)
 * Order    changes are rendered, then recorded, then handed to the front: what the record says was done is certain before
 *          any of it is, and no message passes without its record. A front that fails half way answers 4xx; the MTA keeps
 *          nothing of such a message, and its next attempt has a record of its own
 * Local    mail that the MTA made or took on the host itself (is_local) is never refused before end of message: neither
 *          MTA can carry such an answer back
 * Memory   one arena a message, at most transaction_memory_max; over it the message is deferred (SKQ-MEM), never the
 *          session ended. Content that may be rewritten is kept beside it: letter.h. Between messages a session owns
 *          only itself
 * Threads  one call at a time per session; different threads may make them
 */
#ifndef SEKISHO_SESSION_H
#define SEKISHO_SESSION_H

#include "config/net.h"
#include "milter/envelope.h"

enum session_answer {
	SESSION_CONTINUE = 1,
	SESSION_REPLY,                 /* refuse with `reply` */
	SESSION_HOLD,                  /* end of message: quarantine, `reply->text` is the reason */
	SESSION_DISCARD,               /* end of message: the client hears "accepted", and that was all */
};

/* What the front does to a message that passes. All of it is on the record already when the front hears it; what it points
 * to lives until session_done. */
struct session_changes {
	struct str record_id;          /* value of the header SESSION_RECORD_HEADER, with a NUL behind it; empty: none */
	const struct rewrite_field *fields;    /* as in rewrite.h: nth counts the fields as they came */
	size_t field_count;
	const struct envelope *envelope;       /* a new sender, another recipient; NULL: as it came */
	size_t submit_count;           /* fields SUBMIT_HEADER (submit.h) to be removed, all of them */
	size_t steer_count;            /* fields REWRITE_STEER_HEADER to be removed, all of them, beside `fields` */
	bool has_body;                 /* a new one, to be read with session_next_chunk, in one unbroken run */
};
#define SESSION_RECORD_HEADER "Sekisho-Record"

/* What the front can do in this session. */
struct session_abilities {
	bool sees_body;                /* it shows the body: sizes can be measured */
	bool can_rewrite;              /* it shows the body, and can change it and the header */
	bool can_readdress;            /* it can change sender and recipients */
};
/* NULL: out of memory. */
struct session *session_new(struct gate *gate, const struct session_abilities *abilities);
void session_free(struct session *session);                    /* also in the middle of anything; NULL is fine */

/* NULL `client`: the peer has no address. */
void session_connect(struct session *s, const struct net_addr *client, bool is_local);
void session_helo(struct session *s, struct str helo);
/* `sender` is the argument of MAIL FROM as it came ("<a@b>"); `params` the ESMTP parameters. */
enum session_answer session_mail(struct session *s, struct str sender, const struct str *params, size_t param_count,
				 const struct session_macros *macros, struct reply *reply);
enum session_answer session_rcpt(struct session *s, struct str recipient, struct reply *reply);
enum session_answer session_data(struct session *s, const struct session_macros *macros, struct reply *reply);
void session_header(struct session *s, struct str name, struct str value);
void session_body(struct session *s, struct str chunk);
/*
 * Before end of message: large bodies are rewritten a few at a time. Waits for this one's turn, at most wait_us; false: not
 * yet. A front may keep the MTA patient meanwhile, and ask again. End of message without a turn leaves such a body as it is.
 */
bool session_take_turn(struct session *s, int64_t wait_us);
enum session_answer session_eom(struct session *s, const struct session_macros *macros, struct session_changes *out,
				struct reply *reply);
bool session_next_chunk(struct session *s, struct str *out);
/* After end of message, once the front has passed all changes on. */
void session_done(struct session *s);
void session_abort(struct session *s);

#endif
