/* config/base/domain: one spelling of a domain, whatever a stranger makes of it. */
#include "t/lib/unit.h"

#include <stdlib.h>

#include "config/base/domain.h"

static struct arena arena;

static void set_up(void)
{
	arena_init(&arena, (size_t)1 << 20);
}

static void tear_down(void)
{
	arena_clear(&arena);
}

static const struct { const char *name, *typed, *want; } rows[] = {
	{ "ASCII stays as typed", "A@Acme.Example", "A@Acme.Example" },
	{ "an A-label too", "a@XN--WGV71A119E.jp", "a@XN--WGV71A119E.jp" },
	{ "a domain", "日本語.jp", "xn--wgv71a119e.jp" },
	{ "an address", "A.b@日本語.jp", "A.b@xn--wgv71a119e.jp" },
	{ "the local part stays", "\xe3\x81\x82@日本語.jp", "\xe3\x81\x82@xn--wgv71a119e.jp" },
	{ "the local part alone is no domain's business", "\xe3\x81\x82@acme.example", "\xe3\x81\x82@acme.example" },
	{ "behind the last @", "\"あ@い\"@日本語.jp", "\"あ@い\"@xn--wgv71a119e.jp" },
	{ "a pattern", "@日本語.jp", "@xn--wgv71a119e.jp" },
	{ "a pattern of subdomains", "@*.日本語.jp", "@*.xn--wgv71a119e.jp" },
	{ "capitals", "ÜBER.Example", "xn--ber-goa.example" },
	{ "small", "über.example", "xn--ber-goa.example" },
	{ "composed of two", "u\xcc\x88" "ber.example", "xn--ber-goa.example" },
	{ "sharp s is a letter", "faß.de", "xn--fa-hia.de" },
	{ "wide letters are letters", "a@ａｃｍｅ.example", "a@acme.example" },
	{ "half-width kana", "ﾆﾎﾝ.jp", "xn--idk6a7d.jp" },
	{ "ideographic full stops", "日本語。co．jp", "xn--wgv71a119e.co.jp" },
	{ "dots at the end", "日本語.jp.", "xn--wgv71a119e.jp" },
	{ "ideographic ones too", "日本語.jp。", "xn--wgv71a119e.jp" },
	{ "both kinds of labels", "日本語.XN--R8JZ45G", "xn--wgv71a119e.xn--r8jz45g" },
	/* no A-labels: as typed */
	{ "emoji", "a@\xf0\x9f\x98\x80.ws", "a@\xf0\x9f\x98\x80.ws" },
	{ "no UTF-8", "a@\xff.jp", "a@\xff.jp" },
	{ "cut UTF-8", "a@\xe6\x97.jp", "a@\xe6\x97.jp" },
	{ "empty label", "a@日本語。。jp", "a@日本語。。jp" },
	{ "nothing but a dot", "a@。", "a@。" },
	{ "a wide at sign", "a@b＠日本語.jp", "a@b＠日本語.jp" },
	{ "wide brackets", "a@b＜c＞.jp", "a@b＜c＞.jp" },
	{ "a wide star", "a@＊.jp", "a@＊.jp" },
	{ "a joiner out of its place", "a@\xe2\x80\x8d例.jp", "a@\xe2\x80\x8d例.jp" },
	{ "an xn-- that is none", "a@例.xn--bad-.jp", "a@例.xn--bad-.jp" },
	{ "a wildcard inside", "*@*日本語.jp", "*@*日本語.jp" },
};
START_TEST(spell)
{
	struct str typed = unit_wall(str_from_c(rows[_i].typed)), got;

	ck_assert(domain_spell(&arena, typed, &got));
	ck_assert_msg(str_eq(got, str_from_c(rows[_i].want)), "%s: " STR_FMT, rows[_i].name, STR_ARG(got));
	/* once more changes nothing */
	ck_assert(domain_spell(&arena, got, &typed));
	ck_assert_str_is(typed, got);
}
END_TEST

START_TEST(key)
{
	struct str got;

	ck_assert(domain_key(&arena, STR("A@Acme.Example"), &got));
	ck_assert_str_is(got, STR("a@acme.example"));
	ck_assert(domain_key(&arena, STR("A@日本語.JP"), &got));
	ck_assert_str_is(got, STR("a@xn--wgv71a119e.jp"));
	ck_assert(domain_key(&arena, STR(""), &got));
	ck_assert_uint_eq(got.len, 0);
}
END_TEST

START_TEST(with_nul)
{
	struct str typed = STR("a@日\0本.jp"), got;

	ck_assert(domain_spell(&arena, typed, &got));
	ck_assert_str_is(got, typed);
}
END_TEST

/* Longer than any domain: as typed, and over DOMAIN_TYPED_MAX not even looked at. */
static const size_t lengths[] = { 300, DOMAIN_TYPED_MAX - 3, DOMAIN_TYPED_MAX + 3, 100000 };
START_TEST(too_long)
{
	size_t len = lengths[_i] / 3 * 3;
	char *text = malloc(len + 2);
	struct str typed, got;

	memcpy(text, "a@", 2);
	for (size_t i = 0; i < len; i += 3)
		memcpy(text + 2 + i, "例", 3);
	typed = unit_wall(str_of(text, len + 2));
	ck_assert(domain_spell(&arena, typed, &got));
	ck_assert_str_is(got, typed);
	ck_assert_uint_le(arena.used, (size_t)2 * DOMAIN_TYPED_MAX);
	free(text);
}
END_TEST

START_TEST(no_memory)
{
	struct arena small;
	struct str got;

	arena_init(&small, 4);
	ck_assert(!domain_spell(&small, STR("a@日本語.jp"), &got));
	ck_assert(domain_spell(&small, STR("a@acme.example"), &got));
	ck_assert(!domain_key(&small, STR("a@acme.example"), &got));
	arena_clear(&small);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("domain");
	TCase *tc = tcase_create("domain");

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	unit_add_rows(tc, spell, rows);
	tcase_add_test(tc, key);
	tcase_add_test(tc, with_nul);
	unit_add_rows(tc, too_long, lengths);
	tcase_add_test(tc, no_memory);
	return unit_main(suite);
}
