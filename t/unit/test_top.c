/* sekisho top, drawn at every size: no line too long, none too many, in English and in Japanese. */
#include "t/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/tool/screen.h"
#include "milter/tool/terminal.h"
#include "milter/tool/top.h"

#define NOW (INT64_C(1795186800) * US_PER_S)

static const char status[] =
	"{\"program\":\"sekisho-milter\",\"version\":\"1.0\",\"node\":\"gate1\",\"started\":\"2026-11-20T21:15:03.000000+09:00\","
	"\"config\":{\"generation\":3,\"tenants\":12,\"last_error\":\"tenants.acme: \\u001b[31mred\"},"
	"\"sessions\":12,\"sessions_total\":4511,\"minute\":{\"accepted\":112,\"deferred\":4,\"rejected\":2,\"held\":0},"
	"\"store\":{\"backend\":\"redis\",\"is_local\":true,\"failures\":3},"
	"\"relay_log\":{\"file\":\"2026-11-21.jsonl\",\"seq\":12345,\"sync_us_last\":812,\"free_percent\":61,\"is_low\":true},"
	"\"maillog\":{\"lag_s\":75},\"clock\":{\"state\":\"ok\",\"max_error_us\":1200}}";

static struct top_tenant tenants[] = {
	{ .sent = { .name = "acme", .minute = { 100, 4, 2, 0, 240 }, .total = { 90000, 10, 5, 3, 100000 }, .last_us = NOW },
	  .look = { .looked_us = 1, .has_quota = true, .quota = "hourly", .used = 720, .limit = 1000, .delivered = 98, .failed = 2 } },
	{ .sent = { .name = "a-tenant-whose-name-is-as-long-as-a-name-can-be-which-is-64-octet", .minute = { 12, 0, 0, 7, 12 } },
	  .look = { .looked_us = 1, .is_suspended = true, .has_quota = true, .quota = "daily", .used = 3, .limit = 0 } },
	{ .sent = { .name = "zen" } },
};
#define TENANTS (sizeof tenants / sizeof *tenants)

static struct top top_of(json_t *answer)
{
	struct top top = { .status = answer, .tenants = tenants, .count = TENANTS, .now_us = NOW, .rate = 1.9, .charge_us = 52,
			   .answer_us = 1312, .history_count = 30 };

	for (size_t i = 0; i < top.history_count; i++)
		top.history[i] = (int64_t)(i * i);
	return top;
}

/* Without colours, which take no columns. */
static size_t width_of(struct str line)
{
	size_t width = 0;

	while (line.len) {
		size_t at = str_find_byte(line, '\033');

		width += screen_width(str_slice(line, 0, at));
		line = str_from(line, at);
		if (line.len)
			line = str_from(line, str_find_byte(line, 'm') + 1);
	}
	return width;
}

static void check_frame(struct str frame, const struct top_view *view)
{
	size_t lines = 0;
	struct str line;

	for (; str_next(&frame, '\n', &line); lines++)
		ck_assert_msg(width_of(line) <= view->columns, "%zu columns: %zu in \"" STR_FMT "\"", view->columns, width_of(line),
			      STR_ARG(line));
	ck_assert_msg(lines <= view->rows || view->rows < 12, "%zu rows: %zu lines", view->rows, lines);
}

START_TEST(every_size)
{
	static const size_t rows[] = { 1, 10, 24, 33, 34, 50, 200 };
	json_t *answer = json_loads(status, 0, NULL);
	struct top top = top_of(answer);
	struct buf frame;

	buf_init(&frame, (size_t)1 << 20);
	for (size_t columns = 1; columns <= 260; columns++)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			struct top_view view = { .rows = rows[i], .columns = columns, .lang = (enum top_lang)_i, .sort = 1 };

			buf_reset(&frame);
			top_draw(&top, &view, &frame);
			check_frame(buf_view(&frame), &view);
			view.is_helping = true;
			buf_reset(&frame);
			top_draw(&top, &view, &frame);
		}
	buf_clear(&frame);
	json_decref(answer);
}
END_TEST

