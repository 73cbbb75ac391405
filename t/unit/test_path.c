/* milter/link/path: an address of 63 octets that says which message, and cannot be made up. */
#include "t/lib/unit.h"

#include <string.h>

#include "milter/link/path.h"

#define ID "01JD8Z6H2M3N4P5Q6R7S8T9V0W"
#define DOMAIN STR("bounce.acme.example")
#define DIGITS_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_1 "1 " DIGITS_64 DIGITS_64 "\n"
#define KEY_2 "2 " DIGITS_64 "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"

static struct token_keys *keys_of(const char *text)
{
	struct token_keys *keys;
	struct err err;

	ck_assert_msg(token_keys_read(str_from_c(text), &keys, &err), "%s", err.text);
	return keys;
}

static void make(const struct token_keys *keys, char out[PATH_LOCAL_LEN + 1])
{
	struct path path = { .message = ID, .owner = 0xfedcba98 };

	path_mark(STR("acme"), STR("neko@example.jp"), path.recipient, PATH_RECIPIENT_LEN);
	path_mark(STR("acme"), STR("a@acme.example"), path.sender, PATH_SENDER_LEN);
	ck_assert(path_write(&path, keys, STR("acme"), DOMAIN, out));
}

START_TEST(reads_what_it_wrote)
{
	struct token_keys *keys = keys_of(KEY_1);
	unsigned char mark[PATH_RECIPIENT_LEN];
	char local[PATH_LOCAL_LEN + 1];
	struct path path;

	make(keys, local);
	ck_assert_uint_eq(strlen(local), PATH_LOCAL_LEN);
	ck_assert(str_starts(str_from_c(local), STR("01jd8z6h2m3n4p5q6r7s8t9v0w-")));
	ck_assert(path_read(str_from_c(local), &path));
	ck_assert_str_eq(path.message, ID);
	ck_assert_uint_eq(path.key, 1);
	ck_assert_uint_eq(path.owner, 0xfedcba98);
	path_mark(STR("acme"), STR("NEKO@Example.JP"), mark, sizeof mark);
	ck_assert_mem_eq(path.recipient, mark, sizeof mark);
	ck_assert(path_is_genuine(&path, keys, STR("acme"), STR("Bounce.Acme.EXAMPLE")));
	ck_assert(!path_is_genuine(&path, keys, STR("acme"), STR("bounce.other.example")));
	ck_assert(!path_is_genuine(&path, keys, STR("other"), DOMAIN));
	token_keys_free(keys);
}
END_TEST

/* Mail servers change case; nothing else is forgiven. */
START_TEST(bears_no_change)
{
	struct token_keys *keys = keys_of(KEY_1);
	char local[PATH_LOCAL_LEN + 1], changed[PATH_LOCAL_LEN + 1];
	struct path path;

	make(keys, local);
	for (size_t at = 0; at < PATH_LOCAL_LEN; at++)
		for (unsigned c = 0; c < 256; c++) {
			memcpy(changed, local, sizeof changed);
			changed[at] = (char)c;

			bool is_same = ascii_lower((char)c) == local[at];
			struct str wall = unit_wall(str_of(changed, PATH_LOCAL_LEN));
			bool is_good = path_read(wall, &path) && path_is_genuine(&path, keys, STR("acme"), DOMAIN);

			unit_wall_free(wall);
			ck_assert_msg(is_good == is_same, "octet %zu is %u", at, c);
		}
	for (size_t len = 0; len < PATH_LOCAL_LEN; len++)
		ck_assert(!path_read(str_of(local, len), &path));
	token_keys_free(keys);
}
END_TEST

START_TEST(outlives_a_rotation)
{
	struct token_keys *old = keys_of(KEY_1), *both = keys_of(KEY_1 KEY_2), *new = keys_of(KEY_2);
	char before[PATH_LOCAL_LEN + 1], after[PATH_LOCAL_LEN + 1];
	struct path path;

	make(old, before);
	make(both, after);
	ck_assert(path_read(str_from_c(before), &path) && path_is_genuine(&path, both, STR("acme"), DOMAIN));
	ck_assert(!path_is_genuine(&path, new, STR("acme"), DOMAIN));
	ck_assert(path_read(str_from_c(after), &path) && path.key == 2);
	ck_assert(path_is_genuine(&path, new, STR("acme"), DOMAIN) && !path_is_genuine(&path, old, STR("acme"), DOMAIN));
	token_keys_free(old);
	token_keys_free(both);
	token_keys_free(new);
}
END_TEST

/* 01JD8Z6H2M: 48 bits of milliseconds. */
START_TEST(knows_its_age)
{
	const struct path path = { .message = "0000000001ZZZZZZZZZZZZZZZZ" }, last = { .message = "7ZZZZZZZZZ0000000000000000" };

	ck_assert_int_eq(path_made_us(&path), 1000);
	ck_assert_int_eq(path_made_us(&last), ((INT64_C(1) << 48) - 1) * 1000);
}
END_TEST

static const char *const strange_ids[] = { "", "01JD8Z6H2M3N4P5Q6R7S8T9V0", "81JD8Z6H2M3N4P5Q6R7S8T9V0W", "01JD8Z6H2M3N4P5Q6R7S8T9V0I" };

START_TEST(wants_an_id)
{
	struct token_keys *keys = keys_of(KEY_1);
	struct path path = { .owner = 1 };
	char local[PATH_LOCAL_LEN + 1];

	memcpy(path.message, strange_ids[_i], strlen(strange_ids[_i]) + 1);
	ck_assert(!path_write(&path, keys, STR("acme"), DOMAIN, local));
	token_keys_free(keys);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("path");
	TCase *tcase = tcase_create("path");

	tcase_add_test(tcase, reads_what_it_wrote);
	tcase_add_test(tcase, bears_no_change);
	tcase_add_test(tcase, outlives_a_rotation);
	tcase_add_test(tcase, knows_its_age);
	unit_add_rows(tcase, wants_an_id, strange_ids);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
