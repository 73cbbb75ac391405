/*
 * memory - has it run out, in this thread?
 *
 * A function that could not read what an outsider wrote and one that had no memory to read it with both say no. Whoever
 * calls many of them, and must know the one from the other, looks at memory_shortages before and after: where it has
 * grown, what they said counts for nothing.
 *
 * Counted  what the C library refused to arena, buf and whoever says so; ceilings of their own are not
 * Threads  each has its own
 */
#ifndef SEKISHO_MEMORY_H
#define SEKISHO_MEMORY_H

#include <stddef.h>

unsigned long memory_shortages(void);
/* By who was refused. */
void memory_ran_out(void);
/* malloc(3) and calloc(3), counted. */
void *memory_malloc(size_t size);
void *memory_calloc(size_t count, size_t size);

#endif
