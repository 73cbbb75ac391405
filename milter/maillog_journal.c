#include "milter/maillog_source.h"

#ifdef HAVE_JOURNAL

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "config/base/clock.h"

/*
 * A position is "journal CURSOR", systemd's own name of the entry that was given last. What syslog would have written is put
 * together from the entry's fields; only entries of the facility mail are asked for.
 */
#define LAYOUT STR("journal")
#define FACILITY_MAIL "SYSLOG_FACILITY=2"
#define FIRST_DAYS 6                   /* without a position: no queue keeps a message longer */

struct journal {
	sd_journal *journal;           /* NULL: to be opened again */
	struct str where;              /* "system", a directory, or a journal file; behind the struct */
	char cursor[MAILLOG_POSITION_MAX];     /* of the last line given; empty: none yet */
	bool is_at_end;
	struct buf line;               /* all its room from the beginning */
};

static bool failed(const struct journal *j, int why, const char *what, struct err *err)
{
	return err_set(err, ERR_BUSY, "journal " STR_FMT ": %s: %s", STR_ARG(j->where), what, strerrordesc_np(-why));
}

static int open_at(struct journal *j, const char *path)
{
	const char *const files[] = { path, NULL };
	struct stat st;

	if (strcmp(path, "system") == 0)
		return sd_journal_open(&j->journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		return sd_journal_open_files(&j->journal, (const char **)(uintptr_t)files, 0);
	return sd_journal_open_directory(&j->journal, path, 0);
}

/* Behind the cursor. An entry that has been vacuumed away is found by its neighbour, which nobody was given yet. */
static int seek(struct journal *j, bool *out_is_found)
{
	int why;

	*out_is_found = false;
	if (j->cursor[0] == '\0')
		return sd_journal_seek_realtime_usec(j->journal, (uint64_t)(clock_now_us() - FIRST_DAYS * DAY_US));
	why = sd_journal_seek_cursor(j->journal, j->cursor);
	if (why < 0)
		return why;
	why = sd_journal_next(j->journal);
	if (why <= 0)
		return why;
	*out_is_found = sd_journal_test_cursor(j->journal, j->cursor) > 0;
	return *out_is_found ? 0 : sd_journal_previous(j->journal);
}

static bool open_again(struct journal *j, bool *out_is_found, struct err *err)
{
	char path[PATH_MAX];
	int why;

	snprintf(path, sizeof path, STR_FMT, STR_ARG(j->where));
	why = open_at(j, path);
	if (why < 0) {
		j->journal = NULL;
		return failed(j, why, "opening it", err);
	}
	why = sd_journal_add_match(j->journal, FACILITY_MAIL, 0);
	if (why >= 0)
		why = seek(j, out_is_found);
	return why >= 0 || failed(j, why, "finding the place", err);
}

static void journal_close(void *source)
{
	struct journal *j = source;

	if (j && j->journal)
		sd_journal_close(j->journal);
	if (j)
		buf_clear(&j->line);
	free(j);
}

static bool journal_open(struct str where, struct str position, void **out, bool *out_is_found, struct err *err)
{
	struct journal *j = calloc(1, sizeof *j + where.len);
	struct str layout, cursor;

	if (!j)
		return err_memory(err);
	memcpy((char *)(j + 1), where.ptr, where.len);
	j->where = str_of((char *)(j + 1), where.len);
	if (str_cut(position, ' ', &layout, &cursor) && str_eq(layout, LAYOUT) && cursor.len < sizeof j->cursor)
		memcpy(j->cursor, cursor.ptr, cursor.len);
	buf_init(&j->line, MAILLOG_LINE_MAX);
	if (!(buf_reserve(&j->line, MAILLOG_LINE_MAX) || err_memory(err)) || !open_again(j, out_is_found, err)) {
		journal_close(j);
		return false;
	}
	*out = j;
	return true;
}

/* --- one entry as a line */

/* Negative: why it cannot be read; -ENOENT: the entry has none. */
static int get_field(struct journal *j, const char *name, struct str *out)
{
	const void *data;
	size_t len, name_len = strlen(name) + 1;       /* "NAME=" */
	int why = sd_journal_get_data(j->journal, name, &data, &len);

	*out = why < 0 || len < name_len ? STR_EMPTY : str_of((const char *)data + name_len, len - name_len);
	return why;
}

/* A field of the head: who wrote the entry chose it, so it may not look like two. */
static void add_word(struct buf *out, struct str word)
{
	word = str_slice(word, 0, 100);
	for (size_t i = 0; i < word.len; i++)
		buf_add_byte(out, (unsigned char)word.ptr[i] > ' ' && word.ptr[i] != '[' && word.ptr[i] != ']' ? word.ptr[i] : '?');
	if (word.len == 0)
		buf_add_byte(out, '-');
}

/* A field of the head, or of the second name where it has not the first. Negative: it cannot be read. */
static int add_field(struct journal *j, const char *name, const char *other)
{
	struct str value;
	int why = get_field(j, name, &value);

	if (why == -ENOENT && other)
		why = get_field(j, other, &value);
	if (why < 0 && why != -ENOENT)
		return why;
	add_word(&j->line, value);
	return 0;
}

static int add_message(struct journal *j)
{
	struct str message;
	int why = get_field(j, "MESSAGE", &message);

	message = str_slice(message, 0, str_find_byte(message, '\n'));
	buf_add(&j->line, str_slice(message, 0, MAILLOG_LINE_MAX - j->line.len));
	return why == -ENOENT ? 0 : why;
}

/* Negative: why not. */
static int write_line(struct journal *j)
{
	char time[JST_TIME_LEN + 1];
	uint64_t us;
	int why = sd_journal_get_realtime_usec(j->journal, &us);

	if (why < 0)
		return why;
	buf_reset(&j->line);
	jst_format_time((int64_t)us, time);
	buf_add_c(&j->line, time);
	buf_add_byte(&j->line, ' ');
	why = add_field(j, "_HOSTNAME", NULL);
	buf_add_byte(&j->line, ' ');
	why = why < 0 ? why : add_field(j, "SYSLOG_IDENTIFIER", NULL);
	buf_add_byte(&j->line, '[');
	why = why < 0 ? why : add_field(j, "SYSLOG_PID", "_PID");
	buf_add_c(&j->line, "]: ");
	return why < 0 ? why : add_message(j);
}

static bool keep_cursor(struct journal *j, int *out_why)
{
	char *cursor;
	int why = sd_journal_get_cursor(j->journal, &cursor);

	*out_why = why;
	if (why < 0)
		return false;
	snprintf(j->cursor, sizeof j->cursor, "%s", cursor);
	free(cursor);
	return true;
}

/* What fails is closed, and opened again behind what was given. */
static bool give_up(struct journal *j, int why, const char *what, struct err *err)
{
	failed(j, why, what, err);
	sd_journal_close(j->journal);
	j->journal = NULL;
	return false;
}

/* The next entry; at the end only after a look at files that may be new. */
static int step(struct journal *j)
{
	int more = sd_journal_next(j->journal);

	if (more == 0 && (more = sd_journal_wait(j->journal, 0)) >= 0)
		more = sd_journal_next(j->journal);
	return more;
}

/* Whenever it is tried. */
static bool is_unreadable(int why)
{
	return why == -EBADMSG || why == -E2BIG || why == -EPROTONOSUPPORT;
}

static bool journal_next(void *source, struct str *out_line, bool *out_found, struct err *err)
{
	struct journal *j = source;
	bool is_found;
	int why, read;

	*out_found = false;
	if (!j->journal && !open_again(j, &is_found, err))
		return false;
	why = step(j);
	if (why < 0)
		return give_up(j, why, "reading", err);
	j->is_at_end = why == 0;
	if (why == 0)
		return true;
	read = write_line(j);
	if (read < 0 && !is_unreadable(read))
		return give_up(j, read, "reading an entry", err);
	if (!keep_cursor(j, &why))
		return give_up(j, why, "keeping the place", err);
	if (read < 0)
		return give_up(j, read, "passing over an entry", err);
	*out_line = buf_view(&j->line);
	*out_found = true;
	return true;
}

static void journal_position(void *source, struct buf *out)
{
	const struct journal *j = source;

	if (j->cursor[0])
		buf_printf(out, STR_FMT " %s", STR_ARG(LAYOUT), j->cursor);
}

static int64_t journal_behind(const void *source)
{
	return ((const struct journal *)source)->is_at_end ? 0 : MAILLOG_BEHIND_UNKNOWN;
}

const struct maillog_source_ops maillog_source_journal = {
	.open = journal_open,
	.close = journal_close,
	.next = journal_next,
	.position = journal_position,
	.behind = journal_behind,
};

#else

/* The configuration that names a journal is refused: see config_check.c. */
const struct maillog_source_ops maillog_source_journal = { .open = NULL };

#endif
