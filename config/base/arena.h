/*
 * arena - memory that dies all at once.
 *
 * A transaction owns one arena with a limit; everything learnt about its message lives there and goes in one
 * arena_clear, on every path. A snapshot owns one without a practical limit.
 *
 * Memory   blocks of ARENA_BLOCK octets or the size asked for; the first is taken with the first allocation.
 *          arena_reset keeps that first block for the next message; arena_clear gives everything back
 * Errors   NULL when the limit or the machine says no; the caller reports err_memory
 * Threads  one at a time
 * Tests    under ASan what is not handed out is poisoned, 8 octets between allocations included
 */
#ifndef SEKISHO_ARENA_H
#define SEKISHO_ARENA_H

#include "config/base/str.h"

#define ARENA_BLOCK 4096

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t limit;                  /* octets handed out, at most */
	size_t used;                   /* octets handed out so far, gaps included */
};

void arena_init(struct arena *arena, size_t limit);
void arena_reset(struct arena *arena);
void arena_clear(struct arena *arena);

/* Zeroed and aligned for any type. Never NULL for n == 0 unless memory is out. */
void *arena_alloc(struct arena *arena, size_t n);
/* count * size, checked for overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* Copies; out->ptr[out->len] is a NUL that out does not count, for calls that want C strings. */
bool arena_copy(struct arena *arena, struct str s, struct str *out);
bool arena_copy_lower(struct arena *arena, struct str s, struct str *out);
/* Blanks and controls in a row become one space; there is none at its ends. */
bool arena_copy_squeezed(struct arena *arena, struct str s, struct str *out);
/* As arena_copy, of several parts one after the other. */
bool arena_join(struct arena *arena, const struct str *parts, size_t count, struct str *out);
bool arena_printf(struct arena *arena, struct str *out, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* arena_join of the parts named: for what every message needs, where printf would cost more than all the rest. */
#define arena_concat(arena, out, ...)                                                                        \
	arena_join((arena), (const struct str[]){ __VA_ARGS__ },                                             \
		   sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str), (out))

#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

#endif
