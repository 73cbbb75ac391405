/* tool/csv: what was written comes back, and nothing a stranger wrote becomes a formula or a second row. */
#include "t/lib/unit.h"

#include "milter/tool/csv.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, (size_t)1 << 20);
}

static void teardown(void)
{
	arena_clear(&arena);
}

static const struct {
	struct str cells[3];
	const char *want;
} rows[] = {
	{ { STR_INIT("a@b"), STR_INIT(""), STR_INIT("x y") }, "a@b,,x y\r\n" },
	{ { STR_INIT("a,b"), STR_INIT("say \"no\""), STR_INIT("two\r\nlines") }, "\"a,b\",\"say \"\"no\"\"\",\"two\r\nlines\"\r\n" },
	{ { STR_INIT("=1+1"), STR_INIT("@SUM(A1)"), STR_INIT("-2") }, "'=1+1,'@SUM(A1),'-2\r\n" },
	{ { STR_INIT("+cmd,x"), STR_INIT("\t="), STR_INIT("'quoted") }, "\"'+cmd,x\",'\t=,'quoted\r\n" },
	{ { STR_INIT("＝1+1"), STR_INIT("\n=1"), STR_INIT("＠x") }, "'＝1+1,\"'\n=1\",'＠x\r\n" },
	{ { STR_INIT("\xe9\x96\xa2"), STR_INIT("\xff"), STR_INIT("") }, "\xe9\x96\xa2,\xff,\r\n" },
};
START_TEST(round_trip)
{
	struct csv_row row;
	struct buf buf;

	buf_init(&buf, 4096);
	csv_add_row(&buf, rows[_i].cells, 3);
	ck_assert_str_is(buf_view(&buf), str_from_c(rows[_i].want));

	struct str wall = unit_wall(buf_view(&buf)), rest = wall;

	ck_assert(csv_next_row(&rest, &arena, &row));
	ck_assert(!row.is_bad);
	ck_assert_uint_eq(row.count, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_str_is(row.cells[i], rows[_i].cells[i]);
	ck_assert_uint_eq(rest.len, 0);
	ck_assert(!csv_next_row(&rest, &arena, &row));
	unit_wall_free(wall);
	buf_clear(&buf);
}
END_TEST

static const struct {
	const char *text;
	bool is_bad;
	size_t count, lines, rest;
} read_rows[] = {
	{ "a,b\nc", false, 2, 1, 1 },       { "a,b\rc", false, 2, 1, 1 },     { "a", false, 1, 0, 0 },
	{ "\n\n", false, 1, 1, 1 },         { "a,", false, 2, 0, 0 },         { "\"a", true, 1, 0, 0 },
	{ "\"a\"b,c\nd", true, 2, 1, 1 },   { "\"\"\"\"", false, 1, 0, 0 },   { "\"a\nb\"\nc", false, 1, 2, 1 },
	{ "\"", true, 1, 0, 0 },            { "a\"b\n", false, 1, 1, 0 },     { ",,\n", false, 3, 1, 0 },
	{ "\"\"\"", true, 1, 0, 0 },
};
START_TEST(reading)
{
	struct str wall = unit_wall(str_from_c(read_rows[_i].text)), rest = wall;
	struct csv_row row;

	ck_assert(csv_next_row(&rest, &arena, &row));
	ck_assert_msg(row.is_bad == read_rows[_i].is_bad && row.count == read_rows[_i].count &&
			      row.lines == read_rows[_i].lines && rest.len == read_rows[_i].rest,
		      "row %d: %d, %zu cells, %zu lines, %zu left", _i, row.is_bad, row.count, row.lines, rest.len);
	unit_wall_free(wall);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("csv");
	TCase *tcase = tcase_create("csv");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, round_trip, rows);
	unit_add_rows(tcase, reading, read_rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
