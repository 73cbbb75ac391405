/*
 * phrase - find many fixed texts in one pass.
 *
 * A set of phrases is compiled once into an Aho-Corasick automaton over byte classes (bytes that no phrase holds share
 * one class), and scans at one table look-up an octet, however many phrases there are. Octets are compared as they are:
 * whoever wants case or blanks folded folds both sides first.
 *
 * Order    phrase_scan reports hits by where they end, and of those that end together the longest first; phrases that
 *          are equal are reported in the order in which they were given
 * Memory   the heap, about 2 * states * classes octets; phrase_set_free gives it back
 * Errors   ERR_CONFIG: an empty phrase, or more than PHRASE_STATES_MAX states; ERR_BUSY: out of memory
 * Threads  a compiled set never changes; any number may scan it
 */
#ifndef SEKISHO_PHRASE_H
#define SEKISHO_PHRASE_H

#include "config/base/err.h"
#include "config/base/str.h"

#define PHRASE_STATES_MAX 65535        /* at most one an octet of all phrases together; common beginnings are shared */

struct phrase_set;

bool phrase_set_new(const struct str *phrases, size_t count, struct phrase_set **out, struct err *err);
void phrase_set_free(struct phrase_set *set);            /* NULL is fine */

/* Phrase number `id` ends at text.ptr + end. Return false to stop. */
typedef bool phrase_hit_fn(void *arg, uint32_t id, size_t end);
void phrase_scan(const struct phrase_set *set, struct str text, phrase_hit_fn *hit, void *arg);

#endif
