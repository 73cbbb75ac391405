#include "milter/tool/queue.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/memory.h"
#include "config/base/num.h"
#include "milter/tool/child.h"

#define SENDMAIL "/usr/sbin/sendmail"
#define QF_MAX ((size_t)16 << 20)

static const char *own(struct tool *tool, struct str text)
{
	return tool_text(tool, STR_FMT, STR_ARG(text)).ptr;
}

/* "O QueueDirectory=/var/spool/mqueue/q*" of the .cf; the last one counts. */
static bool read_cf(struct tool *tool, struct queue_mta *mta, struct err *err)
{
	static const struct str option = STR_INIT("O QueueDirectory=");
	struct str rest, line;
	struct buf text;
	bool ok;

	buf_init(&text, (size_t)1 << 20);
	mta->dirs = "/var/spool/mqueue";
	ok = io_read_file(mta->sendmail, &text, err);
	for (rest = buf_view(&text); str_next(&rest, '\n', &line);)
		if (str_starts(line, option))
			mta->dirs = own(tool, str_trim(str_from(line, option.len)));
	buf_clear(&text);
	return ok;
}

void queue_choose(struct tool *tool, const struct queue_options *want, struct queue_mta *out)
{
	*out = (struct queue_mta){ .program = want->program.ptr ? own(tool, want->program) : SENDMAIL };
	if (want->sendmail.ptr)
		out->sendmail = own(tool, want->sendmail);
	else if (want->postfix.ptr)
		out->postfix = own(tool, want->postfix);
	else if (access(POSTFIX_DIR "/main.cf", F_OK) == 0)
		out->postfix = POSTFIX_DIR;
	else if (access(SENDMAIL_CF, F_OK) == 0)
		out->sendmail = SENDMAIL_CF;
}

bool queue_find(struct tool *tool, const struct queue_options *want, struct queue_mta *out, struct err *err)
{
	queue_choose(tool, want, out);
	if (out->sendmail)
		return read_cf(tool, out, err);
	return out->postfix || err_set(err, ERR_CONFIG, "neither " POSTFIX_DIR " nor " SENDMAIL_CF " is there");
}

/* --- what was read */

struct reading {
	struct tool *tool;
	struct queue_list *list;
	struct err *err;
	bool ok;
};

static bool grow(struct arena *arena, void **items, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : 8;
	void *bigger;

	if (count < *room)
		return true;
	bigger = arena_array(arena, wanted, size);
	if (!bigger)
		return false;
	if (*items)
		memcpy(bigger, *items, count * size);
	*items = bigger;
	*room = wanted;
	return true;
}

static bool add_entry(struct reading *r, const struct queue_entry *entry)
{
	void *items = r->list->items;

	r->ok = grow(&r->tool->arena, &items, r->list->count, &r->list->room, sizeof *entry) || err_memory(r->err);
	r->list->items = items;
	if (r->ok)
		r->list->items[r->list->count++] = *entry;
	return r->ok;
}

static int oldest_first(const void *a, const void *b)
{
	const struct queue_entry *x = a, *y = b;

	if (x->arrived_us != y->arrived_us)
		return x->arrived_us < y->arrived_us ? -1 : 1;
	return str_cmp(x->id, y->id);
}

/* --- Postfix */

static struct str json_text(struct tool *tool, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	struct str out;

	if (!json_is_string(value) ||
	    !arena_copy(&tool->arena, str_of(json_string_value(value), json_string_length(value)), &out))
		return STR_EMPTY;
	return out;
}

static bool read_recipients(struct reading *r, const json_t *list, struct queue_entry *out)
{
	size_t count = json_array_size(list);

	out->recipients = arena_array(&r->tool->arena, count + 1, sizeof *out->recipients);
	if (!out->recipients)
		return false;
	for (size_t i = 0; i < count; i++)
		out->recipients[out->recipient_count++] = json_text(r->tool, json_array_get(list, i), "address");
	return true;
}

