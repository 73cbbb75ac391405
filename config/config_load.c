/*
 * Loading, in this order: every default; the main file and what it includes, each setting as it comes; then the
 * tenants, which need all of that; then what only shows when settings are held against one another. An error does not
 * stop the reading, so that one run shows them all; but where a whole file is missing, what refers to it is not
 * complained about as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/config_read.h"
#include "config/config_return.h"
#include "config/config_snapshot.h"

/* The tree of CONFIG_FILE_MAX octets of ordinary configuration fits ten times over. */
#define TREE_MEMORY_MAX ((size_t)4 << 30)

struct file {
	struct str path;
	dev_t dev;
	ino_t ino;
	struct file *next;
};

#define CHAINS 4096                    /* of files: of 200 000 each has fifty */

struct loader {
	struct reader reader;
	struct arena scratch;
	struct config_draft draft;
	struct file *files[CHAINS];    /* read so far, by inode */
	size_t file_count;
	size_t octets_left;            /* of all files together */
	bool is_whole;                 /* every file could be read, and all that name one */
};

/* The place of what named the file: an include, or nothing for the main file. */
static struct config_place cause(const struct node *include)
{
	return include ? node_place(include) : (struct config_place){ 0 };
}

static bool is_read_already(const struct loader *l, const struct stat *st)
{
	for (const struct file *file = l->files[st->st_ino % CHAINS]; file; file = file->next)
		if (file->dev == st->st_dev && file->ino == st->st_ino)
			return true;
	return false;
}

/* NULL: not to be read, the report says why. */
static struct file *note_file(struct loader *l, const char *path, const struct node *include)
{
	struct reader *r = &l->reader;
	struct file *file;
	struct stat st;
	struct err err;

	if (stat(path, &st) != 0) {
		err_errno(&err, ERR_CONFIG, "%s", path);
		config_refuse(r, cause(include), "%s", err.text);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		config_refuse(r, cause(include), "%s: not a regular file%s", path,
			      include && S_ISDIR(st.st_mode) ? "; for all in a directory write DIRECTORY/*.yaml" : "");
		return NULL;
	}
	if (is_read_already(l, &st)) {
		config_refuse(r, cause(include), "include: %s is read already; a file is included once, and never by "
						 "itself", path);
		return NULL;
	}
	if (l->file_count >= CONFIG_FILES_MAX) {
		if (l->file_count++ == CONFIG_FILES_MAX)
			config_refuse(r, cause(include), "include: more than %d files", CONFIG_FILES_MAX);
		return NULL;
	}
	file = arena_new(&l->scratch, struct file);
	if (!file || !arena_copy(&l->scratch, str_from_c(path), &file->path)) {
		config_no_memory(r);
		return NULL;
	}
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	file->next = l->files[st.st_ino % CHAINS];
	l->file_count++;
	return l->files[st.st_ino % CHAINS] = file;
}

static bool includes_all(const struct node *root)
{
	const struct node *include = node_find(root, STR("include"));

	return !include || !include->is_twice;
}

static bool parse_file(struct loader *l, const struct file *file, struct str text)
{
	struct node *root = NULL;
	bool ok = config_yaml_read(text, &file->path, &l->scratch, l->reader.report, &root);

	l->is_whole &= ok || (root && includes_all(root));
	return (!root || config_read_map(&l->reader, NULL, root, TABLE_TOP, true, &l->draft)) && ok;
}

static bool read_file(struct loader *l, const char *path, const struct node *include)
{
	const struct file *file = note_file(l, path, include);
	struct buf text;
	struct err err;

	if (!file)
		return l->is_whole = false;
	buf_init(&text, l->octets_left);

	bool ok = io_read_file(path, &text, &err) || config_refuse(&l->reader, cause(include), "%s", err.text);

	l->is_whole &= ok;
	l->octets_left -= text.len;
	l->draft.config.fingerprint = l->draft.config.fingerprint * 31 + str_hash(buf_view(&text));
	ok = ok && parse_file(l, file, buf_view(&text));
	buf_clear(&text);
	return ok;
}

/* A directory is a name, not a pattern, whatever it is called. */
static bool quote_for_glob(struct arena *arena, struct str dir, struct str *out)
{
	char *quoted = arena_array(arena, dir.len, 2);
	size_t len = 0;

	if (!quoted)
		return false;
	for (size_t i = 0; i < dir.len; i++) {
		if (memchr("*?[]\\", dir.ptr[i], 5))
			quoted[len++] = '\\';
		quoted[len++] = dir.ptr[i];
	}
	*out = str_of(quoted, len);
	return true;
}

