#include <stdio.h>

#include "config/base/phrase.h"
#include "config/base/words.h"
#include "t/lib/unit.h"

static const struct { struct str text; const char *folded; bool has_address; } fold_rows[] = {
	{ STR_INIT("User unknown"), " user unknown ", false },
	{ STR_INIT("550 5.1.1 <neko@example.jp>... User Unknown"), " user unknown ", true },
	{ STR_INIT("550-5.7.26 The MAIL FROM domain\r\n550 5.7.26 has an SPF"), " the mail from domain has an spf ", false },
	{ STR_INIT("doesn't  exist"), " doesnt exist ", false },
	{ STR_INIT("doesn\xe2\x80\x99t exist"), " doesnt exist ", false },
	{ STR_INIT("over-quota_now"), " over quota now ", false },
	{ STR_INIT("Bo\xc3\x8eTE PLEINE"), " boîte pleine ", false },
	{ STR_INIT("\xd0\x9d\xd0\x95\xd0\xa2"), " нет ", false },
	{ STR_INIT("\xe5\xae\x9b\xe5\x85\x88\xe3\x80\x80\xe4\xb8\x8d\xe6\x98\x8e"), " 宛先 不明 ", false },
	{ STR_INIT("host [192.0.2.25] said 421 busy"), " host 192 0 2 25 said 421 busy ", false },
	{ STR_INIT("user=<a@b> x@[192.0.2.1] y@"), " user a b y ", true },
	{ STR_INIT("550 <\"a..b.\"@example.jp>: User unknown, \"neko\""), " user unknown neko ", true },
	{ STR_INIT(""), " ", false },
	{ STR_INIT("\0\0"), " ", false },
	{ STR_INIT("ÀÞ×ß ВІДПРАВНИК ЉЁЏ Яя"), " àþ×ß відправник љёџ яя ", false },
	{ STR_INIT("ΑΠΟΣΤΟΛΕΑΣ Αποστολέας ΆΈΉΊΌΎΏ ΩωώΐΪ"), " αποστολεασ αποστολέασ άέήίόύώ ωωώΐϊ ", false },
	{ STR_INIT("x\xc3"), " x\xc3 ", false },
	{ STR_INIT("\xceX"), " \xceX ", false },
};
/* What a caller reads who wants no web addresses: a link ends at a blank, a bracket, a quote or another script. */
static const struct { struct str text; const char *folded; bool has_link; } link_rows[] = {
	{ STR_INIT("No such user, see http://help.example/spam?x=1 for help"), " no such user see for help ", true },
	{ STR_INIT("(HTTPS://a.example/blocked) full"), " full ", true },
	{ STR_INIT("<www.example.jp/virus> x"), " x ", true },
	{ STR_INIT("https://neko@a.example/spam x"), " x ", true },
	{ STR_INIT("https://a.example/spamをご覧"), " をご覧 ", true },
	{ STR_INIT("http://"), " ", true },
	{ STR_INIT("a http: b wwwx"), " a http b wwwx ", false },
	{ STR_INIT("xhttp://spam"), " xhttp spam ", false },
};
START_TEST(fold_without_links)
{
	char folded[256];
	struct words words;
	struct str wall = unit_wall(link_rows[_i].text);

	words_init(&words, folded, sizeof folded);
	words.without_links = true;
	words_add(&words, wall);
	ck_assert_str_is(words_view(&words), str_from_c(link_rows[_i].folded));
	ck_assert(words.has_link == link_rows[_i].has_link);
	unit_wall_free(wall);
}
END_TEST

START_TEST(fold)
{
	char folded[256];
	struct words words;

	words_init(&words, folded, sizeof folded);
	words_add(&words, fold_rows[_i].text);
	ck_assert_str_is(words_view(&words), str_from_c(fold_rows[_i].folded));
	ck_assert(words.has_address == fold_rows[_i].has_address);
}
END_TEST

/* Inputs against an unreadable page, and a ceiling at every length. */
START_TEST(fold_walls)
{
	struct str wall = unit_wall(fold_rows[_i].text);

	for (size_t max = 0; max <= fold_rows[_i].text.len + 2; max++) {
		char folded[256];
		struct words words;

		words_init(&words, folded, max);
		words_add(&words, wall);
		ck_assert_uint_le(words.len, max);
	}
	unit_wall_free(wall);
}
END_TEST

