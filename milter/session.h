/*
 * session - one SMTP session, told stage by stage.
 *
 * Knows no protocol library: a front (glue.c with libmilter) calls one function a stage and does what the answer says.
 * Several messages may follow one another; session_mail begins one, session_abort ends it on every path that is not end
 * of message. A message keeps the configuration that was current when it began.
 *
 * Waits    three named steps may wait: the store at DATA (take_quotas), the store at end of message (judge_content), the
 *          record becoming durable (record_passage)
 * Local    mail that the MTA made or took on the host itself (is_local) is never refused before end of message: neither
 *          MTA can carry such an answer back (MTA-NOTES, "Time and replies")
 * Memory   one arena a message, at most transaction_memory_max; over it the message is deferred (SKQ-MEM), never the
 *          session ended. Between messages a session owns only itself
 * Threads  one call at a time per session; different threads may make them
 */
#ifndef SEKISHO_SESSION_H
#define SEKISHO_SESSION_H

#include "config/net.h"
#include "milter/gate.h"
#include "milter/reply.h"

enum session_answer {
	SESSION_CONTINUE = 1,
	SESSION_REPLY,                 /* refuse with `reply` */
	SESSION_HOLD,                  /* end of message: quarantine, `reply->text` is the reason */
};

/* What the MTA tells beside the command: macros; empty when it did not. */
struct session_macros {
	struct str queue_id, auth_authen, daemon_name, tls_version, verify, cert_subject, cert_issuer;
};

/* One header that the front adds at end of message. The value lives until the next call. */
struct session_header {
	struct str name, value;
};

/* `sees_body`: the front will show the body, so sizes can be measured. NULL: out of memory. */
struct session *session_new(struct gate *gate, bool sees_body);
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
enum session_answer session_eom(struct session *s, const struct session_macros *macros, struct session_header *out_header,
				struct reply *reply);
void session_abort(struct session *s);

#endif
