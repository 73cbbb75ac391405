/*
 * store - what must be remembered between messages, for exactly as long as it was promised.
 *
 * Two backends behind one table: embedded (LMDB, several processes on one host) and Redis (several hosts). A store
 * answers with its own clock, so that relays with different clocks agree; under LMDB that is clock.h.
 *
 * Keys     "sekisho:{TENANT}:..." (see sekisho-store(7)), 1 to STORE_KEY_MAX octets; every key expires, and expired is
 *          absent. A key is used with one of charge, count_add and put; its value has at most STORE_VALUE_MAX octets
 * Atomic   a charge tests every take, then takes all or none, in one step that no other process can come between
 * Trips    each verb is one round trip to a shared store. What a message needs to know of it is asked along with its charge;
 *          before that, may_have says without a trip what is worth one of its own
 * Errors   ERR_BUSY (gone, slow) and ERR_FULL: the caller's on_store_failure decides what the sender hears; ERR_INPUT for
 *          a key or value that is too long; ERR_CONFIG from open, when the operator must act
 * Threads  any thread may call any verb at any time. A process opens the same store once
 * Crash    what `put` answered survives power loss; counts survive the death of any process at any instant
 */
#ifndef SEKISHO_STORE_H
#define SEKISHO_STORE_H

#include <stdatomic.h>

#include "config/base/num.h"
#include "config/config.h"

#define STORE_KEY_MAX 400
#define STORE_VALUE_MAX 65536
#define STORE_TAKES_MAX 256            /* in one charge */
#define STORE_MARKS_MAX (STORE_TAKES_MAX * (QUOTA_WARN_MAX + 1))
#define STORE_ASKED_MAX 100000
#define STORE_NEVER_US INT64_MAX       /* retry_after of what can never fit */
#define STORE_CHARGE_TTL_US (INT64_C(15) * 60 * US_PER_S)    /* how long a charge can be given back */

/* One quota's share of a charge. */
struct store_take {
	struct str key;                /* holds the quota's name, window and scope; not its limit: a changed limit keeps its past */
	enum quota_window window;
	enum calendar_unit calendar;
	int64_t period_us;
	int64_t limit;
	int64_t cost;                  /* 0: only looked at */
	bool is_enforced;              /* false: over the limit it is taken all the same (monitor) */
};

struct store_taken {
	bool is_over;                  /* cost did not fit */
	int64_t used;                  /* in the window, before this charge */
	int64_t retry_after_us;        /* when is_over: never too short; STORE_NEVER_US when cost > limit */
	int64_t resets_us;             /* wall time: the oldest use leaves (rolling), the day ends (calendar), the bucket is full
					* (burst) */
};

/* A counter beside the windows that one is added to in the same step. It dies a period of its take after the first, of a
 * calendar's with the day, week or month. */
struct store_mark {
	struct str key;
	size_t take;                   /* whose it is */
	int64_t reaches;               /* when the charge brings that take's use from below up to so much; STORE_REFUSED: when
					* that take is what refuses it */
};
#define STORE_REFUSED 0

/* Told of a value that is there. `index` is that of `asked`; the value lives for the call. Calls no verb. */
typedef void store_found_fn(void *arg, size_t index, struct str value);

struct store_charge {
	struct str tenant;             /* all keys belong to it */
	struct str id;                 /* names the charge for refund; node-wide unique */
	const struct store_take *takes;
	size_t count;
	const struct store_mark *marks;
	size_t mark_count;             /* at most STORE_MARKS_MAX */
	const struct str *asked;       /* what `put` was given, to be read in the same step; at most STORE_ASKED_MAX */
	size_t asked_count;
	store_found_fn *on_found;
	void *on_found_arg;
	bool is_barred;                /* when one of `asked` is there, nothing is taken and nothing marked */
	bool is_peek;                  /* look, take nothing, remember nothing */
	bool is_once;                  /* Redis: done already when a charge of this id is still remembered there */
};

