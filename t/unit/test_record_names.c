/* milter/record/verify_names: a relay that was renamed keeps its log, and nobody gains by it who brings another relay's files. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <unistd.h>

#include "milter/record/purge.h"
#include "milter/record/scan.h"

#define DAY0 "2026-11-20.jsonl"
#define DAY1 "2026-11-21.jsonl"
#define DAY2 "2026-11-22.jsonl"
#define DAY3 "2026-11-23.jsonl"
#define DAY4 "2026-11-24.jsonl"
#define DAY5 "2026-11-25.jsonl"
#define TODAY 3                        /* the day of DAY4, counted from NOON's */

/* The second is named mx1 as the first one was, and has its key: nothing but names and chains tells them apart. */
static struct relaylog relay, other;

static void write_days(const struct relaylog *log, const char *node, int first, int last)
{
	struct record_writer_config config = relaylog_config(log);
	struct record_writer *writer;
	struct err err = { .kind = ERR_NONE };

	config.node = str_from_c(node);
	config.key_file = str_from_c(relay.key);
	clock_set(NOON + first * DAY_US);
	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	for (int day = first; day <= last; day++) {
		clock_set(NOON + day * DAY_US);
		relaylog_append(writer, "accepted", "acme");
	}
	record_writer_close(writer);
}

/* mx1 until DAY3, where the gate starts as mx2; that it goes on as on DAY4. */
static void setup(void)
{
	relaylog_setup(&relay);
	write_days(&relay, "mx1", 0, 2);
	write_days(&relay, "mx2", 2, TODAY);
}

static void other_relay(int first, int last)
{
	relaylog_setup(&other);
	write_days(&other, "mx1", first, last);
	clock_set(NOON + TODAY * DAY_US);
}

static void copy(const struct relaylog *from, const char *file)
{
	struct buf text;

	relaylog_read(from, file, &text);
	relaylog_write(&relay, file, buf_view(&text));
	buf_clear(&text);
}

static void drop(const char *file)
{
	char path[PATH_MAX];

	relaylog_path(&relay, file, path);
	ck_assert_int_eq(unlink(path), 0);
}

/* Puts the other's last line of that event at the end of our log, by our own writer, which signs it like any other. */
static void borrow(const char *file, const char *event)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_event put = { .event = str_from_c(event) };
	struct record_writer *writer;
	struct record_link link;
	struct str rest, line;
	struct buf text;

	relaylog_read(&other, file, &text);
	for (rest = buf_view(&text); str_next(&rest, '\n', &line);)
		if (record_parse_link(line, &link) && str_eq(link.event, put.event))
			ck_assert(scan_find(line, STR("detail"), &put.detail));
	ck_assert_uint_gt(put.detail.len, 0);
	config.node = STR("mx2");
	ck_assert(record_writer_open(&config, &writer, NULL));
	ck_assert(record_append(writer, &put, RECORD_DURABLE, NULL, NULL));
	record_writer_close(writer);
	buf_clear(&text);
}

static void purge(const struct relaylog *log, const char *node, int days)
{
	struct record_writer_config config = relaylog_config(log);
	int64_t count;

	config.node = str_from_c(node);
	config.key_file = str_from_c(relay.key);
	ck_assert(record_purge(&config, (struct retention){ days, false }, jst_day(clock_now_us()), false, NULL, NULL, &count, NULL) && count == 1);
}

/* By somebody who can write files and has no key: a new part that goes on from the end in that name. */
static void forge_part(const char *node)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;

	config.node = str_from_c(node);
	config.key_file = STR_EMPTY;
	config.part_max = 1;
	ck_assert(record_writer_open(&config, &writer, NULL));
	record_writer_close(writer);
}

/* What its operator said of relay `node`; `signs`: under which name the gate writes that here. NULL: somebody without a key does. */
static void declare(const char *node, const char *signs, int64_t seq)
{
	struct record_writer_config config = relaylog_config(&relay);

	config.node = str_from_c(signs ? signs : "nobody");
	config.key_file = signs ? config.key_file : STR_EMPTY;
	relaylog_declare(&config, &relay, node, DAY1, seq);
}

