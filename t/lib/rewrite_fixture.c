#include "t/lib/rewrite_fixture.h"

#include "milter/mail/header.h"
#include "t/lib/unit.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define FIELDS_MAX 1000
#define DAY 20000

struct arena rewrite_arena;
struct token_keys *rewrite_keys;

void rewrite_setup(void)
{
	struct err err;

	arena_init(&rewrite_arena, (size_t)256 << 20);
	ck_assert_msg(token_keys_read(STR("1 " KEY), &rewrite_keys, &err), "%s", err.text);
}

void rewrite_teardown(void)
{
	token_keys_free(rewrite_keys);
	arena_clear(&rewrite_arena);
}

struct rewrite_rules rewrite_rules_all(void)
{
	return (struct rewrite_rules){ .tenant = STR("acme"), .host = STR(HOST), .opens = true, .clicks = true, .keys = rewrite_keys };
}

struct str rewrite_parse(struct str text, struct rewrite_message *out)
{
	struct header *fields = arena_array(&rewrite_arena, FIELDS_MAX, sizeof *fields);
	struct str header, rest;
	bool has_blank;

	*out = (struct rewrite_message){ .fields = fields, .day = DAY };
	header_split(text, &header, &out->body, &has_blank);
	for (rest = header; header_next(&rest, &fields[out->field_count]);)
		out->field_count++;
	return str_slice(text, header.len, text.len - header.len - out->body.len);
}

struct str rewrite_text(const struct rewrite_rules *rules, struct str text, struct rewrite_result *result)
{
	struct rewrite_message message;
	struct str blank = rewrite_parse(text, &message), out_text;
	struct buf out;

	ck_assert(rewrite_message(rules, &message, &rewrite_arena, result, NULL));
	buf_init(&out, 1 << 24);
	rewrite_render(&message, result, blank, &out);
	ck_assert(arena_copy(&rewrite_arena, buf_view(&out), &out_text));
	buf_clear(&out);
	return out_text;
}

struct str rewrite_token(struct str text)
{
	size_t len = 0;

	while (len < text.len && (ascii_is_alnum(text.ptr[len]) || text.ptr[len] == '-' || text.ptr[len] == '_'))
		len++;
	return str_slice(text, 0, len);
}
