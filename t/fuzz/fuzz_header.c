/* Any octets as a message's header: its fields are slices of it, and whatever is asked of a value is answered. */
#include <assert.h>

#include "milter/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct str all, struct str slice)
{
	return !slice.len || (slice.ptr >= all.ptr && slice.ptr + slice.len <= all.ptr + all.len);
}

static void ask(struct str value, struct buf *out)
{
	static const struct str names[] = { STR_INIT("boundary"), STR_INIT("charset"), STR_INIT("name") };
	struct arena arena;
	struct str got;
	bool found;

	arena_init(&arena, (size_t)1 << 20);
	if (header_plain(value, &arena, &got))
		assert(!memchr(got.ptr, '\n', got.len));
	if (header_main(value, &arena, &got))
		assert(got.len <= value.len);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (header_param(value, names[i], &arena, &got, &found))
			assert(found || !got.len);
	buf_reset(out);
	header_text(value, out);
	assert(out->failed || !memchr(out->ptr ? out->ptr : "", '\n', out->len));
	arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size), header, body, rest;
	struct header field;
	bool has_blank;
	struct buf out;

	buf_init(&out, (size_t)1 << 20);
	header_split(input, &header, &body, &has_blank);
	assert(header.ptr == input.ptr && is_inside(input, body) && (has_blank || header.len + body.len == input.len));
	for (rest = header; header_next(&rest, &field);) {
		assert(is_inside(header, field.name) && is_inside(header, field.value) && is_inside(header, field.line));
		ask(field.value, &out);
	}
	ask(input, &out);
	buf_clear(&out);
	return 0;
}
