/* milter/link: where a link leads (TRACKING cases 46 to 58), and tokens. */
#include "t/lib/unit.h"

#include "config/base/clock.h"
#include "milter/link/token.h"
#include "milter/link/url.h"

/* `want` NULL: left alone. */
static const struct { const char *name, *value, *want, *host; } url_rows[] = {
	{ "as it is", "http://example.com/a?b=c#d", "http://example.com/a?b=c#d", "example.com" },
	{ "46 blanks and line ends", " \f\thttps://exa\nmple.com/a\r\n b \n", "https://example.com/a%20b", "example.com" },
	{ "47 scheme cut by a line end", "ht\ntp\r:\t//x/", "http://x/", "x" },
	{ "48 fragments", "http://x/#!/a?b", "http://x/#!/a?b", "x" },
	{ "49 query without path", "HTTP://X.example?q", "http://X.example?q", "X.example" },
	{ "49 IPv6, user, port", "https://u:p@[2001:db8::1]:8443/", "https://u:p@[2001:db8::1]:8443/", "[2001:db8::1]" },
	{ "50 percent sequences", "http://x/%zz%2F+%20?%&a=%41", "http://x/%zz%2F+%20?%&a=%41", "x" },
	{ "51 octets that need help", "http://x/a b\"<>`{}|^[]\\c?d'\"|\\#e`\"", "http://x/a%20b%22%3C%3E%60%7B%7D|^[]/c?d%27%22|\\#e%60%22", "x" },
	{ "52 path, query and fragment", "http://x/\xe3\x81\x82?\xe3\x81\x82#\xe3\x81\x82", "http://x/%E3%81%82?%E3%81%82#%E3%81%82", "x" },
	{ "52 host", "http://\xe6\x97\xa5\xe6\x9c\xac.jp/", "http://%E6%97%A5%E6%9C%AC.jp/", "%E6%97%A5%E6%9C%AC.jp" },
	{ "52 a host that no DNS can hold", "http://x.ex\xef\xbf\xbd.example/", NULL, NULL },
	{ "52 a symbol, which browsers take", "http://\xe2\x9d\xa4\xef\xb8\x8f\xf0\x9f\x98\x80.example/",
	  "http://%E2%9D%A4%EF%B8%8F%F0%9F%98%80.example/", "%E2%9D%A4%EF%B8%8F%F0%9F%98%80.example" },
	{ "52 a symbol at the end", "http://x.\xe2\x9d\xa4", "http://x.%E2%9D%A4", "x.%E2%9D%A4" },
	{ "52 no letter either, encoded", "http://x.ex%EF%BF%BD.example/", NULL, NULL },
	{ "52 full stops and digits of their own width", "http://\xef\xbc\x91\xef\xbc\x90\xe3\x80\x82" "1/", "http://%EF%BC%91%EF%BC%90%E3%80%821/",
	  "%EF%BC%91%EF%BC%90%E3%80%821" },
	{ "52 which are no address", "http://\xef\xbc\x91\xef\xbc\x90\xe3\x80\x82" "999999999999/", NULL, NULL },
	{ "53 no slashes", "http:x", NULL, NULL },
	{ "53 one slash", "http:/x", NULL, NULL },
	{ "53 backslashes", "http:\\\\x\\y", "http://x/y", "x" },
	{ "53 many slashes", "http:////x/", "http://x/", "x" },
	{ "53 no host", "http://", NULL, NULL },
	{ "53 no host but a query", "http://?x", NULL, NULL },
	{ "53 port too large", "http://x:65536/", NULL, NULL },
	{ "53 forbidden in a host", "http://a b/", NULL, NULL },
	{ "53 forbidden and encoded", "http://a%20b/", NULL, NULL },
	{ "53 a number that is no address", "http://256.1.1.1/", NULL, NULL },
	{ "53 an address in hex", "http://0x7f.1/", "http://0x7f.1/", "0x7f.1" },
	{ "54 no scheme", "//host/x", NULL, NULL },
	{ "54 relative", "a/b?c", NULL, NULL },
	{ "55 other schemes", "mailto:a@b", NULL, NULL },
	{ "55 scheme that begins alike", "https+notrack://x/", NULL, NULL },
	{ "55 script", "javascript:http://x/", NULL, NULL },
	{ "56 placeholder", "{{url}}", NULL, NULL },
	{ "56 placeholder as host", "http://*|x|*/", NULL, NULL },
	{ "56 placeholder in a query", "http://x/?u=%x%&v=*|x|*", "http://x/?u=%x%&v=*|x|*", "x" },
	{ "57 URL in the query", "http://x/?u=http://y/?a=b&c", "http://x/?u=http://y/?a=b&c", "x" },
	{ "59 user that looks like a host", "http://good.example@bad.example/", "http://good.example@bad.example/", "bad.example" },
	{ "empty", "", NULL, NULL },
};
START_TEST(destinations)
{
	struct str value = unit_wall(str_from_c(url_rows[_i].value)), host;
	struct buf out;

	buf_init(&out, 4096);
	buf_add_c(&out, "*");
	bool ok = url_destination(value, NULL, &out, &host);

	ck_assert_msg(ok == (url_rows[_i].want != NULL), "%s", url_rows[_i].name);
	ck_assert_str_is(str_from(buf_view(&out), 1), str_from_c(url_rows[_i].want));
	if (ok) {
		ck_assert(url_may_be_http(value));
		ck_assert_str_is(host, str_from_c(url_rows[_i].host));
	}
	buf_clear(&out);
	unit_wall_free(value);
}
END_TEST

