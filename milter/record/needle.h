/*
 * needle - find a text in much text, upper and lower case of ASCII letters being the same.
 *
 * Compares two octets of the needle at once over 16 places of the text, those two that are rarest in a sample of it; most of
 * the text is read once and never looked at again.
 *
 * Input    any octets; a hit in ordinary text costs a few comparisons, the worst text needle.len times as much
 * Memory   borrows the needle's text
 */
#ifndef SEKISHO_RECORD_NEEDLE_H
#define SEKISHO_RECORD_NEEDLE_H

#include "config/base/str.h"

struct needle {
	struct str text;
	size_t places[2];              /* of the two octets, the first before the second; the same when there is only one */
	unsigned char octets[2], folds[2];
};

/* `text` is not empty. */
void needle_init(struct needle *needle, struct str text, struct str sample);
/* Where it stands first; text.len when it does not. */
size_t needle_find(const struct needle *needle, struct str text);

#endif
