/* milter/record/find, index, needle, siphash: with whatever index there is, the answer is that of reading every line. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/erase.h"
#include "milter/record/find.h"
#include "milter/record/index_build.h"
#include "milter/record/needle.h"
#include "milter/record/purge.h"
#include "milter/record/reader.h"

#define DAYS 4
#define RECORDS 700                             /* a day: some 250 KB, so that a file has several blocks */
#define ANSWER_MAX ((size_t)64 << 20)

static struct relaylog relay;
static struct seal *seal;                       /* NULL: the log is not sealed */
static char ring[PATH_MAX];
static unsigned seed;

/* --- a log with values that repeat, and some that do not */

static int some(int n)
{
	seed = seed * 1103515245u + 12345u;
	return (int)(seed >> 16) % n;
}

static const char *const strange[] = { "\"q\\uoted\"@x.example", "\xe3\x81\x82@x.example", "\xff\xfe@x.example", "tab\there@Y.Example",
				       "no-domain", "a@b@odd.example", "UPPER@CASE.EXAMPLE" };

static struct str address(char room[64])
{
	int kind = some(40);

	if (kind < 7)
		return str_from_c(strange[kind]);
	snprintf(room, 64, "user%d@d%d.example", some(400), some(30));
	return str_from_c(room);
}

static void append_some(struct record_writer *writer, bool is_last)
{
	char from[64], to[2][64], queue_id[32], client[40], detail[80];
	struct str recipients[] = { address(to[0]), address(to[1]) };
	struct record_event event = { .event = some(4) ? STR("accepted") : STR("rejected"), .tenant = some(2) ? STR("acme") : STR("ginza"),
				      .from = address(from), .to = recipients, .to_count = (size_t)some(3), .verdict = STR("accept") };
	struct err err = { .text = "" };

	snprintf(queue_id, sizeof queue_id, "4Xv%dz", some(1000000));
	snprintf(client, sizeof client, some(2) ? "192.0.2.%d" : "2001:db8::%x", some(200));
	snprintf(detail, sizeof detail, "{\"message_id\":\"<m%d@mail.example>\"}", some(1000000));
	event.queue_id = str_from_c(queue_id);
	event.client = str_from_c(client);
	event.detail = str_from_c(detail);
	if (some(5) == 0)
		event.rcpt = recipients[0];
	ck_assert_msg(record_append(writer, &event, is_last ? RECORD_DURABLE : RECORD_QUEUED, NULL, &err), "%s", err.text);
}

static void write_log(bool is_sealed)
{
	struct record_writer_config config;
	struct record_writer *writer;
	struct err err = { .text = "" };

	relaylog_setup(&relay);
	config = relaylog_config(&relay);
	config.part_max = 150000;
	if (is_sealed) {
		relaylog_path(&relay, "../ring", ring);
		config.keyring = str_from_c(ring);
		config.is_sealed = true;
		ck_assert(seal_open(config.keyring, STR("relay"), &seal, NULL));
	}
	seed = 11;
	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	for (int day = 0; day < DAYS; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < RECORDS; i++)
			append_some(writer, i % 100 == 99);
	}
	record_writer_close(writer);
}

static void setup(void)
{
	write_log(false);
}

static void setup_sealed(void)
{
	write_log(true);
}

static void teardown(void)
{
	seal_close(seal);
	seal = NULL;
}

static struct index_work update(bool anew)
{
	struct index_work work;
	struct err err = { .text = "" };

	ck_assert_msg(index_update(relay.dir, seal, anew, NULL, NULL, &work, &err), "%s", err.text);
	return work;
}

/* --- what is asked, and the model: every line, taken apart */

struct wish {
	enum index_field field;
	char value[64];
	struct str text;               /* besides, or alone when field is 0 */
};

static struct str last_of(struct str address)
{
	struct str left, right;

	return str_cut_last(address, '@', &left, &right) ? right : STR_EMPTY;
}

