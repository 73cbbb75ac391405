/*
 * milter/rewrite: whole messages in and out. In what is wanted, {URL} stands for a tracked link that leads to URL, and
 * {} for the pixel; both are opened with the key, so that a wrong destination shows.
 */
#include "t/lib/rewrite_fixture.h"
#include "t/lib/unit.h"

#include "milter/mail/mime.h"

#define T1 "<a href=\"{http://x.example/1}\">"
#define PAD "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define PAD900 PAD PAD PAD PAD PAD PAD PAD PAD PAD

/* `want` NULL: the message leaves as it came. */
struct row {
	const char *name;
	struct str text, want;
	const char *note;
};
#define SAME { .ptr = NULL }

static const struct row rows[] = {
	{ "link and pixel", STR_INIT(HTML BLANK "<body>" A1 "x</a></body>\r\n"), STR_INIT(HTML BLANK "<body>" T1 "x</a>{}</body>\r\n"), NULL },
	{ "LF lines", STR_INIT("Content-Type: text/html\n\n" A1 "\n"), STR_INIT("Content-Type: text/html\n\n" T1 "{}\n"), NULL },
	{ "stillness: text", STR_INIT("Subject: x\r\n\r\nhttp://x.example/1\r\n"), SAME, NULL },
	{ "stillness: frameset", STR_INIT(HTML BLANK "<frameset><frame src='http://x/'></frameset>"), SAME, NULL },
	{ "25 a link that no tag in a cell ends, so that it would be opened again behind the table",
	  STR_INIT(HTML BLANK "<b><a href=x>x</b><table><tr><td>-<a href=y>y</a><a href=z>z</a></td></tr></table>\r\n"),
	  STR_INIT(HTML BLANK "<b><a href=x>x</b><table><tr><td>-<a href=y>y</a><a href=z>z</a>{}</td></tr></table>\r\n"), NULL },
	{ "35 a comment and an idle end tag behind what has lost its parent", STR_INIT(HTML BLANK "<p><b>x</p><!-- y --></i>\r\n"),
	  STR_INIT(HTML BLANK "<p><b>x{}</p><!-- y --></i>\r\n"), NULL },
	{ "35 a script and a comment that is bogus", STR_INIT(HTML BLANK "<p><b>x</p><![endif]><?y?></ z><script>a</b></script></body>"),
	  STR_INIT(HTML BLANK "<p><b>x{}</p><![endif]><?y?></ z><script>a</b></script></body>"), NULL },
	{ "35 the line end that <pre> swallows in a table", STR_INIT(HTML BLANK "<table><tr><td><pre>\r\nx"),
	  STR_INIT(HTML BLANK "<table><tr><td><pre>\r\n{}x"), NULL },
	{ "24 the end of a link in SVG ends none outside", STR_INIT(HTML BLANK "<p><a href=x>x<svg><a>y</a></svg><p>z</p>\r\n"),
	  STR_INIT(HTML BLANK "<p><a href=x>x<svg><a>y</a></svg><p>z{}</p>\r\n"), NULL },
	{ "25 a link outside of a marquee that never ends", STR_INIT(HTML BLANK "<p><a href=x>x<marquee><a href=y>y</a></a><p>z</p>\r\n"),
	  STR_INIT(HTML BLANK "<p><a href=x>x<marquee><a href=y>y</a></a><p>z{}</p>\r\n"), NULL },
	{ "26 a link in a table, but in none of its cells", STR_INIT(HTML BLANK "<table><a href=x>x<tr><td><a href=y>y</a></td></tr></table>\r\n"),
	  STR_INIT(HTML BLANK "<table><a href=x>x<tr><td><a href=y>y</a>{}</td></tr></table>\r\n"), NULL },
	{ "35 the line end that <pre> swallows", STR_INIT(HTML BLANK "x<pre>\r\n"), STR_INIT(HTML BLANK "x<pre>\r\n{}"), NULL },
	{ "35 and a second one", STR_INIT(HTML BLANK "x<pre>\r\n\r\n"), STR_INIT(HTML BLANK "x<pre>\r\n{}\r\n"), NULL },
	{ "45 text outside stays", STR_INIT(HTML BLANK "&amp;&nbsp <a  title='&eacute'  href = 'http://x/?a&amp;b' >http://x/?a</a><br/>"),
	  STR_INIT(HTML BLANK "&amp;&nbsp <a  title='&eacute'  href = '{http://x/?a&b}' >http://x/?a</a><br/>{}"), NULL },
	{ "54, 55 left alone", STR_INIT(HTML BLANK "<a href=//x/><a href=x><a href=mailto:a@b><a href=javascript:x></body>"),
	  STR_INIT(HTML BLANK "<a href=//x/><a href=x><a href=mailto:a@b><a href=javascript:x>{}</body>"), NULL },
	{ "58 too long", STR_INIT(HTML BLANK "<a href='http://x/" PAD900 PAD PAD "'></body>"),
	  STR_INIT(HTML "Content-Transfer-Encoding: quoted-printable\r\n" BLANK "<a href='http://x/" PAD900 PAD PAD "'>{}</body>"), NULL },
	{ "59 own links", STR_INIT(HTML BLANK "<a href='https://T.Example/x'><img src=https://t.example/o/x>"), SAME, NULL },
	{ "60 List-Unsubscribe's target",
	  STR_INIT("List-Unsubscribe: <mailto:a@b>,\r\n <http://x.example/1>\r\n" HTML BLANK A1 "<a href='http://x.example/2'></body>"),
	  STR_INIT("List-Unsubscribe: <mailto:a@b>,\r\n <http://x.example/1>\r\n" HTML BLANK A1 "<a href='{http://x.example/2}'>{}</body>"), NULL },
	{ "60 the same, written otherwise",
	  STR_INIT("List-Unsubscribe: <HTTP://X.example?A=1&b>,\r\n <https://y.example:443/1#a>\r\n" HTML BLANK
		   "<a href='http://x.EXAMPLE:80/?A=1&amp;b#top'><a href='http://x.example/?a=1&amp;b'><a href=https://y.example/1><a href=http://y.example/1></body>"),
	  STR_INIT("List-Unsubscribe: <HTTP://X.example?A=1&b>,\r\n <https://y.example:443/1#a>\r\n" HTML BLANK
		   "<a href='http://x.EXAMPLE:80/?A=1&amp;b#top'><a href='{http://x.example/?a=1&b}'><a href=https://y.example/1><a href={http://y.example/1}>{}</body>"), NULL },
	{ "62 the same twice", STR_INIT(HTML BLANK A1 A1), STR_INIT(HTML BLANK T1 T1 "{}"), NULL },
	{ "60 folded within its brackets, and in a second field",
	  STR_INIT("List-Unsubscribe: <http://x.example\r\n /1>\r\nlist-unsubscribe: <http://x.example/2>\r\n" HTML BLANK A1 "<a href='http://x.example/2'>"),
	  STR_INIT("List-Unsubscribe: <http://x.example\r\n /1>\r\nlist-unsubscribe: <http://x.example/2>\r\n" HTML BLANK A1 "<a href='http://x.example/2'>{}"), NULL },
	{ "60 in encoded words",
	  STR_INIT("List-Unsubscribe: =?us-ascii?q?=3Chttp=3A//x?=\r\n =?us-ascii?q?=2Eexample/1=3E?=\r\n" HTML BLANK A1 "</body>"),
	  STR_INIT("List-Unsubscribe: =?us-ascii?q?=3Chttp=3A//x?=\r\n =?us-ascii?q?=2Eexample/1=3E?=\r\n" HTML BLANK A1 "{}</body>"), NULL },
	{ "63 ISO-2022-JP", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n\033$B\"<\"&\033(B" A1 "\033$B%\"\033(B</a>\r\n"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n\033$B\"<\"&\033(B" T1 "\033$B%\"\033(B</a>{}\r\n"), NULL },
	{ "64 Roman around the quotes",
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n\033(J<a href=\"\033(Bhttp://x.example/~\">\033(B"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n\033(J<a href=\"{http://x.example/~}\033(B\">\033(B{}"), NULL },
	{ "65 no way back at the end", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033$B%\""),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033$B%\"\033(B{}"), NULL },
	{ "65 no way back before the last line end", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033$B%\"\r\n"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033$B%\"\r\n\033(B{}"), NULL },
	{ "65 an escape near the end that begins none", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033y"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033y{}"), NULL },
	{ "65 cut inside of an escape", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\033$B%\"\033("), SAME, "escape sequences of another charset" },
	{ "65 escapes one behind the other are a character to a browser",
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<a href=http://x/\033(B\033(By><\033$B\033(Ba href=http://x/></body>"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<a href=http://x/\033(B\033(By><\033$B\033(Ba href=http://x/>{}</body>"), NULL },
	{ "52 query in the page's charset", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<a href='http://x/?\033$B$\"\033(B'>"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<a href='{http://x/?%1B$B$%22%1B(B}'>{}"), NULL },
	{ "66 katakana between shifts", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n\016<\017" A1), SAME, "escape sequences of another charset" },
	{ "67 Shift_JIS", STR_INIT("Content-Type: text/html; charset=Shift_JIS\r\n\r\n\x83\x5c<a title='\x95\x5c' href='http://x/\x83\x5c?\x83\x5c'>"),
	  STR_INIT("Content-Type: text/html; charset=Shift_JIS\r\n\r\n\x83\x5c<a title='\x95\x5c' href='{http://x/%E3%82%BD?%83\\}'>{}"), NULL },
	{ "70 UTF-16 in base64", STR_INIT("Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n//48AHAAPgBCMA==\r\n"),
	  SAME, NULL },
	{ "70 UTF-16 without a mark, which browsers read the other way round",
	  STR_INIT("Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\nADwAcAA+\r\n"), SAME, "UTF-16 of unknown order" },
	{ "71 invalid UTF-8", STR_INIT(HTML BLANK "\xff" A1 "<a href='http://x/\xff'>\xe3"), STR_INIT(HTML BLANK "\xff" T1 "<a href='http://x/\xff'>\xe3{}"), NULL },
	{ "73 the page's own word", STR_INIT("Content-Type: text/html\r\n\r\n<meta charset=shift_jis><a href='http://x/?\x82\xa0'>"),
	  STR_INIT("Content-Type: text/html\r\n\r\n<meta charset=shift_jis><a href='{http://x/?%82%A0}'>{}"), NULL },
	{ "74 unknown label", STR_INIT("Content-Type: text/html; charset=x-none\r\n\r\n" A1), SAME, "unknown charset" },
	{ "74 UTF-7", STR_INIT("Content-Type: text/html; charset=utf-7\r\n\r\n" A1), SAME, "charset that is not edited" },
	{ "escapes in UTF-8", STR_INIT(HTML BLANK "\033$B%\"\033(B" A1), SAME, "escape sequences of another charset" },
	{ "an escape cut off in UTF-8", STR_INIT(HTML BLANK A1 "\033$"), SAME, "escape sequences of another charset" },
	{ "an escape at the end of UTF-8", STR_INIT(HTML BLANK A1 "\033(B"), SAME, "escape sequences of another charset" },
	{ "66 what ISO-2022-JP has not", STR_INIT("Content-Type: text/html; charset=iso-2022-jp-3\r\n\r\n\033$(Q<a\033(B" A1), SAME, "escape sequences of another charset" },
	{ "76 QP", STR_INIT(HTML "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E3=81=82<a hr=\r\nef=3D\"http://x.exa=\r\nmple/1\">x  =\r\ny\r\n"),
	  STR_INIT(HTML "Content-Transfer-Encoding: quoted-printable\r\n\r\n\xe3\x81\x82" T1 "x  y{}\r\n"), NULL },
	{ "80 base64", STR_INIT(HTML "Content-Transfer-Encoding: base64\r\n\r\nPGEgaHJlZj0iaHR0cDovL3guZXhhbXBsZS8xIj4\r\n"),
	  STR_INIT(HTML "Content-Transfer-Encoding: base64\r\n\r\n" T1 "{}"), NULL },
	{ "80 broken base64", STR_INIT(HTML "Content-Transfer-Encoding: base64\r\n\r\nPGEg=PGEg\r\n"), SAME, "broken base64" },
	{ "80 foreign octets in base64", STR_INIT(HTML "Content-Transfer-Encoding: base64\r\n\r\nDate: Mon\r\nPGEg\r\n"), SAME, "broken base64" },
	{ "76 a CR too many behind a soft break", STR_INIT(HTML "Content-Transfer-Encoding: quoted-printable\r\n\r\nx=\r\r\n" A1),
	  SAME, "blanks behind soft line breaks" },
	{ "92 a blank in the type", STR_INIT("Content-Type: text /html\r\n\r\n" A1), SAME, "unreadable Content-Type" },
	{ "77 blanks behind a soft break", STR_INIT(HTML "Content-Transfer-Encoding: quoted-printable\r\n\r\n<a href=3D\"http://x.ex= \r\nample/1\">"),
	  SAME, "blanks behind soft line breaks" },
	{ "81 unknown encoding", STR_INIT(HTML "Content-Transfer-Encoding: x-uuencode\r\n\r\n" A1), SAME, "unknown transfer encoding" },
	{ "82 a line grows too long", STR_INIT("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" PAD900 A1 "==\r\n.\r\n"),
	  STR_INIT("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" PAD900 T1 "==\r\n.{}\r\n"), NULL },
	{ "82 a line of just 998", STR_INIT("Content-Type: text/html; charset=utf-8\r\n\r\n" PAD900 A1 "=\r\n.\r\n"),
	  STR_INIT("Content-Type: text/html; charset=utf-8\r\n\r\n" PAD900 T1 "=\r\n.{}\r\n"), NULL },
	{ "82 the same in a part without a word about it",
	  STR_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" PAD900 A1 "</body>\r\n--b--\r\n"),
	  STR_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n"
		   "Content-Transfer-Encoding: quoted-printable\r\n\r\n" PAD900 T1 "{}</body>\r\n--b--\r\n"), NULL },
	{ "82 no word in the message", STR_INIT(HTML BLANK PAD900 A1 "</body>"),
	  STR_INIT(HTML "Content-Transfer-Encoding: quoted-printable\r\n\r\n" PAD900 T1 "{}</body>"), NULL },
	{ "87 attachment", STR_INIT(HTML "Content-Disposition: attachment; filename=x.html\r\n\r\n" A1), SAME, NULL },
	{ "87 attached as a whole",
	  STR_INIT("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/appledouble; boundary=a\r\n"
		   "Content-Disposition: attachment; filename=x.html\r\n\r\n--a\r\nContent-Type: application/applefile\r\n\r\nx\r\n"
		   "--a\r\nContent-Type: text/html\r\n\r\n" A1 "\r\n--a--\r\n--m--\r\n"), SAME, "inside an attachment" },
	{ "28 a byte order mark is no text", STR_INIT(HTML BLANK "\xef\xbb\xbf<!-- x -->\r\n"), SAME, NULL },
	{ "88 an alternative of two pages has one pixel",
	  STR_INIT("Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n\r\n1\r\n"
		   "--a\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: text/html\r\n\r\n2\r\n"
		   "--m\r\nContent-Type: text/html\r\n\r\n3\r\n--m--\r\n--a--\r\n"),
	  STR_INIT("Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n\r\n1{}\r\n"
		   "--a\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: text/html\r\n\r\n2{}\r\n"
		   "--m\r\nContent-Type: text/html\r\n\r\n3\r\n--m--\r\n--a--\r\n"), NULL },
	{ "88 alternatives have a pixel each, others one",
	  STR_INIT("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
		   "--a\r\nContent-Type: text/html\r\n\r\n1\r\n--a\r\nContent-Type: text/html\r\n\r\n2\r\n--a--\r\n--m\r\n"
		   "Content-Type: text/html\r\n\r\n3\r\n--m--\r\n"),
	  STR_INIT("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
		   "--a\r\nContent-Type: text/html\r\n\r\n1{}\r\n--a\r\nContent-Type: text/html\r\n\r\n2{}\r\n--a--\r\n--m\r\n"
		   "Content-Type: text/html\r\n\r\n3\r\n--m--\r\n"), NULL },
	{ "89 no empty line", STR_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n" A1 "\r\n--b--\r\n"),
	  SAME, "no empty line after the header" },
	{ "92 a checksum of the message", STR_INIT("Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n" HTML BLANK A1), SAME, "a checksum of its own (Content-MD5)" },
	{ "92 a checksum of a part", STR_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\ncontent-md5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\r\n" A1 "\r\n--b--\r\n"),
	  SAME, "a checksum of its own (Content-MD5)" },
	{ "92 two boundaries in two forms", STR_INIT("Content-Type: multipart/mixed; boundary=b; boundary*=us-ascii''c\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" A1 "\r\n--c\r\nContent-Type: text/html\r\n\r\n" A1 "\r\n--c--\r\n"),
	  SAME, "several parameters of one name in Content-Type" },
	{ "92 two types", STR_INIT(HTML "Content-Type: text/html\r\n\r\n" A1), SAME, "several Content-Type fields" },
	{ "85 quotation mark in a boundary without quotes",
	  STR_INIT("Content-Type: multipart/mixed; boundary=b\"q\r\n\r\n--b\"q\r\n" HTML BLANK A1 "\r\n--b\"q--\r\n"), SAME, "unreadable Content-Type" },
	{ "93 signed", STR_INIT("Content-Type: Multipart/SIGNED; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" A1 "\r\n--b--\r\n"), SAME, "signed" },
	{ "93 inline PGP", STR_INIT(HTML BLANK A1 "-----BEGIN PGP MESSAGE-----"), SAME, "inline PGP" },
	{ "94 forwarded", STR_INIT("Content-Type: message/rfc822\r\n\r\n" HTML BLANK A1), SAME, "inside a forwarded message" },
	{ "95 DKIM", STR_INIT("DKIM-Signature: v=1\r\n" HTML BLANK A1), SAME, "signed with DKIM" },
	{ "96 Outlook and Japanese", STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<!--[if mso]>\033$B%\"\033(B<v:rect href=\"http://x.example/1\">\033$B%\"\033(B</v:rect><![endif]--></body>"),
	  STR_INIT("Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<!--[if mso]>\033$B%\"\033(B<v:rect href=\"{http://x.example/1}\">\033$B%\"\033(B</v:rect><![endif]-->{}</body>"), NULL },
	{ "23 doubt", STR_INIT(HTML BLANK A1 "<select><style></style></select>"), SAME, "raw text inside select" },
	{ "steered: no clicks", STR_INIT("X-Sekisho-Track: clicks=off\r\n" HTML BLANK A1 "</body>"), STR_INIT(HTML BLANK A1 "{}</body>"), NULL },
	{ "steered: no opens", STR_INIT("x-sekisho-track: Opens = OFF; x\r\n" HTML BLANK A1 "</body>"), STR_INIT(HTML BLANK T1 "</body>"), NULL },
	{ "steered: nothing", STR_INIT("X-Sekisho-Track: opens=off\r\n" HTML "X-Sekisho-Track: clicks=off\r\n\r\n" A1), STR_INIT(HTML BLANK A1), NULL },
	{ "steered: by commas", STR_INIT("X-Sekisho-Track: id=a,b; opens = \"off\" , clicks = no (please)\r\n" HTML BLANK A1), STR_INIT(HTML BLANK A1), NULL },
	{ "steered: off", STR_INIT("X-Sekisho-Track: Off\r\n" HTML BLANK A1), STR_INIT(HTML BLANK A1), NULL },
	{ "steered: by what is not known", STR_INIT("X-Sekisho-Track: =off; x=off; opens=; opens=on; id=off\r\n" HTML BLANK A1 "</body>"),
	  STR_INIT(HTML BLANK T1 "{}</body>"), NULL },
	{ "no body", STR_INIT(HTML), SAME, NULL },
	{ "empty", STR_INIT(""), SAME, NULL },
};

