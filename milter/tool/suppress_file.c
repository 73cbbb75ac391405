#include "milter/tool/suppress_file.h"

#include "config/base/clock.h"
#include "config/base/domain.h"
#include "milter/mail/address.h"
#include "milter/record/scan.h"
#include "milter/tool/csv.h"
#include "milter/tool/options.h"

#define ROW_MEMORY ((size_t)1 << 20)
#define DATES "date or time such as 2026-11-21 or 2026-11-21 18:04"

enum column { RECIPIENT, SOURCE, REASON, BY, SINCE, UNTIL, SENDERS, COLUMN_COUNT };

static const struct str names[COLUMN_COUNT] = {
	[RECIPIENT] = STR_INIT("recipient"), [SOURCE] = STR_INIT("source"), [REASON] = STR_INIT("reason"),
	[BY] = STR_INIT("by"),               [SINCE] = STR_INIT("since"),   [UNTIL] = STR_INIT("until"),
	[SENDERS] = STR_INIT("senders"),
};

/* --- writing */

struct times {
	char since[JST_TIME_LEN + 1], until[JST_TIME_LEN + 1];
};

static void to_cells(const struct suppression *entry, struct times *times, struct str cells[COLUMN_COUNT])
{
	times->since[0] = times->until[0] = '\0';
	if (entry->since_us)
		jst_format_time(entry->since_us, times->since);
	if (entry->until_us)
		jst_format_time(entry->until_us, times->until);
	cells[RECIPIENT] = entry->recipient;
	cells[SOURCE] = str_from_c(suppress_source_name(entry->source));
	cells[REASON] = entry->reason;
	cells[BY] = entry->by;
	cells[SINCE] = str_from_c(times->since);
	cells[UNTIL] = str_from_c(times->until);
	cells[SENDERS] = entry->scope;
}

void suppress_file_csv_heading(struct buf *out)
{
	buf_add(out, CSV_BOM);
	csv_add_row(out, names, COLUMN_COUNT);
}

void suppress_file_csv_row(struct buf *out, const struct suppression *entry)
{
	struct str cells[COLUMN_COUNT];
	struct times times;

	to_cells(entry, &times, cells);
	csv_add_row(out, cells, COLUMN_COUNT);
}

void suppress_file_json(struct json *json, const struct suppression *entry)
{
	struct str cells[COLUMN_COUNT];
	struct times times;

	to_cells(entry, &times, cells);
	json_object_open(json);
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		json_member_str_opt(json, names[i].ptr, cells[i]);
	json_object_close(json);
}

/* --- reading */

struct reading {
	const struct suppression *fallback;
	suppress_file_fn *fn;
	void *arg;
	struct arena arena;            /* of one row */
	size_t line;
};

static bool read_time(struct str text, bool is_end, int64_t *out_us)
{
	text = str_trim(text);
	return text.len == 0 || options_parse_time(text, clock_now_us(), is_end, out_us);
}

/* The senders, each as the gate writes it down. */
static bool read_scope(struct reading *r, struct str text, struct str *out)
{
	struct str one;
	struct buf all;
	bool ok = true;

	buf_init(&all, ROW_MEMORY);
	while (ok && str_next(&text, ' ', &one)) {
		ok = domain_spell(&r->arena, one, &one);
		if (all.len)
			buf_add_byte(&all, ' ');
		buf_add(&all, one);
	}
	ok = ok && !all.failed && arena_copy(&r->arena, buf_view(&all), out);
	buf_clear(&all);
	return ok;
}

/* NULL: an entry. */
static const char *from_cells(struct reading *r, const struct str cells[COLUMN_COUNT], struct suppression *out)
{
	struct err err;

	*out = *r->fallback;
	if (!address_parse_path(str_trim(cells[RECIPIENT]), &r->arena, &out->recipient, &err))
		return err.kind == ERR_BUSY ? "out of memory" : "no recipient's address";
	if (out->recipient.len == 0 || str_find_byte(out->recipient, '@') == out->recipient.len)
		return "no recipient's address";
	if (cells[SOURCE].len && !suppress_source_parse(cells[SOURCE], &out->source))
		return "source is none of bounce, complaint, unsubscribe, operator";
	if (!read_time(cells[SINCE], false, &out->since_us))
		return "since is no " DATES;
	if (!read_time(cells[UNTIL], true, &out->until_us))
		return "until is no " DATES;
	if (out->until_us && out->until_us <= clock_now_us())
		return "over already";
	if (cells[REASON].len)
		out->reason = cells[REASON];
	if (cells[BY].len)
		out->by = cells[BY];
	return read_scope(r, cells[SENDERS], &out->scope) ? NULL : "out of memory";
}

