/*
 * hash - a keyed hash for tables whose keys outsiders may choose.
 *
 * The seed is random for each table, so nobody can prepare keys that fall together. Case of ASCII letters does not
 * count. Not for anything that is stored.
 */
#ifndef SEKISHO_HASH_H
#define SEKISHO_HASH_H

#include "config/base/str.h"

uint64_t hash_seed(void);
uint64_t hash_nocase(uint64_t seed, struct str s);

#endif
