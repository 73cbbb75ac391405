/* milter/record/witness and proof: what continues is signed; a rollback, a fork and a rewritten history are not. */
#include "t/lib/relaylog.h"

#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/proof.h"
#include "milter/record/reader.h"
#include "milter/record/scan.h"
#include "milter/record/witness.h"

static struct relaylog relay, other;
static struct sign_publics logs, mine;
static struct sign_key *key;
static struct witness witness;
static char dir[PATH_MAX];

static void setup(void)
{
	static int number;

	relaylog_setup(&relay);
	relaylog_setup(&other);                     /* its key is the witness's */
	ck_assert(sign_publics_load(relay.pub, &logs, NULL) && sign_publics_load(other.pub, &mine, NULL));
	ck_assert(sign_key_load(other.key, &key, NULL));
	ck_assert_str_eq(sign_key_id(key), mine.keys[0].id);
	snprintf(dir, sizeof dir, "%s/witness%d-%d", unit_dir(), (int)getpid(), number++);
	witness = (struct witness){ .dir = dir, .name = STR("elsewhere"), .key = key, .logs = &logs };
}

static void teardown(void)
{
	sign_key_free(key);
}

static void live(int day, int records)
{
	struct record_writer *writer;

	clock_set(NOON + day * DAY_US);
	writer = relaylog_open(&relay);
	for (int i = 0; i < records; i++)
		relaylog_append(writer, "accepted", "acme");
	record_writer_close(writer);
}

static bool add(void *arg, struct str text)
{
	buf_add(arg, text);
	return true;
}

/* The last checkpoint of the log as `log checkpoint --since` prints it; `old` empty: without a proof. */
static void offer(struct str old, struct buf *out)
{
	struct checkpoint_entry checkpoint = { .head = -1 };
	struct record_reader *reader;
	struct record_link link;
	struct str line, copy, detail;
	struct arena arena;
	struct buf note_text;
	struct note note;
	bool is_torn, found;

	arena_init(&arena, 1 << 20);
	buf_init(out, 64 << 20);
	ck_assert(record_reader_open(str_from_c(relay.dir), INT64_MIN, INT64_MAX, true, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found)
		if (record_parse_link(line, &link) && str_eq(link.event, STR("checkpoint")))
			break;
	ck_assert(found && arena_copy(&arena, line, &copy) && record_parse_link(copy, &link));
	ck_assert(scan_find(copy, STR("detail"), &detail) && checkpoint_entry_read(detail, link.time, &checkpoint));
	record_reader_close(reader);
	if (old.len && note_read(old, &logs, &note, NULL) && note.head < checkpoint.head)
		ck_assert(proof_write(str_from_c(relay.dir), &note, checkpoint.head, add, out, NULL));
	buf_init(&note_text, NOTE_MAX);
	note_write(&checkpoint, &logs.keys[0], &note_text);
	buf_add(out, buf_view(&note_text));
	buf_clear(&note_text);
	arena_clear(&arena);
}

static bool take(struct str text, enum witness_answer *out_answer, struct buf *out, struct err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)text.ptr, text.len, "r");

	ck_assert_ptr_nonnull(in);
	buf_init(out, 2 * NOTE_MAX);

	bool ok = witness_take(&witness, in, out_answer, out, err);

	fclose(in);
	return ok;
}

/* Offers the log's last checkpoint with the proof from `old`, and wants this answer; the countersigned note in `out`. */
static void show(struct str old, enum witness_answer want, const char *text, struct buf *out)
{
	enum witness_answer answer;
	struct err err = { .text = "" };
	struct buf in;

	offer(old, &in);
	ck_assert_msg(take(buf_view(&in), &answer, out, &err), "%s", err.text);
	ck_assert_msg(answer == want, "%d, not %d: %s", answer, want, err.text);
	if (text)
		ck_assert_msg(str_starts(str_from_c(err.text), str_from_c(text)), "%s", err.text);
	buf_clear(&in);
}

static void check_cosigned(struct str text)
{
	struct note note;
	struct str name = STR_EMPTY;
	int64_t time_s = 0;

	ck_assert(note_read(text, &logs, &note, NULL));
	ck_assert_int_eq(note_cosigned(text, &note, &mine, &name, &time_s), NOTE_COSIGNED);
	ck_assert_str_is(name, STR("elsewhere"));
	ck_assert_int_eq(time_s, clock_now_us() / US_PER_S);
	ck_assert_int_eq(note_cosigned(text, &note, &logs, &name, &time_s), NOTE_ALONE);
	note.text = str_slice(note.text, 0, note.text.len - 1);
	ck_assert_int_eq(note_cosigned(text, &note, &mine, &name, &time_s), NOTE_FORGED);
}

