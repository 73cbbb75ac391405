#include "config/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/memory.h"
#include "config/base/num.h"

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){ .max = max };
}

void buf_clear(struct buf *buf)
{
	free(buf->ptr);
	*buf = (struct buf){ .max = buf->max };
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

bool buf_reserve(struct buf *buf, size_t n)
{
	size_t need;

	if (buf->failed || !size_add(buf->len, n, &need) || need > buf->max) {
		buf->failed = true;
		return false;
	}
	if (need <= buf->size)
		return true;

	size_t size = buf->size ? buf->size : 256;

	while (size < need)
		size = size > buf->max / 2 ? buf->max : size * 2;

	char *ptr = realloc(buf->ptr, size);

	if (!ptr) {
		memory_ran_out();
		buf->failed = true;
		return false;
	}
	buf->ptr = ptr;
	buf->size = size;
	return true;
}

void buf_add(struct buf *buf, struct str s)
{
	if (s.len == 0 || !buf_reserve(buf, s.len))
		return;
	memcpy(buf->ptr + buf->len, s.ptr, s.len);
	buf->len += s.len;
}

void buf_add_c(struct buf *buf, const char *c)
{
	buf_add(buf, str_from_c(c));
}

void buf_add_byte(struct buf *buf, char c)
{
	if (buf_reserve(buf, 1))
		buf->ptr[buf->len++] = c;
}

/* Into the room that is there, which mostly is enough; else once more into room that is. */
void buf_vprintf(struct buf *buf, const char *fmt, va_list ap)
{
	size_t room = buf->failed ? 0 : buf->size - buf->len;
	va_list again;

	va_copy(again, ap);
	int len = vsnprintf(room ? buf->ptr + buf->len : NULL, room, fmt, again);
	va_end(again);
	if (len < 0 || ((size_t)len >= room && !buf_reserve(buf, (size_t)len + 1))) {
		buf->failed = true;
		return;
	}
	if ((size_t)len >= room)
		vsnprintf(buf->ptr + buf->len, (size_t)len + 1, fmt, ap);
	buf->len += (size_t)len;
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(buf, fmt, ap);
	va_end(ap);
}

struct str buf_view(const struct buf *buf)
{
	return str_of(buf->ptr ? buf->ptr : "", buf->len);
}

bool buf_done(const struct buf *buf, struct str *out, struct err *err)
{
	if (buf->failed)
		return err_set(err, ERR_BUSY, "out of memory (at most %zu octets here)", buf->max);
	*out = buf_view(buf);
	return true;
}
