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
 * leaf  = SHA-256 of the line's octets before `,"chain"`
 * chain = SHA-256(previous chain, 32 octets || leaf, 32 octets)
 *
 * The writer adds seq, time, tseq, clock, salt and chain; the caller gives the rest. `id` is a ULID: 26 characters of
 * Crockford's base 32, 48 bits of milliseconds and 80 random bits, so that ids sort by time.
 *
 * Input    lines are read back from disks that anybody may have touched
 * Errors   ERR_INPUT, with what was expected where
 * Bounds   RECORD_LINE_MAX octets a line; `to` lists RECORD_TO_MAX recipients, `nrcpt` counts all
 */
#ifndef SEKISHO_RECORD_FORMAT_H
#define SEKISHO_RECORD_FORMAT_H

#include "config/base/arena.h"
#include "config/base/buf.h"

#define RECORD_LINE_MAX ((size_t)1 << 20)
#define RECORD_TO_MAX 1000
#define RECORD_ID_LEN 26
#define RECORD_HASH_LEN 32

struct record_event {
	struct str event;              /* "accepted", "rejected", ...: see record_event_names */
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
	unsigned char salt[16];
};

/* Writes a whole line, chain and newline included. `chain` goes in as the previous value and comes out as this line's. */
bool record_format(const struct record_event *event, const struct record_stamp *stamp,
		   unsigned char chain[RECORD_HASH_LEN], struct buf *out, struct err *err);

/* A fresh ULID; sortable, unique over nodes. Out holds RECORD_ID_LEN + 1 octets. */
void record_id_new(int64_t time_us, char out[RECORD_ID_LEN + 1]);

/* A line taken apart. Strings that needed no unescaping point into `line`, the others into the arena. */
struct record_line {
	struct record_event event;     /* `to` in the arena */
	struct record_stamp stamp;
	struct str leaf_text;          /* the octets the leaf is made of */
	unsigned char chain[RECORD_HASH_LEN];
	bool is_erased;                /* {"seq":N,"erased":LEAF,"chain":...}: leaf is given, not computed */
	unsigned char erased_leaf[RECORD_HASH_LEN];
};

/* `line` without its newline. */
bool record_parse(struct str line, struct arena *arena, struct record_line *out, struct err *err);
/* Just seq, leaf and chain, without looking at the rest: what verify needs at 500 MB/s. */
bool record_parse_chain(struct str line, int64_t *out_seq, unsigned char out_leaf[RECORD_HASH_LEN],
			unsigned char out_chain[RECORD_HASH_LEN], struct err *err);
/* The value of one top-level string member (escaped as it stands) by a scan; false when absent. */
bool record_peek(struct str line, struct str member, struct str *out_escaped);

#endif
