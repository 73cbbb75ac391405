/*
 * format - one relay log line: from an event to bytes, and back.
 *
 * A line is one JSON object, its members in this order, absent when unknown:
 *
 *   {"seq":N,"time":"2026-11-21T18:04:05.123456+09:00","event":"accepted","tenant":"acme","tseq":N,"id":"...",
 *    "message":"...","queue_id":"...","host":"...","client":"...","auth":"...","helo":"...","tls":"...","from":"...",
 *    "to":[...],"size":N,"nrcpt":N,"subject_hash":"...","verdict":"...","rule":"...","reply":"...","actions":[...],
 *    "rcpt":"...","outcome":{...},"detail":{...},"clock":"...","salt":"<32 hex>","chain":"<64 hex>"}\n
 *
 * The leaf and chain values are milter/record/chain.h's; a line that was erased is {"seq":N,"erased":LEAF,"chain":...}.
 * The page for other people's programs is contrib/man/sekisho-log.5.
 *
 * The writer adds seq, time, tseq, clock, salt and chain; the caller gives the rest. `id` is a ULID: 26 characters of
 * Crockford's base 32, 48 bits of milliseconds and 80 random bits, so that ids sort by time.
 *
 * Input    lines are read back from disks that anybody may have touched
 * Errors   ERR_INPUT, with what was expected where
 * Bounds   RECORD_LINE_MAX octets a line; strings are cut at RECORD_STRING_MAX octets; `to` lists RECORD_TO_MAX recipients
 *          and RECORD_LIST_BYTES_MAX octets, `nrcpt` counts all; outcome or detail over RECORD_JSON_MAX are an error
 */
#ifndef SEKISHO_RECORD_FORMAT_H
#define SEKISHO_RECORD_FORMAT_H

#include "config/base/arena.h"
#include "config/base/buf.h"
#include "milter/record/chain.h"

#define RECORD_LINE_MAX ((size_t)1 << 20)
#define RECORD_STRING_MAX 4096
#define RECORD_TO_MAX 1000
#define RECORD_ACTIONS_MAX 64
#define RECORD_LIST_BYTES_MAX ((size_t)128 << 10)
#define RECORD_JSON_MAX ((size_t)128 << 10)
#define RECORD_ID_LEN 26
#define RECORD_HASH_LEN CHAIN_LEN
#define RECORD_SALT_LEN 16

struct record_event {
	struct str event;              /* "accepted", "rejected", ... */
	struct str tenant;
	struct str id, message;        /* id empty: the writer makes one */
	struct str queue_id, host, client, auth, helo, tls, from;
	const struct str *to;
	size_t to_count;
	int64_t size, nrcpt;           /* 0: unknown */
	struct str subject_hash;
	struct str verdict, rule, reply;
	const struct str *actions;     /* "monitor:hourly", "warn:daily:80", "hold", ... */
	size_t action_count;
	struct str rcpt;
	struct str outcome;            /* a JSON object, ready made; empty: none */
	struct str detail;             /* a JSON object for events that are not about a message (config, clock, recovered, ...) */
};

/* What the writer adds. */
struct record_stamp {
	int64_t seq, tseq;             /* tseq 0: no tenant */
	int64_t time_us;
	struct str clock;              /* "" ok, "degraded", "unsynchronised" */
	unsigned char salt[RECORD_SALT_LEN];
};

/*
 * What whoever appends makes of a line: everything but the stamp. `head` is `,"event":...,"tenant":...`, `tail` the
 * rest up to where `clock` goes; both point into `out`, which is emptied first.
 */
struct record_body {
	struct str head, tail;
	size_t open_len;               /* of the tail: what stays readable in a sealed line (seal.h) */
};
bool record_format_body(const struct record_event *event, struct buf *out, struct record_body *out_body, struct err *err);

/* What is left to whoever commits: adds the whole line to `out`, newline included. `chain` goes in as the previous
 * value and comes out as this line's. */
bool record_format_line(struct record_body body, const struct record_stamp *stamp,
			unsigned char chain[RECORD_HASH_LEN], struct buf *out, struct err *err);

/* A fresh ULID; sortable, unique over nodes. Out holds RECORD_ID_LEN + 1 octets. */
void record_id_new(int64_t time_us, char out[RECORD_ID_LEN + 1]);
/* When it was made, to the millisecond. False: it is none. */
bool record_id_time(struct str id, int64_t *out_us);

/* A line taken apart. Strings that needed no unescaping point into `line`, the others into the arena. */
struct record_line {
	struct record_event event;     /* `to` in the arena */
	struct record_stamp stamp;
	struct str leaf_text;          /* the octets the leaf is made of */
	unsigned char chain[RECORD_HASH_LEN];
	bool is_sealed;                /* what it says of people is still closed */
	bool is_erased;                /* {"seq":N,"erased":LEAF,"chain":...}: leaf is given, not computed */
	unsigned char erased_leaf[RECORD_HASH_LEN];
};

/* `line` without its newline. */
bool record_parse(struct str line, struct arena *arena, struct record_line *out, struct err *err);

/* Just what ties a line to its neighbours, without looking at the rest: what verify needs at 500 MB/s. */
struct record_link {
	int64_t seq;
	struct str leaf_text;          /* empty: erased, and the leaf is given */
	unsigned char erased_leaf[RECORD_HASH_LEN], chain[RECORD_HASH_LEN];
	struct str event;              /* escaped; empty when erased */
	struct str time;               /* as it stands */
};
bool record_parse_link(struct str line, struct record_link *out);
/* The leaf that the line's chain value is made of: its text's, or what an erased line gives. */
void record_link_leaf(const struct record_link *link, unsigned char out[RECORD_HASH_LEN]);

/* The value of one top-level string member (escaped as it stands) by a scan; false when absent. */
bool record_peek(struct str line, struct str member, struct str *out_escaped);

#endif