static bool give(struct reading *r, const struct str cells[COLUMN_COUNT])
{
	struct suppression entry;
	const char *why = from_cells(r, cells, &entry);

	return r->fn(r->arg, r->line, &entry, why);
}

/* --- JSON Lines */

static bool json_cells(struct reading *r, struct str line, struct str cells[COLUMN_COUNT])
{
	struct scan scan;
	struct str key, value;
	enum scan_step step;

	if (!scan_open(line, '{', &scan))
		return false;
	while ((step = scan_member(&scan, &key, &value)) == SCAN_ITEM)
		for (size_t i = 0; i < COLUMN_COUNT; i++)
			if (str_eq(key, names[i]) && !scan_string(value, &r->arena, &cells[i]))
				return false;
	return step == SCAN_END && str_trim(scan.rest).len == 0;
}

static bool read_json(struct reading *r, struct str text)
{
	struct str line;

	while (str_next(&text, '\n', &line)) {
		struct str cells[COLUMN_COUNT] = { 0 };

		r->line++;
		line = str_trim(line);
		arena_reset(&r->arena);
		if (line.len && !(json_cells(r, line, cells) ? give(r, cells) : r->fn(r->arg, r->line, NULL, "no JSON object of texts")))
			return false;
	}
	return true;
}

/* --- CSV */

/* Which cell of a row is which column; false: the row is no heading. */
static bool read_heading(const struct csv_row *row, size_t at[COLUMN_COUNT])
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		at[i] = CSV_CELLS_MAX;
		for (size_t j = 0; j < row->count; j++)
			if (str_eq_nocase(str_trim(row->cells[j]), names[i]))
				at[i] = j;
	}
	return at[RECIPIENT] < CSV_CELLS_MAX;
}

static bool is_blank(const struct csv_row *row)
{
	return row->count == 1 && !row->is_bad && str_trim(row->cells[0]).len == 0;
}

static bool give_row(struct reading *r, const struct csv_row *row, const size_t at[COLUMN_COUNT])
{
	struct str cells[COLUMN_COUNT] = { 0 };

	if (is_blank(row))
		return true;
	if (row->is_bad)
		return r->fn(r->arg, r->line, NULL, "a quote that does not end where its cell does");
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (at[i] < row->count)
			cells[i] = row->cells[at[i]];
	return give(r, cells);
}

static bool read_csv(struct reading *r, struct str text, struct err *err)
{
	size_t at[COLUMN_COUNT] = { [RECIPIENT] = 0 };
	struct csv_row row;
	bool is_first = true;

	for (size_t i = RECIPIENT + 1; i < COLUMN_COUNT; i++)
		at[i] = CSV_CELLS_MAX;
	r->line = 1;
	while (csv_next_row(&text, &r->arena, &row)) {
		size_t heading[COLUMN_COUNT];

		if (is_first && read_heading(&row, heading))
			memcpy(at, heading, sizeof at);
		else if (!give_row(r, &row, at))
			return true;
		is_first = false;
		r->line += row.lines;
		arena_reset(&r->arena);
	}
	return text.len == 0 || err_set(err, ERR_INPUT, "line %zu: a row of more than %zu octets", r->line, ROW_MEMORY);
}

bool suppress_file_read(struct str text, const struct suppression *fallback, suppress_file_fn *fn, void *arg, struct err *err)
{
	struct reading r = { .fallback = fallback, .fn = fn, .arg = arg };
	bool ok = true;

	if (str_starts(text, CSV_BOM))
		text = str_from(text, CSV_BOM.len);
	arena_init(&r.arena, ROW_MEMORY);
	if (str_starts(str_trim(text), STR("{")))
		read_json(&r, text);
	else
		ok = read_csv(&r, text, err);
	arena_clear(&r.arena);
	return ok;
}