/* Tracked links and pixels become {URL} and {}. */
static void expand(struct str text, struct buf *out)
{
	static const struct str link = STR_INIT("https://" HOST "/c/"), pixel = STR_INIT("<img src=\"https://" HOST "/o/");

	while (text.len) {
		bool is_link = str_starts(text, link), is_pixel = str_starts(text, pixel);
		struct str token = rewrite_token(str_from(text, is_pixel ? pixel.len : link.len));
		struct token opened;

		if ((is_link || is_pixel) && token_open(rewrite_keys, is_link ? TOKEN_CLICK : TOKEN_OPEN, STR(HOST), token, &rewrite_arena, &opened)) {
			ck_assert_str_is(opened.tenant, STR("acme"));
			buf_printf(out, "{" STR_FMT "}", STR_ARG(opened.url));
			text = str_from(text, (size_t)(token.ptr - text.ptr) + token.len);
			if (is_pixel)
				text = str_from(text, str_find_byte(text, '>') + 1);
		} else {
			buf_add_byte(out, text.ptr[0]);
			text = str_from(text, 1);
		}
	}
}

/* A message of one part is shown decoded, so that what is wanted can be read. */
static void show(struct str text, struct buf *out)
{
	struct mime mime;
	struct buf decoded;

	buf_init(&decoded, 1 << 20);
	ck_assert(mime_scan_text(text, &rewrite_arena, &mime, NULL));
	buf_add(&decoded, str_slice(text, 0, (size_t)(mime.parts[0].body.ptr - text.ptr)));
	if (mime.count == 1) {
		mime_decode(&mime.parts[0], &decoded);
	} else {
		for (size_t i = 1; i < mime.count; i++)
			if (mime.parts[i].encoding == MIME_QP) {
				struct str head = str_slice(text, decoded.len, (size_t)(mime.parts[i].body.ptr - text.ptr) - decoded.len);

				buf_add(&decoded, head);
				mime_decode(&mime.parts[i], &decoded);
				buf_add(&decoded, str_from(text, (size_t)(mime.parts[i].body.ptr - text.ptr) + mime.parts[i].body.len));
				expand(buf_view(&decoded), out);
				buf_clear(&decoded);
				return;
			}
		buf_reset(&decoded);
		buf_add(&decoded, text);
	}
	expand(buf_view(&decoded), out);
	buf_clear(&decoded);
}

