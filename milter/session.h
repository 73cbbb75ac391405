/*
 * session - one SMTP session, told stage by stage.
 *
 * Knows no protocol library: a front (glue.c with libmilter) calls one function a stage and does what the answer says.
 * Several messages may follow one another; session_mail begins one, session_abort ends it on every path that is not end
 * of message. The configuration is the one that was current when the message began.
 *
 * Waits    three named steps may wait: the store at DATA (policy_on_data), the store at end of message
 *          (policy_on_eom), the record becoming durable (session_record)
 * Memory   one arena a message, at most transaction_memory_max; over it the message is deferred (SKQ-MEM), never the
 *          session ended. An idle session owns no message memory
 * Threads  one call at a time per session; different threads may make them
 */
#ifndef SEKISHO_SESSION_H
#define SEKISHO_SESSION_H

#include "config/net.h"
#include "milter/record/writer.h"
#include "milter/reply.h"

struct gate;                           /* gate.h: what all sessions share */
struct session;

enum session_answer {
	SESSION_CONTINUE = 1,
	SESSION_REPLY,                 /* refuse with `reply` */
	SESSION_HOLD,                  /* end of message: quarantine, `reply.text` is the reason */
	SESSION_SKIP_BODY,             /* no more body wanted */
};

/* What the MTA tells beside the command: macros; empty when it did not. */
struct session_macros {
	struct str queue_id, auth_authen, auth_type, daemon_name, tls_version, verify, cert_subject, cert_issuer;
};

/* Changes the front makes at end of message, in this order. Strings live until the next call. */
struct session_changes {
	struct str header_name, header_value;     /* one header to add; empty name: none */
};

struct session *session_new(struct gate *gate);                /* NULL: out of memory */
void session_free(struct session *session);                    /* closes; also in the middle of anything */

enum session_answer session_connect(struct session *s, struct str host, const struct net_addr *client, bool is_local);
enum session_answer session_helo(struct session *s, struct str helo);
/* `sender` is the argument of MAIL FROM as it came ("<a@b>"); `params` the ESMTP parameters. */
enum session_answer session_mail(struct session *s, struct str sender, const struct str *params, size_t param_count,
				 const struct session_macros *macros, struct reply *reply);
enum session_answer session_rcpt(struct session *s, struct str recipient, struct reply *reply);
enum session_answer session_data(struct session *s, const struct session_macros *macros, struct reply *reply);
enum session_answer session_header(struct session *s, struct str name, struct str value);
enum session_answer session_body(struct session *s, struct str chunk);
enum session_answer session_eom(struct session *s, const struct session_macros *macros, struct session_changes *changes,
				struct reply *reply);
void session_abort(struct session *s);

#endif
