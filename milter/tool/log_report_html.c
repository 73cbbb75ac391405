/* The page itself. Its words stand in log_report_words.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/utf8.h"
#include "milter/tool/log_report_words.h"

static const char *const colours[REPORT_VERDICTS] = { "#2b6cb0", "#d69e2e", "#c53030", "#805ad5" };
static const enum report_word verdict_words[REPORT_VERDICTS] = { W_ACCEPTED, W_DEFERRED, W_REJECTED, W_HELD };

struct page {
	const struct log_report *report;
	enum report_lang lang;
	struct buf *out;
};

static const char *word(const struct page *page, enum report_word w)
{
	return report_word(w, page->lang);
}

static void add_text(struct buf *out, struct str s)
{
	while (s.len) {
		size_t len = utf8_length(s);
		unsigned char c = (unsigned char)*s.ptr;

		if (len == 0 || c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0))
			buf_add_c(out, "\xef\xbf\xbd");
		else if (c == '&')
			buf_add_c(out, "&amp;");
		else if (c == '<')
			buf_add_c(out, "&lt;");
		else if (c == '>')
			buf_add_c(out, "&gt;");
		else if (c == '"')
			buf_add_c(out, "&quot;");
		else
			buf_add(out, str_slice(s, 0, len));
		s = str_from(s, len ? len : 1);
	}
}

static void add_number(struct buf *out, int64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%" PRId64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf_add_byte(out, ',');
		buf_add_byte(out, digits[i]);
	}
}

static void write_row(const struct page *page, const char *name, int64_t n)
{
	buf_printf(page->out, "<tr><th>%s</th><td class=n>", name);
	add_number(page->out, n);
	buf_add_c(page->out, "</td></tr>\n");
}

static void write_text_row(const struct page *page, const char *name, struct str text)
{
	buf_printf(page->out, "<tr><th>%s</th><td>", name);
	add_text(page->out, text);
	buf_add_c(page->out, "</td></tr>\n");
}

static void write_head(const struct page *page)
{
	static const char style[] =
		"body{font:10.5pt/1.5 system-ui,'Noto Sans JP','Noto Sans CJK JP','Hiragino Sans',sans-serif;color:#1a202c;"
		"max-width:174mm;margin:auto;padding:8mm;print-color-adjust:exact;-webkit-print-color-adjust:exact}"
		"@media print{body{padding:0}}"
		"h1{font-size:18pt;margin:0 0 4mm}h2{font-size:12.5pt;margin:8mm 0 2mm;border-bottom:.3mm solid #cbd5e0}"
		"table{border-collapse:collapse}th{text-align:left;font-weight:400;padding:.4mm 6mm .4mm 0;color:#4a5568}"
		"td{padding:.4mm 0}.n{text-align:right;padding-left:3mm;font-variant-numeric:tabular-nums;white-space:nowrap}"
		"h2,.lead{break-after:avoid}tr,svg,.whole{break-inside:avoid}.key{break-before:avoid}svg{width:100%;height:auto;display:block}"
		".good{color:#276749;font-weight:600}.bad{color:#c53030;font-weight:600}"
		".key i{display:inline-block;width:3mm;height:3mm;margin:0 1.5mm 0 4mm}.small{font-size:9pt;color:#4a5568}"
		"li{overflow-wrap:anywhere}";
	const struct log_report *report = page->report;
	char first[JST_DATE_LEN + 1], last[JST_DATE_LEN + 1], made[JST_TIME_LEN + 1];

	jst_format_date(report->first_day, first);
	jst_format_date(report->last_day, last);
	jst_format_time(report->made_us, made);
	buf_printf(page->out, "<!DOCTYPE html>\n<html lang=%s><head><meta charset=utf-8><title>%s</title>\n"
		   "<style>@page{size:A4;margin:18mm;font:8pt sans-serif;@bottom-left{content:\"%s %s \\2013  %s\"}"
		   "@bottom-right{content:counter(page)\" / \"counter(pages)}}%s</style></head>\n"
		   "<body><h1>%s</h1>\n<table>", page->lang == REPORT_JA ? "ja" : "en", word(page, W_TITLE), word(page, W_TITLE), first, last,
		   style, word(page, W_TITLE));
	buf_printf(page->out, "<tr><th>%s</th><td>%s &ndash; %s</td></tr>\n", word(page, W_PERIOD), first, last);
	write_text_row(page, word(page, W_NODE), report->node);
	write_text_row(page, word(page, W_TENANT), report->tenant.len ? report->tenant : str_from_c(word(page, W_ALL)));
	buf_printf(page->out, "<tr><th>%s</th><td>%.10s %.5s JST</td></tr></table>\n", word(page, W_MADE), made,
		   made + 11);
}

static void write_volume(const struct page *page)
{
	const struct log_report *report = page->report;

	buf_printf(page->out, "<section class=whole><h2>%s</h2><table>\n", word(page, W_VOLUME));
	for (size_t i = 0; i < REPORT_VERDICTS; i++)
		write_row(page, word(page, verdict_words[i]), report->messages[i]);
	write_row(page, word(page, W_RECIPIENTS), report->recipients);
	write_row(page, word(page, W_DELIVERED), report->delivered);
	write_row(page, word(page, W_FAILED), report->failed);
	buf_add_c(page->out, "</table></section>\n");
}

/* The next of 1, 2, 5, 10, 20, ...: a scale that people read. */
static int64_t round_up(int64_t n)
{
	static const int steps[] = { 1, 2, 5 };

	for (int64_t power = 1; power <= INT64_MAX / 50; power *= 10)
		for (size_t i = 0; i < 3; i++)
			if (steps[i] * power >= n)
				return steps[i] * power;
	return n;
}