static const struct { struct str text; size_t address, enhanced; int reply; } token_rows[] = {
	{ STR_INIT("neko@example.jp> x"), 15, 0, 0 },
	{ STR_INIT("neko@example.jp."), 15, 0, 0 },
	{ STR_INIT("neko@[192.0.2.1]"), 16, 0, 0 },
	{ STR_INIT("neko@localhost"), 0, 0, 0 },
	{ STR_INIT("@example.jp"), 0, 0, 0 },
	{ STR_INIT("\"a..b.\"@example.jp>"), 18, 0, 0 },
	{ STR_INIT("\"a b\"@example.jp"), 16, 0, 0 },
	{ STR_INIT("\"a@example.jp\""), 0, 0, 0 },
	{ STR_INIT("\"\"@example.jp"), 0, 0, 0 },
	{ STR_INIT("\"a\nb\"@example.jp"), 0, 0, 0 },
	{ STR_INIT("\"Neko\" <a@example.jp>"), 0, 0, 0 },
	{ STR_INIT("\"a\\\"b\"@example.jp>"), 17, 0, 0 },
	{ STR_INIT("\"a\\\\\"@example.jp"), 16, 0, 0 },
	{ STR_INIT("\"a\\\"@example.jp"), 0, 0, 0 },
	{ STR_INIT("\"a\\\nb\"@example.jp"), 0, 0, 0 },
	{ STR_INIT("\"a\\"), 0, 0, 0 },
	{ STR_INIT("5.1.1 x"), 0, 5, 0 },
	{ STR_INIT("5.7.509, x"), 0, 7, 0 },
	{ STR_INIT("5.1.1.2"), 0, 0, 0 },
	{ STR_INIT("5.1.1a"), 0, 0, 0 },
	{ STR_INIT("3.1.1"), 0, 0, 0 },
	{ STR_INIT("550 x"), 0, 0, 550 },
	{ STR_INIT("550-x"), 0, 0, 550 },
	{ STR_INIT("550"), 0, 0, 550 },
	{ STR_INIT("5500"), 0, 0, 0 },
	{ STR_INIT("550.2"), 0, 0, 0 },
	{ STR_INIT("199 x"), 0, 0, 0 },
};
START_TEST(tokens)
{
	struct str wall = unit_wall(token_rows[_i].text);

	ck_assert_uint_eq(words_address(wall), token_rows[_i].address);
	ck_assert_uint_eq(words_enhanced(wall), token_rows[_i].enhanced);
	ck_assert_int_eq(words_reply(wall), token_rows[_i].reply);
	unit_wall_free(wall);
}
END_TEST

struct seen {
	char text[256];
};

static bool note(void *arg, uint32_t id, size_t end)
{
	struct seen *seen = arg;
	size_t n = strlen(seen->text);

	snprintf(seen->text + n, sizeof seen->text - n, "%u@%zu ", (unsigned)id, end);
	return true;
}

START_TEST(phrases_overlap)
{
	static const struct str phrases[] = { STR_INIT("he"), STR_INIT("she"), STR_INIT("his"), STR_INIT("hers"), STR_INIT("he") };
	struct phrase_set *set;
	struct seen seen = { "" };

	ck_assert(phrase_set_new(phrases, 5, &set, NULL));
	phrase_scan(set, STR("ushers"), note, &seen);
	ck_assert_str_eq(seen.text, "1@4 0@4 4@4 3@6 ");
	phrase_set_free(set);
}
END_TEST

/* Against the plain way: every phrase looked for at every place. */
START_TEST(phrases_agree)
{
	struct str phrases[60];
	char letters[60][8], text[4000];
	uint32_t seed = 12345;
	struct phrase_set *set;
	struct seen seen = { "" };
	size_t plain = 0, found = 0;

	for (size_t i = 0; i < 60; i++) {
		size_t n = 1 + i % 7;

		for (size_t k = 0; k < n; k++)
			letters[i][k] = (char)('a' + (seed = seed * 1664525 + 1013904223) % 3 * 90);
		phrases[i] = str_of(letters[i], n);
	}
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + (seed = seed * 1664525 + 1013904223) / 7 % 3 * 90);
	ck_assert(phrase_set_new(phrases, 60, &set, NULL));
	for (size_t at = 0; at + 40 <= sizeof text; at += 40) {
		struct str piece = str_of(text + at, 40);

		seen.text[0] = '\0';
		phrase_scan(set, piece, note, &seen);
		for (const char *c = seen.text; *c; c++)
			found += *c == '@';
		for (size_t i = 0; i < 60; i++)
			for (size_t k = 0; k < piece.len; k++)
				plain += str_starts(str_from(piece, k), phrases[i]);
		if (strlen(seen.text) > 240) {         /* the note was full: this piece proves nothing */
			found = plain;
		}
	}
	ck_assert_uint_eq(found, plain);
	phrase_set_free(set);
}
END_TEST

START_TEST(phrases_refused)
{
	static const struct str empty[] = { STR_INIT("a"), STR_INIT("") };
	static char large[70000];
	struct str phrase = str_of(large, sizeof large);
	struct phrase_set *set = NULL;
	struct err err;

	ck_assert(!phrase_set_new(empty, 2, &set, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	memset(large, 'x', sizeof large);
	ck_assert(!phrase_set_new(&phrase, 1, &set, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_ptr_null(set);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("words");
	TCase *tc = tcase_create("words");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, fold, fold_rows);
	unit_add_rows(tc, fold_walls, fold_rows);
	unit_add_rows(tc, fold_without_links, link_rows);
	unit_add_rows(tc, tokens, token_rows);
	tcase_add_test(tc, phrases_overlap);
	tcase_add_test(tc, phrases_agree);
	tcase_add_test(tc, phrases_refused);
	return unit_main(suite);
}
