#include <stdio.h>

#include "config/base/buf.h"
#include "milter/mail/arf.h"
#include "milter/mail/dsn.h"
#include "t/lib/unit.h"

static const char *const action_names[] = { "", "failed", "delayed", "delivered", "relayed", "expanded" };

/* What was read, a line a recipient: final|original|action|status|remote|type|diagnostic */
static void show(const struct dsn_report *report, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < report->count && n < size; i++) {
		const struct dsn_recipient *it = &report->recipients[i];

		n += (size_t)snprintf(out + n, size - n, STR_FMT "|" STR_FMT "|%s|" STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT "\n",
				      STR_ARG(it->final), STR_ARG(it->original), action_names[it->action], STR_ARG(it->status),
				      STR_ARG(it->remote_mta), STR_ARG(it->diagnostic_type), STR_ARG(it->diagnostic));
	}
}

static const struct { const char *name, *text, *want; } rows[] = {
	{ "as the RFC has it",
	  "Reporting-MTA: dns; mx.example.jp\n\nFinal-Recipient: rfc822; neko@example.com\nAction: failed\nStatus: 5.1.1\n"
	  "Remote-MTA: dns; mx.example.com\nDiagnostic-Code: smtp; 550 5.1.1 <neko@example.com>... User Unknown\n",
	  "neko@example.com||failed|5.1.1|mx.example.com|smtp|550 5.1.1 <neko@example.com>... User Unknown\n" },
	{ "two, folded, CRLF",
	  "Reporting-MTA: dns; a\r\n\r\nFinal-Recipient: rfc822;a@example.com\r\nAction: failed\r\nStatus: 5.2.2\r\n"
	  "Diagnostic-Code: smtp; 552\r\n\t5.2.2 full\r\n\r\nFinal-Recipient: rfc822;b@example.com\r\nAction: delayed\r\n",
	  "a@example.com||failed|5.2.2||smtp|552 5.2.2 full\nb@example.com||delayed||||\n" },
	{ "no blank lines between",
	  "Reporting-MTA: dns; a\nFinal-Recipient: rfc822;a@example.com\nAction: failed\nFinal-Recipient: rfc822;b@example.com\n"
	  "Action: failed\n",
	  "a@example.com||failed||||\nb@example.com||failed||||\n" },
	{ "action first", "\n\nAction: failed\nFinal-Recipient: rfc822; a@example.com\nStatus: 5.7.1\n\n"
	  "Action: relayed\nFinal-Recipient: rfc822; b@example.com\n",
	  "a@example.com||failed|5.7.1|||\nb@example.com||relayed||||\n" },
	{ "blank before the colon, misspelt type, brackets",
	  "Final-Recipient : rfc/822;<a@example.com>\nAction : Failed (why)\nStatus : 5.0.\n",
	  "a@example.com||failed|5.0.0|||\n" },
	{ "a recipient that is none", "Final-Recipient: system;<>\nOriginal-Recipient: rfc822;a@example.com\nAction: failed\n",
	  "|a@example.com|failed||||\n" },
	{ "a pipe", "Final-Recipient: rfc822;|/usr/bin/neko a@example.com\nAction: failed\nStatus: 5.0.0\n", "||failed|5.0.0|||\n" },
	{ "a pipe in brackets", "Final-Recipient: rfc822;<|/usr/bin/neko@example.com>\nAction: failed\nStatus: 5.0.0\n", "||failed|5.0.0|||\n" },
	{ "internationalised (RFC 6533)", "Final-Recipient: utf-8;\\x{732b}@example.com\nAction: failed\n",
	  "猫@example.com||failed||||\n" },
	{ "internationalised, the widest, and what looks like it", "Final-Recipient: utf-8;\\x{10FFFF}\\x{110000}\\x{01f431}\\x{}\\x{2@example.com\n"
	  "Action: failed\n", "\xf4\x8f\xbf\xbf\\x{110000}\xf0\x9f\x90\xb1\\x{}\\x{2@example.com||failed||||\n" },
	{ "a quoted local part", "Final-Recipient: rfc822;\"j doe\"@example.com\nAction: failed\n",
	  "\"j doe\"@example.com||failed||||\n" },
	{ "no type", "Final-Recipient: a@example.com\nAction: failed\nDiagnostic-Code: The account does not exist; sorry\n",
	  "a@example.com||failed||||The account does not exist; sorry\n" },
	{ "no action, and a status of success", "Final-Recipient: rfc822;a@example.com\nStatus: 2.0.0\n", "a@example.com||delivered|2.0.0|||\n" },
	{ "words for a status", "Final-Recipient: rfc822;a@example.be\nAction: failure\nStatus: 553 Exceeded size\n",
	  "a@example.be||failed||||\n" },
};
START_TEST(parse)
{
	struct str wall = unit_wall(str_from_c(rows[_i].text));
	struct arena arena;
	struct dsn_report report;
	char got[1000];

	arena_init(&arena, 100000);
	ck_assert_msg(dsn_parse(wall, &arena, &report, NULL), "%s", rows[_i].name);
	show(&report, got, sizeof got);
	ck_assert_msg(strcmp(got, rows[_i].want) == 0, "%s: got\n%s", rows[_i].name, got);
	arena_clear(&arena);
	unit_wall_free(wall);
}
END_TEST

