/* milter/mail: charsets (TRACKING cases 63 to 75). */
#include "t/lib/unit.h"

#include "milter/mail/charset.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, 1 << 20);
}

static void teardown(void)
{
	arena_clear(&arena);
}

static const struct { const char *label, *name; } label_rows[] = {
	{ "UTF-8", "UTF-8" },	      { " utf8 ", "UTF-8" },	     { "us-ascii", "CP1252" },	 { "ISO-8859-1", "CP1252" },
	{ "gb2312", "GB18030" },  { "Shift_JIS", "CP932" },	     { "x-sjis", "CP932" },	 { "windows-31j", "CP932" },
	{ "iso-8859-8-i", "ISO-8859-8" },
	{ "ISO-2022-JP", "ISO-2022-JP" }, { "cp50221", "ISO-2022-JP" }, { "koi8-r", "KOI8-R" },	 { "ks_c_5601-1987", "UHC" },
	{ "x-unknown", NULL },	      { "", NULL },		     { "utf-8 utf8", NULL },	 { "utf", NULL },
};
START_TEST(labels)
{
	const struct charset *charset = charset_find(str_from_c(label_rows[_i].label));

	if (label_rows[_i].name)
		ck_assert_msg(charset && strcmp(charset->name, label_rows[_i].name) == 0, "%s", label_rows[_i].label);
	else
		ck_assert_msg(!charset, "%s", label_rows[_i].label);
}
END_TEST

