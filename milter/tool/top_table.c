/* The gate on one screen: a line a tenant. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "milter/tool/screen.h"
#include "milter/tool/top_line.h"

static int64_t sent(const struct top_tenant *t)
{
	return t->sent.minute[TRAFFIC_ACCEPTED] + t->sent.minute[TRAFFIC_DEFERRED] + t->sent.minute[TRAFFIC_REJECTED] +
	       t->sent.minute[TRAFFIC_HELD];
}

static int64_t turned_back(const struct top_tenant *t)
{
	return t->sent.minute[TRAFFIC_DEFERRED] + t->sent.minute[TRAFFIC_REJECTED];
}

static double by_rate(const struct top_tenant *t) { return (double)sent(t); }
static double by_recipients(const struct top_tenant *t) { return (double)t->sent.minute[TRAFFIC_RECIPIENTS]; }
static double by_refused(const struct top_tenant *t) { return (double)turned_back(t); }
static double by_held(const struct top_tenant *t) { return (double)t->sent.minute[TRAFFIC_HELD]; }
static double by_last(const struct top_tenant *t) { return (double)t->sent.last_us; }
static double by_total(const struct top_tenant *t)
{
	return (double)(t->sent.total[TRAFFIC_ACCEPTED] + t->sent.total[TRAFFIC_HELD]);
}

static double by_quota(const struct top_tenant *t)
{
	if (!t->look.has_quota)
		return -1;
	return t->look.limit > 0 ? (double)t->look.used / (double)t->look.limit : 1;
}

static double by_bounced(const struct top_tenant *t)
{
	int64_t all = t->look.delivered + t->look.failed;

	return all > 0 ? (double)t->look.failed / (double)all : -1;
}

static double by_complaints(const struct top_tenant *t)
{
	return t->look.delivered > 0 ? (double)t->look.complaints / (double)t->look.delivered : -1;
}

static void cell_name(struct line *line, const struct top_tenant *t, size_t width)
{
	size_t end_at = line->used + width,
	       room = t->look.is_suspended ? screen_width(str_from_c(line_word(line->view, W_SUSPENDED))) + 2 : 0;
	struct str name = str_from_c(t->sent.name);

	line_put(line, str_slice(name, 0, width > room ? width - room : 1));        /* names of tenants are ASCII */
	if (t->look.is_suspended) {
		line_style(line, BAD);
		line_putf(line, "  %s", line_word(line->view, W_SUSPENDED));
		line_style(line, PLAIN);
	}
	line_blanks(line, end_at > line->used ? end_at - line->used : 0);
}

static void right(struct line *line, const char *colour, size_t width, const char *text)
{
	size_t own = strlen(text);

	line_blanks(line, width > own ? width - own : 0);
	line_style(line, colour);
	line_putf(line, "%s", text);
	line_style(line, PLAIN);
}

static void count_cell(struct line *line, size_t width, int64_t n, const char *colour)
{
	right(line, n ? colour : DIM, width, n ? NUMBER(n) : "-");
}

static void cell_rate(struct line *line, const struct top_tenant *t, size_t width)
{
	count_cell(line, width, sent(t), BOLD);
}

static void cell_recipients(struct line *line, const struct top_tenant *t, size_t width)
{
	count_cell(line, width, t->sent.minute[TRAFFIC_RECIPIENTS], PLAIN);
}

static void cell_refused(struct line *line, const struct top_tenant *t, size_t width)
{
	count_cell(line, width, turned_back(t), BAD);
}

static void cell_held(struct line *line, const struct top_tenant *t, size_t width)
{
	count_cell(line, width, t->sent.minute[TRAFFIC_HELD], WARN);
}

static void cell_total(struct line *line, const struct top_tenant *t, size_t width)
{
	count_cell(line, width, (int64_t)by_total(t), PLAIN);
}

