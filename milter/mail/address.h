/*
 * address - bare addresses out of the envelope and out of From and Sender fields.
 *
 * MTAs hand over what the client typed: <a@b>, a@b, <@relay:a@b>, "q s"@d, any case, UTF-8 (RFC 6531). Header fields
 * add display names, comments, groups, folding and obsolete forms (RFC 5322 3.4, 4.4). Both come out as one spelling,
 * local@domain: no angle brackets, no source route, no comments or blanks around the dots, quotes only where the local
 * part needs them ("j doe"@d stays, "jdoe"@d becomes jdoe@d: RFC 5321 4.1.2 has them equal), no dot at the end of the
 * domain, A-labels for a domain that is not ASCII (config/base/domain.h). Case stays as typed otherwise. A domain may be
 * missing (<postmaster>, a local submission's root).
 *
 * Input    hostile; one pass, linear
 * Memory   results point into the text where its spelling is good already, else into the arena
 * Errors   ERR_INPUT: not an address; ERR_BUSY: arena full
 * Bounds   ADDRESS_MAX octets an address, ADDRESS_LIST_MAX addresses a field
 */
#ifndef SEKISHO_MAIL_ADDRESS_H
#define SEKISHO_MAIL_ADDRESS_H

#include "config/base/arena.h"
#include "config/base/err.h"

#define ADDRESS_MAX 1024               /* RFC 5321 4.5.3.1 has 64 + 1 + 255; MTAs take more */
#define ADDRESS_LIST_MAX 256

/*
 * The argument of MAIL FROM or RCPT TO without its parameters. "" and "<>" are the null sender: *out is empty. Anything
 * beside the one address is an error, and nothing is guessed.
 */
bool address_parse_path(struct str text, struct arena *arena, struct str *out, struct err *err);

struct address_list {
	struct str *items;
	size_t count;
	bool is_broken;                /* something in it is no address, or nothing is, or there are too many */
};

/*
 * Every address of a field's value (From, Sender, To ...), folds included as they came. Where readers disagree about
 * what a broken mailbox means (`a@b <c@d>`, `<a@b> <c@d>`), each address that one of them would see is given: who asks
 * whether all belong to somebody is not fooled. A lone word (`root`, as cron writes) is an address without domain.
 */
bool address_parse_list(struct str value, struct arena *arena, struct address_list *out, struct err *err);

/* Of a bare address: what stands after the last @; empty without one. */
struct str address_domain(struct str address);

#endif
