#include "milter/record/verify_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/memory.h"
#include "milter/record/entry.h"
#include "milter/record/lines.h"
#include "milter/record/scan.h"
#include "milter/record/verify_content.h"

#define SECOND_END ((size_t)20)                     /* of 2026-11-21T18:04:05.123456+09:00 */
#define FRACTION_END (SECOND_END + 6)
#define PROGRESS_STEP ((int64_t)4 << 20)

/* How far the check has come. */
struct state {
	struct verify_file *file;
	const struct verify_context *context;
	struct verify_content *content;/* NULL: they are not read */
	bool is_known;                 /* seq and chain of the line before are known */
	int64_t seq;
	unsigned char chain[CHAIN_LEN];
	int64_t unreadable;            /* lines since then that are no records */
	char time[JST_TIME_LEN + 1];   /* the last that is one */
	bool has_strange_key;
};

/* Said once a file: one wrong key given would fill the report else. */
static void find_strange_key(struct state *state, const struct line *line, int64_t seq, struct str key)
{
	if (!state->has_strange_key)
		verify_file_find(state->file, VERIFY_UNKNOWN, line->offset, seq, "signed with key " STR_FMT
				 ", which was not given: either a public key is missing or the wrong one, or somebody else signed",
				 STR_ARG(str_slice(key, 0, 16)));
	state->has_strange_key = true;
}

void verify_file_check_once(struct verify_file *file, struct str named, const struct verify_once *checkpoint)
{
	if (named.len == 0)
		return;
	if (checkpoint->once.len == 0 && checkpoint->is_restored)
		verify_file_find(file, VERIFY_OK, checkpoint->offset, checkpoint->seq, "the log was restored from a backup before this "
				 "checkpoint: records that were written after the backup are lost, as the operator has declared");
	else if (checkpoint->once.len == 0)
		verify_file_find(file, VERIFY_UNKNOWN, checkpoint->offset, checkpoint->seq,
				 "the row of one-time keys is broken here: the key that the checkpoint before named was lost, or records were "
				 "written anew by somebody who holds the log key");
	else if (!once_check(named, checkpoint->text, checkpoint->once))
		verify_file_find(file, VERIFY_TAMPERED, checkpoint->offset, checkpoint->seq,
				 "not signed with the one-time key that the checkpoint before named: records were written anew");
}

/* In a row within the file; its first is held against the file before by verify.c. */
static void take_once(struct verify_file *file, struct str text, const struct checkpoint_entry *checkpoint, int64_t offset,
		      int64_t seq)
{
	struct verify_once once = { text, checkpoint->once, offset, seq, file->is_restored };

	file->is_restored = false;

	if (file->first_once.text.len) {
		verify_file_check_once(file, str_from_c(file->next), &once);
	} else {
		file->first_once = once;
		if (!arena_copy(&file->arena, once.text, &file->first_once.text) ||
		    !arena_copy(&file->arena, once.once, &file->first_once.once))
			file->first_once.text = STR_EMPTY;
	}
	file->next[0] = '\0';
	if (checkpoint->next.len == ONCE_BASE64_LEN)
		snprintf(file->next, sizeof file->next, STR_FMT, STR_ARG(checkpoint->next));
}

static void add_name(struct verify_file *file, struct verify_name **list, struct str node, const struct line *line,
		     const struct record_link *link)
{
	struct verify_name *name = arena_new(&file->arena, struct verify_name);

	if (name && arena_copy(&file->arena, node, &name->node) && arena_copy(&file->arena, link->event, &name->event)) {
		name->offset = line->offset;
		name->seq = link->seq;
		name->next = *list;
		*list = name;
	} else {
		verify_file_find(file, VERIFY_UNKNOWN, line->offset, link->seq, "there is no memory for what was found in a file");
	}
}