static bool is_steered(const struct row *row)
{
	return strncmp(row->name, "steered", 7) == 0;
}

static void assert_lines(struct str text, size_t max)
{
	struct str line;

	while (str_next(&text, '\n', &line))
		ck_assert_uint_le(line.len, max + 1);
}

START_TEST(messages)
{
	const struct row *row = &rows[_i];
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result, again;
	struct str in = unit_wall(row->text), got = rewrite_text(&rules, in, &result);
	struct buf shown;

	buf_init(&shown, 1 << 20);
	if (row->want.ptr) {
		show(got, &shown);
		ck_assert_msg(str_eq(buf_view(&shown), row->want), "%s:\ngot  \"" STR_FMT "\"\nwant \"" STR_FMT "\"", row->name,
			      STR_ARG(buf_view(&shown)), STR_ARG(row->want));
		assert_lines(got, REWRITE_LINE_MAX);
	} else if (!str_eq(row->text, STR("")) && str_find(row->text, STR("utf-16")) == row->text.len) {
		ck_assert_str_is(got, row->text);
	}
	ck_assert_msg((row->note != NULL) == (result.note_count > 0), "%s: %zu notes", row->name, result.note_count);
	if (row->note)
		ck_assert_str_eq(result.notes[0].why, row->note);

	/* Twice is once; only the sender's word about it is gone. */
	if (!is_steered(row))
		ck_assert_str_is(rewrite_text(&rules, got, &again), got);
	/* A retry gives the same octets. */
	ck_assert_str_is(rewrite_text(&rules, row->text, &again), got);
	buf_clear(&shown);
	unit_wall_free(in);
}
END_TEST

