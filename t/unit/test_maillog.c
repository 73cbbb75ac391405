/* milter/maillog: lines are read for what they are, files are followed wherever they go, queue ids are remembered within
 * bounds. */
#include "t/lib/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/maillog_file.h"
#include "milter/maillog_line.h"
#include "milter/maillog_map.h"

/* --- lines */

#define P "Jun  3 10:00:01 mx1 postfix/"
static const struct {
	const char *line;
	enum maillog_kind kind;
	const char *id, *old, *more;
} line_rows[] = {
	{ P "smtp[1]: AAAAAA: to=<a@b>, relay=x[1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)", MAILLOG_OUTCOME, "AAAAAA", "", "" },
	{ P "qmgr[1]: AAAAAA: removed", MAILLOG_REMOVED, "AAAAAA", "", "" },
	{ P "qmgr[1]: AAAAAA: from=<s@t>, status=expired, returned to sender", MAILLOG_EXPIRED, "AAAAAA", "", "" },
	{ P "qmgr[1]: AAAAAA: from=<>, status=force-expired, returned to sender", MAILLOG_EXPIRED, "AAAAAA", "", "" },
	{ P "pickup[1]: BBBBBB: uid=0 from=<s@t> orig_id=AAAAAA", MAILLOG_REQUEUED, "BBBBBB", "AAAAAA", "" },
	/* what strangers write where a mark could be taken for ours */
	{ P "qmgr[1]: AAAAAA: from=<\", status=expired, returned to sender\"@t>, size=1, nrcpt=1 (queue active)", MAILLOG_NONE, "", "",
	  "" },
	{ P "pickup[1]: BBBBBB: uid=0 from=<x orig_id=AAAAAA>", MAILLOG_NONE, "", "", "" },
	{ P "smtp[1]: AAAAAA: removed", MAILLOG_NONE, "", "", "" },
	{ P "cleanup[1]: AAAAAA: warning: header Subject: x[1]: CCCCCC: removed", MAILLOG_NONE, "", "", "" },
	{ P "qmgr[1]: AAAAAA: from=<s@t>, size=2001, nrcpt=1 (queue active)", MAILLOG_NONE, "", "", "" },
	{ "Jun  3 10:00:01 mx sm-mta[1]: u0E7M9aa: to=<a@b>,<c@d>,<e@f>, delay=00:00:01, dsn=2.0.0, stat=Sent (ok)", MAILLOG_OUTCOME,
	  "u0E7M9aa", "", "c@d e@f" },
	{ "Jun  3 10:00:01 mx sendmail[1]: u0E7M9aa: to=a@b,c@d, ctladdr=www (33/33), delay=00:00:01, dsn=2.0.0, stat=Sent (ok)", MAILLOG_OUTCOME,
	  "u0E7M9aa", "", "c@d" },
	{ "Jun  3 10:00:01 mx sm-mta[1]: u0E7M9aa: to=<a@b>,<c@d>, [more], delay=00:00:01, dsn=2.0.0, stat=Sent (ok)", MAILLOG_OUTCOME,
	  "u0E7M9aa", "", "c@d" },
	{ "Jun  3 10:00:01 mx sm-mta[1]: u0E7M9aa: u0E7M9ab: sender notify: Cannot send message for 5 days", MAILLOG_EXPIRED, "u0E7M9aa",
	  "", "" },
	{ "Jun  3 10:00:01 mx sm-mta[1]: u0E7M9aa: removed", MAILLOG_NONE, "", "", "" },
	{ "Jun  3 10:00:01 mx sshd[1]: Accepted: to=<x>", MAILLOG_NONE, "", "", "" },
	{ "", MAILLOG_NONE, "", "", "" },
};
/* Whom the line names beside the first, with blanks between. */
static const char *others(struct outcome *outcome)
{
	static char text[200];
	struct str one;
	size_t n = 0;

	text[0] = '\0';
	while (outcome_next(&outcome->more, &one))
		n += (size_t)snprintf(text + n, sizeof text - n, "%s" STR_FMT, n ? " " : "", STR_ARG(one));
	return text;
}

