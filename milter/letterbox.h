/*
 * letterbox - hand one letter to an SMTP server near by (RFC 5321): no TLS, no login, no pipelining.
 *
 * The envelope sender is FROM's domain under a local part that this process made up when it started, and that nobody else
 * knows: by it the gate knows its own mail when the server shows it, and counts it for nobody. So no notice of the guard can
 * be stopped by the guard, or make it strike.
 *
 * Bounds   each step takes `timeout_us` at most
 * Errors   ERR_BUSY: the server is not there, too slow, or says no (with its words)
 */
#ifndef SEKISHO_LETTERBOX_H
#define SEKISHO_LETTERBOX_H

#include "config/config.h"

#define LETTERBOX_SENDER_MAX 40

void letterbox_name(char out[LETTERBOX_SENDER_MAX + 1]);

struct letterbox_mail {
	struct str from;               /* of the header */
	struct str own_sender;         /* local part */
	struct str node;
	struct str_list to;
	struct str subject, text;      /* UTF-8; lines end in LF */
};
bool letterbox_send(struct str server, const struct letterbox_mail *mail, int64_t timeout_us, struct err *err);

#endif
