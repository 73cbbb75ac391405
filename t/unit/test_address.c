/* milter/mail/address: one spelling out of everything that clients and writers of From fields come up with. */
#include "t/lib/unit.h"

#include <stdlib.h>

#include "milter/mail/address.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, (size_t)8 << 20);
}

static void teardown(void)
{
	arena_clear(&arena);
}

static const struct { const char *text, *want; } path_rows[] = {
	/* NULL: not an address */
	{ "<a@b.example>", "a@b.example" },
	{ "a@b.example", "a@b.example" },
	{ "A.Bc@EXAMPLE.Com", "A.Bc@EXAMPLE.Com" },
	{ "", "" },
	{ "<>", "" },
	{ " <> ", "" },
	{ "<@relay.example:a@b>", "a@b" },
	{ "<@r1,@r2:a@b>", "a@b" },
	{ "@r:a@b", "a@b" },
	{ "<@[IPv6:::1]:a@b>", "a@b" },
	{ "<\"q s\"@d>", "\"q s\"@d" },
	{ "\"q s\"@d", "\"q s\"@d" },
	{ "<\"plain\"@d>", "plain@d" },
	{ "<\"pl\\ain\"@d>", "plain@d" },
	{ "<\"a@b\"@d>", "\"a@b\"@d" },
	{ "<\"a\\\"b\\\\\"@d>", "\"a\\\"b\\\\\"@d" },
	{ "<\">\"@d>", "\">\"@d" },
	{ "<\"\"@d>", "\"\"@d" },
	{ "<a..b@carrier.example>", "a..b@carrier.example" },
	{ "<.a.@carrier.example>", ".a.@carrier.example" },
	{ "<\"a..b\"@carrier.example>", "a..b@carrier.example" },
	{ "<a@b.example.>", "a@b.example" },
	{ "<a@b..>", "a@b" },
	{ "<a@..>", "a@." },
	{ "<postmaster>", "postmaster" },
	{ "root", "root" },
	{ "<a@[192.0.2.1]>", "a@[192.0.2.1]" },
	{ "<\xe7\x94\xb0\xe4\xb8\xad@\xe4\xbe\x8b.jp>", "\xe7\x94\xb0\xe4\xb8\xad@xn--fsq.jp" },
	{ "<bounce+id=a=b.example@c>", "bounce+id=a=b.example@c" },
	{ "<a@b", NULL },
	{ "a@b>", NULL },
	{ "<<a@b>>", NULL },
	{ "<a@b> <c@d>", NULL },
	{ "<a@b@c>", NULL },
	{ "<a b@c>", NULL },
	{ "<a@b,c@d>", NULL },
	{ "<@b>", NULL },
	{ "<a@>", NULL },
	{ "<@r:>", NULL },
	{ "<\"a@b>", NULL },
	{ "<a@[b>", NULL },
	{ "<a@[b\nc]>", NULL },
	{ "<a\x01@b>", NULL },
	{ "<a@b\x7f>", NULL },
	{ "<\"a\\\x01\"@b>", NULL },
	{ "<a\\@b@c>", NULL },
	{ "<a(@b>", NULL },
	{ "<\"a\"b@c>", NULL },
};
START_TEST(paths)
{
	const char *want = path_rows[_i].want;
	struct str text = unit_wall(str_from_c(path_rows[_i].text)), got = STR("untouched");
	struct err err = { 0 };
	bool ok = address_parse_path(text, &arena, &got, &err);

	ck_assert_msg(ok == (want != NULL), "%s: " STR_FMT, path_rows[_i].text, STR_ARG(got));
	ck_assert_str_is(got, want ? str_from_c(want) : STR("untouched"));
	ck_assert(ok || err.kind == ERR_INPUT);
	unit_wall_free(text);
}
END_TEST

START_TEST(path_with_nul)
{
	struct str got;

	ck_assert(!address_parse_path(STR("<a\0@b>"), &arena, &got, NULL));
	ck_assert(!address_parse_path(STR("<a@b\0c>"), &arena, &got, NULL));
}
END_TEST

