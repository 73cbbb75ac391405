/*
 * queue - the mail that the MTA holds, and the way to let it go or throw it away.
 *
 * Postfix's hold queue is listed by postqueue(1) and changed by postsuper(1); Sendmail's quarantine is a file hfID in its queue
 * directory, which is read, set free by sendmail(8) (-qQ -Q -qIID) and thrown away by removing it and its dfID under the lock
 * that Sendmail itself takes.
 *
 * Rights   both want root. What is asked afterwards (store, relay log) is the daemon's, and the tool gives root away before it
 *          touches that; so a hand is kept: a child that stays root and does nothing but these two things to ids that name
 *          one message in the queue
 * Input    queue files and postqueue's answer hold strangers' addresses
 * Errors   ERR_BUSY, ERR_INPUT: an id that is none
 */
#ifndef SEKISHO_QUEUE_H
#define SEKISHO_QUEUE_H

#include <limits.h>

#include "milter/tool/tool.h"

#define QUEUE_ID_MAX 64
#define POSTFIX_DIR "/etc/postfix"
#define SENDMAIL_CF "/etc/mail/sendmail.cf"

struct queue_mta {
	const char *postfix;           /* its configuration directory; NULL: Sendmail */
	const char *sendmail;          /* its .cf */
	const char *program;           /* Sendmail's */
	const char *dirs;              /* its queue directories, perhaps with a `*` at the end */
};

struct queue_options {
	struct str postfix, sendmail, program;
};
#define QUEUE_MTA_OPTIONS(field)                                                                                             \
	{ "--postfix", OPTION_TEXT, field + offsetof(struct queue_options, postfix), "DIR", NULL,                            \
	  "Postfix's configuration directory (default: " POSTFIX_DIR ")" },                                                    \
	{ "--sendmail", OPTION_TEXT, field + offsetof(struct queue_options, sendmail), "FILE", NULL,                         \
	  "the MTA is Sendmail, with this .cf (default: " SENDMAIL_CF ")" }
#define QUEUE_OPTIONS(field)                                                                                                 \
	QUEUE_MTA_OPTIONS(field),                                                                                            \
	{ "--sendmail-program", OPTION_TEXT, field + offsetof(struct queue_options, program), "FILE", NULL,                  \
	  "Sendmail's program (default: /usr/sbin/sendmail)" }

/* The one that was named, else the one whose configuration is there; neither: postfix and sendmail are NULL. */
void queue_choose(struct tool *tool, const struct queue_options *want, struct queue_mta *out);
/* The same, and where its queue is. ERR_CONFIG: there is no MTA. */
bool queue_find(struct tool *tool, const struct queue_options *want, struct queue_mta *out, struct err *err);

struct queue_entry {
	struct str id, sender;
	struct str *recipients;
	size_t recipient_count;
	int64_t arrived_us, size;
};
struct queue_list {
	struct queue_entry *items;     /* the oldest first */
	size_t count, room;
};
/* What is on hold, whoever put it there. */
bool queue_read_held(struct tool *tool, const struct queue_mta *mta, struct queue_list *out, struct err *err);
/* How many messages that are, by the names in the directory alone; ERR_BUSY: it is not this user's to look into. */
bool queue_count_held(struct tool *tool, const struct queue_mta *mta, int64_t *out, struct err *err);

/* The control file of a quarantined message of Sendmail; ERR_INPUT: there is none. */
bool queue_find_quarantined(const struct queue_mta *mta, const char *id, char path[PATH_MAX], struct err *err);

/* --- the hand */

enum queue_verb { QUEUE_RELEASE, QUEUE_DROP };

struct hand;

/* Before root is given away. ERR_BUSY: this is not root. */
bool hand_open(const struct queue_mta *mta, struct hand **out, struct err *err);
bool hand_do(struct hand *hand, enum queue_verb verb, struct str id, struct err *err);
void hand_close(struct hand *hand);                /* NULL is fine */

#endif
