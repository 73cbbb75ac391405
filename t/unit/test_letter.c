/* milter/letter: in whatever pieces a body comes, in memory or on disk, what goes out is what rewrite_render writes. */
#include "t/lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/letter.h"

static struct token_keys *keys;
static struct config config;
static const struct tenant tenant = {
	.name = STR_INIT("acme"), .tracking_host = STR_INIT("track.acme.example"),
	.tracks_opens = true, .tracks_clicks = true, .adds_list_unsubscribe = true,
};
static const struct header fields[] = {
	{ .name = STR_INIT("MIME-Version"), .value = STR_INIT("1.0") },
	{ .name = STR_INIT("Message-ID"), .value = STR_INIT("<1@acme.example>") },
	{ .name = STR_INIT("Content-Type"), .value = STR_INIT("text/html; charset=utf-8") },
	{ .name = STR_INIT("Content-Transfer-Encoding"), .value = STR_INIT("8bit") },
	{ .name = STR_INIT("X-Sekisho-Track"), .value = STR_INIT("id=spring") },
};
static const struct str recipient = STR_INIT("reader@example.net");

static void setup(void)
{
	char key[TOKEN_KEY_LEN * 2 + 8] = "1 ";
	struct err err;

	for (size_t i = 0; i < TOKEN_KEY_LEN * 2; i++)
		key[2 + i] = "0123456789abcdef"[i * 7 % 16];
	ck_assert_msg(token_keys_read(str_of(key, 2 + TOKEN_KEY_LEN * 2), &keys, &err), "%s", err.text);
	config = (struct config){ .transaction_memory_max = 256 << 10, .tracking_spool_max = 64 << 20,
				  .state_dir = str_from_c(unit_dir()) };
	clock_set(INT64_C(1790000000) * 1000000);
}

/* A page of about `size` octets with a link every 4 000. */
static void make_page(size_t size, struct buf *out)
{
	buf_add_c(out, "<html><body>\r\n");
	for (size_t i = 0; out->len + 16 < size; i++) {
		if (i % 100 == 0)
			buf_printf(out, "<a href=\"https://example.org/%zu?a=1&amp;b=2\">x</a>\r\n", i);
		else
			buf_add_c(out, &"<p>Forty octets of a line, more or less</p>\r\n"[i % 3]);
	}
	buf_add_c(out, "</body></html>\r\n");
}

static void feed(struct letter *letter, struct str body, size_t piece)
{
	letter_begin(letter, &config);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		letter_add_field(letter, fields[i].name, fields[i].value);
	for (size_t at = 0; at < body.len; at += piece)
		letter_add_body(letter, str_slice(body, at, piece));
}

static void collect(struct letter *letter, struct buf *out)
{
	struct str chunk;

	buf_init(out, 256 << 20);
	while (letter_next_chunk(letter, &chunk)) {
		ck_assert_uint_le(chunk.len, LETTER_CHUNK);
		buf_add(out, chunk);
	}
}

static void expect(struct str body, struct buf *out)
{
	const struct rewrite_rules rules = rewrite_rules_of(&tenant, keys);
	const struct rewrite_message message = { .fields = fields, .field_count = sizeof fields / sizeof *fields, .body = body,
						 .recipient = recipient, .day = (uint16_t)jst_day(clock_now_us()) };
	static struct rewrite_result result;
	struct arena arena;
	struct err err;

	arena_init(&arena, 256 << 20);
	ck_assert(rewrite_message(&rules, &message, &arena, &result, &err));
	buf_init(out, 256 << 20);
	edit_apply(body, &result.body, out);
	arena_clear(&arena);
}

static const struct { const char *name; size_t size, piece; bool is_spooled; } rows[] = {
	{ "small, in one piece", 3000, SIZE_MAX / 2, false },
	{ "small, octet by octet", 3000, 1, false },
	{ "as large as memory holds", LETTER_MEMORY_MAX - 200, 65535, false },
	{ "more than memory holds", LETTER_MEMORY_MAX + 200, 65535, true },
	{ "more than memory holds, at once", LETTER_MEMORY_MAX + 200, SIZE_MAX / 2, true },
	{ "large, in odd pieces", 3 << 20, 8191, true },
};
START_TEST(same_octets)
{
	struct buf page, want, got;
	struct letter letter;

	buf_init(&page, 16 << 20);
	make_page(rows[_i].size, &page);
	expect(buf_view(&page), &want);
	feed(&letter, buf_view(&page), rows[_i].piece < page.len ? rows[_i].piece : page.len);
	ck_assert_msg((letter.spool >= 0) == rows[_i].is_spooled, "%s", rows[_i].name);
	ck_assert(letter_take_turn(&letter, 0));
	letter_rewrite(&letter, &tenant, keys, recipient);
	ck_assert_msg(!letter.why_not, "%s: %s", rows[_i].name, letter.why_not);
	ck_assert(letter_has_new_body(&letter));
	collect(&letter, &got);
	ck_assert_msg(got.len > page.len && str_eq(buf_view(&got), buf_view(&want)), "%s", rows[_i].name);
	letter_end(&letter);
	buf_clear(&page);
	buf_clear(&want);
	buf_clear(&got);
}
END_TEST

