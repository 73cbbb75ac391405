/*
 * files - the names in a class directory: YYYY-MM-DD.jsonl, YYYY-MM-DD.2.jsonl, ...
 *
 * The day is the JST day of the commit. A day has one file unless one of them may not be continued; then parts follow,
 * counted from 2. Other names in the directory (.lock, editors' leftovers) are nobody's business here.
 */
#ifndef SEKISHO_RECORD_FILES_H
#define SEKISHO_RECORD_FILES_H

#include <limits.h>
#include <sys/stat.h>

#include "config/base/err.h"
#include "config/base/str.h"

#define RECORD_NAME_MAX 40
#define RECORD_PART_MAX 999999

struct record_file {
	int64_t day;
	int64_t part;                  /* from 1 */
};

/* "" for a file of part 0: none. */
void record_file_name(struct record_file file, char out[RECORD_NAME_MAX]);
/* Only what record_file_name writes. */
bool record_file_parse(struct str name, struct record_file *out);
/* Order of day, then part. */
int record_file_cmp(const struct record_file *a, const struct record_file *b);
/* dir/name; a path that is too long is an error. */
bool record_file_path(const char *dir, struct record_file file, char out[PATH_MAX], struct err *err);

/* `dir` without slashes at its end, and the last part of that: the class. */
bool record_class_dir(struct str dir, char out[PATH_MAX], struct str *out_class, struct err *err);

/* Opens what stands there under a file's name; -1, errno kept, when it cannot be or is no file. A FIFO would keep who opens it waiting
 * until somebody writes. */
int record_file_open(const char *path, int flags, struct err *err);

/* All files of a class directory in order; the caller frees *out (NULL when there are none). */
bool record_files_list(const char *dir, struct record_file **out, size_t *out_count, struct err *err);

/*
 * The class as of one moment: nobody writes while it is taken (a shared flock on CLASS/.lock), so that each file ends with a
 * whole group. Whoever reads up to st_size of the file st_ino sees what stood there then, however long that takes; a file that
 * has another st_ino by then, or is gone, was erased in or purged: begin again. Without a lock file that can be opened (a copy
 * elsewhere, a class that was never written to) it is what stands there.
 */
struct record_moment {
	struct record_file *files;
	struct stat *stats;            /* all zero: could not be had; of a link to nothing: the link's */
	size_t count;
};
#define RECORD_MOMENT_TRIES 5                       /* so often it is worth while to begin again */
bool record_moment_take(const char *dir, struct record_moment *out, struct err *err);
void record_moment_clear(struct record_moment *moment);

#endif
