#include "milter/letter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/num.h"

static _Atomic int64_t spooled_all;    /* octets of all letters on disk */
static _Atomic uint64_t spool_number;

static pthread_mutex_t turns_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turns_free = PTHREAD_COND_INITIALIZER;
static int turns_taken;

void letter_init(struct letter *letter)
{
	*letter = (struct letter){ .spool = -1 };
}

bool letter_is_kept(const struct letter *letter)
{
	return letter->config != NULL;
}

void letter_begin(struct letter *letter, const struct config *config)
{
	letter_init(letter);
	letter->config = config;
	arena_init(&letter->arena, (size_t)config->transaction_memory_max);
	buf_init(&letter->memory, LETTER_MEMORY_MAX);
}

static void give_turn_back(struct letter *letter)
{
	if (!letter->has_turn)
		return;
	pthread_mutex_lock(&turns_lock);
	turns_taken--;
	pthread_cond_signal(&turns_free);
	pthread_mutex_unlock(&turns_lock);
	letter->has_turn = false;
}

/* The content is of no use any more: its memory and its disk space go now, not when the message ends. */
static void drop_content(struct letter *letter)
{
	if (letter->map)
		munmap((void *)(uintptr_t)letter->map, letter->spooled);
	if (letter->spool >= 0)
		close(letter->spool);
	atomic_fetch_sub(&spooled_all, (int64_t)letter->spooled);
	letter->map = NULL;
	letter->spool = -1;
	letter->spooled = 0;
	buf_clear(&letter->memory);
	arena_clear(&letter->arena);
	free(letter->chunk);
	letter->chunk = NULL;
	letter->changes = NULL;
	give_turn_back(letter);
}

static void leave_alone(struct letter *letter, const char *why)
{
	drop_content(letter);
	letter->why_not = why;
}

void letter_end(struct letter *letter)
{
	letter->steer_count = 0;
	if (!letter->config)
		return;
	drop_content(letter);
	letter->config = NULL;
}

/* --- what comes in */

static bool grow_fields(struct letter *letter)
{
	size_t room = letter->field_room ? 2 * letter->field_room : 32;
	struct header *bigger = arena_array(&letter->arena, room, sizeof *bigger);

	if (!bigger)
		return false;
	if (letter->field_count)
		memcpy(bigger, letter->fields, letter->field_count * sizeof *bigger);
	letter->fields = bigger;
	letter->field_room = room;
	return true;
}

void letter_add_field(struct letter *letter, struct str name, struct str value)
{
	struct header field = { .line = STR_EMPTY };

	letter->steer_count += str_eq_nocase(name, STR(REWRITE_STEER_HEADER));
	if (!letter->config || letter->why_not)
		return;
	if ((letter->field_count == letter->field_room && !grow_fields(letter)) ||
	    !arena_copy(&letter->arena, name, &field.name) || !arena_copy(&letter->arena, value, &field.value)) {
		leave_alone(letter, "no memory for its header");
		return;
	}
	letter->fields[letter->field_count++] = field;
}

/* A file without a name: it is gone when we are, however that comes about. */
static int open_spool(const struct config *config, struct err *err)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof path, STR_FMT "/body.%ld.%llu", STR_ARG(config->state_dir), (long)getpid(),
			   (unsigned long long)atomic_fetch_add(&spool_number, 1));

	if (len >= (int)sizeof path) {
		err_set(err, ERR_CONFIG, "state_dir is too long");
		return -1;
	}

	int fd = io_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, err);

	if (fd >= 0 && io_calls.unlink(path) != 0) {
		err_errno(err, ERR_BUSY, "unlink %s", path);
		close(fd);
		return -1;
	}
	return fd;
}

static bool take_space(struct letter *letter, size_t octets)
{
	int64_t all = atomic_fetch_add(&spooled_all, (int64_t)octets) + (int64_t)octets;

	letter->spooled += octets;
	return all <= letter->config->tracking_spool_max;
}

static void spool(struct letter *letter, struct str octets)
{
	struct err err;

	if (!take_space(letter, octets.len)) {
		leave_alone(letter, "no room for its body (tracking.spool_max)");
	} else if (!io_write_all(letter->spool, octets, "a spooled body", &err)) {
		log_error("state_dir: %s; a message passes as it came", err.text);
		leave_alone(letter,
			    err.kind == ERR_FULL ? "no room for its body on disk" : "its body could not be kept");
	}
}

/* From memory to disk. */
static void begin_spool(struct letter *letter)
{
	struct err err;

	letter->spool = open_spool(letter->config, &err);
	if (letter->spool < 0) {
		log_error("state_dir: %s; a message passes as it came", err.text);
		leave_alone(letter, "its body could not be kept");
		return;
	}
	spool(letter, buf_view(&letter->memory));
	buf_clear(&letter->memory);
}

void letter_add_body(struct letter *letter, struct str chunk)
{
	if (!letter->config || letter->why_not)
		return;
	if (letter->spool < 0 && letter->memory.len + chunk.len <= LETTER_MEMORY_MAX) {
		buf_add(&letter->memory, chunk);
		if (letter->memory.failed)
			leave_alone(letter, "no memory for its body");
		return;
	}
	if (letter->spool < 0)
		begin_spool(letter);
	if (!letter->why_not)
		spool(letter, chunk);
}

