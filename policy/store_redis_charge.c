#include "policy/store_redis_charge.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/memory.h"
#include "policy/store_redis_word.h"

#define HEAD_WORDS 5
#define TAIL_WORDS 1
#define TAKE_WORDS 6
#define MARK_WORDS 2

bool redis_charge_key(struct str tenant, struct str id, char room[STORE_KEY_MAX + 1], struct str *out, struct err *err)
{
	int len = snprintf(room, STORE_KEY_MAX + 1, "sekisho:{" STR_FMT "}:charge:" STR_FMT, STR_ARG(tenant),
			   STR_ARG(id));

	if (len < 0 || len > STORE_KEY_MAX)
		return err_set(err, ERR_INPUT, "store: charge id of %zu octets is too long", id.len);
	*out = str_of(room, (size_t)len);
	return true;
}

/* --- the question */

/* The words of one charge while they are put together: KEYS and ARGV, and the digits that some of them are made of. */
struct question {
	struct str *keys, *args;       /* ends of the lists so far */
	char (*digits)[REDIS_NUMBER_TEXT];
	struct err *err;
	bool is_good;
};

static void put_key(struct question *q, struct str key)
{
	q->is_good = q->is_good && store_key_fits(key, q->err);
	*q->keys++ = key;
}

static void put_word(struct question *q, struct str word)
{
	*q->args++ = word;
}

static void put_number(struct question *q, int64_t value)
{
	put_word(q, redis_number(value < 0 ? 0 : value > REDIS_NUMBER_MAX ? REDIS_NUMBER_MAX : value, *q->digits++));
}

static void put_take(struct question *q, const struct store_take *take)
{
	static const int windows[] = { [WINDOW_ROLLING] = 0, [WINDOW_BURST] = 1, [WINDOW_CALENDAR] = 2 };

	put_key(q, take->key);
	put_number(q, windows[take->window]);
	put_number(q, take->calendar);
	put_number(q, take->period_us > 0 ? take->period_us : 1);
	if (take->limit == LIMIT_NONE)
		put_word(q, STR("-"));
	else
		put_number(q, take->limit);
	put_number(q, take->cost);
	put_number(q, take->is_enforced);
}

static void put_mark(struct question *q, const struct store_mark *mark)
{
	put_key(q, mark->key);
	put_number(q, (int64_t)mark->take + 1);         /* Lua counts from 1 */
	put_number(q, mark->reaches);
}

/* Returns the attempt's number: undoing one attempt leaves another under the same id alone. */
static struct str put_charge(struct question *q, const struct store_charge *charge, struct str record)
{
	static atomic_int_least64_t attempts;

	put_key(q, record);
	put_number(q, charge->is_peek ? 0 : charge->is_once ? 2 : 1);
	put_number(q, redis_life_ms(STORE_CHARGE_TTL_US));
	put_number(q, (int64_t)charge->count);
	put_number(q, (int64_t)charge->mark_count);
	put_number(q, charge->is_barred);
	for (size_t i = 0; i < charge->count; i++)
		put_take(q, &charge->takes[i]);
	for (size_t i = 0; i < charge->mark_count; i++)
		put_mark(q, &charge->marks[i]);
	for (size_t i = 0; i < charge->asked_count; i++)
		put_key(q, charge->asked[i]);
	put_number(q, atomic_fetch_add(&attempts, 1) % REDIS_NUMBER_MAX);
	return q->args[-1];
}

/* --- the answer */

static bool are_numbers(redisReply *const *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (at[i]->type != REDIS_REPLY_INTEGER)
			return false;
	return true;
}

static void read_takes(redisReply *const *at, const struct store_charge *charge, struct store_charged *out)
{
	for (size_t i = 0; i < charge->count; i++, at += 4) {
		int64_t retry_us = at[2]->integer;

		out->taken[i] = (struct store_taken){
			.is_over = at[0]->integer != 0,
			.used = at[1]->integer,
			.retry_after_us = retry_us < 0 ? STORE_NEVER_US : retry_us,
			.resets_us = at[3]->integer,
		};
	}
}

/* It was asked, and had nothing: until something is heard of, they are not worth a trip of their own. */
static void note_absent(const struct store_charge *charge, size_t from, size_t to, struct redis_hints *hints)
{
	for (size_t i = from; i < to; i++)
		redis_hints_note(hints, charge->asked[i], false);
}

