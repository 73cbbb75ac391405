#include "milter/record/purge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/record/entry.h"
#include "milter/record/erase.h"
#include "milter/record/files.h"
#include "milter/record/index_build.h"
#include "milter/record/lines.h"
#include "milter/record/scan.h"
#include "milter/record/seal.h"

/* One run over one class. */
struct purge {
	const struct record_writer_config *config;
	struct retention keep;
	int64_t day;                   /* it is */
	char dir[PATH_MAX];
	struct str class_name;
	struct record_file *files;
	size_t count;
	struct record_writer *writer;
	struct sign_key *key;
};

/* A line, and the chain value there. */
struct place {
	int64_t seq;
	unsigned char hash[CHAIN_LEN];
};

static bool is_due(const struct purge *purge, size_t at)
{
	return at < purge->count && purge->day >= retention_purge_day(purge->keep, purge->files[at].day);
}

/* Where a file goes on, as its first line says: behind which line of which other one (`previous` NULL: of any). */
static bool read_begin(const struct purge *purge, size_t at, const struct str *previous, struct place *out, bool *out_found,
		       struct err *err)
{
	char path[PATH_MAX];
	struct begin_entry begin;
	struct lines lines;
	struct line line;
	struct str detail;

	if (!record_file_path(purge->dir, purge->files[at], path, err))
		return false;

	int fd = record_file_open(path, O_RDONLY, err);

	if (fd < 0)
		return false;
	bool ok = lines_open(&lines, fd, path, 0, INT64_MAX, err) && lines_next(&lines, &line, out_found, err);

	*out_found = ok && *out_found && scan_find(line.text, STR("detail"), &detail) && begin_entry_read(detail, &begin) &&
		     (!previous || str_eq(begin.previous, *previous));
	if (*out_found) {
		out->seq = begin.after;
		memcpy(out->hash, begin.hash, CHAIN_LEN);
	}
	lines_close(&lines);
	close(fd);
	return ok;
}

/* The first line of the next file says with which line this one ended. */
static bool read_end(const struct purge *purge, size_t at, struct purged_entry *out, bool *out_found, struct err *err)
{
	struct place end;

	if (!read_begin(purge, at + 1, &out->file, &end, out_found, err))
		return false;
	if (*out_found) {
		out->last = end.seq;
		memcpy(out->hash, end.hash, CHAIN_LEN);
	}
	return true;
}

/* For who reads the record alone. A beginning that is damaged, or cannot be read or be one of what ends so, is left out: nothing
 * is kept longer for it. */
static void read_first(const struct purge *purge, size_t at, struct purged_entry *out)
{
	struct place before;
	bool found = false;

	if (!read_begin(purge, at, NULL, &before, &found, NULL) || !found || before.seq >= out->last)
		return;
	out->first = before.seq + 1;
	memcpy(out->before, before.hash, CHAIN_LEN);
}

/* Without such a line (the next file is damaged, or continues an earlier one): the last line of the file itself. */
static bool read_last(const char *path, struct purged_entry *out, struct err *err)
{
	struct record_link link;
	struct lines lines = { .fd = -1 };
	struct line line;
	struct stat st;
	bool found = false;
	int fd = record_file_open(path, O_RDONLY, err);

	if (fd < 0)
		return false;
	bool ok = (fstat(fd, &st) == 0 || err_errno(err, ERR_BUSY, "size of %s", path)) &&
		  lines_open_backward(&lines, fd, path, st.st_size, err);

	while (ok && (ok = lines_next(&lines, &line, &found, err)) && found) {
		if (!line.is_whole || !record_parse_link(line.text, &link))
			continue;
		out->last = link.seq;
		memcpy(out->hash, link.chain, CHAIN_LEN);
		break;
	}
	lines_close(&lines);
	close(fd);
	return ok;
}

/* Opened with the first file that is due: most runs find none. */
static bool need_writer(struct purge *purge, struct err *err)
{
	char path[PATH_MAX];

	if (purge->writer)
		return true;
	snprintf(path, sizeof path, STR_FMT, STR_ARG(purge->config->key_file));
	if (path[0] && !sign_key_load(path, &purge->key, err))
		return false;
	return record_writer_open(purge->config, &purge->writer, err);
}

static bool declare(struct purge *purge, const struct purged_entry *purged, struct err *err)
{
	struct record_event event = { .event = STR("purged") };
	struct buf detail;

	buf_init(&detail, RECORD_JSON_MAX);
	bool ok = purged_entry_write(purged, purge->key, &detail, err) && buf_done(&detail, &event.detail, err) &&
		  record_append(purge->writer, &event, RECORD_DURABLE, NULL, err);

	buf_clear(&detail);
	return ok;
}