static bool encode_upside_down(const void *context, struct str utf8, struct buf *out)
{
	(void)utf8;
	buf_add_c(out, context);
	return true;
}

static const struct { const char *name, *url, *want; } page_rows[] = {
	{ "as it is", "http://x.example/A?B=c", "http://x.example/A?B=c" },
	{ "host", "https://X.example:8443/A", "https://x.example:8443/A" },
	{ "fragment", "http://x.example/a#b", "http://x.example/a" },
	{ "a fragment that is a page", "http://X.example/#/a", "http://x.example/#/a" },
	{ "a fragment that is a page, the older way", "http://x.example/a#!b", "http://x.example/a#!b" },
	{ "no path", "http://X.example?A#b", "http://x.example/?A" },
	{ "nothing behind the host", "http://x.example", "http://x.example/" },
	{ "the port that http has", "http://x.example:80", "http://x.example/" },
	{ "the port that https has", "https://[2001:DB8::1]:443/A", "https://[2001:db8::1]/A" },
	{ "the port that the other has", "https://x.example:80/", "https://x.example:80/" },
	{ "no port", "http://x.example/a:80", "http://x.example/a:80" },
	{ "an address that ends like a port", "http://[2001:db8::80]/", "http://[2001:db8::80]/" },
};
START_TEST(pages)
{
	struct str url = unit_wall(str_from_c(page_rows[_i].url));
	struct buf out;

	buf_init(&out, 4096);
	url_add_page(url, &out);
	ck_assert_str_is(buf_view(&out), str_from_c(page_rows[_i].want));
	buf_clear(&out);
	unit_wall_free(url);
}
END_TEST

START_TEST(query_in_another_charset)
{
	struct url_encoder encoder = { .encode = encode_upside_down, .context = "\x82\xa0\033\"" };
	struct str host;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert(url_destination(STR("http://x/\xe3\x81\x82?\xe3\x81\x82"), &encoder, &out, &host));
	ck_assert_str_is(buf_view(&out), STR("http://x/%E3%81%82?%82%A0%1B%22"));
	buf_clear(&out);
}
END_TEST

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define KEY_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

static struct arena arena;
static struct token_keys *keys;

static void setup(void)
{
	struct err err;

	arena_init(&arena, (size_t)64 << 20);
	ck_assert_msg(token_keys_read(STR("# keys\n7 " KEY_A "\n"), &keys, &err), "%s", err.text);
}

static void teardown(void)
{
	token_keys_free(keys);
	arena_clear(&arena);
}

static const struct token sample = {
	.purpose = TOKEN_CLICK,
	.tenant = STR_INIT("acme"),
	.message = STR_INIT("\1\2\3\0\5\6\7\x80"),
	.recipient = STR_INIT("12345678"),
	.day = 20778,
	.link = 3,
	.url = STR_INIT("https://www.example.com/a?b=c"),
};

static struct str seal(const struct token_keys *with, const struct token *token, struct str host)
{
	struct token_sealer *sealer;
	struct str text;
	struct buf out;

