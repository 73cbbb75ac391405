#include "milter/record/index.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/format.h"

_Static_assert(INDEX_HEAD_LEN == 8 + 8 + 8 + 4 + 4 + INDEX_SALT_LEN + 8 + 8, "the head as it is drawn");
_Static_assert(INDEX_ROW_LEN == 8 + 4 + 4 + 4, "a row as it is drawn");

/* --- keys */

static bool read_key(const char *path, unsigned char out[INDEX_KEY_LEN], bool *out_found, struct err *err)
{
	int fd = io_calls.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);

	*out_found = fd >= 0;
	if (fd < 0)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", path);

	ssize_t n = pread(fd, out, INDEX_KEY_LEN, 0);

	close(fd);
	return n == INDEX_KEY_LEN || err_set(err, ERR_BUSY, "%s: not the %d octets of a key", path, INDEX_KEY_LEN);
}

/* Linked into place when whole: of two processes that make one at once, the second finds the first's. */
static bool make_key(const char *path, struct err *err)
{
	unsigned char octets[INDEX_KEY_LEN];
	char tmp[PATH_MAX];

	if (getrandom(octets, sizeof octets, 0) != sizeof octets)
		return err_errno(err, ERR_BUSY, "getrandom");
	if (snprintf(tmp, sizeof tmp, "%s.%ld", path, (long)getpid()) >= (int)sizeof tmp)
		return err_set(err, ERR_CONFIG, "%s: path too long", path);

	int fd = io_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0640, err);

	if (fd < 0)
		return false;
	bool ok = io_write_all(fd, str_of((const char *)octets, sizeof octets), tmp, err) && io_sync(fd, tmp, err) &&
		  (link(tmp, path) == 0 || errno == EEXIST || err_errno(err, ERR_BUSY, "%s", path));

	close(fd);
	io_calls.unlink(tmp);
	explicit_bzero(octets, sizeof octets);
	return ok;
}

bool index_key_load(const char *dir, bool makes, unsigned char out[INDEX_KEY_LEN], struct err *err)
{
	char path[PATH_MAX];
	bool found;

	if (snprintf(path, sizeof path, "%s/.index.key", dir) >= (int)sizeof path)
		return err_set(err, ERR_CONFIG, "%s: path too long", dir);
	if (!read_key(path, out, &found, err))
		return false;
	if (!found && makes && (!make_key(path, err) || !read_key(path, out, &found, err)))
		return false;
	return found || err_set(err, ERR_BUSY, "%s: there is none", path);
}

static void derive(const unsigned char key[INDEX_KEY_LEN], char what, struct str name, const unsigned char salt[INDEX_SALT_LEN],
		   unsigned char out[SIPHASH_KEY_LEN])
{
	char text[2 + INDEX_SALT_LEN + RECORD_NAME_MAX] = { what };
	size_t name_len = name.len < RECORD_NAME_MAX ? name.len : RECORD_NAME_MAX;

	memcpy(text + 2, salt, INDEX_SALT_LEN);
	memcpy(text + 2 + INDEX_SALT_LEN, name.ptr, name_len);
	for (char half = 0; half < 2; half++) {
		text[1] = half;
		le64_write(siphash(key + half * SIPHASH_KEY_LEN, str_of(text, 2 + INDEX_SALT_LEN + name_len)),
			   out + half * 8);
	}
}

void index_keys_make(const unsigned char key[INDEX_KEY_LEN], struct str name, const unsigned char salt[INDEX_SALT_LEN],
		     struct index_keys *out)
{
	derive(key, 't', name, salt, out->term);
	derive(key, 'm', name, salt, out->mac);
}

/* --- values */

static struct str domain_of(struct str address)
{
	struct str local, domain;

	return str_cut_last(address, '@', &local, &domain) ? domain : STR_EMPTY;
}

struct str index_plain_id(struct str id)
{
	id = str_trim(id);
	return id.len >= 2 && id.ptr[0] == '<' && id.ptr[id.len - 1] == '>' ? str_slice(id, 1, id.len - 2) : id;
}

