#include "milter/maillog_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/num.h"

#define BUFFER_SIZE ((size_t)4 * MAILLOG_LINE_MAX)

struct maillog_file {
	char path[PATH_MAX];
	int fd;                        /* -1: there is no file yet */
	uint64_t inode;
	int64_t begin;                 /* in the file: of what the buffer holds */
	uint64_t print;
	int64_t print_len;
	bool is_skipping;              /* in the rest of a line that is too long */
	size_t at, len;                /* of the buffer: next line, end */
	char buffer[BUFFER_SIZE];
};

/* The first octets, as many as there are up to `most`. */
static bool read_print(int fd, int64_t most, uint64_t *out_print, int64_t *out_len)
{
	char first[MAILLOG_PRINT_MAX];
	ssize_t n = pread(fd, first, most < MAILLOG_PRINT_MAX ? (size_t)most : MAILLOG_PRINT_MAX, 0);

	if (n < 0)
		return false;
	*out_print = str_hash(str_of(first, (size_t)n));
	*out_len = n;
	return true;
}

/* False: it cannot be read. */
static bool has_print(int fd, uint64_t print, int64_t len, bool *out)
{
	uint64_t now;
	int64_t now_len;

	if (!read_print(fd, len, &now, &now_len))
		return false;
	*out = now_len == len && now == print;
	return true;
}

static void begin_at(struct maillog_file *file, int64_t offset)
{
	file->begin = offset;
	file->at = file->len = 0;
	file->is_skipping = false;
	file->print_len = 0;
}

static void take_fd(struct maillog_file *file, int fd, int64_t offset)
{
	struct stat st;

	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
	file->inode = fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
	begin_at(file, offset);
}

/* A log that is not there yet is no error: the MTA has not written. */
static bool open_path(struct maillog_file *file, struct err *err)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", file->path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(err, ERR_CONFIG, "%s is no plain file", file->path);
	}
	take_fd(file, fd, 0);
	return true;
}

/* --- finding a position again */

/* The log's directory, and its name there. *out_dir NULL: it is not there, or not for us to list; no file beside the log is known. */
static bool open_folder(const struct maillog_file *file, DIR **out_dir, struct str *out_base, struct err *err)
{
	struct str folder;
	char name[PATH_MAX];

	*out_dir = NULL;
	if (!str_cut_last(str_from_c(file->path), '/', &folder, out_base))
		return true;
	snprintf(name, sizeof name, STR_FMT, STR_ARG(folder.len ? folder : STR("/")));
	*out_dir = opendir(name);
	return *out_dir || errno == ENOENT || errno == EACCES || err_errno(err, ERR_BUSY, "%s", name);
}

/* The next whose name begins with `base`. *out NULL: there is none. */
static bool next_entry(DIR *dir, struct str base, const struct dirent **out, struct err *err)
{
	do {
		errno = 0;
		*out = readdir(dir);
	} while (*out && !str_starts(str_from_c((*out)->d_name), base));
	return *out || errno == 0 || err_errno(err, ERR_BUSY, "the directory of " STR_FMT, STR_ARG(base));
}

/* What is in errno of a name beside the log: gone since, a link to nothing, or not for us. It will be no other later. */
static bool is_nothing(void)
{
	return errno == ENOENT || errno == ELOOP || errno == EACCES || errno == ENXIO;
}

/* *out_fd -1: it is nothing. */
static bool open_entry(DIR *dir, const char *name, int *out_fd, struct err *err)
{
	*out_fd = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return *out_fd >= 0 || is_nothing() || err_errno(err, ERR_BUSY, "%s", name);
}

static bool is_position(int fd, const struct maillog_position *from, bool *out)
{
	struct stat st;

	*out = false;
	if (fstat(fd, &st) != 0)
		return false;
	return !S_ISREG(st.st_mode) || (uint64_t)st.st_ino != from->inode || st.st_size < from->offset ||
	       has_print(fd, from->print, from->print_len, out);
}

static bool try_entry(struct maillog_file *file, const struct maillog_position *from, DIR *dir, const char *name, bool *out_found,
		      struct err *err)
{
	bool ok;
	int fd;

	if (!open_entry(dir, name, &fd, err))
		return false;
	if (fd < 0)
		return true;
	ok = is_position(fd, from, out_found) || err_errno(err, ERR_BUSY, "%s", name);
	if (*out_found)
		take_fd(file, fd, from->offset);
	else
		close(fd);
	return ok;
}

static bool look_for(struct maillog_file *file, const struct maillog_position *from, DIR *dir, struct str base, bool *out_found,
		     struct err *err)
{
	const struct dirent *entry;

	while (next_entry(dir, base, &entry, err)) {
		if (!entry)
			return true;
		if ((uint64_t)entry->d_ino == from->inode)
			return try_entry(file, from, dir, entry->d_name, out_found, err);
	}
	return false;
}

