/*
 * hit - one open, click or unsubscription: what is counted of it, and where.
 *
 *   sekisho:{TENANT}:hits:day:2026-11-21:NAME            of a JST day
 *   sekisho:{TENANT}:hits:message:MESSAGE:NAME           of a message
 *   sekisho:{TENANT}:hits:message:MESSAGE:url:N          where link N leads (a text)
 *   sekisho:{TENANT}:hits:reader:READER:MESSAGE:NAME     of a reader; only to tell the first time from others
 *   sekisho:{TENANT}:forgotten:READER                    of whom nothing is counted or recorded any more
 *
 * NAME is opens, clicks, unsubscribes; each with ".flagged" for what no person is likely to have done (counted in the
 * plain name too), and opens, clicks with ".unique" for the first one of a reader that is not flagged; of a message
 * also "link:N" and "link:N.flagged", but for those that share REWRITE_ANONYMOUS: each numbers its own. MESSAGE is a part as policy/key.h makes it; READER 16 hex digits made of the
 * address (token_short).
 *
 * Expiry   as long as class "action" keeps its records, from the first count on; who is forgotten stays so for ten years,
 *          for links do not die
 */
#ifndef SEKISHO_HIT_H
#define SEKISHO_HIT_H

#include "config/base/arena.h"
#include "config/config.h"
#include "policy/store.h"

#define HIT_READER_LEN 16

enum hit_kind { HIT_OPEN = 1, HIT_CLICK, HIT_UNSUBSCRIBE, HIT_KIND_COUNT };

/* Why a hit is no person's, bit by bit. */
enum hit_flag {
	HIT_FLAG_AGENT = 1,            /* a scanner, library or fetcher by its own words, or none */
	HIT_FLAG_NETWORK = 2,          /* from a network of mail scanners or image proxies */
	HIT_FLAG_PREFETCH = 4,         /* it says that nobody looks yet */
	HIT_FLAG_BURST = 8,            /* another link of the same message within two seconds */
};

struct hit {
	enum hit_kind kind;
	unsigned flags;
	int64_t time_us;
	struct str tenant, message;    /* message as hit_readable has it */
	struct str reader;             /* HIT_READER_LEN hex digits; empty: not known */
	struct str recipient;          /* of an unsubscription: the address */
	uint16_t link;
	struct str url;
	struct str client, agent;      /* for the record; may be empty */
};

/* A name of a token: what a sender gave as it is, octets that were made of something in hex. False: out of memory. */
bool hit_readable(struct str name, struct arena *arena, struct str *out);
/* The reader of an address: lower-cased, hashed with its tenant. */
bool hit_reader(struct str tenant, struct str address, struct arena *arena, struct str *out);
/* The same reader, by the octets that opens and clicks have of him (token_short): digits whatever they look like. */
bool hit_reader_of_tag(struct str tag, struct arena *arena, struct str *out);
/* "opened", "clicked", "unsubscribed": the event of its record. */
struct str hit_event(enum hit_kind kind);
/* One flag, as a word of a record: "agent". */
const char *hit_flag_name(enum hit_flag flag);

/* How long what is counted lives. */
int64_t hit_ttl_us(const struct config *config);

#define HIT_BATCH_MAX 4000
/*
 * Counts up to HIT_BATCH_MAX hits: what they have in common is added up first, and the store asked once. False: the
 * store failed; some of it may be counted. (hit_count.c)
 */
bool hit_count(struct store *st, const struct hit *const hits[], size_t count, int64_t ttl_us, struct arena *arena,
	       struct err *err);

bool hit_is_forgotten(struct store *st, struct str tenant, struct str reader, struct arena *arena, bool *out,
		      struct err *err);
/* Removes what is known of a reader and remembers to learn nothing more. *out_removed: counters that went. */
bool hit_forget(struct store *st, struct str tenant, struct str reader, size_t *out_removed, struct err *err);

#endif