START_TEST(lines)
{
	struct str wall = unit_wall(str_from_c(line_rows[_i].line));
	struct maillog_line got;
	bool is = maillog_line_read(wall, &got);

	ck_assert_msg(is == (line_rows[_i].kind != MAILLOG_NONE), "%s", line_rows[_i].line);
	if (is) {
		ck_assert_int_eq(got.kind, line_rows[_i].kind);
		ck_assert_str_is(got.queue_id, str_from_c(line_rows[_i].id));
		ck_assert_str_is(got.stamp, STR("Jun  3 10:00:01"));
		ck_assert_str_eq(others(&got.outcome), line_rows[_i].more);
		if (got.kind == MAILLOG_REQUEUED)
			ck_assert_str_is(got.old_id, str_from_c(line_rows[_i].old));
	}
	for (size_t n = 0; n < wall.len; n++) {
		struct str cut = unit_wall(str_slice(wall, 0, n)), one;

		if (maillog_line_read(cut, &got))
			while (outcome_next(&got.outcome.more, &one))
				ck_assert_uint_le(one.len, n);
		unit_wall_free(cut);
	}
	unit_wall_free(wall);
}
END_TEST

static const struct {
	const char *stamp, *now, *want;        /* want NULL: none */
} stamp_rows[] = {
	{ "Nov 21 10:00:01", "2026-11-21T12:00:00Z", "2026-11-21T10:00:01Z" },
	{ "Nov  1 10:00:01", "2026-11-21T12:00:00Z", "2026-11-01T10:00:01Z" },
	{ "Dec 31 23:59:59", "2027-01-01T00:10:00Z", "2026-12-31T23:59:59Z" },
	{ "Jan  1 00:00:01", "2026-12-31T23:59:50Z", "2026-01-01T00:00:01Z" },
	{ "Feb 29 10:00:00", "2028-03-01T00:00:00Z", "2028-02-29T10:00:00Z" },
	{ "2026-11-21T19:00:01.5+09:00", "2030-01-01T00:00:00Z", "2026-11-21T10:00:01.5Z" },
	{ "2026-11-21T10:00:01.123456789Z", "2030-01-01T00:00:00Z", "2026-11-21T10:00:01.123456Z" },
	{ "2026-11-21T19:00:01.5+0900", "2030-01-01T00:00:00Z", "2026-11-21T10:00:01.5Z" },
	{ "Nov 21 10:00:01.123456", "2026-11-21T12:00:00Z", "2026-11-21T10:00:01Z" },
	{ "2026-11-21 10:00:01", "2030-01-01T00:00:00Z", "2026-11-21T10:00:01Z" },
	{ "2026-11-21 10:00:01.123", "2030-01-01T00:00:00Z", "2026-11-21T10:00:01Z" },
	{ "2026-11-21 19:00:01.5+09:00", "2030-01-01T00:00:00Z", "2026-11-21T10:00:01.5Z" },
	{ "2026-13-21 10:00:01", "2026-11-21T12:00:00Z", NULL },
	{ "2026-11-21 25:00:01", "2026-11-21T12:00:00Z", NULL },
	{ "2026-11-21 ", "2026-11-21T12:00:00Z", NULL },
	{ "Foo 21 10:00:01", "2026-11-21T12:00:00Z", NULL },
	{ "Nov 32 10:00:01", "2026-11-21T12:00:00Z", NULL },
	{ "Nov 21 24:00:01", "2026-11-21T12:00:00Z", NULL },
	{ "Nov 21 10:0", "2026-11-21T12:00:00Z", NULL },
	{ "", "2026-11-21T12:00:00Z", NULL },
};
START_TEST(stamps)
{
	int64_t now_us, want_us, got_us;

	setenv("TZ", "UTC", 1);
	ck_assert(jst_parse_time(str_from_c(stamp_rows[_i].now), &now_us));

	bool is = maillog_stamp_us(str_from_c(stamp_rows[_i].stamp), now_us, &got_us);

	ck_assert_msg(is == (stamp_rows[_i].want != NULL), "%s", stamp_rows[_i].stamp);
	if (is) {
		ck_assert(jst_parse_time(str_from_c(stamp_rows[_i].want), &want_us));
		ck_assert_int_eq(got_us, want_us);
	}
}
END_TEST