static void cell_last(struct line *line, const struct top_tenant *t, size_t width)
{
	right(line, PLAIN, width, t->sent.last_us ? HOUR(t->sent.last_us) : "-");
}

static const char *percent_colour(double part, double warn, double bad)
{
	return part >= bad ? BAD : part >= warn ? WARN : PLAIN;
}

static void percent_cell(struct line *line, size_t width, double part, double warn, double bad)
{
	char text[32];

	snprintf(text, sizeof text, part < 0 ? "-" : "%.1f %%", part * 100);
	right(line, part < 0 ? DIM : percent_colour(part, warn, bad), width, text);
}

static void cell_bounced(struct line *line, const struct top_tenant *t, size_t width)
{
	percent_cell(line, width, by_bounced(t), 0.02, 0.05);
}

static void cell_complaints(struct line *line, const struct top_tenant *t, size_t width)
{
	percent_cell(line, width, by_complaints(t), 0.001, 0.003);
}

#define PERCENT_WIDTH 6

/* A bar of blanks, and the figure. */
static void cell_quota(struct line *line, const struct top_tenant *t, size_t width)
{
	double part = by_quota(t), shown = part > 1 ? 1 : part;
	size_t room = width - PERCENT_WIDTH, full = part > 0 ? (size_t)ceil(shown * (double)room) : 0;
	const char *colour = percent_colour(part, 0.8, 0.95);
	char text[16];

	if (part < 0) {
		right(line, DIM, width, "-");
		return;
	}
	line_style(line, colour);
	if (line->view->is_plain) {
		for (size_t i = 0; i < room; i++)
			line_put(line, i < full ? STR("#") : STR("."));
	} else {
		line_style(line, BAR);
		line_blanks(line, full);
		line_style(line, PLAIN);
		line_style(line, DIM);
		for (size_t i = full; i < room; i++)
			line_put(line, STR("."));
	}
	line_style(line, PLAIN);
	snprintf(text, sizeof text, "%.0f %%", part * 100);
	right(line, colour, PERCENT_WIDTH, text);
}

/* "hourly 720/1,000" */
static void cell_used(struct line *line, const struct top_tenant *t, size_t width)
{
	size_t end_at = line->used + width;

	if (t->look.has_quota && width > 0)
		line_putf(line, "%s %s/%s", t->look.quota, NUMBER(t->look.used), NUMBER(t->look.limit));
	line_blanks(line, end_at > line->used ? end_at - line->used : 0);
}

static const struct column_row {
	const char *name, *titles[2];
	char key;
	size_t width, from_columns;    /* of screen */
	bool is_left;
	double (*order)(const struct top_tenant *t);     /* NULL: by name */
	void (*cell)(struct line *line, const struct top_tenant *t, size_t width);
} columns[] = {
	{ "name", { "TENANT", "テナント" }, 'n', 16, 0, true, NULL, cell_name },
	{ "rate", { "MSG/MIN", "通/分" }, 'm', 9, 0, false, by_rate, cell_rate },
	{ "recipients", { "RCPT/MIN", "宛先/分" }, 'r', 9, 60, false, by_recipients, cell_recipients },
	{ "refused", { "REFUSED", "拒否" }, 'x', 8, 50, false, by_refused, cell_refused },
	{ "held", { "HELD", "保留" }, 'h', 6, 70, false, by_held, cell_held },
	{ "quota", { "QUOTA", "枠の使用" }, 'u', 18, 40, true, by_quota, cell_quota },
	{ "bounced", { "BOUNCED", "不達" }, 'b', 8, 76, false, by_bounced, cell_bounced },
	{ "complaints", { "COMPLAINTS", "苦情" }, 'c', 11, 92, false, by_complaints, cell_complaints },
	{ "total", { "PASSED", "通過累計" }, 't', 12, 110, false, by_total, cell_total },
	{ "last", { "LAST (JST)", "最終 (JST)" }, 'l', 11, 124, false, by_last, cell_last },
	{ "used", { "FULLEST QUOTA", "最も埋まった枠" }, 0, 40, 168, true, by_quota, cell_used },
};
#define COLUMNS (sizeof columns / sizeof *columns)