static void check_signature(struct state *state, const struct line *line, const struct record_link *link,
			    const struct checkpoint_entry *checkpoint)
{
	struct verify_file *file = state->file;
	const struct sign_public *public = sign_publics_find(state->context->publics, checkpoint->key);
	struct buf text;

	if (!public) {
		find_strange_key(state, line, link->seq, checkpoint->key);
		return;
	}
	buf_init(&text, RECORD_LINE_MAX);
	checkpoint_entry_text(checkpoint, &text);
	take_once(file, buf_view(&text), checkpoint, line->offset, link->seq);
	if (text.failed || !sign_check(public, buf_view(&text), checkpoint->sig)) {
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq,
				 "the signature of this checkpoint is wrong: it or records before it were altered");
	} else {
		file->checkpoints++;
		file->last_checkpoint_seq = link->seq;
		jst_parse_time(link->time, &file->last_checkpoint_us);
		if (!file->names || !str_eq(file->names->node, checkpoint->node))
			add_name(file, &file->names, checkpoint->node, line, link);
	}
	buf_clear(&text);
}

static void check_checkpoint(struct state *state, const struct line *line, const struct record_link *link)
{
	struct verify_file *file = state->file;
	struct checkpoint_entry checkpoint;
	struct str detail;

	if (!scan_find(line->text, STR("detail"), &detail) || !checkpoint_entry_read(detail, link->time, &checkpoint)) {
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "a checkpoint that cannot be read");
		file->next[0] = '\0';
		return;
	}
	if (state->context->class_name.len && !str_eq(checkpoint.class_name, state->context->class_name))
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "signed for another class: " STR_FMT,
				 STR_ARG(checkpoint.class_name));
	if (state->is_known && state->unreadable == 0 &&
	    (checkpoint.head != state->seq || memcmp(checkpoint.hash, state->chain, CHAIN_LEN) != 0)) {
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq,
				 "this checkpoint signs other records than those before it: they were altered");
		file->next[0] = '\0';
		return;
	}
	check_signature(state, line, link, &checkpoint);
}

/* A signed line about other lines or files: only a good one counts; *out_strange: it may be the operator's, whose key was not
 * given. */
static bool check_statement(struct state *state, const struct line *line, const struct record_link *link, struct str detail,
			    bool *out_strange)
{
	bool is_operators = str_eq(link->event, STR("erased")) || str_eq(link->event, STR("restored"));
	struct str key = STR_EMPTY;

	*out_strange = false;
	switch (statement_check(detail, link->event,
				is_operators ? state->context->operators : state->context->publics)) {
	case STATEMENT_GOOD:
		return true;
	case STATEMENT_UNSIGNED:
		verify_file_find(state->file, VERIFY_UNKNOWN, line->offset, link->seq, "a " STR_FMT " record that nobody signed",
				 STR_ARG(link->event));
		return false;
	case STATEMENT_STRANGE:
		*out_strange = is_operators && !state->context->is_operator_known;
		scan_find_string(detail, STR("key"), &key);
		find_strange_key(state, line, link->seq, key);
		return false;
	case STATEMENT_FORGED:
		break;
	}
	verify_file_find(state->file, VERIFY_TAMPERED, line->offset, link->seq, "a forged " STR_FMT " record: its signature is wrong",
			 STR_ARG(link->event));
	return false;
}

static void find_strange(struct state *state, const struct line *line, const struct record_link *link)
{
	verify_file_find(state->file, VERIFY_TAMPERED, line->offset, link->seq, VERIFY_OF_ANOTHER_LOG, STR_ARG(link->event));
}

/* Several relays may have one key or one operator: what was said of another's log was copied here to excuse something. Whether it is
 * another's, or a tool had a new name before the gate did, is seen when all files were looked at. */
static bool check_owner(struct state *state, const struct line *line, const struct record_link *link, struct str node,
			struct str class_name)
{
	struct verify_file *file = state->file;
	const struct verify_name *name = file->names, *claim = file->claims;

	if (state->context->class_name.len && !str_eq(class_name, state->context->class_name)) {
		find_strange(state, line, link);
		return false;
	}
	/* Of many in a row the first has the most names before it. */
	if (!(name && str_eq(name->node, node)) && !(claim && str_eq(claim->node, node) && (!name || claim->seq > name->seq)))
		add_name(file, &file->claims, node, line, link);
	return true;
}

