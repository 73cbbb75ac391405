/*
 * submit - whose mail a script on this host sends: sendmail(1) tells no milter who called it, so the gate vouches for it.
 *
 * A program in sendmail(1)'s place (sekisho-sendmail) asks this host's gate over a socket; the kernel says whose process asks
 * (SO_PEERCRED), and the gate answers with a field for the header:
 *
 *   X-Sekisho-Submit: 1 USER TIME NONCE MAC
 *
 * TIME are seconds since 1970, NONCE 16 hexadecimal digits, MAC the first 32 of HMAC-SHA256 over "sekisho submit\n" and the
 * field's text before it. A message whose first such field holds is USER's, as if it had logged in as USER@unix
 * (SUBMIT_REALM): rules, quotas by login and records need no other word for it. Every such field is removed on the way.
 * One that does not hold is worth nothing: the message is whoever's it is without it.
 *
 * Key      32 octets in state_dir/submit.key, made at the first start; it never leaves the gate, so no program on the way has
 *          any right that its user has not. A field says only what its user may say anyway: whoever copies his own gains
 *          nothing, and another's is removed before anybody sees it
 * Time     a field holds for submit.valid: mail may wait in the maildrop while the gate is away
 * Errors   ERR_CONFIG: the socket cannot be made; ERR_BUSY: the key
 * Threads  the socket is served by one of its own; submit_sign and submit_read: any
 */
#ifndef SEKISHO_SUBMIT_H
#define SEKISHO_SUBMIT_H

#include <pthread.h>

#include "config/config.h"

#define SUBMIT_HEADER "X-Sekisho-Submit"
#define SUBMIT_REALM "@unix"
#define SUBMIT_USER_MAX 64
#define SUBMIT_KEY_LEN 32
#define SUBMIT_FIELD_MAX 256           /* of the value */

struct submit {
	unsigned char key[SUBMIT_KEY_LEN];
	bool is_open;                  /* submit.socket was not none at the start */
	int socket, stop[2];
	pthread_t thread;
};

/* Reads the key, or makes it; serves config->submit_socket, where there is one. */
bool submit_open(struct submit *submit, const struct config *config, struct err *err);
void submit_close(struct submit *submit);

/* The value of the field for this user; false: a name that no login can be made of. */
bool submit_sign(const struct submit *submit, struct str user, int64_t now_us, char out[SUBMIT_FIELD_MAX]);
/* "USER@unix", of a value that holds. Otherwise ERR_INPUT; ERR_BUSY without memory, when nobody can tell. */
bool submit_read(const struct submit *submit, struct str value, int64_t now_us, int64_t valid_us, struct arena *arena,
		 struct str *out_login, struct err *err);

#endif
