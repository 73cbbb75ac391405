#include "milter/record/find.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/memory.h"
#include "milter/record/piece.h"
#include "milter/record/reader.h"

#define LOOKERS 8                                   /* threads that look into indexes: they wait for the disk, mostly */
#define SLOTS_MAX (2 * FIND_THREADS_MAX)
#define SAMPLE ((size_t)64 << 10)
#define AHEAD 16                                    /* pieces */

/* A file of the present window: what of it is to be read. Pieces are its named blocks, then what the index does not cover. */
struct part {
	struct record_file file;
	const struct record_file *next;    /* NULL: the newest */
	int fd;
	int64_t end, covered, size;
	unsigned block_bits;
	uint16_t *blocks;
	size_t block_count;
	int64_t first_piece, piece_count;
};

enum slot_state { SLOT_FREE, SLOT_BUSY, SLOT_READY };

struct slot {
	enum slot_state state;
	struct piece piece;
	bool ok;
	struct err err;
};

struct find {
	const struct find_query *query;
	struct find_report *report;
	unsigned char key[INDEX_KEY_LEN];
	bool has_key;
	struct record_file *files;     /* those of the days asked for */
	size_t file_count;
	int threads;
	struct piece_texts texts;
	int64_t done, total;           /* octets, for the progress */

	struct part parts[FIND_FILES]; /* the window */
	size_t part_count, next_part;  /* next_part under the lock */
	int64_t piece_count, next_piece, shown;
	struct slot slots[SLOTS_MAX];
	size_t slot_count;
	bool is_over;
	bool ok;
	struct err *err;
	pthread_mutex_t lock;
	pthread_cond_t wake;
};

/* --- which blocks of a file */

static void keep_blocks(struct part *part, const struct index_blocks *wanted)
{
	size_t count = 0;

	for (size_t i = 0; i < INDEX_BLOCKS_MAX / 64; i++)
		count += (size_t)__builtin_popcountll(wanted->bits[i]);
	part->blocks = malloc(count * sizeof *part->blocks + 1);
	if (!part->blocks) {
		part->covered = 0;                  /* read all of it, then */
		return;
	}
	for (size_t block = 0; block < INDEX_BLOCKS_MAX; block++)
		if (wanted->bits[block / 64] >> block % 64 & 1)
			part->blocks[part->block_count++] = (uint16_t)block;
}

/* All keys, or any of them. */
static bool look_up_keys(const struct find_query *query, const struct index *index, struct index_blocks *wanted)
{
	memset(wanted, query->any ? 0 : 0xff, sizeof *wanted);
	for (size_t i = 0; i < query->key_count; i++) {
		struct index_blocks blocks = { 0 };

		if (!index_look_up(index, query->keys[i].field, query->keys[i].value, &blocks))
			return false;
		for (size_t at = 0; at < INDEX_BLOCKS_MAX / 64; at++)
			wanted->bits[at] = query->any ? wanted->bits[at] | blocks.bits[at] : wanted->bits[at] & blocks.bits[at];
	}
	return true;
}

static void use_index(const struct find *find, struct part *part)
{
	struct index_blocks wanted;
	struct index index;

	if (!find->has_key || !part->next || !index_open(find->query->dir, part->file, find->key, part->fd, part->size, &index))
		return;
	if (look_up_keys(find->query, &index, &wanted)) {
		part->covered = index.covered;
		part->block_bits = index.block_bits;
		keep_blocks(part, &wanted);
	}
	index_close(&index);
}

static bool plan(const struct find *find, struct part *part, struct err *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!record_file_path(find->query->dir, part->file, path, err))
		return false;
	part->fd = record_file_open(path, O_RDONLY, err);
	if (part->fd < 0)                           /* purged since it was listed: that is what a purge is */
		return errno == ENOENT;
	if (fstat(part->fd, &st) != 0)
		return err_errno(err, ERR_BUSY, "%s", path);
	part->size = part->end = st.st_size;
	use_index(find, part);
	if (part->covered < part->end && !record_file_end(find->query->dir, part->file, part->next, part->end, &part->end, err))
		return false;

	int64_t rest = part->end > part->covered ? part->end - part->covered : 0;

	part->piece_count = (int64_t)part->block_count + (rest + FIND_PIECE - 1) / FIND_PIECE;
	return true;
}