#define CHART_W 700
#define CHART_H 190
#define CHART_LEFT 62
#define CHART_BOTTOM 22

static void write_day(const struct page *page, int64_t at, double x, double width, int64_t top)
{
	const int64_t *counts = page->report->days[at];
	char date[JST_DATE_LEN + 1];
	double y = CHART_H - CHART_BOTTOM;

	jst_format_date(page->report->first_day + at, date);
	for (size_t i = 0; i < REPORT_VERDICTS; i++) {
		double height = (double)counts[i] * (CHART_H - CHART_BOTTOM - 8) / (double)top;

		if (counts[i] == 0)
			continue;
		y -= height;
		buf_printf(page->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%s %s %" PRId64
			   "</title></rect>\n", x, y, width * 0.86, height, colours[i], date, word(page, verdict_words[i]), counts[i]);
	}
}

static int64_t busiest_day(const struct log_report *report, int64_t days)
{
	int64_t most = 1;

	for (int64_t at = 0; at < days; at++) {
		int64_t sum = 0;

		for (size_t i = 0; i < REPORT_VERDICTS; i++)
			sum += report->days[at][i];
		most = sum > most ? sum : most;
	}
	return round_up(most);
}

static void write_axes(const struct page *page, int64_t top)
{
	char first[JST_DATE_LEN + 1], last[JST_DATE_LEN + 1];

	jst_format_date(page->report->first_day, first);
	jst_format_date(page->report->last_day, last);
	for (int i = 0; i <= 2; i++) {
		double y = CHART_H - CHART_BOTTOM - (CHART_H - CHART_BOTTOM - 8) * i / 2.0;

		buf_printf(page->out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e2e8f0\"/><text x=\"%d\" y=\"%.1f\" "
			   "text-anchor=\"end\">", CHART_LEFT, CHART_W, y, y, CHART_LEFT - 6, y + 3.5);
		if (top * i % 2 == 0)
			add_number(page->out, top * i / 2);
		buf_add_c(page->out, "</text>\n");
	}
	buf_printf(page->out, "<text x=\"%d\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", CHART_LEFT,
		   CHART_H - 5, first, CHART_W, CHART_H - 5, last);
}

static void write_days(const struct page *page)
{
	const struct log_report *report = page->report;
	int64_t days = report->last_day - report->first_day + 1;

	days = days < REPORT_DAYS_MAX ? days : REPORT_DAYS_MAX;

	int64_t top = busiest_day(report, days);
	double width = (double)(CHART_W - CHART_LEFT) / (double)days;

	buf_printf(page->out, "<section class=whole><h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"%s\" font-size=12 "
		   "fill=\"#4a5568\">\n", word(page, W_BY_DAY), CHART_W, CHART_H, word(page, W_BY_DAY));
	write_axes(page, top);
	for (int64_t at = 0; at < days; at++)
		write_day(page, at, CHART_LEFT + width * ((double)at + 0.07), width, top);
	buf_add_c(page->out, "</svg><div class=key>");
	for (size_t i = 0; i < REPORT_VERDICTS; i++)
		buf_printf(page->out, "<i style=\"background:%s\"></i>%s", colours[i], word(page, verdict_words[i]));
	buf_add_c(page->out, "</div></section>\n");
}

