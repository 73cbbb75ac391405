#include "milter/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/erasure.h"
#include "milter/record/files.h"
#include "milter/record/writer.h"
#include "policy/store_copy.h"

#define PUBLIC_MAX ((size_t)64 << 10)

struct run {
	const struct config *config;
	const char *dir;               /* of all generations */
	char path[PATH_MAX - 300];     /* of this one, while it is made */
	char before[PATH_MAX - 300];   /* of the one before; empty: none */
	struct manifest manifest, old;
	struct backup_made *made;
	backup_progress_fn *progress;
};

bool backup_is_name(struct str name)
{
	if (name.len != BACKUP_NAME_LEN || name.ptr[8] != 'T')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (i != 8 && !ascii_is_digit(name.ptr[i]))
			return false;
	return true;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

bool backup_remove_tree(const char *path, struct err *err)
{
	return nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT ||
	       err_errno(err, ERR_BUSY, "remove %s", path);
}

/* --- the generations that are there */

static int compare_names(const void *a, const void *b)
{
	return memcmp(a, b, BACKUP_NAME_LEN);
}

bool backup_list(const char *dir, char (**out)[BACKUP_NAME_LEN + 1], size_t *out_count, struct err *err)
{
	DIR *list = opendir(dir);
	char (*names)[BACKUP_NAME_LEN + 1];
	struct dirent *entry;
	size_t count = 0;

	*out = NULL;
	*out_count = 0;
	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", dir);
	names = calloc(BACKUP_GENERATIONS_MAX, sizeof *names);
	for (errno = 0; names && count < BACKUP_GENERATIONS_MAX && (entry = readdir(list)) != NULL; errno = 0)
		if (backup_is_name(str_from_c(entry->d_name)))
			memcpy(names[count++], entry->d_name, BACKUP_NAME_LEN);
	bool ok = names ? errno == 0 || err_errno(err, ERR_BUSY, "%s", dir) : err_memory(err);

	closedir(list);
	if (!ok) {
		free(names);
		return false;
	}
	qsort(names, count, sizeof *names, compare_names);
	*out = names;
	*out_count = count;
	return true;
}

/* --- the log */

/* The copy of before, when it is still the same file by size and time of change. */
static bool link_old(struct run *run, struct str name, const struct stat *st, const char *to)
{
	const struct manifest_file *old = manifest_find(&run->old, name);
	char from[PATH_MAX];
	struct stat was;

	if (!old || old->size != st->st_size ||
	    snprintf(from, sizeof from, "%s/" STR_FMT, run->before, STR_ARG(name)) >= (int)sizeof from || stat(from, &was) != 0 ||
	    was.st_size != st->st_size || was.st_mtim.tv_sec != st->st_mtim.tv_sec || was.st_mtim.tv_nsec != st->st_mtim.tv_nsec ||
	    link(from, to) != 0)
		return false;
	if (!manifest_add(&run->manifest, name, old->size, old->sha256, NULL)) {
		unlink(to);                         /* which is to be copied */
		return false;
	}
	run->made->linked++;
	return true;
}

/* *out_moved: what was listed is not there any more. */
static bool copy_file(struct run *run, const char *dir, struct record_file file, const struct stat *st, struct str class_name,
		      bool *out_moved, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX], base[RECORD_NAME_MAX], rest[600], sha256[CHAIN_HEX_LEN];
	struct stat now;

	record_file_name(file, base);
	int n = snprintf(rest, sizeof rest, "log/" STR_FMT "/%s", STR_ARG(class_name), base);
	struct str name = str_of(rest, (size_t)n);

	if (!record_file_path(dir, file, from, err))
		return false;
	if (snprintf(to, sizeof to, "%s/%s", run->path, rest) >= (int)sizeof to)
		return err_set(err, ERR_BUSY, "%s: path too long", run->path);
	run->made->files++;
	if (link_old(run, name, st, to))
		return true;

	bool ok = manifest_copy(from, to, st->st_size, sha256, err);

	*out_moved = stat(from, &now) != 0 || now.st_ino != st->st_ino;
	run->made->octets += st->st_size;
	return *out_moved || (ok && manifest_add(&run->manifest, name, st->st_size, sha256, err));
}

