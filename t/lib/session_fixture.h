/*
 * session_fixture - a real gate (embedded store, relay log) in a directory of its own, and who comes to it.
 *
 * The node is gate.test. The key of its tokens is the same in each gate, that of its relay log is not.
 */
#ifndef SEKISHO_T_SESSION_FIXTURE_H
#define SEKISHO_T_SESSION_FIXTURE_H

#include "milter/session.h"

extern struct gate gate;
extern const struct session_macros fixture_macros;     /* after MAIL: what the MTA calls the message, "4QfQ1" */

/* A fresh one, its configuration in force. As by printf(3): what the file says beside node, directories and keys. */
void fixture_open(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fixture_close(void);
/* Closes it, and so everything that was queued is written: one class of its relay log as text, until the next call. */
struct str fixture_log(const char *class);

/* A client at 192.0.2.1, through a front that can do everything. */
struct session *fixture_visitor(void);
/* From an address; NULL: handed in on the host. */
void fixture_connect(struct session *s, const char *client);
/* MAIL of who is logged in as `auth`; empty: nobody. */
enum session_answer fixture_mail(struct session *s, const char *auth, const char *sender, struct reply *reply);

#endif