static const struct { const char *value, *want; bool is_broken; } list_rows[] = {
	{ "a@b", "a@b", false },
	{ "", "", true },
	{ " \n\t", "", true },
	{ "(a@b)", "", true },
	{ ",", "", true },
	{ "=?utf-8?q?=3Ca=40b=3E?=", "=?utf-8?q?=3Ca=40b=3E?=", false },
	{ "<a@b>", "a@b", false },
	{ "A <a@\xe4\xbe\x8b . jp>", "a@xn--fsq.jp", false },
	{ "\xe3\x81\x82", "\xe3\x81\x82", false },
	{ "John Doe <a@b>", "a@b", false },
	{ "\"Doe, John <x@y>\" <a@b>", "a@b", false },
	{ "\"a\\\" <x@y>\" <a@b>", "a@b", false },
	{ "=?utf-8?B?44GC?= <a@b>", "a@b", false },
	{ "=?utf-8?Q?x=40y?=\n =?utf-8?Q?_z?= <a@b>", "a@b", false },
	{ "\xe3\x81\x82 <a@b>", "a@b", false },
	{ "John Q. Public <a@b>, c@d", "a@b c@d", false },
	{ "a@b (John (x@y) Doe)", "a@b", false },
	{ "(x@y) a@b", "a@b", false },
	{ "(\\) x@y) a@b", "a@b", false },
	{ "a@b,\n c@d,\n\t<e@f>", "a@b c@d e@f", false },
	{ "a@b, , c@d,", "a@b c@d", false },
	{ "a@b; c@d", "a@b c@d", false },
	{ "friends: a@b, John <c@d>;", "a@b c@d", false },
	{ "friends: a@b;, others: c@d;", "a@b c@d", false },
	{ "undisclosed-recipients:;", "", true },
	{ "<@r1,@r2:a@b>", "a@b", false },
	{ "john . doe @ example . com", "john.doe@example.com", false },
	{ "john(x).(y)doe@(z)example.com", "john.doe@example.com", false },
	{ "\"j\n doe\"@b", "\"j doe\"@b", false },
	{ "\"jdoe\"@b", "jdoe@b", false },
	{ "\"j\".doe@b", "j.doe@b", false },
	{ "a@b.", "a@b", false },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]", false },
	{ "root", "root", false },
	{ "root (Cron Daemon)", "root", false },
	{ "<root>", "root", false },
	{ "Foo, Inc. <a@b>", "a@b", false },
	{ "Foo Bar, Inc. <a@b>", "a@b", false },
	{ "Foo Bar", "", true },
	/* where readers disagree */
	{ "x@y <a@b>", "x@y a@b", false },
	{ "a@b <a@b>", "a@b a@b", false },
	{ "x@y via List <a@b>", "x@y a@b", false },
	{ "<x@y> <a@b>", "x@y a@b", true },
	{ "<a@b> x@y", "a@b x@y", true },
	{ "<a@b> John", "a@b", true },
	{ "John a@b", "a@b", true },
	{ "a@b c@d", "a@b c@d", false },
	{ "a@b@c", "a@b b@c", true },
	{ "<a@b@c>", "a@b b@c", true },
	{ "<a@b, c@d>", "a@b c@d", true },
	{ "<a@b", "a@b", true },
	{ "a@b>", "a@b", true },
	{ "<<a@b>>", "a@b", true },
	{ "<>", "", true },
	{ "@b", "", true },
	{ "a@", "", true },
	{ "a@b (never closed, c@d", "a@b", true },
	{ "\"never closed <a@b>", "", true },
	{ "a@[b", "a@[b", true },
	{ "a\x01@b", "a\x01@b", true },
	{ "a\"x\"@b", "ax@b", true },
	{ "a@b\x7f", "a@b\x7f", true },
	{ "[x] <a@b>", "a@b", true },
	{ "a@b: <c@d>", "a@b c@d", true },
};
START_TEST(lists)
{
	struct str value = unit_wall(str_from_c(list_rows[_i].value)), got = STR_EMPTY;
	struct address_list list;

	ck_assert(address_parse_list(value, &arena, &list, NULL));
	for (size_t i = 0; i < list.count; i++)
		ck_assert(arena_printf(&arena, &got, STR_FMT "%s" STR_FMT, STR_ARG(got), i ? " " : "", STR_ARG(list.items[i])));
	ck_assert_str_is(got, str_from_c(list_rows[_i].want));
	ck_assert_msg(list.is_broken == list_rows[_i].is_broken, "%s", list_rows[_i].value);
	unit_wall_free(value);
}
END_TEST

