/*
 * top_line - a line of the screen of `sekisho top`: words in two languages, columns counted, what does not fit left out.
 *
 * Private to top_draw.c and top_table.c.
 */
#ifndef SEKISHO_TOP_LINE_H
#define SEKISHO_TOP_LINE_H

#include "config/base/clock.h"
#include "milter/tool/top.h"

enum word {
	W_TITLE, W_UP, W_MAIL, W_PER_MINUTE, W_PER_SECOND, W_ACCEPTED, W_DEFERRED, W_REJECTED, W_HELD, W_SESSIONS,
	W_OPEN, W_SINCE, W_ANSWER, W_STORE, W_CHARGE, W_LOCAL, W_FAILURE, W_FAILURES, W_LOG, W_SYNC, W_FREE, W_FULL,
	W_LOW, W_CLOCK, W_OFF, W_CONFIG, W_TENANT, W_TENANTS, W_NOT_RELOADED, W_MAILLOG, W_BEHIND, W_READ, W_NOBODY,
	W_MORE, W_SUSPENDED, W_KEYS, W_PAUSED, W_CHART, W_GONE, WORDS
};
const char *line_word(const struct top_view *view, enum word w);

#define PLAIN "\033[0m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define BAR "\033[7m"
#define GOOD "\033[32m"
#define WARN "\033[33;1m"
#define BAD "\033[31;1m"

struct line {
	struct buf *out;
	const struct top_view *view;
	size_t used;                   /* columns */
};

/* Nothing where the view is plain; no colour where NO_COLOR is set. */
void line_style(struct line *line, const char *sequence);
/* As much of clean text as there are columns for. */
void line_put(struct line *line, struct str text);
/* Any text, made harmless. */
void line_putf(struct line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void line_blanks(struct line *line, size_t n);
void line_end(struct line *line);

/* "12,345"; "850 us", "1.3 ms", "2:05", "3:04:05", "4 d"; "21:15:03" JST. In the caller's room. */
const char *line_number(int64_t n, char room[32]);
const char *line_span(int64_t us, char room[32]);
const char *line_hour(int64_t t_us, char room[JST_TIME_LEN + 1]);
#define NUMBER(n) line_number(n, (char[32]){ "" })
#define SPAN(us) line_span(us, (char[32]){ "" })
#define HOUR(t_us) line_hour(t_us, (char[JST_TIME_LEN + 1]){ "" })

/* The tenants, `room` of them. Sorts. */
void top_draw_tenants(struct top *top, struct top_view *view, struct line *line, size_t room);
/* For the help and for keys: the column's key (0: none) and title. False after the last. */
bool top_column(size_t at, enum top_lang lang, char *out_key, const char **out_title);

#endif
