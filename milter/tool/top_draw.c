/* The gate on one screen, drawn. */
#include "config/base/num.h"
#include "milter/tool/daemon.h"
#include "milter/tool/screen.h"
#include "milter/tool/terminal.h"
#include "milter/tool/top_line.h"

static void label(struct line *line, enum word w)
{
	size_t width = screen_width(str_from_c(line_word(line->view, w)));

	line_style(line, BOLD);
	line_putf(line, " %s", line_word(line->view, w));
	line_style(line, PLAIN);
	line_blanks(line, width < 11 ? 11 - width : 1);
}

static void draw_title(const struct top *top, struct line *line)
{
	char now[JST_TIME_LEN + 1];
	int64_t started_us = top->now_us;
	size_t wide = sizeof "2026-11-21 21:15:03 JST ";

	jst_format_time(top->now_us, now);
	now[10] = ' ';
	now[19] = '\0';
	jst_parse_time(daemon_str(top->status, "started"), &started_us);
	line_style(line, BAR);
	line_putf(line, " %s %.*s  %.*s  %s %s", line_word(line->view, W_TITLE), STR_ARG(daemon_str(top->status, "version")),
	     STR_ARG(daemon_str(top->status, "node")), line_word(line->view, W_UP), SPAN(top->now_us - started_us));
	if (line->view->is_paused)
		line_putf(line, "  [%s]", line_word(line->view, W_PAUSED));
	line_blanks(line, line->view->columns > line->used + wide ? line->view->columns - line->used - wide : 1);
	line_putf(line, "%s JST ", now);
	line_blanks(line, line->view->columns - line->used);
	line_end(line);
}

static void put_count(struct line *line, const char *colour, enum word w, int64_t n)
{
	line_putf(line, "  ");
	line_style(line, n ? colour : DIM);
	line_putf(line, "%s %s", line_word(line->view, w), NUMBER(n));
	line_style(line, PLAIN);
}

static void draw_mail(const struct top *top, struct line *line)
{
	const json_t *m = daemon_member(top->status, "minute");
	int64_t all = daemon_i64(m, "accepted") + daemon_i64(m, "deferred") + daemon_i64(m, "rejected") + daemon_i64(m, "held");

	label(line, W_MAIL);
	line_style(line, BOLD);
	line_putf(line, "%s %s", NUMBER(all), line_word(line->view, W_PER_MINUTE));
	line_style(line, PLAIN);
	if (top->rate >= 0 && line->view->columns >= 100)
		line_putf(line, "  %.1f %s", top->rate, line_word(line->view, W_PER_SECOND));
	put_count(line, GOOD, W_ACCEPTED, daemon_i64(m, "accepted"));
	put_count(line, WARN, W_DEFERRED, daemon_i64(m, "deferred"));
	put_count(line, BAD, W_REJECTED, daemon_i64(m, "rejected"));
	put_count(line, WARN, W_HELD, daemon_i64(m, "held"));
	line_end(line);
}

static void draw_sessions(const struct top *top, struct line *line)
{
	label(line, W_SESSIONS);
	line_putf(line, "%s %s, %s %s", NUMBER(daemon_i64(top->status, "sessions")), line_word(line->view, W_OPEN),
	     NUMBER(daemon_i64(top->status, "sessions_total")), line_word(line->view, W_SINCE));
	if (top->answer_us >= 0)
		line_putf(line, "; %s %s", line_word(line->view, W_ANSWER), SPAN((int64_t)top->answer_us));
	line_end(line);
}

