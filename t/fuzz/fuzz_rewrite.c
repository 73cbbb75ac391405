/* Any octets as a message: it is rewritten or left alone, its parts stay the parts they were, what is no text stays octet
 * for octet, and twice is once unless its sender steered the first time. */
#include <assert.h>
#include <stdlib.h>

#include "milter/mail/mime.h"
#include "milter/rewrite.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define FIELDS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False: more fields than this target looks at, or no empty line, which an MTA would put somewhere. */
static bool rewrite(const struct token_keys *keys, struct str text, struct arena *arena, struct buf *out)
{
	struct rewrite_rules rules = { .tenant = STR("acme"), .host = STR("t.example"), .opens = true, .clicks = true,
				       .text_links = true, .keys = keys };
	struct header fields[FIELDS_MAX + 1];
	struct rewrite_message message = { .fields = fields };
	struct rewrite_result result;
	struct str header, rest;
	bool has_blank;

	header_split(text, &header, &message.body, &has_blank);
	for (rest = header; message.field_count < FIELDS_MAX && header_next(&rest, &fields[message.field_count]);)
		message.field_count++;
	if (rest.len || (!has_blank && message.body.len) || header_find(fields, message.field_count, STR("X-Sekisho-Track"), NULL))
		return false;
	assert(rewrite_message(&rules, &message, arena, &result, NULL));
	rewrite_render(&message, &result, str_slice(text, header.len, text.len - header.len - message.body.len), out);
	return true;
}

static void assert_same_part(const struct mime_part *was, const struct mime_part *is)
{
	assert(was->parent == is->parent && was->depth == is->depth && was->is_inside_message == is->is_inside_message);
	assert(str_eq(was->type, is->type) && str_eq(was->subtype, is->subtype) && str_eq(was->charset, is->charset));
	assert(str_eq(was->type, STR("text")) || str_eq(was->type, STR("multipart")) ||
	       str_eq(was->type, STR("message")) || str_eq(was->body, is->body));
}

static void assert_same_parts(struct str before, struct str after, struct arena *arena)
{
	struct mime was, is;

	assert(mime_scan_text(before, arena, &was, NULL) && mime_scan_text(after, arena, &is, NULL));
	assert(was.count == is.count);
	for (size_t i = 0; i < was.count; i++)
		assert_same_part(&was.parts[i], &is.parts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size);
	struct token_keys *keys;
	struct buf once, twice;
	struct arena arena;

	arena_init(&arena, (size_t)256 << 20);
	buf_init(&once, (size_t)16 << 20);
	buf_init(&twice, (size_t)16 << 20);
	assert(token_keys_read(STR("1 " KEY), &keys, NULL));
	if (rewrite(keys, input, &arena, &once)) {
		assert_same_parts(input, buf_view(&once), &arena);
		assert(rewrite(keys, buf_view(&once), &arena, &twice));
		assert(str_eq(buf_view(&once), buf_view(&twice)));
	}
	token_keys_free(keys);
	buf_clear(&once);
	buf_clear(&twice);
	arena_clear(&arena);
	return 0;
}
