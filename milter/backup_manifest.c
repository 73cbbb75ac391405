#include "milter/backup_manifest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/digest.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/num.h"
#include "milter/record/note.h"

#define COPY_STEP 65536
#define PATH_TEXT_MAX 400

void manifest_init(struct manifest *manifest)
{
	*manifest = (struct manifest){ .node = STR_EMPTY };
	arena_init(&manifest->arena, 4 * MANIFEST_MAX);
}

void manifest_clear(struct manifest *manifest)
{
	arena_clear(&manifest->arena);
	free(manifest->files);
	manifest->files = NULL;
	manifest->count = manifest->room = 0;
}

bool manifest_add(struct manifest *manifest, struct str path, int64_t size, const char sha256[CHAIN_HEX_LEN], struct err *err)
{
	if (manifest->count == manifest->room) {
		size_t room = manifest->room ? 2 * manifest->room : 64;
		struct manifest_file *files = realloc(manifest->files, room * sizeof *files);

		if (!files)
			return err_memory(err);
		manifest->files = files;
		manifest->room = room;
	}
	struct manifest_file *file = &manifest->files[manifest->count];

	if (!arena_copy(&manifest->arena, path, &file->path))
		return err_memory(err);
	file->size = size;
	memcpy(file->sha256, sha256, CHAIN_HEX_LEN);
	manifest->count++;
	return true;
}

const struct manifest_file *manifest_find(const struct manifest *manifest, struct str path)
{
	for (size_t i = 0; i < manifest->count; i++)
		if (str_eq(manifest->files[i].path, path))
			return &manifest->files[i];
	return NULL;
}

/* --- writing */

bool manifest_write(const struct manifest *manifest, const char *dir, const struct sign_key *key, struct err *err)
{
	char path[PATH_MAX], name[512], time[JST_TIME_LEN + 1];
	struct buf text;
	struct str all;

	jst_format_time(manifest->time_us, time);
	snprintf(name, sizeof name, "sekisho:" STR_FMT "/backup", STR_ARG(manifest->node));
	buf_init(&text, MANIFEST_MAX);
	buf_printf(&text, "Backup of a relay / バックアップ\nrelay " STR_FMT "\ntime %s\n", STR_ARG(manifest->node), time);
	for (size_t i = 0; i < manifest->count; i++)
		buf_printf(&text, "file " STR_FMT " %lld %.*s\n", STR_ARG(manifest->files[i].path), (long long)manifest->files[i].size,
			   CHAIN_HEX_LEN, manifest->files[i].sha256);
	bool ok = note_sign(&text, str_from_c(name), key, err) && buf_done(&text, &all, err) &&
		  (snprintf(path, sizeof path, "%s/" MANIFEST_NAME, dir) < (int)sizeof path || err_set(err, ERR_BUSY, "path too long")) &&
		  io_replace_file(path, all, 0640, err);

	buf_clear(&text);
	return ok;
}

/* --- reading */

/* No way out of the generation's directory. */
static bool is_inside(struct str path)
{
	struct str piece;

	if (path.len == 0 || path.len > PATH_TEXT_MAX || memchr(path.ptr, '\0', path.len))
		return false;
	while (str_next(&path, '/', &piece))
		if (piece.len == 0 || piece.ptr[0] == '.')
			return false;
	return true;
}

static bool take_line(struct manifest *manifest, struct str line, struct err *err)
{
	unsigned char digest[CHAIN_LEN];
	struct str word, path, size_text, hash;
	int64_t size;

	if (!str_cut(line, ' ', &word, &line))
		return true;
	if (str_eq(word, STR("relay")))
		return arena_copy(&manifest->arena, line, &manifest->node) || err_memory(err);
	if (str_eq(word, STR("time")))
		return jst_parse_time(line, &manifest->time_us) || err_set(err, ERR_INPUT, "no time");
	if (!str_eq(word, STR("file")))
		return true;
	if (!str_cut(line, ' ', &path, &line) || !str_cut(line, ' ', &size_text, &hash) || !is_inside(path) ||
	    !num_parse_i64(size_text, &size) || size < 0 || hash.len != CHAIN_HEX_LEN || !hex_read(hash, digest, CHAIN_LEN))
		return err_set(err, ERR_INPUT, "a line that is none");
	return manifest_add(manifest, path, size, hash.ptr, err);
}

bool manifest_read(struct manifest *manifest, const char *dir, const struct sign_publics *publics, struct err *err)
{
	char path[PATH_MAX];
	struct str text, name, line;
	struct buf file;

	manifest_init(manifest);
	if (snprintf(path, sizeof path, "%s/" MANIFEST_NAME, dir) >= (int)sizeof path)
		return err_set(err, ERR_INPUT, "path too long");
	buf_init(&file, MANIFEST_MAX);
	if (!io_read_file(path, &file, err)) {
		buf_clear(&file);
		return false;
	}

	bool ok = note_open(buf_view(&file), publics, &text, &name, err) &&
		  ((str_starts(text, STR("Backup of a relay ")) && str_ends(name, STR("/backup"))) ||
		   err_set(err, ERR_INPUT, "no manifest of a backup"));

	while (ok && str_next(&text, '\n', &line))
		ok = take_line(manifest, line, err);
	buf_clear(&file);
	return ok || err_wrap(err, "%s", path);
}

/* --- files */

static bool copy_octets(int from, int to, const char *from_name, const char *to_name, int64_t size,
			struct digest *digest, struct err *err)
{
	char octets[COPY_STEP];

	while (size > 0) {
		ssize_t n = read(from, octets, size < COPY_STEP ? (size_t)size : COPY_STEP);

		if (n < 0)
			return err_errno(err, ERR_BUSY, "read %s", from_name);
		if (n == 0)
			return err_set(err, ERR_BUSY, "%s: shorter than it was", from_name);
		digest_add(digest, str_of(octets, (size_t)n));
		if (to >= 0 && !io_write_all(to, str_of(octets, (size_t)n), to_name, err))
			return false;
		size -= n;
	}
	return true;
}

/* With the same time of change: the next generation sees by it that the file is still the same. */
static bool finish_copy(int from, int to, const char *to_name, struct err *err)
{
	struct stat st;

	if (fstat(from, &st) != 0)
		return err_errno(err, ERR_BUSY, "%s", to_name);
	const struct timespec times[] = { st.st_mtim, st.st_mtim };

	return (futimens(to, times) == 0 || err_errno(err, ERR_BUSY, "%s", to_name)) && io_sync(to, to_name, err);
}

static bool digest_file(int from, int to, const char *from_name, const char *to_name, int64_t size, char out[CHAIN_HEX_LEN],
			struct err *err)
{
	unsigned char octets[DIGEST_LEN];
	struct digest digest;

	digest_begin(&digest);
	if (!copy_octets(from, to, from_name, to_name, size, &digest, err))
		return false;
	digest_end(&digest, octets);
	hex_write(octets, DIGEST_LEN, out);
	return true;
}

bool manifest_copy(const char *from, const char *to, int64_t size, char out_sha256[CHAIN_HEX_LEN], struct err *err)
{
	int in = record_file_open(from, O_RDONLY, err), out = -1;

	if (in < 0)
		return false;
	bool ok = !to || (out = io_open(to, O_WRONLY | O_CREAT | O_EXCL, 0640, err)) >= 0;

	ok = ok && digest_file(in, out, from, to, size, out_sha256, err) && (!to || finish_copy(in, out, to, err));
	if (out >= 0)
		close(out);
	close(in);
	return ok;
}
