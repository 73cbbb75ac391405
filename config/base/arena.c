#include "config/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/memory.h"
#include "config/base/num.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_GAP 8
/* Not inlined: gcc 14 takes it for one that reads what is not written yet. */
static __attribute__((noinline)) void poison(void *ptr, size_t n)
{
	ASAN_POISON_MEMORY_REGION(ptr, n);
}
#define unpoison(ptr, n) ASAN_UNPOISON_MEMORY_REGION(ptr, n)
#else
#define ARENA_GAP 0
#define poison(ptr, n) ((void)(ptr), (void)(n))
#define unpoison(ptr, n) ((void)(ptr), (void)(n))
#endif

#define ARENA_ALIGN alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t size, used;             /* of data */
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t limit)
{
	*arena = (struct arena){ .limit = limit };
}

static void blocks_free(struct arena_block *block)
{
	while (block) {
		struct arena_block *next = block->next;

		unpoison(block->data, block->size);
		free(block);
		block = next;
	}
}

void arena_clear(struct arena *arena)
{
	blocks_free(arena->blocks);
	arena->blocks = NULL;
	arena->used = 0;
}

void arena_reset(struct arena *arena)
{
	struct arena_block *first = arena->blocks;

	if (!first)
		return;
	blocks_free(first->next);
	first->next = NULL;
	first->used = 0;
	poison(first->data, first->size);
	arena->used = 0;
	/* One large message must not make a long connection keep its memory. */
	if (first->size > ARENA_BLOCK)
		arena_clear(arena);
}

static struct arena_block *block_new(size_t need)
{
	size_t size = need > ARENA_BLOCK - sizeof(struct arena_block) ? need : ARENA_BLOCK - sizeof(struct arena_block);
	struct arena_block *block = malloc(sizeof *block + size);

	if (!block) {
		memory_ran_out();
		return NULL;
	}
	*block = (struct arena_block){ .size = size };
	poison(block->data, size);
	return block;
}

void *arena_alloc(struct arena *arena, size_t n)
{
	size_t need;

	if (!size_add(n, ARENA_GAP + ARENA_ALIGN - 1, &need))
		return NULL;
	need &= ~(ARENA_ALIGN - 1);
	if (need > arena->limit - arena->used)
		return NULL;

	struct arena_block *block = arena->blocks;

	if (!block || need > block->size - block->used) {
		block = block_new(need);
		if (!block)
			return NULL;
		/* A big one goes behind the head, so that the head's room stays usable. */
		if (arena->blocks && need > ARENA_BLOCK / 2) {
			block->next = arena->blocks->next;
			arena->blocks->next = block;
		} else {
			block->next = arena->blocks;
			arena->blocks = block;
		}
	}

	char *at = block->data + block->used;

	block->used += need;
	arena->used += need;
	unpoison(at, n);
	memset(at, 0, n);
	return at;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t n;

	return size_mul(count, size, &n) ? arena_alloc(arena, n) : NULL;
}

bool arena_copy(struct arena *arena, struct str s, struct str *out)
{
	size_t n;
	char *copy = size_add(s.len, 1, &n) ? arena_alloc(arena, n) : NULL;

	if (!copy)
		return false;
	if (s.len)
		memcpy(copy, s.ptr, s.len);
	*out = str_of(copy, s.len);
	return true;
}

bool arena_copy_lower(struct arena *arena, struct str s, struct str *out)
{
	if (!arena_copy(arena, s, out))
		return false;
	char *copy = (char *)(uintptr_t)out->ptr;

	for (size_t i = 0; i < out->len; i++)
		copy[i] = ascii_lower(copy[i]);
	return true;
}

bool arena_copy_squeezed(struct arena *arena, struct str s, struct str *out)
{
	if (!arena_copy(arena, s, out))
		return false;
	char *copy = (char *)(uintptr_t)out->ptr;
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > ' ')
			copy[len++] = s.ptr[i];
		else if (len && copy[len - 1] != ' ')
			copy[len++] = ' ';
	len -= len && copy[len - 1] == ' ';
	copy[len] = '\0';
	out->len = len;
	return true;
}

bool arena_join(struct arena *arena, const struct str *parts, size_t count, struct str *out)
{
	size_t n = 1;

	for (size_t i = 0; i < count; i++)
		if (!size_add(n, parts[i].len, &n))
			return false;

	char *text = arena_alloc(arena, n), *to = text;

	if (!text)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len)
			memcpy(to, parts[i].ptr, parts[i].len);
		to += parts[i].len;
	}
	*out = str_of(text, n - 1);
	return true;
}

bool arena_printf(struct arena *arena, struct str *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		return false;

	size_t size = (size_t)len + 1;
	char *text = arena_alloc(arena, size);

	if (!text)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, size, fmt, ap);
	va_end(ap);
	*out = str_of(text, (size_t)len);
	return true;
}