/* Nobody reads the end of the log back meanwhile, or makes a copy. `file`: what it is in the log; NULL: nothing. */
static bool remove_file(const struct purge *purge, const char *path, const struct record_file *file, struct err *err)
{
	char lock[PATH_MAX + 8];

	snprintf(lock, sizeof lock, "%s/.lock", purge->dir);

	int fd = io_open(lock, O_RDWR | O_CREAT, 0640, err);

	if (fd < 0)
		return false;
	bool ok = (flock(fd, LOCK_EX) == 0 || err_errno(err, ERR_BUSY, "lock %s", lock)) &&
		  (io_calls.unlink(path) == 0 || errno == ENOENT || err_errno(err, ERR_BUSY, "unlink %s", path)) &&
		  io_sync_dir_of(path, err);

	if (file)
		index_remove(purge->dir, *file);
	close(fd);
	return ok;
}

/* What a killed erasure left is a copy of a day like any other, and its name does not tell when that is over. */
static bool remove_leftover(const struct purge *purge, struct err *err)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof path, "%s/" ERASE_COPY, purge->dir);
	return access(path, F_OK) != 0 || remove_file(purge, path, NULL, err);
}

static bool purge_file(struct purge *purge, size_t at, const char *path, int64_t octets, struct err *err)
{
	char name[RECORD_NAME_MAX], keep[RETENTION_TEXT_MAX];
	struct purged_entry purged = { .node = purge->config->node, .class_name = purge->class_name,
				       .reason = STR("retention") };
	bool found = false;

	record_file_name(purge->files[at], name);
	retention_text(purge->keep, keep);
	purged.file = str_from_c(name);
	purged.keep = str_from_c(keep);
	if (octets > 0) {                           /* an empty file was never part of the chain */
		if (!need_writer(purge, err) || !read_end(purge, at, &purged, &found, err) ||
		    (!found && !read_last(path, &purged, err)))
			return false;
		read_first(purge, at, &purged);
		if (!declare(purge, &purged, err))
			return false;
	}
	return remove_file(purge, path, &purge->files[at], err);
}

/* The newest file of a class that nobody writes to any more: a writer begins a new one that continues it. */
static bool relieve_newest(struct purge *purge, struct err *err)
{
	if (purge->count == 0 || !is_due(purge, purge->count - 1))
		return true;
	if (!need_writer(purge, err))
		return false;
	free(purge->files);
	purge->files = NULL;
	return record_files_list(purge->dir, &purge->files, &purge->count, err);
}

/* The newest file is somebody's to write to. */
static bool purge_files(struct purge *purge, bool is_dry_run, purge_fn *tell, void *arg, int64_t *out_count, struct err *err)
{
	for (size_t at = 0; is_due(purge, at) && (is_dry_run || at + 1 < purge->count); at++) {
		char path[PATH_MAX], name[RECORD_NAME_MAX];
		struct stat st;

		if (!record_file_path(purge->dir, purge->files[at], path, err))
			return false;
		if (stat(path, &st) != 0)           /* somebody else was quicker */
			continue;
		record_file_name(purge->files[at], name);
		if (tell)
			tell(arg, name, st.st_size);
		if (!is_dry_run && !purge_file(purge, at, path, st.st_size, err))
			return err_wrap(err, "purge of %s/%s", purge->dir, name);
		++*out_count;
	}
	return true;
}

/* The keys of days whose records nobody may see any more: what they sealed ends wherever it was copied to. */
static bool destroy_keys(const struct purge *purge, struct err *err)
{
	int64_t day = purge->day, count;

	if (purge->config->keyring.len == 0)
		return true;
	while (retention_purge_day(purge->keep, day - 1) > purge->day)
		day--;
	return seal_destroy_days(purge->config->keyring, purge->class_name, day, &count, err);
}

bool record_purge(const struct record_writer_config *config, struct retention keep, int64_t day, bool is_dry_run, purge_fn *tell,
		  void *arg, int64_t *out_count, struct err *err)
{
	struct purge purge = { .config = config, .keep = keep, .day = day };
	int64_t count = 0;
	bool ok = record_class_dir(config->dir, purge.dir, &purge.class_name, err);

	if (ok && access(purge.dir, F_OK) != 0 && errno == ENOENT) {
		*out_count = 0;                     /* a class that nothing was ever written to */
		return true;
	}
	ok = ok && record_files_list(purge.dir, &purge.files, &purge.count, err) &&
	     (is_dry_run || relieve_newest(&purge, err)) && purge_files(&purge, is_dry_run, tell, arg, &count, err) &&
	     (is_dry_run || (destroy_keys(&purge, err) && remove_leftover(&purge, err)));
	record_writer_close(purge.writer);
	sign_key_free(purge.key);
	free(purge.files);
	if (ok)
		*out_count = count;
	return ok;
}
