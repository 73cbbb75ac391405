/* milter/record/verify_outside, note: copies of checkpoints that are kept elsewhere, and what they show of a log. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/note.h"
#include "milter/record/scan.h"
#include "milter/record/sign.h"

#define DAY3 "2026-11-23.jsonl"

static struct relaylog relay;

static void setup(void)
{
	relaylog_setup(&relay);
	relaylog_days(&relay, 3, 10);
}

static void read_checkpoint(struct str log, struct checkpoint_entry *out)
{
	struct str line, detail, last = STR_EMPTY;
	struct record_link link;

	while (str_next(&log, '\n', &line))
		last = line;
	ck_assert(record_parse_link(last, &link) && scan_find(last, STR("detail"), &detail) &&
		  checkpoint_entry_read(detail, link.time, out));
}

static void write_note(const struct checkpoint_entry *checkpoint, const char *path)
{
	static struct sign_publics publics;
	struct buf note;
	struct str text;

	ck_assert(sign_publics_load(relay.pub, &publics, NULL));
	buf_init(&note, NOTE_MAX);
	note_write(checkpoint, &publics.keys[0], &note);
	ck_assert(buf_done(&note, &text, NULL));
	ck_assert(io_replace_file(path, text, 0644, NULL));
	buf_clear(&note);
}

/* Writes the log's last checkpoint as a note beside the key; its path. */
static const char *keep_checkpoint(const char *file)
{
	static char path[PATH_MAX];
	struct checkpoint_entry checkpoint;
	struct buf log;

	ck_assert_int_lt(snprintf(path, sizeof path, "%s.note", relay.key), PATH_MAX);
	relaylog_read(&relay, file, &log);
	read_checkpoint(buf_view(&log), &checkpoint);
	write_note(&checkpoint, path);
	buf_clear(&log);
	return path;
}

/* A note of the same record, and of another log than this one is. */
static const char *keep_other(const char *file)
{
	static char path[PATH_MAX];
	struct checkpoint_entry checkpoint;
	struct sign_key *key;
	struct buf log, detail;

	ck_assert_int_lt(snprintf(path, sizeof path, "%s.other", relay.key), PATH_MAX);
	relaylog_read(&relay, file, &log);
	read_checkpoint(buf_view(&log), &checkpoint);
	checkpoint.hash[0] ^= 1;
	buf_init(&detail, RECORD_JSON_MAX);
	ck_assert(sign_key_load(relay.key, &key, NULL) && checkpoint_entry_write(&checkpoint, key, &detail, NULL));
	ck_assert(checkpoint_entry_read(buf_view(&detail), checkpoint.time, &checkpoint));
	write_note(&checkpoint, path);
	sign_key_free(key);
	buf_clear(&detail);
	buf_clear(&log);
	return path;
}

static struct str asked;               /* whose log that is to be; empty: nobody asks */

static enum verify_result verify_with_note(const char *path, const char *text, int64_t *out_outside)
{
	struct str note = str_from_c(path);
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
					  .node = asked, .first_day = INT64_MIN, .last_day = INT64_MAX, .checkpoint_files = &note,
					  .checkpoint_file_count = 1 };
	struct verify_report report;
	enum verify_result result;
	struct err err = { .kind = ERR_NONE };

	ck_assert_msg(record_verify(&options, &report, &err), "%s", err.text);
	result = report.result;
	*out_outside = report.outside;
	if (text)
		ck_assert_msg(report.finding_count == 1 && str_starts(report.findings[0].text, str_from_c(text)), STR_FMT,
			      STR_ARG(report.findings[0].text));
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)result, path, "--node", asked.len ? asked.ptr : "", "--checkpoint", path, NULL);
	return result;
}

/* What no verifier can see in the log alone, one copy of a checkpoint outside shows. */
START_TEST(checkpoint_outside)
{
	static const char *const days[] = { "2026-11-21.jsonl", "2026-11-22.jsonl", DAY3 };
	const char *note = keep_checkpoint(DAY3);
	struct record_writer *writer;
	struct buf text;
	int64_t outside;

	ck_assert_int_eq(verify_with_note(note, NULL, &outside), VERIFY_OK);
	ck_assert_int_eq(outside, 1);
	relaylog_read(&relay, DAY3, &text);
	relaylog_write(&relay, DAY3, str_slice(buf_view(&text), 0, relaylog_line(buf_view(&text), 8)));
	buf_clear(&text);
	ck_assert_int_eq(verify_with_note(note, "the log ends at record 34, this checkpoint saw 38: the end was taken away", &outside),
			 VERIFY_TAMPERED);

	/* All of it written anew by somebody who holds the key. */
	for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
		char path[PATH_MAX];

		relaylog_path(&relay, days[i], path);
		ck_assert_int_eq(unlink(path), 0);
	}
	writer = relaylog_open(&relay);
	for (int i = 0; i < 50; i++)
		relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
	ck_assert_int_eq(verify_with_note(note, "record 38 is another one than this checkpoint saw", &outside), VERIFY_TAMPERED);

	/* A note with another number in it is no note of ours, and says nothing about the log. */
	buf_init(&text, NOTE_MAX);
	ck_assert(io_read_file(note, &text, NULL));
	text.ptr[str_find(buf_view(&text), STR("\n38\n")) + 2] = '7';
	ck_assert(io_replace_file(note, buf_view(&text), 0644, NULL));
	ck_assert_int_eq(verify_with_note(note, "says nothing about this log: the checkpoint has no good signature", &outside),
			 VERIFY_UNKNOWN);
	ck_assert_int_eq(verify_with_note("/nonexistent", "says nothing about this log: ", &outside), VERIFY_UNKNOWN);
	buf_clear(&text);
}
END_TEST

