#include "milter/record/format.h"

#include <assert.h>
#include <stddef.h>
#include <sys/random.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/json.h"
#include "config/base/num.h"
#include "milter/record/scan.h"

#define CHAIN_MEMBER ",\"chain\":\""
#define CHAIN_TAIL_LEN (sizeof CHAIN_MEMBER - 1 + CHAIN_HEX_LEN + 2)       /* and `"}` */

/* The members that the caller gives, in the order of the line. */
static const struct member {
	struct str name;
	enum { MEMBER_STRING, MEMBER_NUMBER, MEMBER_LIST, MEMBER_JSON } kind;
	size_t at, count_at, max;
} members[] = {
#define STRING(field) { STR_INIT(#field), MEMBER_STRING, offsetof(struct record_event, field), 0, 0 }
#define NUMBER(field) { STR_INIT(#field), MEMBER_NUMBER, offsetof(struct record_event, field), 0, 0 }
#define LIST(field, count, most) \
	{ STR_INIT(#field), MEMBER_LIST, offsetof(struct record_event, field), offsetof(struct record_event, count), most }
#define JSON(field) { STR_INIT(#field), MEMBER_JSON, offsetof(struct record_event, field), 0, 0 }
	STRING(event), STRING(tenant),
	STRING(id), STRING(message), STRING(queue_id), STRING(host), STRING(client), STRING(auth), STRING(helo), STRING(tls),
	STRING(from),
	LIST(to, to_count, RECORD_TO_MAX),
	NUMBER(size), NUMBER(nrcpt),
	STRING(subject_hash), STRING(verdict), STRING(rule), STRING(reply),
	LIST(actions, action_count, RECORD_ACTIONS_MAX),
	STRING(rcpt),
	JSON(outcome), JSON(detail),
};
#define MEMBERS (sizeof members / sizeof *members)
#define BODY_TYPICAL 512                            /* most find room at once */
#define HEAD_MEMBERS 2                              /* event, tenant: before tseq */
#define OPEN_MEMBERS 6                              /* and id, message, queue_id, host: never sealed */

static const void *member_of(const struct record_event *event, size_t at)
{
	return (const char *)event + at;
}

static void add_string(struct json *json, struct str s)
{
	json_str(json, s.len > RECORD_STRING_MAX ? str_slice(s, 0, RECORD_STRING_MAX) : s);
}

static void add_list(struct json *json, const struct record_event *event, const struct member *member)
{
	const struct str *items = *(const struct str *const *)member_of(event, member->at);
	size_t count = *(const size_t *)member_of(event, member->count_at);
	size_t begin = json->out->len;

	if (count == 0)
		return;
	json_key(json, member->name.ptr);
	json_array_open(json);
	for (size_t i = 0; i < count && i < member->max && json->out->len - begin < RECORD_LIST_BYTES_MAX; i++)
		add_string(json, items[i]);
	json_array_close(json);
}

static void add_member(struct json *json, const struct record_event *event, const struct member *member)
{
	const struct str *text = member_of(event, member->at);

	if (member->kind == MEMBER_LIST) {
		add_list(json, event, member);
	} else if (member->kind == MEMBER_NUMBER) {
		json_member_i64_opt(json, member->name.ptr, *(const int64_t *)member_of(event, member->at));
	} else if (text->len) {
		json_key(json, member->name.ptr);
		if (member->kind == MEMBER_STRING)
			add_string(json, *text);
		else
			json_raw(json, *text);
	}
}

static bool body_fits(const struct record_event *event, struct err *err)
{
	if (event->event.len == 0)
		return err_set(err, ERR_INPUT, "a record without an event name");
	if (event->outcome.len > RECORD_JSON_MAX || event->detail.len > RECORD_JSON_MAX)
		return err_set(err, ERR_INPUT, "a record's outcome or detail is larger than %zu octets",
			       RECORD_JSON_MAX);
	return true;
}

bool record_format_body(const struct record_event *event, struct buf *out, struct record_body *out_body, struct err *err)
{
	struct json json;
	struct str all;
	size_t head_len = 0, open_len = 0;

	if (!body_fits(event, err))
		return false;
	buf_reset(out);
	buf_reserve(out, BODY_TYPICAL);
	json_init(&json, out);
	json.has_member = 1;                        /* every member begins with its comma: seq and time go before */
	for (size_t i = 0; i < MEMBERS; i++) {
		if (i == HEAD_MEMBERS)
			head_len = out->len;
		if (i == OPEN_MEMBERS)
			open_len = out->len - head_len;
		add_member(&json, event, &members[i]);
	}
	if (!buf_done(out, &all, err))
		return false;
	*out_body = (struct record_body){ str_slice(all, 0, head_len), str_from(all, head_len), open_len };
	return true;
}

static char *put(char *at, struct str s)
{
	memcpy(at, s.ptr, s.len);
	return at + s.len;
}

static char *put_number(char *at, int64_t value)
{
	char digits[20];
	size_t n = 0;

	assert(value >= 0);
	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	while (n)
		*at++ = digits[--n];
	return at;
}

#define STAMP_MAX 512                               /* all that record_format_line adds to a body; the clock's word is one of ours */

static bool reserve_line(struct record_body body, const struct record_stamp *stamp, struct buf *out, struct err *err)
{
	if (body.head.len + body.tail.len + stamp->clock.len + STAMP_MAX > RECORD_LINE_MAX)
		return err_set(err, ERR_INPUT, "a record of more than %zu octets", RECORD_LINE_MAX);
	if (!buf_reserve(out, body.head.len + body.tail.len + stamp->clock.len + STAMP_MAX))
		return err_memory(err);
	return true;
}

bool record_format_line(struct record_body body, const struct record_stamp *stamp,
			unsigned char chain[RECORD_HASH_LEN], struct buf *out, struct err *err)
{
	unsigned char leaf[CHAIN_LEN];

	if (!reserve_line(body, stamp, out, err))
		return false;

	char *line = out->ptr + out->len;
	char *at = put_number(put(line, STR("{\"seq\":")), stamp->seq);

	at = put(at, STR(",\"time\":\""));
	jst_format_time(stamp->time_us, at);
	at = put(put(at + JST_TIME_LEN, STR("\"")), body.head);
	if (stamp->tseq)
		at = put_number(put(at, STR(",\"tseq\":")), stamp->tseq);
	at = put(at, body.tail);
	if (stamp->clock.len)
		at = put(put(put(at, STR(",\"clock\":\"")), stamp->clock), STR("\""));
	at = put(at, STR(",\"salt\":\""));
	hex_write(stamp->salt, RECORD_SALT_LEN, at);
	at = put(at + 2 * RECORD_SALT_LEN, STR("\""));

	chain_leaf(str_of(line, (size_t)(at - line)), leaf);
	chain_advance(chain, leaf);
	at = put(at, STR(CHAIN_MEMBER));
	hex_write(chain, CHAIN_LEN, at);
	at = put(at + CHAIN_HEX_LEN, STR("\"}\n"));
	out->len += (size_t)(at - line);
	return true;
}

static const char id_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#define ID_RANDOM 10
#define ID_ASKED (25 * ID_RANDOM)      /* getrandom(2): up to 256 octets are never cut short */

/* A system call takes as long as the rest of a record's body does: one for many. */
static void id_random(unsigned char out[ID_RANDOM])
{
	static _Thread_local unsigned char octets[ID_ASKED];
	static _Thread_local size_t left;

	if (left == 0) {
		ssize_t n = getrandom(octets, sizeof octets, 0);

		assert(n == sizeof octets);
		left = sizeof octets;
	}
	left -= ID_RANDOM;
	memcpy(out, octets + left, ID_RANDOM);
}

void record_id_new(int64_t time_us, char out[RECORD_ID_LEN + 1])
{
	unsigned char octets[16];
	uint64_t ms = (uint64_t)time_us / 1000;

	for (size_t i = 0; i < 6; i++)
		octets[i] = (unsigned char)(ms >> (40 - 8 * i));
	id_random(octets + 6);

	/* 26 digits of five bits are 130: the first digit has two zero bits before it. */
	unsigned bits = 0, have = 2;
	size_t at = 0;

	for (size_t i = 0; i < sizeof octets; i++) {
		bits = bits << 8 | octets[i];
		for (have += 8; have >= 5; have -= 5)
			out[at++] = id_digits[bits >> (have - 5) & 31];
	}
	out[at] = '\0';
}

bool record_id_time(struct str id, int64_t *out_us)
{
	int64_t ms = 0;

	if (id.len != RECORD_ID_LEN || id.ptr[0] > '7')     /* 48 bits in the first ten digits */
		return false;
	for (size_t i = 0; i < 10; i++) {
		const char *at = memchr(id_digits, id.ptr[i], sizeof id_digits - 1);

		if (!at)
			return false;
		ms = ms * 32 + (at - id_digits);
	}
	*out_us = ms * 1000;
	return true;
}

/* The line between its first and its last member: `{"seq":N` has been taken off the front, the chain off the end. */
static bool split_line(struct str line, int64_t *out_seq, struct str *out_rest, unsigned char out_chain[CHAIN_LEN],
		       struct str *out_leaf_text)
{
	const struct str seq = STR_INIT("{\"seq\":");

	if (line.len > RECORD_LINE_MAX || line.len < seq.len + 1 + CHAIN_TAIL_LEN || !str_starts(line, seq))
		return false;

	struct str leaf_text = str_slice(line, 0, line.len - CHAIN_TAIL_LEN);
	struct str tail = str_from(line, leaf_text.len), rest = str_from(leaf_text, seq.len);
	size_t digits = 0;

	if (!str_starts(tail, STR(CHAIN_MEMBER)) || !str_ends(tail, STR("\"}")))
		return false;
	while (digits < rest.len && ascii_is_digit(rest.ptr[digits]))
		digits++;
	if (!num_parse_i64(str_slice(rest, 0, digits), out_seq))
		return false;
	*out_rest = str_from(rest, digits);
	*out_leaf_text = leaf_text;
	return hex_read(str_slice(tail, sizeof CHAIN_MEMBER - 1, CHAIN_HEX_LEN), out_chain, CHAIN_LEN);
}

static bool take_quoted(struct str *rest, struct str before, struct str *out)
{
	if (!str_starts(*rest, before))
		return false;
	*rest = str_from(*rest, before.len);
	return str_cut(*rest, '"', out, rest);
}

bool record_parse_link(struct str line, struct record_link *out)
{
	struct str rest, erased;

	if (!split_line(line, &out->seq, &rest, out->chain, &out->leaf_text))
		return false;
	if (take_quoted(&rest, STR(",\"erased\":\""), &erased)) {
		out->event = out->time = out->leaf_text = STR_EMPTY;
		return rest.len == 0 && hex_read(erased, out->erased_leaf, CHAIN_LEN);
	}
	return take_quoted(&rest, STR(",\"time\":\""), &out->time) && take_quoted(&rest, STR(",\"event\":\""), &out->event);
}

void record_link_leaf(const struct record_link *link, unsigned char out[RECORD_HASH_LEN])
{
	if (link->leaf_text.len)
		chain_leaf(link->leaf_text, out);
	else
		memcpy(out, link->erased_leaf, RECORD_HASH_LEN);
}

static bool parse_list(struct str value, const struct member *member, struct arena *arena, struct record_event *event)
{
	struct scan scan;
	struct str item;
	enum scan_step step;
	size_t count = 0;

	if (!scan_open(value, '[', &scan))
		return false;
	while ((step = scan_item(&scan, &item)) == SCAN_ITEM)
		count++;
	if (step == SCAN_BAD || count > member->max)
		return false;

	struct str *items = arena_array(arena, count, sizeof *items);

	if (!items)
		return false;
	scan_open(value, '[', &scan);
	for (size_t i = 0; i < count; i++)
		if (scan_item(&scan, &item) != SCAN_ITEM || !scan_string(item, arena, &items[i]))
			return false;
	*(const struct str **)((char *)event + member->at) = items;
	*(size_t *)((char *)event + member->count_at) = count;
	return true;
}

static bool parse_member(struct str value, const struct member *member, struct arena *arena, struct record_event *event)
{
	void *at = (char *)event + member->at;

	switch (member->kind) {
	case MEMBER_STRING:
		return scan_string(value, arena, at);
	case MEMBER_NUMBER:
		return scan_i64(value, at);
	case MEMBER_LIST:
		return parse_list(value, member, arena, event);
	case MEMBER_JSON:
		*(struct str *)at = value;
		return value.len && *value.ptr == '{';
	}
	return false;
}

static bool parse_stamp(struct str name, struct str value, struct arena *arena, struct record_line *line)
{
	struct record_stamp *stamp = &line->stamp;
	struct str text;

	if (str_eq(name, STR("tseq")))
		return scan_i64(value, &stamp->tseq);
	if (str_eq(name, STR("time")))
		return scan_is_string(value, &text) && jst_parse_time(text, &stamp->time_us);
	if (str_eq(name, STR("clock")))
		return scan_string(value, arena, &stamp->clock);
	if (str_eq(name, STR("salt")))
		return scan_is_string(value, &text) && hex_read(text, stamp->salt, RECORD_SALT_LEN);
	if (str_eq(name, STR("sealed")))
		line->is_sealed = true;
	return true;                                /* seq and chain are taken already; what a later version adds is its own */
}

static bool parse_any(struct str name, struct str value, struct arena *arena, struct record_line *line)
{
	for (size_t i = 0; i < MEMBERS; i++)
		if (str_eq(name, members[i].name))
			return parse_member(value, &members[i], arena, &line->event);
	return parse_stamp(name, value, arena, line);
}

bool record_parse(struct str line, struct arena *arena, struct record_line *out, struct err *err)
{
	struct record_link link;
	struct record_line parsed = { 0 };
	struct scan scan;
	struct str name, value;
	enum scan_step step;

	if (!record_parse_link(line, &link))
		return err_set(err, ERR_INPUT,
			       "not a record: it must begin with seq, time and event and end with its chain value");
	parsed.stamp.seq = link.seq;
	parsed.leaf_text = link.leaf_text;
	memcpy(parsed.chain, link.chain, CHAIN_LEN);
	if (link.leaf_text.len == 0) {
		parsed.is_erased = true;
		memcpy(parsed.erased_leaf, link.erased_leaf, CHAIN_LEN);
		*out = parsed;
		return true;
	}
	scan_open(line, '{', &scan);
	while ((step = scan_member(&scan, &name, &value)) == SCAN_ITEM)
		if (!parse_any(name, value, arena, &parsed))
			return err_set(err, ERR_INPUT, "record %lld: member \"" STR_FMT "\" cannot be read",
				       (long long)link.seq, STR_ARG(str_slice(name, 0, 40)));
	if (step == SCAN_BAD || scan.rest.len)
		return err_set(err, ERR_INPUT, "record %lld: not a JSON object", (long long)link.seq);
	*out = parsed;
	return true;
}

bool record_peek(struct str line, struct str member, struct str *out_escaped)
{
	return scan_find_string(line, member, out_escaped);
}
