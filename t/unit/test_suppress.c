/* policy/suppress: an entry is kept as it was said until its end, is never weakened, and goes when mail arrives only if a
 * bounce made it. */
#include "t/lib/unit.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "policy/suppress.h"
#include "t/lib/store_fake.h"

#define ACME STR("acme")
#define NEKO STR("neko@example.jp")
#define DAY(n) ((int64_t)(n) * DAY_US)

static struct store_fake fake;
static struct arena arena;
static int64_t now_us;

static void setup(void)
{
	now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21));
	clock_set(now_us);
	store_fake_init(&fake);
	arena_init(&arena, (size_t)1 << 20);
}

static void teardown(void)
{
	store_fake_clear(&fake);
	arena_clear(&arena);
	clock_set(0);
}

static struct suppression find(struct str recipient, bool *found)
{
	struct suppression got = { .source = SUPPRESS_SOURCE_COUNT };
	struct err err = { 0 };

	ck_assert_msg(suppress_find(&fake.store, ACME, recipient, &arena, &got, found, &err), "%s", err.text);
	return got;
}

START_TEST(kept)
{
	const struct suppression said = { .recipient = STR("Neko@Example.JP"), .source = SUPPRESS_COMPLAINT,
					  .reason = STR("feedback"), .by = STR("arf 1 2 3"), .since_us = now_us,
					  .scope = STR("@news.example"), .until_us = now_us + DAY(2) };
	bool found;

	ck_assert(suppress_add(&fake.store, ACME, &said, NULL));
	ck_assert_ptr_nonnull(store_fake_find(&fake, "sekisho:{acme}:suppress:neko@example.jp"));

	struct suppression got = find(STR("NEKO@example.jp"), &found);

	ck_assert(found);
	ck_assert_str_is(got.recipient, NEKO);
	ck_assert_int_eq(got.source, SUPPRESS_COMPLAINT);
	ck_assert_str_is(got.reason, said.reason);
	ck_assert_str_is(got.by, said.by);
	ck_assert_str_is(got.scope, said.scope);
	ck_assert_int_eq(got.since_us, now_us);
	ck_assert_int_eq(got.until_us, said.until_us);
	clock_set(now_us + DAY(2) - 1);
	find(NEKO, &found);
	ck_assert(found);
	clock_set(now_us + DAY(2));
	find(NEKO, &found);
	ck_assert(!found);
}
END_TEST

/* Old and new, days until each ends (0: never), and what stands afterwards. */
static const struct {
	const char *name;
	enum suppress_source old, new;
	int old_days, new_days;
	const char *old_scope, *new_scope;
	const char *want_reason;
	int want_days;
	const char *want_scope;
} join_rows[] = {
	{ "the same again, later", SUPPRESS_BOUNCE, SUPPRESS_BOUNCE, 10, 30, "", "", "new", 30, "" },
	{ "the same again, earlier", SUPPRESS_BOUNCE, SUPPRESS_BOUNCE, 30, 10, "", "", "old", 30, "" },
	{ "a bounce of somebody who left", SUPPRESS_UNSUBSCRIBE, SUPPRESS_BOUNCE, 0, 30, "", "", "old", 0, "" },
	{ "left after a bounce", SUPPRESS_BOUNCE, SUPPRESS_UNSUBSCRIBE, 30, 0, "", "", "new", 0, "" },
	{ "complaint, shorter than the bounce", SUPPRESS_BOUNCE, SUPPRESS_COMPLAINT, 30, 10, "", "", "new", 30, "" },
	{ "never stays never", SUPPRESS_OPERATOR, SUPPRESS_OPERATOR, 0, 10, "", "", "old", 0, "" },
	{ "one sender and all", SUPPRESS_UNSUBSCRIBE, SUPPRESS_BOUNCE, 10, 10, "@a.example", "", "old", 10, "" },
	{ "all and one sender", SUPPRESS_BOUNCE, SUPPRESS_UNSUBSCRIBE, 10, 10, "", "@a.example", "new", 10, "" },
	{ "two senders", SUPPRESS_UNSUBSCRIBE, SUPPRESS_UNSUBSCRIBE, 10, 10, "@a.example", "@b.example", "new", 10,
	  "@a.example @b.example" },
	{ "the same sender", SUPPRESS_UNSUBSCRIBE, SUPPRESS_UNSUBSCRIBE, 10, 10, "@a.example b@c", "@A.example", "new", 10,
	  "@a.example b@c" },
};
START_TEST(joined)
{
	struct suppression old = { .recipient = NEKO, .source = join_rows[_i].old, .reason = STR("old"),
				   .scope = str_from_c(join_rows[_i].old_scope),
				   .until_us = join_rows[_i].old_days ? now_us + DAY(join_rows[_i].old_days) : 0 };
	struct suppression new = { .recipient = NEKO, .source = join_rows[_i].new, .reason = STR("new"),
				   .scope = str_from_c(join_rows[_i].new_scope),
				   .until_us = join_rows[_i].new_days ? now_us + DAY(join_rows[_i].new_days) : 0 };
	char scope[128];
	bool found;

	ck_assert(suppress_add(&fake.store, ACME, &old, NULL));
	ck_assert(suppress_add(&fake.store, ACME, &new, NULL));

	struct suppression got = find(NEKO, &found);

	ck_assert(found);
	snprintf(scope, sizeof scope, STR_FMT, STR_ARG(got.scope));
	ck_assert_msg(str_eq(got.reason, str_from_c(join_rows[_i].want_reason)), "%s", join_rows[_i].name);
	ck_assert_int_eq(got.source, join_rows[_i].old > join_rows[_i].new ? join_rows[_i].old : join_rows[_i].new);
	ck_assert_int_eq(got.until_us, join_rows[_i].want_days ? now_us + DAY(join_rows[_i].want_days) : 0);
	ck_assert_str_eq(scope, join_rows[_i].want_scope);
}
END_TEST

