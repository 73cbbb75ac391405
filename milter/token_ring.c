#include "milter/token_ring.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/io.h"

#define KEY_FILE_MAX ((size_t)1 << 20)

static void free_keys(void *keys)
{
	token_keys_free(keys);
}

void token_ring_init(struct token_ring *ring)
{
	*ring = (struct token_ring){ .lock = PTHREAD_MUTEX_INITIALIZER };
	shared_init(&ring->keys, free_keys);
}

void token_ring_clear(struct token_ring *ring)
{
	shared_clear(&ring->keys);
	pthread_mutex_destroy(&ring->lock);
}

static bool read_keys(struct str path, struct token_keys **out, struct err *err)
{
	char name[PATH_MAX];
	struct buf text;

	if (path.len >= sizeof name)
		return err_set(err, ERR_CONFIG, "the path is too long");
	snprintf(name, sizeof name, STR_FMT, STR_ARG(path));
	buf_init(&text, KEY_FILE_MAX);

	bool ok = io_read_secret(name, &text, err) &&
		  (token_keys_read(buf_view(&text), out, err) || err_wrap(err, "%s", name));

	if (text.ptr)
		explicit_bzero(text.ptr, text.size);
	buf_clear(&text);
	return ok;
}

bool token_ring_read(struct str path, struct token_keys **out, struct err *err)
{
	if (read_keys(path, out, err))
		return true;
	if (path.len && access(path.ptr, F_OK) != 0 && errno == ENOENT)
		err_set(err, ERR_CONFIG, STR_FMT ": there is no such file; make it with: sekisho key rotate", STR_ARG(path));
	if (err->kind == ERR_INPUT)
		err->kind = ERR_CONFIG;
	return err_wrap(err, "tracking.key_file");
}

bool token_ring_put(struct token_ring *ring, struct token_keys *keys, struct err *err)
{
	return shared_replace(&ring->keys, keys, err);
}

/* With the lock held: what is there now counts as read. False: it did before. */
static bool note_file(struct token_ring *ring, struct str path)
{
	struct stat before = ring->read;

	if (path.len == 0 || stat(path.ptr, &ring->read) != 0)
		ring->read = (struct stat){ .st_ino = 0 };
	return before.st_ino != ring->read.st_ino || before.st_size != ring->read.st_size ||
	       before.st_ctim.tv_sec != ring->read.st_ctim.tv_sec || before.st_ctim.tv_nsec != ring->read.st_ctim.tv_nsec;
}

static bool load(struct token_ring *ring, struct str path, struct err *err)
{
	struct token_keys *keys;

	if (token_ring_read(path, &keys, err) && token_ring_put(ring, keys, err))
		return true;
	/* What nobody has to mend may do the next time. */
	if (err->kind != ERR_CONFIG)
		ring->read = (struct stat){ .st_ino = 0 };
	return false;
}

bool token_ring_load(struct token_ring *ring, struct str path, struct err *err)
{
	bool ok;

	pthread_mutex_lock(&ring->lock);
	note_file(ring, path);
	ok = load(ring, path, err);
	pthread_mutex_unlock(&ring->lock);
	return ok;
}

bool token_ring_refresh(struct token_ring *ring, struct str path, bool *out_is_new, struct err *err)
{
	bool ok;

	pthread_mutex_lock(&ring->lock);
	*out_is_new = note_file(ring, path);
	ok = !*out_is_new || load(ring, path, err);
	pthread_mutex_unlock(&ring->lock);
	return ok;
}

struct holding *token_ring_acquire(struct token_ring *ring)
{
	return shared_acquire(&ring->keys);
}

const struct token_keys *token_ring_keys(const struct holding *set)
{
	return holding_thing(set);
}

void token_ring_release(struct token_ring *ring, struct holding *set)
{
	shared_release(&ring->keys, set);
}
