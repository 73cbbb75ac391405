/* milter/link: the tokeniser, values and links (TRACKING cases 1 to 45 and 96, by number). */
#include "t/lib/unit.h"

#include "config/base/entities.h"
#include "milter/link/href.h"

/* `want`: the decoded links, "|" between them; then "@N" where a pixel may stand; "!" for doubt. */
struct row {
	const char *name;
	struct str page;
	const char *want;
};

static const struct row rows[] = {
	{ "1 quoting", STR_INIT("<a href=\"h:1\"><a href='h:2'><a href=h:3>"), "h:1|h:2|h:3@40" },
	{ "2 blanks round the sign", STR_INIT("<a href \n=\t 'h:1'>"), "h:1@18" },
	{ "3 nothing between", STR_INIT("<a id=\"x\"href=\"h:1\"title=''/><a/href=h:2/>"), "h:1|h:2/@42" },
	{ "4 mixed case", STR_INIT("<A HReF=h:1>"), "h:1@12" },
	{ "5 the first of two", STR_INIT("<a href=h:1 href=h:2>"), "h:1@21" },
	{ "6 names that only look like it", STR_INIT("<a data-href=h:1 xhref=h:2 title='href=\"h:3\"'>"), "@46" },
	{ "7 brackets in values", STR_INIT("<a title=\"<a href=h:0>\" href='h:>1'>"), "h:>1@36" },
	{ "8 missing quote", STR_INIT("<a href=\"h:1>x</a><a href=\"h:2\">"), "h:1>x</a><a href=@32" },
	{ "8 missing quote to the end", STR_INIT("<p><a href=\"h:1>x</a>"), "" },
	{ "9 cut at the end", STR_INIT("<a href=h:1"), "" },
	{ "9 cut in the name", STR_INIT("x</"), "" },
	{ "10 backtick is no quote", STR_INIT("<a href=`h:1 b`>"), "`h:1@16" },
	{ "11 sign as first octet of a name", STR_INIT("<a =href=h:0 href=h:1>"), "h:1@22" },
	{ "12 NUL, form feed, vertical tab", STR_INIT("<a\fhref=h:\0""1><a\vhref=h:2>"), "h:\xef\xbf\xbd""1@13" },
	{ "13 end tag with attributes", STR_INIT("</a href=h:1>"), "" },
	{ "14 longer names", STR_INIT("<a1 href=h:1><abbr href=h:2><address href=h:3>"), "@46" },
	{ "15 comments", STR_INIT("<!--<a href=h:0>--!><a href=h:1><!--><a href=h:2><!---><a href=h:3>"), "h:1|h:2|h:3@67" },
	{ "15 unclosed comment", STR_INIT("<a href=h:1></body><!-- <a href=h:2>"), "h:1@12" },
	{ "16 bogus comments", STR_INIT("<!x <a href=h:0><?x <a href=h:0></ <a href=h:0><a href=h:1>"), "h:1@59" },
	{ "17 CDATA in HTML and in SVG", STR_INIT("<![CDATA[<a href=h:0>]]><svg><![CDATA[><a href=h:0>]]><a href=h:1></svg>"), "h:1@72" },
	{ "17 CDATA behind SVG", STR_INIT("<svg></svg><![CDATA[><a href=h:1>"), "h:1@33" },
	{ "18 script", STR_INIT("<script><a href=h:0></scriptx></script ><a href=h:1>"), "h:1@52" },
	{ "18 script, twice escaped", STR_INIT("<script><!--<script></script><a href=h:0>--></script><a href=h:1>"), "h:1@65" },
	{ "18 script, escaped once", STR_INIT("<script><!--</script><a href=h:1>"), "h:1@33" },
	{ "18 script, escape ends", STR_INIT("<script><!--><script></script><a href=h:1>"), "h:1@42" },
	{ "19 raw text", STR_INIT("<style><a href=h:0></style><xmp><a href=h:0></XMP><iframe><a href=h:0></iframe><a href=h:1>"), "h:1@91" },
	{ "20 title and textarea", STR_INIT("<title><a href=h:0></title><textarea><a href=h:0></textarea><a href=h:1>"), "h:1@72" },
	{ "21 plaintext", STR_INIT("<a href=h:1><plaintext></plaintext><a href=h:0>"), "h:1" },
	{ "22 noscript", STR_INIT("<noscript><a href=h:1></a></noscript>"), "h:1@37" },
	{ "23 raw text in select", STR_INIT("<select><style><a href=h:0></select>"), "!" },
	{ "23 template", STR_INIT("<template><a href=h:1>"), "h:1" },
	{ "23 frameset", STR_INIT("<frameset><frame src=x></frameset>"), "" },
	{ "24 SVG links", STR_INIT("<svg><a xlink:href=h:1></a><a xlink:href=h:0 href=h:2></a></svg><a xlink:href=h:0>"), "h:1|h:2@82" },
	{ "24 style in SVG is markup", STR_INIT("<svg><style><a href=h:1></style></svg>"), "h:1@38" },
	{ "24 HTML inside SVG", STR_INIT("<svg><foreignObject><style><a href=h:0></style></foreignObject><style><a href=h:1>"), "h:1" },
	{ "24 title of SVG has tags, and an open one keeps it open", STR_INIT("<svg><title><a href=h:1></title></svg>"), "h:1" },
	{ "24 a paragraph ends SVG", STR_INIT("<svg><p><style><a href=h:0></style>"), "@35" },
	{ "27 prologue", STR_INIT("<?xml version='1.0'?><!DOCTYPE html><a href=h:1>"), "h:1@48" },
	{ "28 byte order mark", STR_INIT("\xef\xbb\xbf<a href=h:1>"), "h:1@15" },
	{ "30 base changes nothing", STR_INIT("<base href=h:0><a href=x>"), "x@25" },
	{ "31 body's end elsewhere", STR_INIT("<a title='</body>'><!--</body>--><script></body></script>x"), "@58" },
	{ "32 no body's end", STR_INIT("<p>x\r\n"), "@4" },
	{ "33 two bodies", STR_INIT("<body></body>x<body></body></html>y"), "@20" },
	{ "33 only html ends", STR_INIT("x</html>y"), "@1" },
	{ "34 open title", STR_INIT("<title>x"), "" },
	{ "34 open style", STR_INIT("<style>x"), "" },
	{ "34 open quote behind a body", STR_INIT("x</body><a b=\""), "@1" },
	{ "35 open select", STR_INIT("<select><option>x"), "" },
	{ "35 open table", STR_INIT("<table><tr><td>x"), "@15" },
	{ "35 a table's columns", STR_INIT("<table><colgroup>\r\n"), "" },
	{ "35 a lost b opens again round what comes", STR_INIT("<p><b>x</p></div></body>"), "@7" },
	{ "35 blanks between, which open nothing in a table", STR_INIT("<p><b>x</p> </body>"), "@7" },
	{ "35 not where text has opened it already", STR_INIT("<p><b>x</p>y</body>"), "@12" },
	{ "35 a start tag that ends a paragraph", STR_INIT("<p><b>x<div></body>"), "@7" },
	{ "35 badly nested", STR_INIT("<a><i>x</a></div></body>"), "@7" },
	{ "35 not where it has ended", STR_INIT("<p><b>x</b></p></body>"), "@15" },
	{ "35 not inside a script", STR_INIT("<b><script></script></p>"), "@3" },
	{ "35 nor behind it, when nothing is open any more that was", STR_INIT("<p><b>x</p><script>y</script></body>"), "@7" },
	{ "35 at the end of the page", STR_INIT("<p><a href=h:1>x</p>"), "h:1@16" },
	{ "36 empty", STR_INIT(""), "" },
	{ "36 blank", STR_INIT(" \r\n"), "" },
	{ "36 nothing in a body", STR_INIT("<!doctype html><html><head><title>x</title></head>\r\n"), "" },
	{ "36 a body with nothing in it", STR_INIT("<html><body>\r\n"), "@12" },
	{ "84 bare CR at the end", STR_INIT("x\r\r\n"), "@1" },
	{ "38 ampersands", STR_INIT("<a href='&amp;&#38;&#x26;&AMP;&amp &'>"), "&&&&& &@38" },
	{ "39 old names before letters", STR_INIT("<a href='?a&copy=1&reg_id&order&lt2&copy;=1&copy'>"), "?a&copy=1\xc2\xae_id&order&lt2\xc2\xa9=1\xc2\xa9@50" },
	{ "41 numbers", STR_INIT("<a href='&#128;&#xd800;&#x110000;&#0;&#99999999999;'>"), "\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd@53" },
	{ "42 encoded scheme", STR_INIT("<a href='&#104;ttp&colon;x'>"), "http:x@28" },
	{ "43 twice encoded", STR_INIT("<a href='&amp;amp;'>"), "&amp;@20" },
	{ "44 quotes as references", STR_INIT("<a href='&apos;&quot;&#39;'>"), "'\"'@28" },
	{ "96 VML and a hidden link", STR_INIT("<!--[if mso]><v:rect href=\"h:1\"><a href=h:2></a></v:rect><![endif]--><v:rect href=h:0>"), "h:1|h:2@86" },
	{ "96 blanks in the opener", STR_INIT("<!--[if  gte mso 9 ]> <a href=h:1> <![endif]-->"), "h:1" },
	{ "96 revealed", STR_INIT("<!--[if !mso]><!--><a href=h:1><!--<![endif]--><![if !mso]><a href=h:2><![endif]>"), "h:1|h:2@81" },
	{ "96 no end", STR_INIT("<!--[if mso]><a href=h:0>-->"), "" },
	{ "96 an ordinary comment", STR_INIT("<!-- [if mso]><a href=h:0><![endif]-->"), "" },
	{ "96 a comment cut by its own markup", STR_INIT("<!--[if mso]><a href=\"h:0<![endif]-->"), "" },
	{ "opted out", STR_INIT("<a href=h:0 data-sekisho=off><a ses:no-track href=h:0><a href=h:0 clicktracking='off'>"
				"<a href=h:0 data-msys-clicktrack=0><a href=h:0 data-pm-no-track><a href=h:0 disable-tracking=true>"
				"<a href=h:1 data-sekisho=on>"), "h:1@212" },
	{ "area", STR_INIT("<map><area href=h:1></map>"), "h:1@26" },
};

