#include "milter/classes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "milter/record/entry.h"
#include "milter/record/files.h"
#include "milter/record/format.h"
#include "milter/record/reader.h"
#include "milter/record/scan.h"

static bool dir_of(const struct config *config, struct str name, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(name)) < PATH_MAX;
}

/* Does it hold files of a log? Other things may lie beside the classes. */
static bool has_files(const struct config *config, struct str name, bool *out, struct err *err)
{
	struct record_file *files = NULL;
	char dir[PATH_MAX];
	size_t count = 0;

	*out = false;
	if (!dir_of(config, name, dir))
		return err_set(err, ERR_CONFIG, "relay_log.dir is too long");
	if (!record_files_list(dir, &files, &count, err))
		return errno == ENOTDIR || errno == ENOENT;
	free(files);
	*out = count > 0;
	return true;
}

static bool is_former(const struct config *config, struct str name, bool *out, struct err *err)
{
	*out = false;
	if (!entry_is_name(name) || str_starts(name, STR(".")) || str_eq(name, STR("lost+found")) || config_find_class(config, name))
		return true;                        /* lost+found: at the root of a file system, and root's */
	return has_files(config, name, out, err);
}

bool classes_former(const struct config *config, classes_fn *fn, void *arg, struct err *err)
{
	char log_dir[PATH_MAX];
	const struct dirent *entry;
	bool ok = true, is_known = true, is_one;

	snprintf(log_dir, sizeof log_dir, STR_FMT, STR_ARG(config->log_dir));
	DIR *list = opendir(log_dir);

	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", log_dir);
	for (errno = 0; ok && (entry = readdir(list)) != NULL; errno = 0) {
		struct str name = str_from_c(entry->d_name);

		if (!is_former(config, name, &is_one, err))
			is_known = false;
		else if (is_one)
			ok = fn(arg, name, err);
	}
	ok = ok && (errno == 0 || err_errno(err, ERR_BUSY, "%s", log_dir));
	closedir(list);
	return ok && is_known;
}

/* Of what the first line of a file says of its class. */
static bool names_another(struct str line, struct str name)
{
	struct record_link link;
	struct begin_entry begin;
	struct str detail;

	return record_parse_link(line, &link) && str_eq(link.event, STR("begin")) && scan_find(line, STR("detail"), &detail) &&
	       begin_entry_read(detail, &begin) && !str_eq(begin.class_name, name);
}

bool classes_is_copy(const struct config *config, struct str name)
{
	struct record_reader *reader;
	char dir[PATH_MAX];
	bool is_torn, found;
	struct str line;

	if (!dir_of(config, name, dir) || !record_reader_open(str_from_c(dir), INT64_MIN, INT64_MAX, false, &reader, NULL))
		return false;

	bool is_copy = record_reader_next(reader, &line, &is_torn, &found, NULL) && found && !is_torn && names_another(line, name);

	record_reader_close(reader);
	return is_copy;
}

static bool is_there(const struct config *config, struct str name)
{
	char dir[PATH_MAX];

	return dir_of(config, name, dir) && (access(dir, F_OK) == 0 || errno != ENOENT);
}

bool classes_is_due(const struct config *config, struct str name)
{
	if (is_there(config, name))
		return true;
	return (str_eq(name, CLASS_RELAY) && is_there(config, CLASS_OPS)) || (str_eq(name, CLASS_OPS) && is_there(config, CLASS_RELAY));
}

struct warning {
	const struct config *config;
	struct config_report *report;
};

static bool warn(void *arg, struct str name, struct err *err)
{
	const struct warning *w = arg;

	(void)err;
	if (classes_is_copy(w->config, name))
		config_report_warning(w->report, (struct config_place){ .file = w->config->path },
				      "relay_log: " STR_FMT "/" STR_FMT " is a copy of another class, and nobody purges it: move it out of there",
				      STR_ARG(w->config->log_dir), STR_ARG(name));
	else
		config_report_warning(w->report, (struct config_place){ .file = w->config->path },
				      "classes in relay_log: " STR_FMT "/" STR_FMT " holds records, and nobody purges what no class is named "
				      "for; keep \"" STR_FMT "\" there until they are gone",
				      STR_ARG(w->config->log_dir), STR_ARG(name), STR_ARG(name));
	return true;
}

/* Who may not read LOGDIR hears nothing of it. */
void classes_check(const struct config *config, struct config_report *report)
{
	struct warning w = { config, report };

	classes_former(config, warn, &w, NULL);
}
