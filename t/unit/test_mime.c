/* milter/mail: header and MIME structure (TRACKING cases 75, 85 to 95). */
#include "t/lib/unit.h"

#include <stdio.h>

#include "milter/mail/mime.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, (size_t)64 << 20);
}

static void teardown(void)
{
	arena_clear(&arena);
}

static const struct { const char *name, *value, *param, *want; } param_rows[] = {
	{ "token", "text/html; charset=utf-8", "charset", "utf-8" },
	{ "75 quoted", "text/html; charset=\"ISO-2022-JP\"", "charset", "ISO-2022-JP" },
	{ "75 comments", "text/html (c; charset=x) ; (a) charset (b) = (c) utf-8 (d)", "charset", "utf-8" },
	{ "75 RFC 2231", "text/html; charset*=us-ascii'en'ISO-2022%2DJP", "charset", "ISO-2022-JP" },
	{ "folded", "multipart/mixed;\r\n\tboundary=\"a b\"", "boundary", "a b" },
	{ "85 specials", "multipart/mixed; boundary=\"=_(;)\\\"x\"", "boundary", "=_(;)\"x" },
	{ "85 specials without quotes", "multipart/mixed; boundary=----=_Part:1?", "boundary", "----=_Part:1?" },
	{ "continued", "a/b; name*0=\"one \"; name*1=two", "name", "one two" },
	{ "continued and encoded", "a/b; name*1*=%82; name*0*=utf-8''%E3%81", "name", "\xe3\x81\x82" },
	{ "charset of a name", "a/b; filename*=iso-2022-jp'ja'%1B$B$%22%1B%28B", "filename", "\xe3\x81\x82" },
	{ "the first wins", "a/b; x=1; x=2", "x", "1" },
	{ "any case", "a/b; CharSet=UTF-8", "charset", "UTF-8" },
	{ "not inside another value", "a/b; x=\"; charset=no\"; charset=yes", "charset", "yes" },
	{ "open quote", "a/b; x=\"abc", "x", "abc" },
	{ "absent", "a/b; xcharset=1; charse=2", "charset", NULL },
	{ "no main value", ";charset=x", "charset", "x" },
};
START_TEST(params)
{
	struct str value = unit_wall(str_from_c(param_rows[_i].value)), got;
	bool found;

	ck_assert(header_param(value, str_from_c(param_rows[_i].param), &arena, &got, &found));
	ck_assert_msg(found == (param_rows[_i].want != NULL), "%s", param_rows[_i].name);
	ck_assert_str_is(got, str_from_c(param_rows[_i].want));
	unit_wall_free(value);
}
END_TEST

static const struct { const char *name, *value, *want; } text_rows[] = {
	{ "plain and folded", "a\r\n b", "a b" },
	{ "base64", "=?UTF-8?B?44GC?=", "\xe3\x81\x82" },
	{ "q with underscore", "=?iso-8859-1?Q?caf=E9_x?=", "caf\xc3\xa9 x" },
	{ "two words, the blank goes", "=?utf-8?q?a?=\r\n =?utf-8?q?b?= c", "ab c" },
	{ "a character cut in two", "=?utf-8?B?44E=?= =?utf-8?B?gg==?=", "\xe3\x81\x82" },
	{ "ISO-2022-JP", "=?ISO-2022-JP?B?GyRCJCIbKEI=?= x", "\xe3\x81\x82 x" },
	{ "line ends in disguise", "=?utf-8?q?a=0D=0Ab=1B?= =?utf-8?B?Cg==?=", "a  b  " },
	{ "language", "=?utf-8*ja?q?a?=", "a" },
	{ "inside a word", "x=?utf-8?q?a?=y", "xay" },
	{ "not a word", "=?utf-8?x?a?= =?utf-8?q?a", "=?utf-8?x?a?= =?utf-8?q?a" },
	{ "raw UTF-8", "\xe3\x81\x82", "\xe3\x81\x82" },
	{ "raw octets of nothing", "\xff""a", "\xef\xbf\xbd""a" },
	{ "unknown charset is taken for UTF-8", "=?x-none?q?=C3=A9?=", "\xc3\xa9" },
};
START_TEST(texts)
{
	struct str value = unit_wall(str_from_c(text_rows[_i].value));
	struct buf out;

	buf_init(&out, 1000);
	header_text(value, &out);
	ck_assert_str_is(buf_view(&out), str_from_c(text_rows[_i].want));
	buf_clear(&out);
	unit_wall_free(value);
}
END_TEST