static int more_first(const void *a, const void *b)
{
	const struct report_count *x = a, *y = b;

	return (x->n < y->n) - (x->n > y->n);
}

/* As it stands in the log, and what it means where the language has other words. Rules and people have names of their own. */
static void write_name(const struct page *page, enum report_word list, struct str name)
{
	const char *meaning = list == W_BOUNCES || list == W_CLOCK ? report_term(name, page->lang) : NULL;

	add_text(page->out, name);
	if (meaning)
		buf_printf(page->out, " <span class=small>%s</span>", meaning);
}

/* Rows of a name and a bar, the longest first. */
static void write_bars(const struct page *page, enum report_word title, const struct report_list *list, const char *colour,
		       enum report_word unit)
{
	int64_t most = list->others > 1 ? list->others : 1;
	struct report_list all = *list;

	qsort(all.rows, all.count, sizeof *all.rows, more_first);
	if (all.count && all.rows[0].n > most)
		most = all.rows[0].n;
	buf_printf(page->out, "<section><h2>%s</h2>", word(page, title));
	if (all.count == 0) {
		buf_printf(page->out, "<p>%s</p></section>\n", word(page, W_NONE));
		return;
	}
	buf_add_c(page->out, "<table>\n");
	for (size_t i = 0; i < all.count + (all.others > 0); i++) {
		bool is_rest = i == all.count;
		int64_t n = is_rest ? all.others : all.rows[i].n;

		buf_add_c(page->out, "<tr><th>");
		write_name(page, title, is_rest ? str_from_c(word(page, W_OTHERS)) : all.rows[i].name);
		buf_printf(page->out, "</th><td><svg viewBox=\"0 0 300 10\" style=\"width:80mm\" aria-hidden=true><rect width=\"%.1f\" height=\"9\" "
			   "fill=\"%s\"/></svg></td><td class=n>", 300.0 * (double)n / (double)most, colour);
		add_number(page->out, n);
		buf_printf(page->out, " %s</td></tr>\n", report_unit(unit, page->lang, n));
	}
	buf_add_c(page->out, "</table></section>\n");
}

static void write_findings(const struct page *page, const struct verify_report *verify)
{
	if (verify->finding_count == 0)
		return;
	buf_printf(page->out, "<p>%s</p><ul class=small>\n", word(page, W_FINDINGS));
	for (size_t i = 0; i < verify->finding_count && i < 20; i++) {
		buf_add_c(page->out, "<li>");
		add_text(page->out, verify->findings[i].file);
		buf_add_c(page->out, verify->findings[i].file.len ? page->lang == REPORT_JA ? "：" : ": " : "");
		add_text(page->out, verify->findings[i].text);
		buf_add_c(page->out, "</li>\n");
	}
	if (verify->finding_count > 20)
		buf_printf(page->out, "<li>... %s: %zu</li>\n", word(page, W_OTHERS), verify->finding_count - 20);
	buf_add_c(page->out, "</ul>\n");
}

static void write_integrity(const struct page *page)
{
	static const enum report_word verdicts[] = { [VERIFY_OK] = W_INTACT, [VERIFY_TAMPERED] = W_TAMPERED,
					      [VERIFY_RETENTION] = W_RETENTION_BROKEN, [VERIFY_UNKNOWN] = W_UNKNOWN };
	const struct verify_report *verify = page->report->verify;

	buf_printf(page->out, "<section class=whole><h2>%s</h2>\n", word(page, W_INTEGRITY));
	if (!verify) {
		buf_printf(page->out, "<p class=bad>%s</p></section>\n", word(page, W_UNKNOWN));
		return;
	}
	buf_printf(page->out, "<p class=\"%s lead\">%s</p><table>\n", verify->result == VERIFY_OK ? "good" : "bad",
		   word(page, verdicts[verify->result]));
	write_row(page, word(page, W_CHECKED), verify->records);
	write_row(page, word(page, W_SIGNED), verify->checkpoints);
	write_row(page, word(page, W_UNSIGNED), verify->unsigned_records);
	write_row(page, word(page, W_PURGED), verify->purged);
	write_row(page, word(page, W_ERASED), verify->erased);
	write_row(page, word(page, W_RECOVERED), page->report->recovered);
	buf_add_c(page->out, "</table>\n");
	write_findings(page, verify);
	buf_printf(page->out, "<p class=small>%s</p></section>\n", word(page, W_NOT_PROVED));
}

