/* milter/record/index, index_build: whatever becomes of an index or of the log under it, the answers stay the same. */
#include "t/lib/asked.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/erase.h"
#include "milter/record/purge.h"
#include "milter/record/purger.h"

static void setup(void)
{
	asked_write(false);
}

static void setup_sealed(void)
{
	asked_write(true);
}

/* An index is read by its keyed hashes alone: a look into it shows no address. */
START_TEST(discloses_nothing)
{
	char path[PATH_MAX];
	struct stat st;
	struct buf buf;

	asked_update(false);
	relaylog_path(&asked.relay, ".index/2026-11-21.jsonl.idx", path);
	buf_init(&buf, ASKED_MAX);
	ck_assert(io_read_file(path, &buf, NULL) && buf.len > 1000);
	ck_assert(str_find(buf_view(&buf), STR("example")) == buf.len && str_find(buf_view(&buf), STR("4Xv")) == buf.len);
	ck_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
	buf_clear(&buf);
}
END_TEST

static void read_index(const char *name, char path[PATH_MAX], struct buf *out)
{
	relaylog_path(&asked.relay, name, path);
	buf_init(out, ASKED_MAX);
	ck_assert(io_read_file(path, out, NULL));
}

static void write_octets(const char *path, struct str text)
{
	FILE *file = fopen(path, "wb");

	ck_assert(file && fwrite(text.ptr, 1, text.len, file) == text.len && fclose(file) == 0);
}

/* A wish, the right answer to it, and the index of one file, to be damaged. */
struct damage {
	struct wish wish;
	struct buf want, index;
	char path[PATH_MAX];
};

static void damage_begin(struct damage *d, const char *file)
{
	asked_update(false);
	buf_init(&d->want, ASKED_MAX);
	asked_expect(&d->wish, false, &d->want);
	read_index(file, d->path, &d->index);
}

static void damage_try(struct damage *d, struct str index)
{
	struct answer got;

	write_octets(d->path, index);
	asked_find(&d->wish, false, 0, &got);
	ck_assert_msg(str_eq(buf_view(&got.text), buf_view(&d->want)), "%s: another answer", d->wish.value);
	buf_clear(&got.text);
}

static void damage_end(struct damage *d)
{
	buf_clear(&d->index);
	buf_clear(&d->want);
}

START_TEST(flipped)
{
	struct damage d = { .wish = { INDEX_RECIPIENT_DOMAIN, "x@d7.example", STR_EMPTY } };

	damage_begin(&d, ".index/2026-11-21.jsonl.idx");
	for (size_t at = 0; at < d.index.len; at += at < 400 ? 1 : 397) {
		d.index.ptr[at] = (char)(d.index.ptr[at] ^ 1 << asked_some(8));
		damage_try(&d, buf_view(&d.index));
		d.index.ptr[at] = (char)asked_some(256);
	}
	damage_end(&d);
}
END_TEST

START_TEST(cut)
{
	struct damage d = { .wish = { INDEX_SENDER_DOMAIN, "x@d3.example", STR_EMPTY } };

	damage_begin(&d, ".index/2026-11-22.jsonl.idx");
	for (size_t len = 0; len < d.index.len; len += len < 80 ? 1 : 997)
		damage_try(&d, str_slice(buf_view(&d.index), 0, len));
	damage_end(&d);
}
END_TEST

static void put_index(const char *from, const char *to)
{
	char path[PATH_MAX];
	struct buf index;

	read_index(from, path, &index);
	relaylog_path(&asked.relay, to, path);
	write_octets(path, buf_view(&index));
	buf_clear(&index);
}

/* The index of another file, of another key, of a file that was altered since, and none that is a file at all. */
START_TEST(not_its_own)
{
	char path[PATH_MAX], key[PATH_MAX];
	struct buf text;

	asked_update(false);
	put_index(".index/2026-11-21.jsonl.idx", ".index/2026-11-22.jsonl.idx");
	asked_compare(8);
	ck_assert_int_eq(asked_update(false).built, 1);

	relaylog_read(&asked.relay, "2026-11-21.jsonl", &text);
	relaylog_write(&asked.relay, "2026-11-21.jsonl", str_slice(buf_view(&text), 0, relaylog_line(buf_view(&text), 100)));
	asked_compare(8);
	relaylog_write(&asked.relay, "2026-11-21.jsonl", buf_view(&text));
	buf_clear(&text);

	relaylog_path(&asked.relay, ".index.key", key);
	write_octets(key, STR("a key that is none of them, 32.."));
	asked_compare(8);
	write_octets(key, STR("short"));
	asked_compare(5);
	ck_assert_int_eq(unlink(key), 0);
	asked_compare(5);
	ck_assert_int_gt(asked_update(false).built, ASKED_DAYS);

	relaylog_path(&asked.relay, ".index/2026-11-23.jsonl.idx", path);
	ck_assert(unlink(path) == 0 && mkfifo(path, 0600) == 0);
	asked_compare(5);
	ck_assert(unlink(path) == 0 && symlink("/dev/zero", path) == 0);
	asked_compare(5);
}
END_TEST