/* Pairs of index and value, in order. */
static bool read_found(redisReply *const *at, size_t count, const struct store_charge *charge, struct redis_hints *hints)
{
	long long next = 0;

	for (size_t i = 0; i < count; i += 2) {
		if (at[i]->type != REDIS_REPLY_INTEGER || at[i]->integer < next ||
		    at[i]->integer >= (long long)charge->asked_count || at[i + 1]->type != REDIS_REPLY_STRING)
			return false;
		note_absent(charge, (size_t)next, (size_t)at[i]->integer, hints);
		next = at[i]->integer + 1;
		redis_hints_note(hints, charge->asked[at[i]->integer], true);
		charge->on_found(charge->on_found_arg, (size_t)at[i]->integer,
				 str_of(at[i + 1]->str, (size_t)at[i + 1]->len));
	}
	note_absent(charge, (size_t)next, charge->asked_count, hints);
	return true;
}

/* taken, now; over, used, retry, resets of each take; a total of each mark; index and value of what was found. */
static bool read_charged(const redisReply *reply, const struct store_charge *charge, struct redis_hints *hints,
			 struct store_charged *out)
{
	size_t numbers = 2 + 4 * charge->count + charge->mark_count;
	redisReply *const *at = reply->element;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < numbers || (reply->elements - numbers) % 2 != 0 ||
	    !are_numbers(at, numbers))
		return false;
	out->is_taken = at[0]->integer != 0;
	out->now_us = at[1]->integer;
	read_takes(at + 2, charge, out);
	for (size_t i = 0; i < charge->mark_count; i++)
		out->marked[i] = at[2 + 4 * charge->count + i]->integer;
	return read_found(at + numbers, reply->elements - numbers, charge, hints);
}

/* --- both */

static bool send_charge(struct redis_link *link, struct redis_hints *hints, const struct store_charge *charge,
			const struct redis_words *call, struct store_charged *out, struct err *err)
{
	redisReply *reply;

	if (!redis_link_call(link, call, -1, &reply, err))
		return false;
	if (!read_charged(reply, charge, hints, out))
		return redis_not_understood(reply, err);
	freeReplyObject(reply);
	return true;
}

bool redis_charge_send(struct redis_link *link, struct redis_hints *hints, const struct store_charge *charge,
		       struct store_charged *out, struct err *err)
{
	if (charge->count > STORE_TAKES_MAX || charge->mark_count > STORE_MARKS_MAX || charge->asked_count > STORE_ASKED_MAX)
		return err_set(err, ERR_INPUT, "store: %zu quotas, %zu marks and %zu questions in one charge", charge->count,
			       charge->mark_count, charge->asked_count);

	size_t keys = 1 + charge->count + charge->mark_count + charge->asked_count;
	size_t args = HEAD_WORDS + TAKE_WORDS * charge->count + MARK_WORDS * charge->mark_count + TAIL_WORDS;
	struct str *words = memory_calloc(keys + args, sizeof *words), record = STR_EMPTY;
	char (*digits)[REDIS_NUMBER_TEXT] = memory_calloc(args, sizeof *digits), room[STORE_KEY_MAX + 1];
	struct question q = { .keys = words, .args = words + keys, .digits = digits, .err = err, .is_good = true };
	struct str undo_words[3];
	char life[REDIS_NUMBER_TEXT];
	const struct redis_words undo = { .script = SCRIPT_REFUND, .words = undo_words, .count = 3, .key_count = 1 };
	const struct redis_words call = { .script = SCRIPT_CHARGE, .words = words, .count = keys + args, .key_count = keys,
					  .undo = charge->is_peek || charge->is_once ? NULL : &undo };
	bool ok = ((words && digits) || err_memory(err)) &&
		  redis_charge_key(charge->tenant, charge->id, room, &record, err);

	if (ok) {
		undo_words[0] = record;
		undo_words[1] = put_charge(&q, charge, record);
		undo_words[2] = redis_number(redis_life_ms(STORE_CHARGE_TTL_US), life);
	}
	ok = ok && q.is_good && send_charge(link, hints, charge, &call, out, err);
	free(digits);
	free(words);
	return ok;
}

bool redis_refund_send(struct redis_link *link, struct str tenant, struct str id, struct err *err)
{
	char room[STORE_KEY_MAX + 1];
	struct str key;

	if (!redis_charge_key(tenant, id, room, &key, err))
		return false;

	const struct redis_words again = { .script = SCRIPT_REFUND, .words = &key, .count = 1, .key_count = 1 };
	redisReply *reply;

	/* While nobody answers it waits for its turn; nobody need wait for it. */
	if (!redis_link_call(link, &again, -1, &reply, err))
		return redis_link_later(link, &again, err);
	freeReplyObject(reply);
	return true;
}
