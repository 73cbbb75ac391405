#include "milter/record/piece.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define MORE ((size_t)16 << 10)                     /* a line's end is seldom farther */
#define SCRATCH_MAX (RECORD_LINE_MAX * 16)
#define OPENED_MAX ((size_t)64 << 20)               /* a piece opened: sealed text is longer than what it says */

void piece_init(struct piece *piece)
{
	*piece = (struct piece){ 0 };
	arena_init(&piece->scratch, SCRATCH_MAX);
	buf_init(&piece->opened, OPENED_MAX);
	buf_init(&piece->plain, 2 * RECORD_LINE_MAX);
}

void piece_clear(struct piece *piece)
{
	arena_clear(&piece->scratch);
	buf_clear(&piece->opened);
	buf_clear(&piece->plain);
	free(piece->buffer);
	free(piece->lines);
	*piece = (struct piece){ 0 };
}

static bool make_room(struct piece *piece, size_t n, struct err *err)
{
	if (n <= piece->room)
		return true;

	char *buffer = realloc(piece->buffer, n);

	if (!buffer)
		return err_memory(err);
	piece->buffer = buffer;
	piece->room = n;
	return true;
}

/* Appends n octets from `at`; fewer where the file ends. */
static bool add_octets(struct piece *piece, int fd, int64_t at, size_t n, size_t *len, struct err *err)
{
	size_t until = *len + n;

	if (!make_room(piece, until, err))
		return false;
	while (*len < until) {
		ssize_t got = pread(fd, piece->buffer + *len, until - *len, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(err, ERR_BUSY, "read");
		if (got == 0)
			break;
		*len += (size_t)got;
		at += got;
	}
	return true;
}

/* Goes on to the end of the last line; one that does not end in time is left off. */
static bool finish_line(struct piece *piece, int fd, int64_t at, int64_t end, size_t *len, struct err *err)
{
	size_t begun = *len, looked = *len ? *len - 1 : 0;

	for (;;) {
		const char *newline = *len > looked ? memchr(piece->buffer + looked, '\n', *len - looked) : NULL;
		size_t before = *len;

		if (newline) {
			*len = (size_t)(newline - piece->buffer) + 1;
			return true;
		}
		looked = *len;

		size_t n = at < end && *len - begun <= RECORD_LINE_MAX ? MORE : 0;

		if ((int64_t)n > end - at)
			n = (size_t)(end - at);
		if (n && !add_octets(piece, fd, at, n, len, err))
			return false;
		at += (int64_t)(*len - before);
		if (*len == before)
			break;
	}

	const char *last = begun ? memrchr(piece->buffer, '\n', begun) : NULL;

	*len = last ? (size_t)(last - piece->buffer) + 1 : 0;
	return true;
}

bool piece_read(struct piece *piece, int fd, int64_t from, int64_t to, int64_t end, struct err *err)
{
	int64_t at = from > 0 ? from - 1 : 0;       /* the newline before says that a line begins at `from` */
	size_t len = 0, start = 0;

	piece->count = 0;
	piece->closed = 0;
	buf_reset(&piece->opened);
	piece->text = STR_EMPTY;
	to = to < end ? to : end;
	if (at >= to)
		return true;
	if (!add_octets(piece, fd, at, (size_t)(to - at), &len, err))
		return false;
	if (from > 0) {
		const char *newline = len ? memchr(piece->buffer, '\n', len) : NULL;

		start = newline ? (size_t)(newline - piece->buffer) + 1 : len;
	}
	if (start >= len)                           /* the last octet's newline ends a line and begins none here */
		return true;
	if (!finish_line(piece, fd, at + (int64_t)len, end, &len, err))
		return false;
	if (len > start)
		piece->text = str_of(piece->buffer + start, len - start);
	return true;
}

static bool add_line(struct piece *piece, struct piece_line line, struct err *err)
{
	if (piece->count == piece->line_room) {
		size_t room = piece->line_room ? piece->line_room * 2 : 64;
		struct piece_line *lines = reallocarray(piece->lines, room, sizeof *lines);

		if (!lines)
			return err_memory(err);
		piece->lines = lines;
		piece->line_room = room;
	}
	piece->lines[piece->count++] = line;
	return true;
}

/* Where it stands at or after `at`; remembered, for several are looked for in turn. */
static size_t hit_of(const struct needle *needle, struct str text, size_t at, size_t *hit)
{
	if (*hit < at || *hit == SIZE_MAX)
		*hit = at + needle_find(needle, str_from(text, at));
	return *hit;
}

struct hits {
	size_t texts[FIND_WISHES_MAX], sealed;
};

/* The first place at or after `at` that may be in a wanted line: one of the texts, the first and longest where all are
 * wanted; or a sealed line, of which the octets say little. */
static size_t next_hit(const struct piece_texts *texts, struct str text, size_t at, struct hits *hits)
{
	size_t first = text.len, count = texts->any ? texts->count : texts->count > 0;

	if (count == 0)
		return at;
	for (size_t i = 0; i < count; i++) {
		size_t hit = hit_of(&texts->needles[i], text, at, &hits->texts[i]);

		first = hit < first ? hit : first;
	}
	if (texts->seal) {
		size_t hit = hit_of(&texts->sealed, text, at, &hits->sealed);

		first = hit < first ? hit : first;
	}
	return first;
}

/* From the one numbered `first` on: those before are known to be there. */
static bool holds(const struct piece_texts *texts, size_t first, struct str line)
{
	for (size_t i = first; i < texts->count; i++)
		if ((needle_find(&texts->needles[i], line) < line.len) == texts->any)
			return texts->any;
	return !texts->any || texts->count <= first;
}

/* What a line says, opened when it is sealed; false when it is not wanted by its text. */
static bool take_text(struct piece *piece, const struct piece_texts *texts, struct str *line)
{
	struct str plain = *line;

	/* The hit said so of one that must be there, or of any. */
	if (!texts->seal || needle_find(&texts->sealed, *line) == line->len)
		return texts->any || holds(texts, 1, *line);
	piece->closed += seal_read_line(texts->seal, *line, &piece->plain, &plain) >= SEAL_CLOSED;
	*line = plain;
	return holds(texts, 0, plain);
}

static bool keep_line(struct piece *piece, struct str line, struct err *err)
{
	bool is_opened = line.ptr == piece->plain.ptr;
	struct piece_line kept = { is_opened ? piece->opened.len : (size_t)(line.ptr - piece->text.ptr), line.len,
				   is_opened };

	if (is_opened)
		buf_add(&piece->opened, line);
	return piece->opened.failed ? err_memory(err) : add_line(piece, kept, err);
}

struct str piece_line(const struct piece *piece, size_t at)
{
	const struct piece_line *line = &piece->lines[at];

	return str_slice(line->is_opened ? buf_view(&piece->opened) : piece->text, line->at, line->len);
}

bool piece_match(struct piece *piece, const struct piece_texts *texts, find_match_fn *match, void *arg, struct err *err)
{
	struct str text = piece->text;
	struct hits hits;
	size_t at = 0, hit;

	memset(&hits, 0xff, sizeof hits);
	while (at < text.len && (hit = next_hit(texts, text, at, &hits)) < text.len) {
		const char *before = hit > at ? memrchr(text.ptr + at, '\n', hit - at) : NULL;
		size_t begin = before ? (size_t)(before - text.ptr) + 1 : at;
		size_t len = (size_t)((const char *)memchr(text.ptr + hit, '\n', text.len - hit) - text.ptr) - begin;
		struct str line = str_slice(text, begin, len);

		at = begin + len + 1;
		if (len > RECORD_LINE_MAX || !take_text(piece, texts, &line))
			continue;
		arena_reset(&piece->scratch);
		if ((!match || match(arg, line, &piece->scratch)) && !keep_line(piece, line, err))
			return false;
	}
	return true;
}
