/*
 * return_path - envelope senders of our own making: given to what goes out, known again in what comes back.
 *
 * A path says whose it is, which message, and is signed (milter/link/path.h), so that nothing has to be kept for mail to one
 * recipient. Two things do not fit into 64 octets and go to the store:
 *
 *   sekisho:{TENANT}:sender:HEX10       the sender's address, by its mark in the path; written once a JST day and sender
 *   sekisho:{TENANT}:sent:MESSAGE       marks of the recipients, for a message with several
 *
 * both for as long as the tenant's paths are taken. Who got one message of a tenant knows one good path; the marks see to it
 * that this says nothing about other people's addresses.
 *
 * Errors   ERR_BUSY: the store or memory
 * Threads  any
 */
#ifndef SEKISHO_RETURN_PATH_H
#define SEKISHO_RETURN_PATH_H

#include "milter/link/path.h"
#include "policy/store.h"

#define RETURN_PATH_RECIPIENTS_MAX (STORE_VALUE_MAX / PATH_RECIPIENT_LEN)      /* of one message; of the rest nobody is known again */

/* What goes out. `message` is the id of its record. */
struct return_path_message {
	const struct tenant *tenant;
	struct str message, sender;
	const struct str *recipients;
	size_t recipient_count;
};
/* ERR_INPUT, with the reason: this message keeps its sender. */
bool return_path_make(struct store *st, const struct token_keys *keys, const struct return_path_message *message,
		      struct arena *arena, struct str *out, struct err *err);

/* What an address at the domain of return paths is. */
enum return_path_kind {
	RETURN_PATH_NONE,              /* not at such a domain */
	RETURN_PATH_ROLE,              /* postmaster, abuse, fbl: somebody reads it; complaints may come there */
	RETURN_PATH_FORGED,            /* or of a tenant that has none any more, or of a key that is gone */
	RETURN_PATH_EXPIRED,
	RETURN_PATH_GOOD,
};

struct return_path {
	const struct tenant *tenant;   /* of a good or an expired one */
	struct path path;
};

/* NULL `keys`: none is good. `address` bare. */
enum return_path_kind return_path_look(const struct config *config, const struct token_keys *keys, struct str address,
				       int64_t now_us, struct return_path *out);

/* To one recipient alone? */
bool return_path_is_single(const struct return_path *path);
/* The marks of all that the message was sent to; empty where the store does not know any more. */
bool return_path_marks(struct store *st, const struct return_path *path, struct arena *arena, struct str *out, struct err *err);
bool return_path_was_sent_to(const struct return_path *path, struct str marks, struct str address);
/* Empty: not known any more. */
bool return_path_sender(struct store *st, const struct return_path *path, struct arena *arena, struct str *out, struct err *err);

#endif
