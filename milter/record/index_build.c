#include "milter/record/index_build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/memory.h"
#include "milter/record/format.h"
#include "milter/record/lines.h"
#include "milter/record/reader.h"
#include "milter/record/scan.h"

#define BUCKET_POSTINGS 128                         /* about so many: one read of half a kilobyte */
#define RECENT 4096
#define DIGIT_BITS 12

/* A posting while it is made: the hash's upper 48 bits, then the block. */
#define BLOCK_MASK UINT64_C(0xffff)

struct build {
	const char *dir;
	struct record_file file;
	struct index_keys keys;
	unsigned char salt[INDEX_SALT_LEN];
	unsigned block_bits;
	uint64_t *postings;
	size_t count, room;
	bool is_full;
	struct seal *seal;
	struct buf opened;             /* a sealed line */
	uint64_t recent[RECENT];       /* what was added lately: senders and domains repeat */
	struct arena arena;            /* for one line */
};

/* --- what a line holds */

static void add_posting(struct build *build, uint64_t posting)
{
	uint64_t *recent = &build->recent[posting >> 32 & (RECENT - 1)];

	if (*recent == posting || build->is_full)
		return;
	*recent = posting;
	if (build->count == build->room) {
		size_t room = build->room ? build->room * 2 : 65536;
		uint64_t *more = build->count < INDEX_POSTINGS_MAX ? reallocarray(build->postings, room, sizeof *more) : NULL;

		if (!more) {
			build->is_full = true;
			return;
		}
		build->postings = more;
		build->room = room;
	}
	build->postings[build->count++] = posting;
}

static void add_value(struct build *build, enum index_field field, struct str value, uint64_t block)
{
	uint64_t hash;

	if (index_term(&build->keys, field, value, &hash))
		add_posting(build, (hash & ~BLOCK_MASK) | block);
}

static const struct {
	struct str member;
	enum index_field field, domain;
} rows[] = {
	{ STR_INIT("id"), INDEX_REFERENCE, 0 },
	{ STR_INIT("message"), INDEX_REFERENCE, 0 },
	{ STR_INIT("queue_id"), INDEX_REFERENCE, 0 },
	{ STR_INIT("client"), INDEX_CLIENT, 0 },
	{ STR_INIT("from"), INDEX_SENDER, INDEX_SENDER_DOMAIN },
	{ STR_INIT("to"), INDEX_RECIPIENT, INDEX_RECIPIENT_DOMAIN },
	{ STR_INIT("rcpt"), INDEX_RECIPIENT, INDEX_RECIPIENT_DOMAIN },
	{ STR_INIT("detail"), INDEX_REFERENCE, 0 },
};

static void add_string(struct build *build, size_t row, struct str value, uint64_t block)
{
	struct str text;

	if (!scan_string(value, &build->arena, &text))
		return;
	add_value(build, rows[row].field, text, block);
	if (rows[row].domain)
		add_value(build, rows[row].domain, text, block);
}

static void add_member(struct build *build, size_t row, struct str value, uint64_t block)
{
	struct scan scan;
	struct str item;

	if (scan_open(value, '{', &scan)) {
		if (scan_find(value, STR("message_id"), &item))
			add_string(build, row, item, block);
	} else if (scan_open(value, '[', &scan)) {
		while (scan_item(&scan, &item) == SCAN_ITEM)
			add_string(build, row, item, block);
	} else {
		add_string(build, row, value, block);
	}
}

static void add_line(struct build *build, const struct line *line)
{
	uint64_t block = (uint64_t)line->offset >> build->block_bits;
	const unsigned long shortages = memory_shortages();
	struct str name, value, text;
	struct scan scan;

	arena_reset(&build->arena);
	enum seal_result result = seal_read_line(build->seal, line->text, &build->opened, &text);

	if (scan_open(text, '{', &scan))
		while (scan_member(&scan, &name, &value) == SCAN_ITEM)
			for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
				if (str_eq(name, rows[i].member))
					add_member(build, i, value, block);
	build->is_full |= result == SEAL_UNREAD || (result == SEAL_CLOSED && !build->seal) || memory_shortages() != shortages;
}

