#include "t/lib/shortage.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic int left;               /* 0: none fails */
static _Atomic bool met;

void shortage_begin(int n)
{
	met = false;
	left = n;
}

bool shortage_end(void)
{
	left = 0;
	return met;
}

#ifdef __has_feature
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

#if !IS_SANITIZED

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *old, size_t n);

static bool fails(void)
{
	if (left == 0 || --left)
		return false;
	met = true;
	return true;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t count, size_t n) { return fails() ? NULL : __libc_calloc(count, n); }
void *realloc(void *old, size_t n) { return fails() ? NULL : __libc_realloc(old, n); }

#endif
