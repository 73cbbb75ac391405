/*
 * envelope - what is changed in a message's envelope: its sender on the way out, its recipient on the way back.
 *
 * Whatever stands in the way of a signed sender (no keys, no store) is a reason to let the message keep its own, which the
 * record then says; mail is not held up for it.
 *
 * Memory   an arena of its own, for the changes must outlive the message's
 */
#ifndef SEKISHO_ENVELOPE_H
#define SEKISHO_ENVELOPE_H

#include "milter/passage.h"
#include "milter/returning.h"

/* Each empty, or with a NUL behind it. */
struct envelope {
	struct arena arena;
	struct str sender;             /* instead of the message's own */
	struct str drop, add;          /* recipients */
	bool is_discarded;
};

void envelope_init(struct envelope *e);
void envelope_end(struct envelope *e);

/* The signed sender, where the tenant wants one. The null sender stays, and that of what came back. */
void envelope_sign(struct envelope *e, struct gate *gate, struct passage *p);
/*
 * End of message for what came back: it belongs to no tenant's allowance, but is read, counts for the one it came back to, and
 * goes on where that one wants. *verdict accepts, whatever it was, or defers where store or log are gone.
 */
void envelope_return(struct envelope *e, struct gate *gate, struct passage *p, struct returning *returning, bool can_readdress,
		     struct verdict *verdict);

#endif
