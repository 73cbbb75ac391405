/*
 * report_marks - the words by which a report is known, as tables.
 *
 * Four kinds of marks: words of a Subject or From that bounces have and other mail has not; sentences of a text that
 * say a message was not delivered, some of them the hand of one program (the "shape"); what else there is that cannot be
 * delivered, in a Subject or a text; and the lines behind which the returned message begins, where nothing may be read as
 * a report any more. A new shape is a row here and a test row.
 *
 * Words are compared folded (config/base/words.h), end marks at the start of a line behind its rulers.
 */
#ifndef SEKISHO_MAIL_REPORT_MARKS_H
#define SEKISHO_MAIL_REPORT_MARKS_H

#include "config/base/err.h"
#include "config/base/str.h"

enum mark_place { MARK_SUBJECT, MARK_FROM, MARK_TEXT, MARK_GOODS };

struct mark {
	enum mark_place place;
	struct str words;              /* folded, a blank at each end that is the end of a word */
	int weight;                    /* how sure a bounce it makes; negative: it is something else */
	const char *shape;             /* NULL: many programs say so */
	bool is_delay;                 /* the message is still being tried */
	bool is_name;                  /* a program says by it which one it is; no person does */
};

extern const struct mark report_marks[];
extern const size_t report_mark_count;

/* Does the returned message begin with this line (without its end)? */
bool report_is_end(struct str line);

#endif
