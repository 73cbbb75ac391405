/* milter/tool/screen: what outsiders wrote cannot steer a terminal, and tables stay within their width. */
#include "t/lib/unit.h"

#include <stdlib.h>

#include "milter/tool/screen.h"

static const struct {
	const char *name;
	struct str in;
	const char *want, *want_lines;
} clean_rows[] = {
	{ "plain", STR_INIT("alice@example.jp"), "alice@example.jp", "alice@example.jp" },
	{ "empty", STR_INIT(""), "", "" },
	{ "escape sequence", STR_INIT("\033[2Jgone"), "\\x1b[2Jgone", "\\x1b[2Jgone" },
	{ "title change", STR_INIT("\033]0;root\a"), "\\x1b]0;root\\x07", "\\x1b]0;root\\x07" },
	{ "line feed", STR_INIT("a\nb"), "a\\x0ab", "a\nb" },
	{ "carriage return hides", STR_INIT("evil\rgood"), "evil\\x0dgood", "evil\\x0dgood" },
	{ "NUL", STR_INIT("a\0b"), "a\\x00b", "a\\x00b" },
	{ "DEL", STR_INIT("\x7f"), "\\x7f", "\\x7f" },
	{ "C1 control as UTF-8", STR_INIT("\xc2\x9b" "31m"), "\\u{009b}31m", "\\u{009b}31m" },
	{ "C1 control as an octet", STR_INIT("\x9b" "31m"), "\\x9b31m", "\\x9b31m" },
	{ "cut UTF-8", STR_INIT("\xe9\x96"), "\\xe9\\x96", "\\xe9\\x96" },
	{ "overlong", STR_INIT("\xc0\x8a"), "\\xc0\\x8a", "\\xc0\\x8a" },
	{ "right-to-left override", STR_INIT("a\xe2\x80\xae" "b"), "a\\u{202e}b", "a\\u{202e}b" },
	{ "line separator", STR_INIT("\xe2\x80\xa8"), "\\u{2028}", "\\u{2028}" },
	{ "zero width space", STR_INIT("a\xe2\x80\x8b" "b"), "a\\u{200b}b", "a\\u{200b}b" },
	{ "tag character", STR_INIT("\xf3\xa0\x81\x81"), "\\u{e0041}", "\\u{e0041}" },
	{ "Japanese", STR_INIT("関所"), "関所", "関所" },
};

START_TEST(clean)
{
	struct buf out;
	struct str in = unit_wall(clean_rows[_i].in);

	buf_init(&out, 1000);
	screen_clean(&out, in, false);
	ck_assert_str_is(buf_view(&out), str_from_c(clean_rows[_i].want));
	buf_reset(&out);
	screen_clean(&out, in, true);
	ck_assert_str_is(buf_view(&out), str_from_c(clean_rows[_i].want_lines));
	buf_reset(&out);
	screen_clean(&out, str_from_c(clean_rows[_i].want), false);
	ck_assert_str_is(buf_view(&out), str_from_c(clean_rows[_i].want));      /* twice is once */
	buf_clear(&out);
	unit_wall_free(in);
}
END_TEST

static const struct {
	const char *text;
	size_t width, columns, fit;            /* fit: octets that have room in `columns` */
} width_rows[] = {
	{ "", 0, 10, 0 },
	{ "abc", 3, 10, 3 },
	{ "abcdef", 6, 4, 4 },
	{ "関所", 4, 3, 3 },
	{ "関所", 4, 4, 6 },
	{ "関所", 4, 1, 3 },                   /* one character always goes */
	{ "\uff76\uff9e", 2, 10, 6 },
	{ "\u304b\u3099", 2, 10, 6 },                   /* a combining mark takes none */
	{ "é", 1, 10, 2 },
	{ "one two three", 13, 9, 8 },         /* at the blank */
	{ "a bcdefghijkl", 13, 9, 9 },         /* that blank is too far back */
	{ "abc記録", 7, 5, 6 },                /* between two that have no blank between them */
	{ "記録 12 が欠落", 14, 9, 10 },
	{ "記録1234", 8, 6, 6 },               /* and no number in two */
	{ "関所の記録。", 12, 11, 12 },        /* no line begins so, */
	{ "記録（一）", 10, 6, 6 },            /* and none ends so */
	{ "か\u304b\u3099", 4, 2, 3 },
};

