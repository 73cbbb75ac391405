/*
 * proof - that a log at one checkpoint continues the log at an earlier one: the leaves of the records between.
 *
 *   old HEAD sekisho:NODE/CLASS
 *   BASE64 of a leaf                     one for each record from HEAD + 1 on, up to the new checkpoint's
 *                                        an empty line
 *   the new checkpoint (note.h)
 *
 * Whoever knows the chain value at HEAD computes the one of the new checkpoint; nobody finds other leaves that lead there. A leaf
 * says nothing about its record. The form is that of C2SP's add-checkpoint (c2sp.org/tlog-witness), whose proofs are for trees: ours
 * is 45 octets a record, which a day's million makes 45 MB.
 */
#ifndef SEKISHO_RECORD_PROOF_H
#define SEKISHO_RECORD_PROOF_H

#include "milter/record/note.h"

#define PROOF_LEAF_BASE64_LEN 44

/* False: no more is wanted; leave off. */
typedef bool proof_fn(void *arg, struct str text);

/* Everything above the new checkpoint. ERR_INPUT when records between are not there any more. */
bool proof_write(struct str dir, const struct note *old, int64_t head, proof_fn *emit, void *arg, struct err *err);

/* A leaf's line, without its newline. */
bool proof_leaf(struct str line, unsigned char out[CHAIN_LEN]);

#endif