static bool copy_files(struct run *run, const char *dir, const struct record_moment *moment, struct str class_name, bool *out_moved,
		       struct err *err)
{
	*out_moved = false;
	for (size_t i = 0; i < moment->count && !*out_moved; i++) {
		if (run->progress)
			run->progress((int64_t)i, (int64_t)moment->count);
		if (!copy_file(run, dir, moment->files[i], &moment->stats[i], class_name, out_moved, err))
			return false;
	}
	return true;
}

/* So that the copy ends with a signature. A writer signs what is not signed yet when it is opened. */
static bool sign_class(const struct run *run, const char *dir, struct err *err)
{
	const struct config *config = run->config;
	const struct record_writer_config signing = {
		.dir = str_from_c(dir), .node = config->node, .key_file = config->log_key_file,
		.checkpoint_busy_us = config->checkpoint_busy_us, .checkpoint_idle_us = config->checkpoint_idle_us,
	};
	struct record_writer *writer;

	if (!record_writer_open(&signing, &writer, err))
		return false;
	record_writer_close(writer);
	return true;
}

static bool copy_class(struct run *run, struct str class_name, struct err *err)
{
	const struct backup_made made = *run->made;
	char dir[PATH_MAX - 100], to[PATH_MAX - 1], inside[PATH_MAX];
	size_t rows = run->manifest.count;
	bool ok = true, moved = true;

	if (snprintf(dir, sizeof dir, STR_FMT "/" STR_FMT, STR_ARG(run->config->log_dir), STR_ARG(class_name)) >= (int)sizeof dir)
		return err_set(err, ERR_CONFIG, "relay_log.dir is too long");
	if (access(dir, F_OK) != 0)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", dir);
	snprintf(to, sizeof to, "%s/log/" STR_FMT, run->path, STR_ARG(class_name));
	snprintf(inside, sizeof inside, "%s/", to);
	ok = sign_class(run, dir, err);
	for (int n = 0; ok && moved && n < RECORD_MOMENT_TRIES; n++) {
		struct record_moment moment = { .count = 0 };

		run->manifest.count = rows;
		*run->made = made;
		ok = backup_remove_tree(to, err) && record_moment_take(dir, &moment, err) &&
		     (moment.count == 0 || io_make_dirs(to, 0750, err)) && copy_files(run, dir, &moment, class_name, &moved, err) &&
		     (moment.count == 0 || (io_sync_dir_of(inside, err) && io_sync_dir_of(to, err)));
		record_moment_clear(&moment);
	}
	if (ok && moved)
		ok = err_set(err, ERR_BUSY, "its files are being replaced all the time");
	return ok || err_wrap(err, "class " STR_FMT, STR_ARG(class_name));
}

/* --- the store, the public keys */

static bool add_file(struct run *run, const char *name, struct err *err)
{
	char path[PATH_MAX], sha256[CHAIN_HEX_LEN];
	struct stat st;

	if (snprintf(path, sizeof path, "%s/%s", run->path, name) >= (int)sizeof path || stat(path, &st) != 0)
		return err_errno(err, ERR_BUSY, "%s", name);
	run->made->files++;
	run->made->octets += st.st_size;
	return manifest_copy(path, NULL, st.st_size, sha256, err) &&
	       manifest_add(&run->manifest, str_from_c(name), st.st_size, sha256, err);
}

