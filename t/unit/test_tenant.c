/* policy/tenant: a suspension is kept as it was said, until its end, and a damaged one frees nobody. */
#include "t/lib/unit.h"

#include "config/base/clock.h"
#include "policy/policy.h"
#include "policy/tenant.h"
#include "t/lib/store_fake.h"

#define HOUR_US (3600 * US_PER_S)
#define NAME STR("acme")

static const struct tenant acme = { .name = STR_INIT("acme"), .recipients_max = LIMIT_NONE, .size_max = LIMIT_NONE };
static const struct config config = { .default_tenant = &acme, .on_store_failure = STORE_FAILURE_DEFER };
static const struct policy_facts facts = { .sender = STR_INIT("s@acme.example") };

static struct store_fake fake;
static struct policy policy;
static struct arena arena;
static int64_t now_us;

static void setup(void)
{
	now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21));
	clock_set(now_us);
	store_fake_init(&fake);
	policy = (struct policy){ .store = &fake.store, .node = STR("n1") };
	arena_init(&arena, (size_t)1 << 20);
}

static void teardown(void)
{
	store_fake_clear(&fake);
	arena_clear(&arena);
}

static const struct {
	const char *name;
	struct suspension said;        /* until_us: from now */
	int64_t after_us;              /* when mail comes */
	enum verdict_action want;
} rows[] = {
	{ "without end", { .action = EXCESS_REJECT, .actor = STR_INIT("ops"), .reason = STR_INIT("spam") }, 3000 * HOUR_US,
	  VERDICT_REJECT },
	{ "for a time", { .action = EXCESS_DEFER, .until_us = 2 * HOUR_US, .reason = STR_INIT("wait\nfor it") }, HOUR_US,
	  VERDICT_DEFER },
	{ "held", { .action = EXCESS_HOLD, .actor = STR_INIT("a b"), .until_us = 2 * HOUR_US }, HOUR_US, VERDICT_HOLD },
	{ "over", { .action = EXCESS_DEFER, .until_us = 2 * HOUR_US }, 2 * HOUR_US, VERDICT_ACCEPT },
};
START_TEST(kept)
{
	struct suspension said = rows[_i].said, got;
	bool found, was, is_over = rows[_i].want == VERDICT_ACCEPT;
	struct verdict v;

	said.since_us = now_us;
	said.until_us += said.until_us ? now_us : 0;
	ck_assert(tenant_suspend(&fake.store, NAME, &said, NULL));
	ck_assert(tenant_suspension(&fake.store, NAME, (struct member){ 0 }, &arena, &got, &found, NULL));
	ck_assert(found);
	ck_assert_int_eq(got.action, said.action);
	ck_assert_int_eq(got.since_us, said.since_us);
	ck_assert_int_eq(got.until_us, said.until_us);
	ck_assert_str_is(got.actor, said.actor);
	ck_assert_str_is(got.reason, said.reason);

	clock_set(now_us + rows[_i].after_us);
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_msg(v.action == rows[_i].want, "%s: %d", rows[_i].name, v.action);
	if (!is_over) {
		ck_assert_int_eq(v.reason, REASON_SUSPENDED);
		ck_assert_str_is(v.detail, said.reason);
		ck_assert_int_eq(v.retry_at_us, said.until_us);
	}
	ck_assert(tenant_resume(&fake.store, NAME, (struct member){ 0 }, &was, NULL));
	ck_assert(was == !is_over);
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_int_eq(v.action, VERDICT_ACCEPT);
	ck_assert(tenant_resume(&fake.store, NAME, (struct member){ 0 }, &was, NULL));
	ck_assert(!was);
}
END_TEST

START_TEST(replaced)
{
	struct suspension first = { .action = EXCESS_DEFER, .reason = STR("first") }, second = { .action = EXCESS_HOLD }, got;
	bool found;

	ck_assert(tenant_suspend(&fake.store, NAME, &first, NULL));
	ck_assert(tenant_suspend(&fake.store, NAME, &second, NULL));
	ck_assert(tenant_suspension(&fake.store, NAME, (struct member){ 0 }, &arena, &got, &found, NULL));
	ck_assert(found);
	ck_assert_int_eq(got.action, EXCESS_HOLD);
	ck_assert_uint_eq(got.reason.len, 0);
	ck_assert(tenant_suspension(&fake.store, STR("acme2"), (struct member){ 0 }, &arena, &got, &found, NULL));
	ck_assert(!found);
}
END_TEST

static const char *const damaged_rows[] = {
	"", "x", "1", "1 defer 0 0 0", "2 defer 0 0 0\n", "1 never 0 0 0\n", "1 defer x 0 0\n", "1 defer 0 0 4\nops",
	"1 defer 0 0 -1\nops", "1 defer 0 0 18446744073709551615\nops", "1 defer 0 0\n", "1 defer 0 0 0 0\n",
};
START_TEST(damaged)
{
	struct str value = unit_wall(str_from_c(damaged_rows[_i]));
	struct suspension got;
	struct err err = { 0 };
	struct verdict v;
	bool found;

	ck_assert(fake.store.ops->put(&fake.store, STR("sekisho:{acme}:suspended"), value, HOUR_US, NULL));
	ck_assert(!tenant_suspension(&fake.store, NAME, (struct member){ 0 }, &arena, &got, &found, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	policy_on_mail(&policy, &config, &facts, &arena, &v);
	ck_assert_int_eq(v.action, VERDICT_DEFER);
	ck_assert_int_eq(v.reason, REASON_STORE);
	unit_wall_free(value);
}
END_TEST

START_TEST(bounds)
{
	static char many[5000];
	struct suspension s = { .action = EXCESS_DEFER, .until_us = now_us };
	struct err err = { 0 };

	ck_assert(!tenant_suspend(&fake.store, NAME, &s, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	s.until_us = now_us + TENANT_SUSPEND_MAX_US + 1;
	ck_assert(!tenant_suspend(&fake.store, NAME, &s, NULL));
	s.until_us = 0;
	memset(many, 'r', sizeof many);
	s.reason = str_of(many, TENANT_REASON_MAX + 1);
	ck_assert(!tenant_suspend(&fake.store, NAME, &s, NULL));
	ck_assert_int_eq(fake.puts, 0);
	s.reason.len--;
	s.actor = str_of(many, TENANT_ACTOR_MAX);
	ck_assert(tenant_suspend(&fake.store, NAME, &s, NULL));
}
END_TEST

START_TEST(store_gone)
{
	const struct suspension s = { .action = EXCESS_DEFER };
	struct suspension got;
	struct err err = { 0 };
	bool found, was;

	fake.failing = ~0u;
	ck_assert(!tenant_suspend(&fake.store, NAME, &s, &err));
	ck_assert_str_eq(err.text, "suspending tenant acme: the fake is gone");
	ck_assert(!tenant_suspension(&fake.store, NAME, (struct member){ 0 }, &arena, &got, &found, &err));
	ck_assert_str_eq(err.text, "suspension of tenant acme: the fake is gone");
	ck_assert(!tenant_resume(&fake.store, NAME, (struct member){ 0 }, &was, &err));
	ck_assert_str_eq(err.text, "resuming tenant acme: the fake is gone");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tenant");
	TCase *tcase = tcase_create("tenant");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, kept, rows);
	tcase_add_test(tcase, replaced);
	unit_add_rows(tcase, damaged, damaged_rows);
	tcase_add_test(tcase, bounds);
	tcase_add_test(tcase, store_gone);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
