/*
 * shortage - memory runs out for a moment: the n-th allocation from now on fails, whoever makes it.
 *
 * A sanitizer has an allocator of its own; with one, none fails.
 *
 * Threads  the test's own; the allocations of others count too
 */
#ifndef SEKISHO_SHORTAGE_H
#define SEKISHO_SHORTAGE_H

#include <stdbool.h>

void shortage_begin(int n);
/* It came to that one. */
bool shortage_end(void);

#endif
