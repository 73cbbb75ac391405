/*
 * Reading the end of a class directory back, and mending it.
 *
 * The last file is walked whole, its chain recomputed (about a second for a million records). What stands behind the last
 * line that follows from the one before is a torn tail when no line of ours is in it and it is no larger than what one
 * group can be; else it is damage, which is evidence. A head without all its `tenants` lines was part of a group that was
 * never acknowledged, and goes with the tail. Older files are read only while the sequence numbers of the tenants are
 * not complete, which a file's `begin` and `tenants` lines tell.
 */
#include "milter/record/tail.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "milter/record/entry.h"
#include "milter/record/lines.h"
#include "milter/record/scan.h"

#define SIGNED_OCTETS (INT64_C(1) << 30)            /* before the last file, so many are looked at for a checkpoint */

struct walk {
	struct tail_head head;
	bool has_head;
	bool is_checked;               /* recompute the chain */
	int64_t good_end;              /* of the last line that followed */
	int64_t bad_at;                /* where the first bad line begins; -1: none */
	bool is_damaged;
	int64_t lacking;               /* `tenants` lines that its head says are still to come, nothing else being behind it */
	bool has_before;
	struct tail_head before;       /* where the file began */
	char time[JST_TIME_LEN + 1];
};

static bool take_tenant(struct tseq *tseq, struct str tenant, int64_t last, struct err *err)
{
	size_t row = tseq_row(tseq, tenant);

	if (row == SIZE_MAX)
		return err_memory(err);
	if (last > tseq->rows[row].last)
		tseq->rows[row].last = last;
	return true;
}

/* tenant and tseq stand right behind event: no further member is looked at. */
static bool take_record(struct tseq *tseq, struct str text, struct arena *arena, struct err *err)
{
	struct scan scan;
	struct str name, value, tenant = STR_EMPTY;
	int64_t last;

	if (!scan_open(text, '{', &scan))
		return true;
	for (int i = 0; i < 5 && scan_member(&scan, &name, &value) == SCAN_ITEM; i++) {
		if (str_eq(name, STR("tenant")) && !scan_string(value, arena, &tenant))
			return true;
		if (str_eq(name, STR("tseq")) && tenant.len && scan_i64(value, &last))
			return take_tenant(tseq, tenant, last, err);
	}
	return true;
}

static bool take_snapshot(struct tseq *tseq, struct str text, struct arena *arena, struct err *err)
{
	struct scan scan;
	struct str detail, map, name, value, tenant;
	int64_t last;

	if (!scan_find(text, STR("detail"), &detail) || !scan_find(detail, STR("tseq"), &map) || !scan_open(map, '{', &scan))
		return true;
	while (scan_member(&scan, &name, &value) == SCAN_ITEM) {
		struct str quoted = str_of(name.ptr - 1, name.len + 2);

		if (scan_string(quoted, arena, &tenant) && scan_i64(value, &last) &&
		    !take_tenant(tseq, tenant, last, err))
			return false;
	}
	return true;
}

static bool take_tseq(struct tseq *tseq, struct str event, struct str text, struct err *err)
{
	const unsigned long shortages = memory_shortages();
	struct arena arena;

	arena_init(&arena, 2 * RECORD_LINE_MAX);
	bool ok = str_eq(event, STR("tenants")) ? take_snapshot(tseq, text, &arena, err)
						: take_record(tseq, text, &arena, err);

	arena_clear(&arena);
	return ok && (memory_shortages() == shortages || err_memory(err));
}

/* Where a walk that knows nothing of earlier files begins: with what the first line says it continues. */
static void seed(struct walk *walk, const struct record_link *link, struct str text)
{
	struct begin_entry begin;
	struct str detail;

	if (walk->has_head || !str_eq(link->event, STR("begin")) || !scan_find(text, STR("detail"), &detail) ||
	    !begin_entry_read(detail, &begin))
		return;
	walk->has_head = true;
	walk->head.seq = begin.after;
	memcpy(walk->head.chain, begin.hash, CHAIN_LEN);
}

