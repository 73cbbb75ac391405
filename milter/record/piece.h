/*
 * piece - a stretch of a log file and the lines that begin in it.
 *
 * Memory   the text of the stretch and of the rest of its last line; kept for the next stretch
 */
#ifndef SEKISHO_RECORD_PIECE_H
#define SEKISHO_RECORD_PIECE_H

#include "milter/record/find.h"
#include "milter/record/needle.h"

struct piece_line {
	size_t at, len;
	bool is_opened;                /* stands in `opened`, not in `text` */
};

struct piece {
	char *buffer;
	size_t room;
	struct str text;               /* whole lines, each with its newline */
	struct piece_line *lines;      /* those that are wanted */
	size_t count, line_room;
	struct buf opened, plain;      /* of sealed lines: those that are wanted, one after another; the one looked at */
	int64_t closed;                /* sealed lines without a key */
	struct arena scratch;
};

/* What is looked for in the text as it stands. */
struct piece_texts {
	struct needle needles[FIND_WISHES_MAX];
	size_t count;
	bool any;
	struct seal *seal;             /* NULL: lines are looked at as they stand */
	struct needle sealed;          /* what stands in a sealed one */
};

void piece_init(struct piece *piece);
void piece_clear(struct piece *piece);

/* Reads the whole lines that begin at `from` up to, not including, `to`, in a file whose valid text ends at `end`. */
bool piece_read(struct piece *piece, int fd, int64_t from, int64_t to, int64_t end, struct err *err);
struct str piece_line(const struct piece *piece, size_t at);
/* Fills `lines`. */
bool piece_match(struct piece *piece, const struct piece_texts *texts, find_match_fn *match, void *arg, struct err *err);

#endif