START_TEST(a_log_goes_on)
{
	struct buf first, second, again, last;

	live(0, 5);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &first);
	check_cosigned(buf_view(&first));
	live(0, 3);
	live(1, 7);
	show(STR_EMPTY, WITNESS_UNPROVED, "nothing shows that it continues record 7", &again);
	buf_clear(&again);
	show(buf_view(&first), WITNESS_SIGNED, NULL, &second);
	check_cosigned(buf_view(&second));
	show(buf_view(&first), WITNESS_KNOWN, NULL, &again);
	ck_assert_str_is(buf_view(&again), buf_view(&second));
	buf_init(&last, NOTE_MAX);
	ck_assert(witness_last(&witness, STR("sekisho:mx1/relay"), &last, NULL));
	ck_assert_str_is(buf_view(&last), buf_view(&second));
	buf_reset(&last);
	ck_assert(witness_last(&witness, STR("sekisho:mx2/relay"), &last, NULL));
	ck_assert_uint_eq(last.len, 0);
	ck_assert(!witness_last(&witness, STR("sekisho:../relay"), &last, NULL));
	ck_assert(!witness_last(&witness, STR("relay"), &last, NULL));
	buf_clear(&first);
	buf_clear(&second);
	buf_clear(&again);
	buf_clear(&last);
}
END_TEST

static void remove_log(void)
{
	for (int day = 21; day <= 23; day++) {
		char name[40], path[PATH_MAX];

		snprintf(name, sizeof name, "2026-11-%d.jsonl", day);
		relaylog_path(&relay, name, path);
		unlink(path);
	}
}

/* Somebody who holds the log's key writes all of it anew. */
START_TEST(rewritten_history)
{
	struct buf first, out;
	char path[PATH_MAX + 64];

	live(0, 5);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &first);
	remove_log();
	live(0, 9);
	show(buf_view(&first), WITNESS_REFUSED, "a fork: record 11 does not follow from record 7", &out);
	snprintf(path, sizeof path, "%s/mx1/relay/11.refused.note", dir);
	ck_assert_int_eq(access(path, R_OK), 0);
	buf_clear(&out);
	remove_log();
	live(0, 5);
	show(buf_view(&first), WITNESS_REFUSED, "a fork: record 7 was seen with another chain value", &out);
	buf_clear(&out);
	remove_log();
	live(0, 1);
	show(buf_view(&first), WITNESS_REFUSED, "a rollback: record 7 was seen already", &out);
	buf_clear(&out);
	buf_clear(&first);
}
END_TEST

/* Cuts and flips: whatever is left of an offer or made of it, it is not signed as a continuation of what was seen. */
START_TEST(broken_offers)
{
	enum witness_answer answer;
	struct buf first, in, out;
	struct err err;

	live(0, 5);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &first);
	live(0, 5);
	offer(buf_view(&first), &in);
	for (size_t cut = 1; cut < in.len - 1; cut++) {
		bool ok = take(str_slice(buf_view(&in), 0, cut), &answer, &out, &err);

		ck_assert_msg(!ok || answer != WITNESS_SIGNED, "cut at %zu", cut);
		buf_clear(&out);
	}
	for (size_t at = 0; at < in.len; at++) {
		in.ptr[at] ^= 1;
		bool ok = take(buf_view(&in), &answer, &out, &err);

		ck_assert_msg(!ok || answer != WITNESS_SIGNED, "flip at %zu", at);
		in.ptr[at] ^= 1;
		buf_clear(&out);
	}
	ck_assert(take(buf_view(&in), &answer, &out, &err) && answer == WITNESS_SIGNED);
	buf_clear(&first);
	buf_clear(&in);
	buf_clear(&out);
}
END_TEST

START_TEST(other_logs)
{
	enum witness_answer answer;
	struct buf in, out;
	struct err err;

	live(0, 2);
	offer(STR_EMPTY, &in);
	witness.logs = &mine;
	ck_assert(!take(buf_view(&in), &answer, &out, &err));
	ck_assert(str_starts(str_from_c(err.text), STR("the checkpoint has no good signature")));
	buf_clear(&in);
	buf_clear(&out);
}
END_TEST

/* What was purged since the last checkpoint was seen cannot be proved any more. */
START_TEST(purged_between)
{
	struct buf first, out;
	struct note note;

	live(0, 5);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &first);
	live(1, 5);
	live(2, 5);
	char path[PATH_MAX];

	relaylog_path(&relay, "2026-11-22.jsonl", path);
	unlink(path);
	buf_init(&out, 1 << 20);
	ck_assert(note_read(buf_view(&first), &logs, &note, NULL));

	struct err err;

	ck_assert(!proof_write(str_from_c(relay.dir), &note, 20, add, &out, &err));
	ck_assert_msg(strstr(err.text, "is not there"), "%s", err.text);
	buf_clear(&first);
	buf_clear(&out);
}
END_TEST

/* --- what a countersigned checkpoint shows about the log */

static struct relaylog third;