/* Nothing is left behind in state_dir, whatever became of the letters. */
static size_t files_in_state_dir(void)
{
	DIR *dir = opendir(unit_dir());
	size_t count = 0;

	for (const struct dirent *entry; (entry = readdir(dir)); )
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

START_TEST(disk_space_is_bounded)
{
	struct letter one, two;
	struct buf page;

	config.tracking_spool_max = 1 << 20;
	buf_init(&page, 16 << 20);
	make_page(600 << 10, &page);
	feed(&one, buf_view(&page), 65535);
	ck_assert_ptr_null(one.why_not);
	feed(&two, buf_view(&page), 65535);
	ck_assert_ptr_nonnull(two.why_not);
	letter_rewrite(&two, &tenant, keys, recipient);
	ck_assert_ptr_null(two.changes);
	ck_assert_uint_eq(letter_steer_left(&two), 1);          /* what its sender told us is for nobody else */
	ck_assert(letter_take_turn(&one, 0));
	letter_rewrite(&one, &tenant, keys, recipient);
	ck_assert_uint_eq(letter_steer_left(&one), 0);          /* a change names it */
	letter_end(&two);
	letter_end(&one);
	feed(&two, buf_view(&page), 65535);     /* room again */
	ck_assert_ptr_null(two.why_not);
	letter_end(&two);
	ck_assert_uint_eq(files_in_state_dir(), 0);
	buf_clear(&page);
}
END_TEST

static int writes_left;

static ssize_t write_until_full(int fd, const void *data, size_t n)
{
	if (writes_left-- > 0)
		return write(fd, data, n);
	errno = ENOSPC;
	return -1;
}

/* The n-th write fails, for each n: the letter stays as it is, and says why. */
START_TEST(full_disk)
{
	ssize_t (*const real)(int, const void *, size_t) = io_calls.write;
	struct letter letter;
	struct buf page;
	int n = 0;

	buf_init(&page, 16 << 20);
	make_page(600 << 10, &page);
	io_calls.write = write_until_full;
	for (bool is_done = false; !is_done; n++) {
		writes_left = n;
		feed(&letter, buf_view(&page), 65535);
		is_done = !letter.why_not;
		letter_take_turn(&letter, 0);
		letter_rewrite(&letter, &tenant, keys, recipient);
		ck_assert_int_eq(letter.why_not != NULL, !letter_has_new_body(&letter));
		letter_end(&letter);
	}
	io_calls.write = real;
	ck_assert_int_gt(n, 5);
	ck_assert_uint_eq(files_in_state_dir(), 0);
	buf_clear(&page);
}
END_TEST

START_TEST(turns)
{
	struct letter letters[LETTER_TURNS + 1];
	struct buf page;

	buf_init(&page, 16 << 20);
	make_page(300 << 10, &page);
	for (size_t i = 0; i <= LETTER_TURNS; i++) {
		feed(&letters[i], buf_view(&page), 65535);
		ck_assert_int_eq(letter_take_turn(&letters[i], 1000), i < LETTER_TURNS);
	}
	letter_rewrite(&letters[LETTER_TURNS], &tenant, keys, recipient);
	ck_assert_ptr_nonnull(letters[LETTER_TURNS].why_not);
	letter_end(&letters[LETTER_TURNS]);
	letter_end(&letters[0]);
	feed(&letters[0], buf_view(&page), 65535);
	ck_assert(letter_take_turn(&letters[0], 1000));
	for (size_t i = 0; i < LETTER_TURNS; i++)
		letter_end(&letters[i]);
	buf_clear(&page);
}
END_TEST

/* A header over transaction_memory_max, and one field too many for it. */
START_TEST(large_header)
{
	static char value[100000];
	struct letter letter;

	memset(value, 'x', sizeof value);
	letter_begin(&letter, &config);
	for (int i = 0; i < 4; i++)
		letter_add_field(&letter, STR("X-Long"), str_of(value, sizeof value));
	letter_add_field(&letter, STR("x-sekisho-track"), STR("off"));
	letter_add_body(&letter, STR("hello\r\n"));
	letter_rewrite(&letter, &tenant, keys, recipient);
	ck_assert_ptr_nonnull(letter.why_not);
	ck_assert_uint_eq(letter_steer_left(&letter), 1);
	letter_end(&letter);
	letter_end(&letter);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("letter");
	TCase *tc = tcase_create("letter");

	unit_dir();
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, NULL);
	unit_add_rows(tc, same_octets, rows);
	tcase_add_test(tc, disk_space_is_bounded);
	tcase_add_test(tc, full_disk);
	tcase_add_test(tc, turns);
	tcase_add_test(tc, large_header);
	return unit_main(suite);
}
