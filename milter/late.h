/*
 * late - mail whose sender is known at its end: what scripts hand in on this host.
 *
 * The field that says whose it is (submit.h) comes with the header, after MAIL, RCPT and DATA. So where submit.socket was
 * set at the start, mail that was handed in on the host itself, or comes from a loopback address without a login
 * (Sendmail's sendmail(1) does), is asked none of policy's questions when they come up; late_judge asks them all, in their
 * order, once the header is there.
 * Nothing is lost by that: such mail is never refused before its end anyway, as no MTA could carry the answer back.
 */
#ifndef SEKISHO_LATE_H
#define SEKISHO_LATE_H

#include "milter/passage.h"

/* At MAIL, once the sender is known: sets p->is_late. */
bool late_begins(struct passage *p, const struct gate *gate);
/* A field of the header: SUBMIT_HEADER is kept and counted, for late mail and any other. */
void late_add_header(struct passage *p, const struct gate *gate, struct str name, struct str value);
/* MAIL, RCPT for each recipient, DATA: the verdict stands in p->pending, as what an earlier stage remembered.
 * True: the field held, and it is a user's. */
bool late_judge(struct passage *p, struct gate *gate);

#endif
