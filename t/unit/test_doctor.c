/* What the tool says in Japanese takes the same values in the same order, and every reason of doctor has its Japanese. */
#include "t/lib/unit.h"

#include "milter/tool/doctor.h"
#include "milter/tool/japanese.h"

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
	const struct japanese_row *const tables[] = { japanese_doctor, japanese_verify, japanese_reconcile };
	const struct japanese_row *row = tables[_i];

	ck_assert_ptr_nonnull(row->english);
	for (; row->english; row++) {
		struct str e = str_from_c(row->english), j = str_from_c(row->japanese), one, other;

		ck_assert_msg(strcmp(row->english, row->japanese) != 0, "not translated: %s", row->english);
		ck_assert_str_eq(japanese_of(row->english), row->japanese);
		do {
			one = conversion(&e);
			other = conversion(&j);
			ck_assert_msg(str_eq(one, other) || (str_eq(one, STR("%s")) && str_eq(other, STR("%.0s"))), "%s / %s: %.*s",
				      row->english, row->japanese, STR_ARG(one));
		} while (one.len);
	}
}
END_TEST

START_TEST(every_reason)
{
	const struct doctor_check *const tables[] = { doctor_gate_checks, doctor_reach_checks, doctor_postfix_checks,
						      doctor_ways_checks, doctor_mail_checks, doctor_sendmail_checks,
						      doctor_log_checks, doctor_cleaner_checks, doctor_store_checks,
						      doctor_keep_checks };

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct doctor_check *check = tables[i]; check->name; check++)
			ck_assert_msg(japanese_of(check->why) != check->why, "%s: no Japanese", check->name);
	ck_assert_str_eq(japanese_of("%s: %s"), "%s: %s");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tc = tcase_create("doctor");

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, same_conversions, 0, 3);
	tcase_add_test(tc, every_reason);
	return unit_main(suite);
}