static const struct {
	const char *scope, *sender;
	bool want;
} cover_rows[] = {
	{ "", "anybody@example", true },           { "", "", true },
	{ "@a.example", "x@a.example", true },     { "@a.example", "x@b.example", false },
	{ "b@c @a.example", "B@C", true },         { "@*.a.example", "x@news.a.example", true },
	{ "@a.example", "", false },               { " ", "x@a.example", false },
};
START_TEST(covers)
{
	const struct suppression s = { .scope = str_from_c(cover_rows[_i].scope) };

	ck_assert_msg(suppress_covers(&s, str_from_c(cover_rows[_i].sender)) == cover_rows[_i].want, "row %d", _i);
}
END_TEST

START_TEST(released)
{
	for (int source = 0; source < SUPPRESS_SOURCE_COUNT; source++) {
		const struct suppression s = { .recipient = NEKO, .source = (enum suppress_source)source };
		bool was, found;

		ck_assert(suppress_add(&fake.store, ACME, &s, NULL));
		ck_assert(suppress_release(&fake.store, ACME, NEKO, &was, NULL));
		ck_assert(was == (source == SUPPRESS_BOUNCE));
		find(NEKO, &found);
		ck_assert(found == !was);
		ck_assert(suppress_remove(&fake.store, ACME, STR("NEKO@EXAMPLE.JP"), &found, NULL));
		ck_assert(found == !was);
	}
}
END_TEST

static bool count(void *arg, const struct suppression *entry)
{
	ck_assert_uint_gt(entry->recipient.len, 0);
	(*(int *)arg)++;
	return true;
}

/* Odd and long recipients: a key of their own each, the value tells them whole. */
START_TEST(odd_recipients)
{
	static char many[SUPPRESS_RECIPIENT_MAX + 1];
	struct suppression s = { .source = SUPPRESS_BOUNCE };
	size_t damaged;
	bool found;
	int n = 0;

	memset(many, 'a', sizeof many);
	const struct str odd[] = { str_of(many, SUPPRESS_RECIPIENT_MAX), str_of(many, SUPPRESS_RECIPIENT_MAX - 1),
				   STR("\"j doe\"@x"), STR("a:b@x"), STR("{acme}@x"), STR("\xe7\x8c\xab@x"), STR("*") };

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		s.recipient = odd[i];
		ck_assert(suppress_add(&fake.store, ACME, &s, NULL));
		ck_assert_str_is(find(odd[i], &found).recipient, odd[i]);
	}
	ck_assert(suppress_each(&fake.store, ACME, count, &n, &damaged, NULL));
	ck_assert_int_eq(n, 7);
	ck_assert_uint_eq(damaged, 0);

	const struct str bad[] = { STR_EMPTY, STR("a\nb@x"), STR("a\x7f@x"), str_of("a\0b", 3), str_of(many, sizeof many) };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err err = { 0 };

		s.recipient = bad[i];
		ck_assert(!suppress_add(&fake.store, ACME, &s, &err));
		ck_assert_int_eq(err.kind, ERR_INPUT);
	}
}
END_TEST