/* The pattern as glob(3) takes it; relative ones begin where the file that has them stands. */
static bool make_pattern(struct loader *l, const struct node *include, struct str *out)
{
	struct str dir = STR("."), name, pattern = include->text;

	if (pattern.len == 0 || pattern.len > PATH_MAX || memchr(pattern.ptr, '\0', pattern.len))
		return config_expected(&l->reader, NULL, "include", include,
				       "a path or a pattern such as tenants.d/*.yaml");
	if (pattern.ptr[0] == '/') {
		*out = pattern;
		return true;
	}
	str_cut_last(*include->file, '/', &dir, &name);
	return (quote_for_glob(&l->scratch, dir, &dir) &&
		arena_printf(&l->scratch, out, STR_FMT "/" STR_FMT, STR_ARG(dir), STR_ARG(pattern))) ||
	       config_no_memory(&l->reader);
}

/* The directory that cannot be looked into, and why: glob(3) hands its error function nothing of the caller's. */
static _Thread_local struct err unseen;

/* A directory that is not there holds no tenants; one that cannot be looked into may. */
static int note_unseen(const char *dir, int why)
{
	if (why == ENOENT || why == ENOTDIR)
		return 0;
	errno = why;
	err_errno(&unseen, ERR_CONFIG, "%s", dir);
	return GLOB_ABORTED;
}

/*
 * A name without wildcards is not read from a directory: glob(3) asks for it, and takes "you may not ask" for "it is not
 * there". So each directory that the pattern finds on its way must be one that we may pass.
 */
static int look_on_way(struct str way)
{
	glob_t dirs = { 0 };
	int why = glob(way.ptr, 0, note_unseen, &dirs);

	for (size_t i = 0; why == 0 && i < dirs.gl_pathc; i++)
		if (faccessat(AT_FDCWD, dirs.gl_pathv[i], X_OK, AT_EACCESS) != 0)
			why = note_unseen(dirs.gl_pathv[i], errno);
	globfree(&dirs);
	return why;
}

/* 0, or what glob(3) says. */
static int find_files(struct loader *l, struct str pattern, glob_t *out)
{
	struct str way;

	*out = (glob_t){ 0 };
	for (size_t at = strcspn(pattern.ptr, "*?["); at < pattern.len; at++) {
		int why = pattern.ptr[at] != '/' ? 0
			: arena_copy(&l->scratch, str_slice(pattern, 0, at + 1), &way) ? look_on_way(way) : GLOB_NOSPACE;

		if (why != 0)
			return why;
	}
	return glob(pattern.ptr, 0, note_unseen, out);
}

static bool read_pattern(struct loader *l, const struct node *include)
{
	char quoted[CONFIG_QUOTE_SIZE];
	struct str pattern;
	bool ok = true;
	glob_t found;
	int why;

	if (include->kind != NODE_TEXT)
		return config_expected(&l->reader, NULL, "include", include,
				       "a path or a pattern such as tenants.d/*.yaml");
	if (!make_pattern(l, include, &pattern))
		return false;
	why = find_files(l, pattern, &found);
	if (why == GLOB_NOMATCH && strpbrk(pattern.ptr, "*?["))
		config_report_warning(l->reader.report, node_place(include), "include: no file matches %s",
				      config_quote(pattern, quoted));
	else if (why == GLOB_NOMATCH)
		ok = l->is_whole = config_refuse(&l->reader, node_place(include), "include: there is no file %s",
						 config_quote(pattern, quoted));
	else if (why == GLOB_ABORTED)
		ok = l->is_whole = config_refuse(&l->reader, node_place(include), "include: cannot look for %s: %s",
						 config_quote(pattern, quoted), unseen.text);
	else if (why != 0)
		ok = l->is_whole = config_no_memory(&l->reader);
	for (size_t i = 0; why == 0 && i < found.gl_pathc && l->reader.report->count < CONFIG_ERRORS_MAX; i++)
		ok &= read_file(l, found.gl_pathv[i], include);
	globfree(&found);
	return ok;
}