/* Development corpus, where it is there: every line about a recipient is one, and no other is. */
START_TEST(corpus)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	struct maillog_line got;
	struct buf text;
	struct str rest, line;
	struct err err;
	size_t seen = 0;

	snprintf(path, sizeof path, "%s/../shared/corpus/bounces/mail.log", srcdir ? srcdir : ".");
	if (access(path, R_OK) != 0) {
		printf("maillog corpus: skipped, %s is not there\n", path);
		return;
	}
	buf_init(&text, (size_t)16 << 20);
	ck_assert_msg(io_read_file(path, &text, &err), "%s", err.text);
	rest = buf_view(&text);
	while (str_next(&rest, '\n', &line)) {
		bool is_about_one = str_find(line, STR(": to=<")) < line.len;

		ck_assert_msg(maillog_line_read(line, &got) == is_about_one, STR_FMT, STR_ARG(line));
		seen += is_about_one;
	}
	ck_assert_uint_gt(seen, 100);
	buf_clear(&text);
}
END_TEST

/* --- files */

static char path[4096];

static void append(const char *name, const char *text, const char *mode)
{
	FILE *file = fopen(name, mode);

	ck_assert_ptr_nonnull(file);
	ck_assert(fputs(text, file) >= 0);
	ck_assert_int_eq(fclose(file), 0);
}

static struct maillog_file *open_log(const struct maillog_position *from, bool *out_is_found)
{
	struct maillog_file *file;
	struct err err;
	bool is_found;

	ck_assert_msg(maillog_file_open(str_from_c(path), from, &file, &is_found, &err), "%s", err.text);
	if (out_is_found)
		*out_is_found = is_found;
	return file;
}

/* All lines there are now, each with a `|` behind it. */
static const char *read_all(struct maillog_file *file)
{
	static char text[MAILLOG_LINE_MAX * 4];
	struct maillog_position position;
	struct str line;
	struct err err;
	size_t len = 0;
	bool found;

	while (maillog_file_next(file, &line, &found, &err) && found)
		len += (size_t)snprintf(text + len, sizeof text - len, STR_FMT "|", STR_ARG(str_slice(line, 0, 20)));
	text[len] = '\0';
	maillog_file_position(file, &position);        /* as the follower does */
	return text;
}

static void files_setup(void)
{
	char other[4096 + 8];

	snprintf(path, sizeof path, "%s/mail.log", unit_dir());
	snprintf(other, sizeof other, "%s.1", path);
	unlink(path);
	unlink(other);
}

START_TEST(growing)
{
	struct maillog_file *file = open_log(NULL, NULL);

	ck_assert_str_eq(read_all(file), "");
	append(path, "one\ntw", "a");
	ck_assert_str_eq(read_all(file), "one|");
	append(path, "o\n\nfour\n", "a");
	ck_assert_str_eq(read_all(file), "two||four|");
	ck_assert_int_eq(maillog_file_behind(file), 0);
	maillog_file_close(file);
}
END_TEST

START_TEST(renamed)
{
	struct maillog_file *file;
	char old[4096 + 8];

	snprintf(old, sizeof old, "%s.1", path);
	append(path, "one\n", "a");
	file = open_log(NULL, NULL);
	ck_assert_str_eq(read_all(file), "one|");
	ck_assert_int_eq(rename(path, old), 0);
	append(old, "two\n", "a");
	append(path, "", "w");                         /* created, not yet written: the old one still is */
	ck_assert_str_eq(read_all(file), "two|");
	append(old, "three\n", "a");
	append(path, "four\n", "a");
	ck_assert_str_eq(read_all(file), "three|four|");
	maillog_file_close(file);
}
END_TEST