/* Up to `end`, or as far as there is room: a line that could not be read, or whose postings are not all there, is not covered. */
static bool read_log(struct build *build, int fd, const char *path, int64_t end, int64_t *out_covered, struct err *err)
{
	struct lines lines;
	struct line line;
	bool found = false, ok;

	*out_covered = 0;
	if (!lines_open(&lines, fd, path, 0, end, err))
		return false;
	while ((ok = lines_next(&lines, &line, &found, err)) && found && line.end <= end &&
	       line.offset >> build->block_bits < INDEX_BLOCKS_MAX) {
		if (line.is_whole)
			add_line(build, &line);
		if (build->is_full)
			break;
		*out_covered = line.end;
	}
	lines_close(&lines);
	return ok;
}

/* --- order */

/* By hash; postings came by block and stay so within a hash. */
static bool sort(struct build *build)
{
	static const unsigned shifts[] = { 16, 28, 40, 52 };
	uint64_t *from = build->postings, *to = malloc(build->count * sizeof *to + 1);

	if (!to)
		return false;
	for (size_t pass = 0; pass < sizeof shifts / sizeof *shifts; pass++) {
		size_t starts[1 << DIGIT_BITS] = { 0 }, sum = 0;

		for (size_t i = 0; i < build->count; i++)
			starts[from[i] >> shifts[pass] & ((1 << DIGIT_BITS) - 1)]++;
		for (size_t digit = 0; digit < 1 << DIGIT_BITS; digit++) {
			size_t n = starts[digit];

			starts[digit] = sum;
			sum += n;
		}
		for (size_t i = 0; i < build->count; i++)
			to[starts[from[i] >> shifts[pass] & ((1 << DIGIT_BITS) - 1)]++] = from[i];

		uint64_t *swap = from;

		from = to;
		to = swap;
	}
	free(to);                                   /* an even number of passes: the result lies where it was */
	return true;
}

static void drop_doubles(struct build *build)
{
	size_t kept = 0;

	for (size_t i = 0; i < build->count; i++)
		if (kept == 0 || build->postings[kept - 1] != build->postings[i])
			build->postings[kept++] = build->postings[i];
	build->count = kept;
}

/* --- the file */

static unsigned bucket_bits_for(size_t count)
{
	unsigned bits = 0;

	while (bits < INDEX_BUCKET_BITS_MAX && count >> bits > BUCKET_POSTINGS)
		bits++;
	return bits;
}

static void write_head(const struct build *build, unsigned bucket_bits, int64_t covered, uint64_t tail_mac, unsigned char *out)
{
	memcpy(out, "SKINDEX1", 8);
	le64_write((uint64_t)covered, out + 8);
	le64_write(build->count, out + 16);
	le32_write(build->block_bits, out + 24);
	le32_write(bucket_bits, out + 28);
	memcpy(out + 32, build->salt, INDEX_SALT_LEN);
	le64_write(tail_mac, out + 48);
	le64_write(siphash(build->keys.mac, str_of((const char *)out, INDEX_HEAD_LEN - 8)), out + INDEX_HEAD_LEN - 8);
}

static void write_buckets(const struct build *build, unsigned bits, unsigned char *out)
{
	unsigned char *row = out + INDEX_HEAD_LEN, *postings = row + ((size_t)INDEX_ROW_LEN << bits), *at = postings;
	size_t next = 0;

	for (uint32_t bucket = 0; bucket < UINT32_C(1) << bits; bucket++, row += INDEX_ROW_LEN) {
		unsigned char *first = at;
		size_t begin = next;

		for (; next < build->count && (bits == 0 || build->postings[next] >> (64 - bits) == bucket); next++) {
			uint64_t posting = build->postings[next];

			le32_write((uint32_t)(posting >> (48 - bits) & BLOCK_MASK) << 16 | (uint32_t)(posting & BLOCK_MASK), at);
			at += INDEX_POSTING_LEN;
		}
		le32_write(bucket, row + 8);
		le32_write((uint32_t)begin, row + 12);
		le32_write((uint32_t)(next - begin), row + 16);
		le64_write(index_bucket_mac(&build->keys, row, first, next - begin), row);
	}
}

