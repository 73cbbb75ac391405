/*
 * domain - one spelling of a domain, whichever its owner typed.
 *
 * A domain of other letters than ASCII's has two spellings, as people read it (U-labels) and as the DNS holds it (A-labels,
 * RFC 5890). They are one domain, so one of them must be compared, counted and written down: the A-labels, which every
 * tool takes. UTS 46, non-transitional, as browsers and Postfix do it: letters' case, widths and composition (NFC) are
 * folded, the ideographic full stops are dots. What IDNA does not allow (emoji, invalid UTF-8, more than 255 octets) has
 * no A-labels and stays as it was typed; so does all that is ASCII already, without a look at its xn-- labels.
 *
 * Input    hostile; at most DOMAIN_TYPED_MAX octets are looked at, in tens of microseconds
 * Memory   the result lies in the arena, or is what was passed
 * Errors   false: the arena is used up
 */
#ifndef SEKISHO_DOMAIN_H
#define SEKISHO_DOMAIN_H

#include "config/base/arena.h"
#include "config/base/buf.h"

#define DOMAIN_TYPED_MAX 1024          /* UTF-8; 255 octets of A-labels have fewer */

/* "日本語.jp" or "user@日本語.jp" (what stands behind the last @), "@日本語.jp", "@*.日本語.jp". What stands before the domain stays. */
bool domain_spell(struct arena *arena, struct str address, struct str *out);
/* The same, then a copy in lower case: the form in which addresses and domains are keys. */
bool domain_key(struct arena *arena, struct str address, struct str *out);
/* Adds the A-labels of a domain. False, and nothing is added: it has none, or `out` is full. */
bool domain_labels(struct str domain, struct buf *out);

#endif