/* Nothing asked, nothing done. */
START_TEST(stillness)
{
	struct rewrite_rules rules = { .tenant = STR("acme"), .host = STR(HOST), .keys = rewrite_keys };
	struct rewrite_result result;

	if (!is_steered(&rows[_i]))
		ck_assert_str_is(rewrite_text(&rules, rows[_i].text, &result), rows[_i].text);
}
END_TEST

/* A message that ends anywhere is rewritten or left alone, and twice is once. */
START_TEST(cuts)
{
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result;

	for (size_t len = 0; len <= rows[_i].text.len; len += 1 + len / 100) {
		struct str in = unit_wall(str_slice(rows[_i].text, 0, len)), got = rewrite_text(&rules, in, &result);

		if (!is_steered(&rows[_i]))
			ck_assert_str_is(rewrite_text(&rules, got, &result), got);
		unit_wall_free(in);
		arena_reset(&rewrite_arena);
	}
}
END_TEST

static const struct row text_rows[] = {
	{ "a sentence", STR_INIT("\r\nSee http://x.example/a?b&amp;c, (https://x.example/(d)) and <http://x.example/e>.\r\n"),
	  STR_INIT("\r\nSee {http://x.example/a?b&amp;c}, ({https://x.example/(d)}) and <{http://x.example/e}>.\r\n"), NULL },
	{ "not inside a word", STR_INIT("\r\nxhttp://x.example/ ftp://x.example/ ://x http:/x @http://x.example/\r\n"), SAME, NULL },
	{ "ISO-2022-JP", STR_INIT("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\033$B$\"\033(Bhttp://x.example/ \033$B$\"\033(B\r\n"),
	  STR_INIT("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\033$B$\"\033(B{http://x.example/} \033$B$\"\033(B\r\n"), NULL },
	{ "an end that letters go on behind", STR_INIT("\r\nhttp://x.example/wiki/\xe6\x97\xa5 http://x.example/?q=\xc3\xa9&z=1 http://x.example/\r\n"),
	  STR_INIT("\r\nhttp://x.example/wiki/\xe6\x97\xa5 http://x.example/?q=\xc3\xa9&z=1 {http://x.example/}\r\n"), NULL },
	{ "an end that signs stand behind", STR_INIT("\r\nhttp://x.example/a\u3002\u300chttp://x.example/b\u300d\uff08http://x.example/c\uff09\u201chttp://x.example/d\u201d\r\n"),
	  STR_INIT("\r\n{http://x.example/a}\u3002\u300c{http://x.example/b}\u300d\uff08{http://x.example/c}\uff09\u201c{http://x.example/d}\u201d\r\n"), NULL },
	{ "ISO-2022-JP, and signs stand behind", STR_INIT("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\nhttp://x.example/\033$B!#$\"\033(B\r\n"),
	  STR_INIT("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n{http://x.example/}\033$B!#$\"\033(B\r\n"), NULL },
	{ "Shift_JIS, signs and letters", STR_INIT("Content-Type: text/plain; charset=shift_jis\r\n\r\nhttp://x.example/a\x81\x42 http://x.example/b\x82\xa0\r\n"),
	  STR_INIT("Content-Type: text/plain; charset=shift_jis\r\n\r\n{http://x.example/a}\x81\x42 http://x.example/b\x82\xa0\r\n"), NULL },
	{ "ISO-2022-JP, and letters go on", STR_INIT("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\nhttp://x.example/\033$B$\"\033(B\r\n"), SAME, NULL },
	{ "behind a name", STR_INIT("\r\nURL=http://x.example/a (from=http://x.example/b)\r\n"),
	  STR_INIT("\r\nURL={http://x.example/a} (from={http://x.example/b})\r\n"), NULL },
	{ "in the query of another that begins without a scheme", STR_INIT("\r\nwww.x.example/?u=http://y.example/\r\n"), SAME, NULL },
	{ "quoted-printable", STR_INIT("Content-Transfer-Encoding: quoted-printable\r\n\r\nhttp://x.exam=\r\nple/?a=3Db\r\n"),
	  STR_INIT("Content-Transfer-Encoding: quoted-printable\r\n\r\n{http://x.example/?a=b}\r\n"), NULL },
	{ "an end that is emphasis to some", STR_INIT("\r\n_http://x.example/a_ http://x.example/~, *http://x.example/* *see http://x.example/a.*\r\n"), SAME, NULL },
	{ "an end that is a hyphen", STR_INIT("\r\nhttp://x.example/f- http://x.example/f-, http://x.example/f-g\r\n"),
	  STR_INIT("\r\nhttp://x.example/f- http://x.example/f-, {http://x.example/f-g}\r\n"), NULL },
	{ "an end that browsers go on behind", STR_INIT("\r\nhttp://x.example/{id} http://x.example/a|b http://x.example/\"\r\n"),
	  STR_INIT("\r\nhttp://x.example/{id} http://x.example/a|b {http://x.example/}\"\r\n"), NULL },
	{ "in brackets that a line end parts", STR_INIT("\r\n<http://x.example/a.\r\nb> <http://x.example/b>\r\n"),
	  STR_INIT("\r\n<http://x.example/a.\r\nb> <{http://x.example/b}>\r\n"), NULL },
	{ "between brackets or quotes, all of which is the address",
	  STR_INIT("\r\n<http://x.example/a.> <url:http://x.example/a.> \"http://x.example/a.\" <http://x.example/q!> <http://x.example/a b> \"http://x.example/a\r\nb\"\r\n"),
	  SAME, NULL },
	{ "between brackets or quotes, and no doubt",
	  STR_INIT("\r\n<http://x.example/a>. <URL:http://x.example/b>, \"http://x.example/c\". href=\"http://x.example/d\" \"see http://x.example/e.\" <see http://x.example/f.> < http://x.example/g. > <URL: http://x.example/h.>\r\n"),
	  STR_INIT("\r\n<{http://x.example/a}>. <URL:{http://x.example/b}>, \"{http://x.example/c}\". href=\"{http://x.example/d}\" \"see {http://x.example/e}.\" <see {http://x.example/f}.> < http://x.example/g. > <URL: http://x.example/h.>\r\n"), NULL },
	{ "between brackets that nothing closes", STR_INIT("\r\n<http://x.example/a"), SAME, NULL },
	{ "flowed", STR_INIT("Content-Type: text/plain; format=flowed\r\n\r\nhttp://x.example/a \r\nb\r\n"),
	  STR_INIT("Content-Type: text/plain; format=flowed\r\n\r\n{http://x.example/a} \r\nb\r\n"), NULL },
	{ "flowed, and it goes on in the next line", STR_INIT("Content-Type: text/plain; format=flowed; DelSp=Yes\r\n\r\nhttp://x.example/a. \r\nb http://x.example/c  \r\n"),
	  STR_INIT("Content-Type: text/plain; format=flowed; DelSp=Yes\r\n\r\nhttp://x.example/a. \r\nb {http://x.example/c}  \r\n"), NULL },
	{ "a link of Markdown whose name is its address", STR_INIT("\r\n[http://x.example/a](http://x.example/a) [t](http://x.example/b).\r\n"),
	  STR_INIT("\r\n[http://x.example/a](http://x.example/a) [t]({http://x.example/b}).\r\n"), NULL },
	{ "brackets behind which it goes on", STR_INIT("\r\n(http://x.example/a)and (http://x.example/b),(http://x.example/c) [http://x.example/d]e http://x.example/f)]g\r\n"),
	  SAME, NULL },
	{ "brackets of its own at its end", STR_INIT("\r\nhttp://x.example/?ids[] http://x.example/a[1], http://x.example/a[1]. http://x.example/a(b http://[::1]\r\n"),
	  SAME, NULL },
	{ "brackets of its own inside", STR_INIT("\r\nhttp://x.example/?a[]=1&b[]=2 (http://x.example/a_(b)) http://[::1]/ http://x.example/a_(b)/c\r\n"),
	  STR_INIT("\r\n{http://x.example/?a[]=1&b[]=2} ({http://x.example/a_(b)}) {http://[::1]/} {http://x.example/a_(b)/c}\r\n"), NULL },
	{ "brackets round it", STR_INIT("\r\n[http://x.example/a] (http://x.example/b). [see http://x.example/c], (http://x.example/d);\r\n"),
	  STR_INIT("\r\n[{http://x.example/a}] ({http://x.example/b}). [see {http://x.example/c}], ({http://x.example/d});\r\n"), NULL },
	{ "one that is too long holds another", STR_INIT("\r\nhttp://x.example/" PAD900 PAD900 PAD900 PAD900 PAD900 PAD900 PAD900 "?u=http://y.example/\r\n"), SAME, NULL },
	{ "a file that is shown", STR_INIT("Content-Type: text/plain; name=x.txt\r\nContent-Disposition: inline\r\n\r\nhttp://x.example/\r\n"), SAME, NULL },
	{ "attached", STR_INIT("Content-Disposition: attachment\r\n\r\nhttp://x.example/\r\n"), SAME, NULL },
};
START_TEST(text_links)
{
	const struct row *row = &text_rows[_i];
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result;
	struct str in = unit_wall(row->text), got;
	struct buf shown;

	rules.text_links = true;
	got = rewrite_text(&rules, in, &result);
	buf_init(&shown, 1 << 20);
	show(got, &shown);
	if (row->want.ptr)
		ck_assert_msg(str_eq(buf_view(&shown), row->want), "%s:\ngot  \"" STR_FMT "\"\nwant \"" STR_FMT "\"", row->name,
			      STR_ARG(buf_view(&shown)), STR_ARG(row->want));
	else
		ck_assert_str_is(got, row->text);
	ck_assert_str_is(rewrite_text(&rules, got, &result), got);
	buf_clear(&shown);
	unit_wall_free(in);
}
END_TEST

