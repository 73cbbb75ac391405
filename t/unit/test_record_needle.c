/* milter/record/needle, siphash: how a word is found in a line, and by what key an index is kept. */
#include "config/base/str.h"
#include "milter/record/needle.h"
#include "milter/record/siphash.h"
#include "t/lib/unit.h"

static unsigned seed;

static int some(int n)
{
	seed = seed * 1103515245u + 12345u;
	return (int)(seed >> 16) % n;
}

/* As str_find in what is lower case, whatever the case of both. */
START_TEST(needles)
{
	char text[200], lower[200];

	for (int round = 0; round < 3000; round++) {
		size_t len = (size_t)some(180), n = 1 + (size_t)some(6);
		struct needle needle;
		char word[8];

		for (size_t i = 0; i < len; i++) {
			text[i] = "aAbB@z.Z"[some(8)];
			lower[i] = ascii_lower(text[i]);
		}
		for (size_t i = 0; i < n; i++)
			word[i] = "abAB@"[some(5)];
		needle_init(&needle, str_of(word, n), str_of(text, some(2) ? len : 0));
		for (size_t i = 0; i < n; i++)
			word[i] = ascii_lower(word[i]);

		struct str walled = unit_wall(str_of(text, len));
		size_t got = needle_find(&needle, walled);

		unit_wall_free(walled);
		ck_assert_uint_eq(got, str_find(str_of(lower, len), str_of(word, n)));
	}
}
END_TEST

/* The vectors of the paper: key 00 01 .. 0f, text 00 01 .. of each length. */
START_TEST(siphash_vectors)
{
	static const uint64_t want[] = { UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
					 UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
					 UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462) };
	unsigned char key[16];

	for (int i = 0; i < 16; i++)
		key[i] = (unsigned char)i;
	for (size_t len = 0; len < sizeof want / sizeof *want; len++)
		ck_assert_msg(siphash(key, str_of((const char *)key, len)) == want[len], "length %zu", len);
	ck_assert(siphash(key, str_of((const char *)key, 15)) == UINT64_C(0xa129ca6149be45e5));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record needle");
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, needles);
	tcase_add_test(tcase, siphash_vectors);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
