/*
 * witness - somebody elsewhere who keeps a log's checkpoints, and signs those that continue what it has seen.
 *
 * Below DIR/NODE/CLASS/ stand the checkpoints as they were countersigned, HEAD.note, the last of them as last.note too, and
 * those that were refused although the log's key had signed them, HEAD.refused.note: each of these proves, beside the one
 * with which it does not agree, that the log was rewritten or shown to two people in two versions.
 *
 * The countersignature is a C2SP cosignature/v1 (c2sp.org/tlog-cosignature): of the witness's name, a time, and the note's text.
 *
 * Accepted  a first checkpoint of a log; the last one again; a later one with a proof (proof.h) from the last
 * Refused   a smaller one (a rollback); one of the same number and another value, or whose proof leads elsewhere (a fork)
 * Input     whatever stands on stdin: anybody may have written it; a line at a time
 * Bounds    a note of NOTE_MAX octets; the proof is not kept
 */
#ifndef SEKISHO_RECORD_WITNESS_H
#define SEKISHO_RECORD_WITNESS_H

#include <stdio.h>

#include "milter/record/note.h"

struct witness {
	const char *dir;
	struct str name;               /* of the witness, in its signature's line */
	const struct sign_key *key;
	const struct sign_publics *logs;       /* keys of the logs that it knows */
};

enum witness_answer {
	WITNESS_SIGNED,
	WITNESS_KNOWN,                 /* the last one once more: it is given again as it was countersigned */
	WITNESS_REFUSED,               /* `err` says why */
	WITNESS_UNPROVED,              /* nothing shows that it continues the last: `err` says from where a proof is wanted */
};

/* `out`: the countersigned note, for SIGNED and KNOWN. False: it cannot be read, or not be kept. */
bool witness_take(const struct witness *witness, FILE *in, enum witness_answer *out_answer, struct buf *out, struct err *err);

/* The last countersigned note of a log ("sekisho:NODE/CLASS"), into `out`; it stays empty when there is none. */
bool witness_last(const struct witness *witness, struct str origin, struct buf *out, struct err *err);

#endif