static void nothing(void) { }
static void never_renamed(void) { relaylog_setup(&relay); write_days(&relay, "mx1", 0, 2); }
static void in_a_new_file(void) { never_renamed(); write_days(&relay, "mx2", TODAY, TODAY); }
static void just_started(void) { never_renamed(); write_days(&relay, "mx2", 2, 1); }
static void and_back(void) { write_days(&relay, "mx1", TODAY, TODAY); write_days(&relay, "mx2", TODAY, TODAY); }
static void purged_since(void) { purge(&relay, "mx2", 2); }
static void purged_before(void) { purge(&relay, "mx1", 2); write_days(&relay, "mx2", TODAY, TODAY); }
static void drop_a_day(void) { drop(DAY2); }
static void foreign_day(void) { other_relay(0, TODAY); copy(&other, DAY2); }
static void foreign_head(void) { purged_since(); other_relay(-1, -1); copy(&other, DAY0); }
static void foreign_end(void) { other_relay(TODAY + 1, TODAY + 1); copy(&other, DAY5); }
static void all_foreign(void)
{
	other_relay(0, TODAY);
	copy(&other, DAY1);
	copy(&other, DAY2);
	copy(&other, DAY3);
	copy(&other, DAY4);
}
static void foreign_purge(void)
{
	other_relay(0, TODAY);
	purge(&other, "mx1", 2);
	drop(DAY1);
	borrow(DAY4, "purged");
}
static void purge_of_what_is_there(void) { foreign_purge(); foreign_day(); }
static void its_name_alone(void) { never_renamed(); forge_part("mx2"); }
static void went_on(void) { forge_part("mx9"); write_days(&relay, "mx2", TODAY, TODAY); }
static void killed_at_start(void) { never_renamed(); forge_part("mx2"); write_days(&relay, "mx2", 2, 2); }
static void erased_elsewhere(void)
{
	relaylog_take_out(&relay, DAY1, 3);
	forge_part("mx9");
	declare("mx9", NULL, 3);
	forge_part("mx2");
}
static void erased_elsewhere_and_went_on(void) { erased_elsewhere(); write_days(&relay, "mx2", TODAY, TODAY); }
static void erased_under_an_old_name(void) { relaylog_take_out(&relay, DAY1, 3); forge_part("mx1"); declare("mx1", NULL, 3); forge_part("mx2"); }
/* sekisho-track has no key, and the name with which it was started. */
static void begun_by_tracker(void)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer;

	config.node = STR("mx1");
	config.key_file = STR_EMPTY;
	clock_set(NOON + (TODAY + 1) * DAY_US);
	ck_assert(record_writer_open(&config, &writer, NULL));
	relaylog_append(writer, "clicked", "acme");
	record_writer_close(writer);
	write_days(&relay, "mx2", TODAY + 1, TODAY + 1);
}
static void renamed_after_tools(void)
{
	never_renamed();
	relaylog_take_out(&relay, DAY1, 3);
	declare("mx3", "mx1", 3);
	declare("mx2", "mx3", 3);
	write_days(&relay, "mx2", 2, 2);
}
static void middle_unread(void) { relaylog_lock_up(&relay, DAY2); }
static void later_unread(void) { drop(DAY1); relaylog_lock_up(&relay, DAY3); }
static void older_unread(void) { drop(DAY2); relaylog_lock_up(&relay, DAY1); }
static void nothing_but_unread(void) { drop(DAY1); drop(DAY2); drop(DAY3); relaylog_lock_up(&relay, DAY4); }