static void list(struct str page, struct buf *out)
{
	struct href_scan scan;
	struct href href;
	size_t at, count = 0;

	href_init(&scan, page);
	while (href_next(&scan, &href)) {
		ck_assert_uint_le(href.at + href.len, page.len);
		if (href.kind != HREF_LINK)
			continue;
		if (count++)
			buf_add_byte(out, '|');
		entities_decode(str_slice(page, href.at, href.len), out);
	}
	if (href_pixel_place(&scan, &at))
		buf_printf(out, "@%zu", at);
	if (href_doubt(&scan))
		buf_add_byte(out, '!');
}

START_TEST(links)
{
	struct str page = unit_wall(rows[_i].page);
	struct buf out;

	buf_init(&out, 4096);
	list(page, &out);
	ck_assert_msg(str_eq(buf_view(&out), str_from_c(rows[_i].want)), "%s: got \"" STR_FMT "\", want \"%s\"", rows[_i].name,
		      STR_ARG(buf_view(&out)), rows[_i].want);
	buf_clear(&out);
	unit_wall_free(page);
}
END_TEST

/* Cuts: a page that ends anywhere is read to its end and not beyond, and a link that was whole stays a link. */
START_TEST(cuts)
{
	for (size_t len = 0; len <= rows[_i].page.len; len++) {
		struct str page = unit_wall(str_slice(rows[_i].page, 0, len));
		struct buf out;

		buf_init(&out, 4096);
		list(page, &out);
		buf_clear(&out);
		unit_wall_free(page);
	}
}
END_TEST