bool top_column(size_t at, enum top_lang lang, char *out_key, const char **out_title)
{
	if (at >= COLUMNS)
		return false;
	*out_key = columns[at].key;
	*out_title = columns[at].titles[lang];
	return true;
}

bool top_find_column(struct str name, size_t *out)
{
	for (size_t i = 0; i < COLUMNS; i++)
		if (columns[i].key && str_eq(str_from_c(columns[i].name), name)) {
			*out = i;
			return true;
		}
	return false;
}

static const struct top_view *sorting;         /* qsort passes nothing along */

static int tenant_order(const void *a, const void *b)
{
	const struct top_tenant *x = a, *y = b;
	double (*order)(const struct top_tenant *) = columns[sorting->sort].order;
	double m = order ? order(x) : 0, n = order ? order(y) : 0;
	int by_name = strcmp(x->sent.name, y->sent.name), sign = m > n ? -1 : m < n ? 1 : by_name;

	return sorting->is_reversed ? -sign : sign;
}

static size_t gap_before(size_t column)
{
	return column == 0 ? 0 : columns[column].is_left ? 2 : 1;
}

/* The name takes what the others leave; beyond what a name can use, blanks at the end do. */
static size_t name_width(const struct top_view *view)
{
	size_t others = 0;

	for (size_t i = 1; i < COLUMNS; i++)
		others += view->columns >= columns[i].from_columns ? columns[i].width + gap_before(i) : 0;
	others = view->columns > others + 2 ? view->columns - others - 2 : 1;
	return others < 12 ? 12 : others > 44 ? 44 : others;
}

static size_t width_of(const struct top_view *view, size_t column)
{
	return column ? columns[column].width : name_width(view);
}

static void draw_titles(struct line *line)
{
	const struct top_view *view = line->view;

	line_style(line, BAR);
	line_blanks(line, 1);
	for (size_t i = 0; i < COLUMNS; i++) {
		const char *title = columns[i].titles[view->lang];
		size_t width = width_of(view, i), own = screen_width(str_from_c(title));
		size_t pad = width > own ? width - own : 0;

		if (view->columns < columns[i].from_columns)
			continue;
		line_blanks(line, gap_before(i));
		line_blanks(line, columns[i].is_left ? 0 : pad);
		line_style(line, i == view->sort ? PLAIN BOLD : "");
		line_putf(line, "%s", title);
		line_style(line, i == view->sort ? PLAIN BAR : "");
		line_blanks(line, columns[i].is_left ? pad : 0);
	}
	if (!view->is_plain)
		line_blanks(line, view->columns - line->used);
	line_end(line);
}

static void draw_tenant(const struct top_tenant *t, struct line *line)
{
	line_blanks(line, 1);
	for (size_t i = 0; i < COLUMNS; i++)
		if (line->view->columns >= columns[i].from_columns) {
			line_blanks(line, gap_before(i));
			columns[i].cell(line, t, width_of(line->view, i));
		}
	line_end(line);
}

void top_draw_tenants(struct top *top, struct top_view *view, struct line *line, size_t room)
{
	size_t most = top->count > room ? top->count - room : 0;

	sorting = view;
	if (top->count)
		qsort(top->tenants, top->count, sizeof *top->tenants, tenant_order);
	view->first = view->first < most ? view->first : most;
	draw_titles(line);
	if (top->count == 0) {
		line_putf(line, " %s", line_word(view, W_NOBODY));
		line_end(line);
	}
	for (size_t i = view->first; i < top->count && i < view->first + room; i++)
		draw_tenant(&top->tenants[i], line);
	for (size_t i = top->count ? top->count : 1; !view->is_plain && i < room; i++)
		line_end(line);
}
