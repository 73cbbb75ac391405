#include "milter/record/verify_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/memory.h"
#include "milter/record/entry.h"
#include "milter/record/lines.h"
#include "milter/record/scan.h"

#define ARENA_MAX ((size_t)4 << 20)

void verify_file_find(struct verify_file *file, enum verify_result result, int64_t offset, int64_t seq, const char *fmt, ...)
{
	va_list ap;

	file->worst = verify_worse(file->worst, result);
	if (!file->findings)
		file->findings = arena_array(&file->arena, VERIFY_FINDINGS_MAX, sizeof *file->findings);
	if (file->finding_count++ >= VERIFY_FINDINGS_MAX || !file->findings)
		return;

	struct verify_finding *finding = &file->findings[file->finding_count - 1];

	*finding = (struct verify_finding){ result, str_from_c(file->name), offset, seq, STR_EMPTY };
	va_start(ap, fmt);
	verify_finding_say(finding, &file->arena, file->tongue, fmt, ap);
	va_end(ap);
}

void verify_file_find_err(struct verify_file *file, const struct err *err)
{
	file->is_unread = true;
	verify_file_find(file, VERIFY_UNKNOWN, -1, -1, "cannot be read: %s", err->text);
}

void verify_file_forget_short(struct verify_file *file, unsigned long shortages)
{
	struct err err;

	if (memory_shortages() == shortages)
		return;
	file->finding_count = 0;
	file->worst = VERIFY_OK;
	err_memory(&err);
	verify_file_find_err(file, &err);
}

int verify_file_open(struct verify_file *file, const struct verify_context *context)
{
	char path[PATH_MAX];
	struct stat st;
	struct err err;
	int fd = record_file_path(context->dir, file->file, path, &err) ? record_file_open(path, O_RDONLY, &err) : -1;

	file->is_moved = file->inode && (fd >= 0 ? fstat(fd, &st) != 0 || st.st_ino != file->inode : errno == ENOENT);
	if (fd >= 0 && !file->is_moved)
		return fd;
	if (fd >= 0)
		close(fd);
	file->is_unread = true;
	if (file->is_moved)
		verify_file_find(file, VERIFY_UNKNOWN, -1, -1, "removed or replaced while it was looked at");
	else
		verify_file_find_err(file, &err);
	return -1;
}

static bool read_begin(struct str text, struct begin_entry *out)
{
	struct record_link link;
	struct str detail;

	return record_parse_link(text, &link) && str_eq(link.event, STR("begin")) &&
	       scan_find(text, STR("detail"), &detail) && begin_entry_read(detail, out);
}

static void check_names(struct verify_file *file, const struct verify_context *context, const struct begin_entry *begin)
{
	if (!str_eq(begin->file, str_from_c(file->name)))
		verify_file_find(file, VERIFY_TAMPERED, 0, -1, "its first line says that it is " STR_FMT
				 ": another file was given this name", STR_ARG(str_slice(begin->file, 0, 40)));
	if (context->class_name.len && !str_eq(begin->class_name, context->class_name))
		verify_file_find(file, VERIFY_TAMPERED, 0, -1, "a file of another class: " STR_FMT ", not " STR_FMT,
				 STR_ARG(str_slice(begin->class_name, 0, ENTRY_NAME_MAX)), STR_ARG(context->class_name));
}

static void take_begin(struct verify_file *file, const struct verify_context *context, struct str text)
{
	struct begin_entry begin;

	if (!read_begin(text, &begin)) {
		verify_file_find(file, VERIFY_TAMPERED, 0, -1,
				 "does not begin with a line that says what it continues");
		return;
	}
	if (begin.previous.len && !record_file_parse(begin.previous, &file->previous)) {
		verify_file_find(file, VERIFY_TAMPERED, 0, -1, "its first line names no possible file before it");
		return;
	}
	check_names(file, context, &begin);
	file->has_begin = arena_copy(&file->arena, begin.node, &file->node);
	file->previous_end = begin.end;
	file->after = begin.after;
	memcpy(file->hash, begin.hash, CHAIN_LEN);
}

static void look_inside(struct verify_file *file, const struct verify_context *context, int fd)
{
	struct lines lines;
	struct line line;
	struct err err;
	bool found = false;

	if (!lines_open(&lines, fd, file->name, 0, file->size, &err) || !lines_next(&lines, &line, &found, &err))
		verify_file_find_err(file, &err);
	else if (found && line.is_whole)
		take_begin(file, context, line.text);
	else if (found && !file->is_last)
		verify_file_find(file, VERIFY_TAMPERED, 0, -1, "holds no whole line");
	lines_close(&lines);
}

void verify_file_look(struct verify_file *file, const struct verify_context *context)
{
	unsigned long shortages = memory_shortages();

	arena_init(&file->arena, ARENA_MAX);
	file->limit = INT64_MAX;
	record_file_name(file->file, file->name);
	if (file->is_no_file) {
		verify_file_find(file, VERIFY_TAMPERED, -1, -1, "is no file");
		return;
	}

	int fd = verify_file_open(file, context);

	if (fd < 0)
		return;
	look_inside(file, context, fd);
	close(fd);
	verify_file_forget_short(file, shortages);
}

void verify_file_clear(struct verify_file *file)
{
	for (struct verify_declared *declared = file->declared; declared; declared = declared->next)
		spans_clear(&declared->seqs);
	spans_clear(&file->erased_seqs);
	arena_clear(&file->arena);
}