/* 29: ten thousand attributes, levels, comments or ampersands cost no more than their length. */
static const struct { const char *name, *piece, *end, *want; } long_rows[] = {
	{ "attributes", "<a x=y ", " href=h:1>", "h:1" },
	{ "levels", "<div><b>", "<a href=h:1>", "h:1" },
	{ "less-than signs", "<", "<a href=h:1>", "h:1" },
	{ "open comments", "<!--", "--><a href=h:1>", "h:1" },
	{ "dashes", "<!-- -- --", "--><a href=h:1>", "h:1" },
	{ "script", "<script><!--<script></script>--></script>", "<a href=h:1>", "h:1" },
	{ "raw text that never ends", "<style></styl", "</style><a href=h:1>", "h:1" },
	{ "references", "<a href='&am&#&lt&'>", "", NULL },
	{ "foreign levels", "<svg>", "</svg>", "!" },
};
START_TEST(long_pages)
{
	struct buf page, out;

	buf_init(&page, 1 << 22);
	buf_init(&out, 1 << 22);
	for (int i = 0; i < 10000; i++)
		buf_add_c(&page, long_rows[_i].piece);
	buf_add_c(&page, long_rows[_i].end);
	list(buf_view(&page), &out);
	if (long_rows[_i].want) {
		struct str want = str_from_c(long_rows[_i].want);
		size_t found = str_find(buf_view(&out), want);

		ck_assert_msg(found < out.len, "%s: " STR_FMT, long_rows[_i].name, STR_ARG(buf_view(&out)));
	}
	buf_clear(&page);
	buf_clear(&out);
}
END_TEST

static const struct { const char *page, *want; } charset_rows[] = {
	{ "<meta charset=utf-8>", "utf-8" },
	{ "<head><META http-equiv=Content-Type content=\"text/html; charset=ISO-2022-JP\">", "ISO-2022-JP" },
	{ "<meta http-equiv=content-type content='text/html;charset=\"x\"'>", "x" },
	{ "<!-- <meta charset=x> -->", "" },
	{ "<meta name=charset content='charset=x'>", "" },
};
START_TEST(declared_charset)
{
	ck_assert_str_is(href_declared_charset(str_from_c(charset_rows[_i].page)), str_from_c(charset_rows[_i].want));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("html");
	TCase *tcase = tcase_create("html");

	unit_add_rows(tcase, links, rows);
	unit_add_rows(tcase, cuts, rows);
	unit_add_rows(tcase, long_pages, long_rows);
	unit_add_rows(tcase, declared_charset, charset_rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
