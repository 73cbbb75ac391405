/*
 * lines - the lines of one file, forward or from the end, by pread.
 *
 * Not mapped: a file that is cut back while somebody reads it would end the reader with SIGBUS, and the copy costs less
 * than hashing does. What is no whole line is said to be none: the piece after the last newline, and the first
 * RECORD_LINE_MAX octets of a line that is longer.
 *
 * Bounds   memory: two lines of RECORD_LINE_MAX, whatever the file holds
 */
#ifndef SEKISHO_RECORD_LINES_H
#define SEKISHO_RECORD_LINES_H

#include "milter/record/format.h"

struct lines {
	int fd;                        /* the caller's */
	const char *name;              /* for errors; the caller's */
	bool is_backward;
	int64_t at;                    /* forward: where the next line begins; backward: where the last one given began */
	int64_t limit;                 /* forward: read up to here */
	char *buffer;
	int64_t begin;                 /* of what the buffer holds, in the file */
	size_t len, size;
};

/* Forward from `from` up to `limit`; both in octets of the file, `from` at the start of a line. */
bool lines_open(struct lines *lines, int fd, const char *name, int64_t from, int64_t limit, struct err *err);
/* Backward from `limit`. */
bool lines_open_backward(struct lines *lines, int fd, const char *name, int64_t limit, struct err *err);
void lines_close(struct lines *lines);

struct line {
	struct str text;               /* without its newline; lives until the next call */
	int64_t offset, end;           /* end: after its newline */
	bool is_whole;
};

/* *out_found false at the end. */
bool lines_next(struct lines *lines, struct line *out, bool *out_found, struct err *err);

#endif