static bool follows(const struct walk *walk, const struct record_link *link)
{
	unsigned char chain[CHAIN_LEN], leaf[CHAIN_LEN];

	if (!walk->has_head)
		return true;
	if (link->seq != walk->head.seq + 1)
		return false;
	if (!walk->is_checked)
		return true;
	memcpy(chain, walk->head.chain, CHAIN_LEN);
	record_link_leaf(link, leaf);
	chain_advance(chain, leaf);
	return memcmp(chain, link->chain, CHAIN_LEN) == 0;
}

static void take_checkpoint(struct tail_head *head, const struct record_link *link, struct str text)
{
	struct checkpoint_entry checkpoint;
	struct str detail;

	head->signed_seq = link->seq;
	head->next[0] = head->signed_node[0] = '\0';
	if (!scan_find(text, STR("detail"), &detail) || !checkpoint_entry_read(detail, link->time, &checkpoint))
		return;
	snprintf(head->signed_node, sizeof head->signed_node, STR_FMT, STR_ARG(checkpoint.node));
	if (checkpoint.next.len == ONCE_BASE64_LEN)
		snprintf(head->next, sizeof head->next, STR_FMT, STR_ARG(checkpoint.next));
}

static int64_t still_lacking(int64_t lacking, const struct record_link *link, const struct line *line)
{
	struct begin_entry begin;
	struct str detail;

	if (line->offset == 0 && str_eq(link->event, STR("begin")))
		return scan_find(line->text, STR("detail"), &detail) && begin_entry_read(detail, &begin) ? begin.tenants : 0;
	return str_eq(link->event, STR("tenants")) && lacking > 0 ? lacking - 1 : 0;
}

static bool walk_line(struct tail *tail, struct walk *walk, const struct line *line, struct err *err)
{
	struct record_link link;

	if (!line->is_whole || !record_parse_link(line->text, &link)) {
		if (walk->bad_at < 0)
			walk->bad_at = line->offset;
		return true;
	}
	if (line->offset == 0)
		seed(walk, &link, line->text);
	if (walk->bad_at < 0 && !follows(walk, &link))
		walk->bad_at = line->offset;
	walk->is_damaged |= walk->bad_at >= 0;
	if (walk->bad_at < 0)
		walk->good_end = line->end;
	walk->has_head = true;
	walk->head.seq = link.seq;
	memcpy(walk->head.chain, link.chain, CHAIN_LEN);
	if (link.time.len == JST_TIME_LEN)
		memcpy(walk->time, link.time.ptr, JST_TIME_LEN);
	walk->lacking = still_lacking(walk->lacking, &link, line);
	if (str_eq(link.event, STR("checkpoint")))
		take_checkpoint(&walk->head, &link, line->text);
	return link.leaf_text.len == 0 || take_tseq(&tail->tseq, link.event, line->text, err);
}

static bool walk_file(struct tail *tail, struct walk *walk, int fd, const char *name, int64_t from, int64_t size,
		      struct err *err)
{
	struct lines lines;
	struct line line;
	bool found = false, ok;

	walk->good_end = from;
	walk->bad_at = -1;
	walk->is_damaged = false;
	walk->lacking = 0;
	walk->has_before = walk->has_head;
	walk->before = walk->head;
	if (!lines_open(&lines, fd, name, from, size, err))
		return false;
	while ((ok = lines_next(&lines, &line, &found, err)) && found && (ok = walk_line(tail, walk, &line, err)))
		;
	lines_close(&lines);
	if (walk->time[0])
		jst_parse_time(str_of(walk->time, JST_TIME_LEN), &walk->head.time_us);
	return ok;
}

/* A crash cut a file's head off between its lines, and who reads the file counts on from it: it is written anew, whole. */
static void give_up_head(struct walk *walk, int64_t size)
{
	if (walk->lacking == 0 || walk->is_damaged || !walk->has_before || size > (int64_t)TAIL_TORN_MAX)
		return;
	walk->good_end = walk->bad_at = 0;
	walk->head = walk->before;
}

