#include "milter/record/tail.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/num.h"

#define FILE_MODE 0640
#define DIR_MODE 0750

static void close_file(struct tail *tail)
{
	if (tail->fd < 0)
		return;
	/* Preallocated blocks past the end go back; when this fails they are merely kept. */
	if (tail->allocated > tail->size && !tail->is_spoilt && flock(tail->lock_fd, LOCK_EX) == 0) {
		struct stat st;

		if (fstat(tail->fd, &st) != 0 || st.st_size != tail->size || io_calls.truncate(tail->fd, st.st_size) != 0)
			log_debug("%s: preallocated space is kept", tail->dir);
	}
	close(tail->fd);
	tail->fd = -1;
	tail->allocated = 0;
}

/* Whoever moves a file away, or puts another in its place, takes what is done to it out of the log. */
static bool is_in_place(const struct stat *st, const char *path)
{
	struct stat named;

	return stat(path, &named) == 0 && named.st_ino == st->st_ino && named.st_dev == st->st_dev;
}

static bool lock_path(const struct tail *tail, char out[PATH_MAX], struct err *err)
{
	return snprintf(out, PATH_MAX, "%s/.lock", tail->dir) < PATH_MAX || err_set(err, ERR_CONFIG, "%s: path too long", tail->dir);
}

/* Whatever number it holds, the files are looked at anew. */
static bool open_lock(struct tail *tail, struct err *err)
{
	char path[PATH_MAX];

	if (!lock_path(tail, path, err))
		return false;
	tail->generation[0] = '\0';
	tail->lock_fd = io_open(path, O_RDWR | O_CREAT, FILE_MODE, err);
	return tail->lock_fd >= 0;
}

bool tail_open(struct tail *tail, const char *dir, int64_t preallocate, struct err *err)
{
	*tail = (struct tail){ .lock_fd = -1, .fd = -1, .preallocate = preallocate };
	tseq_init(&tail->tseq);
	if (snprintf(tail->dir, sizeof tail->dir, "%s", dir) >= (int)sizeof tail->dir)
		return err_set(err, ERR_CONFIG, "%s: path too long", dir);
	if (!io_make_dirs(dir, DIR_MODE, err))
		return false;
	if (open_lock(tail, err))
		return true;
	tail_close(tail);
	return false;
}

void tail_close(struct tail *tail)
{
	close_file(tail);
	if (tail->lock_fd >= 0)
		close(tail->lock_fd);
	tail->lock_fd = -1;
	tseq_clear(&tail->tseq);
}

static bool read_generation(const struct tail *tail, char out[sizeof tail->generation], struct err *err)
{
	memset(out, '0', sizeof tail->generation);
	if (pread(tail->lock_fd, out, sizeof tail->generation, 0) < 0)
		return err_errno(err, ERR_BUSY, "read %s/.lock", tail->dir);
	return true;
}

/* Before the set of files changes, so that nobody who looks at the number goes on in an old file. */
bool tail_raise(struct tail *tail, struct err *err)
{
	uint64_t number = 0;
	char text[sizeof tail->generation + 1];

	if (!num_parse_u64(str_of(tail->generation, sizeof tail->generation), &number))
		number = 0;
	snprintf(text, sizeof text, "%020" PRIu64, number + 1);
	if (pwrite(tail->lock_fd, text, sizeof tail->generation, 0) != (ssize_t)sizeof tail->generation)
		return err_errno(err, ERR_BUSY, "write %s/.lock", tail->dir);
	memcpy(tail->generation, text, sizeof tail->generation);
	return true;
}

/* Others' work since we last looked, by what costs little to see. */
static bool look(struct tail *tail, struct err *err)
{
	char generation[sizeof tail->generation], path[PATH_MAX];
	struct stat st;

	if (!read_generation(tail, generation, err))
		return false;

	bool is_same = tail->fd >= 0 && memcmp(generation, tail->generation, sizeof generation) == 0;

	if (is_same && fstat(tail->fd, &st) != 0)
		return err_errno(err, ERR_BUSY, "%s", tail->dir);
	is_same = is_same && record_file_path(tail->dir, tail->file, path, NULL) && is_in_place(&st, path);
	if (is_same && (st.st_size == tail->size || tail->is_spoilt))
		return true;
	if (is_same && st.st_size > tail->size)
		return tail_follow(tail, st.st_size, err);
	close_file(tail);
	memcpy(tail->generation, generation, sizeof generation);
	if (tail_load(tail, err))
		return true;
	tail->generation[0] = '\0';                 /* once more next time */
	return false;
}

