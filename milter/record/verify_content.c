#include "milter/record/verify_content.h"

#include <inttypes.h>

#include "milter/record/scan.h"

#define RECORD_ARENA_MAX (8 * RECORD_LINE_MAX)

void verify_content_begin(struct verify_content *content, struct verify_file *file)
{
	*content = (struct verify_content){ .file = file };
	arena_init(&content->arena, RECORD_ARENA_MAX);
	tseq_init(&content->tseq);
}

/* One number for all tenants' numbers, whatever their order. Never 0, which means not known. */
static uint64_t sum_up(const struct tseq *tseq)
{
	uint64_t sum = 1;

	for (size_t i = 0; i < tseq->count; i++) {
		uint64_t one = str_hash(tseq->rows[i].tenant) ^
			       (uint64_t)tseq->rows[i].last * UINT64_C(0x9e3779b97f4a7c15);

		one ^= one >> 29;
		sum += one * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return sum ? sum : 1;
}

static struct tseq_row *find_row(struct verify_content *content, struct str tenant)
{
	size_t row = tseq_row(&content->tseq, tenant);

	if (row != SIZE_MAX)
		return &content->tseq.rows[row];
	verify_file_find(content->file, VERIFY_UNKNOWN, -1, -1, "out of memory for tenants' numbers");
	return NULL;
}

static bool take_tenants(struct verify_content *content, struct str detail)
{
	struct str numbers, key, value, tenant;
	struct scan scan;
	enum scan_step step;

	if (!scan_find(detail, STR("tseq"), &numbers) || !scan_open(numbers, '{', &scan))
		return false;
	while ((step = scan_member(&scan, &key, &value)) == SCAN_ITEM) {
		/* With its quotes it is a value again, which scan_string takes the escapes out of. */
		struct str quoted = str_of(key.ptr - 1, key.len + 2);
		struct tseq_row *row;
		int64_t last;

		if (!scan_string(quoted, &content->arena, &tenant) || !scan_i64(value, &last))
			return false;
		row = find_row(content, tenant);
		if (row)
			row->last = last;
	}
	return step == SCAN_END;
}

static void take_number(struct verify_content *content, int64_t offset, const struct record_line *record)
{
	struct tseq_row *row = record->event.tenant.len && record->stamp.tseq ? find_row(content, record->event.tenant) : NULL;

	if (!row)
		return;
	if (record->stamp.tseq <= row->last)
		verify_file_find(content->file, VERIFY_TAMPERED, offset, record->stamp.seq, "number %" PRId64 " of tenant " STR_FMT
				 " after its number %" PRId64, record->stamp.tseq, STR_ARG(str_slice(row->tenant, 0, 64)), row->last);
	else
		content->missing += record->stamp.tseq - row->last - 1;
	row->last = record->stamp.tseq;
}

void verify_content_take(struct verify_content *content, struct str text, int64_t offset, const struct record_link *link)
{
	struct record_line record;
	struct err err;

	if (link->leaf_text.len == 0)               /* erased: it says nothing */
		return;
	arena_reset(&content->arena);
	if (!record_parse(text, &content->arena, &record, &err)) {
		verify_file_find(content->file, VERIFY_TAMPERED, offset, link->seq,
				 "no record as sekisho-log(5) has it: %s", err.text);
		return;
	}
	if (str_eq(record.event.event, STR("begin")))
		return;
	if (str_eq(record.event.event, STR("tenants"))) {
		if (content->is_past_head || !take_tenants(content, record.event.detail))
			verify_file_find(content->file, VERIFY_TAMPERED, offset, link->seq, "tenants' numbers that cannot be read, or not at "
					 "the head of the file");
		return;
	}
	if (!content->is_past_head)
		content->file->head_numbers = sum_up(&content->tseq);
	content->is_past_head = true;
	take_number(content, offset, &record);
}

void verify_content_end(struct verify_content *content)
{
	struct verify_file *file = content->file;

	if (!content->is_past_head)
		file->head_numbers = sum_up(&content->tseq);
	if (file->erased == 0)
		file->end_numbers = sum_up(&content->tseq);
	if (content->missing > file->erased)
		verify_file_find(file, VERIFY_TAMPERED, -1, -1, "%" PRId64 " numbers of tenants are missing, and %" PRId64
				 " records were erased", content->missing, file->erased);
	tseq_clear(&content->tseq);
	arena_clear(&content->arena);
}