/* What the walk of the current file found, put right. */
static bool mend(struct tail *tail, struct walk *walk, int64_t size, struct err *err)
{
	char name[RECORD_NAME_MAX];

	give_up_head(walk, size);

	bool is_damage = walk->is_damaged || size - walk->good_end > (int64_t)TAIL_TORN_MAX;

	record_file_name(tail->file, name);
	tail->head = walk->head;
	tail->size = is_damage ? size : walk->good_end;
	tail->allocated = tail->size;
	if (walk->bad_at < 0)
		return true;
	tail->repair = (struct tail_repair){ tail->file, is_damage ? REPAIR_DAMAGE : REPAIR_CUT, walk->bad_at,
					     size - walk->bad_at };
	tail->is_spoilt = is_damage;
	if (is_damage) {
		log_error("%s/%s: damaged at octet %" PRId64 "; nothing was changed, records go on in a new part", tail->dir, name,
			  walk->bad_at);
		return true;
	}
	log_warn("%s/%s: %" PRId64 " octets behind the last whole record were cut off after a crash", tail->dir, name,
		 tail->repair.octets);
	if (io_calls.truncate(tail->fd, tail->size) != 0)
		return err_errno(err, ERR_BUSY, "cut %s/%s", tail->dir, name);
	return io_sync(tail->fd, name, err);
}

bool tail_follow(struct tail *tail, int64_t size, struct err *err)
{
	struct walk walk = { .head = tail->head, .has_head = true, .is_checked = true };

	if (!walk_file(tail, &walk, tail->fd, tail->dir, tail->size, size, err))
		return false;

	int64_t allocated = tail->allocated;

	if (!mend(tail, &walk, size, err))
		return false;
	if (allocated > tail->allocated)
		tail->allocated = allocated;
	return true;
}

static int open_file(struct tail *tail, struct record_file file, int flags, struct stat *out_st, struct err *err)
{
	char path[PATH_MAX];

	if (!record_file_path(tail->dir, file, path, err))
		return -1;

	int fd = record_file_open(path, flags, err);

	if (fd >= 0 && fstat(fd, out_st) != 0) {
		err_errno(err, ERR_BUSY, "%s", path);
		close(fd);
		fd = -1;
	}
	return fd;
}

/* `begin`, and as many `tenants` lines behind it as it says. */
static bool has_snapshot(struct lines *lines)
{
	struct record_link link;
	struct begin_entry begin;
	struct line line;
	struct str detail;
	bool found;

	if (!lines_next(lines, &line, &found, NULL) || !found || !record_parse_link(line.text, &link) ||
	    !str_eq(link.event, STR("begin")) || !scan_find(line.text, STR("detail"), &detail) ||
	    !begin_entry_read(detail, &begin))
		return false;
	while (begin.tenants-- > 0)
		if (!lines_next(lines, &line, &found, NULL) || !found || !line.is_whole ||
		    !record_parse_link(line.text, &link) || !str_eq(link.event, STR("tenants")))
			return false;
	return true;
}

/* From which file on the tenants' numbers are complete. */
static bool first_needed(struct tail *tail, const struct record_file *files, size_t count, size_t *out, struct err *err)
{
	for (*out = count - 1; *out > 0; --*out) {
		struct stat st;
		struct lines lines;
		int fd = open_file(tail, files[*out], O_RDONLY, &st, err);

		if (fd < 0)
			return false;

		bool opened = lines_open(&lines, fd, tail->dir, 0, st.st_size, err);
		bool found = opened && has_snapshot(&lines);

		if (opened)
			lines_close(&lines);
		close(fd);
		if (!opened || found)
			return opened;
	}
	return true;
}

static bool load_older(struct tail *tail, struct walk *walk, struct record_file file, struct err *err)
{
	struct stat st;
	int fd = open_file(tail, file, O_RDONLY, &st, err);

	if (fd < 0)
		return false;
	walk->is_checked = false;
	bool ok = walk_file(tail, walk, fd, tail->dir, 0, st.st_size, err);

	close(fd);
	tail->before = file;
	tail->before_end = walk->good_end;
	return ok;
}