static void fail(struct find *find, const struct err *why)
{
	if (find->ok && find->err)
		*find->err = *why;
	find->ok = false;
}

static void *plan_some(void *arg)
{
	struct find *find = arg;

	for (;;) {
		pthread_mutex_lock(&find->lock);
		struct part *part = find->ok && find->next_part < find->part_count ? &find->parts[find->next_part++] : NULL;

		pthread_mutex_unlock(&find->lock);
		if (!part)
			return NULL;

		struct err err;

		if (plan(find, part, &err))
			continue;
		pthread_mutex_lock(&find->lock);
		fail(find, &err);
		pthread_mutex_unlock(&find->lock);
	}
}

/* --- pieces, read and matched by the threads */

static const struct part *part_of(const struct find *find, int64_t number)
{
	size_t low = 0, high = find->part_count - 1;

	while (low < high) {
		size_t middle = low + (high - low + 1) / 2;

		if (find->parts[middle].first_piece <= number)
			low = middle;
		else
			high = middle - 1;
	}
	return &find->parts[low];
}

/* A block may begin in the middle of a line; what is covered ends with one. */
static void bounds_of(const struct part *part, int64_t at, int64_t *out_from, int64_t *out_to)
{
	if (at < (int64_t)part->block_count) {
		*out_from = (int64_t)part->blocks[at] << part->block_bits;
		*out_to = *out_from + (INT64_C(1) << part->block_bits);
		*out_to = *out_to < part->covered ? *out_to : part->covered;
	} else {
		*out_from = part->covered + (at - (int64_t)part->block_count) * FIND_PIECE;
		*out_to = *out_from + FIND_PIECE < part->end ? *out_from + FIND_PIECE : part->end;
	}
}

static const struct part *place_of(const struct find *find, int64_t number, int64_t *out_from, int64_t *out_to)
{
	int64_t actual = find->query->newest_first ? find->piece_count - 1 - number : number;
	const struct part *part = part_of(find, actual);

	bounds_of(part, actual - part->first_piece, out_from, out_to);
	return part;
}

/* The kernel reads ahead of who reads forward; newest first is backward. */
static void read_ahead(const struct find *find, int64_t number)
{
	int64_t from, to;
	const struct part *part;

	if (number >= find->piece_count)
		return;
	part = place_of(find, number, &from, &to);
	posix_fadvise(part->fd, from, to - from, POSIX_FADV_WILLNEED);
}

static bool read_piece(const struct find *find, int64_t number, struct piece *piece, struct err *err)
{
	unsigned long shortages = memory_shortages();
	int64_t from, to;
	const struct part *part = place_of(find, number, &from, &to);

	read_ahead(find, number + AHEAD);
	return piece_read(piece, part->fd, from, to, part->end, err) &&
	       piece_match(piece, &find->texts, find->query->match, find->query->arg, err) &&
	       (memory_shortages() == shortages || err_memory(err));
}

/* The next piece, once there is a slot for it. */
static struct slot *take_slot(struct find *find, int64_t *out_number)
{
	struct slot *slot = NULL;

	pthread_mutex_lock(&find->lock);
	while (!find->is_over && find->next_piece < find->piece_count &&
	       find->next_piece >= find->shown + (int64_t)find->slot_count)
		pthread_cond_wait(&find->wake, &find->lock);
	if (!find->is_over && find->next_piece < find->piece_count) {
		*out_number = find->next_piece++;
		slot = &find->slots[*out_number % (int64_t)find->slot_count];
		slot->state = SLOT_BUSY;
	}
	pthread_mutex_unlock(&find->lock);
	return slot;
}

static void *match_some(void *arg)
{
	struct find *find = arg;
	struct slot *slot;
	int64_t number;

	while ((slot = take_slot(find, &number)) != NULL) {
		slot->ok = read_piece(find, number, &slot->piece, &slot->err);
		pthread_mutex_lock(&find->lock);
		slot->state = SLOT_READY;
		pthread_cond_broadcast(&find->wake);
		pthread_mutex_unlock(&find->lock);
	}
	return NULL;
}

