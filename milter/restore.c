#include "milter/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/memory.h"
#include "milter/erasure.h"
#include "milter/record/entry.h"
#include "milter/record/erase.h"
#include "milter/record/note.h"
#include "milter/record/purge.h"
#include "milter/record/tail.h"
#include "policy/store_copy.h"

struct restore {
	const struct config *config;
	const char *backup;
	char staging[PATH_MAX - 400];  /* LOGDIR/.restore: LOGDIR may be a link, or a file system of its own */
	const struct sign_key *key;
	const struct sign_publics *operators;
	struct store *store;           /* the generation's, or NULL */
	int64_t time_us;               /* of the backup */
	struct restored *out;
};

static bool class_dir(const struct restore *restore, struct str class_name, char out[PATH_MAX - 200], struct err *err)
{
	return snprintf(out, PATH_MAX - 200, "%s/" STR_FMT, restore->staging, STR_ARG(class_name)) < PATH_MAX - 200 ||
	       err_set(err, ERR_CONFIG, "a path that is too long");
}

static struct record_writer_config writer_of(const struct restore *restore, const char *dir, bool is_signing)
{
	const struct config *config = restore->config;

	return (struct record_writer_config){
		.dir = str_from_c(dir),
		.node = config->node,
		.key_file = is_signing && config->log_key_file.len && access(config->log_key_file.ptr, R_OK) == 0 ? config->log_key_file
														  : STR_EMPTY,
		.checkpoint_busy_us = config->checkpoint_busy_us,
		.checkpoint_idle_us = config->checkpoint_idle_us,
		.keyring = config->log_keyring,
	};
}

/* --- copying */

static bool copy_one(const struct restore *restore, const struct manifest_file *file, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX], dir[PATH_MAX], sha256[CHAIN_HEX_LEN];
	struct str below = str_starts(file->path, STR("log/")) ? str_from(file->path, 4) : file->path, parent, name;

	if (str_starts(file->path, STR("keys/")))
		return true;
	if (snprintf(from, sizeof from, "%s/" STR_FMT, restore->backup, STR_ARG(file->path)) >= (int)sizeof from ||
	    snprintf(to, sizeof to, "%s/" STR_FMT, restore->staging, STR_ARG(below)) >= (int)sizeof to ||
	    !str_cut_last(str_from_c(to), '/', &parent, &name))
		return err_set(err, ERR_CONFIG, "a path that is too long");
	snprintf(dir, sizeof dir, STR_FMT, STR_ARG(parent));
	restore->out->files += str_starts(file->path, STR("log/"));
	return io_make_dirs(dir, 0750, err) && manifest_copy(from, to, file->size, sha256, err) &&
	       (memcmp(sha256, file->sha256, CHAIN_HEX_LEN) == 0 || err_set(err, ERR_INPUT, "%s: was altered meanwhile", from)) &&
	       io_sync_dir_of(to, err);
}

static bool copy_all(struct restore *restore, const struct manifest *manifest, struct err *err)
{
	if (!backup_remove_tree(restore->staging, err) || !io_make_dirs(restore->staging, 0750, err))
		return false;
	for (size_t i = 0; i < manifest->count; i++)
		if (!copy_one(restore, &manifest->files[i], err))
			return false;
	return true;
}

/* --- saying so */

/* The line before the one that says it: nobody else writes here. */
static bool find_tail(const char *dir, struct restored_entry *entry, struct err *err)
{
	struct tail tail = { .fd = -1, .lock_fd = -1 };
	bool ok = tail_open(&tail, dir, 0, err) && tail_lock(&tail, err);

	if (ok) {
		entry->last = tail.head.seq;
		memcpy(entry->hash, tail.head.chain, CHAIN_LEN);
		tail_unlock(&tail);
	}
	tail_close(&tail);
	return ok;
}

static bool write_restored(struct record_writer *writer, const struct restored_entry *entry, const struct sign_key *key, struct err *err)
{
	struct record_event event = { .event = STR("restored") };
	struct buf detail;

	buf_init(&detail, RECORD_JSON_MAX);
	bool ok = restored_entry_write(entry, key, &detail, err) && buf_done(&detail, &event.detail, err) &&
		  record_append(writer, &event, RECORD_DURABLE, NULL, err);

	buf_clear(&detail);
	return ok;
}

