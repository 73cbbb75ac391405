/* milter/record/verify: every attack on a log that a verifier has to show, and the accidents that are none. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/purge.h"
#include "milter/record/scan.h"
#include "milter/record/sign.h"

#define DAY1 "2026-11-21.jsonl"
#define DAY2 "2026-11-22.jsonl"
#define DAY3 "2026-11-23.jsonl"
#define PART2 "2026-11-23.2.jsonl"

static struct relaylog relay;

/* Three days of ten records; day 1 has lines 1 to 13 (begin, checkpoint, records 3 to 12, checkpoint), day 2 has begin,
 * tenants, records 16 to 25, checkpoint 26, day 3 begin (27) and so on. */
static void setup(void)
{
	struct record_writer *writer;

	relaylog_setup(&relay);
	writer = relaylog_open(&relay);
	for (int day = 0; day < 3; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < 10; i++)
			relaylog_append(writer, "accepted", i % 3 ? "acme" : "ginza");
	}
	relaylog_keep_once(&relay);
	record_writer_close(writer);
}

static void flip(struct buf *text, size_t line, size_t at)
{
	text->ptr[relaylog_line(buf_view(text), line) + at] ^= 1;
}

static void edit(const char *file, void (*change)(struct buf *text))
{
	struct buf text;

	relaylog_read(&relay, file, &text);
	change(&text);
	relaylog_write(&relay, file, buf_view(&text));
	buf_clear(&text);
}

static void cut_lines(struct buf *text, size_t first, size_t count)
{
	size_t at = relaylog_line(buf_view(text), first), end = relaylog_line(buf_view(text), first + count);

	memmove(text->ptr + at, text->ptr + end, text->len - end);
	text->len -= end - at;
}

static void flip_text(struct buf *text) { flip(text, 5, 20); }
static void flip_chain(struct buf *text)
{
	char *at = text->ptr + relaylog_line(buf_view(text), 6) - 10;

	*at = *at == '0' ? '1' : '0';
}
static void flip_frame(struct buf *text) { flip(text, 5, 3); }
static void flip_begin(struct buf *text) { flip(text, 0, 30); }
static void delete_one(struct buf *text) { cut_lines(text, 5, 1); }
static void delete_three(struct buf *text) { cut_lines(text, 5, 3); }
static void delete_last(struct buf *text) { cut_lines(text, 12, 1); }
static void cut_tail(struct buf *text) { text->len = relaylog_line(buf_view(text), 8); }
static void tear_tail(struct buf *text) { text->len = relaylog_line(buf_view(text), 8) + 17; }
static void empty(struct buf *text) { text->len = 0; }

static void repeat_line(struct buf *text)
{
	size_t at = relaylog_line(buf_view(text), 5), n = relaylog_line(buf_view(text), 6) - at;

	ck_assert(buf_reserve(text, n));
	memmove(text->ptr + at + n, text->ptr + at, text->len - at);
	text->len += n;
}

static void swap_lines(struct buf *text)
{
	size_t a = relaylog_line(buf_view(text), 5), b = relaylog_line(buf_view(text), 6), c = relaylog_line(buf_view(text), 7);
	char *copy = malloc(b - a);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, text->ptr + a, b - a);
	memmove(text->ptr + a, text->ptr + b, c - b);
	memcpy(text->ptr + a + (c - b), copy, b - a);
	free(copy);
}

static void put_garbage(struct buf *text)
{
	size_t at = relaylog_line(buf_view(text), 5);

	ck_assert(buf_reserve(text, 8));
	memmove(text->ptr + at + 8, text->ptr + at, text->len - at);
	memcpy(text->ptr + at, "garbage\n", 8);
	text->len += 8;
}

/* The attack that needs no key: alter a record, then make all chain values right again. */
static void rewrite_record(struct buf *text)
{
	flip(text, 5, 20);
	relaylog_rechain(text, 5);
}

