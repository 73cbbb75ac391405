/* milter/tool/report: what is counted, and that nobody's text gets out of its place on the page. */
#include "t/lib/unit.h"

#include "config/base/clock.h"
#include "milter/tool/report.h"

#define NOON INT64_C(1795230000000000)              /* 2026-11-21T12:00:00+09:00 */

static struct report report;
static struct arena arena;
static struct buf page;

static void setup(void)
{
	arena_init(&arena, 1 << 20);
	buf_init(&page, 1 << 20);
	report = (struct report){ .node = STR("gate1"), .tenant = STR_EMPTY, .first_day = jst_day(NOON) - 2,
				  .last_day = jst_day(NOON), .made_us = NOON, .keep = { 60, false }, .arena = &arena };
}

static void teardown(void)
{
	buf_clear(&page);
	arena_clear(&arena);
}

static void take(const char *event, const char *tenant, const char *rule, int64_t time_us)
{
	struct record_line record = { .event = { .event = str_from_c(event), .tenant = str_from_c(tenant), .nrcpt = 3,
						 .rule = str_from_c(rule), .verdict = STR("by verdict"),
						 .outcome = STR("{\"reason\":\"userunknown\"}"),
						 .detail = STR("{\"state\":\"degraded\"}") },
				      .stamp = { .seq = 1, .time_us = time_us } };

	report_take(&report, &record);
}

static bool says(const char *text)
{
	return str_find(buf_view(&page), str_from_c(text)) < page.len;
}

START_TEST(counts)
{
	take("accepted", "acme", "", NOON);
	take("accepted", "acme", "", NOON - DAY_US);
	take("accepted", "acme", "", NOON - 3 * DAY_US);
	take("rejected", "acme", "hourly", NOON);
	take("rejected", "acme", "", NOON);
	take("bounced", "acme", "", NOON);
	take("delivered", "acme", "", NOON);
	take("clock", "", "", NOON);
	take("recovered", "", "", NOON);
	ck_assert_int_eq(report.messages[REPORT_ACCEPTED], 2);
	ck_assert_int_eq(report.messages[REPORT_REJECTED], 2);
	ck_assert_int_eq(report.days[2][REPORT_ACCEPTED], 1);
	ck_assert_int_eq(report.days[1][REPORT_ACCEPTED], 1);
	ck_assert_int_eq(report.recipients, 6);
	ck_assert_int_eq(report.failed, 1);
	ck_assert_int_eq(report.delivered, 1);
	ck_assert_int_eq(report.recovered, 1);
	ck_assert_uint_eq(report.rules.count, 2);
	ck_assert_str_is(report.rules.rows[1].name, STR("by verdict"));
	ck_assert_str_is(report.bounces.rows[0].name, STR("userunknown"));
	ck_assert_str_is(report.clocks.rows[0].name, STR("degraded"));
	ck_assert_int_eq(report.oldest_us, NOON - 3 * DAY_US);
}
END_TEST

START_TEST(one_tenant)
{
	report.tenant = STR("acme");
	take("accepted", "acme", "", NOON);
	take("accepted", "ginza", "", NOON);
	take("bounced", "ginza", "", NOON);
	ck_assert_int_eq(report.messages[REPORT_ACCEPTED], 1);
	ck_assert_int_eq(report.failed, 0);
}
END_TEST

START_TEST(names_are_bounded)
{
	for (int i = 0; i < 1000; i++) {
		const char rule[] = { (char)('a' + i % 26), (char)('a' + i / 26), '\0' };

		take("deferred", "acme", rule, NOON);
	}
	ck_assert_uint_eq(report.rules.count, REPORT_NAMES_MAX);
	ck_assert_int_eq(report.rules.others, 1000 - REPORT_NAMES_MAX);
	report_write(&report, REPORT_EN, &page);
	ck_assert(says("others"));
}
END_TEST

static const struct { const char *in, *out; } hostile_rows[] = {
	{ "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;" },
	{ "\"><img src=x>", "&quot;&gt;&lt;img src=x&gt;" },
	{ "a&b;", "a&amp;b;" },
	{ "a\x1b[2J\xff", "a\xef\xbf\xbd[2J\xef\xbf\xbd" },
	{ "\xc2\x9bm", "\xef\xbf\xbdm" },
};
START_TEST(hostile_names)
{
	take("rejected", "acme", hostile_rows[_i].in, NOON);
	report.tenant = str_from_c(hostile_rows[_i].in);
	report_write(&report, REPORT_EN, &page);
	ck_assert_msg(says(hostile_rows[_i].out), "%s", hostile_rows[_i].out);
	ck_assert_msg(!says(hostile_rows[_i].in), "%s", hostile_rows[_i].in);
	ck_assert(!says("<script") && !says("http:") && !says("https:") && !says("url("));
}
END_TEST

START_TEST(both_languages)
{
	struct verify_report verify = { .result = VERIFY_TAMPERED, .records = 12345, .finding_count = 1,
					.findings = { { VERIFY_TAMPERED, STR("2026-11-21.jsonl"), 0, 6, STR("record 6 was altered") } } };

	report.verify = &verify;
	report_write(&report, REPORT_JA, &page);
	ck_assert(says("<html lang=ja>") && says("改変あり") && says("12,345") && says("record 6 was altered") && says("日本時間"));
	ck_assert(!says("(null)"));
	buf_reset(&page);
	verify.result = VERIFY_OK;
	verify.finding_count = 0;
	report_write(&report, REPORT_EN, &page);
	ck_assert(says("<html lang=en>") && says("Intact") && says("60d") && says("2026-11-19 &ndash; 2026-11-21"));
	ck_assert(!says("(null)") && !says("\"nan") && !says("\"inf"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log report");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, counts);
	tcase_add_test(tcase, one_tenant);
	tcase_add_test(tcase, names_are_bounded);
	unit_add_rows(tcase, hostile_names, hostile_rows);
	tcase_add_test(tcase, both_languages);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
