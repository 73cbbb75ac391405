/*
 * span - sets of sequence numbers as ranges: "12,15-20,33".
 *
 * Memory   the heap, sixteen octets a range
 */
#ifndef SEKISHO_RECORD_SPAN_H
#define SEKISHO_RECORD_SPAN_H

#include "config/base/buf.h"

struct span {
	int64_t first, last;
};
struct spans {
	struct span *rows;
	size_t count, room;
};

void spans_clear(struct spans *spans);
/* Joins the last range when it follows on it. False: memory is out. */
bool spans_add(struct spans *spans, int64_t first, int64_t last);
/* Adds what the text says; false when it is no such text, or memory is out. */
bool spans_read(struct spans *spans, struct str text);
/* In order, neighbours joined: before spans_hold. */
void spans_sort(struct spans *spans);
bool spans_hold(const struct spans *spans, int64_t number);
/* All of a range. */
bool spans_cover(const struct spans *spans, struct span range);

/* Ranges from *at on, as many as fit `max` octets; *at moves on. */
void spans_write(const struct spans *spans, size_t *at, size_t max, struct buf *out);

#endif