static void attack_flip_text(void) { edit(DAY1, flip_text); }
static void attack_flip_chain(void) { edit(DAY1, flip_chain); }
static void attack_flip_frame(void) { edit(DAY1, flip_frame); }
static void attack_flip_begin(void) { edit(DAY2, flip_begin); }
static void attack_delete_one(void) { edit(DAY1, delete_one); }
static void attack_delete_three(void) { edit(DAY2, delete_three); }
static void attack_delete_last(void) { edit(DAY1, delete_last); }
static void attack_repeat(void) { edit(DAY1, repeat_line); }
static void attack_swap(void) { edit(DAY1, swap_lines); }
static void attack_garbage(void) { edit(DAY1, put_garbage); }
static void attack_rewrite(void) { edit(DAY3, rewrite_record); }
static void add_at_end(struct buf *text)
{
	size_t at = relaylog_line(buf_view(text), 5), n = relaylog_line(buf_view(text), 6) - at;

	ck_assert(buf_reserve(text, n));
	memcpy(text->ptr + text->len, text->ptr + at, n);
	text->len += n;
}

static void attack_add(void) { edit(DAY1, add_at_end); }
static void cut_middle(void) { edit(DAY2, cut_tail); }
static void tear_middle(void) { edit(DAY2, tear_tail); }
static void empty_middle(void) { edit(DAY2, empty); }
static void cut_end(void) { edit(DAY3, cut_tail); }
static void tear_end(void) { edit(DAY3, tear_tail); }

static void drop(const char *file)
{
	char path[PATH_MAX];

	relaylog_path(&relay, file, path);
	ck_assert_int_eq(unlink(path), 0);
}

/* Line `number` of `file` becomes line `other_number` of another file. */
static void splice(const char *file, size_t number, const char *other, size_t other_number)
{
	struct buf text, from, out;

	relaylog_read(&relay, file, &text);
	relaylog_read(&relay, other, &from);
	buf_init(&out, 1 << 20);

	size_t at = relaylog_line(buf_view(&text), number), end = relaylog_line(buf_view(&text), number + 1);
	size_t put = relaylog_line(buf_view(&from), other_number);

	buf_add(&out, str_slice(buf_view(&text), 0, at));
	buf_add(&out, str_of(from.ptr + put, relaylog_line(buf_view(&from), other_number + 1) - put));
	buf_add(&out, str_from(buf_view(&text), end));
	relaylog_write(&relay, file, buf_view(&out));
	buf_clear(&text);
	buf_clear(&from);
	buf_clear(&out);
}

static void splice_day(void) { splice(DAY1, 5, DAY2, 5); }
static void splice_tenant(void) { splice(DAY1, 5, DAY1, 6); }      /* ginza's in the place of acme's */
static void splice_checkpoint(void) { splice(DAY2, 12, DAY1, 12); }

static void drop_first(void) { drop(DAY1); }
static void drop_middle(void) { drop(DAY2); }
static void drop_last(void) { drop(DAY3); }
static void nothing(void) { }

static void rename_day(void)
{
	char from[PATH_MAX], to[PATH_MAX];

	relaylog_path(&relay, DAY3, from);
	relaylog_path(&relay, "2026-11-24.jsonl", to);
	ck_assert_int_eq(rename(from, to), 0);
}

/* A file of another node, made on the same day with another key, in the place of ours. */
static void other_node(void)
{
	struct relaylog other;
	struct record_writer_config config;
	struct record_writer *writer;
	struct buf text;

	relaylog_setup(&other);
	config = relaylog_config(&other);
	config.node = STR("mx2");
	ck_assert(record_writer_open(&config, &writer, NULL));
	clock_set(NOON);
	for (int day = 0; day < 3; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < 10; i++)
			relaylog_append(writer, "accepted", i % 3 ? "acme" : "ginza");
	}
	record_writer_close(writer);
	relaylog_read(&other, DAY2, &text);
	relaylog_write(&relay, DAY2, buf_view(&text));
	buf_clear(&text);
}

static void unreadable(void) { relaylog_lock_up(&relay, DAY2); }

