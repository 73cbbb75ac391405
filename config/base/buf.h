/*
 * buf - bytes being built, under a ceiling.
 *
 * A buf remembers its first failure (memory, ceiling); later adds do nothing, so that many buf_add calls need one
 * check, at buf_done. buf_view shows what is there so far, for readers that came past that check.
 *
 * Memory   the heap; buf_clear frees. A str from buf_done or buf_view lives until the next add or clear
 */
#ifndef SEKISHO_BUF_H
#define SEKISHO_BUF_H

#include <stdarg.h>

#include "config/base/err.h"
#include "config/base/str.h"

struct buf {
	char *ptr;
	size_t len, size, max;
	bool failed;
};

/* What is there already, for who takes a buf: nothing is added to it, and it is not cleared. */
#define BUF(literal) (&(const struct buf){ .ptr = (char *)(literal), .len = sizeof(literal) - 1 })

void buf_init(struct buf *buf, size_t max);
void buf_clear(struct buf *buf);
/* Empty again, the memory and the ceiling kept, the failure forgotten. */
void buf_reset(struct buf *buf);

void buf_add(struct buf *buf, struct str s);
void buf_add_c(struct buf *buf, const char *c);
void buf_add_byte(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Room for n more octets to be written at buf->ptr + buf->len by the caller, who then raises len. */
bool buf_reserve(struct buf *buf, size_t n);

struct str buf_view(const struct buf *buf);
bool buf_done(const struct buf *buf, struct str *out, struct err *err);

#endif