START_TEST(utf16)
{
	static const struct { const char *label, *charset; struct str mark; } kinds[] = {
		{ "utf-16", "utf-16le", STR_INIT("\xef\xbb\xbf") },
		{ "utf-16", "utf-16be", STR_INIT("\xef\xbb\xbf") },
		{ "utf-16be", "utf-16be", STR_INIT("") },
		{ "utf-16le", "utf-16le", STR_INIT("") },
		{ "utf-16le", "utf-16be", STR_INIT("\xef\xbb\xbf") },         /* the mark outdoes the label */
		{ "utf-16be", "utf-16le", STR_INIT("\xef\xbb\xbf") },
	};
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result;
	struct buf page, wide, text, shown;
	struct mime mime;

	buf_init(&page, 1000);
	buf_init(&wide, 4000);
	buf_init(&text, 8000);
	buf_init(&shown, 8000);
	buf_add(&page, kinds[_i].mark);
	buf_add_c(&page, "<p>\xe3\x81\x82" A1 "</body>");
	ck_assert(charset_from_utf8(charset_find(str_from_c(kinds[_i].charset)), buf_view(&page), &wide));
	buf_printf(&text, "Content-Type: text/html; charset=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n", kinds[_i].label);
	for (size_t i = 0; i < wide.len; i += 3) {
		static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		unsigned a = (unsigned char)wide.ptr[i], b = i + 1 < wide.len ? (unsigned char)wide.ptr[i + 1] : 0,
			 c = i + 2 < wide.len ? (unsigned char)wide.ptr[i + 2] : 0;

		buf_add_byte(&text, digits[a >> 2]);
		buf_add_byte(&text, digits[(a << 4 | b >> 4) & 63]);
		buf_add_byte(&text, i + 1 < wide.len ? digits[(b << 2 | c >> 6) & 63] : '=');
		buf_add_byte(&text, i + 2 < wide.len ? digits[c & 63] : '=');
	}
	struct str got = rewrite_text(&rules, buf_view(&text), &result);

	ck_assert_uint_eq(result.links, 1);
	ck_assert(mime_scan_text(got, &rewrite_arena, &mime, NULL));
	buf_reset(&wide);
	buf_reset(&page);
	ck_assert(mime_decode(&mime.parts[0], &wide));
	ck_assert(charset_to_utf8(charset_find(str_from_c(kinds[_i].charset)), buf_view(&wide), &page));
	expand(str_from(buf_view(&page), kinds[_i].mark.len), &shown);
	ck_assert_str_is(buf_view(&shown), STR("<p>\xe3\x81\x82" T1 "{}</body>"));
	buf_clear(&page);
	buf_clear(&wide);
	buf_clear(&text);
	buf_clear(&shown);
}
END_TEST

