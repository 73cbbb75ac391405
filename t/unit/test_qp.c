/* milter/mail: transfer encodings and edits (TRACKING cases 76 to 84). */
#include "t/lib/unit.h"

#include "milter/mail/base64.h"
#include "milter/mail/qp.h"

static const struct { const char *name; struct str in, want; } qp_rows[] = {
	{ "76 soft break inside a word", STR_INIT("hr=\r\nef=3D\"x\""), STR_INIT("href=\"x\"") },
	{ "76 soft break with a CR too many", STR_INIT("a=\r\r\nb"), STR_INIT("ab") },
	{ "76 soft break with blanks behind", STR_INIT("a= \t\r\nb"), STR_INIT("ab") },
	{ "77 lower-case digits", STR_INIT("=3d=e3=81=82"), STR_INIT("=\xe3\x81\x82") },
	{ "77 escape that is none", STR_INIT("a=G1=3=\nb"), STR_INIT("a=G1=3b") },
	{ "77 trailing blanks go", STR_INIT("a \t\r\nb  "), STR_INIT("a\r\nb") },
	{ "77 an escaped blank stays", STR_INIT("a=20\r\n"), STR_INIT("a \r\n") },
	{ "77 final soft break", STR_INIT("ab="), STR_INIT("ab") },
	{ "77 no final line end", STR_INIT("a\nb"), STR_INIT("a\nb") },
	{ "78 line end as escapes, NUL", STR_INIT("a=0D=0Ab=00c"), STR_INIT("a\r\nb\0c") },
	{ "78 NUL as it is", STR_INIT("a\0b"), STR_INIT("a\0b") },
	{ "79 ISO-2022-JP inside", STR_INIT("=1B$B$\"=1B(B"), STR_INIT("\033$B$\"\033(B") },
	{ "two signs", STR_INIT("a==\r\nb"), STR_INIT("a=b") },
	{ "84 bare CR", STR_INIT("a\rb\r\n"), STR_INIT("a\rb\r\n") },
	{ "empty", STR_INIT(""), STR_INIT("") },
};
START_TEST(qp_decodes)
{
	struct str in = unit_wall(qp_rows[_i].in), got;
	struct buf out;

	buf_init(&out, 1000);
	ck_assert_int_eq(qp_decode(in, &out), str_find(in, STR("= ")) == in.len && str_find(in, STR("\r\r")) == in.len);
	ck_assert_msg(buf_done(&out, &got, NULL), "%s", qp_rows[_i].name);
	ck_assert_str_is(got, qp_rows[_i].want);
	buf_clear(&out);
	unit_wall_free(in);
}
END_TEST

static void assert_qp_lines(struct str text)
{
	struct str line;

	while (str_next(&text, '\n', &line))
		ck_assert_msg(line.len <= QP_LINE_MAX + 1, "line of %zu: " STR_FMT, line.len, STR_ARG(line));
}

/* Encoding any octets with either line end and decoding them gives the octets back, in short lines. */
START_TEST(qp_round_trip)
{
	static const struct str eols[] = { STR_INIT("\r\n"), STR_INIT("\n") };
	struct buf in, coded, back;
	unsigned seed = (unsigned)_i * 7919 + 1;

	buf_init(&in, 4096);
	buf_init(&coded, 65536);
	buf_init(&back, 65536);
	for (int i = 0; i < 40 + _i * 9; i++) {
		static const char common[] = " \t=\r\n.FaZ~\x80\xff\0\033";

		seed = seed * 1103515245 + 12345;
		buf_add_byte(&in, (seed >> 16) % 3 ? common[(seed >> 18) % sizeof common] : (char)(seed >> 20));
	}
	qp_encode(buf_view(&in), eols[_i % 2], &coded);
	assert_qp_lines(buf_view(&coded));
	qp_decode(buf_view(&coded), &back);
	ck_assert_str_is(buf_view(&back), buf_view(&in));
	buf_clear(&in);
	buf_clear(&coded);
	buf_clear(&back);
}
END_TEST

static const struct str qp_sources[] = {
	STR_INIT("<p>caf=C3=A9 <a href=3D\"http://x.example/a=\r\nb\">x</a>  \r\n=3D= \r\n tail=\r\n\r\n.=zz\r\nend="),
	STR_INIT("=e3=81=82 \nno end  "),
	STR_INIT(""),
	STR_INIT("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"),
	STR_INIT("a=\r\n"),
	STR_INIT("a \r\t\nb\r\r\n"),
};

