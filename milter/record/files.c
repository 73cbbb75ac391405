#include "milter/record/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/num.h"

void record_file_name(struct record_file file, char out[RECORD_NAME_MAX])
{
	char date[JST_DATE_LEN + 1];

	out[0] = '\0';
	if (file.part == 0)
		return;
	jst_format_date(file.day, date);
	if (file.part == 1)
		snprintf(out, RECORD_NAME_MAX, "%s.jsonl", date);
	else
		snprintf(out, RECORD_NAME_MAX, "%s.%" PRId64 ".jsonl", date, file.part);
}

bool record_file_parse(struct str name, struct record_file *out)
{
	struct record_file file = { .part = 1 };
	struct str stem = str_slice(name, 0, JST_DATE_LEN), rest = str_from(name, JST_DATE_LEN), number;
	char again[RECORD_NAME_MAX];

	if (!jst_parse_date(stem, &file.day) || !str_ends(rest, STR(".jsonl")))
		return false;
	number = str_slice(rest, 0, rest.len - 6);
	if (number.len && !num_parse_i64(str_from(number, 1), &file.part))
		return false;
	if (file.part < 1 || file.part > RECORD_PART_MAX)
		return false;
	record_file_name(file, again);
	if (!str_eq(name, str_from_c(again)))
		return false;
	*out = file;
	return true;
}

int record_file_cmp(const struct record_file *a, const struct record_file *b)
{
	if (a->day != b->day)
		return a->day < b->day ? -1 : 1;
	return (a->part > b->part) - (a->part < b->part);
}

static int compare(const void *a, const void *b)
{
	return record_file_cmp(a, b);
}

bool record_file_path(const char *dir, struct record_file file, char out[PATH_MAX], struct err *err)
{
	char name[RECORD_NAME_MAX];

	record_file_name(file, name);
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return err_set(err, ERR_CONFIG, "%s: path too long", dir);
	return true;
}

int record_file_open(const char *path, int flags, struct err *err)
{
	struct stat st;
	int fd = io_open(path, flags | O_NONBLOCK, 0, err);

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	close(fd);
	err_set(err, ERR_BUSY, "%s: is no file", path);
	errno = EINVAL;
	return -1;
}

static bool read_names(DIR *stream, const char *dir, struct record_file **out, size_t *out_count, struct err *err)
{
	struct record_file *files = NULL;
	size_t count = 0, room = 0;
	const struct dirent *entry;

	for (errno = 0; (entry = readdir(stream)) != NULL; errno = 0) {
		struct record_file file;

		if (!record_file_parse(str_from_c(entry->d_name), &file))
			continue;
		if (count == room) {
			size_t want = room ? room * 2 : 64;
			struct record_file *grown = reallocarray(files, want, sizeof *files);

			if (!grown) {
				free(files);
				return err_memory(err);
			}
			files = grown;
			room = want;
		}
		files[count++] = file;
	}
	if (errno != 0) {
		free(files);
		return err_errno(err, ERR_BUSY, "%s", dir);
	}
	if (count)
		qsort(files, count, sizeof *files, compare);
	*out = files;
	*out_count = count;
	return true;
}

bool record_class_dir(struct str dir, char out[PATH_MAX], struct str *out_class, struct err *err)
{
	struct str parent;

	while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
		dir.len--;
	if (dir.len >= PATH_MAX)
		return err_set(err, ERR_CONFIG, "the relay log's path is too long");
	memcpy(out, dir.ptr, dir.len);
	out[dir.len] = '\0';
	if (!str_cut_last(str_from_c(out), '/', &parent, out_class))
		*out_class = str_from_c(out);
	return true;
}

bool record_files_list(const char *dir, struct record_file **out, size_t *out_count, struct err *err)
{
	DIR *stream = opendir(dir);

	if (!stream)
		return err_errno(err, ERR_BUSY, "%s", dir);
	bool ok = read_names(stream, dir, out, out_count, err);

	closedir(stream);
	return ok;
}

static bool look_at_files(const char *dir, struct record_moment *moment, struct err *err)
{
	char path[PATH_MAX];

	moment->stats = calloc(moment->count + 1, sizeof *moment->stats);
	if (!moment->stats)
		return err_memory(err);
	for (size_t i = 0; i < moment->count; i++)
		if (!record_file_path(dir, moment->files[i], path, err))
			return false;
		else if (stat(path, &moment->stats[i]) == 0 || lstat(path, &moment->stats[i]) == 0)
			continue;
		else if (errno == ENOENT)
			moment->stats[i] = (struct stat){ .st_ino = 0 };
		else
			return err_errno(err, ERR_BUSY, "%s", path);
	return true;
}

static bool lock_shared(int fd)
{
	int r;

	do {
		r = flock(fd, LOCK_SH);
	} while (r != 0 && errno == EINTR);
	return r == 0;
}

bool record_moment_take(const char *dir, struct record_moment *out, struct err *err)
{
	char lock[PATH_MAX];

	*out = (struct record_moment){ .count = 0 };
	if (snprintf(lock, sizeof lock, "%s/.lock", dir) >= (int)sizeof lock)
		return err_set(err, ERR_BUSY, "%s: path too long", dir);

	int fd = io_calls.open(lock, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	bool ok = fd >= 0 ? lock_shared(fd) : errno == ENOENT || errno == EACCES;

	ok = ok || err_errno(err, ERR_BUSY, "lock %s", lock);
	ok = ok && record_files_list(dir, &out->files, &out->count, err) && look_at_files(dir, out, err);
	if (fd >= 0)
		close(fd);
	if (!ok)
		record_moment_clear(out);
	return ok;
}

void record_moment_clear(struct record_moment *moment)
{
	free(moment->files);
	free(moment->stats);
	*moment = (struct record_moment){ .count = 0 };
}
