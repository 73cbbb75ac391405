#include "milter/record/span.h"

#include <inttypes.h>
#include <stdlib.h>

#include "config/base/memory.h"
#include "config/base/num.h"

#define RANGE_MAX 42                                /* octets of one range and its comma */

void spans_clear(struct spans *spans)
{
	free(spans->rows);
	*spans = (struct spans){ 0 };
}

bool spans_add(struct spans *spans, int64_t first, int64_t last)
{
	if (spans->count && first > 0 && spans->rows[spans->count - 1].last == first - 1) {
		spans->rows[spans->count - 1].last = last;
		return true;
	}
	if (spans->count == spans->room) {
		size_t room = spans->room ? spans->room * 2 : 64;
		struct span *rows = reallocarray(spans->rows, room, sizeof *rows);

		if (!rows) {
			memory_ran_out();
			return false;
		}
		spans->rows = rows;
		spans->room = room;
	}
	spans->rows[spans->count++] = (struct span){ first, last };
	return true;
}

bool spans_read(struct spans *spans, struct str text)
{
	struct str piece, left, right;
	struct span span;

	while (str_next(&text, ',', &piece)) {
		if (!str_cut(piece, '-', &left, &right))
			left = right = piece;
		if (!num_parse_i64(left, &span.first) || !num_parse_i64(right, &span.last) || span.first < 1 ||
		    span.last < span.first || !spans_add(spans, span.first, span.last))
			return false;
	}
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

void spans_sort(struct spans *spans)
{
	size_t kept = 0;

	if (spans->count == 0)
		return;
	qsort(spans->rows, spans->count, sizeof *spans->rows, compare);
	for (size_t i = 1; i < spans->count; i++) {
		struct span *end = &spans->rows[kept];

		if (spans->rows[i].first - 1 <= end->last)
			end->last = spans->rows[i].last > end->last ? spans->rows[i].last : end->last;
		else
			spans->rows[++kept] = spans->rows[i];
	}
	spans->count = kept + 1;
}

bool spans_cover(const struct spans *spans, struct span range)
{
	size_t low = 0, high = spans->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (range.first > spans->rows[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < spans->count && spans->rows[low].first <= range.first && range.last <= spans->rows[low].last;
}

bool spans_hold(const struct spans *spans, int64_t number)
{
	return spans_cover(spans, (struct span){ number, number });
}

void spans_write(const struct spans *spans, size_t *at, size_t max, struct buf *out)
{
	size_t begin = out->len;

	for (; *at < spans->count && out->len - begin + RANGE_MAX < max; ++*at) {
		const struct span *span = &spans->rows[*at];

		buf_printf(out, "%s%" PRId64, out->len > begin ? "," : "", span->first);
		if (span->last > span->first)
			buf_printf(out, "-%" PRId64, span->last);
	}
}
