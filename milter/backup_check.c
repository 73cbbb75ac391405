/* backup verify and prune: what is there is what was copied, and no longer than was asked for. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/backup.h"

/* --- verify */

static void find(struct backup_checked *checked, enum verify_result result, struct str what, const char *why)
{
	if (checked->result == VERIFY_OK || result < checked->result)
		checked->result = result;
	if (!checked->why[0])
		snprintf(checked->why, sizeof checked->why, STR_FMT ": %s", STR_ARG(str_slice(what, 0, 200)), why);
}

static void find_errno(struct backup_checked *checked, struct str what)
{
	find(checked, VERIFY_UNKNOWN, what, strerrordesc_np(errno));
}

static void check_file(const char *dir, const struct manifest_file *file, struct backup_checked *out)
{
	char path[PATH_MAX], sha256[CHAIN_HEX_LEN];
	struct stat st;
	struct err err;

	if (snprintf(path, sizeof path, "%s/" STR_FMT, dir, STR_ARG(file->path)) >= (int)sizeof path) {
		find(out, VERIFY_UNKNOWN, file->path, "its path is too long");
	} else if (lstat(path, &st) != 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			find(out, VERIFY_TAMPERED, file->path, "is missing");
		else
			find_errno(out, file->path);
	} else if (!S_ISREG(st.st_mode) || st.st_size != file->size) {
		find(out, VERIFY_TAMPERED, file->path, "is not as long as it was");
	} else if (!manifest_copy(path, NULL, st.st_size, sha256, &err)) {
		find(out, VERIFY_UNKNOWN, file->path, err.text);
	} else {
		out->files++;
		if (memcmp(sha256, file->sha256, CHAIN_HEX_LEN) != 0)
			find(out, VERIFY_TAMPERED, file->path, "was altered");
	}
}

static void check_class(const char *dir, struct str class_name, const struct verify_options *keys, struct backup_checked *out)
{
	static struct verify_report report;
	struct verify_options options = *keys;
	char path[PATH_MAX];
	struct err err;

	if (snprintf(path, sizeof path, "%s/log/" STR_FMT, dir, STR_ARG(class_name)) >= (int)sizeof path ||
	    (access(path, F_OK) != 0 && errno == ENOENT))
		return;
	options.dir = str_from_c(path);
	options.class_name = class_name;
	if (!record_verify(&options, &report, &err))
		find(out, VERIFY_UNKNOWN, class_name, err.text);
	out->records += report.records;
	for (size_t i = 0; i < report.finding_count && i < VERIFY_FINDINGS_MAX; i++)
		if (report.findings[i].result != VERIFY_OK) {
			char text[400];

			snprintf(text, sizeof text, STR_FMT, STR_ARG(str_slice(report.findings[i].text, 0, 390)));
			find(out, report.findings[i].result, report.findings[i].file, text);
		}
	if (report.result != VERIFY_OK)             /* by a finding that was not kept, too */
		find(out, report.result, class_name, "see log verify of it");
	verify_report_clear(&report);
}

/* In a class's directory nothing else may lie than what the manifest names. */
static void check_strangers(const char *dir, struct str class_name, const struct manifest *manifest, struct backup_checked *out)
{
	char path[PATH_MAX], name[600];
	struct dirent *entry;

	if (snprintf(path, sizeof path, "%s/log/" STR_FMT, dir, STR_ARG(class_name)) >= (int)sizeof path)
		return;
	DIR *list = opendir(path);

	if (!list) {
		if (errno != ENOENT)
			find_errno(out, class_name);
		return;
	}
	for (errno = 0; (entry = readdir(list)) != NULL; errno = 0) {
		int n = snprintf(name, sizeof name, "log/" STR_FMT "/%s", STR_ARG(class_name), entry->d_name);

		if (entry->d_name[0] != '.' && !manifest_find(manifest, str_of(name, (size_t)n)))
			find(out, VERIFY_TAMPERED, str_of(name, (size_t)n), "was not part of the backup");
	}
	if (errno != 0)
		find_errno(out, class_name);
	closedir(list);
}

bool backup_verify(const struct config *config, const char *path, struct str public_key, struct str operator_key,
		   backup_progress_fn *progress, struct backup_checked *out, struct err *err)
{
	const struct verify_options options = { .public_key_file = public_key, .operator_key_file = operator_key, .node = config->node,
						.first_day = INT64_MIN, .last_day = INT64_MAX, .threads = 2 };
	struct sign_publics publics;
	struct manifest manifest;
	char key[PATH_MAX];

	*out = (struct backup_checked){ .result = VERIFY_OK };
	snprintf(key, sizeof key, STR_FMT, STR_ARG(public_key));
	if (!sign_publics_load(key, &publics, err))
		return false;
	if (!manifest_read(&manifest, path, &publics, err)) {
		manifest_clear(&manifest);
		return false;
	}
	if (!str_eq(manifest.node, config->node))
		find(out, VERIFY_TAMPERED, manifest.node, "is another relay");
	out->time_us = manifest.time_us;
	for (size_t i = 0; i < manifest.count; i++) {
		if (progress)
			progress((int64_t)i, (int64_t)manifest.count);
		check_file(path, &manifest.files[i], out);
	}
	for (size_t i = 0; i < config->class_count; i++) {
		check_class(path, config->classes[i].name, &options, out);
		check_strangers(path, config->classes[i].name, &manifest, out);
	}
	manifest_clear(&manifest);
	return true;
}

/* --- prune */

bool backup_prune(const char *dir, int64_t keep, bool is_dry_run, int64_t *out_count, struct err *err)
{
	char (*names)[BACKUP_NAME_LEN + 1] = NULL;
	char path[PATH_MAX];
	int64_t days = 0;
	size_t count;
	bool ok = backup_list(dir, &names, &count, err);

	*out_count = 0;
	for (size_t i = count; ok && i > 0; i--) {          /* newest first: its day counts once */
		days += i == count || memcmp(names[i - 1], names[i], 8) != 0;
		if (days <= keep)
			continue;
		ok = snprintf(path, sizeof path, "%s/%s", dir, names[i - 1]) < (int)sizeof path || err_set(err, ERR_BUSY, "path too long");
		ok = ok && (is_dry_run || backup_remove_tree(path, err));
		*out_count += ok;
	}
	free(names);
	return ok;
}