static bool find_again(struct maillog_file *file, const struct maillog_position *from, bool *out_found, struct err *err)
{
	struct str base;
	DIR *dir;
	bool ok;

	*out_found = false;
	if (!from || from->print_len <= 0)
		return true;
	if (!open_folder(file, &dir, &base, err))
		return false;
	ok = !dir || look_for(file, from, dir, base, out_found, err);
	if (dir)
		closedir(dir);
	return ok;
}

bool maillog_file_open(struct str path, const struct maillog_position *from, struct maillog_file **out, bool *out_is_found,
		       struct err *err)
{
	struct maillog_file *file;

	if (path.len >= PATH_MAX)
		return err_set(err, ERR_CONFIG, "the log's path is too long");
	file = calloc(1, sizeof *file);
	if (!file)
		return err_memory(err);
	file->fd = -1;
	memcpy(file->path, path.ptr, path.len);
	if (!find_again(file, from, out_is_found, err) || (!*out_is_found && !open_path(file, err))) {
		maillog_file_close(file);
		return false;
	}
	*out = file;
	return true;
}

void maillog_file_close(struct maillog_file *file)
{
	if (file && file->fd >= 0)
		close(file->fd);
	free(file);
}

/* --- reading */

/* Room behind what waits; a line that fills all of it is cut and its rest skipped. */
static bool fill(struct maillog_file *file, size_t *out_n, struct err *err)
{
	bool is_same = true;
	ssize_t n;

	/* Truncated and grown again beyond where we were: only its beginning tells. */
	if (file->print_len && !has_print(file->fd, file->print, file->print_len, &is_same))
		return err_errno(err, ERR_BUSY, "%s", file->path);
	if (!is_same)
		begin_at(file, 0);
	if (file->at) {
		memmove(file->buffer, file->buffer + file->at, file->len - file->at);
		file->begin += (int64_t)file->at;
		file->len -= file->at;
		file->at = 0;
	}
	do
		n = pread(file->fd, file->buffer + file->len, BUFFER_SIZE - file->len, file->begin + (int64_t)file->len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, ERR_BUSY, "%s", file->path);
	file->len += (size_t)n;
	*out_n = (size_t)n;
	return true;
}

/* A line out of the buffer. */
static bool take_line(struct maillog_file *file, struct str *out)
{
	for (;;) {
		struct str rest = str_of(file->buffer + file->at, file->len - file->at);
		size_t n = str_find_byte(rest, '\n');
		bool was_skipping = file->is_skipping;

		if (n == rest.len) {
			if (n <= MAILLOG_LINE_MAX)
				return false;
			/* What came so far is the line; whatever follows up to its end is not. */
			file->at += n;
			file->is_skipping = true;
			*out = str_slice(rest, 0, MAILLOG_LINE_MAX);
			if (!was_skipping)
				return true;
			continue;
		}
		file->at += n + 1;
		file->is_skipping = false;
		if (was_skipping)
			continue;
		*out = str_slice(rest, 0, n < MAILLOG_LINE_MAX ? n : MAILLOG_LINE_MAX);
		return true;
	}
}

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/* "mail.log.1", "mail.log-20261121": what logrotate(8) makes of a log, and has not compressed. */
static bool is_rotated(struct str name, struct str base)
{
	struct str rest = str_from(name, base.len);

	if (!str_starts(name, base) || rest.len < 2 || (rest.ptr[0] != '.' && rest.ptr[0] != '-'))
		return false;
	for (size_t i = 1; i < rest.len; i++)
		if (!ascii_is_digit(rest.ptr[i]) && rest.ptr[i] != '-')
			return false;
	return true;
}

/* The name of the first that was written after this one and is not `newest`; empty: there is none. */
static bool choose_between(DIR *dir, struct str base, struct timespec written, uint64_t newest, char out[NAME_MAX + 1],
			   struct err *err)
{
	struct timespec best = { 0 };
	const struct dirent *entry;
	struct stat st;

	out[0] = '\0';
	while (next_entry(dir, base, &entry, err)) {
		if (!entry)
			return true;
		if (!is_rotated(str_from_c(entry->d_name), base))
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 || faccessat(dirfd(dir), entry->d_name, R_OK, AT_EACCESS) != 0) {
			if (is_nothing())
				continue;
			return err_errno(err, ERR_BUSY, "%s", entry->d_name);
		}
		if (S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_ino != newest && is_later(st.st_mtim, written) &&
		    (!out[0] || is_later(best, st.st_mtim))) {
			best = st.st_mtim;
			snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
		}
	}
	return false;
}

