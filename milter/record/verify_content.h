/*
 * verify_content - is each record what sekisho-log(5) says a record is, and does no tenant miss one?
 *
 * The chain shows that lines are those which were committed; this looks into them. A file's `tenants` lines say with which
 * number each tenant goes on, so a file can be looked at by itself; the numbers at its end must be those at the head of the
 * next one. An erased line no longer says whose it was, so it excuses one missing number.
 *
 * Memory   the tenants of one file and one record, for as long as the file is looked at
 * Threads  one at a time for each
 */
#ifndef SEKISHO_RECORD_VERIFY_CONTENT_H
#define SEKISHO_RECORD_VERIFY_CONTENT_H

#include "milter/record/tseq.h"
#include "milter/record/verify_file.h"

struct verify_content {
	struct verify_file *file;
	struct arena arena;            /* one record */
	struct tseq tseq;
	int64_t missing;               /* numbers that were passed over */
	bool is_past_head;
};

void verify_content_begin(struct verify_content *content, struct verify_file *file);
/* Each line that is one, in order. */
void verify_content_take(struct verify_content *content, struct str text, int64_t offset, const struct record_link *link);
/* Fills the file's head_numbers and end_numbers. */
void verify_content_end(struct verify_content *content);

#endif
