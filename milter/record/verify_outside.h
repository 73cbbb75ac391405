/*
 * verify_outside - checkpoints that were kept where nobody who can write the log can reach, and who saw them.
 *
 * A checkpoint (note.h) says which chain value a line had. When the log has that value at that line, nothing up to it was altered
 * or taken away since, whoever holds whatever key. When a witness countersigned it, that is so since the witness saw it, and no
 * longer only since the one who kept it says he has it: nobody can have made it later.
 *
 * Findings  of a note that is none, is about another log, or lacks a good signature of a key that was given: VERIFY_UNKNOWN, for it
 *           says nothing about this log; of a log that does not agree with a good one: VERIFY_TAMPERED
 */
#ifndef SEKISHO_RECORD_VERIFY_OUTSIDE_H
#define SEKISHO_RECORD_VERIFY_OUTSIDE_H

#include "milter/record/sign.h"
#include "milter/record/verify.h"

struct verify_outside {
	struct str name;               /* of the file it stands in */
	int64_t head;                  /* -1: a note that says nothing */
	struct str node;               /* in the report's arena */
	bool is_ours;                  /* that is a name of this log, or nobody asked; with the next set by the caller: */
	bool is_unread;                /* its line may stand in a file that could not be read */
	unsigned char hash[CHAIN_LEN];
	struct str witness;            /* in the report's arena; empty: nobody was asked for */
	int64_t witnessed_us;
	enum { OUTSIDE_UNSEEN, OUTSIDE_SAME, OUTSIDE_OTHER } seen;     /* by the one file that holds its line */
};

struct verify_outsides {
	struct verify_outside rows[VERIFY_OUTSIDE_MAX];
	size_t count;
};

/* The notes of options->checkpoint_files. `witnesses` NULL: any will do. False: more than VERIFY_OUTSIDE_MAX. */
bool verify_outside_read(struct verify_outsides *outsides, const struct verify_options *options, const struct sign_publics *logs,
			 const struct sign_publics *witnesses, struct verify_report *report, struct err *err);
/* When all files were looked at. */
void verify_outside_judge(const struct verify_outsides *outsides, const struct verify_options *options, struct verify_report *report);

#endif
