#include "t/lib/policy_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"

struct store_fake fake;
struct policy policy;
struct arena arena;
int64_t now_us;

static struct net_addr client;

const struct str fixture_senders[1] = { STR_INIT("@acme.example") };

void fixture_setup(void)
{
	now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21)) + 15 * HOUR_US;
	clock_set(now_us);
	store_fake_init(&fake);
	policy = (struct policy){ .store = &fake.store, .node = STR("n1") };
	arena_init(&arena, (size_t)4 << 20);
	if (!net_parse_addr(STR("192.0.2.7"), &client))
		abort();
}

void fixture_teardown(void)
{
	store_fake_clear(&fake);
	arena_clear(&arena);
}

struct config fixture_config(const struct tenant *tenant)
{
	return (struct config){ .default_tenant = tenant, .recipients_max = 1000, .on_store_failure = STORE_FAILURE_DEFER };
}

struct policy_facts fixture_facts(void)
{
	static const struct str three[] = { STR_INIT("a@x.example"), STR_INIT("b@y.example"), STR_INIT("c@x.example") };

	return (struct policy_facts){ .client = &client, .auth = STR("bob"), .has_tls = true, .sender = STR("s@acme.example"),
				      .recipients = three, .recipient_count = 3, .size = 5000 };
}

const char *fixture_words(const struct verdict *v)
{
	static const char *const actions[] = { "none", "accept", "defer", "reject", "hold" };
	static const char *const reasons[REASON_COUNT] = {
		[REASON_NONE] = "", [REASON_NO_TENANT] = " who", [REASON_SUSPENDED] = " suspended", [REASON_SENDER] = " sender",
		[REASON_ADDRESS] = " address",
		[REASON_FROM] = " from", [REASON_CONTENT] = " content", [REASON_TLS] = " tls", [REASON_AUTH] = " auth", [REASON_SIZE] = " size",
		[REASON_RECIPIENTS] = " recipients", [REASON_RECIPIENT] = " recipient", [REASON_SUPPRESSED] = " suppressed", [REASON_RATE] = " rate", [REASON_QUOTA] = " quota",
		[REASON_NEVER] = " never", [REASON_STORE] = " store", [REASON_MEMORY] = " memory",
	};
	static char words[64];

	snprintf(words, sizeof words, "%s%s", actions[v->action], reasons[v->reason]);
	return words;
}
