/*
 * returning - a message that comes back: known by the return path it goes to, read, counted, and sent on its way.
 *
 * At RCPT   an address at a domain of return paths is good, or refused; one such recipient is all that a message may have.
 *           Postmaster and the like pass. Nothing is asked of the store, so that forged ones cost their octets and no more
 * Content   kept from DATA on for a good path, for the roles, and for what the MTA itself tells senders (is_own): the first
 *           RETURNING_CONTENT_MAX octets, which hold the report and its codes; what was returned follows them
 * At end    the report is read and judged (returned.h). Each recipient whom the message was really sent to is counted once,
 *           whoever else reports it, and suppressed where that follows (failure.h); a delay is only recorded; a report about
 *           somebody whom the message was not sent to counts once a message and suppresses nobody
 * Records   "bounced", "delayed", "complained" with the returned message's id; `outcome` is
 *           {"dsn","reply","relay","reason","hard","known","final","shape","report"}: final is the address in the report where
 *           it is another one, report the id of the record of the message that brought it
 * Whose     a good path says whose it is. In a complaint to a role a path inside does; other reports there are somebody's to
 *           read. The MTA's own notices name the message by its queue id: a path inside may stand in what came back with it
 * Errors    ERR_BUSY: store, log or memory; whoever sends the report tries again, and nothing counts twice
 */
#ifndef SEKISHO_RETURNING_H
#define SEKISHO_RETURNING_H

#include "milter/passage.h"
#include "milter/return_path.h"

#define RETURNING_CONTENT_MAX ((size_t)512 << 10)

struct returning {
	enum return_path_kind kind;    /* of the recipient; RETURN_PATH_NONE: an ordinary message */
	bool is_own;                   /* from the MTA itself, to somebody else */
	bool is_kept, has_body;        /* the content is; its body has begun */
	bool is_machine;               /* no person wrote it: null sender, a report, or it says so */
	struct return_path path;
	struct buf content;
};

void returning_init(struct returning *r);
void returning_end(struct returning *r);
/* Mail of no tenant, to a return path or of the MTA's own: no quota, no rule of a tenant applies. */
bool returning_is_on(const struct returning *r);

/* The recipient that p->recipients ends with. False: not our business; *out stays. */
bool returning_meet(struct returning *r, struct gate *gate, const struct passage *p, struct verdict *out);
/* At DATA, when all recipients are known: from here on the message is the path's tenant's. */
void returning_begin(struct returning *r, struct passage *p);
void returning_add_field(struct returning *r, struct str name, struct str value);
void returning_add_body(struct returning *r, struct str chunk);
/* At end of message. */
bool returning_read(struct returning *r, struct gate *gate, struct passage *p, struct err *err);

/* Where it goes on to: RETURNED_SENDER with the address in `out`, empty when nobody knows it any more. */
bool returning_fate(const struct returning *r, struct gate *gate, struct arena *arena, enum returned_mail *out_fate,
		    struct str *out, struct err *err);

#endif
