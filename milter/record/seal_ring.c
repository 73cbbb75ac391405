#include "milter/record/seal_ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "milter/record/entry.h"

#define KEY_TEXT_LEN (2 * SEAL_KEY_LEN + 1)
#define KEY_SUFFIX ".key"

bool seal_ring_init(struct seal_ring *ring, struct str dir, struct str class_name, struct err *err)
{
	while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
		dir.len--;
	if (dir.len == 0 || dir.len + class_name.len + ENTRY_NAME_MAX + 32 > sizeof ring->dir)
		return err_set(err, ERR_CONFIG, "the keyring's path is empty or too long");
	if (!entry_is_name(class_name))
		return err_set(err, ERR_CONFIG, "\"" STR_FMT "\" is no name of a class", STR_ARG(class_name));
	snprintf(ring->dir, sizeof ring->dir, STR_FMT, STR_ARG(dir));
	snprintf(ring->class_name, sizeof ring->class_name, STR_FMT, STR_ARG(class_name));
	return true;
}

/* --- paths */

static bool day_path(const struct seal_ring *ring, int64_t day, char out[PATH_MAX], struct err *err)
{
	char date[JST_DATE_LEN + 1];

	jst_format_date(day, date);
	return snprintf(out, PATH_MAX, "%s/day/%s/%s" KEY_SUFFIX, ring->dir, ring->class_name, date) < PATH_MAX ||
	       err_set(err, ERR_CONFIG, "%s: path too long", ring->dir);
}

static bool tenant_path(const char *dir, struct str tenant, char out[PATH_MAX], struct err *err)
{
	if (!entry_is_name(tenant))
		return err_set(err, ERR_INPUT, "a tenant whose name can be no file's");
	return snprintf(out, PATH_MAX, "%s/tenant/" STR_FMT KEY_SUFFIX, dir, STR_ARG(tenant)) < PATH_MAX ||
	       err_set(err, ERR_CONFIG, "%s: path too long", dir);
}

/* Who may look into a directory can take a key before it is destroyed. */
static bool check_mode(const char *dir, bool *out_is_there, struct err *err)
{
	struct stat st;

	*out_is_there = stat(dir, &st) == 0;
	if (!*out_is_there)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", dir);
	if ((st.st_mode & 077) != 0)
		return err_set(err, ERR_CONFIG, "%s: mode %04o lets others into the keyring; run: chmod 700 %s", dir,
			       (unsigned)(st.st_mode & 07777), dir);
	return true;
}

/* --- reading */

static bool read_key(const char *path, unsigned char out[SEAL_KEY_LEN], struct err *err)
{
	struct buf text;

	buf_init(&text, 4 * KEY_TEXT_LEN);
	bool ok = io_read_secret(path, &text, err);

	if (ok && (text.len != KEY_TEXT_LEN || text.ptr[KEY_TEXT_LEN - 1] != '\n' ||
		   !hex_read(str_of(text.ptr, 2 * SEAL_KEY_LEN), out, SEAL_KEY_LEN)))
		ok = err_set(err, ERR_CONFIG, "%s: holds no key: 64 hexadecimal digits and a newline wanted", path);
	if (text.ptr)
		explicit_bzero(text.ptr, text.size);
	buf_clear(&text);
	return ok;
}

static bool look(const struct seal_ring *ring, const char *path, unsigned char out[SEAL_KEY_LEN], bool *out_found, struct err *err)
{
	if (!check_mode(ring->dir, out_found, err))
		return false;
	if (!*out_found)
		return true;
	*out_found = access(path, F_OK) == 0;
	return *out_found ? read_key(path, out, err) : errno == ENOENT || err_errno(err, ERR_BUSY, "%s", path);
}

/* --- making */

/* The directories down to a key's, each new name on disk before anything relies on it. */
static bool make_dirs(const char *path, struct err *err)
{
	char dir[PATH_MAX];
	size_t len = (size_t)(strrchr(path, '/') - path);

	snprintf(dir, sizeof dir, "%.*s", (int)len, path);
	return io_make_dirs(dir, 0700, err) && io_sync_dir_of(dir, err);
}

static bool make_key(const char *path, unsigned char out[SEAL_KEY_LEN], struct err *err)
{
	char text[KEY_TEXT_LEN];

	if (RAND_bytes(out, SEAL_KEY_LEN) != 1)
		return err_set(err, ERR_BUSY, "no random octets for a key");
	hex_write(out, SEAL_KEY_LEN, text);
	text[KEY_TEXT_LEN - 1] = '\n';
	bool ok = io_replace_file(path, str_of(text, sizeof text), 0600, err);

	explicit_bzero(text, sizeof text);
	return ok;
}

/* Backup programs that know the mark pass a directory by (bford.info/cachedir). */
static bool mark(const struct seal_ring *ring, struct err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/CACHEDIR.TAG", ring->dir);
	return access(path, F_OK) == 0 ||
	       io_replace_file(path, STR("Signature: 8a477f597d28d172789f06886806bc55\n"
					 "# The keyring of a sealed relay log. A copy of it would outlive what is to be erased with it.\n"),
			       0600, err);
}

