/*
 * store_redis_script - the decisions that Redis takes itself, in Lua: one script a verb, so one round trip a verb.
 *
 * The windows are window.h's, on Redis' own clock. Lua knows doubles only, so costs, limits and sums end at
 * REDIS_NUMBER_MAX; where a product would be larger the bucket rounds to the strict side.
 *
 *     {TENANT}:...    hash    a window: p shape, a at, s sum; rolling also o (oldest slot in use) and its slots 0..60;
 *                             burst also r returned, d drained, b since, l drain
 *     {TENANT}:charge:ID      string: MessagePack list of the attempt's number, then key, window, calendar, period, at,
 *                             before, delta for each take; of an attempt that was undone the number alone
 *     {TENANT}:...    string  a value, or a counter in decimal
 *     {TENANT}:keys:LIST      sorted set: which keys a tenant has that begin with LIST, by when they die (ms); without that
 *                             beginning, so ":userunknown:hard" of LIST "bounce:2026-11-21". It dies with the last of them
 */
#ifndef SEKISHO_STORE_REDIS_SCRIPT_H
#define SEKISHO_STORE_REDIS_SCRIPT_H

#include "config/base/str.h"

#define REDIS_NUMBER_MAX ((INT64_C(1) << 53) - 1)

enum redis_script {
	/*
	 * KEYS charge's record, one a take, one a mark, then values to be read; ARGV 1 to take, 2 to take unless the record is
	 * there, 0 to peek; the record's life in ms; how many takes, how many marks; 1 when a value that is there bars the
	 * charge; then for each take: window, calendar, period, limit (or "-"), cost, enforced; then for each mark: its take
	 * from 1, reaches, life in ms; and the attempt's number: one that was undone before it came changes nothing. Answers
	 * taken, now; over, used, retry (-1: never), resets for each take; the total of each mark; index from 0 and value of
	 * each value that is there.
	 */
	SCRIPT_CHARGE,
	/* KEYS the charge's record; to undo an attempt whose answer was lost ARGV its number, the record's life in ms. Answers
	 * 1 when there was one. */
	SCRIPT_REFUND,
	/* KEYS counter, and perhaps a record: nothing is added while that is there; ARGV n, life in ms, the record's. Answers the
	 * total as text. */
	SCRIPT_COUNT,
	SCRIPT_GET,                    /* KEYS a value or counter. Answers its text, empty for what has none, or nil */
	SCRIPT_PUT,                    /* KEYS a value; ARGV its text, life in ms (0: it goes). Answers a number */
	/* KEYS the beginning of a tenant's keys, or ARGV of any; ARGV cursor, pattern of the same, count. Answers cursor, now, then
	 * key, value, ms to live for each. */
	SCRIPT_SCAN,
	SCRIPT_COUNT_OF,
	SCRIPT_NONE
};

/* The text that is sent, prelude and all. */
struct str redis_script_text(enum redis_script script);

#endif