static bool is_value(enum index_field field, struct str want, const struct record_event *event)
{
	struct str id = STR_EMPTY;
	char angled[80];

	snprintf(angled, sizeof angled, "<" STR_FMT ">", STR_ARG(want));
	record_peek(event->detail, STR("message_id"), &id);
	switch (field) {
	case INDEX_REFERENCE:
		return str_eq_nocase(event->id, want) || str_eq_nocase(event->queue_id, want) || str_eq_nocase(id, str_from_c(angled));
	case INDEX_CLIENT:
		return str_eq_nocase(event->client, want);
	case INDEX_SENDER:
		return str_eq_nocase(event->from, want);
	case INDEX_SENDER_DOMAIN:
		return str_eq_nocase(last_of(event->from), last_of(want));
	case INDEX_RECIPIENT:
	case INDEX_RECIPIENT_DOMAIN:
		break;
	}
	struct str all[3] = { event->rcpt };

	for (size_t i = 0; i < event->to_count && i < 2; i++)
		all[1 + i] = event->to[i];
	for (size_t i = 0; i < 3; i++)
		if (all[i].len && (field == INDEX_RECIPIENT ? str_eq_nocase(all[i], want) : str_eq_nocase(last_of(all[i]), last_of(want))))
			return true;
	return false;
}

static bool is_wanted(void *arg, struct str line, struct arena *scratch)
{
	const struct wish *wish = arg;
	struct record_line record;
	struct err err;

	if (!record_parse(line, scratch, &record, &err) || record.is_erased)
		return false;
	return !wish->field || is_value(wish->field, str_from_c(wish->value), &record.event);
}

struct answer {
	struct wish *wish;
	struct buf text;
	int limit;
};

static bool match(void *arg, struct str line, struct arena *scratch)
{
	return is_wanted(((struct answer *)arg)->wish, line, scratch);
}

static bool take(void *arg, struct str line)
{
	struct answer *answer = arg;

	buf_add(&answer->text, line);
	buf_add_byte(&answer->text, '\n');
	return --answer->limit != 0;
}