static const struct {
	const char *name;
	void (*happens)(void);
	enum verify_result want;
	size_t findings;
	const char *text;              /* how the first finding begins */
} rows[] = {
	{ "renamed in the day's file", nothing, VERIFY_OK, 0, NULL },
	{ "renamed overnight", in_a_new_file, VERIFY_OK, 0, NULL },
	{ "started under the new name, and nothing written", just_started, VERIFY_OK, 0, NULL },
	{ "back under the old name, and again the new one", and_back, VERIFY_OK, 0, NULL },
	{ "a file of the old name purged under the new one", purged_since, VERIFY_OK, 0, NULL },
	{ "a purge by a tool that has the old name", purged_before, VERIFY_OK, 0, NULL },
	{ "another relay's name asked for", never_renamed, VERIFY_TAMPERED, 1, "a file of another node: it was written by mx1, not by mx2" },
	{ "a day under the old name dropped", drop_a_day, VERIFY_TAMPERED, 2, "a file of another node: it was written by mx1, not by mx2" },
	{ "a day of another relay in the place of ours", foreign_day, VERIFY_TAMPERED, 4, "a file of another node" },
	{ "a day of another relay before a purged head", foreign_head, VERIFY_TAMPERED, 1, "a file of another node" },
	{ "a day of another relay at the end", foreign_end, VERIFY_TAMPERED, 2, "a file of another node" },
	{ "another relay's log in the place of ours", all_foreign, VERIFY_TAMPERED, 1, "a file of another node" },
	{ "a dropped day, with another relay's purge for an excuse", foreign_purge, VERIFY_TAMPERED, 2, "2026-11-21.jsonl is missing" },
	{ "a foreign day, with another relay's purge", purge_of_what_is_there, VERIFY_TAMPERED, 4, "a file of another node" },
	{ "the name asked for, in a first line that nobody signed", its_name_alone, VERIFY_UNKNOWN, 1, "says that the log goes on as mx2" },
	{ "a name in a first line that nobody signed, and the gate went on", went_on, VERIFY_UNKNOWN, 1, "says that the log goes on as mx9" },
	{ "killed between its first line under a new name and the checkpoint", killed_at_start, VERIFY_OK, 0, NULL },
	{ "another relay's erasure, behind its name in a first line that nobody signed", erased_elsewhere, VERIFY_TAMPERED, 2,
	  "says that the log goes on as mx9" },
	{ "the same, and the gate went on", erased_elsewhere_and_went_on, VERIFY_TAMPERED, 2, "says that the log goes on as mx9" },
	{ "an erasure by a relay that has the old name now", erased_under_an_old_name, VERIFY_TAMPERED, 1, "a statement about another log" },
	{ "begun by who has no key and the old name", begun_by_tracker, VERIFY_OK, 0, NULL },
	{ "renamed twice, after tools that had the name already", renamed_after_tools, VERIFY_OK, 0, NULL },
	{ "a day that cannot be read", middle_unread, VERIFY_UNKNOWN, 1, "cannot be read" },
	{ "a dropped day, whose purge may stand in what cannot be read", later_unread, VERIFY_UNKNOWN, 2, "2026-11-21.jsonl is missing" },
	{ "a dropped day, whose purge cannot stand in an older one", older_unread, VERIFY_TAMPERED, 2, "cannot be read" },
	{ "nothing can be read", nothing_but_unread, VERIFY_UNKNOWN, 2, "cannot be read" },
};
START_TEST(names)
{
	struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub), .node = STR("mx2"),
					  .class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX };
	struct verify_report report;

	rows[_i].happens();
	ck_assert(record_verify(&options, &report, NULL));
	ck_assert_msg(report.result == rows[_i].want, "%s: result %d", rows[_i].name, report.result);
	ck_assert_msg(report.finding_count == rows[_i].findings, "%s: %zu findings", rows[_i].name, report.finding_count);
	if (rows[_i].text)
		ck_assert_msg(str_starts(report.findings[0].text, str_from_c(rows[_i].text)), "%s: " STR_FMT, rows[_i].name,
			      STR_ARG(report.findings[0].text));
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)rows[_i].want, rows[_i].name, "--node", "mx2", NULL);
}
END_TEST

/* What was found counts without memory to say where; the finding's own text may be gone afterwards. */
START_TEST(a_finding_without_memory)
{
	static struct verify_report report;
	char text[] = "of somebody else";
	const struct verify_finding finding = { VERIFY_TAMPERED, str_from_c(text), -1, -1, str_from_c(text) };

	arena_init(&report.arena, 1);
	verify_report_add(&report, &finding);
	ck_assert_int_eq(report.result, VERIFY_TAMPERED);
	ck_assert_uint_eq(report.findings[0].file.len + report.findings[0].text.len, 0);
	verify_report_clear(&report);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record names");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	unit_add_rows(tcase, names, rows);
	tcase_add_test(tcase, a_finding_without_memory);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
