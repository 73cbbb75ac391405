/*
 * How fast pages are rewritten: 64 KB with 50 links in UTF-8 (as it is, in quoted-printable, in base64) and in
 * ISO-2022-JP, and 5 MB. Everything that a message costs is in it: structure, decoding, tokens, edits, the new body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "milter/mail/base64.h"
#include "milter/mail/qp.h"
#include "milter/rewrite.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A newsletter: tables, styles, text, and a link every now and then. */
static void page_make(struct buf *out, size_t size, int links, const char *word)
{
	size_t step = size / (size_t)links;

	buf_add_c(out, "<!DOCTYPE html>\r\n<html><head><title>News</title><style>td { padding: 0 }</style></head>\r\n<body>\r\n<table>\r\n");
	for (int i = 0; i < links; i++) {
		size_t end = (size_t)(i + 1) * step;

		buf_printf(out, "<tr><td><a href=\"https://www.example.com/articles/%d?utm_source=news&amp;utm_campaign=autumn\">%s</a>", i, word);
		while (out->len + 200 < end)
			buf_printf(out, "<p style=\"margin:0;font-size:14px;line-height:20px\">%s, %s %s, <b>%s</b> &mdash; %s %s.</p>\r\n",
				   word, word, word, word, word, word);
		buf_add_c(out, "</td></tr>\r\n");
	}
	buf_add_c(out, "</table>\r\n</body></html>\r\n");
}

static void measure(const char *name, struct rewrite_rules *rules, const char *charset, const char *encoding, struct str body, size_t page)
{
	struct header fields[] = {
		{ .name = STR("Message-ID"), .value = STR("<1@example.com>") },
		{ .name = STR("Content-Type"), .value = str_from_c(charset) },
		{ .name = STR("Content-Transfer-Encoding"), .value = str_from_c(encoding) },
	};
	struct rewrite_message message = { .fields = fields, .field_count = 3, .body = body };
	struct rewrite_result result;
	struct arena arena;
	struct buf out;
	double begin, spent;
	int rounds = 0;

	arena_init(&arena, (size_t)1 << 30);
	buf_init(&out, (size_t)1 << 30);
	begin = now();
	do {
		buf_reset(&out);
		if (!rewrite_message(rules, &message, &arena, &result, NULL))
			abort();
		edit_apply(message.body, &result.body, &out);
		arena_clear(&arena);
		rounds++;
	} while ((spent = now() - begin) < 0.5);
	printf("%-28s %6zu KB of HTML, %5zu links: %7.0f MB/s\n", name, page / 1024, result.links, (double)page * rounds / spent / 1e6);
	buf_clear(&out);
}

int main(void)
{
	struct rewrite_rules rules = { .tenant = STR("acme"), .host = STR("t.example.com"), .opens = true, .clicks = true };
	struct buf page, coded;
	struct err err;
	struct token_keys *keys;

	if (!token_keys_read(STR("1 " KEY), &keys, &err))
		return EXIT_FAILURE;
	rules.keys = keys;
	buf_init(&page, (size_t)1 << 26);
	buf_init(&coded, (size_t)1 << 26);
	page_make(&page, 65536, 50, "\xe3\x81\x8a\xe7\x9f\xa5\xe3\x82\x89\xe3\x81\x9b");
	measure("UTF-8, 8bit", &rules, "text/html; charset=utf-8", "8bit", buf_view(&page), page.len);
	qp_encode(buf_view(&page), STR("\r\n"), &coded);
	measure("UTF-8, quoted-printable", &rules, "text/html; charset=utf-8", "quoted-printable", buf_view(&coded), page.len);
	buf_reset(&coded);
	base64_encode(buf_view(&page), STR("\r\n"), &coded);
	measure("UTF-8, base64", &rules, "text/html; charset=utf-8", "base64", buf_view(&coded), page.len);
	buf_reset(&page);
	page_make(&page, 65536, 50, "\033$B$*CN$i$;\033(B");
	measure("ISO-2022-JP, 7bit", &rules, "text/html; charset=iso-2022-jp", "7bit", buf_view(&page), page.len);
	buf_reset(&page);
	page_make(&page, (size_t)5 << 20, 4000, "News from us to you");
	measure("ASCII, 8bit", &rules, "text/html; charset=utf-8", "8bit", buf_view(&page), page.len);
	buf_clear(&page);
	buf_clear(&coded);
	token_keys_free(keys);
	return EXIT_SUCCESS;
}