	buf_init(&out, 8192);
	ck_assert(token_sealer_new(with, &sealer, NULL));
	ck_assert(token_seal(sealer, token, host, &out, NULL));
	token_sealer_free(sealer);
	ck_assert(arena_copy(&arena, buf_view(&out), &text));
	buf_clear(&out);
	return text;
}

static const struct { enum token_purpose purpose; const char *url; } token_rows[] = {
	{ TOKEN_CLICK, "https://www.example.com/a?b=c" },
	{ TOKEN_CLICK, "http://example.com/" },
	{ TOKEN_CLICK, "http://www." },
	{ TOKEN_OPEN, "" },
	{ TOKEN_UNSUBSCRIBE, "" },
};
START_TEST(token_round_trip)
{
	struct token token = sample, back;

	token.purpose = token_rows[_i].purpose;
	token.url = str_from_c(token_rows[_i].url);
	struct str text = seal(keys, &token, STR("T.example"));

	ck_assert_str_is(text, seal(keys, &token, STR("t.example")));   /* a retry gives the same octets */
	ck_assert(token_open(keys, token.purpose, STR("t.EXAMPLE"), text, &arena, &back));
	ck_assert_str_is(back.tenant, token.tenant);
	ck_assert_str_is(back.message, token.message);
	ck_assert_str_is(back.recipient, token.recipient);
	ck_assert_str_is(back.url, token.url);
	ck_assert_int_eq(back.day, token.day);
	ck_assert_int_eq(back.link, token.link);
}
END_TEST

/* Sealing is our own, opening is OpenSSL's: they agree for texts that end anywhere in a block, whatever was sealed before. */
START_TEST(token_lengths)
{
	char url[200] = "http://";
	struct token token = sample, back;
	struct token_sealer *sealer;
	struct buf sealed;

	buf_init(&sealed, 8192);
	ck_assert(token_sealer_new(keys, &sealer, NULL));
	memset(url + 7, 'x', sizeof url - 7);
	for (size_t len = 8; len < sizeof url; len++) {
		token.url = str_of(url, len);
		buf_reset(&sealed);
		ck_assert(token_seal(sealer, &token, STR("t"), &sealed, NULL));
		ck_assert_str_is(buf_view(&sealed), seal(keys, &token, STR("t")));
		ck_assert(token_open(keys, TOKEN_CLICK, STR("t"), buf_view(&sealed), &arena, &back));
		ck_assert_str_is(back.url, token.url);
	}
	token_sealer_free(sealer);
	buf_clear(&sealed);
}
END_TEST

/* In a text, `-` and `_` at the end of a link are taken for the sentence's; before a `>`, in a comment, "--" ends it. */
START_TEST(token_ends_in_letter_or_digit)
{
	struct token token = sample;

	for (int i = 0; i < 3000; i++) {
		token.url = str_from_c("https://example.com/xyz");
		token.url.len -= (size_t)i % 3;
		token.link = (uint16_t)i;

		struct str text = seal(keys, &token, STR("t"));

		ck_assert_msg(ascii_is_alnum(text.ptr[text.len - 1]), STR_FMT, STR_ARG(text));
		arena_reset(&arena);
	}
}
END_TEST

START_TEST(token_opens_nothing_else)
{
	static const enum token_purpose purposes[] = { TOKEN_OPEN, TOKEN_UNSUBSCRIBE };
	struct str text = seal(keys, &sample, STR("t.example"));
	struct token back;

	for (size_t i = 0; i < 2; i++)
		ck_assert(!token_open(keys, purposes[i], STR("t.example"), text, &arena, &back));
	ck_assert(!token_open(keys, TOKEN_CLICK, STR("u.example"), text, &arena, &back));
	ck_assert(!token_open(keys, TOKEN_CLICK, STR(""), text, &arena, &back));
}
END_TEST

