/*
 * csv - tables for spreadsheets and other programs (RFC 4180).
 *
 * Written: cells quoted where they must be, CRLF behind each row. A cell that a spreadsheet would take for a formula
 * (begins with = + - @, their wide forms, a tab, CR or LF) gets a ' in front; reading takes such a ' away again.
 * Read: rows end with CRLF, LF or CR; quoted cells may hold anything. Linear, nothing is guessed: a quote that does not
 * close, or text behind a closing quote, makes the row a bad one.
 */
#ifndef SEKISHO_TOOL_CSV_H
#define SEKISHO_TOOL_CSV_H

#include "config/base/arena.h"
#include "config/base/buf.h"

#define CSV_BOM STR("\xef\xbb\xbf")
#define CSV_CELLS_MAX 32

void csv_add_row(struct buf *out, const struct str *cells, size_t count);

struct csv_row {
	struct str cells[CSV_CELLS_MAX];   /* in the text or the arena */
	size_t count;                      /* more are left out */
	size_t lines;                      /* how many line ends it took off the text */
	bool is_bad;
};
/* Takes a row off the front of `rest`; false at its end, and when the arena is full (then rest is not empty). */
bool csv_next_row(struct str *rest, struct arena *arena, struct csv_row *out);

#endif
