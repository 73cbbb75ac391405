#include "milter/mail/edit.h"

#include <assert.h>

void edit_init(struct edit_list *list, struct arena *arena)
{
	*list = (struct edit_list){ .arena = arena };
}

static bool list_grow(struct edit_list *list)
{
	size_t size = list->size ? list->size * 2 : 16;
	struct edit *items = arena_array(list->arena, size, sizeof *items);

	if (!items)
		return false;
	if (list->count)
		memcpy(items, list->items, list->count * sizeof *items);
	list->items = items;
	list->size = size;
	return true;
}

bool edit_add(struct edit_list *list, size_t at, size_t len, struct str with, struct err *err)
{
	if (list->count) {
		const struct edit *last = &list->items[list->count - 1];

		assert(at >= last->at + last->len);
	}
	if (list->count == list->size && !list_grow(list))
		return err_memory(err);
	list->items[list->count++] = (struct edit){ .at = at, .len = len, .with = with };
	return true;
}

bool edit_insert(struct edit_list *list, size_t at, struct str with, struct err *err)
{
	size_t i = list->count;

	if (list->count == list->size && !list_grow(list))
		return err_memory(err);
	for (; i > 0 && list->items[i - 1].at > at; i--)
		list->items[i] = list->items[i - 1];
	assert(i == 0 || list->items[i - 1].at + list->items[i - 1].len <= at);
	list->items[i] = (struct edit){ .at = at, .with = with };
	list->count++;
	return true;
}

static size_t length_after(struct str text, const struct edit_list *list)
{
	size_t length = text.len;

	for (size_t i = 0; i < list->count; i++)
		length = length - list->items[i].len + list->items[i].with.len;
	return length;
}

void edit_apply(struct str text, const struct edit_list *list, struct buf *out)
{
	size_t at = 0;

	if (!buf_reserve(out, length_after(text, list)))
		return;
	for (size_t i = 0; i < list->count; i++) {
		const struct edit *edit = &list->items[i];

		assert(edit->at >= at && edit->at <= text.len && edit->len <= text.len - edit->at);
		buf_add(out, str_slice(text, at, edit->at - at));
		buf_add(out, edit->with);
		at = edit->at + edit->len;
	}
	buf_add(out, str_from(text, at));
}

/* The length of the line being written, fed with pieces that may hold line ends. */
struct ruler {
	size_t line, max;
	bool ends_in_cr, is_over;
};

static void ruler_feed(struct ruler *ruler, struct str piece)
{
	struct str left;

	while (!ruler->is_over && str_cut(piece, '\n', &left, &piece)) {
		size_t cr = left.len ? left.ptr[left.len - 1] == '\r' : ruler->ends_in_cr;

		ruler->is_over = ruler->line + left.len > ruler->max + cr;
		ruler->line = 0;
		ruler->ends_in_cr = false;
	}
	ruler->line += piece.len;
	if (piece.len)
		ruler->ends_in_cr = piece.ptr[piece.len - 1] == '\r';
}

bool edit_lines_fit(struct str text, const struct edit_list *list, size_t max)
{
	struct ruler ruler = { .max = max };
	size_t at = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct edit *edit = &list->items[i];

		ruler_feed(&ruler, str_slice(text, at, edit->at - at));
		ruler_feed(&ruler, edit->with);
		at = edit->at + edit->len;
	}
	ruler_feed(&ruler, str_from(text, at));
	return !ruler.is_over && ruler.line <= max;
}
