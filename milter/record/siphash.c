#include "milter/record/siphash.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t turn(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void mix(struct state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = turn(s->v1, 13) ^ s->v0;
	s->v3 = turn(s->v3, 16) ^ s->v2;
	s->v0 = turn(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v1 = turn(s->v1, 17) ^ s->v2;
	s->v3 = turn(s->v3, 21) ^ s->v0;
	s->v2 = turn(s->v2, 32);
}

static inline void take(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	mix(s);
	mix(s);
	s->v0 ^= word;
}

uint64_t siphash(const unsigned char key[SIPHASH_KEY_LEN], struct str text)
{
	/* "somepseudorandomlygeneratedbytes", the paper's constants */
	const uint64_t k0 = le64_read(key), k1 = le64_read(key + 8);
	struct state s = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
			   k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573) };
	const unsigned char *at = (const unsigned char *)text.ptr;
	unsigned char last[8] = { 0 };
	size_t left = text.len;

	for (; left >= 8; left -= 8, at += 8)
		take(&s, le64_read(at));
	if (left)
		memcpy(last, at, left);
	last[7] = (unsigned char)text.len;
	take(&s, le64_read(last));
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		mix(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