/* --- the caller's thread: in order */

static bool show_lines(const struct find *find, const struct piece *piece)
{
	const struct find_query *query = find->query;

	for (size_t i = 0; i < piece->count; i++) {
		if (!query->found(query->arg, piece_line(piece, query->newest_first ? piece->count - 1 - i : i)))
			return false;
	}
	return true;
}

static void count_piece(struct find *find, size_t len)
{
	find->report->bytes_read += (int64_t)len;
	find->done += (int64_t)len;
	if (find->query->progress)
		find->query->progress(find->query->arg, find->done, find->total);
}

static bool show_piece(struct find *find, struct slot *slot)
{
	count_piece(find, slot->piece.text.len);
	find->report->closed += slot->piece.closed;
	if (!slot->ok)
		fail(find, &slot->err);
	return slot->ok && show_lines(find, &slot->piece);
}

static void show_all(struct find *find)
{
	pthread_mutex_lock(&find->lock);
	while (!find->is_over && find->shown < find->piece_count) {
		struct slot *slot = &find->slots[find->shown % (int64_t)find->slot_count];

		while (slot->state != SLOT_READY)
			pthread_cond_wait(&find->wake, &find->lock);
		pthread_mutex_unlock(&find->lock);
		bool goes_on = show_piece(find, slot);

		pthread_mutex_lock(&find->lock);
		slot->state = SLOT_FREE;
		find->shown++;
		find->is_over = !goes_on;
		pthread_cond_broadcast(&find->wake);
	}
	pthread_mutex_unlock(&find->lock);
}

/* --- windows of files */

static int start_threads(pthread_t *threads, int count, void *(*run)(void *), struct find *find)
{
	int started = 0;

	while (started < count && pthread_create(&threads[started], NULL, run, find) == 0)
		started++;
	return started;
}

static void join_threads(pthread_t *threads, int count)
{
	while (count > 0)
		pthread_join(threads[--count], NULL);
}

static void open_window(struct find *find, size_t first, size_t count)
{
	bool is_last = first + count == find->file_count;
	pthread_t threads[LOOKERS];

	memset(find->parts, 0, sizeof find->parts);
	find->part_count = count;
	find->next_part = 0;
	for (size_t i = 0; i < count; i++)
		find->parts[i] = (struct part){ .file = find->files[first + i], .fd = -1,
						.next = is_last && i + 1 == count ? NULL : &find->files[first + i + 1] };

	int started = start_threads(threads, count > 1 ? LOOKERS - 1 : 0, plan_some, find);

	plan_some(find);
	join_threads(threads, started);
}

static void read_window(struct find *find)
{
	pthread_t threads[FIND_THREADS_MAX];

	find->piece_count = find->next_piece = find->shown = 0;
	for (size_t i = 0; i < find->part_count; i++) {
		struct part *part = &find->parts[i];

		part->first_piece = find->piece_count;
		find->piece_count += part->piece_count;
		find->report->files += part->fd >= 0;
		find->report->indexed += part->blocks != NULL;
		find->done += part->blocks ? part->covered : 0;
	}
	int started = start_threads(threads, find->threads, match_some, find);

	if (started == 0) {
		err_set(find->err, ERR_BUSY, "no thread for the search");
		find->ok = false;
		return;
	}
	show_all(find);
	join_threads(threads, started);
	for (size_t i = 0; i < find->slot_count; i++)
		find->slots[i].state = SLOT_FREE;
}

static void close_window(struct find *find)
{
	for (size_t i = 0; i < find->part_count; i++) {
		if (find->parts[i].fd >= 0)
			close(find->parts[i].fd);
		free(find->parts[i].blocks);
	}
	find->part_count = 0;
}

/* The newest file of the class is not finished; the last of those looked into may be. */
static bool run_windows(struct find *find, size_t count)
{
	for (size_t done = 0; find->ok && !find->is_over && done < count;) {
		size_t n = count - done < FIND_FILES ? count - done : FIND_FILES;

		open_window(find, find->query->newest_first ? count - done - n : done, n);
		if (find->ok)
			read_window(find);
		close_window(find);
		done += n;
	}
	return find->ok;
}

