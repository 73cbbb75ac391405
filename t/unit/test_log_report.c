/* milter/tool/log_report: what is counted, and that nobody's text gets out of its place on the page. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "milter/tool/log_report.h"

#define NOON INT64_C(1795230000000000)              /* 2026-11-21T12:00:00+09:00 */

static struct log_report report;
static struct arena arena;
static struct buf page;

static void setup(void)
{
	arena_init(&arena, 1 << 20);
	buf_init(&page, 1 << 20);
	report = (struct log_report){ .node = STR("gate1"), .tenant = STR_EMPTY, .first_day = jst_day(NOON) - 2,
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

static void take_ops(const char *event, const char *detail, int64_t time_us)
{
	struct record_line record = { .event = { .event = str_from_c(event), .detail = str_from_c(detail) },
				      .stamp = { .seq = 1, .time_us = time_us } };

	report_take_ops(&report, &record, STR("relay"));
}

START_TEST(days)
{
	struct record_line purged = { .event = { .event = STR("purged"), .detail = STR("{\"file\":\"2026-09-21.jsonl\"}") },
				      .stamp = { .seq = 1, .time_us = NOON - DAY_US / 2, .clock = STR("degraded") } };

	take("accepted", "acme", "", NOON - 2 * DAY_US);
	take("accepted", "acme", "", NOON - 2 * DAY_US + REPORT_GAP_US);
	report_take(&report, &purged);
	take_ops("verified", "{\"class\":\"relay\",\"result\":\"intact\"}", NOON - DAY_US);
	take_ops("verified", "{\"class\":\"ops\",\"result\":\"altered\"}", NOON - DAY_US);
	take_ops("verified", "{\"class\":\"relay\",\"result\":\"altered\"}", NOON);
	take_ops("alarm", "{\"alarm\":\"gap\"}", NOON);
	take_ops("alarm", "{\"alarm\":\"disk\"}", NOON - 2 * DAY_US);
	take_ops("access", "{\"by\":\"root\"}", NOON);
	take_ops("access", "{\"by\":\"root\"}", NOON - 30 * DAY_US);
	ck_assert_int_eq(report.gaps, 1);
	ck_assert_int_eq(report.longest_gap_us, 3 * DAY_US / 2 - REPORT_GAP_US);
	ck_assert_int_eq(report.marks[STRIP_COMPLETE][0], MARK_GOOD);
	ck_assert_int_eq(report.marks[STRIP_COMPLETE][2], MARK_BAD);
	ck_assert_int_eq(report.marks[STRIP_CLOCK][2], MARK_WARN);
	ck_assert_int_eq(report.marks[STRIP_VERIFIED][0], MARK_UNKNOWN);
	ck_assert_int_eq(report.marks[STRIP_VERIFIED][1], MARK_GOOD);
	ck_assert_int_eq(report.marks[STRIP_VERIFIED][2], MARK_BAD);
	ck_assert(report.purged == 1 && report.kept_min == 60 && report.kept_max == 60);
	ck_assert(report.readers.count == 1 && report.readers.rows[0].n == 1);
	report_write(&report, REPORT_EN, &page);
	ck_assert(says("2026-11-21 wrong") && says("removed after, at most") && says("34.0 hours"));
}
END_TEST

START_TEST(quotas)
{
	char names[2 * REPORT_NAMES_MAX][16];

	for (int i = 0; i < 2 * REPORT_NAMES_MAX; i++) {
		snprintf(names[i], sizeof names[i], "q%d", i);
		report_take_quota(&report, str_from_c(names[i]), (i * 7) % 48, 40);
	}
	report_take_quota(&report, STR("nothing allowed"), 5, 0);
	ck_assert_uint_eq(report.quota_count, REPORT_NAMES_MAX);
	for (size_t i = 0; i < REPORT_NAMES_MAX; i++)
		ck_assert_int_eq(report.quotas[i].used, 47 - (int64_t)i);
	report_write(&report, REPORT_JA, &page);
	ck_assert(says("送信枠の現在の使用量") && says("117&thinsp;%"));
}
END_TEST

/* A tenant's own reader learns nothing of the log as a whole. */
START_TEST(limited)
{
	report.is_limited = true;
	report.tenant = STR("acme");
	report_write(&report, REPORT_EN, &page);
	ck_assert(says("Messages a day") && !says("Is the log as it was written?") && !says("Retention"));
}
END_TEST

/* A bounce reason means something to a Japanese reader; a rule of that name is the operator's. */
START_TEST(words_of_the_log)
{
	take("rejected", "acme", "userunknown", NOON);
	report_write(&report, REPORT_JA, &page);
	ck_assert(says("userunknown</th>") && !says("宛先不明"));
	take("bounced", "acme", "", NOON);
	buf_reset(&page);
	report_write(&report, REPORT_JA, &page);
	ck_assert(says("userunknown <span class=small>宛先不明</span>"));
	buf_reset(&page);
	report_write(&report, REPORT_EN, &page);
	ck_assert(!says("宛先不明") && says("1 message</td>") && !says("1 messages"));
}
END_TEST

static struct str section(const char *title)
{
	struct str from = str_from(buf_view(&page), str_find(buf_view(&page), str_from_c(title)));

	return str_slice(from, 0, str_find(from, STR("</section>")));
}

/* The clock of each record, the words for it, and those that must not be there. */
static const struct { const char *name, *clock, *want; } clock_rows[] = {
	{ "no record, no claim", NULL, "<p>not told</p>" },
	{ "good all along", "", "<p>Synchronised throughout.</p>" },
	{ "bad since before these days", "unsynchronised", "<p>wrong</p>" },
	{ "off since before these days", "degraded", "<p>not certain</p>" },
};

START_TEST(clocks)
{
	struct record_line record = { .event = { .event = STR("accepted") }, .stamp = { .seq = 1, .time_us = NOON } };

	if (clock_rows[_i].clock) {
		record.stamp.clock = str_from_c(clock_rows[_i].clock);
		report_take(&report, &record);
	}
	report_write(&report, REPORT_EN, &page);
	ck_assert_msg(str_find(section("<h2>Clock"), str_from_c(clock_rows[_i].want)) < section("<h2>Clock").len, "%s", clock_rows[_i].name);
}
END_TEST

/* Half of an odd scale is no number of messages. */
START_TEST(scale)
{
	report_write(&report, REPORT_EN, &page);

	struct str rest = section("<h2>Messages a day"), first;
	size_t zeros = 0;

	while (str_cut(rest, '\n', &first, &rest))
		zeros += str_find(first, STR(">0</text>")) < first.len;
	ck_assert_uint_eq(zeros, 1);
}
END_TEST

START_TEST(both_languages)
{
	struct verify_report verify = { .result = VERIFY_TAMPERED, .records = 12345, .finding_count = 1,
					.findings = { { VERIFY_TAMPERED, STR("2026-11-21.jsonl"), 0, 6, STR("record 6 was altered") } } };

	report.verify = &verify;
	report_write(&report, REPORT_JA, &page);
	ck_assert(says("<html lang=ja>") && says("改ざんあり") && says("12,345") && says("record 6 was altered") && says("日本時間"));
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
	tcase_add_test(tcase, days);
	tcase_add_test(tcase, quotas);
	unit_add_rows(tcase, clocks, clock_rows);
	tcase_add_test(tcase, scale);
	tcase_add_test(tcase, limited);
	tcase_add_test(tcase, words_of_the_log);
	tcase_add_test(tcase, both_languages);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