/* --- rewriting */

static struct timespec deadline(int64_t wait_us)
{
	struct timespec at;
	int64_t us;

	clock_gettime(CLOCK_REALTIME, &at);
	us = at.tv_nsec / 1000 + wait_us;
	at.tv_sec += (time_t)(us / US_PER_S);
	at.tv_nsec = (long)(us % US_PER_S) * 1000;
	return at;
}

bool letter_take_turn(struct letter *letter, int64_t wait_us)
{
	struct timespec until = deadline(wait_us);
	int why = 0;

	if (letter->spool < 0 || letter->has_turn)
		return true;
	pthread_mutex_lock(&turns_lock);
	while (turns_taken >= LETTER_TURNS && why == 0)
		why = pthread_cond_timedwait(&turns_free, &turns_lock, &until);
	letter->has_turn = turns_taken < LETTER_TURNS;
	turns_taken += letter->has_turn;
	pthread_mutex_unlock(&turns_lock);
	return letter->has_turn;
}

static bool find_body(struct letter *letter)
{
	void *map;

	letter->body = letter->memory.len ? buf_view(&letter->memory) : STR_EMPTY;
	if (letter->spool < 0)
		return true;
	map = mmap(NULL, letter->spooled, PROT_READ, MAP_SHARED, letter->spool, 0);
	if (map == MAP_FAILED) {
		log_error("mapping a spooled body: %s; a message passes as it came", strerrordesc_np(errno));
		return false;
	}
	letter->map = map;
	letter->body = str_of(letter->map, letter->spooled);
	return true;
}

static size_t work_max(const struct letter *letter)
{
	size_t work = letter->body.len > LETTER_WORK_MAX / LETTER_WORK_FACTOR ?
			      LETTER_WORK_MAX : LETTER_WORK_BASE + LETTER_WORK_FACTOR * letter->body.len;

	return work < LETTER_WORK_MAX ? work : LETTER_WORK_MAX;
}

void letter_rewrite(struct letter *letter, const struct tenant *tenant, const struct token_keys *keys,
		    struct str recipient)
{
	const struct rewrite_rules rules = rewrite_rules_of(tenant, keys);
	struct err err;

	if (!letter->config || letter->why_not)
		return;
	if (letter->spool >= 0 && !letter->has_turn) {
		leave_alone(letter, "too many large messages at once");
		return;
	}
	if (!find_body(letter)) {
		leave_alone(letter, "its body could not be read");
		return;
	}

	const struct rewrite_message message = {
		.fields = letter->fields,
		.field_count = letter->field_count,
		.body = letter->body,
		.recipient = recipient,
		.day = (uint16_t)jst_day(clock_now_us()),
	};

	letter->arena.limit = letter->arena.used + work_max(letter);
	letter->changes = arena_new(&letter->arena, struct rewrite_result);
	letter->chunk = malloc(LETTER_CHUNK);
	if (!letter->changes || !letter->chunk) {
		leave_alone(letter, "rewriting it would take too much memory");
	} else if (!rewrite_message(&rules, &message, &letter->arena, letter->changes, &err)) {
		log_warn("a message passes as it came: %s", err.text);
		leave_alone(letter, "rewriting it would take too much memory");
	} else if (!letter_has_new_body(letter)) {
		give_turn_back(letter);
	}
}

/* --- what goes out */

size_t letter_steer_left(const struct letter *letter)
{
	return letter->changes ? 0 : letter->steer_count;
}

bool letter_has_new_body(const struct letter *letter)
{
	return letter->changes && letter->changes->body.count > 0;
}

/* The next run of octets that stand together somewhere. */
static struct str next_piece(struct letter *letter)
{
	const struct edit_list *edits = &letter->changes->body;
	const struct edit *edit = letter->edit < edits->count ? &edits->items[letter->edit] : NULL;
	size_t until = edit ? edit->at : letter->body.len;

	if (letter->at < until)
		return str_slice(letter->body, letter->at, until - letter->at);
	return edit ? str_from(edit->with, letter->edit_at) : STR_EMPTY;
}

static void move_on(struct letter *letter, size_t octets)
{
	const struct edit_list *edits = &letter->changes->body;
	const struct edit *edit = letter->edit < edits->count ? &edits->items[letter->edit] : NULL;

	if (!edit || letter->at < edit->at) {
		letter->at += octets;
		return;
	}
	letter->edit_at += octets;
	if (letter->edit_at < edit->with.len)
		return;
	letter->at = edit->at + edit->len;
	letter->edit++;
	letter->edit_at = 0;
}

bool letter_next_chunk(struct letter *letter, struct str *out)
{
	size_t len = 0;

	while (len < LETTER_CHUNK && (letter->at < letter->body.len || letter->edit < letter->changes->body.count)) {
		struct str piece = str_slice(next_piece(letter), 0, LETTER_CHUNK - len);

		if (piece.len)
			memcpy(letter->chunk + len, piece.ptr, piece.len);
		len += piece.len;
		move_on(letter, piece.len);
	}
	*out = str_of(letter->chunk, len);
	return len > 0;
}