/* A bar as long as n of `most`, and what it stands for. */
static void write_bar(const struct page *page, struct str name, int64_t n, int64_t most, const char *colour)
{
	double width = most > 0 ? 300.0 * (double)n / (double)most : 0;

	buf_add_c(page->out, "<tr><th>");
	add_text(page->out, name);
	buf_printf(page->out, "</th><td><svg viewBox=\"0 0 300 10\" style=\"width:70mm\" aria-hidden=true><rect width=\"300\" height=\"9\" "
		   "fill=\"#edf2f7\"/><rect width=\"%.1f\" height=\"9\" fill=\"%s\"/></svg></td><td class=n>", width < 300 ? width : 300.0,
		   colour);
	add_number(page->out, n);
}

static void write_days_bar(const struct page *page, enum report_word w, int64_t days, int64_t most, bool is_good)
{
	write_bar(page, str_from_c(word(page, w)), days, most, is_good ? "#38a169" : "#c53030");
	buf_printf(page->out, " %s</td></tr>\n", report_unit(W_DAYS, page->lang, days));
}

/* Promised against measured: what there is now, and what was removed in these days. */
static void write_retention(const struct page *page)
{
	const struct log_report *report = page->report;
	int64_t now_day = jst_day(report->made_us), promised = retention_purge_day(report->keep, now_day) - 1 - now_day;
	int64_t oldest = report->oldest_us ? (report->made_us - report->oldest_us) / DAY_US : 0;
	int64_t most = promised > oldest ? promised : oldest;
	char keep[RETENTION_TEXT_MAX], text[JST_TIME_LEN + 1] = "";

	most = most > report->kept_max ? most : report->kept_max;
	retention_text(report->keep, keep);
	if (report->oldest_us) {
		jst_format_time(report->oldest_us, text);
		text[JST_DATE_LEN] = ' ';
		text[JST_DATE_LEN + sizeof " 00:00:00" - 1] = '\0';
	}
	buf_printf(page->out, "<section class=whole><h2>%s</h2><table>\n", word(page, W_RETENTION));
	write_text_row(page, word(page, W_OLDEST), text[0] ? str_from_c(text) : str_from_c(word(page, W_NONE)));
	write_bar(page, str_from_c(word(page, W_PROMISED)), promised, most, "#718096");
	buf_printf(page->out, " %s (%s)</td></tr>\n", report_unit(W_DAYS, page->lang, promised), keep);
	write_days_bar(page, W_KEPT_NOW, oldest, most, oldest <= promised);
	if (report->purged) {
		write_days_bar(page, W_KEPT_MIN, report->kept_min, most, report->kept_min >= promised);
		write_days_bar(page, W_KEPT_MAX, report->kept_max, most, report->kept_max <= promised);
	}
	buf_add_c(page->out, "</table></section>\n");
}

static void write_quotas(const struct page *page)
{
	const struct log_report *report = page->report;

	buf_printf(page->out, "<section><h2>%s</h2>", word(page, W_QUOTAS));
	if (report->quota_count == 0) {
		buf_printf(page->out, "<p>%s</p></section>\n", word(page, W_NONE));
		return;
	}
	buf_add_c(page->out, "<table>\n");
	for (size_t i = 0; i < report->quota_count; i++) {
		const struct report_quota *quota = &report->quotas[i];
		int64_t percent = (int64_t)(100.0 * (double)quota->used / (double)quota->limit);

		write_bar(page, quota->name, quota->used, quota->limit, percent >= 100 ? "#c53030" : percent >= 80 ? "#d69e2e" : "#38a169");
		buf_add_c(page->out, " / ");
		add_number(page->out, quota->limit);
		buf_printf(page->out, " (%" PRId64 "&thinsp;%%)</td></tr>\n", percent);
	}
	buf_add_c(page->out, "</table></section>\n");
}

/* --- a strip of days: a cell a day, a row a question */