/* Cut anywhere: no octet past the end is read, and nothing comes out that was not there. */
START_TEST(cuts)
{
	struct str whole = str_from_c(list_rows[_i].value);

	for (size_t len = 0; len <= whole.len; len++) {
		struct str cut = unit_wall(str_slice(whole, 0, len)), front = unit_wall_front(cut), one;
		struct address_list list;

		ck_assert(address_parse_list(cut, &arena, &list, NULL));
		ck_assert(address_parse_list(front, &arena, &list, NULL));
		for (size_t i = 0; i < list.count; i++)
			ck_assert_uint_le(list.items[i].len, 2 * len + 2);
		address_parse_path(cut, &arena, &one, NULL);
		unit_wall_free(front);
		unit_wall_free(cut);
		arena_reset(&arena);
	}
}
END_TEST

/* Its own spelling is an address again, and is spelt the same. */
START_TEST(stillness)
{
	struct address_list list, again;

	ck_assert(address_parse_list(str_from_c(list_rows[_i].value), &arena, &list, NULL));
	for (size_t i = 0; i < list.count && !list.is_broken; i++) {
		struct str path;

		ck_assert(address_parse_list(list.items[i], &arena, &again, NULL));
		ck_assert_uint_eq(again.count, 1);
		ck_assert(!again.is_broken);
		ck_assert_str_is(again.items[0], list.items[i]);
		ck_assert(address_parse_path(list.items[i], &arena, &path, NULL));
		ck_assert_str_is(path, list.items[i]);
	}
}
END_TEST

static const struct { const char *piece; } flood_rows[] = {
	{ "a@b," }, { "(" }, { "<" }, { "\"" }, { "a@" }, { "@" }, { "\\" }, { "a." }, { ":" }, { "\"\\\"" }, { "[" }, { "a b " },
	{ "(\\" }, { "<@" }, { "\"a\"" }, { ">" },
};
START_TEST(floods)
{
	struct str piece = str_from_c(flood_rows[_i].piece);
	size_t count = ((size_t)1 << 20) / piece.len;
	char *many = malloc(count * piece.len);
	struct address_list list;
	struct str one;

	for (size_t i = 0; i < count; i++)
		memcpy(many + i * piece.len, piece.ptr, piece.len);
	ck_assert(address_parse_list(str_of(many, count * piece.len), &arena, &list, NULL));
	ck_assert(list.is_broken);
	ck_assert_uint_le(list.count, ADDRESS_LIST_MAX);
	ck_assert_uint_le(arena.used, (size_t)2 << 20);
	ck_assert(!address_parse_path(str_of(many, count * piece.len), &arena, &one, NULL));
	free(many);
}
END_TEST

START_TEST(noise)
{
	static const char alphabet[] = "ab@.<>\"(),;:[]\\ \n\t\x01\xe3";
	char text[64];

	srand(7);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand() % sizeof text;
		struct address_list list;
		struct str one;

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
		ck_assert(address_parse_list(str_of(text, len), &arena, &list, NULL));
		if (address_parse_path(str_of(text, len), &arena, &one, NULL) && one.len) {
			struct str again;

			ck_assert_msg(address_parse_path(one, &arena, &again, NULL), "%.*s", (int)len, text);
			ck_assert_str_is(again, one);
		}
		arena_reset(&arena);
	}
}
END_TEST

static const struct { const char *address, *domain; } part_rows[] = {
	{ "a@b", "b" }, { "\"x@y\"@b", "b" }, { "root", "" }, { "", "" }, { "a@", "" },
};
START_TEST(parts)
{
	struct str address = unit_wall_front(str_from_c(part_rows[_i].address));

	ck_assert_str_is(address_domain(address), str_from_c(part_rows[_i].domain));
	unit_wall_free(address);
}
END_TEST

START_TEST(memory)
{
	struct arena small;
	struct address_list list;
	struct err err = { 0 };

	arena_init(&small, 8);
	ck_assert(!address_parse_list(STR("a . b@c"), &small, &list, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	arena_clear(&small);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *tcase = tcase_create("address");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, paths, path_rows);
	tcase_add_test(tcase, path_with_nul);
	unit_add_rows(tcase, lists, list_rows);
	unit_add_rows(tcase, cuts, list_rows);
	unit_add_rows(tcase, stillness, list_rows);
	unit_add_rows(tcase, floods, flood_rows);
	tcase_add_test(tcase, noise);
	unit_add_rows(tcase, parts, part_rows);
	tcase_add_test(tcase, memory);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