/* Structure in one line: "type/subtype[body]" of each leaf, "(" and ")" around children, "!" for doubt. */
static void draw(const struct mime *mime, size_t index, struct buf *out)
{
	const struct mime_part *part = &mime->parts[index];
	size_t children = 0;

	buf_printf(out, "%s" STR_FMT "/" STR_FMT, part->doubt ? "!" : "", STR_ARG(part->type), STR_ARG(part->subtype));
	for (size_t i = index + 1; i < mime->count; i++)
		if (mime->parts[i].parent == index) {
			buf_add_c(out, children++ ? " " : "(");
			draw(mime, i, out);
		}
	if (children)
		buf_add_byte(out, ')');
	else
		buf_printf(out, "[" STR_FMT "]", STR_ARG(part->body));
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
static const struct { const char *name, *text, *want; } structure_rows[] = {
	{ "no fields", "\r\nhello", "text/plain[hello]" },
	{ "one part", "Content-Type: TEXT/HTML\r\n\r\n<p>\r\n", "text/html[<p>\r\n]" },
	{ "two parts", MIXED "pre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n--b--\r\nepi",
	  "multipart/mixed(text/plain[one] text/html[two])" },
	{ "LF only", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n\n--b--\n", "multipart/mixed(text/plain[one\n])" },
	{ "85 blanks behind the delimiter", MIXED "--b \t\r\n\r\none\r\n--b-- \r\n", "multipart/mixed(text/plain[one])" },
	{ "85 no delimiter in text", MIXED "--b\r\n\r\n--c\r\nx--b\r\n --b\r\n--b--", "multipart/mixed(text/plain[--c\r\nx--b\r\n --b])" },
	{ "85 a delimiter to who looks at its beginning alone", MIXED "--bx\r\n--b\r\n\r\n1\r\n--bc\r\n--b\r\n\r\n2\r\n--b--\r\n--bx",
	  "multipart/mixed(!text/plain[1\r\n--bc] text/plain[2])" },
	{ "84 a delimiter to whom a bare CR ends a line", MIXED "--b\r\n\r\n1\r2\r--b\r\n--b\r\n\r\n2\r--\r\n--b--", "multipart/mixed(!text/plain[1\r2\r--b] text/plain[2\r--])" },
	{ "92 a blank before the colon", MIXED "--b\r\nContent-Type : text/html\r\n\r\n1\r\n--b--", "multipart/mixed(!text/html[1])" },
	{ "92 a bare CR in the header", MIXED "--b\r\nX: y\r\r\nContent-Type: text/html\r\n\r\n1\r\n--b--", "multipart/mixed(!text/html[1])" },
	{ "92 a blank before the message's own", "Content-Type : text/html\r\n\r\n1", "!text/html[1]" },
	{ "85 unclosed", MIXED "--b\r\n\r\none\r\n", "multipart/mixed(text/plain[one\r\n])" },
	{ "85 never begun", MIXED "text\r\n", "multipart/mixed[text\r\n]" },
	{ "85 none given", "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n", "!multipart/mixed[--b\r\n\r\n]" },
	{ "85 one is the beginning of the other",
	  MIXED "--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\n1\r\n--bb\r\n\r\n2\r\n--bb--\r\n--b\r\n\r\n3\r\n--b--\r\n",
	  "multipart/mixed(multipart/alternative(text/plain[1] text/plain[2]) text/plain[3])" },
	{ "85 inner end missing",
	  MIXED "--b\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n",
	  "multipart/mixed(multipart/alternative(text/plain[1]) text/plain[2])" },
	{ "86 epilogue is no part", MIXED "--b\r\n\r\n1\r\n--b--\r\n--b\r\n\r\n2\r\n", "multipart/mixed(text/plain[1])" },
	{ "89 empty parts", MIXED "--b\r\n\r\n--b\r\n--b\r\nX: y\r\n--b--\r\n",
	  "multipart/mixed(text/plain[] !text/plain[] !text/plain[])" },
	{ "89 no empty line", MIXED "--b\r\nContent-Type: text/html\r\n<p>x\r\n--b--\r\n", "multipart/mixed(!text/html[<p>x])" },
	{ "90 digest", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: s\r\n\r\nbody\r\n--b--",
	  "multipart/digest(message/rfc822(text/plain[body]))" },
	{ "92 two types", "Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\nx", "!text/html[x]" },
	{ "92 type that is none", "Content-Type: html\r\n\r\nx", "!text/plain[x]" },
	{ "92 missing semicolon", "Content-Type: text/html charset=x\r\n\r\nx", "!text/html[x]" },
	{ "92 two boundaries", "Content-Type: multipart/mixed; boundary=a\r\n boundary = b\r\n\r\n--a\r\n\r\nx\r\n", "!multipart/mixed(text/plain[x\r\n])" },
	{ "94 message inside",
	  MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n1\r\n--c--\r\n--b--",
	  "multipart/mixed(message/rfc822(multipart/alternative(text/plain[1])))" },
	{ "encoded message is a leaf", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nWA==", "!message/rfc822[WA==]" },
};
START_TEST(structure)
{
	struct str text = unit_wall(str_from_c(structure_rows[_i].text));
	struct mime mime;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert(mime_scan_text(text, &arena, &mime, NULL));
	draw(&mime, 0, &out);
	ck_assert_str_is(buf_view(&out), str_from_c(structure_rows[_i].want));
	buf_clear(&out);
	unit_wall_free(text);
}
END_TEST

/* Cuts: a message that ends anywhere is read without a step beyond its end. */
START_TEST(cuts)
{
	struct str whole = str_from_c(structure_rows[_i].text);

	for (size_t len = 0; len <= whole.len; len++) {
		struct str text = unit_wall(str_slice(whole, 0, len));
		struct mime mime;

		ck_assert(mime_scan_text(text, &arena, &mime, NULL));
		for (size_t i = 0; i < mime.count; i++) {
			ck_assert(mime.parts[i].body.ptr >= text.ptr);
			ck_assert(mime.parts[i].body.ptr + mime.parts[i].body.len <= text.ptr + text.len);
		}
		unit_wall_free(text);
	}
}
END_TEST

static const struct { const char *field; enum mime_encoding want; } encoding_rows[] = {
	{ "", MIME_7BIT },
	{ "Content-Transfer-Encoding: 8Bit\r\n", MIME_8BIT },
	{ "Content-Transfer-Encoding: (81) Quoted-Printable (it is)\r\n", MIME_QP },
	{ "Content-Transfer-Encoding:\r\n base64\r\n", MIME_BASE64 },
	{ "Content-Transfer-Encoding: binary;\r\n", MIME_BINARY },
	{ "Content-Transfer-Encoding: x-uuencode\r\n", MIME_UNKNOWN },
};
START_TEST(encodings)
{
	struct str text;
	struct mime mime;

	ck_assert(arena_printf(&arena, &text, "%s\r\nx", encoding_rows[_i].field));
	ck_assert(mime_scan_text(text, &arena, &mime, NULL));
	ck_assert_int_eq(mime.parts[0].encoding, encoding_rows[_i].want);
}
END_TEST

/* 88: more parts and more levels than anybody needs end at a bound, and the message is still whole. */
START_TEST(bounds)
{
	struct buf text;
	struct mime mime;

	buf_init(&text, (size_t)4 << 20);
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	ck_assert(mime_scan_text(buf_view(&text), &arena, &mime, NULL));
	ck_assert(mime.is_cut);
	ck_assert_uint_le(mime.count, MIME_DEPTH_MAX + 2);

	buf_reset(&text);
	buf_add_c(&text, MIXED);
	for (int i = 0; i < MIME_PARTS_MAX + 10; i++)
		buf_add_c(&text, "--b\r\n\r\n");
	ck_assert(mime_scan_text(buf_view(&text), &arena, &mime, NULL));
	ck_assert(mime.is_cut);
	ck_assert_uint_eq(mime.count, MIME_PARTS_MAX);
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime");
	TCase *tcase = tcase_create("mime");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, params, param_rows);
	unit_add_rows(tcase, texts, text_rows);
	unit_add_rows(tcase, structure, structure_rows);
	unit_add_rows(tcase, cuts, structure_rows);
	unit_add_rows(tcase, encodings, encoding_rows);
	tcase_add_test(tcase, bounds);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