struct store_charged {
	bool is_taken;                 /* every enforced take fitted and all were taken (or would have been: peek) */
	int64_t now_us;                /* the store's clock */
	bool is_local;                 /* the shared store was away: counted by this relay alone */
	struct store_taken *taken;     /* caller's array of `count` */
	int64_t *marked;               /* caller's array of `mark_count`: its total now, 0 where nothing was added */
};

/* `value` lives for the call. Return false to stop the scan. */
typedef bool store_scan_fn(void *arg, struct str key, struct str value, int64_t expires_us);

struct store;

struct store_ops {
	const char *name;
	bool (*open)(const struct config *config, struct store **out, struct err *err);
	void (*close)(struct store *st);

	bool (*charge)(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err);
	/* Gives back what charge `id` of this process took. Once: a second call, an unknown or an expired id change nothing
	 * and succeed. */
	bool (*refund)(struct store *st, struct str tenant, struct str id, struct err *err);
	/* Charge `id` stands: it may be forgotten before its time. NULL where that would cost more than it saves. */
	void (*settle)(struct store *st, struct str tenant, struct str id);

	/* Was there a value when this process last heard of the key? It costs no trip, and false proves nothing. NULL: no
	 * verb costs one, just ask. */
	bool (*may_have)(struct store *st, struct str key);
	/* Absent or expired: *out_found = false. The value is copied into `arena`. */
	bool (*get)(struct store *st, struct str key, struct arena *arena, struct str *out_value, bool *out_found,
		    struct err *err);
	/* Durable on return. ttl_us <= 0 removes the key, whichever verb made it. */
	bool (*put)(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err);
	/* Puts what may be lost where counters may: it is not waited for, and nobody asks for it in a charge. NULL: put costs no more. */
	bool (*note)(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err);
	/* Adds n to a counter that dies ttl_us after its first add, and reads it back. */
	bool (*count_add)(struct store *st, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total, struct err *err);
	/* The same under a name: of calls with one id only the first adds, for STORE_CHARGE_TTL_US. NULL: no answer gets lost. */
	bool (*count_once)(struct store *st, struct str tenant, struct str id, struct str key, int64_t n, int64_t ttl_us,
			   struct err *err);
	/*
	 * Every live key with this prefix, in byte order where the backend has one. Counters come as decimal text, windows
	 * and charges in the backend's own form. The callback may call other verbs, but is not the place to wait.
	 */
	bool (*scan)(struct store *st, struct str prefix, store_scan_fn *fn, void *arg, struct err *err);
};

extern const struct store_ops store_lmdb, store_redis;

#define STORE_NOTICE_MAX 512

/* Told of each change of is_local, by whichever thread noticed. Calls no verb. */
typedef void store_local_fn(void *arg, bool is_local, const char *why);

/* What every backend begins with; opened through store_open, which picks it. */
struct store {
	const struct store_ops *ops;
	char notice[STORE_NOTICE_MAX]; /* what happened at open and belongs on the record; empty: nothing did */
	atomic_bool is_local;          /* the shared store is away, and this relay counts by itself */
	void *on_local_arg;            /* set before on_local */
	_Atomic(store_local_fn *) on_local;      /* NULL: nobody wants to know */
};

/* While the shared store is away, each daemon finds what it counted alone before it was started again: who opens it? */
enum store_seat { STORE_SEAT_MILTER, STORE_SEAT_TRACK, STORE_SEAT_OTHERS };

/* As sekisho-milter, or as who takes no seat: it never counts alone. */
bool store_open(const struct config *config, struct store **out, struct err *err);
bool store_open_at(const struct config *config, enum store_seat seat, struct store **out, struct err *err);
void store_close(struct store *st);                /* NULL is fine */

/* For backends: ERR_INPUT for a key that is empty or longer than STORE_KEY_MAX. */
bool store_key_fits(struct str key, struct err *err);

#endif