START_TEST(after_erasure)
{
	struct record_writer_config config = relaylog_config(&asked.relay);
	const struct erase_request request = { .tenant = STR("acme"), .reason = STR("contract ended") };
	struct wish wish = { 0, "", STR("\"tenant\":\"acme\",\"tseq\"") };
	struct erase_result result;
	struct answer got;
	char path[PATH_MAX];

	asked_update(false);
	ck_assert(record_erase(&config, &request, &result, NULL) && result.records > 100);
	relaylog_path(&asked.relay, ".index/2026-11-21.jsonl.idx", path);
	ck_assert_int_ne(access(path, F_OK), 0);
	asked_find(&wish, false, 0, &got);
	ck_assert_uint_eq(got.text.len, 0);
	buf_clear(&got.text);
	asked_compare(8);
	ck_assert_int_gt(asked_update(false).built, ASKED_DAYS);
	asked_compare(8);
}
END_TEST

START_TEST(after_purge)
{
	struct record_writer_config config = relaylog_config(&asked.relay);
	char path[PATH_MAX];
	int64_t count;

	asked_update(false);
	relaylog_path(&asked.relay, ".index/2026-11-21.jsonl.idx", path);
	ck_assert_int_eq(access(path, F_OK), 0);
	clock_set(NOON + 62 * DAY_US);
	ck_assert(record_purge(&config, (struct retention){ 60, false }, jst_day(clock_now_us()), false, NULL, NULL, &count, NULL) && count > 1);
	ck_assert_int_ne(access(path, F_OK), 0);
	asked_compare(8);

	relaylog_path(&asked.relay, ".index/2026-01-01.jsonl.idx", path);
	write_octets(path, STR("of a day that is no more"));
	asked_update(false);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* The daemon's thread makes what is missing by itself. */
START_TEST(by_the_daemon)
{
	const struct purge_class class = { relaylog_config(&asked.relay), { 60, false } };
	struct purger *purger;
	char path[PATH_MAX];

	relaylog_path(&asked.relay, ".index/2026-11-21.jsonl.idx", path);
	ck_assert(purger_start(&class, 1, &purger, NULL));
	for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
		usleep(20000);
	purger_stop(purger);
	ck_assert_int_eq(access(path, F_OK), 0);
	asked_compare(8);
}
END_TEST

static struct io_calls real;

static int open_but_keys(const char *path, int flags, mode_t mode)
{
	if (strncmp(path, asked.ring, strlen(asked.ring)) != 0 || !strstr(path, ".key"))
		return real.open(path, flags, mode);
	errno = EMFILE;
	return -1;
}

/* A line whose key could not be read meanwhile is read when it is asked for. */
START_TEST(keys_unread)
{
	real = io_calls;
	io_calls.open = open_but_keys;
	asked_update(false);
	io_calls = real;
	seal_close(asked.seal);                     /* which remembers for a while that it could not read them */
	ck_assert(seal_open(str_from_c(asked.ring), STR("relay"), &asked.seal, NULL));
	asked_compare(20);
}
END_TEST

/* Lines behind the covered part, and a torn end, are what they are without an index. */
START_TEST(grown)
{
	struct buf text;
	size_t at;

	relaylog_read(&asked.relay, "2026-11-21.jsonl", &text);
	at = relaylog_line(buf_view(&text), 200);
	relaylog_write(&asked.relay, "2026-11-21.jsonl", str_slice(buf_view(&text), 0, at));
	asked_update(false);
	relaylog_write(&asked.relay, "2026-11-21.jsonl", str_slice(buf_view(&text), 0, text.len - 30));
	asked_compare(12);
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record index");
	TCase *log = tcase_create("log"), *sealed = tcase_create("sealed");

	tcase_add_checked_fixture(log, setup, NULL);
	tcase_add_test(log, discloses_nothing);
	tcase_add_test(log, flipped);
	tcase_add_test(log, cut);
	tcase_add_test(log, not_its_own);
	tcase_add_test(log, after_erasure);
	tcase_add_test(log, after_purge);
	tcase_add_test(log, by_the_daemon);
	tcase_add_test(log, grown);
	suite_add_tcase(suite, log);
	tcase_add_checked_fixture(sealed, setup_sealed, asked_close);
	tcase_add_test(sealed, after_erasure);
	tcase_add_test(sealed, keys_unread);
	suite_add_tcase(suite, sealed);
	return unit_main(suite);
}