/* What has a file's name and is none cannot excuse anything that is missing. */
static void drop_and_put_directory(void)
{
	char path[PATH_MAX];

	drop_middle();
	relaylog_path(&relay, PART2, path);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void drop_and_put_link(void)
{
	char path[PATH_MAX];

	drop_middle();
	relaylog_path(&relay, PART2, path);
	ck_assert_int_eq(symlink("nowhere", path), 0);
}

static void drop_and_put_fifo(void)
{
	char path[PATH_MAX];

	drop_middle();
	relaylog_path(&relay, PART2, path);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
}

static void wrong_key(void)
{
	char id[SIGN_ID_LEN + 1];

	ck_assert(unlink(relay.key) == 0 && unlink(relay.pub) == 0 && sign_key_new(relay.key, id, NULL));
}

static void rotated_key(void)
{
	struct record_writer *writer;
	struct buf both;

	buf_init(&both, 1 << 16);
	ck_assert(io_read_file(relay.pub, &both, NULL));
	wrong_key();
	ck_assert(io_read_file(relay.pub, &both, NULL));
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert(io_replace_file(relay.pub, buf_view(&both), 0644, NULL));
	buf_clear(&both);
}

static void crash_and_restart(void)
{
	struct record_writer *writer;

	tear_end();
	relaylog_put_once(&relay);
	writer = relaylog_open(&relay);
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
}

static void rewritten(void)
{
	struct record_writer *writer;

	cut_end();
	writer = relaylog_open(&relay);
	for (int i = 0; i < 4; i++)
		relaylog_append(writer, "accepted", "ginza");
	record_writer_close(writer);
}

/* By somebody without the key, behind the last checkpoint. */
static void forget_time(struct buf *text)
{
	cut_tail(text);

	size_t last = unit_count(buf_view(text), "\n") - 1, at = relaylog_line(buf_view(text), last);

	memcpy(text->ptr + at + str_find(str_from(buf_view(text), at), STR("2026-")), "yesterday, or the day before that", JST_TIME_LEN);
	relaylog_rechain(text, last);
}
static void untimed(void) { edit(DAY3, forget_time); }

/* By somebody without the key, who writes over `was` in the first line of a new part what is as long. */
static void forge_part(const char *file, const char *was, const char *now)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;
	struct buf text, part;

	config.key_file = STR_EMPTY;
	config.part_max = 1;
	ck_assert(record_writer_open(&config, &writer, NULL));
	record_writer_close(writer);
	relaylog_read(&relay, DAY3, &text);
	relaylog_read(&relay, PART2, &part);

	size_t end = text.len, lines = unit_count(buf_view(&text), "\n");

	buf_add(&text, buf_view(&part));
	memcpy(text.ptr + end + str_find(str_from(buf_view(&text), end), str_from_c(was)), now, strlen(now));
	relaylog_rechain(&text, lines);
	drop(PART2);
	relaylog_write(&relay, file, str_from(buf_view(&text), end));
	buf_clear(&text);
	buf_clear(&part);
}

static void after_no_day(void) { forge_part(PART2, "\"previous\":\"2026-11-23", "\"previous\":\"2026-13-45"); }

/* The writer was killed before the first line of a part. The next part begins behind it, and says where DAY3 ended. */
static void add_rest(struct buf *text) { buf_add_c(text, "what a disk refused"); }
static void rest_and_empty_part(void)
{
	forge_part("2026-11-23.3.jsonl", ".2.jsonl", ".3.jsonl");
	relaylog_write(&relay, PART2, STR_EMPTY);
	edit(DAY3, add_rest);
}

static void swap_once(struct buf *text)
{
	char *at = text->ptr + str_find(buf_view(text), STR("\"once\":\"")) + 8;

	at[5] = at[5] == 'A' ? 'B' : 'A';
}
static void attack_once(void) { edit(DAY3, swap_once); }