/* Editing inside the encoded text at every place and decoding equals decoding and then editing. */
START_TEST(qp_edits)
{
	struct str source = qp_sources[_i], with = STR("https://t.example/c/=A_b-=?.\xe3\x81\x82 and so on for a while, to be folded");
	struct buf plain, coded, want, got;

	buf_init(&plain, 4096);
	buf_init(&coded, 65536);
	buf_init(&want, 65536);
	buf_init(&got, 65536);
	qp_decode(source, &plain);
	for (size_t at = 0; at <= plain.len; at++)
		for (size_t len = 0; len <= plain.len - at; len++) {
			struct edit items[2] = { { at, len, with }, { plain.len, 0, STR("<img>") } };
			struct edit_list edits = { .items = items, .count = 2 };

			buf_reset(&coded);
			buf_reset(&want);
			buf_reset(&got);
			qp_edit(source, &edits, STR("\r\n"), &coded);
			qp_decode(buf_view(&coded), &got);
			edit_apply(buf_view(&plain), &edits, &want);
			ck_assert_str_is(buf_view(&got), buf_view(&want));
			if (_i != 3)
				assert_qp_lines(buf_view(&coded));
		}
	buf_clear(&plain);
	buf_clear(&coded);
	buf_clear(&want);
	buf_clear(&got);
}
END_TEST

START_TEST(qp_edit_touches_only_its_lines)
{
	struct str in = STR("keep=3d  \r\nchange me\r\nkeep=e3 \t\r\n"), got;
	struct edit items[1] = { { 7, 6, STR("changed") } };
	struct edit_list edits = { .items = items, .count = 1 };
	struct buf out;

	buf_init(&out, 1000);
	qp_edit(in, &edits, STR("\r\n"), &out);
	ck_assert(buf_done(&out, &got, NULL));
	ck_assert_str_is(got, STR("keep=3d  \r\nchanged me\r\nkeep=e3 \t\r\n"));
	buf_clear(&out);
}
END_TEST

/* A URL that was parted goes as a whole: no empty lines stay of it, and what stood behind it begins none. */
START_TEST(qp_edit_joins_what_it_parted)
{
	struct str in = STR("http://x.e=\r\nxampl=\r\ne/.\r\n"), got;
	struct edit items[1] = { { 0, 17, STR("y") } };
	struct edit_list edits = { .items = items, .count = 1 };
	struct buf out;

	buf_init(&out, 1000);
	qp_edit(in, &edits, STR("\r\n"), &out);
	ck_assert(buf_done(&out, &got, NULL));
	ck_assert_str_is(got, STR("y.\r\n"));
	buf_clear(&out);
}
END_TEST

static void assert_harmless_lines(struct str text)
{
	struct str line;

	while (str_next(&text, '\n', &line))
		ck_assert_msg(!line.len || !memchr("-.F", line.ptr[0], 3), "line " STR_FMT, STR_ARG(line));
}

/* A break of ours makes no delimiter of "--b", no end of mail of "." and no separator of "From ", wherever it falls. */
START_TEST(qp_breaks_are_harmless)
{
	static const struct str tails[] = { STR_INIT("--b"), STR_INIT("--b--"), STR_INIT("."), STR_INIT("From a") };
	struct edit items[1] = { { 0, 1, STR("y") } };
	struct edit_list edits = { .items = items, .count = 1 };
	struct buf text, coded, back;

	buf_init(&text, 1000);
	buf_init(&coded, 1000);
	buf_init(&back, 1000);
	for (int before = 1; before < 2 * QP_LINE_MAX; before++)
		for (int is_edit = 0; is_edit < 2; is_edit++) {
			buf_reset(&text);
			buf_reset(&coded);
			buf_reset(&back);
			for (int i = 0; i < before; i++)
				buf_add_byte(&text, 'y');
			buf_add(&text, tails[_i]);
			if (is_edit)
				qp_edit(buf_view(&text), &edits, STR("\n"), &coded);
			else
				qp_encode(buf_view(&text), STR("\n"), &coded);
			assert_harmless_lines(buf_view(&coded));
			assert_qp_lines(buf_view(&coded));
			qp_decode(buf_view(&coded), &back);
			ck_assert_str_is(buf_view(&back), buf_view(&text));
		}
	buf_clear(&text);
	buf_clear(&coded);
	buf_clear(&back);
}
END_TEST