/* What happens once between a look that meets the end of the file and whatever follows it. NULL: nothing. */
static void (*at_the_end)(void);

/* The one that maillog_file.c calls. */
ssize_t pread(int fd, void *to, size_t n, off_t at)
{
	ssize_t got = lseek(fd, at, SEEK_SET) == at ? read(fd, to, n) : -1;
	void (*now)(void) = got == 0 ? at_the_end : NULL;

	if (now) {
		at_the_end = NULL;
		now();
	}
	return got;
}

static void rotate(void)
{
	char old[4096 + 8];

	snprintf(old, sizeof old, "%s.1", path);
	append(path, "two\n", "a");
	ck_assert_int_eq(rename(path, old), 0);
	append(path, "three\n", "a");
}

START_TEST(renamed_under_the_eyes)
{
	struct maillog_file *file;

	append(path, "one\n", "a");
	file = open_log(NULL, NULL);
	at_the_end = rotate;
	ck_assert_str_eq(read_all(file), "one|two|three|");
	maillog_file_close(file);
}
END_TEST

static void rename_and_date(const char *from, const char *to, int minute)
{
	const struct timespec times[2] = { { .tv_sec = 1795230000 + 60 * minute }, { .tv_sec = 1795230000 + 60 * minute } };

	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, to, times, 0), 0);
}

/* Away for two rotations and more: the files between are read in the order in which they were written, once. */
START_TEST(rotated_often)
{
	struct maillog_position at;
	struct maillog_file *file;
	char old[4][4096 + 16], strange[4096 + 16], nothing[4096 + 16];
	bool is_found;

	for (int i = 1; i < 4; i++)
		snprintf(old[i], sizeof old[i], "%s.%d", path, i);
	snprintf(strange, sizeof strange, "%s.2.gz", path);
	snprintf(nothing, sizeof nothing, "%s.9", path);
	ck_assert_int_eq(symlink("/nonexistent", nothing), 0);
	append(path, "one\n", "a");
	file = open_log(NULL, NULL);
	ck_assert_str_eq(read_all(file), "one|");
	maillog_file_position(file, &at);
	maillog_file_close(file);
	append(path, "two\n", "a");
	rename_and_date(path, old[3], 1);
	append(path, "three\n", "a");
	rename_and_date(path, old[2], 2);
	append(path, "four\n", "a");
	rename_and_date(path, old[1], 3);
	append(strange, "no log\n", "w");
	append(path, "five\n", "a");
	file = open_log(&at, &is_found);
	ck_assert(is_found);
	ck_assert_str_eq(read_all(file), "two|three|four|five|");
	append(path, "six\n", "a");
	ck_assert_str_eq(read_all(file), "six|");
	maillog_file_close(file);
	for (int i = 1; i < 4; i++)
		unlink(old[i]);
	unlink(strange);
	unlink(nothing);
}
END_TEST

