/* milter/rewrite: messages that are large, or deep, or of very many pieces. What is not linear meets check's clock. */
#include "t/lib/unit.h"

#include "milter/mail/header.h"
#include "milter/rewrite.h"

#define HOST "t.acme.example"
#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define MEMORY ((size_t)256 << 20)
#define MEMORY_FACTOR 12               /* octets of work for one of a message, beside WORK */
#define WORK ((size_t)16 << 20)

static struct token_keys *keys;

static void setup(void)
{
	struct err err;

	ck_assert_msg(token_keys_read(STR("7 " KEY "\n"), &keys, &err), "%s", err.text);
}

static void teardown(void)
{
	token_keys_free(keys);
}

#define PAGE "Content-Type: text/html; charset=utf-8\r\n\r\n"
#define PARTS "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define LINK "<a href=\"http://x.example/1\">x</a>"
#define UNREAD SIZE_MAX                /* however many: it is only to end */

/* `head`, `piece` so many times, `tail`. */
static const struct {
	const char *name, *head, *piece;
	size_t count;
	const char *tail;
	size_t links;
} rows[] = {
	{ "100 000 links", PAGE, LINK "\r\n", 100000, "</body>", 100000 },
	{ "10 000 parts", PARTS, "--b\r\nContent-Type: text/html\r\n\r\n" LINK "\r\n", 9999, "--b--\r\n", 9999 },
	{ "more parts than are read", PARTS, "--b\r\nContent-Type: text/html\r\n\r\n" LINK "\r\n", 30000, "--b--\r\n", UNREAD },
	{ "50 000 parts of nothing", PARTS, "--b\r\n\r\n", 50000, "", 0 },
	{ "multiparts 1 000 deep", PARTS, "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1000,
	  "--b\r\nContent-Type: text/html\r\n\r\n" LINK "\r\n", UNREAD },
	{ "messages 1 000 deep", "Content-Type: message/rfc822\r\n\r\n", "Content-Type: message/rfc822\r\n\r\n", 1000, PAGE LINK, 0 },
	{ "elements 500 000 deep", PAGE, "<div>", 500000, LINK, 1 },
	{ "formatting 200 000 deep", PAGE, "<b><i>", 200000, "</p></body>" LINK, 1 },
	{ "an attribute of 1 MB", PAGE "<a title=\"", "xxxxxxxxxx", 100000, "\" href=http://x.example/1>x</a>", 1 },
	{ "1 MB of attributes", PAGE "<a ", "a=1 ", 250000, "href=http://x.example/1>x</a>", 1 },
	{ "a destination of 1 MB", PAGE "<a href=\"http://x.example/", "&amp;", 200000, "\">x</a>" LINK, 1 },
	{ "a destination of 1 MB of line ends", PAGE "<a href=\"http://x.example/", "\r\n", 500000, "\">x</a>" LINK, 2 },
	{ "comments that do not end", PAGE LINK, "<!--", 250000, "", 1 },
	{ "quotes that do not end", PAGE LINK, "<a href=\"", 100001, "", UNREAD },
	{ "scripts within scripts", PAGE LINK "<script>", "<!--<script>", 100000, "", 1 },
	{ "titles that do not end", PAGE LINK, "<title>", 100000, "", 1 },
	{ "SVG in SVG", PAGE, "<svg>", 100000, LINK, UNREAD },
	{ "CDATA", PAGE "<svg>", "<![CDATA[", 100000, "]]></svg>" LINK, 1 },
	{ "end tags and blanks", PAGE "<b>", "</p> \r\n", 100000, LINK "</body>", 1 },
	{ "soft line breaks", "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", "=\r\n", 500000,
	  "<a href=3Dhttp://x.example/1>x</a>", 1 },
	{ "escape sequences", "Content-Type: text/html; charset=iso-2022-jp\r\n\r\n", "\033$B$\"\033(B", 100000, LINK, 1 },
	{ "lines of base64", "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n", "eHh4\r\n", 500000, "", 0 },
	{ "a part that is too large", PAGE LINK, "<p>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx</p>\r\n", 524288, "", 0 },
	{ "30 MB", PAGE LINK, "<p>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx</p>\r\n", 460000, LINK "</body>", 2 },
};

static void make(struct buf *out, const char *head, const char *piece, size_t count, const char *tail)
{
	buf_add_c(out, head);
	for (size_t i = 0; i < count; i++)
		buf_add_c(out, piece);
	buf_add_c(out, tail);
	ck_assert(!out->failed);
}

START_TEST(large)
{
	const struct rewrite_rules rules = {
		.tenant = STR("acme"), .host = STR(HOST), .opens = true, .clicks = true, .keys = keys,
	};
	struct header fields[4];
	struct rewrite_message message = { .fields = fields, .day = 20000 };
	struct rewrite_result result;
	struct str header;
	struct arena arena;
	struct buf text;
	bool has_blank;

	arena_init(&arena, MEMORY);
	buf_init(&text, (size_t)64 << 20);
	make(&text, rows[_i].head, rows[_i].piece, rows[_i].count, rows[_i].tail);
	header_split(buf_view(&text), &header, &message.body, &has_blank);
	while (header_next(&header, &fields[message.field_count]))
		message.field_count++;
	ck_assert_msg(rewrite_message(&rules, &message, &arena, &result, NULL), "%s: out of memory", rows[_i].name);
	if (rows[_i].links != UNREAD)
		ck_assert_msg(result.links == rows[_i].links, "%s: %zu links", rows[_i].name, result.links);
	ck_assert_msg(arena.used <= WORK + MEMORY_FACTOR * text.len, "%s: %zu octets", rows[_i].name, arena.used);
	buf_clear(&text);
	arena_clear(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rewrite_large");
	TCase *tcase = tcase_create("rewrite_large");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, large, rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