/* And the configuration, for which there is room beside it. */
static void draw_store(const struct top *top, struct line *line)
{
	struct str broken = daemon_str(top->status, "config.last_error");
	int64_t failures = daemon_i64(top->status, "store.failures"), tenants = daemon_i64(top->status, "config.tenants");

	label(line, W_STORE);
	line_putf(line, "%.*s", STR_ARG(daemon_str(top->status, "store.backend")));
	if (top->charge_us >= 0)
		line_putf(line, ", %s %s", line_word(line->view, W_CHARGE), SPAN((int64_t)top->charge_us));
	if (failures) {
		line_putf(line, ", ");
		line_style(line, WARN);
		line_putf(line, "%s %s", NUMBER(failures), line_word(line->view, failures == 1 ? W_FAILURE : W_FAILURES));
	}
	if (json_is_true(daemon_member(top->status, "store.is_local"))) {
		line_style(line, BAD);
		line_putf(line, "  %s", line_word(line->view, W_LOCAL));
	}
	line_style(line, PLAIN);
	line_putf(line, "   %s %lld, %s %s", line_word(line->view, W_CONFIG), (long long)daemon_i64(top->status, "config.generation"),
	     NUMBER(tenants), line_word(line->view, tenants == 1 ? W_TENANT : W_TENANTS));
	if (broken.len) {
		line_style(line, BAD);
		line_putf(line, "  %s: %.*s", line_word(line->view, W_NOT_RELOADED), STR_ARG(broken));
	}
	line_end(line);
}

static void draw_log(const struct top *top, struct line *line)
{
	bool is_full = json_is_true(daemon_member(top->status, "relay_log.is_full"));
	bool is_low = json_is_true(daemon_member(top->status, "relay_log.is_low"));

	label(line, W_LOG);
	line_putf(line, "%.*s seq %s, %s %s, %lld %s", STR_ARG(daemon_str(top->status, "relay_log.file")),
	     NUMBER(daemon_i64(top->status, "relay_log.seq")), line_word(line->view, W_SYNC),
	     SPAN(daemon_i64(top->status, "relay_log.sync_us_last")), (long long)daemon_i64(top->status, "relay_log.free_percent"),
	     line_word(line->view, W_FREE));
	if (is_full || is_low) {
		line_style(line, BAD);
		line_putf(line, "  %s", line_word(line->view, is_full ? W_FULL : W_LOW));
	}
	line_end(line);
}

static void draw_host(const struct top *top, struct line *line)
{
	struct str clock = daemon_str(top->status, "clock.state");

	label(line, W_CLOCK);
	line_style(line, str_eq(clock, STR("ok")) ? PLAIN : WARN);
	line_putf(line, "%.*s", STR_ARG(clock));
	line_style(line, PLAIN);
	line_putf(line, ", %s %s", line_word(line->view, W_OFF), SPAN(daemon_i64(top->status, "clock.max_error_us")));
	if (daemon_member(top->status, "maillog")) {
		int64_t lag = daemon_i64(top->status, "maillog.lag_s");

		line_putf(line, "   %s ", line_word(line->view, W_MAILLOG));
		line_style(line, lag > 60 ? WARN : PLAIN);
		if (lag)
			line_putf(line, "%s %s", NUMBER(lag), line_word(line->view, W_BEHIND));
		else
			line_putf(line, "%s", line_word(line->view, W_READ));
		line_style(line, PLAIN);
	}
	line_end(line);
}

/* --- the chart */

#define CHART_ROWS 6
#define CHART_FROM_ROWS 34             /* of screen */

static void draw_chart(const struct top *top, struct line *line)
{
	size_t room = line->view->columns - 2, n = top->history_count < room ? top->history_count : room;
	const int64_t *from = top->history + top->history_count - n;
	int64_t most = 1;

	for (size_t i = 0; i < n; i++)
		most = from[i] > most ? from[i] : most;
	line_style(line, DIM);
	line_putf(line, " %s %s", line_word(line->view, W_CHART), NUMBER(most));
	line_end(line);
	for (int row = CHART_ROWS; row > 0; row--) {
		bool is_on = false;

		line_blanks(line, 1 + room - n);
		for (size_t i = 0; i < n; i++) {
			bool is_bar = (from[i] * CHART_ROWS + most - 1) / most >= row;

			if (is_bar != is_on)
				line_style(line, is_bar ? BAR : PLAIN);
			is_on = is_bar;
			line_blanks(line, 1);
		}
		line_end(line);
	}
}

/* --- the foot, the keys */

