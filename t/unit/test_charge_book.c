/* policy/charge_book: what is noted comes out once, and not after its time. */
#include "t/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/charge_book.h"

static struct charge_note note(struct str key, int64_t delta)
{
	return (struct charge_note){ .take = { .key = key, .window = WINDOW_ROLLING, .period_us = US_PER_S },
				     .mark = { .delta = delta } };
}

START_TEST(comes_out_once)
{
	struct charge_book *book = charge_book_new();
	const struct charge_note notes[] = { note(STR("key one"), 1), note(STR("key two"), 2) };

	ck_assert(charge_book_add(book, STR("acme"), STR("c1"), notes, 2, 0, 100));
	ck_assert_ptr_null(charge_book_take(book, STR("other"), STR("c1"), 0));
	ck_assert_ptr_null(charge_book_take(book, STR("acme"), STR("c2"), 0));

	struct charge_entry *entry = charge_book_take(book, STR("acme"), STR("c1"), 99);

	ck_assert_ptr_nonnull(entry);
	ck_assert_uint_eq(entry->count, 2);
	ck_assert_str_is(entry->notes[1].take.key, STR("key two"));
	ck_assert_int_eq(entry->notes[1].mark.delta, 2);
	free(entry);
	ck_assert_ptr_null(charge_book_take(book, STR("acme"), STR("c1"), 0));
	charge_book_free(book);
}
END_TEST

/* More than there are buckets, each replaced once, half of them past their time, the others taken in another order. */
START_TEST(holds_many)
{
	struct charge_book *book = charge_book_new();
	const struct charge_note one = note(STR("k"), 1), two = note(STR("k"), 2);
	const int count = 10000;
	char id[16];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < count; i++) {
			snprintf(id, sizeof id, "c%d", i);
			ck_assert(charge_book_add(book, STR("t"), str_from_c(id), round ? &two : &one, 1, 0, i % 2 ? 10 : 20));
		}
	for (int i = count - 1; i >= 0; i--) {
		snprintf(id, sizeof id, "c%d", i);
		struct charge_entry *entry = charge_book_take(book, STR("t"), str_from_c(id), 15);

		ck_assert_msg((entry != NULL) == (i % 2 == 0), "%s", id);
		if (entry)
			ck_assert_int_eq(entry->notes[0].mark.delta, 2);
		free(entry);
	}
	/* what is left is past its time and goes with the next one added */
	ck_assert(charge_book_add(book, STR("t"), STR("a"), &one, 1, 0, 10));
	ck_assert(charge_book_add(book, STR("t"), STR("b"), &one, 1, 10, 20));
	ck_assert_ptr_null(charge_book_take(book, STR("t"), STR("a"), 0));
	charge_book_free(book);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("charge_book");
	TCase *tc = tcase_create("charge_book");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, comes_out_once);
	tcase_add_test(tc, holds_many);
	return unit_main(suite);
}
