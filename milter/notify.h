/*
 * notify - tell the operator: one JSON object, a line, on the standard input of a program; a letter, by mail.
 *
 * Each goes its own way in a thread of its own, and nobody waits for it. The program is started without a shell, in a process
 * group that is killed after notify.timeout; it inherits no descriptor but the standard ones, no blocked signal, and no
 * ignored SIGPIPE or SIGCHLD. What fails is logged and counted.
 *
 * Bounds   NOTIFY_MAX octets; NOTIFY_RUNNING_MAX at a time, what is more is only logged
 * Threads  any
 */
#ifndef SEKISHO_NOTIFY_H
#define SEKISHO_NOTIFY_H

#include "config/base/buf.h"
#include "config/config.h"

#define NOTIFY_MAX 16384               /* holds a sender of 512 octets twice, six octets each in JSON */
#define NOTIFY_RUNNING_MAX 16

/* An empty `command` tells nobody. */
void notify_tell(struct str command, const struct buf *object);
/* To notify.to; nobody there: nothing. `own_sender` as letterbox_name made it; `subject` a line, `text` lines of UTF-8. */
void notify_mail(const struct config *config, struct str own_sender, struct str subject, const struct buf *text);
/* Half of those who may be on their way are: who can wait should. */
bool notify_is_busy(void);
/* Waits until all have gone, or for so long. */
void notify_finish(int64_t wait_us);

#endif
