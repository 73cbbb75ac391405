#include "milter/tool/csv.h"

#include "milter/record/export.h"

static void add_cell(struct buf *out, struct str cell)
{
	bool has_quote = str_find_byte(cell, '"') < cell.len;
	bool is_quoted = has_quote || str_find_byte(cell, ',') < cell.len || str_find_byte(cell, '\n') < cell.len ||
			 str_find_byte(cell, '\r') < cell.len;

	if (is_quoted)
		buf_add_byte(out, '"');
	if (export_is_formula(cell))
		buf_add_byte(out, '\'');
	for (size_t i = 0; has_quote && i < cell.len; i++) {
		if (cell.ptr[i] == '"')
			buf_add_byte(out, '"');
		buf_add_byte(out, cell.ptr[i]);
	}
	if (!has_quote)
		buf_add(out, cell);
	if (is_quoted)
		buf_add_byte(out, '"');
}

void csv_add_row(struct buf *out, const struct str *cells, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_byte(out, ',');
		add_cell(out, cells[i]);
	}
	buf_add_c(out, "\r\n");
}

/* --- reading */

static bool is_end(char c)
{
	return c == '\n' || c == '\r';
}

/* CRLF is one. */
static void take_end(struct str *rest, struct csv_row *row)
{
	size_t n = rest->len > 1 && rest->ptr[0] == '\r' && rest->ptr[1] == '\n' ? 2 : 1;

	if (rest->len == 0)
		return;
	*rest = str_from(*rest, n);
	row->lines++;
}

static struct str take_plain(struct str *rest)
{
	size_t n = 0;

	while (n < rest->len && rest->ptr[n] != ',' && !is_end(rest->ptr[n]))
		n++;

	struct str cell = str_slice(*rest, 0, n);

	*rest = str_from(*rest, n);
	return cell;
}

/* Behind its first quote; "" inside stands for one. */
static bool take_quoted(struct str *rest, struct arena *arena, struct csv_row *row, struct str *out)
{
	size_t at = 0, len = 0;
	char *text;

	while (at < rest->len && (rest->ptr[at] != '"' || (at + 1 < rest->len && rest->ptr[at + 1] == '"')))
		at += rest->ptr[at] == '"' ? 2 : 1;
	row->is_bad |= at == rest->len;
	text = arena_alloc(arena, at);
	if (!text)
		return false;
	for (size_t i = 0; i < at; i++) {
		if (rest->ptr[i] == '"')
			i++;
		row->lines += rest->ptr[i] == '\n';
		text[len++] = rest->ptr[i];
	}
	*rest = str_from(*rest, at + 1);
	*out = str_of(text, len);
	return true;
}

bool csv_next_row(struct str *rest, struct arena *arena, struct csv_row *out)
{
	struct str cell;

	out->count = out->lines = 0;
	out->is_bad = false;
	if (rest->len == 0)
		return false;
	for (;;) {
		if (rest->len && rest->ptr[0] == '"') {
			struct str behind = str_from(*rest, 1);

			if (!take_quoted(&behind, arena, out, &cell))
				return false;
			*rest = behind;
			out->is_bad |= take_plain(rest).len > 0;
		} else {
			cell = take_plain(rest);
		}
		if (cell.len && cell.ptr[0] == '\'' && export_is_formula(str_from(cell, 1)))
			cell = str_from(cell, 1);
		if (out->count < CSV_CELLS_MAX)
			out->cells[out->count++] = cell;
		if (rest->len == 0 || is_end(rest->ptr[0]))
			break;
		*rest = str_from(*rest, 1);
	}
	take_end(rest, out);
	return true;
}