static const char *const damaged_rows[] = {
	"", "x", "1 bounce 0 0 0 0 0", "2 bounce 0 0 0 0 0\n", "1 whim 0 0 0 0 0\n", "1 bounce x 0 0 0 0\n", "1 bounce 0 0 9 0 0\nneko",
	"1 bounce 0 0 4 1 0\nneko", "1 bounce 0 0 0 0\n", "1 bounce 0 0 0 0 0 0\n", "1 bounce 0 0 18446744073709551615 0 0\nx",
};
START_TEST(damaged)
{
	struct str value = unit_wall(str_from_c(damaged_rows[_i]));
	const struct suppression s = { .recipient = NEKO };
	struct suppression got;
	struct err err = { 0 };
	size_t bad;
	bool found;
	int n = 0;

	ck_assert(fake.store.ops->put(&fake.store, STR("sekisho:{acme}:suppress:neko@example.jp"), value, DAY(1), NULL));
	ck_assert(!suppress_find(&fake.store, ACME, NEKO, &arena, &got, &found, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	ck_assert(suppress_each(&fake.store, ACME, count, &n, &bad, NULL));
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(bad, 1);
	ck_assert(suppress_add(&fake.store, ACME, &s, NULL));
	find(NEKO, &found);
	ck_assert(found);
	unit_wall_free(value);
}
END_TEST

/* A store that fails while looking must not let a weak entry replace a strong one. */
START_TEST(store_gone)
{
	const struct suppression s = { .recipient = NEKO, .source = SUPPRESS_OPERATOR };
	struct suppression got;
	struct err err = { 0 };
	bool found, was;
	size_t bad;

	fake.failing = FAKE_GET;
	ck_assert(!suppress_add(&fake.store, ACME, &s, &err));
	ck_assert_str_eq(err.text, "suppressing neko@example.jp: the fake is gone");
	ck_assert_int_eq(fake.puts, 0);
	ck_assert(!suppress_find(&fake.store, ACME, NEKO, &arena, &got, &found, &err));
	ck_assert(!suppress_release(&fake.store, ACME, NEKO, &was, &err));
	ck_assert(!suppress_remove(&fake.store, ACME, NEKO, &was, &err));
	ck_assert_str_eq(err.text, "releasing neko@example.jp: the fake is gone");
	fake.failing = FAKE_SCAN;
	ck_assert(!suppress_each(&fake.store, ACME, count, NULL, &bad, &err));
}
END_TEST

static bool openssl_has_memory = true;

static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return openssl_has_memory ? malloc(n) : NULL;
}

static void *openssl_realloc(void *old, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return openssl_has_memory ? realloc(old, n) : NULL;
}

static void openssl_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

/* A key that is hashed is the same one then. */
START_TEST(no_memory_to_hash)
{
	const struct suppression s = { .recipient = STR("o'hara@example.test"), .source = SUPPRESS_OPERATOR };
	bool found;

	ck_assert(suppress_add(&fake.store, ACME, &s, NULL));
	openssl_has_memory = false;
	find(s.recipient, &found);
	openssl_has_memory = true;
	ck_assert(found);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("suppress");
	TCase *tcase = tcase_create("suppress");

	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, kept);
	unit_add_rows(tcase, joined, join_rows);
	unit_add_rows(tcase, covers, cover_rows);
	tcase_add_test(tcase, released);
	tcase_add_test(tcase, odd_recipients);
	unit_add_rows(tcase, damaged, damaged_rows);
	tcase_add_test(tcase, store_gone);
	tcase_add_test(tcase, no_memory_to_hash);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
