#include "milter/tool/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "config/base/utf8.h"

static size_t line_width = SCREEN_WIDTH;

void screen_set_columns(size_t columns)
{
	if (columns >= SCREEN_WIDTH)
		line_width = columns < SCREEN_WIDTH_MAX ? columns : SCREEN_WIDTH_MAX;
}

size_t screen_columns(void)
{
	return line_width;
}

void screen_adapt(int fd)
{
	struct winsize size;

	if (isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0)
		screen_set_columns(size.ws_col);
}

struct table_row {
	struct table_row *next;
	struct str cells[];
};

struct range {
	uint32_t first, last;
};

/* Characters that hide, reorder or break text. */
static const struct range harmful[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x00ad, 0x00ad }, { 0x061c, 0x061c }, { 0x180e, 0x180e },
	{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
	{ 0xe0000, 0xe0fff },
};

/* Combining marks of the scripts that mail is written in here; a mark that is missed costs one column of alignment. */
static const struct range narrow[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x064b, 0x065f }, { 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e },
	{ 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x20d0, 0x20ff }, { 0x302a, 0x302f }, { 0x3099, 0x309a },
	{ 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f },
};

/* East_Asian_Width W and F (UAX #11), in whole blocks. */
static const struct range wide[] = {
	{ 0x1100, 0x115f }, { 0x231a, 0x231b }, { 0x2329, 0x232a }, { 0x23e9, 0x23ec }, { 0x2614, 0x2615 },
	{ 0x2648, 0x2653 }, { 0x2e80, 0x303e }, { 0x3041, 0x33ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0xa4cf },
	{ 0xa960, 0xa97f }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe10, 0xfe19 }, { 0xfe30, 0xfe6f },
	{ 0xff01, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x16fe0, 0x18aff }, { 0x1b000, 0x1b2ff }, { 0x1f300, 0x1f64f },
	{ 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
};

#define IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof *(ranges), c)

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
	for (size_t i = 0; i < count && ranges[i].first <= c; i++)
		if (c <= ranges[i].last)
			return true;
	return false;
}

/* The character at the front of `s`; *out_len 0: none, the first octet is no UTF-8. */
static uint32_t decode(struct str s, size_t *out_len)
{
	static const unsigned char lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	size_t len = utf8_length(s);
	uint32_t c;

	*out_len = len;
	if (len == 0)
		return 0;
	c = (unsigned char)s.ptr[0] & lead_bits[len];
	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)s.ptr[i] & 0x3f);
	return c;
}

static size_t char_width(uint32_t c)
{
	if (c < 0x300)
		return 1;
	return IN(narrow, c) ? 0 : IN(wide, c) ? 2 : 1;
}

/* How many octets at the front are plain ASCII: nearly all of them, nearly always. */
static size_t plain_run(struct str s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] >= 0x20 && s.ptr[n] < 0x7f)
		n++;
	return n;
}

void screen_clean(struct buf *out, struct str s, bool keeps_lines)
{
	while (s.len) {
		size_t len, run = plain_run(s);
		uint32_t c;

		buf_add(out, str_slice(s, 0, run));
		s = str_from(s, run);
		if (s.len == 0)
			return;
		c = decode(s, &len);
		if (len == 0 || (c < 0x80 && !(c == '\n' && keeps_lines)))
			buf_printf(out, "\\x%02x", (unsigned char)s.ptr[0]);
		else if (c >= 0x80 && IN(harmful, c))
			buf_printf(out, "\\u{%04x}", c);
		else
			buf_add(out, str_slice(s, 0, len));
		s = str_from(s, len ? len : 1);
	}
}

struct str screen_text(struct arena *arena, struct str s)
{
	struct str clean, out = STR_EMPTY;
	struct buf buf;
	struct err err;

	if (plain_run(s) == s.len)
		return s;
	buf_init(&buf, s.len * 12 + 16);
	screen_clean(&buf, s, false);
	if (!buf_done(&buf, &clean, &err) || !arena_copy(arena, clean, &out))
		out = STR_EMPTY;
	buf_clear(&buf);
	return out;
}

size_t screen_width(struct str clean)
{
	size_t width = 0, len;

	for (; clean.len; clean = str_from(clean, len ? len : 1)) {
		uint32_t c = decode(clean, &len);

		width += char_width(c);
	}
	return width;
}

/* JIS X 4051: what no line begins with, and what none ends with. */
static const struct str no_begin = STR_INIT("!),.:;?]、。々〉》」』】〜ぁぃぅぇぉっゃゅょァィゥェォッャュョ・ー！），．：；？］｝～");
static const struct str no_end = STR_INIT("([〈《「『【（［｛");

/* After a blank; and beside a character of a script that puts none between words. */
static bool may_break(struct str before, struct str after)
{
	size_t left = screen_width(before), right = screen_width(after);

	if (str_eq(before, STR(" ")))
		return true;
	return before.len && right && (left == 2 || right == 2) && str_find(no_begin, after) == no_begin.len &&
	       str_find(no_end, before) == no_end.len;
}

size_t screen_fit(struct str clean, size_t columns)
{
	struct str before = STR_EMPTY;
	size_t at = 0, width = 0, cut = 0;

	while (at < clean.len) {
		size_t len = utf8_length(str_from(clean, at));
		struct str c = str_slice(clean, at, len ? len : 1);

		if (may_break(before, c))
			cut = at;
		width += screen_width(c);
		if (width > columns && at > 0)
			return str_eq(c, STR(" ")) || cut <= at / 2 ? at : cut;
		at += c.len;
		before = c;
	}
	return at;
}

