#include "milter/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/io.h"

#define KEY_FILE_MAX ((size_t)1 << 20)

static void free_keys(void *keys)
{
	token_keys_free(keys);
}

void keyring_init(struct keyring *ring)
{
	shared_init(&ring->keys, free_keys);
}

void keyring_clear(struct keyring *ring)
{
	shared_clear(&ring->keys);
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

bool keyring_read(struct str path, struct token_keys **out, struct err *err)
{
	if (read_keys(path, out, err))
		return true;
	if (path.len && access(path.ptr, F_OK) != 0 && errno == ENOENT)
		err_set(err, ERR_CONFIG, STR_FMT ": there is no such file; make it with: sekisho key rotate", STR_ARG(path));
	if (err)
		err->kind = ERR_CONFIG;
	return err_wrap(err, "tracking.key_file");
}

bool keyring_put(struct keyring *ring, struct token_keys *keys, struct err *err)
{
	return shared_replace(&ring->keys, keys, err);
}

bool keyring_load(struct keyring *ring, struct str path, struct err *err)
{
	struct token_keys *keys;

	return keyring_read(path, &keys, err) && keyring_put(ring, keys, err);
}

struct holding *keyring_acquire(struct keyring *ring)
{
	return shared_acquire(&ring->keys);
}

const struct token_keys *keyring_keys(const struct holding *set)
{
	return holding_thing(set);
}

void keyring_release(struct keyring *ring, struct holding *set)
{
	shared_release(&ring->keys, set);
}