START_TEST(width)
{
	struct str text = str_from_c(width_rows[_i].text);

	ck_assert_uint_eq(screen_width(text), width_rows[_i].width);
	ck_assert_uint_eq(screen_fit(text, width_rows[_i].columns), width_rows[_i].fit);
}
END_TEST

static const struct column columns[] = { { "NAME", COLUMN_LEFT }, { "N", COLUMN_RIGHT }, { "TEXT", COLUMN_FOLD } };

/* Each line's width is at most SCREEN_WIDTH. */
static void assert_lines_fit(struct str text)
{
	struct str line;

	while (str_next(&text, '\n', &line))
		ck_assert_msg(screen_width(line) <= SCREEN_WIDTH, "%zu columns: " STR_FMT, screen_width(line), STR_ARG(line));
}

START_TEST(table_is_aligned)
{
	struct arena arena;
	struct table table;
	struct buf out;

	arena_init(&arena, 100000);
	buf_init(&out, 100000);
	table_init(&table, &arena, columns, 3);
	ck_assert(table_add(&table, (struct str[]){ STR("acme"), STR("5"), STR("x\ny") }));
	ck_assert(table_add(&table, (struct str[]){ STR("関所"), STR("1,000"), STR("") }));
	ck_assert(table_add(&table, (struct str[]){ STR("a"), STR("2"), STR("z") }));
	table_write(&table, &out);
	ck_assert_str_is(buf_view(&out), STR("NAME      N  TEXT\n"
					     "acme      5  x\\x0ay\n"
					     "関所  1,000\n"
					     "a         2  z\n"));
	buf_clear(&out);
	arena_clear(&arena);
}
END_TEST

START_TEST(table_folds)
{
	struct arena arena;
	struct table table;
	struct buf out;
	char text[1000], all[1000] = "";
	struct str rest, line;
	size_t n = 0;

	memset(text, 'x', sizeof text);
	arena_init(&arena, 100000);
	buf_init(&out, 100000);
	table_init(&table, &arena, columns, 3);
	ck_assert(table_add(&table, (struct str[]){ STR("acme"), STR("5"), str_of(text, 300) }));
	table_write(&table, &out);
	rest = buf_view(&out);
	assert_lines_fit(rest);
	while (str_next(&rest, '\n', &line))
		for (size_t i = 0; i < line.len; i++)
			if (line.ptr[i] == 'x')
				all[n++] = 'x';
	ck_assert_uint_eq(n, 300);                                 /* nothing is cut away */
	ck_assert_str_is(str_of(all, n), str_of(text, 300));
	buf_clear(&out);
	arena_clear(&arena);
}
END_TEST

START_TEST(wrap)
{
	struct buf out;
	char text[500];
	struct str rest, line;

	memset(text, 'y', sizeof text);
	for (size_t i = 7; i < sizeof text; i += 8)
		text[i] = ' ';
	buf_init(&out, 10000);
	screen_wrap(&out, "Reply     ", str_of(text, sizeof text));
	rest = buf_view(&out);
	assert_lines_fit(rest);
	ck_assert(str_next(&rest, '\n', &line) && str_starts(line, STR("Reply     y")));
	ck_assert(str_next(&rest, '\n', &line) && str_starts(line, STR("          y")));
	buf_reset(&out);
	screen_wrap(&out, "Reply     ", STR(""));
	ck_assert_str_is(buf_view(&out), STR("Reply\n"));
	buf_clear(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("screen");
	TCase *tcase = tcase_create("screen");

	unit_add_rows(tcase, clean, clean_rows);
	unit_add_rows(tcase, width, width_rows);
	tcase_add_test(tcase, table_is_aligned);
	tcase_add_test(tcase, table_folds);
	tcase_add_test(tcase, wrap);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