static const struct {
	const char *name;
	void (*attack)(void);
	enum verify_result want;
	size_t findings;
	const char *file, *text;       /* of the first finding; text: how it begins */
} rows[] = {
	{ "untouched", nothing, VERIFY_OK, 0, NULL, NULL },
	{ "a byte of a record flipped", attack_flip_text, VERIFY_TAMPERED, 1, DAY1, "record 6 was altered: its chain value" },
	{ "a byte of a chain value flipped", attack_flip_chain, VERIFY_TAMPERED, 2, DAY1, "record 6 was altered" },
	{ "a byte of a line's frame flipped", attack_flip_frame, VERIFY_TAMPERED, 1, DAY1, "a line that is no record, after record 5" },
	{ "a first line altered", attack_flip_begin, VERIFY_TAMPERED, 1, DAY2, "record 14 was altered" },
	{ "a record deleted", attack_delete_one, VERIFY_TAMPERED, 1, DAY1, "record 6 is missing before this one" },
	{ "three records deleted", attack_delete_three, VERIFY_TAMPERED, 1, DAY2, "records 19 to 21 are missing before this one" },
	{ "the last record of a day deleted", attack_delete_last, VERIFY_TAMPERED, 1, DAY1,
	  "records 13 to 13 are missing at its end: 2026-11-22.jsonl continues after them" },
	{ "a record repeated", attack_repeat, VERIFY_TAMPERED, 1, DAY1, "record 6 stands where 7 was to come" },
	{ "a record added to an old day", attack_add, VERIFY_TAMPERED, 2, DAY1, "record 6 stands where 14 was to come" },
	{ "two records swapped", attack_swap, VERIFY_TAMPERED, 3, DAY1, "record 6 is missing before this one" },
	{ "a line put in", attack_garbage, VERIFY_TAMPERED, 1, DAY1, "a line that is no record" },
	{ "a record altered and all chain values made anew", attack_rewrite, VERIFY_TAMPERED, 1, DAY3,
	  "this checkpoint signs other records than those before it" },
	{ "the oldest day dropped", drop_first, VERIFY_TAMPERED, 1, DAY2,
	  "2026-11-21.jsonl is missing (records 1 to 13): this file continues it, and no signed record" },
	{ "a middle day dropped", drop_middle, VERIFY_TAMPERED, 1, DAY3, "2026-11-22.jsonl is missing (records 14 to 26)" },
	{ "the last day dropped", drop_last, VERIFY_OK, 0, NULL, NULL },
	{ "the end of a middle day cut", cut_middle, VERIFY_TAMPERED, 1, DAY2, "records 22 to 26 are missing at its end" },
	{ "a middle day ends in a torn line", tear_middle, VERIFY_TAMPERED, 2, DAY2, "a line that is no record, after record 21" },
	{ "a middle day emptied", empty_middle, VERIFY_TAMPERED, 1, DAY3, "2026-11-22.jsonl is missing (records 14 to 26)" },
	{ "the end cut between lines, checkpoint and all", cut_end, VERIFY_OK, 0, NULL, NULL },
	{ "the end torn", tear_end, VERIFY_UNKNOWN, 1, DAY3, "ends in the middle of a line, after record 34: by a crash" },
	{ "a record of another day in a record's place", splice_day, VERIFY_TAMPERED, 2, DAY1, "records 6 to 18 are missing before this one" },
	{ "a record of another tenant in a record's place", splice_tenant, VERIFY_TAMPERED, 2, DAY1, "record 6 is missing before this one" },
	{ "an older checkpoint in a checkpoint's place", splice_checkpoint, VERIFY_TAMPERED, 3, DAY2, "record 13 stands where 26 was to come" },
	{ "a day under another name", rename_day, VERIFY_TAMPERED, 1, "2026-11-24.jsonl",
	  "its first line says that it is 2026-11-23.jsonl: another file was given this name" },
	{ "a file of another node", other_node, VERIFY_TAMPERED, 4, DAY2, "signed with key" },
	{ "a day that cannot be read", unreadable, VERIFY_UNKNOWN, 1, DAY2, "cannot be read: " },
	{ "a middle day dropped, and a directory put behind", drop_and_put_directory, VERIFY_TAMPERED, 2, DAY3, "2026-11-22.jsonl is missing" },
	{ "a middle day dropped, and a link to nothing put behind", drop_and_put_link, VERIFY_TAMPERED, 2, DAY3, "2026-11-22.jsonl is missing" },
	{ "a middle day dropped, and a FIFO put behind", drop_and_put_fifo, VERIFY_TAMPERED, 2, DAY3, "2026-11-22.jsonl is missing" },
	{ "the end cut, and records written behind by a holder of the log key", rewritten, VERIFY_UNKNOWN, 1, DAY3,
	  "the row of one-time keys is broken here" },
	{ "a one-time signature altered", attack_once, VERIFY_TAMPERED, 2, DAY3, "record 39 was altered" },
	{ "a part that goes on from a day that there is not", after_no_day, VERIFY_TAMPERED, 1, PART2, "its first line names no possible file" },
	{ "a rest, an empty part and the part that goes on", rest_and_empty_part, VERIFY_OK, 1, DAY3, "19 octets at its end are no part of the log" },
	{ "a record without a time at the end", untimed, VERIFY_TAMPERED, 1, DAY3, "a record without a time" },
	{ "the wrong key", wrong_key, VERIFY_UNKNOWN, 4, DAY1, "signed with key" },
	{ "the key rotated, both given", rotated_key, VERIFY_OK, 0, NULL, NULL },
	{ "a crash and a restart", crash_and_restart, VERIFY_OK, 0, NULL, NULL },
};
START_TEST(attacks)
{
	struct verify_report report;

	rows[_i].attack();
	relaylog_verify(&relay, &report);
	ck_assert_msg(report.result == rows[_i].want, "%s: result %d", rows[_i].name, report.result);
	ck_assert_msg(report.finding_count == rows[_i].findings, "%s: %zu findings", rows[_i].name, report.finding_count);
	if (rows[_i].findings) {
		ck_assert_str_is(report.findings[0].file, str_from_c(rows[_i].file));
		ck_assert_msg(str_starts(report.findings[0].text, str_from_c(rows[_i].text)), "%s: " STR_FMT, rows[_i].name,
			      STR_ARG(report.findings[0].text));
	}
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)rows[_i].want, rows[_i].name, NULL);
}
END_TEST

