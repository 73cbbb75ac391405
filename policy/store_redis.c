/*
 * The shared store: Redis (or Valkey), so that several relays take from one quota.
 *
 * Each verb is one command or one script, so one round trip; what a script does is in store_redis_script.c, how calls
 * get there in store_redis_link.h. `put` is as durable as the server is configured to be (appendfsync).
 *
 * A charge or refund whose answer was lost is undone, or done again, as soon as a server answers: both are safe to
 * repeat, for the charge's record says whether there is something to give back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/base/log.h"
#include "policy/store.h"
#include "policy/store_redis_charge.h"
#include "policy/store_redis_hints.h"
#include "policy/store_redis_word.h"

#define SCAN_COUNT "500"
#define VERSION_MIN 6                  /* SET with KEEPTTL */

struct store_redis {
	struct store store;
	struct redis_link *link;
	struct redis_hints hints;
};

static struct store_redis *self(struct store *st)
{
	return (struct store_redis *)st;
}

static struct redis_link *link_of(struct store *st)
{
	return self(st)->link;
}

/* --- charge and refund */

static bool redis_charge(struct store *st, const struct store_charge *charge, struct store_charged *out, struct err *err)
{
	return redis_charge_send(link_of(st), &self(st)->hints, charge, out, err);
}

static bool redis_refund(struct store *st, struct str tenant, struct str id, struct err *err)
{
	return redis_refund_send(link_of(st), tenant, id, err);
}


/* --- values and counters */

static bool redis_may_have(struct store *st, struct str key)
{
	return redis_hints_have(&self(st)->hints, key);
}

static bool redis_get(struct store *st, struct str key, struct arena *arena, struct str *out_value, bool *out_found,
		      struct err *err)
{
	const struct redis_words call = { .script = SCRIPT_GET, .words = &key, .count = 1, .key_count = 1 };
	redisReply *reply;
	bool ok = true;

	if (!store_key_fits(key, err) || !redis_link_call(link_of(st), &call, -1, &reply, err))
		return false;
	if (reply->type == REDIS_REPLY_NIL)
		*out_found = false;
	else if (reply->type != REDIS_REPLY_STRING)
		return redis_not_understood(reply, err);
	else if ((ok = arena_copy(arena, str_of(reply->str, (size_t)reply->len), out_value) || err_memory(err)))
		*out_found = true;
	freeReplyObject(reply);
	if (ok)
		redis_hints_note(&self(st)->hints, key, *out_found);
	return ok;
}

static bool redis_put(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	char life[REDIS_NUMBER_TEXT];
	struct str words[] = { key, value, redis_number(ttl_us > 0 ? redis_life_ms(ttl_us) : 0, life) };
	const struct redis_words call = { .script = SCRIPT_PUT, .words = words, .count = 3, .key_count = 1 };
	redisReply *reply;

	if (!store_key_fits(key, err))
		return false;
	if (ttl_us > 0 && value.len > STORE_VALUE_MAX)
		return err_set(err, ERR_INPUT, "store: a value of %zu octets (at most %d)", value.len, STORE_VALUE_MAX);
	if (!redis_link_call(link_of(st), &call, -1, &reply, err))
		return false;
	freeReplyObject(reply);
	redis_hints_note(&self(st)->hints, key, ttl_us > 0);
	return true;
}

/* The keys stand before the numbers in `words`. */
static bool send_count(struct store *st, const struct redis_words *call, int64_t *out_total, struct err *err)
{
	redisReply *reply;

	if (!store_key_fits(call->words[0], err) || !redis_link_call(link_of(st), call, -1, &reply, err))
		return false;
	if (reply->type != REDIS_REPLY_STRING || !num_parse_i64(str_of(reply->str, (size_t)reply->len), out_total))
		return redis_not_understood(reply, err);
	freeReplyObject(reply);
	return true;
}

static bool redis_count_add(struct store *st, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total,
			    struct err *err)
{
	char amount[REDIS_NUMBER_TEXT], life[REDIS_NUMBER_TEXT];
	struct str words[] = { key, redis_number(n, amount), redis_number(redis_life_ms(ttl_us), life) };

	return send_count(st, &(struct redis_words){ .script = SCRIPT_COUNT, .words = words, .count = 3, .key_count = 1 },
			  out_total, err);
}

static bool redis_count_once(struct store *st, struct str tenant, struct str id, struct str key, int64_t n, int64_t ttl_us,
			     struct err *err)
{
	char amount[REDIS_NUMBER_TEXT], life[REDIS_NUMBER_TEXT], once[REDIS_NUMBER_TEXT], room[STORE_KEY_MAX + 1];
	struct str words[] = { key, STR_EMPTY, redis_number(n, amount), redis_number(redis_life_ms(ttl_us), life),
			       redis_number(redis_life_ms(STORE_CHARGE_TTL_US), once) };
	int64_t total;

