/*
 * policy_fixture - a policy on a store_fake at 15:00 JST of one day, and a message to be judged.
 */
#ifndef SEKISHO_T_POLICY_FIXTURE_H
#define SEKISHO_T_POLICY_FIXTURE_H

#include "policy/policy.h"
#include "t/lib/store_fake.h"

#define HOUR_US (3600 * US_PER_S)

/* For rows: the beginning of a tenant, windows, a quota of ten. */
#define LIMITS(recipients, size) .name = STR_INIT("acme"), .recipients_max = recipients, .size_max = size
#define ACME LIMITS(LIMIT_NONE, LIMIT_NONE)
#define ROLLING .window = WINDOW_ROLLING, .period_us = HOUR_US
#define DAILY .window = WINDOW_CALENDAR, .calendar = CALENDAR_DAY
#define Q(n, ...) { .name = STR_INIT(n), .limit = 10, __VA_ARGS__ }
#define SENDERS { fixture_senders, 1 }
extern const struct str fixture_senders[1];     /* "@acme.example" */

extern struct store_fake fake;
extern struct policy policy;
extern struct arena arena;
extern int64_t now_us;

void fixture_setup(void);
void fixture_teardown(void);

/* `tenant` is everybody's; 1000 recipients a message; a store that fails defers. */
struct config fixture_config(const struct tenant *tenant);
/* bob, over TLS from 192.0.2.7, s@acme.example to a@x.example, b@y.example and c@x.example, 5000 octets. */
struct policy_facts fixture_facts(void);
/* "reject sender", "hold rate": what was decided, in two words. They live until the next call. */
const char *fixture_words(const struct verdict *v);

#endif
