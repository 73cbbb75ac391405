/*
 * siphash - a short keyed hash: SipHash-2-4 (Aumasson and Bernstein, 2012).
 *
 * Whoever lacks the key can neither tell what was hashed nor make another text with the same value; so an index on disk says
 * nothing, and a change of it shows.
 */
#ifndef SEKISHO_RECORD_SIPHASH_H
#define SEKISHO_RECORD_SIPHASH_H

#include "config/base/str.h"

#define SIPHASH_KEY_LEN 16

uint64_t siphash(const unsigned char key[SIPHASH_KEY_LEN], struct str text);

/* Little endian, as files have it. */
static inline uint64_t le64_read(const unsigned char *at)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | at[i];
	return value;
}

static inline uint32_t le32_read(const unsigned char *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void le64_write(uint64_t value, unsigned char *at)
{
	for (int i = 0; i < 8; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static inline void le32_write(uint32_t value, unsigned char *at)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

#endif
