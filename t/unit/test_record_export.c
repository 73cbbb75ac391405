/* milter/record/export: CSV that harms no spreadsheet, lines that prove themselves. */
#include "t/lib/relaylog.h"

#include <stdio.h>

#include "config/base/io.h"
#include "milter/record/export.h"
#include "milter/record/reader.h"

static struct relaylog relay;
static char path[PATH_MAX];

static void setup(void)
{
	relaylog_setup(&relay);
	ck_assert_int_lt(snprintf(path, sizeof path, "%s.export", relay.key), PATH_MAX);
}

static const struct { const char *name, *in, *want; } cell_rows[] = {
	{ "plain", "a@x.example", "\"a@x.example\"" },
	{ "formula", "=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\"" },
	{ "plus", "+81", "\"'+81\"" },
	{ "minus", "-1", "\"'-1\"" },
	{ "at", "@SUM(A1)", "\"'@SUM(A1)\"" },
	{ "wide formula", "＝1+1", "\"'＝1+1\"" },
	{ "tab before a formula", "\t=1", "\"'\\x09=1\"" },
	{ "line break", "a\r\nb", "\"a\\x0d\\x0ab\"" },
	{ "terminal", "\x1b[2J", "\"\\x1b[2J\"" },
	{ "C1 control", "\xc2\x9b" "2J", "\"\\xc2\\x9b2J\"" },
	{ "not UTF-8", "a\xff", "\"a\\xff\"" },
	{ "Japanese", "\xe9\x96\xa2\xe6\x89\x80", "\"\xe9\x96\xa2\xe6\x89\x80\"" },
	{ "empty", "", "\"\"" },
};
START_TEST(csv_cells)
{
	struct record_line record = { .event = { .event = STR("accepted"), .helo = str_from_c(cell_rows[_i].in) },
				      .stamp = { .seq = 7, .time_us = NOON } };
	struct buf out, want;

	record.event.tenant = record.event.id = record.event.message = record.event.queue_id = STR_EMPTY;
	buf_init(&out, 1 << 20);
	buf_init(&want, 1 << 20);
	export_csv_record(&record, &out);
	buf_printf(&want, "7,\"2026-11-21T12:00:00.000000+09:00\",\"accepted\",\"\",,\"\",\"\",\"\",\"\",\"\",\"\",%s,\"\",\"\",\"\",,,"
			  "\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"\r\n", cell_rows[_i].want);
	ck_assert_str_is(buf_view(&out), buf_view(&want));
	buf_clear(&out);
	buf_clear(&want);
}
END_TEST

/* Ten records of two tenants in turn, exported for `tenant` (empty: all). */
static void export_to(struct buf *out, struct str tenant, bool is_signed)
{
	struct record_writer *writer = relaylog_open(&relay);
	struct export_jsonl export;
	struct record_reader *reader;
	struct sign_key *key = NULL;
	struct arena arena;
	struct str line;
	bool is_torn, found;

	for (int i = 0; i < 10; i++)
		relaylog_append(writer, "accepted", i % 2 ? "acme" : "ginza");
	record_writer_close(writer);
	arena_init(&arena, 1 << 20);
	buf_init(out, 1 << 20);
	export_jsonl_begin(&export);
	ck_assert(!is_signed || sign_key_load(relay.key, &key, NULL));
	ck_assert(record_reader_open(str_from_c(relay.dir), INT64_MIN, INT64_MAX, false, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		struct record_line record;

		ck_assert(record_parse(line, &arena, &record, NULL));
		if (record.event.tenant.len && (tenant.len == 0 || str_eq(record.event.tenant, tenant)))
			export_jsonl_record(&export, line, record.stamp.seq, out);
	}
	ck_assert(export_jsonl_end(&export, STR("mx1"), STR("relay"), tenant, key, out, NULL));
	record_reader_close(reader);
	sign_key_free(key);
	arena_clear(&arena);
}

static enum verify_result verify_text(struct str text, struct verify_report *out)
{
	ck_assert(io_replace_file(path, text, 0644, NULL));
	ck_assert(record_verify_export(path, str_from_c(relay.pub), (struct str){ 0 }, NULL, out, NULL));
	return out->result;
}

static void cut_line(struct buf *text, size_t line)
{
	size_t at = relaylog_line(buf_view(text), line), end = relaylog_line(buf_view(text), line + 1);

	memmove(text->ptr + at, text->ptr + end, text->len - end);
	text->len -= end - at;
}

static void nothing(struct buf *text) { (void)text; }
static void flip(struct buf *text) { text->ptr[relaylog_line(buf_view(text), 2) + 100] ^= 1; }
static void drop_first(struct buf *text) { cut_line(text, 0); }
static void drop_middle(struct buf *text) { cut_line(text, 2); }
static void drop_trailer(struct buf *text) { cut_line(text, 5); }
static void add_behind(struct buf *text) { buf_add(text, STR("{}\n")); }
static void other_tenant(struct buf *text)
{
	size_t at = str_find(buf_view(text), STR("{\"trailer\""));

	text->ptr[at + str_find(str_from(buf_view(text), at), STR("acme"))] = 'b';
}

static const struct { const char *name; void (*harm)(struct buf *text); enum verify_result want; } rows[] = {
	{ "untouched", nothing, VERIFY_OK },
	{ "a byte flipped", flip, VERIFY_TAMPERED },
	{ "the first record dropped", drop_first, VERIFY_TAMPERED },
	{ "a record dropped", drop_middle, VERIFY_TAMPERED },
	{ "the trailer dropped", drop_trailer, VERIFY_TAMPERED },
	{ "a line behind it", add_behind, VERIFY_TAMPERED },
	{ "another tenant's name on it", other_tenant, VERIFY_TAMPERED },
};
START_TEST(exports)
{
	struct verify_report report;
	struct buf text;

	export_to(&text, STR("acme"), true);
	rows[_i].harm(&text);
	ck_assert_msg(verify_text(buf_view(&text), &report) == rows[_i].want, "%s: %d " STR_FMT, rows[_i].name, report.result,
		      STR_ARG(report.findings[0].text));
	if (rows[_i].want == VERIFY_OK)
		ck_assert_int_eq(report.records, 5);
	verify_report_clear(&report);
	buf_clear(&text);
}
END_TEST

START_TEST(not_signed)
{
	struct verify_report report;
	struct buf text;

	export_to(&text, STR_EMPTY, false);
	ck_assert_int_eq(verify_text(buf_view(&text), &report), VERIFY_UNKNOWN);
	ck_assert_int_eq(report.records, 10);
	verify_report_clear(&report);
	buf_clear(&text);
}
END_TEST

/* Cuts: whatever is left of an export, it is not taken for the whole. */
START_TEST(cut_anywhere)
{
	struct verify_report report;
	struct buf text;

	export_to(&text, STR("acme"), true);
	for (size_t cut = 0; cut < text.len; cut += 13) {
		ck_assert_int_ne(verify_text(str_of(text.ptr, cut), &report), VERIFY_OK);
		verify_report_clear(&report);
	}
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record export");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	unit_add_rows(tcase, csv_cells, cell_rows);
	unit_add_rows(tcase, exports, rows);
	tcase_add_test(tcase, not_signed);
	tcase_add_test(tcase, cut_anywhere);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