	return redis_charge_key(tenant, id, room, &words[1], err) &&
	       send_count(st, &(struct redis_words){ .script = SCRIPT_COUNT, .words = words, .count = 5, .key_count = 2 },
			  &total, err);
}

/* --- scan: a page is asked for and forgotten, all keys are remembered, for pages may repeat them */

struct seen {
	struct str key, value;
	int64_t expires_us;
};

struct scan {
	struct arena arena;
	struct seen *seen;
	size_t count, size;
};

static bool remember(struct scan *scan, const redisReply *key, const redisReply *value, int64_t expires_us,
		     struct err *err)
{
	struct seen *seen;

	if (scan->count == scan->size) {
		size_t size = scan->size ? scan->size * 2 : 256;

		seen = reallocarray(scan->seen, size, sizeof *seen);
		if (!seen)
			return err_memory(err);
		scan->seen = seen;
		scan->size = size;
	}
	seen = &scan->seen[scan->count];
	seen->expires_us = expires_us;
	if (!arena_copy(&scan->arena, str_of(key->str, (size_t)key->len), &seen->key) ||
	    !arena_copy(&scan->arena, str_of(value->str, (size_t)value->len), &seen->value))
		return err_memory(err);
	scan->count++;
	return true;
}

/* What a key means to MATCH is not what it says: its special characters are quoted. */
static void put_pattern(struct buf *out, struct str prefix)
{
	for (size_t i = 0; i < prefix.len; i++) {
		if (strchr("*?[]\\^-", prefix.ptr[i]) && prefix.ptr[i])
			buf_add_byte(out, '\\');
		buf_add_byte(out, prefix.ptr[i]);
	}
	buf_add_byte(out, '*');
}

/* cursor, now, then key, value and ms to live of each. The cursor is copied out; "0" was the last page. */
static bool read_page(struct scan *scan, const redisReply *reply, char cursor[REDIS_NUMBER_TEXT], struct err *err)
{
	redisReply *const *at = reply->element;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 || reply->elements % 3 != 2 ||
	    at[0]->type != REDIS_REPLY_STRING || (size_t)at[0]->len >= REDIS_NUMBER_TEXT || at[1]->type != REDIS_REPLY_INTEGER)
		return err_set(err, ERR_BUSY, "redis: an answer that is not understood");
	snprintf(cursor, REDIS_NUMBER_TEXT, "%s", at[0]->str);
	for (size_t i = 2; i < reply->elements; i += 3)
		if (at[i]->type != REDIS_REPLY_STRING || at[i + 1]->type != REDIS_REPLY_STRING ||
		    at[i + 2]->type != REDIS_REPLY_INTEGER ||
		    !remember(scan, at[i], at[i + 1], at[1]->integer + at[i + 2]->integer * 1000, err))
			return false;
	return true;
}

/* `node` -1: the one that has this tenant's keys, and then the prefix is a key like any other. */
static bool scan_node(struct redis_link *link, int node, struct str prefix, struct str pattern, struct scan *scan,
		      struct err *err)
{
	char cursor[REDIS_NUMBER_TEXT] = "0";

	do {
		struct str words[] = { prefix, str_from_c(cursor), pattern, STR(SCAN_COUNT) };
		const struct redis_words call = { .script = SCRIPT_SCAN, .words = words, .count = 4, .key_count = node < 0 };
		redisReply *reply;

		if (!redis_link_call(link, &call, node, &reply, err))
			return false;
		bool ok = read_page(scan, reply, cursor, err);

		freeReplyObject(reply);
		if (!ok)
			return false;
	} while (strcmp(cursor, "0") != 0);
	return true;
}

/* Where keys are is known once one of them was asked for; until then a cluster's nodes are those of the configuration. */
static bool scan_all_nodes(struct redis_link *link, struct str prefix, struct str pattern, struct scan *scan, struct err *err)
{
	const struct str any = STR("sekisho:");
	const struct redis_words call = { .script = SCRIPT_GET, .words = &any, .count = 1, .key_count = 1 };
	redisReply *reply;

	if (!redis_link_call(link, &call, -1, &reply, err))
		return false;
	freeReplyObject(reply);
	for (int i = 0; i < redis_link_nodes(link); i++)
		if (redis_link_node_is_used(link, i) && !scan_node(link, i, prefix, pattern, scan, err))
			return false;
	return true;
}

