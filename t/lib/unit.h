/*
 * unit - what every unit test program needs around its tests.
 *
 * A program has one suite; unit_main runs it and prints "unit: N passed, N failed" as its last line.
 */
#ifndef SEKISHO_UNIT_H
#define SEKISHO_UNIT_H

#include <check.h>

#include "config/base/str.h"

/* Runs `suite` (and frees it); the program's exit status. */
int unit_main(Suite *suite);

/* Adds a loop test over the rows of a static table. */
#define unit_add_rows(tcase, test, rows) tcase_add_loop_test(tcase, test, 0, (int)(sizeof(rows) / sizeof *(rows)))

/* A copy of `s` that ends at an unreadable page: one octet too far stops the test. `begin`: starts right after one. */
struct str unit_wall(struct str s);
struct str unit_wall_front(struct str s);
void unit_wall_free(struct str s);

#define ck_assert_str_is(got, want)                                                                              \
	do {                                                                                                     \
		struct str got_ = (got), want_ = (want);                                                         \
		ck_assert_msg(str_eq(got_, want_), "got \"" STR_FMT "\", want \"" STR_FMT "\"", STR_ARG(got_),     \
			      STR_ARG(want_));                                                                   \
	} while (0)

/* A fresh directory below $TMPDIR, removed with all that is in it when the program ends. */
const char *unit_dir(void);
/* A file of this name in it, mode 0600; its path, until the next call. */
const char *unit_file(const char *name, struct str text);

/* How often `needle` stands in `text`. */
size_t unit_count(struct str text, const char *needle);

#endif
