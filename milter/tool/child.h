/*
 * child - another program's answer.
 *
 * argv[0] is a path; nothing goes through a shell. Standard input is empty.
 *
 * Bounds   the answer at most `max` octets (child_run), a line at most CHILD_LINE_MAX (child_lines); CHILD_WAIT_US without a
 *          word, and the program is killed
 * Errors   ERR_BUSY: it cannot be run, says too much, does not end, or fails
 */
#ifndef SEKISHO_CHILD_H
#define SEKISHO_CHILD_H

#include "config/base/arena.h"
#include "config/base/buf.h"
#include "config/base/num.h"

#define CHILD_WAIT_US (20 * US_PER_S)
#define CHILD_LINE_MAX ((size_t)16 << 20)

enum child_hears { CHILD_OUTPUT, CHILD_OUTPUT_AND_ERRORS };

/* All it says, in the arena. */
bool child_run(char *const *argv, enum child_hears hears, size_t max, struct arena *arena, struct str *out, struct err *err);

/* Called for each line, without its line feed; the line lives for the call. False stops, and the program is killed. */
typedef bool child_line_fn(void *arg, struct str line);
bool child_lines(char *const *argv, child_line_fn *fn, void *arg, struct err *err);

#endif
