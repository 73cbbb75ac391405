#include "config/hash.h"

#include <sys/random.h>

#include "config/base/clock.h"

uint64_t hash_seed(void)
{
	uint64_t seed;

	/* Without entropy (a kernel just booted) the clock still makes the seed hard to guess from outside. */
	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
		seed = (uint64_t)clock_mono_us() * UINT64_C(0x9e3779b97f4a7c15);
	return seed;
}

uint64_t hash_nocase(uint64_t seed, struct str s)
{
	uint64_t hash = seed ^ s.len;

	for (size_t i = 0; i < s.len; i++) {
		hash = (hash ^ (unsigned char)ascii_lower(s.ptr[i])) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return hash;
}