static void model(struct wish *wish, bool newest_first, struct buf *out)
{
	struct record_reader *reader;
	struct arena scratch;
	struct str line;
	struct buf room;
	bool is_torn, found;

	buf_init(&room, 2 * RECORD_LINE_MAX);
	arena_init(&scratch, 1 << 20);
	ck_assert(record_reader_open(str_from_c(relay.dir), INT64_MIN, INT64_MAX, newest_first, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		arena_reset(&scratch);
		if (seal)
			seal_read_line(seal, line, &room, &line);
		if (is_torn || !is_wanted(wish, line, &scratch) || (wish->text.len && str_find(line, wish->text) == line.len))
			continue;
		buf_add(out, line);
		buf_add_byte(out, '\n');
	}
	record_reader_close(reader);
	arena_clear(&scratch);
	buf_clear(&room);
}

static struct find_report ask(struct wish *wish, bool newest_first, int limit, struct answer *out)
{
	const struct find_key key = { wish->field, str_from_c(wish->value) };
	const struct find_query query = { .dir = relay.dir, .first_day = INT64_MIN, .last_day = INT64_MAX, .newest_first = newest_first,
					  .keys = &key, .key_count = wish->field != 0, .texts = &wish->text,
					  .text_count = wish->text.len > 0, .seal = seal, .threads = 1 + some(3), .match = match, .found = take, .arg = out };
	struct find_report report;
	struct err err = { .text = "" };

	out->wish = wish;
	out->limit = limit;
	buf_init(&out->text, ANSWER_MAX);
	ck_assert_msg(record_find(&query, &report, &err), "%s", err.text);
	return report;
}

static void make_wish(struct wish *wish)
{
	char room[64];

	*wish = (struct wish){ .field = (enum index_field)some(7) };
	switch (wish->field) {
	case INDEX_CLIENT:
		snprintf(wish->value, sizeof wish->value, some(2) ? "192.0.2.%d" : "2001:db8::%x", some(220));
		break;
	case INDEX_REFERENCE:
		snprintf(wish->value, sizeof wish->value, some(2) ? "4Xv%dz" : "m%d@mail.example", some(1000000));
		break;
	default:
		snprintf(wish->value, sizeof wish->value, STR_FMT, STR_ARG(address(room)));
	}
	if (!wish->field || some(4) == 0)
		wish->text = some(2) ? STR("ginza") : STR("4Xv99");
}

/* So many questions; how many octets were read for them. */
static int64_t compare(int questions)
{
	int64_t bytes = 0;

	for (int i = 0; i < questions; i++) {
		struct wish wish;
		struct answer got;
		struct buf want;
		bool newest_first = some(2);

		make_wish(&wish);
		buf_init(&want, ANSWER_MAX);
		model(&wish, newest_first, &want);
		bytes += ask(&wish, newest_first, 0, &got).bytes_read;
		ck_assert_msg(str_eq(buf_view(&got.text), buf_view(&want)), "field %d, %s, text " STR_FMT ": %zu octets, not %zu", (int)wish.field,
			      wish.value, STR_ARG(wish.text), got.text.len, want.len);
		buf_clear(&want);
		buf_clear(&got.text);
	}
	return bytes;
}

START_TEST(same_answers)
{
	int64_t without = compare(25);

	ck_assert_int_gt(update(false).built, DAYS);
	ck_assert_int_eq(update(false).built, 0);
	seed = 11;
	ck_assert_int_lt(compare(25), without);
	ck_assert_int_gt(update(true).built, DAYS);
	compare(25);
}
END_TEST

/* Each value that the log holds is found where the index leads: by a value of each line in turn. */
START_TEST(every_value)
{
	struct wish all = { 0 }, wish = { .field = INDEX_REFERENCE };
	struct record_line record;
	struct arena scratch;
	struct str rest, line;
	struct answer got;
	struct buf text;
	struct err err;

	update(false);
	arena_init(&scratch, 1 << 20);
	buf_init(&text, ANSWER_MAX);
	model(&all, false, &text);
	rest = buf_view(&text);
	for (int i = 0; str_next(&rest, '\n', &line); i++) {
		arena_reset(&scratch);
		if (i % 37 || !record_parse(line, &scratch, &record, &err) || record.event.queue_id.len == 0)
			continue;
		snprintf(wish.value, sizeof wish.value, STR_FMT, STR_ARG(record.event.id));
		ask(&wish, true, 0, &got);
		ck_assert_msg(str_eq(str_slice(buf_view(&got.text), 0, line.len), line), "record %s is not found", wish.value);
		buf_clear(&got.text);
	}
	buf_clear(&text);
	arena_clear(&scratch);
}
END_TEST

/* An index is read by its keyed hashes alone: a look into it shows no address. */
START_TEST(discloses_nothing)
{
	char path[PATH_MAX];
	struct stat st;
	struct buf buf;

	update(false);
	relaylog_path(&relay, ".index/2026-11-21.jsonl.idx", path);
	buf_init(&buf, ANSWER_MAX);
	ck_assert(io_read_file(path, &buf, NULL) && buf.len > 1000);
	ck_assert(str_find(buf_view(&buf), STR("example")) == buf.len && str_find(buf_view(&buf), STR("4Xv")) == buf.len);
	ck_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
	buf_clear(&buf);
}
END_TEST

/* --- damage */

static void read_index(const char *name, char path[PATH_MAX], struct buf *out)
{
	relaylog_path(&relay, name, path);
	buf_init(out, ANSWER_MAX);
	ck_assert(io_read_file(path, out, NULL));
}

static void write_octets(const char *path, struct str text)
{
	FILE *file = fopen(path, "wb");

	ck_assert(file && fwrite(text.ptr, 1, text.len, file) == text.len && fclose(file) == 0);
}

/* Of one file, whose index is what we say. */
static void compare_one(struct wish *wish, struct buf *want)
{
	struct answer got;

	ask(wish, false, 0, &got);
	ck_assert_msg(str_eq(buf_view(&got.text), buf_view(want)), "%s: another answer", wish->value);
	buf_clear(&got.text);
}

START_TEST(flipped)
{
	struct wish wish = { INDEX_RECIPIENT_DOMAIN, "x@d7.example", STR_EMPTY };
	struct buf index, want;
	char path[PATH_MAX];

	update(false);
	buf_init(&want, ANSWER_MAX);
	model(&wish, false, &want);
	read_index(".index/2026-11-21.jsonl.idx", path, &index);
	for (size_t at = 0; at < index.len; at += at < 400 ? 1 : 397) {
		index.ptr[at] = (char)(index.ptr[at] ^ 1 << some(8));
		write_octets(path, buf_view(&index));
		compare_one(&wish, &want);
		index.ptr[at] = (char)some(256);
	}
	buf_clear(&index);
	buf_clear(&want);
}
END_TEST

START_TEST(cut)
{
	struct wish wish = { INDEX_SENDER_DOMAIN, "x@d3.example", STR_EMPTY };
	struct buf index, want;
	char path[PATH_MAX];

	update(false);
	buf_init(&want, ANSWER_MAX);
	model(&wish, false, &want);
	read_index(".index/2026-11-22.jsonl.idx", path, &index);
	for (size_t len = 0; len < index.len; len += len < 80 ? 1 : 997) {
		write_octets(path, str_slice(buf_view(&index), 0, len));
		compare_one(&wish, &want);
	}
	buf_clear(&index);
	buf_clear(&want);
}
END_TEST

static void put_index(const char *from, const char *to)
{
	char path[PATH_MAX];
	struct buf index;

	read_index(from, path, &index);
	relaylog_path(&relay, to, path);
	write_octets(path, buf_view(&index));
	buf_clear(&index);
}

/* The index of another file, of another key, of a file that was altered since, and none that is a file at all. */
START_TEST(not_its_own)
{
	char path[PATH_MAX], key[PATH_MAX];
	struct buf text;

	update(false);
	put_index(".index/2026-11-21.jsonl.idx", ".index/2026-11-22.jsonl.idx");
	compare(8);
	ck_assert_int_eq(update(false).built, 1);

	relaylog_read(&relay, "2026-11-21.jsonl", &text);
	relaylog_write(&relay, "2026-11-21.jsonl", str_slice(buf_view(&text), 0, relaylog_line(buf_view(&text), 100)));
	compare(8);
	relaylog_write(&relay, "2026-11-21.jsonl", buf_view(&text));
	buf_clear(&text);

	relaylog_path(&relay, ".index.key", key);
	write_octets(key, STR("a key that is none of them, 32.."));
	compare(8);
	write_octets(key, STR("short"));
	compare(5);
	ck_assert_int_eq(unlink(key), 0);
	compare(5);
	ck_assert_int_gt(update(false).built, DAYS);

	relaylog_path(&relay, ".index/2026-11-23.jsonl.idx", path);
	ck_assert(unlink(path) == 0 && mkfifo(path, 0600) == 0);
	compare(5);
	ck_assert(unlink(path) == 0 && symlink("/dev/zero", path) == 0);
	compare(5);
}
END_TEST

/* --- what becomes of it */

START_TEST(after_erasure)
{
	struct record_writer_config config = relaylog_config(&relay);
	const struct erase_request request = { .tenant = STR("acme"), .reason = STR("contract ended") };
	struct wish wish = { 0, "", STR("\"tenant\":\"acme\",\"tseq\"") };
	struct erase_result result;
	struct answer got;
	char path[PATH_MAX];

	update(false);
	ck_assert(record_erase(&config, &request, &result, NULL) && result.records > 100);
	relaylog_path(&relay, ".index/2026-11-21.jsonl.idx", path);
	ck_assert_int_ne(access(path, F_OK), 0);
	ask(&wish, false, 0, &got);
	ck_assert_uint_eq(got.text.len, 0);
	buf_clear(&got.text);
	compare(8);
	ck_assert_int_gt(update(false).built, DAYS);
	compare(8);
}
END_TEST

START_TEST(after_purge)
{
	struct record_writer_config config = relaylog_config(&relay);
	char path[PATH_MAX];
	int64_t count;

	update(false);
	relaylog_path(&relay, ".index/2026-11-21.jsonl.idx", path);
	ck_assert_int_eq(access(path, F_OK), 0);
	clock_set(NOON + 62 * DAY_US);
	ck_assert(record_purge(&config, (struct retention){ 60, false }, false, NULL, NULL, &count, NULL) && count > 1);
	ck_assert_int_ne(access(path, F_OK), 0);
	compare(8);

	relaylog_path(&relay, ".index/2026-01-01.jsonl.idx", path);
	write_octets(path, STR("of a day that is no more"));
	update(false);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* The daemon's thread makes what is missing by itself. */
START_TEST(by_the_daemon)
{
	const struct purge_class class = { relaylog_config(&relay), { 60, false } };
	struct purger *purger;
	char path[PATH_MAX];

	relaylog_path(&relay, ".index/2026-11-21.jsonl.idx", path);
	ck_assert(purger_start(&class, 1, &purger, NULL));
	for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
		usleep(20000);
	purger_stop(purger);
	ck_assert_int_eq(access(path, F_OK), 0);
	compare(8);
}
END_TEST

/* Lines behind the covered part, and a torn end, are what they are without an index. */
START_TEST(grown)
{
	struct buf text;
	size_t at;

	relaylog_read(&relay, "2026-11-21.jsonl", &text);
	at = relaylog_line(buf_view(&text), 200);
	relaylog_write(&relay, "2026-11-21.jsonl", str_slice(buf_view(&text), 0, at));
	update(false);
	relaylog_write(&relay, "2026-11-21.jsonl", str_slice(buf_view(&text), 0, text.len - 30));
	compare(12);
	buf_clear(&text);
}
END_TEST

START_TEST(limited)
{
	struct wish wish = { 0, "", STR("accepted") };
	struct answer got, all;

	ask(&wish, true, 3, &got);
	ask(&wish, true, 0, &all);
	ck_assert_int_eq(got.limit, 0);
	ck_assert(str_starts(buf_view(&all.text), buf_view(&got.text)) && all.text.len > 100 * got.text.len);
	buf_clear(&got.text);
	buf_clear(&all.text);
}
END_TEST

START_TEST(any_of_several)
{
	const struct find_key keys[] = { { INDEX_REFERENCE, STR("4Xv1z") }, { INDEX_CLIENT, STR("192.0.2.7") } };
	const struct str texts[] = { STR("4Xv1z"), STR("192.0.2.7\"") };
	struct wish all = { 0 };
	struct answer with = { .wish = &all }, without = { .wish = &all };
	struct find_query query = { .dir = relay.dir, .first_day = INT64_MIN, .last_day = INT64_MAX, .any = true, .keys = keys,
				    .key_count = 2, .texts = texts, .text_count = 2, .match = match, .found = take, .arg = &without };
	struct find_report report;

	buf_init(&with.text, ANSWER_MAX);
	buf_init(&without.text, ANSWER_MAX);
	ck_assert(record_find(&query, &report, NULL) && report.indexed == 0);
	update(false);
	query.arg = &with;
	ck_assert(record_find(&query, &report, NULL) && report.indexed > DAYS);
	ck_assert(with.text.len > 100 && str_eq(buf_view(&with.text), buf_view(&without.text)));
	buf_clear(&with.text);
	buf_clear(&without.text);
}
END_TEST

/* A day whose key is destroyed says nothing any more, indexed or not. */
START_TEST(key_destroyed)
{
	struct wish wish = { 0, "", STR("@d7.example") };
	struct answer before, after;
	int64_t count;

	update(false);
	ask(&wish, false, 0, &before);
	ck_assert(seal_destroy_days(str_from_c(ring), STR("relay"), jst_day(NOON) + 2, &count, NULL) && count == 2);
	teardown();
	ck_assert(seal_open(str_from_c(ring), STR("relay"), &seal, NULL));
	ck_assert_int_gt(ask(&wish, false, 0, &after).closed, 2 * RECORDS - 1);
	ck_assert(after.text.len > 100 && after.text.len < before.text.len);
	buf_clear(&before.text);
	buf_clear(&after.text);
	compare(8);
	update(true);
	compare(8);
}
END_TEST

/* --- the parts */

START_TEST(needles)
{
	char text[200], lower[200];

	for (int round = 0; round < 3000; round++) {
		size_t len = (size_t)some(180), n = 1 + (size_t)some(6);
		struct needle needle;
		char word[8];

		for (size_t i = 0; i < len; i++) {
			text[i] = "aAbB@z.Z"[some(8)];
			lower[i] = ascii_lower(text[i]);
		}
		for (size_t i = 0; i < n; i++)
			word[i] = "abAB@"[some(5)];
		needle_init(&needle, str_of(word, n), str_of(text, some(2) ? len : 0));
		for (size_t i = 0; i < n; i++)
			word[i] = ascii_lower(word[i]);

		struct str walled = unit_wall(str_of(text, len));
		size_t got = needle_find(&needle, walled);

		unit_wall_free(walled);
		ck_assert_uint_eq(got, str_find(str_of(lower, len), str_of(word, n)));
	}
}
END_TEST

/* The vectors of the paper: key 00 01 .. 0f, text 00 01 .. of each length. */
START_TEST(siphash_vectors)
{
	static const uint64_t want[] = { UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
					 UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
					 UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462) };
	unsigned char key[16];

	for (int i = 0; i < 16; i++)
		key[i] = (unsigned char)i;
	for (size_t len = 0; len < sizeof want / sizeof *want; len++)
		ck_assert_msg(siphash(key, str_of((const char *)key, len)) == want[len], "length %zu", len);
	ck_assert(siphash(key, str_of((const char *)key, 15)) == UINT64_C(0xa129ca6149be45e5));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record_find");
	TCase *parts = tcase_create("parts"), *log = tcase_create("log"), *sealed = tcase_create("sealed");

	tcase_add_test(parts, needles);
	tcase_add_test(parts, siphash_vectors);
	suite_add_tcase(suite, parts);
	tcase_add_checked_fixture(log, setup, NULL);
	tcase_set_timeout(log, 120);
	tcase_add_test(log, same_answers);
	tcase_add_test(log, every_value);
	tcase_add_test(log, discloses_nothing);
	tcase_add_test(log, flipped);
	tcase_add_test(log, cut);
	tcase_add_test(log, not_its_own);
	tcase_add_test(log, after_erasure);
	tcase_add_test(log, after_purge);
	tcase_add_test(log, by_the_daemon);
	tcase_add_test(log, grown);
	tcase_add_test(log, limited);
	tcase_add_test(log, any_of_several);
	suite_add_tcase(suite, log);
	tcase_add_checked_fixture(sealed, setup_sealed, teardown);
	tcase_set_timeout(sealed, 120);
	tcase_add_test(sealed, same_answers);
	tcase_add_test(sealed, every_value);
	tcase_add_test(sealed, after_erasure);
	tcase_add_test(sealed, key_destroyed);
	suite_add_tcase(suite, sealed);
	return unit_main(suite);
}