/* Without the log key: a checkpoint that came first would stand there without an excuse. */
static bool declare(struct restore *restore, struct str class_name, const char *dir, struct err *err)
{
	const struct record_writer_config config = writer_of(restore, dir, false);
	struct restored_entry entry = { .node = restore->config->node, .class_name = class_name };
	struct record_writer *writer;
	char time[JST_TIME_LEN + 1];

	jst_format_time(restore->time_us, time);
	entry.backup = str_from_c(time);
	if (!record_writer_open(&config, &writer, err))
		return false;
	bool ok = find_tail(dir, &entry, err) && write_restored(writer, &entry, restore->key, err);

	record_writer_close(writer);
	if (!ok)
		return false;

	const struct record_writer_config signing = writer_of(restore, dir, true);

	ok = record_writer_open(&signing, &writer, err);          /* which signs at once */
	record_writer_close(ok ? writer : NULL);
	return ok;
}

/* --- forgetting */

static bool forget_in_log(struct restore *restore, const struct erase_request *request, struct err *err)
{
	const struct config *config = restore->config;
	char dir[PATH_MAX - 200];

	for (size_t i = 0; i < config->class_count; i++) {
		struct str name = config->classes[i].name;
		struct erase_result result;

		if (str_eq(name, CLASS_OPS))
			continue;
		if (!class_dir(restore, name, dir, err))
			return false;

		const struct record_writer_config writer = writer_of(restore, dir, true);

		if (!record_erase(&writer, request, &result, err))
			return false;
		restore->out->erased += result.records;
	}
	return true;
}

static bool is_certificate(const struct restore *restore, struct str certificate, struct erase_request *out)
{
	struct str text, name, time;

	return note_open(certificate, restore->operators, &text, &name, NULL) && str_ends(name, STR("/erasure")) &&
	       certificate_find(text, STR("time"), &time) && jst_parse_time(time, &out->until_us) &&
	       (certificate_find(text, STR("tenant"), &out->tenant) || certificate_find(text, STR("record"), &out->id));
}

/* Only the operator's word takes records away: a certificate that is none is passed over. */
static bool replay(struct restore *restore, struct str certificate, struct err *err)
{
	struct erase_request request = { .tenant = STR_EMPTY, .id = STR_EMPTY, .reason = STR("restored from a backup of before its erasure"),
					 .signer = restore->key };
	const unsigned long shortages = memory_shortages();
	int64_t entries;

	if (!is_certificate(restore, certificate, &request))
		return memory_shortages() == shortages || err_memory(err);
	restore->out->certificates++;
	return forget_in_log(restore, &request, err) &&
	       (!restore->store || !request.tenant.len || request.until_us < restore->time_us ||
		erasure_forget(restore->store, request.tenant, false, &entries, err));
}

/* What lies in `done` as well was replayed from there. */
static bool replay_dir(struct restore *restore, const char *dir, const char *done, struct err *err)
{
	DIR *list = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX];
	bool ok = true;

	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", dir);
	for (errno = 0; ok && (entry = readdir(list)) != NULL; errno = 0) {
		struct buf text;

		if (!str_ends(str_from_c(entry->d_name), STR(".cert")) ||
		    (done && snprintf(path, sizeof path, "%s/%s", done, entry->d_name) < (int)sizeof path && access(path, F_OK) == 0) ||
		    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
			continue;
		buf_init(&text, CERTIFICATE_MAX);
		ok = io_read_file(path, &text, err) && replay(restore, buf_view(&text), err);
		buf_clear(&text);
	}
	ok = ok && (errno == 0 || err_errno(err, ERR_BUSY, "%s", dir));
	closedir(list);
	return ok;
}

static bool forget(struct restore *restore, struct err *err)
{
	char own[PATH_MAX], kept[PATH_MAX];

	if (snprintf(own, sizeof own, STR_FMT "/" ERASURE_DIR, STR_ARG(restore->config->state_dir)) >= (int)sizeof own ||
	    snprintf(kept, sizeof kept, "%s/../" ERASURE_DIR, restore->backup) >= (int)sizeof kept)
		return err_set(err, ERR_CONFIG, "a path that is too long");
	return replay_dir(restore, own, NULL, err) && replay_dir(restore, kept, own, err);
}

static bool purge(struct restore *restore, const struct record_class *class, const char *dir, struct err *err)
{
	const struct record_writer_config writer = writer_of(restore, dir, true);
	int64_t count;

	if (!record_purge(&writer, class->keep, jst_day(clock_now_us()), false, NULL, NULL, &count, err))
		return false;
	restore->out->purged += count;
	return true;
}

/* --- all of it */

typedef bool class_fn(struct restore *restore, const struct record_class *class, const char *dir, struct err *err);

static bool each_class(struct restore *restore, class_fn *fn, struct err *err)
{
	const struct config *config = restore->config;
	char dir[PATH_MAX - 200];

	for (size_t i = 0; i < config->class_count; i++)
		if (!class_dir(restore, config->classes[i].name, dir, err) ||
		    (access(dir, F_OK) == 0 ? !fn(restore, &config->classes[i], dir, err)
					    : errno != ENOENT && !err_errno(err, ERR_BUSY, "%s", dir)))
			return err_wrap(err, "class " STR_FMT, STR_ARG(config->classes[i].name));
	return true;
}