static bool replace_file(const char *path, struct str text, struct err *err)
{
	char tmp[PATH_MAX + 32];

	snprintf(tmp, sizeof tmp, "%s.%ld", path, (long)getpid());

	int fd = io_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0640, err);

	if (fd < 0)
		return false;
	bool ok = io_write_all(fd, text, tmp, err);

	close(fd);
	ok = ok && (io_calls.rename(tmp, path) == 0 || err_errno(err, ERR_BUSY, "rename %s", path));
	if (!ok)
		io_calls.unlink(tmp);
	return ok;
}

/* Not synced: after a crash it is good, or its MACs say that it is not. */
static bool write_index(struct build *build, int64_t covered, uint64_t tail_mac, size_t *out_size, struct err *err)
{
	unsigned bits = bucket_bits_for(build->count);
	size_t size = INDEX_HEAD_LEN + ((size_t)INDEX_ROW_LEN << bits) + build->count * INDEX_POSTING_LEN;
	unsigned char *text = malloc(size);
	char path[PATH_MAX], folder[PATH_MAX];
	bool ok = text && index_path(build->dir, build->file, path) &&
		  snprintf(folder, sizeof folder, "%s/.index", build->dir) < (int)sizeof folder;

	if (!ok) {
		free(text);
		return err_memory(err);
	}
	write_head(build, bits, covered, tail_mac, text);
	write_buckets(build, bits, text);
	ok = io_make_dirs(folder, 0750, err) && replace_file(path, str_of((const char *)text, size), err);
	free(text);
	*out_size = size;
	return ok;
}

static bool build_from(struct build *build, int fd, const char *path, int64_t end, size_t *out_size, struct err *err)
{
	int64_t covered;
	uint64_t tail_mac;

	while (end >> build->block_bits >= INDEX_BLOCKS_MAX && build->block_bits < 40)
		build->block_bits++;
	return read_log(build, fd, path, end, &covered, err) && (sort(build) || err_memory(err)) && (drop_doubles(build), true) &&
	       (index_tail_mac(&build->keys, fd, covered, &tail_mac) || err_errno(err, ERR_BUSY, "read %s", path)) &&
	       write_index(build, covered, tail_mac, out_size, err);
}

static bool build_index(const char *dir, struct seal *seal, struct record_file file, const unsigned char key[INDEX_KEY_LEN], int fd, int64_t end,
			size_t *out_size, struct err *err)
{
	struct build *build = calloc(1, sizeof *build);
	char path[PATH_MAX], name[RECORD_NAME_MAX];

	if (!build)
		return err_memory(err);
	build->dir = dir;
	build->file = file;
	build->seal = seal;
	buf_init(&build->opened, 2 * RECORD_LINE_MAX);
	build->block_bits = INDEX_BLOCK_BITS_MIN;
	arena_init(&build->arena, RECORD_LINE_MAX * 16);
	record_file_name(file, name);
	bool ok = record_file_path(dir, file, path, err) &&
		  (getrandom(build->salt, sizeof build->salt, 0) == sizeof build->salt || err_errno(err, ERR_BUSY, "getrandom"));

	if (ok) {
		index_keys_make(key, str_from_c(name), build->salt, &build->keys);
		ok = build_from(build, fd, path, end, out_size, err);
	}
	arena_clear(&build->arena);
	buf_clear(&build->opened);
	free(build->postings);
	free(build);
	return ok || err_wrap(err, "index of %s/%s", dir, name);
}

/* --- all of a class */