/* Every cut and every flipped bit of the text is refused. */
START_TEST(token_mutations)
{
	struct str text = seal(keys, &sample, STR("t.example")), copy;
	struct token back;

	for (size_t len = 0; len < text.len; len++) {
		struct str cut = unit_wall(str_slice(text, 0, len));

		ck_assert(!token_open(keys, TOKEN_CLICK, STR("t.example"), cut, &arena, &back));
		unit_wall_free(cut);
	}
	ck_assert(arena_copy(&arena, text, &copy));
	for (size_t i = 0; i < copy.len * 8; i++) {
		char *octet = (char *)(uintptr_t)copy.ptr + i / 8;

		*octet = (char)(*octet ^ 1 << i % 8);
		ck_assert(!token_open(keys, TOKEN_CLICK, STR("t.example"), copy, &arena, &back));
		*octet = (char)(*octet ^ 1 << i % 8);
	}
	ck_assert(token_open(keys, TOKEN_CLICK, STR("t.example"), copy, &arena, &back));
}
END_TEST

START_TEST(token_keys_rotate)
{
	struct token_keys *both, *other;
	struct token back;

	ck_assert(token_keys_read(STR("7 " KEY_A "\n8 " KEY_B), &both, NULL));
	ck_assert(token_keys_read(STR("7 " KEY_B), &other, NULL));
	ck_assert_uint_eq(token_keys_current(both), 8);

	struct str old = seal(keys, &sample, STR("t.example")), new = seal(both, &sample, STR("t.example"));

	ck_assert(!str_eq(old, new));
	ck_assert(token_open(both, TOKEN_CLICK, STR("t.example"), old, &arena, &back));
	ck_assert(token_open(both, TOKEN_CLICK, STR("t.example"), new, &arena, &back));
	ck_assert(!token_open(keys, TOKEN_CLICK, STR("t.example"), new, &arena, &back));
	ck_assert(!token_open(other, TOKEN_CLICK, STR("t.example"), old, &arena, &back));
	token_keys_free(both);
	token_keys_free(other);
}
END_TEST

static const struct { const char *text, *want; } key_file_rows[] = {
	{ "", "no key in it" },
	{ "# none\n", "no key in it" },
	{ "0 " KEY_A, "line 1: expected \"ID KEY [DAY]\", ID from 1 to 255" },
	{ "\n256 " KEY_A, "line 2: expected \"ID KEY [DAY]\", ID from 1 to 255" },
	{ "1 " KEY_A " 2026-02-30", "line 1: behind a key stands the day when it was made, 2026-11-21" },
	{ "1", "line 1: expected \"ID KEY [DAY]\", ID from 1 to 255" },
	{ "1 00", "line 1: a key has 128 hex digits" },
	{ "1 x" KEY_A, "line 1: a key has 128 hex digits" },
	{ "1 " KEY_A "\n1 " KEY_B, "line 2: key 1 is there twice" },
};
START_TEST(key_days)
{
	struct token_key_facts facts[TOKEN_KEYS_MAX];
	struct token_keys *mine;

	ck_assert(token_keys_read(STR("9 " KEY_A "\n2  " KEY_B "  2026-11-21\n"), &mine, NULL));
	ck_assert_uint_eq(token_keys_list(mine, facts), 2);
	ck_assert(facts[0].id == 9 && facts[0].made == TOKEN_DAY_UNKNOWN);
	ck_assert(facts[1].id == 2 && facts[1].made == jst_day_from_civil(2026, 11, 21));
	ck_assert_uint_eq(token_keys_current(mine), 2);
	token_keys_free(mine);
}
END_TEST

START_TEST(key_files)
{
	struct token_keys *none;
	struct err err;

	ck_assert(!token_keys_read(str_from_c(key_file_rows[_i].text), &none, &err));
	ck_assert_str_eq(err.text, key_file_rows[_i].want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("url");
	TCase *urls = tcase_create("url"), *tokens = tcase_create("token");

	unit_add_rows(urls, destinations, url_rows);
	unit_add_rows(urls, pages, page_rows);
	tcase_add_test(urls, query_in_another_charset);
	tcase_add_checked_fixture(tokens, setup, teardown);
	unit_add_rows(tokens, token_round_trip, token_rows);
	tcase_add_test(tokens, token_lengths);
	tcase_add_test(tokens, token_ends_in_letter_or_digit);
	tcase_add_test(tokens, token_opens_nothing_else);
	tcase_add_test(tokens, token_mutations);
	tcase_add_test(tokens, token_keys_rotate);
	unit_add_rows(tokens, key_files, key_file_rows);
	tcase_add_test(tokens, key_days);
	suite_add_tcase(suite, urls);
	suite_add_tcase(suite, tokens);
	return unit_main(suite);
}
