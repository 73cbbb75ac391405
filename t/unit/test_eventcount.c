/* config/base/eventcount: no wake is slept through, and one is enough for all. What got lost would end as a timeout. */
#include "t/lib/unit.h"

#include <pthread.h>
#include <sched.h>

#include "config/base/eventcount.h"

#define SLEEPERS 16

static struct eventcount event;
static atomic_int is_open, tickets, entered;

START_TEST(woken_before_sleep)
{
	uint32_t seen = eventcount_read(&event);

	eventcount_wake_one(&event);
	eventcount_sleep(&event, seen);
	seen = eventcount_read(&event);
	eventcount_wake_all(&event);
	eventcount_sleep(&event, seen);
	ck_assert_uint_eq(event.sleepers, 0);
}
END_TEST

static void *enter_when_open(void *arg)
{
	(void)arg;
	for (uint32_t seen; seen = eventcount_read(&event), !is_open;)
		eventcount_sleep(&event, seen);
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
	for (uint32_t seen; seen = eventcount_read(&event), !take_ticket();)
		eventcount_sleep(&event, seen);
	atomic_fetch_add(&entered, 1);
	return NULL;
}

static void start_sleepers(pthread_t threads[SLEEPERS], void *(*run)(void *))
{
	for (int i = 0; i < SLEEPERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run, NULL), 0);
	while (event.sleepers < SLEEPERS)
		sched_yield();
	ck_assert_int_eq(entered, 0);
}

START_TEST(one_wakes_all)
{
	pthread_t threads[SLEEPERS];

	start_sleepers(threads, enter_when_open);
	is_open = 1;
	eventcount_wake_all(&event);
	for (int i = 0; i < SLEEPERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(entered, SLEEPERS);
	ck_assert_uint_eq(event.sleepers, 0);
}
END_TEST

START_TEST(one_at_a_time)
{
	pthread_t threads[SLEEPERS];

	start_sleepers(threads, enter_with_ticket);
	for (int i = 1; i <= SLEEPERS; i++) {
		atomic_fetch_add(&tickets, 1);
		eventcount_wake_one(&event);
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
	Suite *suite = suite_create("eventcount");
	TCase *tc = tcase_create("eventcount");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, woken_before_sleep);
	tcase_add_test(tc, one_wakes_all);
	tcase_add_test(tc, one_at_a_time);
	return unit_main(suite);
}