static const struct { const char *label; struct str in; const char *want; bool is_whole; } decode_rows[] = {
	{ "utf-8", STR_INIT("a\xe3\x81\x82"), "a\xe3\x81\x82", true },
	{ "utf-8", STR_INIT("\xff\xe3\x81"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
	{ "utf-8", STR_INIT("\xf6\xb6\xb6\xb6"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
	{ "iso-8859-1", STR_INIT("caf\xe9"), "caf\xc3\xa9", true },
	{ "shift_jis", STR_INIT("\x82\xa0\x83\x5c"), "\xe3\x81\x82\xe3\x82\xbd", true },
	{ "euc-jp", STR_INIT("\xa4\xa2\x8e\xb1"), "\xe3\x81\x82\xef\xbd\xb1", true },
	{ "gb18030", STR_INIT("\xb0\xa1"), "\xe5\x95\x8a", true },
	{ "koi8-r", STR_INIT("\xc1"), "\xd0\xb0", true },
	{ "utf-16be", STR_INIT("\0a\x30\x42"), "a\xe3\x81\x82", true },
	{ "iso-2022-jp", STR_INIT("a\033$B$\"\033(Bb"), "a\xe3\x81\x82""b", true },
	{ "iso-2022-jp", STR_INIT("\033(J\\~\033(B\\"), "\xc2\xa5\xe2\x80\xbe\\", true },          /* 64 Roman */
	{ "iso-2022-jp", STR_INIT("\033(I1\033(B"), "\xef\xbd\xb1", true },                        /* 64 Katakana */
	{ "iso-2022-jp", STR_INIT("\033$@$\"\033(B"), "\xe3\x81\x82", true },                      /* 64 the old escape */
	{ "iso-2022-jp", STR_INIT("\033$B-!"), "\xe2\x91\xa0", true },                             /* 65, 66 NEC row 13, no way back */
	{ "iso-2022-jp", STR_INIT("\033$B$\"$"), "\xe3\x81\x82$", true },
	{ "iso-2022-jp", STR_INIT("\033(J\xdc"), "\xef\xbf\xbd", false },
	{ "iso-2022-jp", STR_INIT("\033x\xe3"), "\xef\xbf\xbdx\xef\xbf\xbd", false },               /* 72 wrong label */
};
START_TEST(decodes)
{
	struct str in = unit_wall(decode_rows[_i].in);
	struct buf out;
	bool is_whole;

	buf_init(&out, 1000);
	is_whole = charset_to_utf8(charset_find(str_from_c(decode_rows[_i].label)), in, &out);
	ck_assert_str_is(buf_view(&out), str_from_c(decode_rows[_i].want));
	ck_assert_int_eq(is_whole, decode_rows[_i].is_whole);
	buf_clear(&out);
	unit_wall_free(in);
}
END_TEST

/* Whatever stands there: who makes room for so much has room enough. */
START_TEST(growth)
{
	const struct charset *charset = &charset_table[_i];
	char octets[4 + 64];

	for (int octet = 0; octet < 256; octet++)
		for (size_t from = 0; from <= 4; from += 4) {
			struct str in = str_of(octets + from, sizeof octets - from);
			struct str out;
			struct buf buf;

			memcpy(octets, "\033(I.", 4);
			memset(octets + 4, octet, sizeof octets - 4);
			buf_init(&buf, in.len * CHARSET_GROWTH);
			(void)charset_to_utf8(charset, in, &buf);
			ck_assert_msg(buf_done(&buf, &out, NULL), "%s: octet %#x", charset->name, (unsigned)octet);
			buf_clear(&buf);
		}
}
END_TEST

static const struct { const char *label; const char *utf8; const char *want; } query_rows[] = {
	{ "shift_jis", "\xe3\x81\x82", "\x82\xa0" },
	{ "shift_jis", "a\xf0\x9f\x98\x80z", "a%26%23128512%3Bz" },
	{ "shift_jis", "\xc2\xa2", "%26%23162%3B" },                        /* no full-width cent in its place */
	{ "shift_jis", "\xef\xbd\xb1", "\xb1" },
	{ "shift_jis", "\xc2\x81", NULL },
	{ "euc-jp", "\xc3\xa9", "%26%23233%3B" },                           /* JIS X 0212 */
	{ "euc-jp", "\xe9\xab\x99", NULL },                                 /* IBM's */
	{ "gbk", "\xf0\x9f\x98\x80", "%26%23128512%3B" },
	{ "gb18030", "\xf0\x9f\x98\x80", "\x94\x39\xfc\x36" },
	{ "gbk", "\xe2\x82\xac", NULL },
	{ "big5", "\xc3\xa9", "%26%23233%3B" },                             /* Hong Kong's */
	{ "big5", "\xe4\xb8\xad", "\xa4\xa4" },
	{ "big5", "\xe2\x82\xac", NULL },
	{ "windows-1252", "\xe2\x82\xac\xe3\x81\x82", "\x80%26%2312354%3B" },
	{ "windows-1258", "\xe1\xba\xa1", "%26%237841%3B" },                /* no two octets for one character */
	{ "iso-2022-jp", "\xe3\x81\x82\xf0\x9f\x98\x80", "\033$B$\"\033(B%26%23128512%3B" },
	{ "iso-2022-jp", "a\xe3\x81\x82z", "a\033$B$\"\033(Bz" },
	{ "iso-2022-jp", "\xef\xbd\xb1", NULL },
	{ "utf-8", "\xe3\x81", NULL },
};
START_TEST(queries)
{
	struct buf out;

	buf_init(&out, 1000);
	ck_assert_int_eq(charset_query(charset_find(str_from_c(query_rows[_i].label)), str_from_c(query_rows[_i].utf8), &out),
			 query_rows[_i].want != NULL);
	if (query_rows[_i].want)
		ck_assert_str_is(buf_view(&out), str_from_c(query_rows[_i].want));
	buf_clear(&out);
}
END_TEST

static const struct { const char *label; struct str in; bool is_sure; } sure_rows[] = {
	{ "utf-8", STR_INIT("\xc2\x81"), true },        { "shift_jis", STR_INIT("a\x82\xa0"), true },
	{ "euc-jp", STR_INIT("\x8f\xf3\xf3"), false },  { "gb2312", STR_INIT("\xa1\x40"), false },
	{ "koi8-u", STR_INIT("\xae"), false },           { "koi8-u", STR_INIT("\xc1"), true },
	{ "big5", STR_INIT("\xa1\x45"), false },         { "iso-2022-jp", STR_INIT("\033$B$\"\033(B"), true },
};
START_TEST(sureness)
{
	const struct charset *charset = charset_find(str_from_c(sure_rows[_i].label));
	struct buf out;

	buf_init(&out, 1000);
	ck_assert(charset_to_utf8(charset, sure_rows[_i].in, &out));
	ck_assert_int_eq(charset_is_sure(charset, buf_view(&out)), sure_rows[_i].is_sure);
	buf_clear(&out);
}
END_TEST

/* `want` has '*' for each octet of the view that is no ASCII character. */
static const struct { const char *name, *label; struct str in; const char *want; } view_rows[] = {
	{ "63 markup inside kanji", "iso-2022-jp", STR_INIT("<a>\033$B\"<&=\033(B\">"), "<a>****\">" },
	{ "64 Roman state", "iso-2022-jp", STR_INIT("\033(J<\\~>\033(B~"), "<**>~" },
	{ "64 Katakana state", "iso-2022-jp", STR_INIT("\033(I<&\033(B<"), "**<" },
	{ "65 redundant escapes", "iso-2022-jp", STR_INIT("<\033(Ba href=\033(B\"x\033(B\">"), "<a href=\"x\">" },
	{ "65 escapes one behind the other", "iso-2022-jp", STR_INIT("<\033(B\033(Ba\033$B\033(J\033(Bb"), "<***a******b" },
	{ "65 no way back before a line end", "iso-2022-jp", STR_INIT("\033$B$\"\n<"), "**\n*" },
	{ "65 no way back", "iso-2022-jp", STR_INIT("<p>\033$B$\""), "<p>**" },
	{ "67 trail octets", "shift_jis", STR_INIT("\x83\x5c\x95\x40<"), "****<" },
	{ "67 lead before a quote", "shift_jis", STR_INIT("\x83\">"), "\x83\">" },
	{ "67 half-width katakana is one octet", "shift_jis", STR_INIT("\xb1<\xb1\\"), "\xb1<\xb1\\" },
	{ "69 four octets", "gb18030", STR_INIT("\x81\x30\x81\x30<\x81\x30<"), "****<\x81""0<" },
	{ "69 Big5", "big5", STR_INIT("\xa5\x5c|"), "**|" },
	{ "68 EUC-JP as it stands", "euc-jp", STR_INIT("\x8f\xb0\xa1<"), "\x8f\xb0\xa1<" },
	{ "71 invalid UTF-8 as it stands", "utf-8", STR_INIT("\xe3<"), "\xe3<" },
};
START_TEST(views)
{
	struct str in = unit_wall(view_rows[_i].in), want = str_from_c(view_rows[_i].want);
	struct charset_view view;

	ck_assert(charset_view(charset_find(str_from_c(view_rows[_i].label)), in, &arena, &view));
	ck_assert_msg(view.bytes.len == want.len, "%s: %zu", view_rows[_i].name, view.bytes.len);
	for (size_t i = 0; i < want.len; i++) {
		char c = view.bytes.ptr[i];

		ck_assert_msg(want.ptr[i] == '*' ? (unsigned char)c >= 0x80 : c == want.ptr[i], "%s at %zu", view_rows[_i].name, i);
		if ((unsigned char)c < 0x80)
			ck_assert_msg(in.ptr[charset_view_at(&view, i, false)] == c, "%s at %zu", view_rows[_i].name, i);
	}
	unit_wall_free(in);
}
END_TEST

START_TEST(view_places)
{
	struct str in = STR("a\033$B$\"\033(Bb");
	struct charset_view view;

	ck_assert(charset_view(charset_find(STR("iso-2022-jp")), in, &arena, &view));
	ck_assert_uint_eq(charset_view_at(&view, 1, true), 1);
	ck_assert_uint_eq(charset_view_at(&view, 1, false), 4);
	ck_assert_uint_eq(charset_view_at(&view, 3, true), 6);
	ck_assert_uint_eq(charset_view_at(&view, 3, false), 9);
	ck_assert_uint_eq(charset_view_at(&view, 4, false), 10);
	ck_assert_int_eq(charset_view_state(&view, 3, true), '$');
	ck_assert_int_eq(charset_view_state(&view, 3, false), 'B');
}
END_TEST

START_TEST(no_view)
{
	struct charset_view view;

	ck_assert(!charset_view(charset_find(STR("utf-16le")), STR("a\0"), &arena, &view));
	ck_assert(!charset_view(charset_find(STR("utf-7")), STR("a"), &arena, &view));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("charset");
	TCase *tcase = tcase_create("charset");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, labels, label_rows);
	unit_add_rows(tcase, decodes, decode_rows);
	unit_add_rows(tcase, queries, query_rows);
	unit_add_rows(tcase, sureness, sure_rows);
	unit_add_rows(tcase, views, view_rows);
	tcase_add_loop_test(tcase, growth, 0, (int)charset_table_count);
	tcase_add_test(tcase, view_places);
	tcase_add_test(tcase, no_view);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
