/*
 * screen - what a person reads.
 *
 * Records, replies and file names hold an outsider's text. All of it comes through here on its way to a terminal, and
 * nothing but the line feeds of our own sentences is left that could steer one: control characters (C0, DEL, C1), octets
 * that are no UTF-8, and characters that reorder or hide text (bidirectional controls, zero width, line separators) are
 * shown as \xNN or \u{NNNN}.
 *
 * Widths count terminal columns: East Asian wide and fullwidth characters take two, combining ones none (UAX #11).
 * Memory   texts are made in the arena that was passed
 */
#ifndef SEKISHO_SCREEN_H
#define SEKISHO_SCREEN_H

#include "config/base/arena.h"
#include "config/base/buf.h"

#define SCREEN_WIDTH 80
#define SCREEN_WIDTH_MAX 160           /* longer lines are hard to read */

/* From now on lines are as wide as the terminal that `fd` is; it stays at SCREEN_WIDTH when it is none, or a narrower one. */
void screen_adapt(int fd);
/* The same with so many columns, whoever has them; and how many there are. */
void screen_set_columns(size_t columns);
size_t screen_columns(void);

/* Appends `s` made harmless. `keeps_lines`: line feeds stay, for text of ours with foreign words in it. */
void screen_clean(struct buf *out, struct str s, bool keeps_lines);
/* The same as a text of its own, line feeds shown too. Out of memory: empty. */
struct str screen_text(struct arena *arena, struct str s);

/* Columns that a clean text takes. */
size_t screen_width(struct str clean);
/* How many octets of it fit into so many columns, at a blank where there is one near the end, or between two characters of a
 * script without blanks, as JIS X 4051 allows; at least one character. */
size_t screen_fit(struct str clean, size_t columns);

/* Lines as wide as the screen: the first begins with `lead`, the others are indented by its width. */
void screen_wrap(struct buf *out, const char *lead, struct str s);

/* A table: columns with titles, rows of cells; the wide columns fold so that a line fits the screen. */
enum column_kind {
	COLUMN_LEFT,
	COLUMN_RIGHT,
	COLUMN_FOLD,                   /* gives way when a line is too long */
};
struct column {
	const char *title;             /* NULL in the first: a table without titles */
	enum column_kind kind;
};
#define TABLE_COLUMNS_MAX 10

struct table {
	struct arena *arena;
	const struct column *columns;
	size_t column_count;
	struct table_row *first, *last;
	size_t rows;
	const char *indent;
};

void table_init(struct table *table, struct arena *arena, const struct column *columns, size_t count);
/* `cells` has an item a column, of any bytes. False: out of memory. */
bool table_add(struct table *table, const struct str *cells);
void table_write(const struct table *table, struct buf *out);

#endif
