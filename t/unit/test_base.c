/* config/base: the small things everything else stands on. */
#include "t/lib/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "config/base/arena.h"
#include "config/base/buf.h"
#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/num.h"

static const struct { const char *pattern, *text; bool want; } glob_rows[] = {
	{ "*", "", true },
	{ "acme*", "acme-7", true },
	{ "acme*", "ACME", true },
	{ "*@x.example", "a@x.example", true },
	{ "*@x.example", "a@y.example", false },
	{ "a?c", "abc", true },
	{ "a?c", "ac", false },
	{ "a*b*c", "axxbyyc", true },
	{ "a*b*c", "axxbyyd", false },
	{ "", "a", false },
};
START_TEST(glob)
{
	bool got = str_glob(str_from_c(glob_rows[_i].pattern), str_from_c(glob_rows[_i].text));

	ck_assert_msg(got == glob_rows[_i].want, "%s against %s", glob_rows[_i].pattern, glob_rows[_i].text);
}
END_TEST

START_TEST(pieces)
{
	struct str rest = STR("a,,b"), piece;

	ck_assert(str_next(&rest, ',', &piece));
	ck_assert_str_is(piece, STR("a"));
	ck_assert(str_next(&rest, ',', &piece));
	ck_assert_str_is(piece, STR(""));
	ck_assert(str_next(&rest, ',', &piece));
	ck_assert_str_is(piece, STR("b"));
	ck_assert(!str_next(&rest, ',', &piece));
}
END_TEST

static const struct { const char *text; bool ok; int64_t want; } duration_rows[] = {
	{ "90s", true, 90 * US_PER_S },  { "60d", true, 60 * DAY_US }, { "1y", true, 365 * DAY_US },
	{ "500ms", true, 500000 },       { "0", true, 0 },             { "5", false, 0 },
	{ "s", false, 0 },               { "-1s", false, 0 },          { "1 s", false, 0 },
	{ "9223372036854775807y", false, 0 },
};
START_TEST(duration)
{
	int64_t got = -1;
	bool ok = num_parse_duration(str_from_c(duration_rows[_i].text), &got);

	ck_assert_msg(ok == duration_rows[_i].ok, "%s", duration_rows[_i].text);
	ck_assert_msg(got == (ok ? duration_rows[_i].want : -1), "%s", duration_rows[_i].text);
}
END_TEST

static const struct { int64_t us; const char *want; } duration_text_rows[] = {
	{ 60 * DAY_US, "60d" }, { 90 * US_PER_S, "90s" }, { 250000, "250ms" }, { 0, "0d" }, { 3600 * US_PER_S, "1h" },
};
START_TEST(duration_text)
{
	char out[NUM_DURATION_MAX];

	num_format_duration(duration_text_rows[_i].us, out);
	ck_assert_str_eq(out, duration_text_rows[_i].want);
}
END_TEST

static const struct { const char *text; bool ok; int64_t want; } time_rows[] = {
	{ "2026-11-21T00:00:00.000000+09:00", true, INT64_C(1795186800) * US_PER_S },
	{ "2026-11-20T15:00:00Z", true, INT64_C(1795186800) * US_PER_S },
	{ "1969-12-31T23:59:59.999999Z", true, -1 },
	{ "2026-02-29T00:00:00Z", false, 0 },
	{ "2026-11-21T24:00:00Z", false, 0 },
	{ "2026-11-21T00:00:00", false, 0 },
	{ "2026-11-21T00:00:00Zx", false, 0 },
};
START_TEST(time_parse)
{
	int64_t got = 0;
	bool ok = jst_parse_time(str_from_c(time_rows[_i].text), &got);

	ck_assert_msg(ok == time_rows[_i].ok, "%s", time_rows[_i].text);
	ck_assert_msg(got == time_rows[_i].want, "%s: %lld", time_rows[_i].text, (long long)got);
}
END_TEST

/* Every hour of 400 years there and back, and the week goes on through all of them. */
START_TEST(time_round_trip)
{
	int64_t start = jst_day_from_civil(1900, 1, 1), end = jst_day_from_civil(2300, 1, 1);

	for (int64_t day = start; day < end; day++) {
		char text[JST_TIME_LEN + 1];
		int64_t back, t = jst_day_start_us(day) + (day % 24 + 24) % 24 * 3600 * US_PER_S + 123456;

		jst_format_time(t, text);
		ck_assert(jst_parse_time(str_from_c(text), &back));
		ck_assert_int_eq(back, t);
		ck_assert_int_eq(jst_day(t), day);
		ck_assert_int_eq(jst_weekday(day + 1), (jst_weekday(day) + 1) % 7);
	}
	ck_assert_int_eq(jst_weekday(jst_day_from_civil(2026, 11, 21)), 5);
}
END_TEST

