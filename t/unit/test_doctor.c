/* What doctor says in Japanese takes the same values in the same order, and every reason has its Japanese. */
#include "t/lib/unit.h"

#include "milter/tool/doctor.h"

/* "%s", "%.*s", "%lld": the next conversion, or an empty str. */
static struct str conversion(struct str *rest)
{
	size_t at = str_find_byte(*rest, '%'), len = 1;
	struct str s = str_from(*rest, at);

	while (len < s.len && !ascii_is_alpha(s.ptr[len]) && s.ptr[len] != '%')
		len++;
	while (len < s.len && (s.ptr[len] == 'l' || s.ptr[len] == 'z'))
		len++;
	*rest = str_from(s, s.len ? len + 1 : 0);
	return str_slice(s, 0, s.len ? len + 1 : 0);
}

START_TEST(same_conversions)
{
	const char *english, *japanese;
	size_t rows = 0;

	for (; doctor_japanese_row(rows, &english, &japanese); rows++) {
		struct str e = str_from_c(english), j = str_from_c(japanese), one;

		ck_assert_msg(strcmp(english, japanese) != 0, "not translated: %s", english);
		do {
			one = conversion(&e);
			ck_assert_msg(str_eq(one, conversion(&j)), "%s / %s: %.*s", english, japanese, STR_ARG(one));
		} while (one.len);
	}
	ck_assert_uint_gt(rows, 100);
}
END_TEST

START_TEST(every_reason)
{
	const struct doctor_check *const tables[] = { doctor_gate_checks,  doctor_reach_checks, doctor_postfix_checks,
						      doctor_ways_checks, doctor_sendmail_checks, doctor_log_checks, doctor_store_checks,
						      doctor_keep_checks };

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct doctor_check *check = tables[i]; check->name; check++)
			ck_assert_msg(doctor_japanese(check->why) != check->why, "%s: no Japanese", check->name);
	ck_assert_str_eq(doctor_japanese("%s: %s"), "%s: %s");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tc = tcase_create("doctor");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, same_conversions);
	tcase_add_test(tc, every_reason);
	return unit_main(suite);
}
