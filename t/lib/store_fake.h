/*
 * store_fake - a store that answers as the test says, and remembers what it was asked.
 *
 * Facts and counters are really kept, until the time that clock.h says. Windows are not: the answer to take i is
 * `answers[i]`, and it is over when used + cost passes the limit.
 */
#ifndef SEKISHO_T_STORE_FAKE_H
#define SEKISHO_T_STORE_FAKE_H

#include "policy/store.h"

enum store_fake_verb {
	FAKE_CHARGE = 1,
	FAKE_REFUND = 2,
	FAKE_GET = 4,
	FAKE_PUT = 8,
	FAKE_COUNT = 16,
	FAKE_SCAN = 32,
};

#define STORE_FAKE_FACTS_MAX 64
#define STORE_FAKE_REFUNDS_MAX 8

struct store_fake_fact {
	struct str key, value;
	int64_t total;                 /* of a counter */
	int64_t expires_us;
};

struct store_fake {
	struct store store;
	struct arena arena;
	/* said by the test */
	unsigned failing;              /* verbs of enum store_fake_verb that answer ERR_BUSY "the fake is gone" */
	bool is_short;                 /* they fail because we have no memory */
	struct store_taken answers[STORE_TAKES_MAX];
	int64_t now_us;
	bool hints;                    /* what may_have says, after store_fake_set_far */
	/* seen */
	struct store_take takes[STORE_TAKES_MAX];
	size_t take_count;             /* of the last charge */
	struct str charge_id;
	int charges, peeks, gets, puts, counts;
	struct str refunds[STORE_FAKE_REFUNDS_MAX];
	size_t refund_count;
	struct store_fake_fact facts[STORE_FAKE_FACTS_MAX];
	size_t fact_count;
};

void store_fake_init(struct store_fake *fake);
/* As a store that is not on this host: it has may_have. */
void store_fake_set_far(struct store_fake *fake);
void store_fake_clear(struct store_fake *fake);

/* The fact or counter with this key; NULL when there is none. */
const struct store_fake_fact *store_fake_find(const struct store_fake *fake, const char *key);

#endif