static rlim_t allow_files(rlim_t n)
{
	struct rlimit limit;
	rlim_t before;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = n;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

/* A file beside the log that no descriptor is left to open is waited for: while it is read on, and when it is found again. */
START_TEST(no_descriptors)
{
	struct maillog_position at;
	struct maillog_file *file;
	struct err err = { .kind = ERR_NONE };
	struct str line;
	char old[2][4096 + 16];
	bool found;
	int next = dup(STDIN_FILENO);                  /* the first that will be free */
	rlim_t before;

	for (int i = 0; i < 2; i++)
		snprintf(old[i], sizeof old[i], "%s.%d", path, i + 1);
	append(path, "one\n", "a");
	close(next);
	file = open_log(NULL, NULL);
	ck_assert_str_eq(read_all(file), "one|");
	maillog_file_position(file, &at);
	rename_and_date(path, old[1], 1);
	append(path, "two\n", "a");
	rename_and_date(path, old[0], 2);
	append(path, "three\n", "a");
	before = allow_files((rlim_t)next + 1 + (rlim_t)_i);
	ck_assert(!maillog_file_next(file, &line, &found, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	allow_files(before);
	ck_assert_str_eq(read_all(file), "two|three|");
	maillog_file_close(file);
	allow_files((rlim_t)next + (rlim_t)_i);
	ck_assert(!maillog_file_open(str_from_c(path), &at, &file, &found, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	allow_files(before);
	file = open_log(&at, &found);
	ck_assert(found);
	ck_assert_str_eq(read_all(file), "two|three|");
	maillog_file_close(file);
	for (int i = 0; i < 2; i++)
		unlink(old[i]);
}
END_TEST

START_TEST(truncated)
{
	struct maillog_file *file;

	append(path, "one and more\n", "a");
	file = open_log(NULL, NULL);
	ck_assert_str_eq(read_all(file), "one and more|");
	ck_assert_int_eq(truncate(path, 0), 0);
	ck_assert_str_eq(read_all(file), "");
	append(path, "two\n", "a");
	ck_assert_str_eq(read_all(file), "two|");
	/* truncated and grown beyond where it was before anybody looked */
	ck_assert_int_eq(truncate(path, 0), 0);
	append(path, "three, longer than two\nfour\n", "a");
	ck_assert_str_eq(read_all(file), "three, longer than t|four|");
	maillog_file_close(file);
}
END_TEST

/* From any line on, under its own name or another; and never from a file that is not it. */
START_TEST(found_again)
{
	struct maillog_position at, parsed;
	struct maillog_file *file;
	struct buf text;
	struct str line;
	struct err err;
	char old[4096 + 8];
	bool found;

	snprintf(old, sizeof old, "%s.1", path);
	append(path, "one\ntwo\nthree\n", "a");
	file = open_log(NULL, NULL);
	for (int i = 0; i <= _i; i++)
		ck_assert(maillog_file_next(file, &line, &found, &err) && found);
	maillog_file_position(file, &at);
	maillog_file_close(file);

	buf_init(&text, 256);
	maillog_position_format(&at, &text);
	ck_assert(maillog_position_parse(buf_view(&text), &parsed));
	buf_clear(&text);

	static const char *const want[] = { "two|three|four|", "three|four|", "four|" };

	ck_assert_int_eq(rename(path, old), 0);
	append(path, "four\n", "a");
	file = open_log(&parsed, &found);
	ck_assert(found);
	ck_assert_str_eq(read_all(file), want[_i]);
	maillog_file_close(file);

	append(old, "ONE", "r+");                      /* same inode, other octets */
	file = open_log(&parsed, &found);
	ck_assert(!found);
	ck_assert_str_eq(read_all(file), "four|");
	maillog_file_close(file);
}
END_TEST

START_TEST(long_lines)
{
	static char many[MAILLOG_LINE_MAX * 6];
	struct maillog_file *file;

	memset(many, 'x', sizeof many - 1);
	append(path, "one\n", "a");
	append(path, many, "a");
	file = open_log(NULL, NULL);
	ck_assert_str_eq(read_all(file), "one|xxxxxxxxxxxxxxxxxxxx|");
	append(path, "tail\ntwo\n", "a");
	ck_assert_str_eq(read_all(file), "two|");
	maillog_file_close(file);
}
END_TEST

static const char *const position_rows[] = {
	"", "1", "1 2 3 4", "1 2 3 4 5 6", "2 2 3 4 5", "1 2 -3 4 5", "1 2 3 4 257", "1 2 3 4 x", "1 2 3 4 5\n", "journal s=1",
};
START_TEST(no_position)
{
	struct maillog_position position;

	ck_assert(!maillog_position_parse(str_from_c(position_rows[_i]), &position));
}
END_TEST

/* --- queue ids */

START_TEST(remembered)
{
	struct maillog_map *map = maillog_map_new();
	struct maillog_message got;
	struct maillog_open *open;

	ck_assert(!maillog_map_find(map, STR("AAAAAA"), &got));
	maillog_map_add(map, STR("AAAAAA"), STR("M1"), STR("acme"), STR("a@acme"));
	maillog_map_add(map, STR("BBBBBB"), STR("M2"), (struct str){ 0 }, STR_EMPTY);       /* nobody's */
	maillog_map_wait(map, STR("BBBBBB"), STR("a@b"), (struct str){ 0 }, (struct str){ 0 });
	maillog_map_add(map, STR("AAAAAA"), STR("M3"), STR("ginza"), STR_EMPTY);
	ck_assert(maillog_map_find(map, STR("AAAAAA"), &got));
	ck_assert_str_eq(got.id, "M3");
	ck_assert_str_eq(got.tenant, "ginza");

	maillog_map_wait(map, STR("AAAAAA"), STR("a@b"), STR("4.0.0"), STR("busy"));
	maillog_map_wait(map, STR("AAAAAA"), STR("A@B"), STR("4.2.2"), STR("full"));
	maillog_map_wait(map, STR("AAAAAA"), STR("c@d"), STR("4.0.0"), STR("busy"));
	maillog_map_settle(map, STR("AAAAAA"), STR("c@d"));
	maillog_map_rename(map, STR("AAAAAA"), STR("CCCCCC"));
	ck_assert_ptr_null(maillog_map_take(map, STR("AAAAAA")));
	open = maillog_map_take(map, STR("CCCCCC"));
	ck_assert_ptr_nonnull(open);
	ck_assert_ptr_null(maillog_map_take(map, STR("CCCCCC")));
	maillog_map_put(map, STR("CCCCCC"), open);
	ck_assert_ptr_eq(maillog_map_take(map, STR("CCCCCC")), open);
	ck_assert_str_is(open->recipient, STR("A@B"));
	ck_assert_str_is(open->said, STR("full"));
	maillog_map_put(map, STR("DDDDDD"), open);       /* which is not there: it is freed */
	maillog_map_done(map, STR("CCCCCC"));
	ck_assert(maillog_map_find(map, STR("CCCCCC"), &got));       /* a report may still come */
	maillog_map_free(map);
}
END_TEST

START_TEST(bounded)
{
	struct maillog_map *map = maillog_map_new();
	struct maillog_message got;
	char id[16];

	for (int i = 0; i < MAILLOG_MESSAGES_MAX + 10; i++) {
		snprintf(id, sizeof id, "Q%08d", i);
		maillog_map_add(map, str_from_c(id), STR("M"), STR("acme"), STR_EMPTY);
	}
	ck_assert(!maillog_map_find(map, STR("Q00000009"), &got));
	ck_assert(maillog_map_find(map, STR("Q00000010"), &got));
	for (int i = 0; i < MAILLOG_OPEN_ONE_MAX + 10; i++) {
		snprintf(id, sizeof id, "r%d@x", i);
		maillog_map_wait(map, STR("Q00000010"), str_from_c(id), STR_EMPTY, STR_EMPTY);
	}

	struct maillog_open *open;
	int count = 0;

	for (; (open = maillog_map_take(map, STR("Q00000010"))); count++)
		free(open);
	ck_assert_int_eq(count, MAILLOG_OPEN_ONE_MAX);
	maillog_map_free(map);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("maillog");
	TCase *tcase = tcase_create("lines"), *files = tcase_create("files"), *map = tcase_create("map");

	unit_add_rows(tcase, lines, line_rows);
	unit_add_rows(tcase, stamps, stamp_rows);
	tcase_add_test(tcase, corpus);
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(files, files_setup, NULL);
	tcase_add_test(files, growing);
	tcase_add_test(files, renamed);
	tcase_add_test(files, renamed_under_the_eyes);
	tcase_add_test(files, rotated_often);
	tcase_add_loop_test(files, no_descriptors, 0, 2);
	tcase_add_test(files, truncated);
	tcase_add_loop_test(files, found_again, 0, 3);
	tcase_add_test(files, long_lines);
	unit_add_rows(files, no_position, position_rows);
	suite_add_tcase(suite, files);
	tcase_add_test(map, remembered);
	tcase_add_test(map, bounded);
	suite_add_tcase(suite, map);
	return unit_main(suite);
}