/* Where somebody removed the lock file, others lock the one that was made since: so do we. */
static bool take_lock(struct tail *tail, struct err *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!lock_path(tail, path, err))
		return false;
	for (;;) {
		int r;

		if (tail->lock_fd < 0 && !open_lock(tail, err))
			return false;
		do
			r = flock(tail->lock_fd, LOCK_EX);
		while (r != 0 && errno == EINTR);
		if (r != 0 || fstat(tail->lock_fd, &st) != 0)
			return err_errno(err, ERR_BUSY, "lock %s", path);
		if (is_in_place(&st, path))
			return true;
		close(tail->lock_fd);
		tail->lock_fd = -1;
	}
}

bool tail_lock(struct tail *tail, struct err *err)
{
	if (!take_lock(tail, err))
		return false;
	if (look(tail, err))
		return true;
	tail_unlock(tail);
	return false;
}

void tail_unlock(struct tail *tail)
{
	flock(tail->lock_fd, LOCK_UN);
}

static void go_past(const struct record_file *file, int64_t day, int64_t *part)
{
	if (file->day == day && file->part >= *part)
		*part = file->part + 1;
}

/* Past the parts that are there, and past the one that the new file continues, should somebody have removed that. */
static bool next_part(const struct tail *tail, int64_t day, int64_t *out_part, struct err *err)
{
	struct record_file *files = NULL;
	size_t count = 0;
	int64_t part = 1;

	if (!record_files_list(tail->dir, &files, &count, err))
		return false;
	for (size_t i = 0; i < count; i++)
		go_past(&files[i], day, &part);
	free(files);
	go_past(tail->size > 0 ? &tail->file : &tail->before, day, &part);
	*out_part = part;
	return part <= RECORD_PART_MAX || err_set(err, ERR_BUSY, "%s: too many parts in one day", tail->dir);
}

bool tail_new_file(struct tail *tail, int64_t day, struct err *err)
{
	struct record_file file = { .day = day };
	char path[PATH_MAX];

	if (!next_part(tail, day, &file.part, err) || !record_file_path(tail->dir, file, path, err) ||
	    !tail_raise(tail, err))
		return false;

	int fd = io_open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, FILE_MODE, err);

	if (fd < 0)
		return false;
	if (!io_sync_dir_of(path, err)) {
		close(fd);
		io_calls.unlink(path);
		return false;
	}
	if (tail->file.part && tail->size > 0) {
		tail->before = tail->file;
		tail->before_end = tail->size;
	}
	close_file(tail);
	tail->fd = fd;
	tail->file = file;
	tail->size = tail->allocated = 0;
	tail->is_spoilt = tail->has_rest = false;
	return true;
}

static void preallocate(struct tail *tail, int64_t need)
{
	if (tail->preallocate <= 0 || need <= tail->allocated)
		return;

	int64_t step = need - tail->size > tail->preallocate ? need - tail->size : tail->preallocate;

	if (io_calls.allocate(tail->fd, tail->size, step) == 0)
		tail->allocated = tail->size + step;
	else if (errno == EOPNOTSUPP || errno == ENOSYS)
		tail->preallocate = 0;              /* a file system without it: every write finds its own room */
}

/* Nothing of a failed append may be taken for a record later. */
static void take_back(struct tail *tail)
{
	if (io_calls.truncate(tail->fd, tail->size) != 0)
		tail->is_spoilt = tail->has_rest = true;
	tail->allocated = tail->size;
}

/* The disk may hold some of the lines, or will: this file is left as it is, and removed when it had nothing else. */
static void spoil(struct tail *tail)
{
	char path[PATH_MAX];

	tail->is_spoilt = true;
	if (tail->size == 0 && record_file_path(tail->dir, tail->file, path, NULL))
		io_calls.unlink(path);
}

enum tail_result tail_append(struct tail *tail, struct str lines, struct err *err)
{
	char name[RECORD_NAME_MAX];

	assert(tail->fd >= 0 && !tail->is_spoilt);
	record_file_name(tail->file, name);
	preallocate(tail, tail->size + (int64_t)lines.len);
	if (!io_write_all(tail->fd, lines, name, err)) {
		take_back(tail);
		return TAIL_WRITE_FAILED;
	}
	if (!io_sync(tail->fd, name, err)) {
		take_back(tail);
		spoil(tail);
		return TAIL_SYNC_FAILED;
	}
	tail->size += (int64_t)lines.len;
	return TAIL_OK;
}