static const char *keep(struct str text)
{
	static char path[PATH_MAX + 8];

	snprintf(path, sizeof path, "%s.note", dir);
	ck_assert(io_replace_file(path, text, 0644, NULL));
	return path;
}

static void check_log(const char *note, const char *witness_pub, enum verify_result want, const char *text)
{
	struct str file = str_from_c(note);
	const struct verify_options options = {
		.dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .node = STR("mx1"), .class_name = STR("relay"),
		.first_day = INT64_MIN, .last_day = INT64_MAX, .checkpoint_files = &file, .checkpoint_file_count = 1,
		.witness_key_file = str_from_c(witness_pub),
	};
	struct verify_report report;
	struct err err;

	ck_assert_msg(record_verify(&options, &report, &err), "%s", err.text);
	ck_assert_msg(report.result == want, "%d, not %d: " STR_FMT, report.result, want, STR_ARG(report.findings[0].text));
	if (text)
		ck_assert_msg(str_starts(report.findings[0].text, str_from_c(text)), STR_FMT, STR_ARG(report.findings[0].text));
	else
		ck_assert_uint_eq(report.finding_count, 0);
	ck_assert_int_eq(report.witnessed, want == VERIFY_OK && witness_pub[0]);
	if (report.witnessed) {
		ck_assert_int_eq(report.witnessed_seq, 7);
		ck_assert_int_eq(report.witnessed_us, NOON);
		ck_assert_str_is(report.witness, STR("elsewhere"));
	}
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)want, text ? text : "witnessed", "--checkpoint", note, witness_pub[0] ? "--witness" : NULL, witness_pub,
			  NULL);
}

START_TEST(a_witnessed_log)
{
	static const char nobody[] = "says nothing about this log: no countersignature of a witness whose key was given";
	static const char forged[] = "says nothing about this log: a countersignature in the name of a witness whose key was given";
	struct buf note, alone;

	relaylog_setup(&third);
	live(0, 5);
	offer(STR_EMPTY, &alone);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &note);
	live(1, 3);
	check_log(keep(buf_view(&note)), other.pub, VERIFY_OK, NULL);
	check_log(keep(buf_view(&note)), "", VERIFY_OK, NULL);
	check_log(keep(buf_view(&note)), third.pub, VERIFY_UNKNOWN, nobody);
	check_log(keep(buf_view(&note)), relay.pub, VERIFY_UNKNOWN, nobody);     /* the log cannot be its own witness */
	check_log(keep(buf_view(&alone)), other.pub, VERIFY_UNKNOWN, nobody);
	/* Another time in the line, which the witness did not sign. */
	char *at = memrchr(note.ptr, ' ', note.len);

	at[10] = at[10] == 'A' ? 'B' : 'A';
	check_log(keep(buf_view(&note)), other.pub, VERIFY_UNKNOWN, forged);
	buf_clear(&note);
	buf_clear(&alone);
}
END_TEST

START_TEST(a_log_that_its_witness_does_not_know)
{
	struct buf note;

	live(0, 5);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &note);
	remove_log();
	live(0, 9);
	check_log(keep(buf_view(&note)), other.pub, VERIFY_TAMPERED, "record 7 is another one than its witness saw: the log was rewritten");
	remove_log();
	live(0, 1);
	check_log(keep(buf_view(&note)), other.pub, VERIFY_TAMPERED, "the log ends at record 4, its witness saw 7: the end was taken away");
	buf_clear(&note);
}
END_TEST

/* Notes of all kinds of damage: never worse than nothing said, unless what is left is whole. */
START_TEST(broken_countersignatures)
{
	struct buf note;
	struct note read;
	struct str name;
	int64_t time_s;

	live(0, 5);
	show(STR_EMPTY, WITNESS_SIGNED, NULL, &note);
	for (size_t n = 0; n < note.len - 1; n++) {
		struct str cut = unit_wall(str_slice(buf_view(&note), 0, n));

		if (note_read(cut, &logs, &read, NULL))
			ck_assert_int_ne(note_cosigned(cut, &read, &mine, &name, &time_s), NOTE_COSIGNED);
		unit_wall_free(cut);
	}
	for (size_t n = 0; n < note.len - 1; n++) {
		note.ptr[n] ^= 1;
		if (note_read(buf_view(&note), &logs, &read, NULL))
			ck_assert_msg(note_cosigned(buf_view(&note), &read, &mine, &name, &time_s) != NOTE_COSIGNED, "flip at %zu", n);
		note.ptr[n] ^= 1;
	}
	buf_clear(&note);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record witness");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_log_goes_on);
	tcase_add_test(tcase, rewritten_history);
	tcase_add_test(tcase, broken_offers);
	tcase_add_test(tcase, other_logs);
	tcase_add_test(tcase, purged_between);
	tcase_add_test(tcase, a_witnessed_log);
	tcase_add_test(tcase, a_log_that_its_witness_does_not_know);
	tcase_add_test(tcase, broken_countersignatures);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