/* The 16 octets of an address, IPv4 in its mapped form; another text as it stands. */
static struct str client_octets(struct str text, char room[sizeof(struct in6_addr)])
{
	char name[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (text.len == 0 || text.len >= sizeof name)
		return text;
	memcpy(name, text.ptr, text.len);
	name[text.len] = '\0';
	if (inet_pton(AF_INET, name, &v4) == 1) {
		memcpy(room, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		memcpy(room + 12, &v4, 4);
		return str_of(room, sizeof(struct in6_addr));
	}
	return inet_pton(AF_INET6, name, room) == 1 ? str_of(room, sizeof(struct in6_addr)) : text;
}

bool index_term(const struct index_keys *keys, enum index_field field, struct str value, uint64_t *out)
{
	char text[1 + RECORD_STRING_MAX], address[sizeof(struct in6_addr)];

	if (field == INDEX_SENDER_DOMAIN || field == INDEX_RECIPIENT_DOMAIN)
		value = domain_of(value);
	else if (field == INDEX_REFERENCE)
		value = index_plain_id(value);
	else if (field == INDEX_CLIENT)
		value = client_octets(value, address);
	value = str_slice(value, 0, RECORD_STRING_MAX);
	text[0] = (char)field;
	for (size_t i = 0; i < value.len; i++)
		text[1 + i] = ascii_lower(value.ptr[i]);
	*out = siphash(keys->term, str_of(text, 1 + value.len));
	return value.len > 0;
}

/* --- reading */

bool index_path(const char *dir, struct record_file file, char out[PATH_MAX])
{
	char name[RECORD_NAME_MAX];

	record_file_name(file, name);
	return snprintf(out, PATH_MAX, "%s/.index/%s.idx", dir, name) < PATH_MAX;
}

static bool read_exact(int fd, void *to, size_t n, int64_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, (char *)to + got, n - got, at + (int64_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

bool index_tail_mac(const struct index_keys *keys, int log_fd, int64_t covered, uint64_t *out)
{
	char tail[INDEX_TAIL];
	size_t n = covered < INDEX_TAIL ? (size_t)covered : INDEX_TAIL;

	if (!read_exact(log_fd, tail, n, covered - (int64_t)n))
		return false;
	*out = siphash(keys->mac, str_of(tail, n));
	return true;
}

static bool read_head(struct index *index, const unsigned char head[INDEX_HEAD_LEN])
{
	uint64_t covered = le64_read(head + 8);
	struct stat st;

	index->postings = le64_read(head + 16);
	index->block_bits = le32_read(head + 24);
	index->bucket_bits = le32_read(head + 28);
	if (index->postings > INDEX_POSTINGS_MAX || index->block_bits < INDEX_BLOCK_BITS_MIN || index->block_bits > 40 ||
	    index->bucket_bits > INDEX_BUCKET_BITS_MAX || covered > (uint64_t)INDEX_BLOCKS_MAX << index->block_bits)
		return false;
	index->covered = (int64_t)covered;

	uint64_t size = INDEX_HEAD_LEN + ((uint64_t)INDEX_ROW_LEN << index->bucket_bits) +
			index->postings * INDEX_POSTING_LEN;

	return fstat(index->fd, &st) == 0 && (uint64_t)st.st_size == size;
}

static bool is_of(struct index *index, const unsigned char head[INDEX_HEAD_LEN], int log_fd, int64_t log_size)
{
	uint64_t tail_mac;

	return index->covered <= log_size &&
	       siphash(index->keys.mac, str_of((const char *)head, INDEX_HEAD_LEN - 8)) == le64_read(head + INDEX_HEAD_LEN - 8) &&
	       index_tail_mac(&index->keys, log_fd, index->covered, &tail_mac) && tail_mac == le64_read(head + 48);
}

bool index_open(const char *dir, struct record_file file, const unsigned char key[INDEX_KEY_LEN], int log_fd, int64_t log_size,
		struct index *out)
{
	unsigned char head[INDEX_HEAD_LEN];
	char path[PATH_MAX], name[RECORD_NAME_MAX];
	struct index index;

	if (!index_path(dir, file, path))
		return false;
	record_file_name(file, name);
	index.fd = io_calls.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (index.fd < 0)
		return false;
	if (read_exact(index.fd, head, sizeof head, 0) && memcmp(head, "SKINDEX1", 8) == 0 && read_head(&index, head)) {
		index_keys_make(key, str_from_c(name), head + 32, &index.keys);
		if (is_of(&index, head, log_fd, log_size)) {
			*out = index;
			return true;
		}
	}
	close(index.fd);
	return false;
}

void index_close(struct index *index)
{
	close(index->fd);
	index->fd = -1;
}

/* The row and the postings are joined for the MAC: an array with the row in front. */
uint64_t index_bucket_mac(const struct index_keys *keys, const unsigned char row[INDEX_ROW_LEN], const unsigned char *postings,
			  size_t count)
{
	unsigned char text[20];

	memcpy(text, row + 8, 12);
	le64_write(siphash(keys->mac, str_of((const char *)postings, count * INDEX_POSTING_LEN)), text + 12);
	return siphash(keys->mac, str_of((const char *)text, sizeof text));
}

static bool take_bucket(const struct index *index, const unsigned char row[INDEX_ROW_LEN], const unsigned char *postings,
			size_t count, uint32_t more, struct index_blocks *blocks)
{
	uint64_t block_count = ((uint64_t)index->covered >> index->block_bits) + 1;

	if (index_bucket_mac(&index->keys, row, postings, count) != le64_read(row))
		return false;
	for (size_t i = 0; i < count; i++) {
		uint32_t posting = le32_read(postings + i * INDEX_POSTING_LEN), block = posting & 0xffff;

		if (posting >> 16 == more && block < block_count)
			blocks->bits[block / 64] |= UINT64_C(1) << block % 64;
	}
	return true;
}

bool index_look_up(const struct index *index, enum index_field field, struct str value, struct index_blocks *blocks)
{
	unsigned char row[INDEX_ROW_LEN];
	uint64_t hash;

	if (!index_term(&index->keys, field, value, &hash))
		return false;

	uint32_t bucket = index->bucket_bits ? (uint32_t)(hash >> (64 - index->bucket_bits)) : 0;

	if (!read_exact(index->fd, row, sizeof row, INDEX_HEAD_LEN + (int64_t)bucket * INDEX_ROW_LEN))
		return false;

	uint64_t first = le32_read(row + 12), count = le32_read(row + 16);

	if (le32_read(row + 8) != bucket || first + count > index->postings)
		return false;

	unsigned char *postings = malloc(count * INDEX_POSTING_LEN + 1);
	int64_t at = INDEX_HEAD_LEN + ((int64_t)INDEX_ROW_LEN << index->bucket_bits) +
		     (int64_t)(first * INDEX_POSTING_LEN);
	bool ok = postings && read_exact(index->fd, postings, count * INDEX_POSTING_LEN, at) &&
		  take_bucket(index, row, postings, count, (uint32_t)(hash >> (48 - index->bucket_bits)) & 0xffff, blocks);

	free(postings);
	return ok;
}
