/* milter/maillog_journal: entries of a real journal file as lines of syslog, kept up with, and found again after a restart. */
#include "t/lib/unit.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/maillog_line.h"
#include "milter/maillog_source.h"

#define WRITER "/lib/systemd/systemd-journal-remote"
#define BINARY 1

extern char **environ;

static char dir[4096], path[4160], text_path[4160];
static int64_t now_us;

static void setup(void)
{
	snprintf(dir, sizeof dir, "%s/XXXXXX", unit_dir());
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/mx.journal", dir);
	snprintf(text_path, sizeof text_path, "%s/entries", dir);
	now_us = clock_now_us();
}

/* One entry in the journal's export format, which knows octets by a length of eight. */
static void add_entry(FILE *out, const char *facility, const char *program, struct str message, int flags)
{
	now_us += 1000;
	fprintf(out, "__REALTIME_TIMESTAMP=%lld\n__MONOTONIC_TIMESTAMP=%lld\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"
		"_HOSTNAME=mx\nSYSLOG_FACILITY=%s\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=7\n", (long long)now_us, (long long)now_us,
		facility, program);
	if (flags & BINARY) {
		unsigned char len[8] = { (unsigned char)message.len, (unsigned char)(message.len >> 8) };

		fputs("MESSAGE\n", out);
		fwrite(len, 1, sizeof len, out);
		fwrite(message.ptr, 1, message.len, out);
		fputs("\n\n", out);
	} else {
		fprintf(out, "MESSAGE=" STR_FMT "\n\n", STR_ARG(message));
	}
}

/* Appends what stands in text_path to the journal. */
static void write_journal(void)
{
	char *const argv[] = { (char *)(uintptr_t)WRITER, (char *)(uintptr_t)"-o", path, text_path, NULL };
	posix_spawn_file_actions_t files;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	ck_assert_int_eq(posix_spawn(&pid, WRITER, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	ck_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void append(const char *facility, const char *program, const char *const messages[])
{
	FILE *out = fopen(text_path, "w");

	ck_assert_ptr_nonnull(out);
	for (; *messages; messages++)
		add_entry(out, facility, program, str_from_c(*messages), 0);
	ck_assert_int_eq(fclose(out), 0);
	write_journal();
}

static void *open_source(struct str position, bool *out_is_found)
{
	struct err err;
	void *source;

	ck_assert_msg(maillog_source_journal.open(str_from_c(dir), position, &source, out_is_found, &err), "%s", err.text);
	return source;
}

/* What stands behind "]: " in each line that there is, joined by '|'. */
static const char *read_all(void *source)
{
	static char all[4096];
	size_t len = 0;
	struct str line;
	struct err err;
	bool found;

	all[0] = '\0';
	while (maillog_source_journal.next(source, &line, &found, &err) && found) {
		struct str rest = str_from(line, str_find(line, STR("]: ")) + 3);

		len += (size_t)snprintf(all + len, sizeof all - len, STR_FMT "|", STR_ARG(str_slice(rest, 0, 20)));
	}
	return all;
}

START_TEST(as_lines)
{
	static const char *const messages[] = {
		"4E576B032: to=<a@b.example>, relay=mx[192.0.2.1]:25, dsn=5.1.1, status=bounced (host mx[192.0.2.1] said: 550 no)", NULL,
	};
	char want[JST_TIME_LEN + 1];
	struct maillog_line got;
	int64_t stamp_us;
	struct str line;
	struct err err;
	bool found;
	void *source;

	append("2", "postfix/smtp", messages);
	source = open_source(STR_EMPTY, &found);
	ck_assert(maillog_source_journal.next(source, &line, &found, &err) && found);
	ck_assert(maillog_line_read(line, &got));
	ck_assert(got.kind == MAILLOG_OUTCOME && got.is_postfix && got.outcome.kind == OUTCOME_FAILED);
	ck_assert_str_is(got.queue_id, STR("4E576B032"));
	jst_format_time(now_us, want);
	ck_assert_str_is(got.stamp, str_from_c(want));
	ck_assert(maillog_stamp_us(got.stamp, now_us, &stamp_us));
	ck_assert_int_eq(stamp_us, now_us);
	maillog_source_journal.close(source);
}
END_TEST

/* Only the facility mail; what comes later; and behind the place that was kept. */
START_TEST(followed)
{
	static const char *const first[] = { "one", "two", NULL }, *const second[] = { "three", NULL }, *const other[] = { "noise", NULL };
	struct buf position;
	bool found;
	void *source;

	append("2", "postfix/qmgr", first);
	append("3", "cron", other);
	source = open_source(STR_EMPTY, &found);
	ck_assert(!found);
	ck_assert_int_eq(maillog_source_journal.behind(source), MAILLOG_BEHIND_UNKNOWN);
	ck_assert_str_eq(read_all(source), "one|two|");
	ck_assert_int_eq(maillog_source_journal.behind(source), 0);
	append("2", "postfix/qmgr", second);
	ck_assert_str_eq(read_all(source), "three|");
	buf_init(&position, MAILLOG_POSITION_MAX);
	maillog_source_journal.position(source, &position);
	maillog_source_journal.close(source);

	append("2", "postfix/qmgr", first);
	source = open_source(buf_view(&position), &found);
	ck_assert(found);
	ck_assert_str_eq(read_all(source), "one|two|");
	maillog_source_journal.close(source);
	buf_clear(&position);

	source = open_source(STR("1 2 3 4 5"), &found);       /* a file's */
	ck_assert(!found);
	ck_assert_str_eq(read_all(source), "one|two|three|one|two|");
	maillog_source_journal.close(source);
}
END_TEST

/* Entries are anybody's: an identifier that would look like a head, octets, line feeds, more than a line. */
START_TEST(hostile)
{
	static char longest[60000];
	FILE *out = fopen(text_path, "w");
	struct str line;
	struct err err;
	bool found;
	void *source;

	memset(longest, 'x', sizeof longest);
	ck_assert_ptr_nonnull(out);
	add_entry(out, "2", "postfix/smtp[1]: 4E576B032: to=<a@b>, status=sent (x) [1]", STR("one"), 0);
	add_entry(out, "2", "postfix/smtp", STR("two\nNov 21 10:00:00 mx postfix/smtp[1]: 4E576B032: removed"), BINARY);
	add_entry(out, "2", "postfix/smtp", str_of("\033[2J\0\377", 6), BINARY);
	add_entry(out, "2", "postfix/smtp", str_of(longest, sizeof longest), BINARY);
	ck_assert_int_eq(fclose(out), 0);
	write_journal();
	source = open_source(STR_EMPTY, &found);
	for (int i = 0; i < 4; i++) {
		ck_assert(maillog_source_journal.next(source, &line, &found, &err) && found);
		ck_assert_uint_le(line.len, MAILLOG_LINE_MAX);
		ck_assert_uint_eq(str_find_byte(line, '\n'), line.len);
		ck_assert(i != 0 || str_ends(line, STR("[7]: one")));
		ck_assert(i != 0 || str_find(line, STR("]: ")) == line.len - 6);
		ck_assert(i != 1 || str_ends(line, STR("]: two")));
	}
	ck_assert_uint_eq(line.len, MAILLOG_LINE_MAX);
	maillog_source_journal.close(source);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("maillog_journal");
	TCase *tcase = tcase_create("maillog_journal");

	if (!maillog_source_journal.open || access(WRITER, X_OK) != 0) {
		puts("unit: skipped: no libsystemd, or no systemd-journal-remote to write a journal with");
		return 77;
	}
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, as_lines);
	tcase_add_test(tcase, followed);
	tcase_add_test(tcase, hostile);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
