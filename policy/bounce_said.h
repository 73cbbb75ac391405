/*
 * bounce_said - codes and command out of what a server said.
 *
 *     host mx.example.jp[192.0.2.1] said: 550-5.1.1 <a@b>... User unknown (in reply to RCPT TO command)
 *                                         --- -----                        command: RCPT
 *
 * An enhanced code right behind a reply code counts more than one that stands alone, a specific one more than x.0.0.
 *
 * Bounds   linear; SAID_MAX octets are looked at
 */
#ifndef SEKISHO_BOUNCE_SAID_H
#define SEKISHO_BOUNCE_SAID_H

#include "config/base/str.h"

#define SAID_MAX 4096

enum smtp_command {
	SMTP_UNKNOWN,
	SMTP_CONNECT, SMTP_HELO, SMTP_STARTTLS, SMTP_AUTH, SMTP_MAIL, SMTP_RCPT, SMTP_DATA, SMTP_QUIT,
	SMTP_COMMAND_COUNT
};

struct said {
	int reply;                     /* 4xx or 5xx; 0: none */
	struct str status;             /* "5.1.1"; empty: none */
	enum smtp_command command;
};

/* Words, folded (config/base/words.h), by which a program tells at which command it was refused. They are found in the
 * same pass as the rules' phrases. */
struct said_place {
	struct str words;
	enum smtp_command command;
};
extern const struct said_place said_places[];
extern const size_t said_place_count;

/* `command` only as far as a dialogue or a bracket shows it. */
void said_read(struct str text, struct said *out);

/* From the first reply that refuses to the end of its paragraph; the whole when there is none. */
struct str said_reply_of(struct str text);

const char *smtp_command_name(enum smtp_command command);     /* "RCPT" ...; "" for unknown */
bool smtp_command_parse(struct str name, enum smtp_command *out);
/* x.0.0 and x.0 say only what the first digit says. */
bool status_is_vague(struct str status);

#endif