/* {"queue_name":"hold","queue_id":...,"arrival_time":...,"message_size":...,"sender":...,"recipients":[{"address":...}]} */
static bool read_postqueue(void *arg, struct str line)
{
	struct reading *r = arg;
	json_t *object = json_loadb(line.ptr, line.len, 0, NULL);
	struct queue_entry entry = { .id = json_text(r->tool, object, "queue_id"), .sender = json_text(r->tool, object, "sender") };
	bool is_held = str_eq(json_text(r->tool, object, "queue_name"), STR("hold"));

	entry.arrived_us = (int64_t)json_integer_value(json_object_get(object, "arrival_time")) * US_PER_S;
	entry.size = (int64_t)json_integer_value(json_object_get(object, "message_size"));
	if (is_held && entry.id.len &&
	    (!read_recipients(r, json_object_get(object, "recipients"), &entry) || !add_entry(r, &entry)))
		r->ok = false;
	json_decref(object);
	return r->ok;
}

/* Its path, or NULL. */
static char *postfix_program(struct tool *tool, const char *name)
{
	static const char *const places[] = { "/usr/sbin", "/usr/local/sbin", "/usr/bin" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *path = tool_text(tool, "%s/%s", places[i], name).ptr;

		if (access(path, X_OK) == 0)
			return (char *)(uintptr_t)path;
	}
	return NULL;
}

static bool read_postfix(struct reading *r, const struct queue_mta *mta)
{
	char *argv[] = { postfix_program(r->tool, "postqueue"), (char *)"-c", (char *)(uintptr_t)mta->postfix, (char *)"-j", NULL };

	if (!argv[0])
		return err_set(r->err, ERR_BUSY, "there is no postqueue on this host");
	return child_lines(argv, read_postqueue, r, r->err) && (r->ok || err_memory(r->err));
}

/* --- Sendmail */

/* "RPFD:<a@b>", "R<a@b>": flags up to the colon, where there are any. */
static struct str address_of(struct str line)
{
	size_t at = str_find_byte(line, '<');
	struct str inner = at < line.len ? str_from(line, at + 1) : line;

	return str_slice(inner, 0, str_find_byte(inner, '>'));
}

/* The lines of a queue file begin with a letter that says what they are (Sendmail's op.me, "Queue File Format"). */
static bool read_qf(struct reading *r, const char *path, struct queue_entry *entry)
{
	size_t room = 0;
	void *items = NULL;
	struct buf text;
	struct str rest, line, copy;
	uint64_t seconds;
	bool ok, is_read;

	buf_init(&text, QF_MAX);
	ok = is_read = io_read_file(path, &text, r->err);
	for (rest = buf_view(&text); ok && str_next(&rest, '\n', &line);) {
		if (line.len < 2)
			continue;
		if (line.ptr[0] == 'T' && num_parse_u64(str_from(line, 1), &seconds))
			entry->arrived_us = (int64_t)seconds * US_PER_S;
		if (line.ptr[0] == 'S')
			ok = arena_copy(&r->tool->arena, address_of(str_from(line, 1)), &entry->sender);
		if (line.ptr[0] != 'R')
			continue;
		ok = grow(&r->tool->arena, &items, entry->recipient_count, &room, sizeof copy) &&
		     arena_copy(&r->tool->arena, address_of(str_from(line, 1)), &copy);
		entry->recipients = items;
		if (ok)
			entry->recipients[entry->recipient_count++] = copy;
	}
	buf_clear(&text);
	return ok || (is_read && err_memory(r->err));
}

/* Queue files stand in the queue directories, or in qf/ below them. */
static bool glob_queue(const struct queue_mta *mta, const char *name, glob_t *out)
{
	char here[PATH_MAX], below[PATH_MAX];

	snprintf(here, sizeof here, "%s/%s", mta->dirs, name);
	snprintf(below, sizeof below, "%s/qf/%s", mta->dirs, name);
	*out = (glob_t){ .gl_pathc = 0 };
	int is_not_here = glob(here, GLOB_NOSORT, NULL, out), is_not_below = glob(below, GLOB_NOSORT | GLOB_APPEND, NULL, out);

	if (is_not_here == GLOB_NOSPACE || is_not_below == GLOB_NOSPACE)
		memory_ran_out();
	return is_not_here == 0 || is_not_below == 0;
}

