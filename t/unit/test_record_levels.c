/* milter/record/verify at its three levels: what each one sees, and what it does not. */
#include "t/lib/relaylog.h"

#define DAY1 "2026-11-21.jsonl"
#define DAY2 "2026-11-22.jsonl"

static struct relaylog relay;

/* Two days of six records, two of three of them acme's. Day 2 begins with its `tenants`, and ends unsigned: a checkpoint would
 * stand behind what these tests write anew. */
static void setup(void)
{
	struct record_writer *writer;
	struct buf text;

	relaylog_setup(&relay);
	writer = relaylog_open(&relay);
	for (int day = 0; day < 2; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < 6; i++)
			relaylog_append(writer, "accepted", i % 3 ? "acme" : "ginza");
	}
	record_writer_close(writer);
	relaylog_read(&relay, DAY2, &text);
	relaylog_write(&relay, DAY2, str_slice(buf_view(&text), 0, relaylog_line(buf_view(&text), 8)));
	buf_clear(&text);
}

static void nothing(struct buf *text) { (void)text; }

static void flip(struct buf *text)
{
	text->ptr[relaylog_line(buf_view(text), 4) + 20] ^= 1;
}

/* Writes over `was` in line `number` what is as long, and makes the chain right again. */
static void forge(struct buf *text, size_t number, const char *was, const char *now)
{
	size_t at = relaylog_line(buf_view(text), number);

	at += str_find(str_from(buf_view(text), at), str_from_c(was));
	ck_assert_uint_lt(at, text->len);
	memcpy(text->ptr + at, now, strlen(now));
	relaylog_rechain(text, number);
}

static void skip_number(struct buf *text) { forge(text, 3, "\"tseq\":5", "\"tseq\":6"); }
static void repeat_number(struct buf *text) { forge(text, 4, "\"tseq\":6", "\"tseq\":5"); }
static void other_head(struct buf *text) { forge(text, 1, "\"acme\":4", "\"acme\":3"); }
static void break_json(struct buf *text) { forge(text, 4, "\"verdict\"", "\"verdict:"); }
static void no_text(struct buf *text) { forge(text, 4, "\"accept\"", "\"\\ud800\""); }
static void no_line(struct buf *text) { text->len = relaylog_line(buf_view(text), 0); }
static void drop_line(struct buf *text)
{
	size_t at = relaylog_line(buf_view(text), 3), end = relaylog_line(buf_view(text), 4);

	memmove(text->ptr + at, text->ptr + end, text->len - end);
	text->len -= end - at;
}

static const struct {
	const char *name, *file;
	void (*change)(struct buf *text);
	enum verify_result files, records, content;
	const char *text;              /* of the first finding about the content */
} rows[] = {
	{ "untouched", DAY2, nothing, VERIFY_OK, VERIFY_OK, VERIFY_OK, NULL },
	{ "a byte flipped", DAY2, flip, VERIFY_OK, VERIFY_TAMPERED, VERIFY_TAMPERED, "record 14 was altered" },
	{ "a line dropped", DAY1, drop_line, VERIFY_TAMPERED, VERIFY_TAMPERED, VERIFY_TAMPERED, "record 4 is missing" },
	{ "a day emptied", DAY1, no_line, VERIFY_TAMPERED, VERIFY_TAMPERED, VERIFY_TAMPERED, "2026-11-21.jsonl is missing" },
	{ "a number passed over", DAY2, skip_number, VERIFY_OK, VERIFY_OK, VERIFY_TAMPERED, "number 6 of tenant acme after" },
	{ "a number given twice", DAY2, repeat_number, VERIFY_OK, VERIFY_OK, VERIFY_TAMPERED, "number 5 of tenant acme after" },
	{ "another number to go on with", DAY2, other_head, VERIFY_OK, VERIFY_OK, VERIFY_TAMPERED,
	  "1 numbers of tenants are missing" },
	{ "half a character", DAY2, no_text, VERIFY_OK, VERIFY_OK, VERIFY_TAMPERED, "no record as sekisho-log(5) has it" },
	{ "no JSON", DAY2, break_json, VERIFY_OK, VERIFY_OK, VERIFY_TAMPERED, "no record as sekisho-log(5) has it" },
};
START_TEST(levels)
{
	static const char *const names[] = { "files", "records", "content" };
	const enum verify_result want[] = { rows[_i].files, rows[_i].records, rows[_i].content };
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
					  .first_day = INT64_MIN, .last_day = INT64_MAX };
	struct verify_report report;
	struct buf text;

	relaylog_read(&relay, rows[_i].file, &text);
	rows[_i].change(&text);
	relaylog_write(&relay, rows[_i].file, buf_view(&text));
	buf_clear(&text);
	for (int level = VERIFY_FILES; level <= VERIFY_CONTENT; level++) {
		options.level = (enum verify_level)level;
		ck_assert(record_verify(&options, &report, NULL));
		ck_assert_msg(report.result == want[level - VERIFY_FILES], "%s, level %d: %d " STR_FMT, rows[_i].name, level, report.result,
			      STR_ARG(report.findings[0].text));
		if (level == VERIFY_CONTENT && rows[_i].text)
			ck_assert_msg(str_starts(report.findings[0].text, str_from_c(rows[_i].text)), STR_FMT,
				      STR_ARG(report.findings[0].text));
		verify_report_clear(&report);
		relaylog_opinions(&relay, (int)want[level - VERIFY_FILES], rows[_i].name, "--level", names[level - VERIFY_FILES], NULL);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record levels");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	unit_add_rows(tcase, levels, rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