static bool prepare(const struct seal_ring *ring, const char *path, int *out_fd, struct err *err)
{
	char lock[PATH_MAX];
	bool is_there;

	if (!io_make_dirs(ring->dir, 0700, err) || !check_mode(ring->dir, &is_there, err))
		return false;
	snprintf(lock, sizeof lock, "%s/.lock", ring->dir);
	*out_fd = io_open(lock, O_RDWR | O_CREAT, 0600, err);
	if (*out_fd < 0)
		return false;
	if ((flock(*out_fd, LOCK_EX) == 0 || err_errno(err, ERR_BUSY, "lock %s", lock)) && mark(ring, err) && make_dirs(path, err))
		return true;
	close(*out_fd);
	return false;
}

/* Made by somebody else meanwhile: that one. */
static bool find_or_make(const struct seal_ring *ring, const char *path, bool is_wanted, unsigned char out[SEAL_KEY_LEN],
			 bool *out_found, struct err *err)
{
	int fd;

	if (!look(ring, path, out, out_found, err))
		return err_wrap(err, "keyring");
	if (!is_wanted)
		return true;
	if (*out_found)                             /* who made it may have died, or failed, before its name was on disk */
		return io_sync_dir_of(path, err) || err_wrap(err, "keyring");
	if (!prepare(ring, path, &fd, err))
		return err_wrap(err, "keyring");
	bool ok = look(ring, path, out, out_found, err) && (*out_found || make_key(path, out, err));

	close(fd);
	*out_found = ok;
	return ok || err_wrap(err, "keyring");
}

bool seal_ring_day(const struct seal_ring *ring, int64_t day, bool is_wanted, unsigned char out[SEAL_KEY_LEN], bool *out_found,
		   struct err *err)
{
	char path[PATH_MAX];

	return day_path(ring, day, path, err) && find_or_make(ring, path, is_wanted, out, out_found, err);
}

bool seal_ring_tenant(const struct seal_ring *ring, struct str tenant, bool is_wanted, unsigned char out[SEAL_KEY_LEN],
		      bool *out_found, struct err *err)
{
	char path[PATH_MAX];

	return tenant_path(ring->dir, tenant, path, err) && find_or_make(ring, path, is_wanted, out, out_found, err);
}

/* --- destroying */

static bool destroy(const char *path, bool *out_found, struct err *err)
{
	char zeros[KEY_TEXT_LEN] = { 0 };
	int fd = io_calls.open(path, O_WRONLY | O_CLOEXEC, 0);

	*out_found = fd >= 0;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || err_errno(err, ERR_BUSY, "%s", path);
	bool ok = io_write_all(fd, str_of(zeros, sizeof zeros), path, err) && io_sync(fd, path, err);

	close(fd);
	return ok && (io_calls.unlink(path) == 0 || errno == ENOENT || err_errno(err, ERR_BUSY, "unlink %s", path)) &&
	       io_sync_dir_of(path, err);
}

static bool path_in(struct str keyring, struct str tenant, char out[PATH_MAX], struct err *err)
{
	char dir[SEAL_PATH_MAX];

	if (keyring.len >= sizeof dir)
		return err_set(err, ERR_CONFIG, "the keyring's path is too long");
	snprintf(dir, sizeof dir, STR_FMT, STR_ARG(keyring));
	return tenant_path(dir, tenant, out, err);
}

bool seal_destroy_tenant(struct str keyring, struct str tenant, bool *out_found, struct err *err)
{
	char path[PATH_MAX];

	*out_found = false;
	return path_in(keyring, tenant, path, err) && (destroy(path, out_found, err) || err_wrap(err, "destroying the key of " STR_FMT,
											      STR_ARG(tenant)));
}

bool seal_has_tenant(struct str keyring, struct str tenant, bool *out_found, struct err *err)
{
	char path[PATH_MAX];

	*out_found = false;
	if (!path_in(keyring, tenant, path, err))
		return false;
	*out_found = access(path, F_OK) == 0;
	return *out_found || errno == ENOENT || errno == ENOTDIR || err_errno(err, ERR_BUSY, "%s", path);
}

/* "2026-11-21.key", and the temporary names that a crash left behind it. */
static bool is_before(const char *name, int64_t day)
{
	int64_t its;

	return jst_parse_date(str_slice(str_from_c(name), 0, JST_DATE_LEN), &its) && its < day &&
	       str_starts(str_from(str_from_c(name), JST_DATE_LEN), STR(KEY_SUFFIX));
}

bool seal_destroy_days(struct str keyring, struct str class_name, int64_t day, int64_t *out_count, struct err *err)
{
	struct seal_ring ring;
	char dir[SEAL_PATH_MAX + 300], path[PATH_MAX];
	struct dirent *entry;
	bool ok = true, found;

	*out_count = 0;
	if (!seal_ring_init(&ring, keyring, class_name, err))
		return false;
	snprintf(dir, sizeof dir, "%s/day/%s", ring.dir, ring.class_name);
	DIR *list = opendir(dir);

	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", dir);
	for (errno = 0; ok && (entry = readdir(list)) != NULL; errno = 0) {
		if (!is_before(entry->d_name, day))
			continue;
		ok = snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) < (int)sizeof path &&
		     destroy(path, &found, err);
		*out_count += ok && found;
	}
	ok = ok && (errno == 0 || err_errno(err, ERR_BUSY, "%s", dir));
	closedir(list);
	return ok || err_wrap(err, "destroying keys of class " STR_FMT, STR_ARG(class_name));
}