START_TEST(arena_joins)
{
	struct arena arena;
	struct str joined;

	arena_init(&arena, 64);
	ck_assert(arena_concat(&arena, &joined, STR("a\0b"), STR_EMPTY, STR("c")));
	ck_assert(str_eq(joined, STR("a\0bc")));
	ck_assert_int_eq(joined.ptr[joined.len], '\0');
	ck_assert(arena_join(&arena, NULL, 0, &joined));
	ck_assert_uint_eq(joined.len, 0);
	ck_assert(!arena_concat(&arena, &joined, STR("x"), str_of("", SIZE_MAX)));
	ck_assert(!arena_concat(&arena, &joined, STR("longer than"), STR("all that is left of sixty-four octets, gaps included")));
	arena_clear(&arena);
}
END_TEST

START_TEST(arena_limit)
{
	struct arena arena;

	arena_init(&arena, 10000);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 5000));
	ck_assert_ptr_null(arena_alloc(&arena, 6000));
	ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
	ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
	ck_assert_ptr_null(arena_array(&arena, SIZE_MAX / 2, 4));
	arena_reset(&arena);
	ck_assert_uint_eq(arena.used, 0);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 9000));
	arena_clear(&arena);
}
END_TEST

START_TEST(buf_ceiling)
{
	struct buf buf;
	struct str out;
	struct err err;

	buf_init(&buf, 10);
	buf_add(&buf, STR("12345"));
	buf_add(&buf, STR("1234567"));
	buf_add(&buf, STR("x"));
	ck_assert(!buf_done(&buf, &out, &err));
	buf_reset(&buf);
	buf_add(&buf, STR("1234567890"));
	ck_assert(buf_done(&buf, &out, &err));
	ck_assert_str_is(out, STR("1234567890"));
	buf_clear(&buf);
}
END_TEST

static const struct { struct str raw; const char *escaped; } escape_rows[] = {
	{ STR_INIT("plain"), "plain" },
	{ STR_INIT("a\"b\\c"), "a\\\"b\\\\c" },
	{ STR_INIT("\x00\x1b\n\x7f"), "\\u0000\\u001b\\n\\u007f" },
	{ STR_INIT("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0"), "\\u0080\\u009b\\u009f\xc2\xa0" },
	{ STR_INIT("関所"), "関所" },
	{ STR_INIT("\xff\xe9\x96"), "\\udcff\\udce9\\udc96" },
	{ STR_INIT("\xed\xa0\x80"), "\\udced\\udca0\\udc80" },
	{ STR_INIT("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80" },
};
START_TEST(escape)
{
	struct buf escaped, back;

	buf_init(&escaped, 1000);
	buf_init(&back, 1000);
	json_escape(&escaped, escape_rows[_i].raw);
	ck_assert_str_is(buf_view(&escaped), str_from_c(escape_rows[_i].escaped));
	ck_assert(json_unescape(&back, buf_view(&escaped)));
	ck_assert_str_is(buf_view(&back), escape_rows[_i].raw);
	buf_clear(&escaped);
	buf_clear(&back);
}
END_TEST

START_TEST(json_shape)
{
	struct buf buf;
	struct json json;

	buf_init(&buf, 1000);
	json_init(&json, &buf);
	json_object_open(&json);
	json_member_str(&json, "a", STR("x"));
	json_key(&json, "b");
	json_array_open(&json);
	json_i64(&json, 1);
	json_milli(&json, -1500);
	json_object_open(&json);
	json_object_close(&json);
	json_array_close(&json);
	json_member_bool(&json, "c", true);
	json_object_close(&json);
	ck_assert_str_is(buf_view(&buf), STR("{\"a\":\"x\",\"b\":[1,-1.500,{}],\"c\":true}"));
	buf_clear(&buf);
}
END_TEST

/* Anybody may ask for a secret; that he should become its owner is no advice. */
START_TEST(secret_of_another)
{
	const char *path = unit_file("secret", STR("x"));
	struct buf out;
	struct err err;

	buf_init(&out, 10);
	ck_assert(io_read_secret(path, &out, &err));
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(unit_dir(), 0711), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	} else {
		ck_assert_int_eq(chmod(path, 0), 0);
	}
	ck_assert(!io_read_secret(path, &out, &err));
	ck_assert(getuid() != 0 || seteuid(0) == 0);    /* or a sanitizer cannot look for leaks at the end */
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "may not read it: it belongs to "), "%s", err.text);
	ck_assert_msg(!strstr(err.text, "chown"), "%s", err.text);
	buf_clear(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("base");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, glob, glob_rows);
	tcase_add_test(tc, pieces);
	unit_add_rows(tc, duration, duration_rows);
	unit_add_rows(tc, duration_text, duration_text_rows);
	unit_add_rows(tc, time_parse, time_rows);
	tcase_add_test(tc, time_round_trip);
	tcase_add_test(tc, arena_joins);
	tcase_add_test(tc, arena_limit);
	tcase_add_test(tc, buf_ceiling);
	unit_add_rows(tc, escape, escape_rows);
	tcase_add_test(tc, json_shape);
	tcase_add_test(tc, secret_of_another);
	return unit_main(suite);
}
