/*
 * json - write JSON (RFC 8259) into a buf.
 *
 * The writer puts the commas; the caller opens, names and closes in the right order (asserted). Strings may be any
 * bytes: control characters (U+0080 to U+009F too) and DEL are escaped, valid UTF-8 goes through, and each octet that is
 * no part of valid UTF-8 becomes \udcXX (a lone low surrogate, as Python's surrogateescape has it), so that no two
 * different inputs look alike and json_unescape gives back exactly the octets that came in.
 *
 * Errors   the buf's: see buf_done
 * Bounds   JSON_DEPTH_MAX objects and arrays inside one another
 */
#ifndef SEKISHO_JSON_H
#define SEKISHO_JSON_H

#include "config/base/buf.h"

#define JSON_DEPTH_MAX 16

struct json {
	struct buf *out;
	uint32_t has_member;           /* one bit a depth: a comma is due */
	int depth;
	bool after_key;
};

void json_init(struct json *json, struct buf *out);
void json_object_open(struct json *json);
void json_object_close(struct json *json);
void json_array_open(struct json *json);
void json_array_close(struct json *json);

void json_key(struct json *json, const char *key);
void json_key_str(struct json *json, struct str key);
void json_str(struct json *json, struct str s);
void json_i64(struct json *json, int64_t value);
void json_bool(struct json *json, bool value);
/* Three decimals. */
void json_milli(struct json *json, int64_t thousandths);
/* A value that is JSON already. */
void json_raw(struct json *json, struct str value);

/* key and value in one call; those with _opt write nothing for an empty or zero value. */
void json_member_str(struct json *json, const char *key, struct str s);
void json_member_str_opt(struct json *json, const char *key, struct str s);
void json_member_i64(struct json *json, const char *key, int64_t value);
void json_member_i64_opt(struct json *json, const char *key, int64_t value);
void json_member_bool(struct json *json, const char *key, bool value);

/* The escaping alone, without quotes. */
void json_escape(struct buf *out, struct str s);
/* What stands between the quotes, back to octets; false for an escape that is none. */
bool json_unescape(struct buf *out, struct str escaped);

#endif
