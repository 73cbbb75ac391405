/* milter/rewrite: messages that are large, or deep, or of very many pieces. What is not linear meets check's clock. */
#include "t/lib/rewrite_fixture.h"
#include "t/lib/unit.h"

#define MEMORY_FACTOR 12               /* octets of work for one of a message, beside WORK */
#define WORK ((size_t)16 << 20)

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
	const struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_message message;
	struct rewrite_result result;
	struct buf text;

	buf_init(&text, (size_t)64 << 20);
	make(&text, rows[_i].head, rows[_i].piece, rows[_i].count, rows[_i].tail);
	rewrite_parse(buf_view(&text), &message);
	ck_assert_msg(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL), "%s: out of memory", rows[_i].name);
	if (rows[_i].links != UNREAD)
		ck_assert_msg(result.links == rows[_i].links, "%s: %zu links", rows[_i].name, result.links);
	ck_assert_msg(rewrite_arena.used <= WORK + MEMORY_FACTOR * text.len, "%s: %zu octets", rows[_i].name, rewrite_arena.used);
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rewrite_large");
	TCase *tcase = tcase_create("rewrite_large");

	tcase_add_checked_fixture(tcase, rewrite_setup, rewrite_teardown);
	unit_add_rows(tcase, large, rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