/* --- beginning */

/* What its octets are like, so that needles look for those that are rare. */
static void take_texts(struct find *find)
{
	const struct find_query *query = find->query;
	char path[PATH_MAX], *sample = malloc(SAMPLE);
	size_t got = 0;

	if (find->file_count && sample && record_file_path(query->dir, find->files[find->file_count - 1], path, NULL)) {
		int fd = record_file_open(path, O_RDONLY, NULL);
		ssize_t n = fd >= 0 ? pread(fd, sample, SAMPLE, 0) : 0;

		got = n > 0 ? (size_t)n : 0;
		if (fd >= 0)
			close(fd);
	}
	find->texts.any = query->any;
	find->texts.seal = query->seal;
	needle_init(&find->texts.sealed, STR(",\"sealed\":\""), STR_EMPTY);
	find->texts.count = query->text_count;
	for (size_t i = 0; i < query->text_count; i++)
		needle_init(&find->texts.needles[i], query->texts[i], str_of(got ? sample : "", got));

	/* The longest goes first: it is the rarest, mostly. */
	for (size_t i = 1; i < query->text_count; i++)
		if (find->texts.needles[i].text.len > find->texts.needles[0].text.len) {
			struct needle swap = find->texts.needles[0];

			find->texts.needles[0] = find->texts.needles[i];
			find->texts.needles[i] = swap;
		}
	free(sample);
}

static void sum_sizes(struct find *find, size_t count)
{
	char path[PATH_MAX];
	struct stat st;

	for (size_t i = 0; i < count; i++)
		if (record_file_path(find->query->dir, find->files[i], path, NULL) && stat(path, &st) == 0)
			find->total += st.st_size;
}

/* Days asked for, the next that there is, and the file after them, by which the last of them is seen to be finished. */
static bool list_files(struct find *find, size_t *out_count, struct err *err)
{
	const struct find_query *query = find->query;
	size_t all, first = 0, last;

	if (!record_files_list(query->dir, &find->files, &all, err))
		return false;
	while (first < all && find->files[first].day < query->first_day)
		first++;
	for (last = first; last < all && find->files[last].day <= query->last_day;)
		last++;
	for (size_t next = last; last < all && find->files[last].day == find->files[next].day;)
		last++;
	*out_count = last - first;
	find->file_count = all - first;
	if (first && find->file_count)
		memmove(find->files, find->files + first, find->file_count * sizeof *find->files);
	return true;
}

static void begin(struct find *find)
{
	const struct find_query *query = find->query;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	find->threads = query->threads > 0 ? query->threads : cores > 0 ? (int)cores : 1;
	if (find->threads > FIND_THREADS_MAX)
		find->threads = FIND_THREADS_MAX;
	find->slot_count = 2 * (size_t)find->threads;
	for (size_t i = 0; i < find->slot_count; i++)
		piece_init(&find->slots[i].piece);
	find->has_key = query->key_count && !query->ignores_index && index_key_load(query->dir, false, find->key, NULL);
	take_texts(find);
}

bool record_find(const struct find_query *query, struct find_report *out, struct err *err)
{
	struct find *find = calloc(1, sizeof *find);
	size_t count = 0;
	bool ok;

	*out = (struct find_report){ 0 };
	if (!find)
		return err_memory(err);
	find->query = query;
	find->report = out;
	find->err = err;
	find->ok = true;
	pthread_mutex_init(&find->lock, NULL);
	pthread_cond_init(&find->wake, NULL);
	ok = (access(query->dir, F_OK) != 0 && errno == ENOENT) || list_files(find, &count, err);
	if (ok && find->files) {
		begin(find);
		sum_sizes(find, count);
		ok = run_windows(find, count);
		for (size_t i = 0; i < find->slot_count; i++)
			piece_clear(&find->slots[i].piece);
	}
	explicit_bzero(find->key, sizeof find->key);
	pthread_cond_destroy(&find->wake);
	pthread_mutex_destroy(&find->lock);
	free(find->files);
	free(find);
	return ok;
}
