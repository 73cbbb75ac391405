/* policy/tally: one failure is one failure, whoever tells it, and counters end when their class ends. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "policy/tally.h"
#include "t/lib/store_fake.h"

static const struct record_class classes[] = {
	{ .name = STR_INIT("action"), .keep = { 365, true } },
	{ .name = STR_INIT("bounce-api"), .keep.days = 20 },
	{ .name = STR_INIT("relay"), .keep.days = 60 },
};
static const struct config config = { .classes = classes, .class_count = 3 };
static const struct tenant acme = { .name = STR_INIT("acme"), .record_class = STR_INIT("relay") };
static const struct tenant both = { .name = STR_INIT("both"), .record_class = STR_INIT("relay"), .bounce_class = STR_INIT("bounce-api") };
static const struct tenant api = { .name = STR_INIT("api"), .record_class = STR_INIT("bounce-api") };

static struct store_fake fake;
static int64_t now_us;

static void setup(void)
{
	now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21)) + 15 * 3600 * US_PER_S;
	clock_set(now_us);
	store_fake_init(&fake);
}

static void teardown(void)
{
	store_fake_clear(&fake);
	clock_set(0);
}

static bool tell(const struct tenant *tenant, const char *message, const char *recipient, const char *reason, bool is_hard)
{
	const struct tally_failure failure = { .message = str_from_c(message), .recipient = str_from_c(recipient),
					       .reason = str_from_c(reason), .is_hard = is_hard };
	struct err err = { 0 };
	bool first;

	ck_assert_msg(tally_failed(&fake.store, &config, tenant, &failure, &first, &err), "%s", err.text);
	return first;
}

static int64_t total(const char *key)
{
	const struct store_fake_fact *fact = store_fake_find(&fake, key);

	return fact ? fact->total : 0;
}

START_TEST(once)
{
	ck_assert(tell(&acme, "M1", "neko@example.jp", "userunknown", true));
	ck_assert(!tell(&acme, "M1", "Neko@Example.JP", "filtered", false));     /* the notice, read otherwise */
	ck_assert(tell(&acme, "M1", "tora@example.jp", "userunknown", true));    /* another recipient */
	ck_assert(tell(&acme, "M2", "neko@example.jp", "mailboxfull", false));   /* another message */
	ck_assert(tell(&api, "M1", "neko@example.jp", "userunknown", true));     /* another tenant */
	ck_assert(tell(&acme, "M1", "neko@example.jp", "feedback", false));      /* a complaint is no failure */
	ck_assert(!tell(&acme, "M1", "neko@example.jp", "feedback", false));
	ck_assert(tell(&acme, "", "neko@example.jp", "blocked", false));         /* nobody knows which message */
	ck_assert(tell(&acme, "", "neko@example.jp", "blocked", false));
	ck_assert_int_eq(total("sekisho:{acme}:bounce:2026-11-21:userunknown:hard"), 2);
	ck_assert_int_eq(total("sekisho:{acme}:bounce:2026-11-21:mailboxfull:soft"), 1);
	ck_assert_int_eq(total("sekisho:{acme}:bounce:2026-11-21:filtered:soft"), 0);
	ck_assert_int_eq(total("sekisho:{acme}:bounce:2026-11-21:blocked:soft"), 2);
	ck_assert_int_eq(total("sekisho:{acme}:bounced:2026-11-21:hard:example.jp"), 2);
	ck_assert_int_eq(total("sekisho:{acme}:bounced:2026-11-21:soft:example.jp"), 4);
	clock_set(now_us + TALLY_ONCE_US);
	ck_assert(tell(&acme, "M1", "neko@example.jp", "userunknown", true));
}
END_TEST

/* The last instant a counter lives, and the first it does not. */
static const struct {
	const struct tenant *tenant;
	const char *key;
	int year, month, day;
} end_rows[] = {
	{ &acme, "sekisho:{acme}:bounce:2026-11-21:expired:soft", 2027, 1, 21 },
	{ &api, "sekisho:{api}:bounce:2026-11-21:expired:soft", 2026, 12, 12 },
	{ &both, "sekisho:{both}:bounce:2026-11-21:expired:soft", 2026, 12, 12 },
};
START_TEST(ends)
{
	int64_t end_us = jst_day_start_us(jst_day_from_civil(end_rows[_i].year, end_rows[_i].month, end_rows[_i].day));

	tell(end_rows[_i].tenant, "M1", "a@b", "expired", false);
	clock_set(end_us - 1);
	ck_assert_int_eq(total(end_rows[_i].key), 1);
	clock_set(end_us);
	ck_assert_int_eq(total(end_rows[_i].key), 0);
}
END_TEST

