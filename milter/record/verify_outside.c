#include "milter/record/verify_outside.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/base/io.h"
#include "config/base/num.h"
#include "milter/record/note.h"

#define FIND(report, outside, result, ...) verify_report_find(report, result, (outside)->name, -1, (outside)->head, __VA_ARGS__)

static void find_nothing(struct verify_report *report, const struct verify_outside *outside, const char *why)
{
	FIND(report, outside, VERIFY_UNKNOWN, "says nothing about this log: %s",
	     report->tongue ? report->tongue(why) : why);
}

/* --- what was given */

static bool read_witness(struct verify_outside *outside, struct str file, const struct note *note,
			 const struct sign_publics *witnesses, struct verify_report *report, struct err *err)
{
	struct str name;
	int64_t time_s;

	switch (note_cosigned(file, note, witnesses, &name, &time_s)) {
	case NOTE_COSIGNED:
		outside->witnessed_us = time_s * US_PER_S;
		return arena_copy(&report->arena, name, &outside->witness) || err_memory(err);
	case NOTE_FORGED:
		return err_set(err, ERR_INPUT, "a countersignature in the name of a witness whose key was given, which that key did not make");
	case NOTE_ALONE:
		break;
	}
	return err_set(err, ERR_INPUT, "no countersignature of a witness whose key was given");
}

static bool read_note(struct verify_outside *outside, struct buf *text, const struct verify_options *options,
		      const struct sign_publics *logs, const struct sign_publics *witnesses, struct verify_report *report, struct err *err)
{
	char path[PATH_MAX];
	struct note note;

	if (snprintf(path, sizeof path, STR_FMT, STR_ARG(outside->name)) >= (int)sizeof path)
		return err_set(err, ERR_INPUT, "a path that is too long");
	if (!io_read_file(path, text, err) || !note_read(buf_view(text), logs, &note, err))
		return false;
	if (options->class_name.len && !str_eq(note.class_name, options->class_name))
		return err_set(err, ERR_INPUT, "a checkpoint of another log");
	if (witnesses && !read_witness(outside, buf_view(text), &note, witnesses, report, err))
		return false;
	outside->head = note.head;
	memcpy(outside->hash, note.hash, CHAIN_LEN);
	return arena_copy(&report->arena, note.node, &outside->node) || err_memory(err);
}

bool verify_outside_read(struct verify_outsides *outsides, const struct verify_options *options, const struct sign_publics *logs,
			 const struct sign_publics *witnesses, struct verify_report *report, struct err *err)
{
	if (options->checkpoint_file_count > VERIFY_OUTSIDE_MAX)
		return err_set(err, ERR_INPUT, "more than %d checkpoints", VERIFY_OUTSIDE_MAX);
	for (size_t i = 0; i < options->checkpoint_file_count; i++) {
		struct verify_outside *outside = &outsides->rows[outsides->count++];
		struct buf file;
		struct err why;

		*outside = (struct verify_outside){ .name = options->checkpoint_files[i], .head = -1 };
		buf_init(&file, NOTE_MAX);
		if (!read_note(outside, &file, options, logs, witnesses, report, &why))
			find_nothing(report, outside, why.text);
		buf_clear(&file);
	}
	return true;
}

/* --- the log beside it */

static void take_agreed(const struct verify_outside *outside, struct verify_report *report)
{
	report->outside++;
	if (outside->head > report->outside_seq)
		report->outside_seq = outside->head;
	if (outside->witness.len == 0)
		return;
	report->witnessed++;
	if (outside->head < report->witnessed_seq || (outside->head == report->witnessed_seq && outside->witnessed_us >= report->witnessed_us))
		return;
	report->witness = outside->witness;
	report->witnessed_seq = outside->head;
	report->witnessed_us = outside->witnessed_us;
}

static void judge(const struct verify_outside *outside, const struct verify_options *options, struct verify_report *report)
{
	enum verify_result missing = outside->is_unread ? VERIFY_UNKNOWN : VERIFY_TAMPERED;
	bool is_beside = outside->head < report->first_seq || outside->head > report->last_seq,
	     is_witnessed = outside->witness.len > 0;

	if (outside->seen == OUTSIDE_SAME)
		take_agreed(outside, report);
	else if (!outside->is_ours)
		find_nothing(report, outside, "a checkpoint of another log");
	else if (outside->seen == OUTSIDE_OTHER)
		FIND(report, outside, VERIFY_TAMPERED, is_witnessed
		     ? "record %" PRId64 " is another one than its witness saw: the log was rewritten"
		     : "record %" PRId64 " is another one than this checkpoint saw: the log was rewritten", outside->head);
	else if (outside->head > report->last_seq && options->last_day == INT64_MAX)
		FIND(report, outside, missing, is_witnessed
		     ? "the log ends at record %" PRId64 ", its witness saw %" PRId64 ": the end was taken away"
		     : "the log ends at record %" PRId64 ", this checkpoint saw %" PRId64 ": the end was taken away", report->last_seq,
		     outside->head);
	else
		FIND(report, outside, is_beside ? VERIFY_OK : missing,
		     "record %" PRId64 " is not among those looked at: this checkpoint says nothing about them", outside->head);
}

void verify_outside_judge(const struct verify_outsides *outsides, const struct verify_options *options, struct verify_report *report)
{
	for (size_t i = 0; i < outsides->count; i++)
		if (outsides->rows[i].head >= 0)
			judge(&outsides->rows[i], options, report);
}