static const char *const mark_colours[] = { "#e2e8f0", "#38a169", "#d69e2e", "#c53030" };
static const enum report_word mark_words[] = { W_NOT_TOLD, W_GOOD, W_WARN, W_BAD };

#define STRIP_H 16
#define STRIP_LEFT 110

static void write_strip(const struct page *page, enum report_strip strip, int64_t days)
{
	static const enum report_word names[] = { W_STRIP_VERIFIED, W_STRIP_COMPLETE, W_STRIP_CLOCK };
	const struct log_report *report = page->report;
	double width = (double)(CHART_W - STRIP_LEFT) / (double)days;
	int y = (int)strip * (STRIP_H + 4);

	buf_printf(page->out, "<text x=\"0\" y=\"%d\">%s</text>\n", y + 12, word(page, names[strip]));
	for (int64_t at = 0; at < days; at++) {
		unsigned mark = report->marks[strip][at];
		char date[JST_DATE_LEN + 1];

		jst_format_date(report->first_day + at, date);
		buf_printf(page->out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>%s %s</title></rect>\n",
			   STRIP_LEFT + width * (double)at, y, width * 0.9, STRIP_H, mark_colours[mark], date, word(page, mark_words[mark]));
	}
}

static void write_strips(const struct page *page)
{
	const struct log_report *report = page->report;
	int64_t days = report->last_day - report->first_day + 1;
	char first[JST_DATE_LEN + 1], last[JST_DATE_LEN + 1];
	int height = REPORT_STRIPS * (STRIP_H + 4) + 14;

	days = days < REPORT_DAYS_MAX ? days : REPORT_DAYS_MAX;
	jst_format_date(report->first_day, first);
	jst_format_date(report->last_day, last);
	buf_printf(page->out, "<section class=whole><h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"%s\" font-size=12 "
		   "fill=\"#4a5568\">\n", word(page, W_STRIPS), CHART_W, height, word(page, W_STRIPS));
	for (int strip = 0; strip < REPORT_STRIPS; strip++)
		write_strip(page, (enum report_strip)strip, days);
	buf_printf(page->out, "<text x=\"%d\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text></svg>"
		   "<div class=key>", STRIP_LEFT, height - 3, first, CHART_W, height - 3, last);
	for (size_t i = 0; i < sizeof mark_words / sizeof *mark_words; i++)
		buf_printf(page->out, "<i style=\"background:%s\"></i>%s", mark_colours[i], word(page, mark_words[i]));
	buf_add_c(page->out, "</div><table>\n");
	write_row(page, word(page, W_GAPS), report->gaps);
	if (report->gaps) {
		buf_printf(page->out, "<tr><th>%s</th><td class=n>%.1f %s</td></tr>\n", word(page, W_LONGEST),
			   (double)report->longest_gap_us / 3.6e9, word(page, W_HOURS));
	}
	buf_add_c(page->out, "</table></section>\n");
}

/* Changes of its state; where there were none, the state that the records tell. */
static void write_clock(const struct page *page)
{
	const struct log_report *report = page->report;
	unsigned worst = MARK_UNKNOWN;

	if (report->clocks.count) {
		write_bars(page, W_CLOCK, &report->clocks, "#718096", W_TIMES);
		return;
	}
	for (size_t at = 0; at < REPORT_DAYS_MAX; at++)
		worst = report->marks[STRIP_CLOCK][at] > worst ? report->marks[STRIP_CLOCK][at] : worst;
	buf_printf(page->out, "<section><h2>%s</h2><p>%s</p></section>\n", word(page, W_CLOCK),
		   word(page, worst == MARK_GOOD ? W_CLOCK_GOOD : mark_words[worst]));
}

void report_write(const struct log_report *report, enum report_lang lang, struct buf *out)
{
	const struct page page = { report, lang, out };

	write_head(&page);
	write_volume(&page);
	write_days(&page);
	write_bars(&page, W_RULES, &report->rules, colours[REPORT_REJECTED], W_MESSAGES);
	write_bars(&page, W_BOUNCES, &report->bounces, colours[REPORT_DEFERRED], W_MESSAGES);
	write_quotas(&page);
	if (!report->is_limited) {
		write_integrity(&page);
		write_strips(&page);
		write_retention(&page);
		write_clock(&page);
	}
	write_bars(&page, W_ACCESS, &report->readers, "#4a5568", W_TIMES);
	buf_add_c(out, "</body></html>\n");
}
