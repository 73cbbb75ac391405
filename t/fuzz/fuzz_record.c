/* Any octets as a line of the relay log, and as a piece of one. */
#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "milter/record/format.h"
#include "milter/record/piece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t seen;

static bool match(void *arg, struct str line, struct arena *scratch)
{
	struct record_line record;
	struct err err;

	(void)arg;
	assert(str_find_byte(line, '\n') == line.len);
	seen += record_parse(line, scratch, &record, &err);
	return true;
}

/* Cut anywhere into two pieces, each line is seen in one of them. */
static void read_pieces(struct str text)
{
	struct piece_texts texts = { .any = false };
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	size_t all = 0, got = 0;
	struct piece piece;
	struct err err;

	assert(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
	for (size_t at = 0; at < text.len; at++)
		all += text.ptr[at] == '\n';
	piece_init(&piece);
	for (int64_t cut = (int64_t)text.len / 3, from = 0; from < (int64_t)text.len; from += cut + 1) {
		assert(piece_read(&piece, fd, from, from + cut + 1, (int64_t)text.len, &err));
		assert(piece_match(&piece, &texts, match, NULL, &err));
		got += piece.count;
	}
	assert(got == all);
	piece_clear(&piece);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_of((const char *)data, size);
	struct record_link link;
	struct record_line record;
	struct arena arena;
	struct err err;

	arena_init(&arena, RECORD_LINE_MAX * 16);
	if (record_parse(text, &arena, &record, &err))
		assert(record_parse_link(text, &link) && link.seq == record.stamp.seq);
	arena_clear(&arena);
	read_pieces(text);
	return 0;
}
