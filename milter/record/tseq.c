#include "milter/record/tseq.h"

#include <stdlib.h>

#include "config/base/memory.h"

#define NAMES_MAX ((size_t)1 << 30)

void tseq_init(struct tseq *tseq)
{
	*tseq = (struct tseq){ 0 };
	arena_init(&tseq->names, NAMES_MAX);
}

void tseq_clear(struct tseq *tseq)
{
	arena_clear(&tseq->names);
	free(tseq->rows);
	free(tseq->slots);
	tseq_init(tseq);
}

static uint32_t *find_slot(const struct tseq *tseq, struct str tenant)
{
	size_t at = (size_t)str_hash(tenant) & (tseq->slot_count - 1);

	while (tseq->slots[at] && !str_eq(tseq->rows[tseq->slots[at] - 1].tenant, tenant))
		at = (at + 1) & (tseq->slot_count - 1);
	return &tseq->slots[at];
}

/* Rows and twice as many slots, so that a search soon meets an empty one. */
static bool grow(struct tseq *tseq)
{
	size_t room = tseq->room ? tseq->room * 2 : 64;
	uint32_t *slots = calloc(room * 2, sizeof *slots);
	struct tseq_row *rows = slots ? reallocarray(tseq->rows, room, sizeof *rows) : NULL;

	if (!rows) {
		memory_ran_out();
		free(slots);
		return false;
	}
	free(tseq->slots);
	tseq->rows = rows;
	tseq->room = room;
	tseq->slots = slots;
	tseq->slot_count = room * 2;
	for (size_t i = 0; i < tseq->count; i++)
		*find_slot(tseq, rows[i].tenant) = (uint32_t)i + 1;
	return true;
}

size_t tseq_row(struct tseq *tseq, struct str tenant)
{
	if (tseq->count == tseq->room && !grow(tseq))
		return SIZE_MAX;

	uint32_t *slot = find_slot(tseq, tenant);

	if (*slot == 0) {
		struct tseq_row row = { 0 };

		if (!arena_copy(&tseq->names, tenant, &row.tenant))
			return SIZE_MAX;
		tseq->rows[tseq->count++] = row;
		*slot = (uint32_t)tseq->count;
	}
	return *slot - 1;
}