static void check_purged(struct state *state, const struct line *line, const struct record_link *link)
{
	struct verify_purged *purged = arena_new(&state->file->arena, struct verify_purged);
	struct purged_entry entry;
	struct str detail = STR_EMPTY;
	bool is_strange;

	if (!scan_find(line->text, STR("detail"), &detail) || !check_statement(state, line, link, detail, &is_strange) || !purged)
		return;
	if (!purged_entry_read(detail, &entry) || !record_file_parse(entry.file, &purged->file)) {
		find_strange(state, line, link);
		return;
	}
	if (!check_owner(state, line, link, entry.node, entry.class_name))
		return;
	purged->last = entry.last;
	purged->seq = link->seq;
	memcpy(purged->hash, entry.hash, CHAIN_LEN);
	jst_parse_time(link->time, &purged->time_us);
	purged->next = state->file->purged;
	state->file->purged = purged;
}

/* Of which file they are is part of what is signed: another log of this relay had the same numbers. */
static bool add_declared(struct verify_file *file, struct record_file of, bool is_due, struct str seqs)
{
	struct verify_declared *declared = file->declared;

	while (declared && (record_file_cmp(&declared->file, &of) != 0 || declared->is_due != is_due))
		declared = declared->next;
	if (!declared) {
		declared = arena_new(&file->arena, struct verify_declared);
		if (!declared)
			return false;
		*declared = (struct verify_declared){ .next = file->declared, .file = of, .is_due = is_due };
		file->declared = declared;
	}
	return spans_read(&declared->seqs, seqs);
}

static void check_erased(struct state *state, const struct line *line, const struct record_link *link)
{
	struct verify_file *file = state->file;
	struct str detail = STR_EMPTY, seqs;
	struct erased_entry entry;
	struct record_file of;
	bool is_strange = false;
	int64_t time_us;

	if (!scan_find(line->text, STR("detail"), &detail) ||
	    (!check_statement(state, line, link, detail, &is_strange) && !is_strange))
		return;

	bool is_due = !is_strange && jst_parse_time(link->time, &time_us) && time_us + VERIFY_LATE_US <= state->context->now_us;

	if (erased_entry_read(detail, &entry, &seqs) && record_file_parse(entry.file, &of) && add_declared(file, of, is_due, seqs))
		check_owner(state, line, link, entry.node, entry.class_name);
	else
		find_strange(state, line, link);
}

/* The line before, or, where a new file had to be begun for it, the last one of the file before. */
static bool follows(const struct state *state, const struct restored_entry *entry)
{
	const struct verify_file *file = state->file;

	return !state->is_known || (entry->last == state->seq && memcmp(entry->hash, state->chain, CHAIN_LEN) == 0) ||
	       (file->has_begin && entry->last == file->after && memcmp(entry->hash, file->hash, CHAIN_LEN) == 0);
}

/* Bound to its place, so that an old one cannot excuse another gap. */
static void check_restored(struct state *state, const struct line *line, const struct record_link *link)
{
	struct verify_file *file = state->file;
	struct restored_entry entry;
	struct str detail = STR_EMPTY;
	bool is_strange;

	if (!scan_find(line->text, STR("detail"), &detail) || !check_statement(state, line, link, detail, &is_strange))
		return;
	if (!restored_entry_read(detail, &entry) || !follows(state, &entry)) {
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "a restored record of another place");
		return;
	}
	if (!check_owner(state, line, link, entry.node, entry.class_name))
		return;
	file->restored++;
	file->is_restored = true;
}

/* Does the line follow from the one before? */
static void find_link(struct state *state, const struct line *line, const struct record_link *link)
{
	struct verify_file *file = state->file;
	unsigned char chain[CHAIN_LEN], leaf[CHAIN_LEN];

	if (link->seq == state->seq + 1)            /* what could not be read was put in */
		state->unreadable = 0;

	int64_t want = state->seq + 1 + state->unreadable;

	if (link->seq > want) {
		if (link->seq == want + 1)
			verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "record %" PRId64
					 " is missing before this one", want);
		else
			verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "records %" PRId64 " to %" PRId64
					 " are missing before this one", want, link->seq - 1);
		return;
	}
	if (link->seq < want) {
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "record %" PRId64 " stands where %" PRId64
				 " was to come: records were put in, repeated or put in another order", link->seq, want);
		return;
	}
	if (state->unreadable || state->context->level < VERIFY_RECORDS)
		return;
	memcpy(chain, state->chain, CHAIN_LEN);
	record_link_leaf(link, leaf);
	chain_advance(chain, leaf);
	if (memcmp(chain, link->chain, CHAIN_LEN) != 0)
		verify_file_find(file, VERIFY_TAMPERED, line->offset, link->seq, "record %" PRId64
				 " was altered: its chain value does not follow from its text and the record before it", link->seq);
}

