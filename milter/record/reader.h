/*
 * reader - walk the relay log's lines in order, over days and parts.
 *
 * Files of one class directory in order of day and part. What is no whole line (a torn tail, one over RECORD_LINE_MAX) is
 * given as such, garbage as the line it is; nothing is skipped in silence, with one exception: what a failed commit
 * left in a file behind its valid end, as the next part's `begin` line states it, is no part of the log. Writers may append
 * meanwhile: what is there when a file is reached is read.
 */
#ifndef SEKISHO_RECORD_READER_H
#define SEKISHO_RECORD_READER_H

#include "milter/record/files.h"
#include "milter/record/lines.h"

struct record_reader;

/* Where the valid text of a file of `size` octets ends: by the word of `next`, when there is one and it is a part of the same
 * day. */
bool record_file_end(const char *dir, struct record_file file, const struct record_file *next, int64_t size, int64_t *out,
		     struct err *err);

/* Days first..last inclusive (JST days). `from_end`: newest line first. */
bool record_reader_open(struct str dir, int64_t first_day, int64_t last_day, bool from_end, struct record_reader **out,
			struct err *err);
void record_reader_close(struct record_reader *reader);

/* The next line without its newline; it lives until the next call. *out_found false at the end. *out_is_torn: no whole
 * line, see lines.h. */
bool record_reader_next(struct record_reader *reader, struct str *out_line, bool *out_is_torn, bool *out_found,
			struct err *err);
/* Of the line just given. */
const char *record_reader_file(const struct record_reader *reader);

#endif