static bool scan_nodes(struct redis_link *link, struct str prefix, struct scan *scan, struct err *err)
{
	struct str before, tag_on, tag, after, pattern;
	struct buf buf;
	/* A prefix with the tenant in it says where all its keys are. */
	bool is_one = str_cut(prefix, '{', &before, &tag_on) && str_cut(tag_on, '}', &tag, &after) && tag.len;

	buf_init(&buf, 4096);
	put_pattern(&buf, prefix);

	bool ok = buf_done(&buf, &pattern, err) && (is_one ? scan_node(link, -1, prefix, pattern, scan, err)
							   : scan_all_nodes(link, prefix, pattern, scan, err));

	buf_clear(&buf);
	return ok;
}

static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct seen *)a)->key, ((const struct seen *)b)->key);
}

static void show(struct scan *scan, store_scan_fn *fn, void *arg)
{
	if (scan->count)
		qsort(scan->seen, scan->count, sizeof *scan->seen, by_key);
	for (size_t i = 0; i < scan->count; i++) {
		if (i && str_eq(scan->seen[i].key, scan->seen[i - 1].key))
			continue;
		if (!fn(arg, scan->seen[i].key, scan->seen[i].value, scan->seen[i].expires_us))
			return;
	}
}

static bool redis_scan(struct store *st, struct str prefix, store_scan_fn *fn, void *arg, struct err *err)
{
	struct scan scan = { 0 };

	if (prefix.len > STORE_KEY_MAX)
		return store_key_fits(prefix, err);
	arena_init(&scan.arena, SIZE_MAX);

	bool ok = scan_nodes(link_of(st), prefix, &scan, err);

	if (ok)
		show(&scan, fn, arg);
	free(scan.seen);
	arena_clear(&scan.arena);
	return ok;
}

/* --- open, close */

static void redis_close(struct store *st)
{
	redis_link_close(link_of(st));
	free(st);
}

/* "name:value\r\n" among others. */
static struct str info_value(struct str info, struct str name)
{
	struct str line, key, value;

	while (str_next(&info, '\n', &line))
		if (str_cut(line, ':', &key, &value) && str_eq(key, name))
			return str_trim(value);
	return STR_EMPTY;
}

/* A server that may forget what it likes, or is older than scripts that write by its own clock, is none to count on. */
static void judge_server(struct store_redis *st, struct str info)
{
	struct str policy = info_value(info, STR("maxmemory_policy")), version = info_value(info, STR("redis_version"));
	struct str major, rest;
	uint64_t number;
	size_t room = sizeof st->store.notice;

	if (str_starts(policy, STR("allkeys-")) || str_starts(policy, STR("volatile-")))
		snprintf(st->store.notice, room,
			 "store: redis may forget counts when its memory is full: maxmemory-policy is " STR_FMT
			 ", not noeviction",
			 STR_ARG(policy));
	if (str_cut(version, '.', &major, &rest) && num_parse_u64(major, &number) && number < VERSION_MIN)
		snprintf(st->store.notice, room, "store: redis is version " STR_FMT ", at least %d is needed",
			 STR_ARG(version), VERSION_MIN);
	if (st->store.notice[0])
		log_warn("%s", st->store.notice);
}

/* A server that is away now may come later; the operator should know all the same. */
static void greet(struct store_redis *st)
{
	const struct str ping = STR("INFO");
	redisReply *reply;
	struct err err = { 0 };

	if (redis_link_call(st->link, &(struct redis_words){ .script = SCRIPT_NONE, .words = &ping, .count = 1 }, -1,
			    &reply, &err)) {
		if (reply->type == REDIS_REPLY_STRING)
			judge_server(st, str_of(reply->str, (size_t)reply->len));
		freeReplyObject(reply);
		return;
	}
	if (strstr(err.text, "NOPERM"))         /* this user may not ask how the server is; it answers, that will do */
		return;
	snprintf(st->store.notice, sizeof st->store.notice, "store: %.480s", err.text);
	log_warn("store: not to be had at start: %s", err.text);
}

static bool redis_open(const struct config *config, struct store **out, struct err *err)
{
	struct store_redis *st = calloc(1, sizeof *st);

	if (!st)
		return err_memory(err);
	st->store.ops = &store_redis;
	if (!redis_link_open(config, &st->link, err)) {
		free(st);
		return false;
	}
	greet(st);
	*out = &st->store;
	return true;
}

const struct store_ops store_redis = {
	.name = "redis",
	.open = redis_open,
	.close = redis_close,
	.charge = redis_charge,
	.refund = redis_refund,
	.may_have = redis_may_have,
	.get = redis_get,
	.put = redis_put,
	.count_add = redis_count_add,
	.count_once = redis_count_once,
	.scan = redis_scan,
};