static const struct { const char *name; struct str in, want; bool is_clean; } base64_rows[] = {
	{ "padded", STR_INIT("YWI="), STR_INIT("ab"), true },
	{ "80 one line, no padding", STR_INIT("YWI"), STR_INIT("ab"), true },
	{ "80 odd widths and blank lines", STR_INIT("Y\r\n\r\nWJj\n ZA = ="), STR_INIT("abcd"), true },
	{ "80 foreign octets are passed over", STR_INIT("YW*\0\xffJj"), STR_INIT("abc"), false },
	{ "80 empty", STR_INIT(""), STR_INIT(""), true },
	{ "data after padding", STR_INIT("YQ==YWI="), STR_INIT("aab"), false },
	{ "whole groups after padding", STR_INIT("YWJj=YWJj"), STR_INIT("abcabc"), false },
	{ "one digit left", STR_INIT("YWJjZ"), STR_INIT("abc"), false },
	{ "one digit and padding", STR_INIT("YWJjZ==="), STR_INIT("abc"), false },
};
START_TEST(base64_decodes)
{
	struct str in = unit_wall(base64_rows[_i].in);
	struct buf out;
	bool is_clean;

	buf_init(&out, 1000);
	is_clean = base64_decode(in, &out);
	ck_assert_str_is(buf_view(&out), base64_rows[_i].want);
	ck_assert_msg(is_clean == base64_rows[_i].is_clean, "%s", base64_rows[_i].name);
	buf_clear(&out);
	unit_wall_free(in);
}
END_TEST

START_TEST(base64_round_trip)
{
	char octets[300];
	struct buf coded, back;

	buf_init(&coded, 4096);
	buf_init(&back, 4096);
	for (size_t i = 0; i < sizeof octets; i++)
		octets[i] = (char)(i * 37 + 11);
	for (size_t len = 0; len <= sizeof octets; len++) {
		buf_reset(&coded);
		buf_reset(&back);
		base64_encode(str_of(octets, len), STR("\r\n"), &coded);
		assert_qp_lines(buf_view(&coded));
		ck_assert(base64_decode(buf_view(&coded), &back));
		ck_assert_str_is(buf_view(&back), str_of(octets, len));
	}
	buf_clear(&coded);
	buf_clear(&back);
}
END_TEST

static const struct { struct str text; size_t at, len; struct str with; size_t longest; } line_rows[] = {
	{ STR_INIT("abc\r\nde\r\n"), 3, 0, STR_INIT("xyz"), 6 },
	{ STR_INIT("abc\r\nde\r\n"), 3, 2, STR_INIT(""), 5 },
	{ STR_INIT("abc\r\nde\r\n"), 4, 1, STR_INIT("\n"), 3 },
	{ STR_INIT("abcdef"), 2, 0, STR_INIT("\n"), 4 },
	{ STR_INIT(""), 0, 0, STR_INIT("xy\nz"), 2 },
};
START_TEST(edit_lines)
{
	struct edit item = { line_rows[_i].at, line_rows[_i].len, line_rows[_i].with };
	struct edit_list edits = { .items = &item, .count = 1 };

	ck_assert(edit_lines_fit(line_rows[_i].text, &edits, line_rows[_i].longest));
	ck_assert(!edit_lines_fit(line_rows[_i].text, &edits, line_rows[_i].longest - 1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qp");
	TCase *tcase = tcase_create("encodings");

	unit_add_rows(tcase, qp_decodes, qp_rows);
	tcase_add_loop_test(tcase, qp_round_trip, 0, 100);
	unit_add_rows(tcase, qp_edits, qp_sources);
	tcase_add_test(tcase, qp_edit_touches_only_its_lines);
	tcase_add_test(tcase, qp_edit_joins_what_it_parted);
	tcase_add_loop_test(tcase, qp_breaks_are_harmless, 0, 4);
	unit_add_rows(tcase, base64_decodes, base64_rows);
	tcase_add_test(tcase, base64_round_trip);
	unit_add_rows(tcase, edit_lines, line_rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