static void add_blanks(struct buf *out, size_t n)
{
	while (n--)
		buf_add_byte(out, ' ');
}

static struct str without_end_blanks(struct str s)
{
	while (s.len && s.ptr[s.len - 1] == ' ')
		s.len--;
	return s;
}

static struct str without_front_blanks(struct str s)
{
	while (s.len && s.ptr[0] == ' ')
		s = str_from(s, 1);
	return s;
}

/* Blanks at the end of what is there go with the line's end. */
static void end_line(struct buf *out, size_t line_begin)
{
	while (out->len > line_begin && out->ptr[out->len - 1] == ' ')
		out->len--;
	buf_add_byte(out, '\n');
}

void screen_wrap(struct buf *out, const char *lead, struct str s)
{
	size_t indent = screen_width(str_from_c(lead));
	struct buf clean;
	struct str rest;

	buf_init(&clean, s.len * 12 + 16);
	screen_clean(&clean, s, false);
	rest = buf_view(&clean);
	buf_add_c(out, lead);
	for (size_t begin = out->len - strlen(lead);; begin = out->len, add_blanks(out, indent)) {
		size_t n = screen_fit(rest, indent < line_width ? line_width - indent : 1);

		buf_add(out, str_slice(rest, 0, n));
		end_line(out, begin);
		rest = without_front_blanks(str_from(rest, n));
		if (rest.len == 0 || out->failed)
			break;
	}
	buf_clear(&clean);
}

/* --- tables */

#define GAP 2
#define FOLD_MIN 12                    /* columns that a folding column keeps, however wide the others are */

void table_init(struct table *table, struct arena *arena, const struct column *columns, size_t count)
{
	*table = (struct table){ .arena = arena, .columns = columns, .column_count = count, .indent = "" };
}

bool table_add(struct table *table, const struct str *cells)
{
	struct table_row *row = arena_alloc(table->arena, sizeof *row + table->column_count * sizeof *cells);

	if (!row)
		return false;
	for (size_t i = 0; i < table->column_count; i++)
		row->cells[i] = screen_text(table->arena, cells[i]);
	*(table->last ? &table->last->next : &table->first) = row;
	table->last = row;
	table->rows++;
	return true;
}

static size_t total_width(const struct table *table, const size_t *widths)
{
	size_t total = strlen(table->indent);

	for (size_t i = 0; i < table->column_count; i++)
		total += widths[i] + (i ? GAP : 0);
	return total;
}

/* The widest folding column; column_count: none that could still give. */
static size_t widest_fold(const struct table *table, const size_t *widths)
{
	size_t at = table->column_count;

	for (size_t i = 0; i < table->column_count; i++)
		if (table->columns[i].kind == COLUMN_FOLD && widths[i] > FOLD_MIN &&
		    (at == table->column_count || widths[i] > widths[at]))
			at = i;
	return at;
}

static void measure(const struct table *table, size_t *widths)
{
	size_t fold;

	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = table->columns[0].title ? screen_width(str_from_c(table->columns[i].title)) : 0;
	for (const struct table_row *row = table->first; row; row = row->next)
		for (size_t i = 0; i < table->column_count; i++) {
			size_t width = screen_width(row->cells[i]);

			if (width > line_width * 2)
				width = line_width * 2;       /* it folds anyway */
			if (width > widths[i])
				widths[i] = width;
		}
	while (total_width(table, widths) > line_width && (fold = widest_fold(table, widths)) < table->column_count)
		widths[fold]--;
}

/* One screen line of a row; what did not fit stays in `rest`. */
static bool write_line(const struct table *table, const size_t *widths, struct str *rest, struct buf *out)
{
	size_t begin = out->len;
	bool is_done = true;

	buf_add_c(out, table->indent);
	for (size_t i = 0; i < table->column_count; i++) {
		bool folds = table->columns[i].kind == COLUMN_FOLD;
		size_t n = folds ? screen_fit(rest[i], widths[i]) : rest[i].len;
		struct str piece = without_end_blanks(str_slice(rest[i], 0, n));
		size_t width = screen_width(piece), pad = widths[i] > width ? widths[i] - width : 0;

		add_blanks(out, i ? GAP : 0);
		add_blanks(out, table->columns[i].kind == COLUMN_RIGHT ? pad : 0);
		buf_add(out, piece);
		add_blanks(out, table->columns[i].kind == COLUMN_RIGHT ? 0 : pad);
		rest[i] = without_front_blanks(str_from(rest[i], n));
		is_done &= rest[i].len == 0;
	}
	end_line(out, begin);
	return is_done;
}

static void write_row(const struct table *table, const size_t *widths, const struct str *cells, struct buf *out)
{
	struct str rest[TABLE_COLUMNS_MAX];

	memcpy(rest, cells, table->column_count * sizeof *rest);
	while (!write_line(table, widths, rest, out) && !out->failed)
		;
}

void table_write(const struct table *table, struct buf *out)
{
	size_t widths[TABLE_COLUMNS_MAX];

	measure(table, widths);
	if (table->columns[0].title) {
		struct str titles[TABLE_COLUMNS_MAX];

		for (size_t i = 0; i < table->column_count; i++)
			titles[i] = str_from_c(table->columns[i].title);
		write_row(table, widths, titles, out);
	}
	for (const struct table_row *row = table->first; row; row = row->next)
		write_row(table, widths, row->cells, out);
}
