/*
 * terminal - a screen that is drawn again and again, and given back as it was.
 *
 * Plain ECMA-48 and termios: cursor, erase, colour, the second screen. That is what every terminal of the last thirty years
 * understands, tmux, screen and the Linux console among them, and it is a page of code; a curses library would have to be
 * told the locale to count Japanese columns, which screen.h does already.
 *
 * Draws    one write a frame, of those lines that differ from the frame before: nothing flickers, and a slow line carries
 *          little. Lines are never wrapped by the terminal
 * Restores the terminal at terminal_close, at exit, when stopped (^Z) and by every signal that ends a program and can be caught
 * Threads  one terminal a process, one thread
 */
#ifndef SEKISHO_TERMINAL_H
#define SEKISHO_TERMINAL_H

#include "config/base/buf.h"

#define TERMINAL_ROWS_MAX 500
#define TERMINAL_COLUMNS_MAX 1000

/* What terminal_wait gives besides a key's octet. */
enum { TERMINAL_TIME = 256, TERMINAL_RESIZED, TERMINAL_END, TERMINAL_UP, TERMINAL_DOWN, TERMINAL_PAGE_UP, TERMINAL_PAGE_DOWN };

struct terminal;

/* ERR_INPUT: input or output is no terminal, or one that has no cursor to move. */
bool terminal_open(struct terminal **out, struct err *err);
void terminal_close(struct terminal *terminal);           /* NULL is fine */

/* What there is room for now; 80x24 where the terminal does not say. */
void terminal_size(const struct terminal *terminal, size_t *out_rows, size_t *out_columns);
/* Lines of `frame` end with LF; what goes beyond the last row is left out. Text must be clean (screen.h) and fit. */
void terminal_draw(struct terminal *terminal, struct str frame);
/* The next key, TERMINAL_RESIZED, TERMINAL_END (asked to leave, or the terminal is gone), or TERMINAL_TIME at until_us
 * (monotonic). */
int terminal_wait(struct terminal *terminal, int64_t until_us);

#endif
