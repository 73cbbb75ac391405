/* Who sent what lately: slots that pass, rows that make room. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/traffic.h"

#define NOW (INT64_C(1795186800) * US_PER_S)
#define SECOND US_PER_S

START_TEST(counts_by_verdict)
{
	struct traffic *t = traffic_new();
	struct traffic_sum sums[4];

	clock_set(NOW);
	traffic_note(t, STR("acme"), TRAFFIC_ACCEPTED, 3);
	traffic_note(t, STR("acme"), TRAFFIC_REJECTED, 5);
	traffic_note(t, STR("ginza"), TRAFFIC_HELD, 2);
	traffic_note(t, STR_EMPTY, TRAFFIC_REJECTED, 1);
	ck_assert_uint_eq(traffic_read(t, sums, 4), 3);
	ck_assert_int_eq(sums[0].minute[TRAFFIC_REJECTED], 2);
	ck_assert_int_eq(sums[0].total[TRAFFIC_RECIPIENTS], 5);
	ck_assert_str_eq(sums[1].name, "acme");
	ck_assert_int_eq(sums[1].minute[TRAFFIC_ACCEPTED], 1);
	ck_assert_int_eq(sums[1].minute[TRAFFIC_RECIPIENTS], 3);       /* what is refused reaches nobody */
	ck_assert_str_eq(sums[2].name, "ginza");
	ck_assert_int_eq(sums[2].last_us, NOW);
	ck_assert_uint_eq(traffic_read(t, sums, 2), 2);
	traffic_free(t);
}
END_TEST

START_TEST(a_minute_passes)
{
	struct traffic *t = traffic_new();
	struct traffic_sum sums[2];

	for (int i = 0; i < 30; i++) {
		clock_set(NOW + i * 4 * SECOND);
		traffic_note(t, STR("acme"), TRAFFIC_ACCEPTED, 1);
	}
	traffic_read(t, sums, 2);
	ck_assert_int_eq(sums[1].total[TRAFFIC_ACCEPTED], 30);
	ck_assert_int_eq(sums[1].minute[TRAFFIC_ACCEPTED], 15);        /* every 4 s, for the slots from 60 s to 116 s */
	clock_set(NOW + 175 * SECOND);
	traffic_read(t, sums, 2);
	ck_assert_int_eq(sums[1].minute[TRAFFIC_ACCEPTED], 0);
	ck_assert_int_eq(sums[1].total[TRAFFIC_ACCEPTED], 30);
	clock_set(NOW - 3600 * SECOND);        /* a clock that goes back loses nothing of the total */
	traffic_note(t, STR("acme"), TRAFFIC_ACCEPTED, 1);
	traffic_read(t, sums, 2);
	ck_assert_int_eq(sums[1].total[TRAFFIC_ACCEPTED], 31);
	traffic_free(t);
}
END_TEST

START_TEST(the_longest_rested_makes_room)
{
	struct traffic *t = traffic_new();
	static struct traffic_sum sums[TRAFFIC_TENANTS_MAX + 1];
	char name[32];
	bool has_first = false, has_second = false;

	for (int i = 0; i < TRAFFIC_TENANTS_MAX + 1; i++) {
		clock_set(NOW + i);
		snprintf(name, sizeof name, "tenant%d", i);
		traffic_note(t, str_from_c(name), TRAFFIC_ACCEPTED, 1);
		if (i == TRAFFIC_TENANTS_MAX - 1)
			traffic_note(t, STR("tenant0"), TRAFFIC_ACCEPTED, 1);
	}
	ck_assert_uint_eq(traffic_read(t, sums, TRAFFIC_TENANTS_MAX + 1), TRAFFIC_TENANTS_MAX + 1);
	for (size_t i = 1; i <= TRAFFIC_TENANTS_MAX; i++) {
		has_first |= strcmp(sums[i].name, "tenant0") == 0;
		has_second |= strcmp(sums[i].name, "tenant1") == 0;
	}
	ck_assert(has_first && !has_second);
	ck_assert_int_eq(sums[0].total[TRAFFIC_ACCEPTED], TRAFFIC_TENANTS_MAX + 2);
	traffic_note(NULL, STR("acme"), TRAFFIC_ACCEPTED, 1);
	traffic_free(t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("traffic");
	TCase *tc = tcase_create("traffic");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, counts_by_verdict);
	tcase_add_test(tc, a_minute_passes);
	tcase_add_test(tc, the_longest_rested_makes_room);
	return unit_main(suite);
}
