/* Any octets as a message: every part lies inside it, and its fields, parameters and texts can be read. */
#include <assert.h>

#include "milter/mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mime_part *part, struct str all, struct buf *out)
{
	assert(part->body.ptr >= all.ptr && part->body.len <= (size_t)(all.ptr + all.len - part->body.ptr));
	buf_reset(out);
	mime_decode(part, out);
	buf_reset(out);
	header_text(part->content_type, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size);
	struct mime mime;
	struct arena arena;
	struct buf out;

	arena_init(&arena, (size_t)16 << 20);
	buf_init(&out, (size_t)1 << 20);
	if (mime_scan_text(input, &arena, &mime, NULL))
		for (size_t i = 0; i < mime.count; i++)
			check(&mime.parts[i], input, &out);
	buf_clear(&out);
	arena_clear(&arena);
	return 0;
}