bool queue_find_quarantined(const struct queue_mta *mta, const char *id, char path[PATH_MAX], struct err *err)
{
	char name[QUEUE_ID_MAX + 4];
	glob_t found;
	bool ok;

	snprintf(name, sizeof name, "hf%s", id);
	ok = glob_queue(mta, name, &found) && strlen(found.gl_pathv[0]) < 4096;
	if (ok)
		snprintf(path, 4096, "%s", found.gl_pathv[0]);
	globfree(&found);
	return ok || err_set(err, ERR_INPUT, "%s is not in quarantine any more", id);
}

/* Files whose name begins so, here and in the directories below. */
static bool count_files(struct tool *tool, const char *dir, struct str prefix, int depth, int64_t *total, struct err *err)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	bool ok = true;

	if (!stream)
		return err_set(err, ERR_BUSY, "%s: %s", dir, strerror(errno));
	while (ok && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_DIR)
			ok = depth == 0 || count_files(tool, tool_text(tool, "%s/%s", dir, entry->d_name).ptr, prefix,
						       depth - 1, total, err);
		else
			*total += str_starts(str_from_c(entry->d_name), prefix);
	}
	closedir(stream);
	return ok;
}

static bool count_sendmail(struct tool *tool, const struct queue_mta *mta, int64_t *total, struct err *err)
{
	glob_t found;
	bool ok = glob(tool_text(tool, "%s/", mta->dirs).ptr, GLOB_NOSORT, NULL, &found) == 0 ||      /* directories alone */
		  err_set(err, ERR_BUSY, "%s: no such directory", mta->dirs);

	for (size_t i = 0; ok && i < found.gl_pathc; i++)
		ok = count_files(tool, found.gl_pathv[i], STR("hf"), 1, total, err);
	globfree(&found);
	return ok;
}

static bool read_sendmail(struct reading *r, const struct queue_mta *mta)
{
	int64_t there = 0;
	glob_t found;

	/* A pattern without matches does not tell an empty queue from one that cannot be looked into. */
	if (!count_sendmail(r->tool, mta, &there, r->err))
		return false;
	glob_queue(mta, "hf*", &found);
	for (size_t i = 0; i < found.gl_pathc && r->ok; i++) {
		const char *name = strrchr(found.gl_pathv[i], '/') + 3;
		struct queue_entry entry = { .id = str_from_c(own(r->tool, str_from_c(name))), .sender = STR_EMPTY };

		if (read_qf(r, found.gl_pathv[i], &entry))
			add_entry(r, &entry);
		else if (access(found.gl_pathv[i], F_OK) == 0 || errno != ENOENT)
			r->ok = false;              /* one that went meanwhile is not held any more */
	}
	globfree(&found);
	return r->ok;
}

/* --- counting */

#define ANSWER_MAX 65536               /* of postconf */
#define HASH_DEPTH 3                   /* hash_queue_depth may give the hold queue as many levels */

static bool count_postfix(struct tool *tool, const struct queue_mta *mta, int64_t *total, struct err *err)
{
	char *argv[] = { postfix_program(tool, "postconf"), (char *)"-c", (char *)(uintptr_t)mta->postfix, (char *)"-h",
			 (char *)"queue_directory", NULL };
	struct str dir;

	if (!argv[0])
		return err_set(err, ERR_BUSY, "there is no postconf on this host");
	return child_run(argv, CHILD_OUTPUT, ANSWER_MAX, &tool->arena, &dir, err) &&
	       count_files(tool, tool_text(tool, STR_FMT "/hold", STR_ARG(str_trim(dir))).ptr, STR_EMPTY, HASH_DEPTH, total, err);
}

bool queue_count_held(struct tool *tool, const struct queue_mta *mta, int64_t *out, struct err *err)
{
	int64_t total = 0;

	if (!(mta->postfix ? count_postfix(tool, mta, &total, err) : count_sendmail(tool, mta, &total, err)))
		return false;
	*out = total;
	return true;
}

bool queue_read_held(struct tool *tool, const struct queue_mta *mta, struct queue_list *out, struct err *err)
{
	struct reading r = { .tool = tool, .list = out, .err = err, .ok = true };

	*out = (struct queue_list){ .count = 0 };
	if (!(mta->postfix ? read_postfix(&r, mta) : read_sendmail(&r, mta)))
		return err_wrap(err, "the queue");
	if (out->count)
		qsort(out->items, out->count, sizeof *out->items, oldest_first);
	return true;
}
