#include "milter/record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/entry.h"
#include "milter/record/files.h"
#include "milter/record/scan.h"

struct record_reader {
	char dir[PATH_MAX], path[PATH_MAX];
	struct record_file *files;     /* those of the days asked for */
	size_t count, next;            /* next: how many were opened already */
	bool is_backward;
	int fd;
	struct lines lines;
	char name[RECORD_NAME_MAX];
};

static void keep_days(struct record_reader *reader, int64_t first_day, int64_t last_day)
{
	size_t kept = 0;

	for (size_t i = 0; i < reader->count; i++)
		if (reader->files[i].day >= first_day && reader->files[i].day <= last_day)
			reader->files[kept++] = reader->files[i];
	reader->count = kept;
}

bool record_reader_open(struct str dir, int64_t first_day, int64_t last_day, bool from_end, struct record_reader **out,
			struct err *err)
{
	struct record_reader *reader = calloc(1, sizeof *reader);

	if (!reader)
		return err_memory(err);
	reader->fd = -1;
	reader->is_backward = from_end;
	if (dir.len >= sizeof reader->dir) {
		free(reader);
		return err_set(err, ERR_INPUT, "the directory's path is too long");
	}
	memcpy(reader->dir, dir.ptr, dir.len);
	if (!record_files_list(reader->dir, &reader->files, &reader->count, err)) {
		free(reader);
		return false;
	}
	keep_days(reader, first_day, last_day);
	*out = reader;
	return true;
}

static void close_file(struct record_reader *reader)
{
	if (reader->fd < 0)
		return;
	lines_close(&reader->lines);
	close(reader->fd);
	reader->fd = -1;
}

void record_reader_close(struct record_reader *reader)
{
	if (!reader)
		return;
	close_file(reader);
	free(reader->files);
	free(reader);
}

static bool read_begin(const struct line *line, struct str name, struct begin_entry *out)
{
	struct record_link link;
	struct str detail;

	return line->is_whole && record_parse_link(line->text, &link) && str_eq(link.event, STR("begin")) &&
	       scan_find(line->text, STR("detail"), &detail) && begin_entry_read(detail, out) && str_eq(out->previous, name);
}

/* Purged since it was listed: then the file is older still, and goes too. */
bool record_file_end(const char *dir, struct record_file file, const struct record_file *next, int64_t size, int64_t *out,
		     struct err *err)
{
	char path[PATH_MAX], name[RECORD_NAME_MAX];
	struct begin_entry begin;
	struct lines lines;
	struct line line;
	bool found = false;

	*out = size;
	if (!next || next->day != file.day)
		return true;
	if (!record_file_path(dir, *next, path, err))
		return false;

	int fd = record_file_open(path, O_RDONLY, err);

	if (fd < 0)
		return errno == ENOENT;
	record_file_name(file, name);
	bool ok = lines_open(&lines, fd, path, 0, INT64_MAX, err);

	if (ok) {
		ok = lines_next(&lines, &line, &found, err);
		if (ok && found && read_begin(&line, str_from_c(name), &begin) && begin.end < size)
			*out = begin.end;
		lines_close(&lines);
	}
	close(fd);
	return ok;
}

static bool open_file(struct record_reader *reader, size_t at, struct err *err)
{
	const struct record_file *later = at + 1 < reader->count ? &reader->files[at + 1] : NULL;
	struct stat st;
	int64_t end;

	if (!record_file_path(reader->dir, reader->files[at], reader->path, err))
		return false;
	reader->fd = record_file_open(reader->path, O_RDONLY, err);
	if (reader->fd < 0)                         /* purged since it was listed: that is what a purge is */
		return errno == ENOENT;

	bool ok = fstat(reader->fd, &st) == 0 || err_errno(err, ERR_BUSY, "%s", reader->path);

	ok = ok && record_file_end(reader->dir, reader->files[at], later, st.st_size, &end, err);
	record_file_name(reader->files[at], reader->name);
	ok = ok && (reader->is_backward ? lines_open_backward(&reader->lines, reader->fd, reader->path, end, err)
					: lines_open(&reader->lines, reader->fd, reader->path, 0, end, err));
	if (!ok) {
		close(reader->fd);
		reader->fd = -1;
	}
	return ok;
}

bool record_reader_next(struct record_reader *reader, struct str *out_line, bool *out_is_torn, bool *out_found,
			struct err *err)
{
	struct line line;

	for (;;) {
		if (reader->fd >= 0) {
			if (!lines_next(&reader->lines, &line, out_found, err))
				return false;
			if (*out_found)
				break;
			close_file(reader);
		}
		*out_found = false;
		if (reader->next == reader->count)
			return true;

		size_t at = reader->is_backward ? reader->count - 1 - reader->next : reader->next;

		reader->next++;
		if (!open_file(reader, at, err))
			return false;
	}
	*out_line = line.text;
	*out_is_torn = !line.is_whole;
	return true;
}

const char *record_reader_file(const struct record_reader *reader)
{
	return reader->name;
}