/* What was not looked at is not missing. */
START_TEST(checkpoint_of_another_day)
{
	struct str note = str_from_c(keep_checkpoint(DAY3));
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
					  .first_day = INT64_MIN, .last_day = jst_day(NOON) + 1, .checkpoint_files = &note,
					  .checkpoint_file_count = 1 };
	struct verify_report report;

	ck_assert(record_verify(&options, &report, NULL));
	ck_assert_int_eq(report.result, VERIFY_OK);
	ck_assert_int_eq(report.outside, 0);
	ck_assert(str_starts(report.findings[0].text, STR("record 38 is not among those looked at")));
	verify_report_clear(&report);
}
END_TEST

static void drop_days(int days)
{
	for (int day = 0; day < days; day++) {
		char name[JST_DATE_LEN + 7], path[PATH_MAX];

		jst_format_date(jst_day(NOON) + day, name);
		snprintf(name + JST_DATE_LEN, sizeof name - JST_DATE_LEN, ".jsonl");
		relaylog_path(&relay, name, path);
		ck_assert_int_eq(unlink(path), 0);
	}
}

static void write_as(const char *node, int day, int records)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;

	config.node = str_from_c(node);
	clock_set(NOON + day * DAY_US);
	ck_assert(record_writer_open(&config, &writer, NULL));
	for (int i = 0; i < records; i++)
		relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
}

/* What was kept under the old name holds for the log as long as that has lines of it, and a new name does not help who rewrites it. */
START_TEST(relay_is_renamed)
{
	const char *note = keep_checkpoint(DAY3);
	int64_t outside;

	asked = STR("mx2");
	write_as("mx2", 3, 1);
	ck_assert_int_eq(verify_with_note(note, NULL, &outside), VERIFY_OK);
	ck_assert_int_eq(outside, 1);

	drop_days(4);
	write_as("mx1", 0, 50);
	write_as("mx2", 1, 1);
	ck_assert_int_eq(verify_with_note(note, "record 38 is another one than this checkpoint saw", &outside), VERIFY_TAMPERED);

	drop_days(2);
	write_as("mx2", 0, 50);
	ck_assert_int_eq(verify_with_note(note, "says nothing about this log: a checkpoint of another log", &outside), VERIFY_UNKNOWN);
}
END_TEST

/* Each is held against the log, in whatever order they come. */
START_TEST(two_of_one_record)
{
	const char *good = keep_checkpoint(DAY3), *other = keep_other(DAY3);

	relaylog_opinions(&relay, VERIFY_OK, "the good one", "--checkpoint", good, NULL);
	relaylog_opinions(&relay, VERIFY_TAMPERED, "the other one first", "--checkpoint", other, "--checkpoint", good, NULL);
	relaylog_opinions(&relay, VERIFY_TAMPERED, "the other one last", "--checkpoint", good, "--checkpoint", other, NULL);
}
END_TEST

/* What cannot be read was not taken away, and does not excuse what can. */
START_TEST(not_all_can_be_read)
{
	const char *note = keep_checkpoint(DAY3);
	int64_t outside;
	struct buf text;

	relaylog_write(&relay, "2026-11-24.jsonl", STR("what nobody knows\n"));
	relaylog_lock_up(&relay, "2026-11-24.jsonl");
	relaylog_read(&relay, DAY3, &text);
	relaylog_write(&relay, DAY3, str_slice(buf_view(&text), 0, relaylog_line(buf_view(&text), 8)));
	ck_assert_int_eq(verify_with_note(note, NULL, &outside), VERIFY_UNKNOWN);
	relaylog_write(&relay, DAY3, buf_view(&text));
	ck_assert_int_eq(verify_with_note(note, NULL, &outside), VERIFY_UNKNOWN);
	ck_assert_int_eq(outside, 1);
	ck_assert_int_eq(verify_with_note(keep_other(DAY3), NULL, &outside), VERIFY_TAMPERED);
	buf_clear(&text);
}
END_TEST

START_TEST(broken_notes)
{
	static struct sign_publics publics;
	const char *path = keep_checkpoint(DAY3);
	struct buf text;
	struct note note;

	ck_assert(sign_publics_load(relay.pub, &publics, NULL));
	buf_init(&text, NOTE_MAX);
	ck_assert(io_read_file(path, &text, NULL));
	ck_assert(note_read(buf_view(&text), &publics, &note, NULL));
	ck_assert_str_is(note.origin, STR("sekisho:mx1/relay"));
	for (size_t cut = 0; cut < text.len - 1; cut++) {
		struct str wall = unit_wall(str_slice(buf_view(&text), 0, cut));

		ck_assert(!note_read(wall, &publics, &note, NULL));
		unit_wall_free(wall);
	}
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record outside");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, checkpoint_outside);
	tcase_add_test(tcase, checkpoint_of_another_day);
	tcase_add_test(tcase, relay_is_renamed);
	tcase_add_test(tcase, not_all_can_be_read);
	tcase_add_test(tcase, two_of_one_record);
	tcase_add_test(tcase, broken_notes);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
