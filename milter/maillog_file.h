/*
 * maillog_file - the lines of a log that others write, rotate and truncate meanwhile.
 *
 * Renamed   (rename and create): the old file is read to its end, and left when the new one has something in it
 * Often     rotated more than once meanwhile: what lies between, under names as logrotate(8) gives them and not compressed, is
 *           read in the order in which it was written
 * Truncated (copytruncate): shorter than what was read, or beginning otherwise: read anew from its beginning
 * Restart   a position names the file by inode and by its first octets; it may have another name by then, so all plain
 *           files beside the log whose name begins with the log's are looked at
 *
 * Bounds   MAILLOG_LINE_MAX octets a line; of a longer one the rest is left out
 * Errors   ERR_BUSY: the file cannot be read; it is tried again with the next call
 * Threads  one
 */
#ifndef SEKISHO_MAILLOG_FILE_H
#define SEKISHO_MAILLOG_FILE_H

#include "milter/maillog_source.h"

#define MAILLOG_PRINT_MAX 256          /* first octets, by which a file is known again */

struct maillog_position {
	uint64_t inode;
	int64_t offset;                /* of the first octet that was not given yet */
	uint64_t print;                /* hash of the first print_len octets */
	int64_t print_len;             /* 0: nothing is known */
};

struct maillog_file;

/* `from` NULL or not to be found again: the beginning of what has that path now (*out_is_found says which). */
bool maillog_file_open(struct str path, const struct maillog_position *from, struct maillog_file **out, bool *out_is_found,
		       struct err *err);
void maillog_file_close(struct maillog_file *file);                    /* NULL is fine */

/* The next whole line without its end; it lives until the next call. *out_found false: there is none yet. */
bool maillog_file_next(struct maillog_file *file, struct str *out_line, bool *out_found, struct err *err);
void maillog_file_position(struct maillog_file *file, struct maillog_position *out);
/* Octets that wait to be read. */
int64_t maillog_file_behind(const struct maillog_file *file);

/* In one line of text; a text that is none has no position. */
void maillog_position_format(const struct maillog_position *position, struct buf *out);
bool maillog_position_parse(struct str text, struct maillog_position *out);

#endif