static void draw_foot(const struct top *top, const struct top_view *view, struct line *line, size_t room)
{
	size_t below = top->count > view->first + room ? top->count - view->first - room : 0;

	if (top->why[0]) {
		line_style(line, WARN);
		line_putf(line, " %s", top->why);
	} else {
		line_style(line, DIM);
		line_putf(line, " %s", line_word(view, W_KEYS));
		if (below)
			line_putf(line, "  +%zu %s", below, line_word(view, W_MORE));
	}
	line_style(line, PLAIN);               /* no line feed: nothing stands below */
}

static void draw_help(struct line *line)
{
	static const char *const rows[][2] = {
		{ "q, ^C        leave", "q, ^C        終了" },
		{ "space        pause, and go on", "空白         一時停止・再開" },
		{ "< >          sort by the column before, after", "< >          左・右の列で並べ替え" },
		{ "/            the other way round", "/            逆順" },
		{ "+ -          look less often, more often", "+ -          間隔を長く・短く" },
		{ "up down, j k, page up, page down", "上下, j k, PageUp, PageDown" },
	};

	const char *title;
	char key;

	line_end(line);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		line_putf(line, "   %s", rows[i][line->view->lang]);
		line_end(line);
	}
	line_end(line);
	for (size_t i = 0; top_column(i, line->view->lang, &key, &title); i++)
		if (key) {
			line_putf(line, "   %c             %s", key, title);
			line_end(line);
		}
}

static void draw_gone(const struct top *top, struct line *line)
{
	line_style(line, BAD);
	line_putf(line, " %s", line_word(line->view, W_GONE));
	line_end(line);
	line_putf(line, " %s", top->why);
	line_end(line);
}

void top_draw(struct top *top, struct top_view *view, struct buf *out)
{
	struct line line = { .out = out, .view = view };
	size_t above = 8, room;
	bool has_chart = !view->is_plain && view->rows >= CHART_FROM_ROWS;

	draw_title(top, &line);
	if (view->is_helping) {
		draw_help(&line);
		return;
	}
	if (!top->status) {
		draw_gone(top, &line);
		return;
	}
	draw_mail(top, &line);
	draw_sessions(top, &line);
	draw_store(top, &line);
	draw_log(top, &line);
	draw_host(top, &line);
	if (has_chart)
		draw_chart(top, &line);
	line_end(&line);
	above += has_chart ? CHART_ROWS + 1 : 0;
	room = view->is_plain ? TOP_TENANTS_MAX : view->rows > above + 1 ? view->rows - above - 1 : 1;
	top_draw_tenants(top, view, &line, room);
	if (!view->is_plain)
		draw_foot(top, view, &line, room);
	else if (top->why[0])
		buf_printf(out, " %s\n", top->why);
}

bool top_key(struct top_view *view, int key)
{
	size_t step = view->rows > 12 ? view->rows - 10 : 1, count = 1;
	const char *title;
	char own;

	for (size_t i = 0; top_column(i, view->lang, &own, &title); count = own ? i + 1 : count, i++)
		if (own && key == own) {
			view->is_reversed = view->sort == i && !view->is_reversed;
			view->sort = i;
			return true;
		}
	switch (key) {
	case '?': view->is_helping = !view->is_helping; return true;
	case ' ': view->is_paused = !view->is_paused; return true;
	case '/': view->is_reversed = !view->is_reversed; return true;
	case '<': view->sort = view->sort ? view->sort - 1 : count - 1; return true;
	case '>': view->sort = (view->sort + 1) % count; return true;
	case '+': view->interval_us += view->interval_us < 60 * US_PER_S ? US_PER_S : 0; return true;
	case '-': view->interval_us -= view->interval_us > US_PER_S ? US_PER_S : 0; return true;
	case 'k': case TERMINAL_UP: view->first -= view->first ? 1 : 0; return true;
	case 'j': case TERMINAL_DOWN: view->first++; return true;
	case TERMINAL_PAGE_UP: view->first -= view->first > step ? step : view->first; return true;
	case TERMINAL_PAGE_DOWN: view->first += step; return true;
	default: return false;
	}
}