static bool load_last(struct tail *tail, struct walk *walk, struct record_file file, bool was_spoilt, struct err *err)
{
	struct stat st;

	tail->fd = open_file(tail, file, O_RDWR | O_APPEND, &st, err);
	if (tail->fd < 0)
		return false;
	tail->file = file;
	walk->is_checked = true;
	if (!walk_file(tail, walk, tail->fd, tail->dir, 0, st.st_size, err) || !mend(tail, walk, st.st_size, err)) {
		close(tail->fd);
		tail->fd = -1;
		return false;
	}
	tail->is_spoilt |= was_spoilt;
	return true;
}

/*
 * The last checkpoint, when it is in an older file than those that were walked: a log that is signed has one each hour. Not
 * so many files but so many octets: each sync that fails begins a file, and the next to fail leaves it unsigned.
 */
static bool find_checkpoint(struct tail *tail, const struct record_file *files, size_t count, struct err *err)
{
	int64_t looked_at = 0;

	for (size_t at = count; at > 0 && looked_at < SIGNED_OCTETS && tail->head.signed_seq == 0; at--) {
		struct record_link link;
		struct lines lines;
		struct line line;
		struct stat st;
		bool found = false, ok;
		int fd = open_file(tail, files[at - 1], O_RDONLY, &st, err);

		if (fd < 0)
			return false;
		ok = lines_open_backward(&lines, fd, tail->dir, st.st_size, err);
		while (ok && (ok = lines_next(&lines, &line, &found, err)) && found && tail->head.signed_seq == 0)
			if (line.is_whole && record_parse_link(line.text, &link) && str_eq(link.event, STR("checkpoint")))
				take_checkpoint(&tail->head, &link, line.text);
		lines_close(&lines);
		close(fd);
		if (!ok)
			return false;
		looked_at += st.st_size;
	}
	return true;
}

static bool load_files(struct tail *tail, const struct record_file *files, size_t count, struct err *err)
{
	struct walk walk = { .bad_at = -1 };
	struct record_file spoilt = tail->is_spoilt ? tail->file : (struct record_file){ 0 };
	size_t at = 0;

	tail->file = tail->before = (struct record_file){ 0 };
	tail->size = tail->before_end = 0;
	tail->is_spoilt = tail->has_rest = false;
	tail->head = (struct tail_head){ 0 };
	if (count == 0)
		return true;
	if (!first_needed(tail, files, count, &at, err))
		return false;
	for (; at < count - 1; at++)
		if (!load_older(tail, &walk, files[at], err))
			return false;
	return load_last(tail, &walk, files[at], record_file_cmp(&spoilt, &files[at]) == 0, err) &&
	       (!tail->is_signing || find_checkpoint(tail, files, count - 1, err));
}

/* Lines that we wrote are gone: the log goes on behind them, so that everybody sees where they were. */
static void keep_head(struct tail *tail, const struct tail *was)
{
	char name[RECORD_NAME_MAX];

	if (tail->head.seq > was->head.seq ||
	    (tail->head.seq == was->head.seq && memcmp(tail->head.chain, was->head.chain, CHAIN_LEN) == 0))
		return;
	record_file_name(was->file, name);
	log_error("%s/%s: records up to %" PRId64 " were there and are not any more; records go on in a new part", tail->dir, name,
		  was->head.seq);
	tail->repair = (struct tail_repair){ was->file, REPAIR_MISSING, tail->size, was->size - tail->size };
	tail->head = was->head;
	tail->is_spoilt = true;
	tail->before = was->file;
	tail->before_end = was->size;
	tail->size = 0;                             /* `before` is set already */
}

bool tail_load(struct tail *tail, struct err *err)
{
	struct record_file *files = NULL;
	size_t count = 0;
	const struct tail was = *tail;

	if (!record_files_list(tail->dir, &files, &count, err))
		return false;
	bool ok = load_files(tail, files, count, err);

	free(files);
	if (ok) {
		keep_head(tail, &was);
	} else {
		tail->file = was.file;
		tail->size = was.size;
		tail->before = was.before;
		tail->before_end = was.before_end;
		tail->is_spoilt = was.is_spoilt;
		tail->has_rest = was.has_rest;
		tail->head = was.head;
	}
	return ok;
}