static void check_link(struct state *state, const struct line *line, const struct record_link *link)
{
	struct verify_file *file = state->file;
	size_t findings = file->finding_count;

	if (state->is_known)
		find_link(state, line, link);
	if (file->finding_count > findings)
		file->next[0] = '\0';               /* what named the next one-time key may be among what is missing */
}

static void check_bad_line(struct state *state, const struct line *line)
{
	struct verify_file *file = state->file;

	if (!line->is_whole && line->end == file->size && file->is_last)
		verify_file_find(file, VERIFY_UNKNOWN, line->offset, -1, "ends in the middle of a line, after record %" PRId64
				 ": by a crash (the next start of the writer cuts the %" PRId64
				 " octets off) or because its end was cut away", state->seq, line->end - line->offset);
	else
		verify_file_find(file, VERIFY_TAMPERED, line->offset, -1, "a line that is no record, after record %" PRId64,
				 state->seq);
	file->next[0] = '\0';
	state->unreadable++;
}

/* The class that is kept for years holds what the program did, not whose mail it was. */
static void check_personal(struct state *state, const struct line *line, const struct record_link *link)
{
	static const struct str names[] = { STR_INIT("client"), STR_INIT("auth"), STR_INIT("helo"), STR_INIT("from"),
					    STR_INIT("to"), STR_INIT("rcpt"), STR_INIT("subject_hash"), STR_INIT("message"),
					    STR_INIT("queue_id") };
	struct str value;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (scan_find(line->text, names[i], &value))
			verify_file_find(state->file, VERIFY_RETENTION, line->offset, link->seq, "personal data: member \"" STR_FMT
					 "\"", STR_ARG(names[i]));
	if (str_find_byte(line->text, '@') < line->text.len)
		verify_file_find(state->file, VERIFY_RETENTION, line->offset, link->seq,
				 "personal data: what looks like an address");
}

static void look_outside(const struct verify_context *context, const struct record_link *link)
{
	for (size_t i = 0; i < context->outsides->count; i++) {
		struct verify_outside *outside = &context->outsides->rows[i];

		if (outside->head == link->seq)
			outside->seen = memcmp(outside->hash, link->chain, CHAIN_LEN) == 0 ? OUTSIDE_SAME : OUTSIDE_OTHER;
	}
}

static void take_line(struct state *state, const struct record_link *link)
{
	struct verify_file *file = state->file;

	if (file->records++ == 0)
		file->first_seq = link->seq;
	if (link->leaf_text.len == 0) {
		file->erased++;
		if (!spans_add(&file->erased_seqs, link->seq, link->seq))
			verify_file_find(file, VERIFY_UNKNOWN, -1, link->seq, "out of memory for erased records");
	}
	if (file->first_time_us == 0 && state->time[0])
		jst_parse_time(str_of(state->time, JST_TIME_LEN), &file->first_time_us);
	state->is_known = true;
	state->unreadable = 0;
	state->seq = link->seq;
	memcpy(state->chain, link->chain, CHAIN_LEN);
}

/* To the octet as the writer writes it. Most are of the second of the one before: then only the fraction is looked at. */
static bool is_time(const struct state *state, struct str time)
{
	char again[JST_TIME_LEN + 1];
	int64_t time_us;
	size_t at = SECOND_END;

	if (time.len != JST_TIME_LEN)
		return false;
	while (at < FRACTION_END && ascii_is_digit(time.ptr[at]))
		at++;
	if (at == FRACTION_END && memcmp(time.ptr, state->time, SECOND_END) == 0 &&
	    memcmp(time.ptr + at, state->time + at, JST_TIME_LEN - FRACTION_END) == 0)
		return true;
	if (!jst_parse_time(time, &time_us))
		return false;
	jst_format_time(time_us, again);
	return str_eq(time, str_of(again, JST_TIME_LEN));
}

