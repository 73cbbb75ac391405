/*
 * verify_names - whose log is it? And what do files say that could not be read?
 *
 * A relay may be renamed. Its log goes on, and the chain holds what was written under the old name to what is written under the new
 * one: a file under another name is the log's own when the log goes on from it, unbroken, under the name asked for.
 *
 * The names of a log are those under which its checkpoints are signed. Statements and first lines are the log's own when they bear
 * the name of the last checkpoint before them. A first line under a new name is signed a moment later, and a tool may know the
 * new name before the gate does, so a name that the log took later is good too.
 */
#ifndef SEKISHO_RECORD_VERIFY_NAMES_H
#define SEKISHO_RECORD_VERIFY_NAMES_H

#include "milter/record/verify_file.h"

struct verify_days {
	struct verify_file *rows;      /* in order */
	size_t count;
	bool is_to_end;                /* no later ones were left out */
};

/* What it means that something is not there which only a file of that day or of a later one can excuse: tampering, but when one of
 * them could not be read not known; _later: nor when one was not asked for. */
enum verify_result verify_unless_unread(const struct verify_days *days, int64_t day);
enum verify_result verify_unless_later(const struct verify_days *days, int64_t day);

/* Does `file` say that it goes on from the end of the one before? */
bool verify_continues(const struct verify_file *before, const struct verify_file *file);
/* Was the log ever signed under that name? */
bool verify_has_name(const struct verify_days *days, struct str node);
/* Files and statements of another log. When all of them were checked; node empty: nobody asked whose the files are. */
void verify_names(const struct verify_days *days, struct str node);

#endif