static bool sync_file(const char *path, struct err *err)
{
	int fd = io_open(path, O_RDWR, 0, err);
	bool ok = fd >= 0 && io_sync(fd, path, err);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* What it wrote is on disk, and what only an open store needs is gone. */
static bool add_store(struct run *run, struct err *err)
{
	static const char *const names[] = { "store/counts/data.mdb", "store/facts/data.mdb" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", run->path, names[i]);
		if (!sync_file(path, err) || !io_sync_dir_of(path, err) || !add_file(run, names[i], err))
			return false;
		memcpy(path + strlen(path) - strlen("data.mdb"), "lock", 4);
		unlink(path);
	}
	snprintf(path, sizeof path, "%s/store/lock", run->path);
	unlink(path);
	return io_sync_dir_of(path, err);
}

static bool copy_store(struct run *run, struct store *from, struct err *err)
{
	struct config side = *run->config;
	struct store_copied copied;
	struct store *to;
	char path[PATH_MAX - 200];

	snprintf(path, sizeof path, "%s/store", run->path);
	side.store_backend = STORE_EMBEDDED;
	side.store_path = str_from_c(path);
	if (!io_make_dirs(path, 0750, err) || !store_open(&side, &to, err))
		return err_wrap(err, "copy of the store");
	bool ok = store_copy(from, to, NULL, &copied, err);

	store_close(to);
	return ok && add_store(run, err);
}

/* FILE.pub; what only is configured and not there, or where only somebody else may look, is passed by. */
static bool copy_public(struct run *run, struct str key_file, const char *name, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct buf text;
	struct stat st;

	if (key_file.len == 0 || snprintf(from, sizeof from, STR_FMT ".pub", STR_ARG(key_file)) >= (int)sizeof from)
		return true;
	if (stat(from, &st) != 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES || err_errno(err, ERR_BUSY, "%s", from);
	snprintf(to, sizeof to, "%s/%s", run->path, name);
	buf_init(&text, PUBLIC_MAX);
	bool ok = io_read_file(from, &text, err) && io_replace_file(to, buf_view(&text), 0640, err) &&
		  add_file(run, name, err);

	buf_clear(&text);
	return ok;
}

static bool copy_keys(struct run *run, struct err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/keys", run->path);
	return io_make_dirs(path, 0750, err) && copy_public(run, run->config->log_key_file, "keys/log.pub", err) &&
	       copy_public(run, run->config->operator_key_file, "keys/operator.pub", err);
}

/* One that is there is the same: it is written once. Only one that is shorter was cut off; one that is longer, this one was. */
static bool copy_certificate(const char *from, const char *to, struct err *err)
{
	struct stat st;
	struct buf text;

	buf_init(&text, CERTIFICATE_MAX);
	bool ok = io_read_file(from, &text, err) && ((stat(to, &st) == 0 && st.st_size >= (off_t)text.len) ||
						     io_replace_file(to, buf_view(&text), 0640, err));

	buf_clear(&text);
	return ok;
}

/* Certificates of what was taken out, beside all generations: a generation of before is to forget it, too. */
static bool copy_certificates(const struct run *run, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX], own[PATH_MAX - 300];
	const struct dirent *entry;
	bool ok = true;

	snprintf(own, sizeof own, STR_FMT "/" ERASURE_DIR, STR_ARG(run->config->state_dir));
	snprintf(to, sizeof to, "%s/" ERASURE_DIR, run->dir);
	if (!io_make_dirs(to, 0750, err))
		return false;
	DIR *list = opendir(own);

	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", own);
	for (errno = 0; ok && (entry = readdir(list)) != NULL; errno = 0)
		if (str_ends(str_from_c(entry->d_name), STR(".cert")))
			ok = ((snprintf(to, sizeof to, "%s/" ERASURE_DIR "/%s", run->dir, entry->d_name) < (int)sizeof to &&
			       snprintf(from, sizeof from, "%s/%s", own, entry->d_name) < (int)sizeof from) ||
			      err_set(err, ERR_CONFIG, "%s: path too long", own)) && copy_certificate(from, to, err);
	ok = ok && (errno == 0 || err_errno(err, ERR_BUSY, "%s", own));
	closedir(list);
	return ok;
}

/* --- a generation */

static void name_now(char out[BACKUP_NAME_LEN + 1], int64_t now_us)
{
	char time[JST_TIME_LEN + 1];

	jst_format_time(now_us, time);
	snprintf(out, BACKUP_NAME_LEN + 1, "%.4s%.2s%.2sT%.2s%.2s%.2s", time, time + 5, time + 8, time + 11, time + 14,
		 time + 17);
}

/* ".20261120T115959.tmp", more than a day away from now: a younger one may be at work still. */
static bool is_leftover(const struct run *run, struct str name)
{
	char from[BACKUP_NAME_LEN + 1], to[BACKUP_NAME_LEN + 1];
	struct str when = str_slice(name, 1, BACKUP_NAME_LEN);

	name_now(from, run->manifest.time_us - DAY_US);
	name_now(to, run->manifest.time_us + DAY_US);
	return name.len == 1 + BACKUP_NAME_LEN + 4 && str_starts(name, STR(".")) && str_ends(name, STR(".tmp")) && backup_is_name(when) &&
	       (memcmp(when.ptr, from, BACKUP_NAME_LEN) < 0 || memcmp(when.ptr, to, BACKUP_NAME_LEN) > 0);
}

/* What a crash left of a run is a copy like any other, and no prune finds it. */
static bool remove_leftovers(const struct run *run, struct err *err)
{
	DIR *list = opendir(run->dir);
	char path[PATH_MAX];
	struct dirent *entry;
	bool ok = true;

	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", run->dir);
	for (errno = 0; ok && (entry = readdir(list)) != NULL; errno = 0)
		if (is_leftover(run, str_from_c(entry->d_name)))
			ok = (snprintf(path, sizeof path, "%s/%s", run->dir, entry->d_name) < (int)sizeof path ||
			      err_set(err, ERR_CONFIG, "%s: path too long", run->dir)) && backup_remove_tree(path, err);
	ok = ok && (errno == 0 || err_errno(err, ERR_BUSY, "%s", run->dir));
	closedir(list);
	return ok;
}

/* The newest one that can be read. */
static bool look_back(struct run *run, const struct sign_key *key, struct err *err)
{
	struct sign_publics publics = { .count = 1 };
	char (*names)[BACKUP_NAME_LEN + 1] = NULL;
	size_t count;
	bool ok = backup_list(run->dir, &names, &count, err);

	memcpy(publics.keys[0].raw, sign_key_public(key), SIGN_KEY_LEN);
	sign_id_of(publics.keys[0].raw, publics.keys[0].id);
	manifest_init(&run->old);
	if (ok && count) {
		snprintf(run->before, sizeof run->before, "%s/%s", run->dir, names[count - 1]);
		if (!manifest_read(&run->old, run->before, &publics, NULL)) {
			manifest_clear(&run->old);
			manifest_init(&run->old);
		}
	}
	free(names);
	return ok;
}

static bool make(struct run *run, struct store *store, const struct sign_key *key, struct err *err)
{
	const struct config *config = run->config;

	if (!remove_leftovers(run, err) || !look_back(run, key, err) || !backup_remove_tree(run->path, err) ||
	    !io_make_dirs(run->path, 0750, err))
		return false;
	for (size_t i = 0; i < config->class_count; i++)
		if (!copy_class(run, config->classes[i].name, err))
			return false;
	return (!store || copy_store(run, store, err)) && copy_keys(run, err) && copy_certificates(run, err) &&
	       manifest_write(&run->manifest, run->path, key, err);
}

bool backup_run(const struct config *config, const char *dir, struct store *store, const struct sign_key *key,
		backup_progress_fn *progress, struct backup_made *out, struct err *err)
{
	struct run run = { .config = config, .dir = dir, .made = out, .progress = progress };
	char whole[PATH_MAX];
	struct stat st;

	*out = (struct backup_made){ .files = 0 };
	manifest_init(&run.manifest);
	run.manifest.node = config->node;
	run.manifest.time_us = clock_now_us();
	name_now(out->name, run.manifest.time_us);
	if (snprintf(run.path, sizeof run.path, "%s/.%s.tmp", dir, out->name) >= (int)sizeof run.path)
		return err_set(err, ERR_CONFIG, "%s: path too long", dir);
	snprintf(whole, sizeof whole, "%s/%s", dir, out->name);
	bool ok = (stat(whole, &st) != 0 || err_set(err, ERR_BUSY, "%s is there already: one backup a second", whole)) &&
		  make(&run, store, key, err) &&
		  (io_calls.rename(run.path, whole) == 0 || err_errno(err, ERR_BUSY, "rename %s", whole)) && io_sync_dir_of(whole, err);

	if (!ok)
		backup_remove_tree(run.path, NULL);
	manifest_clear(&run.manifest);
	manifest_clear(&run.old);
	return ok;
}