static bool declare_class(struct restore *restore, const struct record_class *class, const char *dir, struct err *err)
{
	return declare(restore, class->name, dir, err);
}

static bool publish_class(struct restore *restore, const struct record_class *class, const char *dir, struct err *err)
{
	char to[PATH_MAX];

	snprintf(to, sizeof to, STR_FMT "/" STR_FMT, STR_ARG(restore->config->log_dir), STR_ARG(class->name));
	restore->out->classes++;
	return (io_calls.rename(dir, to) == 0 || err_errno(err, ERR_BUSY, "rename %s", to)) && io_sync_dir_of(to, err);
}

/* A class without a promise would be copied and stay behind, or, taken in, never be purged: neither in silence. */
static bool is_named(const struct config *config, const struct manifest *manifest, struct err *err)
{
	struct str log, class_name, rest;

	for (size_t i = 0; i < manifest->count; i++)
		if (str_cut(manifest->files[i].path, '/', &log, &rest) && str_eq(log, STR("log")) &&
		    str_cut(rest, '/', &class_name, &rest) && !config_find_class(config, class_name))
			return err_set(err, ERR_CONFIG, "the backup holds class " STR_FMT ", which relay_log.classes does not name: name it, "
				       "with the time that was promised", STR_ARG(class_name));
	return true;
}

static bool is_free(const struct config *config, struct err *err)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < config->class_count; i++) {
		snprintf(path, sizeof path, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir),
			 STR_ARG(config->classes[i].name));
		if (access(path, F_OK) == 0)
			return err_set(err, ERR_CONFIG, "%s is there: stop sekisho-milter and move it away first", path);
	}
	return true;
}

/* The generation's own stays as it is: a copy of it is opened. */
static bool open_store(struct restore *restore, struct err *err)
{
	struct config side = *restore->config;
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/store", restore->staging);
	if (access(path, F_OK) != 0)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", path);
	side.store_backend = STORE_EMBEDDED;
	side.store_path = str_from_c(path);
	return store_open(&side, &restore->store, err) || err_wrap(err, "copy of the store");
}

static bool restore_all(struct restore *restore, const struct manifest *manifest, struct store *store, struct err *err)
{
	struct store_copied copied;

	return copy_all(restore, manifest, err) && open_store(restore, err) && each_class(restore, declare_class, err) &&
	       forget(restore, err) && each_class(restore, purge, err) &&
	       (!restore->store || !store || store_copy(restore->store, store, NULL, &copied, err)) &&
	       each_class(restore, publish_class, err);
}

static bool verify(const struct restore_request *request, struct restored *out, struct err *err)
{
	if (!backup_verify(request->config, request->backup, request->public_key, request->operator_public, NULL, &out->checked, err))
		return false;
	if (out->checked.result == VERIFY_UNKNOWN)
		return err_set(err, ERR_BUSY, "nobody can tell whether the backup is what was written: %s", out->checked.why);
	return out->checked.result == VERIFY_OK || err_set(err, ERR_CONFIG, "the backup is not what was written: %s", out->checked.why);
}

static bool load(const struct restore_request *request, struct manifest *manifest, struct sign_publics *operators, struct err *err)
{
	char path[PATH_MAX];
	struct sign_publics publics;

	snprintf(path, sizeof path, STR_FMT, STR_ARG(request->operator_public));
	if (!sign_publics_load(path, operators, err))
		return false;
	snprintf(path, sizeof path, STR_FMT, STR_ARG(request->public_key));
	return sign_publics_load(path, &publics, err) && manifest_read(manifest, request->backup, &publics, err);
}

bool restore_run(const struct restore_request *request, struct restored *out, struct err *err)
{
	const struct config *config = request->config;
	struct sign_publics operators;
	struct manifest manifest;
	struct restore restore = { .config = config, .backup = request->backup, .key = request->key, .operators = &operators, .out = out };

	*out = (struct restored){ .classes = 0 };
	manifest_init(&manifest);
	if (snprintf(restore.staging, sizeof restore.staging, STR_FMT "/.restore", STR_ARG(config->log_dir)) >= (int)sizeof restore.staging)
		return err_set(err, ERR_CONFIG, "relay_log.dir is too long");
	bool ok = is_free(config, err) && verify(request, out, err) && load(request, &manifest, &operators, err) &&
		  is_named(config, &manifest, err);

	restore.time_us = out->checked.time_us;
	ok = ok && restore_all(&restore, &manifest, request->store, err);
	store_close(restore.store);
	backup_remove_tree(restore.staging, NULL);
	manifest_clear(&manifest);
	return ok;
}