START_TEST(ends_of_a_year)
{
	int64_t leap = jst_day_from_civil(2028, 2, 29);

	ck_assert_int_eq(tally_end_us(&classes[0], leap), jst_day_start_us(jst_day_from_civil(2029, 3, 2)));
}
END_TEST

struct sum {
	int64_t all, hard;
	int rows;
};

static bool add(void *arg, const struct tally_count *row)
{
	struct sum *sum = arg;

	sum->all += row->count;
	sum->hard += row->is_hard ? row->count : 0;
	sum->rows++;
	return true;
}

/* store_fake gives counters without their text, so this one is filled by hand. */
static void put(const char *key, const char *value)
{
	ck_assert(fake.store.ops->put(&fake.store, str_from_c(key), str_from_c(value), DAY_US, NULL));
}

START_TEST(looking)
{
	int64_t day = jst_day(now_us);
	struct sum reasons = { 0 }, domains = { 0 };

	put("sekisho:{acme}:bounce:2026-11-21:userunknown:hard", "3");
	put("sekisho:{acme}:bounce:2026-11-20:mailboxfull:soft", "4");
	put("sekisho:{acme}:bounce:2026-11-19:mailboxfull:soft", "99");
	put("sekisho:{acme}:bounce:2026-11-21:odd:neither", "99");
	put("sekisho:{acme}:bounce:2026-02-30:expired:soft", "99");
	put("sekisho:{acme}:bounce:2026-11-21:expired:soft", "many");
	put("sekisho:{acme}:bounce:", "1");
	put("sekisho:{acme}:bounced:2026-11-21:hard:example.jp", "3");
	put("sekisho:{acme}:bounced:2026-11-21:soft:a:b", "2");
	put("sekisho:{acme2}:bounce:2026-11-21:userunknown:hard", "99");
	ck_assert(tally_each_reason(&fake.store, acme.name, day - 1, day, add, &reasons, NULL));
	ck_assert_int_eq(reasons.rows, 2);
	ck_assert_int_eq(reasons.all, 7);
	ck_assert_int_eq(reasons.hard, 3);
	ck_assert(tally_each_domain(&fake.store, acme.name, day, day, add, &domains, NULL));
	ck_assert_int_eq(domains.all, 5);
	ck_assert_int_eq(domains.hard, 3);
}
END_TEST

START_TEST(store_gone)
{
	const struct tally_failure failure = { .message = STR("M"), .recipient = STR("a@b"), .reason = STR("expired") };
	struct err err = { 0 };
	bool first;

	fake.failing = FAKE_COUNT;
	ck_assert(!tally_failed(&fake.store, &config, &acme, &failure, &first, &err));
	ck_assert_str_eq(err.text, "counting a failure of tenant acme: the fake is gone");
	ck_assert(!tally_delivered(&fake.store, &config, &acme, STR_EMPTY, &err));
}
END_TEST

static const struct store_ops *fakes;
static int counts_left;        /* to the one that fails */

static bool count_until(struct store *st, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total, struct err *err)
{
	fake.failing = --counts_left == 0 ? FAKE_COUNT : 0;
	return fakes->count_add(st, key, n, ttl_us, out_total, err);
}

/* Not counted, it is not known: whoever tells it again is heard. */
START_TEST(told_again)
{
	const struct tally_failure failure = { .message = STR("M"), .recipient = STR("a@b"), .reason = STR("expired") };
	struct store_ops ops = *fake.store.ops;
	struct err err = { 0 };
	bool first = false;

	fakes = fake.store.ops;
	ops.count_add = count_until;
	fake.store.ops = &ops;
	counts_left = 2;
	ck_assert(!tally_failed(&fake.store, &config, &acme, &failure, &first, &err));
	ck_assert_msg(tally_failed(&fake.store, &config, &acme, &failure, &first, &err), "%s", err.text);
	ck_assert(first);
	ck_assert_int_eq(total("sekisho:{acme}:bounce:2026-11-21:expired:soft"), 1);
	ck_assert(tally_failed(&fake.store, &config, &acme, &failure, &first, &err) && !first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tally");
	TCase *tcase = tcase_create("tally");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, once);
	unit_add_rows(tcase, ends, end_rows);
	tcase_add_test(tcase, ends_of_a_year);
	tcase_add_test(tcase, looking);
	tcase_add_test(tcase, store_gone);
	tcase_add_test(tcase, told_again);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
