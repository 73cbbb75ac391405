#include "milter/record/purge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "milter/record/entry.h"
#include "milter/record/erase.h"
#include "milter/record/files.h"
#include "milter/record/index_build.h"
#include "milter/record/lines.h"
#include "milter/record/scan.h"
#include "milter/record/seal.h"

#define LOOK_US (60 * US_PER_S)                     /* how often the thread looks at the date */
#define AGAIN_US (600 * US_PER_S)
#define FIRST_WAIT_S 3                         /* so long mail, or a reload, waits for the first purge; the rest goes beside them */

/* One run over one class. */
struct purge {
	const struct record_writer_config *config;
	struct retention keep;
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

static bool take_dir(struct purge *purge, struct err *err)
{
	struct str dir = purge->config->dir, parent;

	while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
		dir.len--;
	if (dir.len >= sizeof purge->dir)
		return err_set(err, ERR_CONFIG, "the relay log's path is too long");
	memcpy(purge->dir, dir.ptr, dir.len);
	if (!str_cut_last(str_from_c(purge->dir), '/', &parent, &purge->class_name))
		purge->class_name = str_from_c(purge->dir);
	return true;
}

static bool is_due(const struct purge *purge, size_t at)
{
	return at < purge->count && jst_day(clock_now_us()) >= retention_purge_day(purge->keep, purge->files[at].day);
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

/* The newest file is somebody's to write to, even where midnight, or a clock that was set, comes in between: the next run's. */
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
	int64_t day = jst_day(clock_now_us()), count;

	if (purge->config->keyring.len == 0)
		return true;
	while (retention_purge_day(purge->keep, day - 1) > jst_day(clock_now_us()))
		day--;
	return seal_destroy_days(purge->config->keyring, purge->class_name, day, &count, err);
}

bool record_purge(const struct record_writer_config *config, struct retention keep, bool is_dry_run, purge_fn *tell, void *arg,
		  int64_t *out_count, struct err *err)
{
	struct purge purge = { .config = config, .keep = keep };
	int64_t count = 0;
	bool ok = take_dir(&purge, err);

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

/* --- the daemon's thread */

struct purger {
	struct arena arena;
	struct purge_class *classes;
	size_t count;
	struct task task;
	sem_t first;                   /* posted when the first purge is over, well or not */
	int64_t day;                   /* that the purge was done for; INT64_MIN: none yet */
	int64_t retry_us;              /* monotonic: after a failure not before */
};

static void tell_log(void *arg, const char *file, int64_t octets)
{
	const struct purge_class *class = arg;

	log_info("purge " STR_FMT "/%s: %" PRId64 " octets", STR_ARG(class->config.dir), file, octets);
}

static bool purge_all(struct purger *purger)
{
	bool ok = true;

	for (size_t i = 0; i < purger->count; i++) {
		struct purge_class *class = &purger->classes[i];
		struct err err;
		int64_t count;

		if (!record_purge(&class->config, class->keep, false, tell_log, class, &count, &err)) {
			log_error("%s", err.text);
			ok = false;
		}
	}
	return ok;
}

static void purge_today(struct purger *purger)
{
	int64_t day = jst_day(clock_now_us());
	bool ok = purge_all(purger);

	purger->day = ok ? day : purger->day;
	purger->retry_us = ok ? 0 : clock_mono_us() + AGAIN_US;
}

/* An index takes seconds of a core, and mail goes first. Where a sandbox forbids it, it is as patient as the others. */
static void be_patient(void)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
}

/* Until the next midnight: the purge comes first. */
static bool has_time(void *arg, const char *name, int64_t bytes, int64_t index_bytes)
{
	struct purger *purger = arg;

	log_debug("index of %s: %" PRId64 " octets of %" PRId64, name, index_bytes, bytes);
	return !task_is_stopping(&purger->task) && jst_day(clock_now_us()) == purger->day;
}

/* What was finished since, and what an erasure took. A search does without meanwhile. */
static void index_all(struct purger *purger)
{
	for (size_t i = 0; i < purger->count; i++) {
		const struct record_writer_config *config = &purger->classes[i].config;
		struct purge class = { .config = config };
		struct index_work work;
		struct seal *seal = NULL;
		struct err err;

		if (!take_dir(&class, &err) ||
		    (config->keyring.len && !seal_open(config->keyring, class.class_name, &seal, &err)) ||
		    !index_update(class.dir, seal, false, has_time, purger, &work, &err))
			log_warn("%s", err.text);
		else if (work.built)
			log_info("indexed %s: %" PRId64 " files, %" PRId64 " octets", class.dir, work.built, work.bytes);
		seal_close(seal);
	}
}

/* Looks at the date each minute rather than sleeping until midnight: a clock may be set. */
static void run_purger(void *arg)
{
	struct purger *purger = arg;

	be_patient();
	purge_today(purger);
	sem_post(&purger->first);
	do {
		while (jst_day(clock_now_us()) != purger->day && clock_mono_us() >= purger->retry_us && !task_is_stopping(&purger->task))
			purge_today(purger);
		index_all(purger);
	} while (task_wait(&purger->task, LOOK_US));
}

static bool copy_classes(struct purger *purger, const struct purge_class *classes, size_t count)
{
	purger->classes = arena_array(&purger->arena, count, sizeof *classes);
	if (!purger->classes)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct record_writer_config *config = &purger->classes[i].config;

		purger->classes[i] = classes[i];
		if (!arena_copy(&purger->arena, config->dir, &config->dir) ||
		    !arena_copy(&purger->arena, config->node, &config->node) ||
		    !arena_copy(&purger->arena, config->key_file, &config->key_file) ||
		    !arena_copy(&purger->arena, config->keyring, &config->keyring))
			return false;
	}
	purger->count = count;
	return true;
}

/* A promise that was made a tenth as long is thousands of files, and somebody may hold a class: neither keeps mail waiting. */
static void await_first(struct purger *purger)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FIRST_WAIT_S;
	while (sem_clockwait(&purger->first, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
		;
}

bool purger_start(const struct purge_class *classes, size_t count, struct purger **out, struct err *err)
{
	struct purger *purger = calloc(1, sizeof *purger);

	if (!purger)
		return err_memory(err);
	arena_init(&purger->arena, 1 << 20);
	purger->day = INT64_MIN;
	sem_init(&purger->first, 0, 0);
	if (!(copy_classes(purger, classes, count) || err_memory(err)) ||
	    !task_start(&purger->task, "purge", run_purger, purger, err)) {
		sem_destroy(&purger->first);
		arena_clear(&purger->arena);
		free(purger);
		return false;
	}
	await_first(purger);                        /* or who looks meanwhile finds much of it overdue */
	*out = purger;
	return true;
}

void purger_stop(struct purger *purger)
{
	if (!purger)
		return;
	task_stop(&purger->task);
	sem_destroy(&purger->first);
	arena_clear(&purger->arena);
	free(purger);
}