/* Nobody waits for somebody to write into it. */
START_TEST(fifo)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;
	struct err err = { .text = "" };
	char path[PATH_MAX];
	int64_t count;

	relaylog_path(&relay, ".lock", path);
	ck_assert(unlink(path) == 0 && mkfifo(path, 0644) == 0);
	relaylog_must_verify(&relay, VERIFY_OK);
	relaylog_opinions(&relay, VERIFY_OK, "a lock that is a FIFO", NULL);
	ck_assert_int_eq(unlink(path), 0);
	relaylog_path(&relay, PART2, path);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
	ck_assert(relaylog_search(&relay) != 0);
	ck_assert(!record_writer_open(&config, &writer, &err));
	ck_assert_msg(strstr(err.text, PART2 ": is no file"), "%s", err.text);
	clock_set(NOON + 100 * DAY_US);
	ck_assert(!record_purge(&config, (struct retention){ 99, false }, jst_day(clock_now_us()), false, NULL, NULL, &count, &err));
	ck_assert_msg(strstr(err.text, PART2 ": is no file"), "%s", err.text);
}
END_TEST

/* What is proved, and how much is not. */
START_TEST(figures)
{
	struct verify_report report;

	relaylog_verify(&relay, &report);
	ck_assert_int_eq(report.files, 3);
	ck_assert_int_eq(report.records, 39);
	ck_assert_int_eq(report.first_seq, 1);
	ck_assert_int_eq(report.last_seq, 39);
	ck_assert_int_eq(report.checkpoints, 4);
	ck_assert_int_eq(report.unsigned_records, 0);
	ck_assert_int_eq(report.first_time_us, NOON);
	ck_assert_int_eq(report.last_time_us, NOON + 2 * DAY_US);
	ck_assert(report.is_from_start);
	verify_report_clear(&report);
	cut_end();
	relaylog_verify(&relay, &report);
	ck_assert_int_eq(report.last_seq, 34);
	ck_assert_int_eq(report.last_checkpoint_seq, 26);
	ck_assert_int_eq(report.unsigned_records, 8);
	verify_report_clear(&report);
}
END_TEST

START_TEST(personal_data)
{
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
					  .first_day = INT64_MIN, .last_day = INT64_MAX, .no_personal_data = true };
	struct record_writer *writer = relaylog_open(&relay);
	struct record_event event = { .event = STR("accepted"), .client = STR("192.0.2.1"), .reply = STR("550 <a@x.example>") };
	struct verify_report report;

	ck_assert(record_verify(&options, &report, NULL));
	ck_assert_int_eq(report.result, VERIFY_OK);
	verify_report_clear(&report);
	relaylog_opinions(&relay, VERIFY_OK, "no personal data", "--no-personal-data", NULL);
	ck_assert(record_append(writer, &event, RECORD_DURABLE, NULL, NULL));
	record_writer_close(writer);
	ck_assert(record_verify(&options, &report, NULL));
	ck_assert_int_eq(report.result, VERIFY_RETENTION);
	ck_assert_uint_eq(report.finding_count, 2);
	verify_report_clear(&report);
	relaylog_opinions(&relay, VERIFY_RETENTION, "personal data", "--no-personal-data", NULL);
	relaylog_opinions(&relay, VERIFY_OK, "personal data, nobody asked", NULL);
}
END_TEST

