/*
 * seal_ring - the files of the keyring: read, made, destroyed (see seal.h).
 *
 * Writers of several processes hold flock on RING/.lock while they make a key, so that there is one of each.
 */
#ifndef SEKISHO_RECORD_SEAL_RING_H
#define SEKISHO_RECORD_SEAL_RING_H

#include <limits.h>

#include "milter/record/seal.h"

#define SEAL_PATH_MAX (PATH_MAX - 64)               /* a key's temporary name is longer than its own */

struct seal_ring {
	char dir[SEAL_PATH_MAX], class_name[256];
};

bool seal_ring_init(struct seal_ring *ring, struct str dir, struct str class_name, struct err *err);

/* Absent: *out_found false, unless `is_wanted`: then it is made, and durable on return. */
bool seal_ring_day(const struct seal_ring *ring, int64_t day, bool is_wanted, unsigned char out[SEAL_KEY_LEN], bool *out_found,
		   struct err *err);
bool seal_ring_tenant(const struct seal_ring *ring, struct str tenant, bool is_wanted, unsigned char out[SEAL_KEY_LEN],
		      bool *out_found, struct err *err);

#endif