static size_t at(const struct buf *frame, const char *text)
{
	return str_find(buf_view(frame), str_from_c(text));
}

/* Which of the two stands higher, when sorted by this key. */
static const struct { char key; bool acme_first; } key_rows[] = {
	{ 'm', true }, { 'n', false }, { 'r', true }, { 'x', true }, { 'h', false }, { 'u', false }, { 'b', true }, { 't', true }, { 'l', true },
};

START_TEST(keys_sort)
{
	json_t *answer = json_loads(status, 0, NULL);
	struct top top = top_of(answer);
	struct top_view view = { .rows = 24, .columns = 130, .sort = key_rows[_i].key == 'x' ? 1 : 3 };
	struct buf frame;

	buf_init(&frame, 65536);
	ck_assert(top_key(&view, key_rows[_i].key));
	for (int turn = 0; turn < 2; turn++, ck_assert(top_key(&view, key_rows[_i].key))) {
		buf_reset(&frame);
		top_draw(&top, &view, &frame);
		ck_assert_msg((at(&frame, " acme ") < at(&frame, " a-tenant")) == (key_rows[_i].acme_first != (turn == 1)), "key %c, turn %d",
			      key_rows[_i].key, turn);
	}
	ck_assert(!top_key(&view, 'Z'));
	buf_clear(&frame);
	json_decref(answer);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
	json_t *answer = json_loads(status, 0, NULL);
	struct top top = top_of(answer);
	struct top_view view = { .rows = 24, .columns = 200, .sort = 1 };
	static const char *const wanted[] = { "NOT RELOADED: tenants.acme: \\x1b[31mred", "AWAY", "3 failures", "DISK LOW", "75 s behind",
					      "suspended", "72 %", "2.0 %", "1.3 ms" };
	struct buf frame;

	buf_init(&frame, 65536);
	top_draw(&top, &view, &frame);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		ck_assert_msg(at(&frame, wanted[i]) < frame.len, "no \"%s\"", wanted[i]);
	json_decref(answer);
	top.status = NULL;
	snprintf(top.why, sizeof top.why, "127.0.0.1:9185: connection refused");
	buf_reset(&frame);
	top_draw(&top, &view, &frame);
	ck_assert(at(&frame, "connection refused") < frame.len);
	buf_clear(&frame);
}
END_TEST

START_TEST(one_is_one)
{
	json_t *answer = json_loads("{\"config\":{\"tenants\":1},\"store\":{\"failures\":1}}", 0, NULL);
	struct top top = top_of(answer);
	struct top_view view = { .rows = 24, .columns = 200, .sort = 1, .is_plain = true };
	struct buf frame;

	buf_init(&frame, 65536);
	top_draw(&top, &view, &frame);
	ck_assert(at(&frame, " 1 tenant\n") < frame.len && at(&frame, " 1 failure ") < frame.len);
	buf_clear(&frame);
	json_decref(answer);
}
END_TEST

START_TEST(plain_has_no_escapes)
{
	json_t *answer = json_loads(status, 0, NULL);
	struct top top = top_of(answer);
	struct top_view view = { .columns = 132, .sort = 1, .is_plain = true };
	struct buf frame;

	buf_init(&frame, 65536);
	top_draw(&top, &view, &frame);
	ck_assert_uint_eq(str_find_byte(buf_view(&frame), '\033'), frame.len);
	ck_assert(at(&frame, "\n zen ") < frame.len && at(&frame, "########") < frame.len);
	buf_clear(&frame);
	json_decref(answer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("top");
	TCase *tc = tcase_create("top");

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, every_size, 0, 2);
	unit_add_rows(tc, keys_sort, key_rows);
	tcase_add_test(tc, what_is_wrong_is_said);
	tcase_add_test(tc, one_is_one);
	tcase_add_test(tc, plain_has_no_escapes);
	return unit_main(suite);
}