/* What was written after this one: a file between, where the log was rotated more than once since, or the log itself. */
static bool open_after(struct maillog_file *file, struct timespec written, uint64_t newest, struct err *err)
{
	char name[NAME_MAX + 1] = "";
	struct str base;
	DIR *dir;
	bool ok;
	int fd = -1;

	if (!open_folder(file, &dir, &base, err))
		return false;
	ok = !dir || (choose_between(dir, base, written, newest, name, err) && (!name[0] || open_entry(dir, name, &fd, err)));
	if (dir)
		closedir(dir);
	if (fd >= 0)
		take_fd(file, fd, 0);
	return ok && (fd >= 0 || open_path(file, err));
}

/* At the end of what there is: is it still the same file, and still the one with that path? *out_more: read on. */
static bool look_around(struct maillog_file *file, bool *out_more, struct err *err)
{
	struct stat here, there;
	int64_t end = file->begin + (int64_t)file->len;
	/* Asked first: once the new file has something in it, the old one has all that it will have. Until then it may still be
	 * written: the writers have not opened the new one yet. */
	bool is_over = stat(file->path, &there) == 0 && (uint64_t)there.st_ino != file->inode && there.st_size > 0;

	*out_more = false;
	if (fstat(file->fd, &here) != 0)
		return err_errno(err, ERR_BUSY, "%s", file->path);
	if (here.st_size < end) {
		begin_at(file, 0);
		*out_more = here.st_size > 0;
		return true;
	}
	*out_more = is_over;
	return !is_over || here.st_size > end || open_after(file, here.st_mtim, (uint64_t)there.st_ino, err);
}

bool maillog_file_next(struct maillog_file *file, struct str *out_line, bool *out_found, struct err *err)
{
	bool more = true;
	size_t n = 0;

	*out_found = false;
	if (file->fd < 0 && !open_path(file, err))
		return false;
	while (file->fd >= 0 && !(*out_found = take_line(file, out_line))) {
		if (!fill(file, &n, err))
			return false;
		if (n == 0 && !look_around(file, &more, err))
			return false;
		if (n == 0 && !more)
			return true;
	}
	return true;
}

/* --- position */

void maillog_file_position(struct maillog_file *file, struct maillog_position *out)
{
	int64_t offset = file->begin + (int64_t)file->at;

	/* Known by octets that have been read: others may still be being written. */
	if (file->fd >= 0 && file->print_len < MAILLOG_PRINT_MAX && file->print_len < offset &&
	    !read_print(file->fd, offset, &file->print, &file->print_len))
		file->print_len = 0;
	*out = (struct maillog_position){ .inode = file->inode, .offset = offset, .print = file->print,
					  .print_len = file->print_len };
}

int64_t maillog_file_behind(const struct maillog_file *file)
{
	struct stat here, there;
	int64_t behind = 0;

	if (file->fd < 0 || fstat(file->fd, &here) != 0)
		return 0;
	behind = (int64_t)here.st_size - file->begin - (int64_t)file->at;
	if (stat(file->path, &there) == 0 && (uint64_t)there.st_ino != file->inode)
		behind += (int64_t)there.st_size;
	return behind > 0 ? behind : 0;
}

void maillog_position_format(const struct maillog_position *p, struct buf *out)
{
	buf_printf(out, "1 %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRId64, p->inode, p->offset, p->print, p->print_len);
}

bool maillog_position_parse(struct str text, struct maillog_position *out)
{
	struct maillog_position p;
	struct str piece[5];

	for (size_t i = 0; i < 5; i++)
		if (!str_next(&text, ' ', &piece[i]))
			return false;
	if (text.len || !str_eq(piece[0], STR("1")) || !num_parse_u64(piece[1], &p.inode) || !num_parse_i64(piece[2], &p.offset) ||
	    !num_parse_u64(piece[3], &p.print) || !num_parse_i64(piece[4], &p.print_len) ||
	    p.offset < 0 || p.print_len < 0 || p.print_len > MAILLOG_PRINT_MAX)
		return false;
	*out = p;
	return true;
}

/* --- as a source */

static bool source_open(struct str where, struct str position, void **out, bool *out_is_found, struct err *err)
{
	struct maillog_position from;
	struct maillog_file *file;

	if (!maillog_file_open(where, maillog_position_parse(position, &from) ? &from : NULL, &file, out_is_found, err))
		return false;
	*out = file;
	return true;
}

static void source_close(void *source)
{
	maillog_file_close(source);
}

static bool source_next(void *source, struct str *out_line, bool *out_found, struct err *err)
{
	return maillog_file_next(source, out_line, out_found, err);
}

static void source_position(void *source, struct buf *out)
{
	struct maillog_position position;

	maillog_file_position(source, &position);
	maillog_position_format(&position, out);
}

static int64_t source_behind(const void *source)
{
	return maillog_file_behind(source);
}

const struct maillog_source_ops maillog_source_file = {
	.open = source_open,
	.close = source_close,
	.next = source_next,
	.position = source_position,
	.behind = source_behind,
};
