#include "milter/keyring.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/io.h"

#define KEY_FILE_MAX ((size_t)1 << 20)

struct keyset {
	struct token_keys *keys;
	int holders;                   /* the ring itself is one */
};

void keyring_init(struct keyring *ring)
{
	*ring = (struct keyring){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

/* With the ring locked. */
static void let_go(struct keyset *set)
{
	if (!set || --set->holders > 0)
		return;
	token_keys_free(set->keys);
	free(set);
}

void keyring_clear(struct keyring *ring)
{
	let_go(ring->current);
	ring->current = NULL;
	pthread_mutex_destroy(&ring->lock);
}

static bool read_keys(struct str path, struct token_keys **out, struct err *err)
{
	char name[4096];
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

bool keyring_load(struct keyring *ring, struct str path, struct err *err)
{
	struct token_keys *keys;
	struct keyset *set;

	if (!read_keys(path, &keys, err)) {
		if (err)
			err->kind = ERR_CONFIG;
		return err_wrap(err, "tracking.key_file");
	}
	set = calloc(1, sizeof *set);
	if (!set) {
		token_keys_free(keys);
		return err_memory(err);
	}
	*set = (struct keyset){ .keys = keys, .holders = 1 };
	pthread_mutex_lock(&ring->lock);
	let_go(ring->current);
	ring->current = set;
	pthread_mutex_unlock(&ring->lock);
	return true;
}

struct keyset *keyring_acquire(struct keyring *ring)
{
	pthread_mutex_lock(&ring->lock);
	struct keyset *set = ring->current;

	if (set)
		set->holders++;
	pthread_mutex_unlock(&ring->lock);
	return set;
}

const struct token_keys *keyset_keys(const struct keyset *set)
{
	return set->keys;
}

void keyring_release(struct keyring *ring, struct keyset *set)
{
	pthread_mutex_lock(&ring->lock);
	let_go(set);
	pthread_mutex_unlock(&ring->lock);
}