START_TEST(unsigned_log)
{
	struct relaylog log;
	struct record_writer_config config;
	struct record_writer *writer;
	struct verify_report report;

	relaylog_setup(&log);
	config = relaylog_config(&log);
	config.key_file = STR_EMPTY;
	ck_assert(record_writer_open(&config, &writer, NULL));
	relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	relaylog_verify(&log, &report);
	ck_assert_int_eq(report.result, VERIFY_UNKNOWN);
	ck_assert(str_starts(report.findings[0].text, STR("no checkpoint with a good signature")));
	verify_report_clear(&report);
}
END_TEST

START_TEST(part_of_the_days)
{
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
					  .first_day = jst_day(NOON) + 1, .last_day = jst_day(NOON) + 1, .threads = 4 };
	struct verify_report report;

	ck_assert(record_verify(&options, &report, NULL));
	ck_assert_int_eq(report.result, VERIFY_OK);
	ck_assert_int_eq(report.files, 1);
	ck_assert(!report.is_from_start);
	verify_report_clear(&report);
}
END_TEST

/* Any octet of a day changed to any of a few values is found, whatever it hits. */
START_TEST(every_octet_counts)
{
	struct buf text;

	relaylog_read(&relay, DAY1, &text);
	for (size_t at = 0; at < text.len; at += 3) {
		struct verify_report report;
		char was = text.ptr[at];

		text.ptr[at] = "\n\"}\0x"[at % 5];
		if (text.ptr[at] == was)
			text.ptr[at] ^= 2;
		relaylog_write(&relay, DAY1, buf_view(&text));
		relaylog_verify(&relay, &report);
		ck_assert_msg(report.result == VERIFY_TAMPERED, "octet %zu: %d", at, report.result);
		verify_report_clear(&report);
		text.ptr[at] = was;
	}
	buf_clear(&text);
}
END_TEST

/* Crashes: the last day cut anywhere verifies up to its last whole line, and a writer goes on from there. */
START_TEST(cut_anywhere)
{
	struct buf text;

	relaylog_read(&relay, DAY3, &text);
	for (size_t cut = 0; cut < text.len; cut += cut % 7 ? 37 : 11) {
		struct verify_report report;
		struct record_writer *writer;
		struct str left = str_of(text.ptr, cut), whole, rest;
		bool is_torn = cut > 0 && text.ptr[cut - 1] != '\n';

		relaylog_write(&relay, DAY3, left);
		relaylog_put_once(&relay);
		relaylog_verify(&relay, &report);
		ck_assert_msg(report.result == (is_torn ? VERIFY_UNKNOWN : VERIFY_OK), "cut at %zu: %d", cut, report.result);

		int64_t last = 26;

		for (whole = left; str_cut(whole, '\n', &rest, &whole);)
			last++;
		ck_assert_int_eq(report.last_seq, last);
		verify_report_clear(&report);

		writer = relaylog_open(&relay);
		relaylog_append(writer, "accepted", "acme");
		record_writer_close(writer);
		relaylog_verify(&relay, &report);
		ck_assert_msg(report.result == VERIFY_OK, "mended after a cut at %zu: %d", cut, report.result);
		ck_assert_int_eq(report.recovered, is_torn);
		verify_report_clear(&report);
	}
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record verify");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	unit_add_rows(tcase, attacks, rows);
	tcase_add_test(tcase, fifo);
	tcase_add_test(tcase, figures);
	tcase_add_test(tcase, personal_data);
	tcase_add_test(tcase, unsigned_log);
	tcase_add_test(tcase, part_of_the_days);
	tcase_add_test(tcase, every_octet_counts);
	tcase_add_test(tcase, cut_anywhere);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
