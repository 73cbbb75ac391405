/*
 * tseq - each tenant's own gap-free sequence number: the last one given, by tenant.
 *
 * Memory   the name and some forty octets a tenant that ever had a record, on the heap
 * Errors   SIZE_MAX when memory is out
 * Threads  one at a time
 */
#ifndef SEKISHO_RECORD_TSEQ_H
#define SEKISHO_RECORD_TSEQ_H

#include "config/base/arena.h"

struct tseq_row {
	struct str tenant;
	int64_t last;
};

struct tseq {
	struct arena names;
	struct tseq_row *rows;         /* in order of first appearance */
	size_t count, room;
	uint32_t *slots;               /* row + 1, 0 empty; a power of two of them */
	size_t slot_count;
};

void tseq_init(struct tseq *tseq);
void tseq_clear(struct tseq *tseq);
/* The tenant's row, made with last 0 when it is new. Stays valid. */
size_t tseq_row(struct tseq *tseq, struct str tenant);

#endif
