#include "milter/record/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_SIZE (2 * (RECORD_LINE_MAX + 1))
#define READ_SIZE ((size_t)256 << 10)              /* at a time: stays in the cache until it is hashed */

static size_t size_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool open_at(struct lines *lines, int fd, const char *name, struct err *err)
{
	*lines = (struct lines){ .fd = fd, .name = name, .size = BUFFER_SIZE, .buffer = malloc(BUFFER_SIZE) };
	return lines->buffer || err_memory(err);
}

bool lines_open(struct lines *lines, int fd, const char *name, int64_t from, int64_t limit, struct err *err)
{
	if (!open_at(lines, fd, name, err))
		return false;
	lines->at = lines->begin = from;
	lines->limit = limit;
	return true;
}

bool lines_open_backward(struct lines *lines, int fd, const char *name, int64_t limit, struct err *err)
{
	if (!open_at(lines, fd, name, err))
		return false;
	lines->is_backward = true;
	lines->at = lines->begin = lines->limit = limit;
	return true;
}

void lines_close(struct lines *lines)
{
	free(lines->buffer);
	*lines = (struct lines){ .fd = -1 };
}

/* Reads up to n octets; fewer only where the file ends. */
static bool read_at(struct lines *lines, char *to, size_t n, int64_t at, size_t *out_got, struct err *err)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(lines->fd, to + got, n - got, at + (int64_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(err, ERR_BUSY, "read %s", lines->name);
		if (r == 0)
			break;
		got += (size_t)r;
	}
	*out_got = got;
	return true;
}

/* Moves what is left to the front and fills the rest; *out_more false at the end of the file. */
static bool fill(struct lines *lines, bool *out_more, struct err *err)
{
	size_t used = (size_t)(lines->at - lines->begin), got;

	memmove(lines->buffer, lines->buffer + used, lines->len - used);
	lines->begin = lines->at;
	lines->len -= used;

	int64_t end = lines->begin + (int64_t)lines->len;
	size_t room = size_min(lines->size - lines->len, READ_SIZE);
	size_t want = end >= lines->limit ? 0 : size_min((size_t)(lines->limit - end), room);

	if (!read_at(lines, lines->buffer + lines->len, want, end, &got, err))
		return false;
	lines->len += got;
	*out_more = got > 0;
	return true;
}

static void give(struct line *out, const char *text, size_t len, int64_t offset, int64_t end, bool is_whole)
{
	bool is_long = len > RECORD_LINE_MAX;

	*out = (struct line){ str_of(text, is_long ? RECORD_LINE_MAX : len), offset, end, is_whole && !is_long };
}

/* A line longer than the buffer: its first octets stay in front, the rest is read past. */
static bool skip_long(struct lines *lines, struct line *out, struct err *err)
{
	int64_t offset = lines->at, end = lines->begin + (int64_t)lines->len;
	char *scratch = lines->buffer + RECORD_LINE_MAX;
	size_t room = READ_SIZE, got = 0;

	while (end < lines->limit) {
		size_t want = size_min((size_t)(lines->limit - end), room);

		if (!read_at(lines, scratch, want, end, &got, err))
			return false;
		const char *newline = got ? memchr(scratch, '\n', got) : NULL;

		if (newline) {
			end += newline - scratch + 1;
			break;
		}
		if (got == 0)
			break;
		end += (int64_t)got;
	}
	give(out, lines->buffer, RECORD_LINE_MAX, offset, end, false);
	lines->at = lines->begin = end;
	lines->len = 0;
	return true;
}

static bool next_forward(struct lines *lines, struct line *out, bool *out_found, struct err *err)
{
	size_t looked = 0;
	bool more = true;

	for (;;) {
		char *text = lines->buffer + (lines->at - lines->begin);
		size_t left = lines->len - (size_t)(lines->at - lines->begin);
		const char *newline = left > looked ? memchr(text + looked, '\n', left - looked) : NULL;

		if (newline || !more) {
			size_t len = newline ? (size_t)(newline - text) : left;
			int64_t end = lines->at + (int64_t)len + (newline != NULL);

			*out_found = left > 0;
			if (left > 0)
				give(out, text, len, lines->at, end, newline != NULL);
			lines->at = end;
			return true;
		}
		if (left > RECORD_LINE_MAX) {
			*out_found = true;
			if (text != lines->buffer)
				memmove(lines->buffer, text, left);
			lines->begin = lines->at;
			lines->len = left;
			return skip_long(lines, out, err);
		}
		looked = left;
		if (!fill(lines, &more, err))
			return false;
	}
}

/* Puts octets before those that the buffer holds, of which those at and after `at` are not needed any more. */
static bool fill_before(struct lines *lines, struct err *err)
{
	size_t keep = (size_t)(lines->at - lines->begin), got;
	size_t want = size_min(size_min((size_t)lines->begin, lines->size - keep), READ_SIZE);

	memmove(lines->buffer + want, lines->buffer, keep);
	if (!read_at(lines, lines->buffer, want, lines->begin - (int64_t)want, &got, err))
		return false;
	if (got < want)
		return err_set(err, ERR_BUSY, "%s: became shorter while it was read", lines->name);
	lines->begin -= (int64_t)want;
	lines->len = keep + want;
	return true;
}

/* The line that ends at `at`; the newline of a whole one is the octet before. */
static bool next_backward(struct lines *lines, struct line *out, bool *out_found, struct err *err)
{
	int64_t end = lines->at;

	*out_found = end > 0;
	if (end == 0)
		return true;
	if (lines->begin == end && !fill_before(lines, err))
		return false;

	bool is_whole = lines->buffer[end - lines->begin - 1] == '\n', is_long = false;
	int64_t stop = end - is_whole;

	for (;;) {
		size_t len = (size_t)(stop - lines->begin);
		const char *newline = len ? memrchr(lines->buffer, '\n', len) : NULL;
		int64_t from = newline ? lines->begin + (newline - lines->buffer) + 1 : lines->begin;

		if (newline || lines->begin == 0) {
			lines->at = from;
			give(out, lines->buffer + (from - lines->begin), (size_t)(stop - from), from, end,
			     is_whole && !is_long);
			return true;
		}
		if (len > RECORD_LINE_MAX) {        /* only its first octets matter: forget the last ones */
			is_long = true;
			stop = lines->begin + (int64_t)RECORD_LINE_MAX;
			lines->at = stop;
		}
		if (!fill_before(lines, err))
			return false;
	}
}

bool lines_next(struct lines *lines, struct line *out, bool *out_found, struct err *err)
{
	return lines->is_backward ? next_backward(lines, out, out_found, err) : next_forward(lines, out, out_found, err);
}