struct update {
	const char *dir;
	struct seal *seal;
	struct record_file *files;
	size_t count;
	unsigned char key[INDEX_KEY_LEN];
	bool anew, is_over;
	index_fn *tell;
	void *arg;
	struct index_work *work;
};

static bool has_room(const char *dir)
{
	struct statvfs st;

	return statvfs(dir, &st) != 0 || st.f_bavail >= st.f_blocks / 100 * INDEX_FREE_PERCENT;
}

static void count_size(struct update *update, struct record_file file)
{
	char path[PATH_MAX];
	struct stat st;

	if (index_path(update->dir, file, path) && stat(path, &st) == 0)
		update->work->index_bytes += st.st_size;
}

static bool build_one(struct update *update, size_t at, int fd, int64_t end, struct err *err)
{
	char name[RECORD_NAME_MAX];
	size_t size = 0;

	update->work->files++;
	if (update->is_over || !has_room(update->dir))
		return true;
	if (!build_index(update->dir, update->seal, update->files[at], update->key, fd, end, &size, err))
		return false;
	record_file_name(update->files[at], name);
	update->work->built++;
	update->work->bytes += end;
	update->is_over = update->tell && !update->tell(update->arg, name, end, (int64_t)size);
	return true;
}

static bool update_file(struct update *update, size_t at, struct err *err)
{
	struct record_file *files = update->files;
	char path[PATH_MAX];
	struct index index;
	struct stat st;
	int64_t end;
	bool ok = true;

	if (!record_file_path(update->dir, files[at], path, err))
		return false;

	int fd = record_file_open(path, O_RDONLY, err);

	if (fd < 0)
		return errno == ENOENT;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		bool is_good = !update->anew && index_open(update->dir, files[at], update->key, fd, st.st_size, &index);

		if (is_good)
			index_close(&index);
		else
			ok = record_file_end(update->dir, files[at], &files[at + 1], st.st_size, &end, err) &&
			     build_one(update, at, fd, end, err);
		count_size(update, files[at]);
	}
	close(fd);
	return ok;
}

/* Of files that are no more, and what a crash left while one was written. */
static void remove_strays(const struct update *update)
{
	char folder[PATH_MAX], path[PATH_MAX + 256];
	const struct dirent *entry;

	if (snprintf(folder, sizeof folder, "%s/.index", update->dir) >= (int)sizeof folder)
		return;

	DIR *stream = opendir(folder);

	while (stream && (entry = readdir(stream)) != NULL) {
		struct str name = str_from_c(entry->d_name);
		struct record_file file;
		bool is_known = str_ends(name, STR(".idx")) &&
				record_file_parse(str_slice(name, 0, name.len - 4), &file);
		bool is_there = false;

		for (size_t i = 0; is_known && !is_there && i + 1 < update->count; i++)
			is_there = record_file_cmp(&file, &update->files[i]) == 0;
		if (is_there || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		io_calls.unlink(path);
	}
	if (stream)
		closedir(stream);
}

bool index_update(const char *dir, struct seal *seal, bool anew, index_fn *tell, void *arg, struct index_work *out, struct err *err)
{
	struct update update = { .dir = dir, .seal = seal, .anew = anew, .tell = tell, .arg = arg, .work = out };

	*out = (struct index_work){ 0 };
	if (access(dir, F_OK) != 0 && errno == ENOENT)
		return true;
	bool ok = record_files_list(dir, &update.files, &update.count, err);

	if (ok)
		remove_strays(&update);
	if (update.count > 1)
		ok = ok && index_key_load(dir, true, update.key, err);
	for (size_t at = update.count; ok && at-- > 1;)
		ok = update_file(&update, at - 1, err);
	free(update.files);
	explicit_bzero(update.key, sizeof update.key);
	return ok;
}

void index_remove(const char *dir, struct record_file file)
{
	char path[PATH_MAX];

	if (index_path(dir, file, path))
		io_calls.unlink(path);
}