static void check_line(struct state *state, const struct line *line)
{
	struct record_link link;

	if (!line->is_whole || !record_parse_link(line->text, &link)) {
		check_bad_line(state, line);
		return;
	}
	check_link(state, line, &link);
	if (is_time(state, link.time))
		memcpy(state->time, link.time.ptr, JST_TIME_LEN);
	else if (link.leaf_text.len)
		verify_file_find(state->file, VERIFY_TAMPERED, line->offset, link.seq, "a record without a time");
	if (str_eq(link.event, STR("checkpoint")))
		check_checkpoint(state, line, &link);
	else if (str_eq(link.event, STR("recovered")))
		state->file->recovered++;
	else if (str_eq(link.event, STR("purged")))
		check_purged(state, line, &link);
	else if (str_eq(link.event, STR("erased")))
		check_erased(state, line, &link);
	else if (str_eq(link.event, STR("restored")))
		check_restored(state, line, &link);
	else if (str_eq(link.event, STR("begin")) && line->offset > 0)
		verify_file_find(state->file, VERIFY_TAMPERED, line->offset, link.seq,
				 "a first line in the middle of a file");
	if (state->context->outsides->count)
		look_outside(state->context, &link);
	if (state->context->no_personal_data && link.leaf_text.len)
		check_personal(state, line, &link);
	if (state->content)
		verify_content_take(state->content, line->text, line->offset, &link);
	take_line(state, &link);
}

/* The end that the next file states: what stands behind it was written by a commit that failed. */
static bool is_at_limit(const struct state *state, int64_t offset)
{
	const struct verify_file *file = state->file;

	return offset == file->limit && state->seq == file->limit_seq &&
	       memcmp(state->chain, file->limit_chain, CHAIN_LEN) == 0;
}

static void check_lines(struct state *state, struct lines *lines)
{
	const struct verify_context *context = state->context;
	struct line line;
	struct err err;
	bool found = false, ok;
	int64_t told = 0;

	while ((ok = lines_next(lines, &line, &found, &err)) && found && !is_at_limit(state, line.offset)) {
		check_line(state, &line);
		if (line.end - told < PROGRESS_STEP)
			continue;
		if (context->progress)
			context->progress(context->progress_arg, line.end - told);
		told = line.end;
		if (context->stop && *context->stop)
			return;
	}
	if (!ok)
		verify_file_find_err(state->file, &err);
	else if (found)
		verify_file_find(state->file, VERIFY_OK, line.offset, -1, "%" PRId64
				 " octets at its end are no part of the log: the commit that wrote them failed and was done again in the "
				 "next file", state->file->size - line.offset);
	if (context->progress)
		context->progress(context->progress_arg, state->file->size - told);
}

static void check_open(struct verify_file *file, const struct verify_context *context, int fd)
{
	struct state state = { .file = file, .context = context, .is_known = file->has_begin, .seq = file->after };
	struct verify_content content;
	struct lines lines;
	struct err err;

	memcpy(state.chain, file->hash, CHAIN_LEN);
	if (context->level >= VERIFY_CONTENT)
		verify_content_begin(state.content = &content, file);
	if (lines_open(&lines, fd, file->name, 0, file->size, &err)) {
		check_lines(&state, &lines);
		lines_close(&lines);
	} else {
		verify_file_find_err(file, &err);
	}
	if (state.content)
		verify_content_end(state.content);
	if (state.time[0])
		jst_parse_time(str_of(state.time, JST_TIME_LEN), &file->last_time_us);
	file->last_seq = state.seq;
	memcpy(file->chain, state.chain, CHAIN_LEN);
}

void verify_file_check(struct verify_file *file, const struct verify_context *context)
{
	unsigned long shortages = memory_shortages();
	int fd = file->size > 0 && !file->is_unread ? verify_file_open(file, context) : -1;

	if (fd < 0)
		return;
	check_open(file, context, fd);
	close(fd);
	verify_file_forget_short(file, shortages);
}