/* Cut at any octet: no crash, and what is there is right or missing. */
START_TEST(cuts)
{
	struct str text = str_from_c(rows[_i].text);

	for (size_t n = 0; n <= text.len; n++) {
		struct str wall = unit_wall(str_slice(text, 0, n));
		struct arena arena;
		struct dsn_report report;
		struct err err;

		arena_init(&arena, 100000);
		if (!dsn_parse(wall, &arena, &report, &err))
			ck_assert_int_eq(err.kind, ERR_INPUT);
		ck_assert_uint_le(report.count, 2);
		arena_clear(&arena);
		unit_wall_free(wall);
	}
}
END_TEST

START_TEST(bounds)
{
	struct buf text;
	struct arena arena;
	struct dsn_report report;
	struct err err;

	buf_init(&text, (size_t)1 << 20);
	for (int i = 0; i < DSN_RECIPIENTS_MAX + 5; i++)
		buf_printf(&text, "Final-Recipient: rfc822;u%d@example.com\nAction: failed\n\n", i);
	arena_init(&arena, (size_t)4 << 20);
	ck_assert(dsn_parse(buf_view(&text), &arena, &report, NULL));
	ck_assert_uint_eq(report.count, DSN_RECIPIENTS_MAX);
	ck_assert_uint_eq(report.dropped, 5);
	arena_clear(&arena);
	arena_init(&arena, 2000);
	ck_assert(!dsn_parse(buf_view(&text), &arena, &report, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	arena_clear(&arena);
	buf_clear(&text);
}
END_TEST

static const struct { const char *text, *type, *first; size_t count; } arf_rows[] = {
	{ "Feedback-Type: abuse\nUser-Agent: x/1\nOriginal-Rcpt-To: a@example.com\n", "abuse", "a@example.com", 1 },
	{ "Feedback-Type: abuse\r\nOriginal-Rcpt-To: <a@example.com>\r\nOriginal-Rcpt-To: rfc822;b@example.com\r\n", "abuse",
	  "a@example.com", 2 },
	{ "Feedback-Type: opt-out\nRemoval-Recipient: a@example.com\nOriginal-Rcpt-To: A@example.com\n", "opt-out", "a@example.com", 1 },
	{ "Feedback-Type: abuse\nOriginal-Rcpt-To: <redacted>\n", "abuse", "", 0 },
};
START_TEST(arf)
{
	struct str wall = unit_wall(str_from_c(arf_rows[_i].text));
	struct arf_report report;

	ck_assert(arf_parse(wall, &report, NULL));
	ck_assert_str_is(report.feedback_type, str_from_c(arf_rows[_i].type));
	ck_assert_uint_eq(report.count, arf_rows[_i].count);
	if (report.count)
		ck_assert_str_is(report.recipients[0], str_from_c(arf_rows[_i].first));
	unit_wall_free(wall);
}
END_TEST

START_TEST(arf_none)
{
	struct arf_report report;
	struct err err;

	ck_assert(!arf_parse(STR("User-Agent: x\n"), &report, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dsn");
	TCase *tc = tcase_create("dsn");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, parse, rows);
	unit_add_rows(tc, cuts, rows);
	tcase_add_test(tc, bounds);
	unit_add_rows(tc, arf, arf_rows);
	tcase_add_test(tc, arf_none);
	return unit_main(suite);
}