/* Files read meanwhile may add more: the chain is its own work list, so includes inside includes need no recursion. */
static bool read_includes(struct loader *l)
{
	bool ok = true;

	for (const struct node_link *link = l->draft.includes.first; link; link = link->next) {
		const struct node *item;
		size_t count;

		if (!config_read_items(&l->reader, NULL, "include", link->node, &item, &count))
			ok = false;
		else
			for (; item; item = config_next_item(link->node, item))
				ok &= read_pattern(l, item);
	}
	return ok;
}

static bool set_node_name(struct loader *l)
{
	char host[256] = "";
	struct str name, rest;

	if (l->draft.config.node.len)
		return true;
	gethostname(host, sizeof host - 1);
	name = str_from_c(host);
	str_cut(name, '.', &name, &rest);
	if (!arena_copy_lower(l->reader.arena, name, &l->draft.config.node))
		return config_no_memory(&l->reader);
	return config_is_name(l->draft.config.node) ||
	       config_refuse(&l->reader, (struct config_place){ .file = l->draft.config.path },
			     "node: this host's name cannot serve as one; write node: NAME");
}

static bool set_path(struct loader *l, struct str *path, const char *below_state_dir)
{
	return path->len ||
	       arena_printf(l->reader.arena, path, STR_FMT "/%s", STR_ARG(l->draft.config.state_dir),
			    below_state_dir) ||
	       config_no_memory(&l->reader);
}

/* Defaults that depend on the host or on other settings. */
static bool set_computed(struct loader *l)
{
	bool ok = set_node_name(l);

	if (!l->draft.config.alarm_command.ptr)          /* "none" is an empty text, and not said is none at all */
		l->draft.config.alarm_command = l->draft.config.notify_command;
	ok &= set_path(l, &l->draft.config.pid_file, "sekisho-milter.pid");
	ok &= set_path(l, &l->draft.config.store_path, "store");
	return ok;
}

static bool needs_rewrite(const struct config *config)
{
	for (size_t i = 0; i < config->tenant_count; i++)
		if (config_tenant_tracks(&config->tenants[i]))
			return true;
	return false;
}

static bool needs_body(const struct config *config)
{
	if (config->needs_rewrite || config->needs_return_path)
		return true;
	for (size_t i = 0; i < config->tenant_count; i++) {
		const struct tenant *tenant = &config->tenants[i];

		if (tenant->size_max != LIMIT_NONE)
			return true;
		for (size_t j = 0; j < tenant->quota_count; j++)
			if (tenant->quotas[j].counts == COUNTS_BYTES)
				return true;
	}
	return false;
}

static bool load(struct loader *l, const char *path)
{
	struct config *config = &l->draft.config;
	bool ok;

	if (!arena_copy(l->reader.arena, str_from_c(path), &config->path))
		return config_no_memory(&l->reader);
	ok = config_read_defaults(&l->reader, TABLE_TOP, &l->draft) && read_file(l, path, NULL);
	ok &= read_includes(l);
	ok &= set_computed(l);
	ok &= config_read_tenants(&l->reader, &l->draft, l->is_whole);
	ok &= config_check(&l->reader, &l->draft);
	ok = ok && config_return_build(&l->reader, config);
	config->needs_rewrite = ok && needs_rewrite(config);
	config->needs_return_path = ok && config->return_owner_count > 0;
	config->needs_keys = config->needs_rewrite || config->needs_return_path;
	config->needs_body = ok && needs_body(config);
	config->content_headers = ok ? config_content_headers(config) : 0;
	config->loaded_us = clock_now_us();
	return ok && l->reader.report->count == 0;
}

bool config_load(const char *path, struct config **out, struct config_report *report)
{
	struct config *config = config_snapshot_new();
	struct loader l = { .octets_left = CONFIG_FILE_MAX, .is_whole = true };

	config_report_init(report);
	arena_init(&l.scratch, TREE_MEMORY_MAX);
	if (!config) {
		config_report_error(report, (struct config_place){ 0 }, "out of memory");
		return false;
	}
	l.reader = (struct reader){ .arena = &config->arena, .scratch = &l.scratch, .report = report };

	bool ok = load(&l, path);

	arena_clear(&l.scratch);
	if (!ok) {
		config_free(config);
		return false;
	}
	l.draft.config.arena = config->arena;
	*config = l.draft.config;
	*out = config;
	return true;
}