START_TEST(dkim_stripped)
{
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result;

	rules.on_signed = SIGNED_STRIP;
	struct str got = rewrite_text(&rules, STR("DKIM-Signature: a=1\r\n" HTML "dkim-signature: b=2;\r\n c\r\n" BLANK A1), &result);

	ck_assert_uint_eq(str_find(got, STR("=2")), got.len);
	ck_assert(str_starts(got, STR(HTML BLANK)));
	ck_assert_uint_eq(result.links, 1);
}
END_TEST

/* Where nothing is changed, the signature is as good as it was. */
START_TEST(dkim_kept)
{
	static const struct str still = STR_INIT("DKIM-Signature: a=1\r\n\r\ntext\r\n");
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result;

	rules.on_signed = SIGNED_STRIP;
	ck_assert_str_is(rewrite_text(&rules, still, &result), still);
	ck_assert_str_is(rewrite_text(&rules, STR("X-Sekisho-Track: off\r\nDKIM-Signature: a=1\r\n" HTML BLANK A1), &result),
			 STR("DKIM-Signature: a=1\r\n" HTML BLANK A1));
}
END_TEST

static const struct { const char *name; struct str field; enum signed_rule on_signed; } many_rows[] = {
	{ "steering", STR_INIT("X-Sekisho-Track: id=n1\r\n"), SIGNED_SKIP },
	{ "signatures", STR_INIT("DKIM-Signature: a=1\r\n"), SIGNED_STRIP },
};

