/* config/base/bell: no ring is slept through, and one is enough for all. A wake-up that got lost would end as a timeout. */
#include "t/lib/unit.h"

#include <pthread.h>
#include <sched.h>

#include "config/base/bell.h"

#define SLEEPERS 16

static struct bell bell;
static atomic_int is_open, tickets, entered;

START_TEST(rung_before_sleep)
{
	uint32_t heard = bell_listen(&bell);

	bell_ring_one(&bell);
	bell_sleep(&bell, heard);
	heard = bell_listen(&bell);
	bell_ring_all(&bell);
	bell_sleep(&bell, heard);
	ck_assert_uint_eq(bell.sleepers, 0);
}
END_TEST

static void *enter_when_open(void *arg)
{
	(void)arg;
	for (uint32_t heard; heard = bell_listen(&bell), !is_open;)
		bell_sleep(&bell, heard);
	atomic_fetch_add(&entered, 1);
	return NULL;
}

static bool take_ticket(void)
{
	int left = tickets;

	while (left && !atomic_compare_exchange_weak(&tickets, &left, left - 1))
		;
	return left > 0;
}

static void *enter_with_ticket(void *arg)
{
	(void)arg;
	for (uint32_t heard; heard = bell_listen(&bell), !take_ticket();)
		bell_sleep(&bell, heard);
	atomic_fetch_add(&entered, 1);
	return NULL;
}

static void start_sleepers(pthread_t threads[SLEEPERS], void *(*run)(void *))
{
	for (int i = 0; i < SLEEPERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run, NULL), 0);
	while (bell.sleepers < SLEEPERS)
		sched_yield();
	ck_assert_int_eq(entered, 0);
}

START_TEST(one_ring_wakes_all)
{
	pthread_t threads[SLEEPERS];

	start_sleepers(threads, enter_when_open);
	is_open = 1;
	bell_ring_all(&bell);
	for (int i = 0; i < SLEEPERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(entered, SLEEPERS);
	ck_assert_uint_eq(bell.sleepers, 0);
}
END_TEST

START_TEST(one_at_a_time)
{
	pthread_t threads[SLEEPERS];

	start_sleepers(threads, enter_with_ticket);
	for (int i = 1; i <= SLEEPERS; i++) {
		atomic_fetch_add(&tickets, 1);
		bell_ring_one(&bell);
		while (entered < i)
			sched_yield();
		ck_assert_int_eq(entered, i);
	}
	for (int i = 0; i < SLEEPERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(tickets, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bell");
	TCase *tc = tcase_create("bell");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, rung_before_sleep);
	tcase_add_test(tc, one_ring_wakes_all);
	tcase_add_test(tc, one_at_a_time);
	return unit_main(suite);
}
