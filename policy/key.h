/*
 * key - others' words as parts of the store's keys.
 *
 * A part stands as it is when it is plain and short, else as '#' and the hex of its SHA-256: '#' is in no plain part, so
 * the two cannot meet, and a key stays under STORE_KEY_MAX whatever an outsider thinks of.
 */
#ifndef SEKISHO_POLICY_KEY_H
#define SEKISHO_POLICY_KEY_H

#include "config/base/arena.h"

#define KEY_PART_MAX 100

/* `is_last`: only there does a colon not look like the next part's beginning. False: out of memory. */
bool key_part(struct str part, bool is_last, struct arena *arena, struct str *out);

#endif