/* However many fields go: the last change is as good as the first, and this one says how the body is to be read. */
START_TEST(many_fields)
{
	static const struct str end = STR_INIT("Content-Transfer-Encoding: 7bit\r\n" HTML BLANK "<p>" PAD900 A1 "x</a></p>\r\n");
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result result;
	struct buf text;

	rules.on_signed = many_rows[_i].on_signed;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 500; i++)
		buf_add(&text, many_rows[_i].field);
	buf_add(&text, end);

	struct str got = rewrite_text(&rules, buf_view(&text), &result);

	ck_assert_uint_eq(unit_count(got, "X-Sekisho-Track:"), 0);
	ck_assert_uint_eq(unit_count(got, "DKIM-Signature:"), 0);
	ck_assert_uint_eq(unit_count(got, "Content-Transfer-Encoding: quoted-printable\r\n"), 1);
	ck_assert_uint_eq(unit_count(got, "Content-Transfer-Encoding: 7bit\r\n"), 0);
	ck_assert_uint_eq(unit_count(got, "<a href=3D"), 1);
	ck_assert_str_is(rewrite_text(&rules, got, &result), got);
	buf_clear(&text);
}
END_TEST

START_TEST(unsubscribe)
{
	struct rewrite_rules rules = rewrite_rules_all();
	struct header fields[] = { { .name = STR("Message-ID"), .value = STR("<1@x>") }, { .name = STR("List-Unsubscribe"), .value = STR("<x>") } };
	struct rewrite_message message = { .fields = fields, .field_count = 1, .body = STR("x"), .recipient = STR("A@b.example") };
	struct rewrite_result result;
	struct token token;

	rules.list_unsubscribe = true;
	ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
	ck_assert_uint_eq(result.field_count, 2);
	ck_assert_str_is(result.fields[0].name, STR("List-Unsubscribe"));
	ck_assert_str_is(result.fields[1].value, STR("List-Unsubscribe=One-Click"));

	struct str value = result.fields[0].value, lead = STR("<https://" HOST "/u/");

	ck_assert(str_starts(value, lead) && str_ends(value, STR(">")));
	ck_assert(token_open(rewrite_keys, TOKEN_UNSUBSCRIBE, STR(HOST), str_slice(value, lead.len, value.len - lead.len - 1), &rewrite_arena, &token));
	ck_assert_str_is(token.recipient, message.recipient);

	fields[1].name = STR("List-Unsubscribe-Post");          /* no second one of these (RFC 8058 3.1) */
	message.field_count = 2;
	ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
	ck_assert_uint_eq(result.field_count, 3);
	ck_assert_int_eq(result.fields[1].action, HEADER_REMOVE);
	ck_assert_str_is(result.fields[1].name, fields[1].name);
	fields[1].name = STR("List-Unsubscribe");               /* it has one already */
	ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
	ck_assert_uint_eq(result.field_count, 0);
	message.field_count = 1;
	message.recipient = STR_EMPTY;         /* several recipients: nobody in particular to unsubscribe */
	ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
	ck_assert_uint_eq(result.field_count, 0);
	message.recipient = STR(PAD PAD PAD);  /* longer than a token can name */
	ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
	ck_assert_uint_eq(result.field_count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rewrite");
	TCase *tcase = tcase_create("rewrite");

	tcase_add_checked_fixture(tcase, rewrite_setup, rewrite_teardown);
	unit_add_rows(tcase, messages, rows);
	unit_add_rows(tcase, stillness, rows);
	unit_add_rows(tcase, cuts, rows);
	unit_add_rows(tcase, text_links, text_rows);
	unit_add_rows(tcase, many_fields, many_rows);
	tcase_add_loop_test(tcase, utf16, 0, 6);
	tcase_add_test(tcase, dkim_stripped);
	tcase_add_test(tcase, dkim_kept);
	tcase_add_test(tcase, unsubscribe);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
