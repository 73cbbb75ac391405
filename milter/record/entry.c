#include "milter/record/entry.h"

#include <inttypes.h>
#include <openssl/evp.h>

#include "config/base/hex.h"
#include "config/base/json.h"
#include "milter/record/scan.h"

#define TEXT_MAX ((size_t)4096)
#define REASON_MAX 1000
#define SEQS_MAX (RECORD_JSON_MAX / 2)

bool entry_is_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '/')
			return false;
	}
	return name.len > 0 && name.len <= ENTRY_NAME_MAX;
}

static void member_hash(struct json *json, const char *name, const unsigned char hash[CHAIN_LEN])
{
	char hex[CHAIN_HEX_LEN];

	hex_write(hash, CHAIN_LEN, hex);
	json_member_str(json, name, str_of(hex, sizeof hex));
}

static bool find_hash(struct str detail, struct str name, unsigned char out[CHAIN_LEN])
{
	struct str hex;

	return scan_find_string(detail, name, &hex) && hex_read(hex, out, CHAIN_LEN);
}

void begin_entry_write(const struct begin_entry *begin, struct buf *out)
{
	struct json json;

	buf_reset(out);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "node", begin->node);
	json_member_str(&json, "class", begin->class_name);
	json_member_str(&json, "file", begin->file);
	json_member_str(&json, "previous", begin->previous);
	json_member_i64(&json, "end", begin->end);
	json_member_i64(&json, "after", begin->after);
	member_hash(&json, "hash", begin->hash);
	json_member_i64(&json, "tenants", begin->tenants);
	json_object_close(&json);
}

bool begin_entry_read(struct str detail, struct begin_entry *out)
{
	return scan_find_string(detail, STR("node"), &out->node) &&
	       scan_find_string(detail, STR("class"), &out->class_name) &&
	       scan_find_string(detail, STR("file"), &out->file) &&
	       scan_find_string(detail, STR("previous"), &out->previous) &&
	       scan_find_i64(detail, STR("end"), &out->end) && out->end >= 0 &&
	       scan_find_i64(detail, STR("after"), &out->after) && out->after >= 0 &&
	       find_hash(detail, STR("hash"), out->hash) &&
	       scan_find_i64(detail, STR("tenants"), &out->tenants) && out->tenants >= 0;
}

void checkpoint_entry_text(const struct checkpoint_entry *checkpoint, struct buf *out)
{
	unsigned char hash[48];                     /* 44 octets of base64 and a NUL */

	buf_reset(out);
	EVP_EncodeBlock(hash, checkpoint->hash, CHAIN_LEN);
	buf_printf(out, "sekisho:" STR_FMT "/" STR_FMT "\n%" PRId64 "\n%s\ntime " STR_FMT "\n", STR_ARG(checkpoint->node),
		   STR_ARG(checkpoint->class_name), checkpoint->head, (const char *)hash, STR_ARG(checkpoint->time));
	if (checkpoint->next.len)
		buf_printf(out, "next " STR_FMT "\n", STR_ARG(checkpoint->next));
}

bool checkpoint_entry_write(const struct checkpoint_entry *checkpoint, const struct sign_key *key, struct buf *out,
			    struct err *err)
{
	char sig[SIGN_BASE64_LEN + 1];
	struct json json;
	struct str text;

	checkpoint_entry_text(checkpoint, out);
	if (!buf_done(out, &text, err) || !sign_text(key, text, sig, err))
		return false;
	buf_reset(out);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "node", checkpoint->node);
	json_member_str(&json, "class", checkpoint->class_name);
	json_member_i64(&json, "head", checkpoint->head);
	member_hash(&json, "hash", checkpoint->hash);
	json_member_str_opt(&json, "next", checkpoint->next);
	json_member_str_opt(&json, "once", checkpoint->once);
	json_member_str(&json, "key", str_from_c(sign_key_id(key)));
	json_member_str(&json, "sig", str_from_c(sig));
	json_object_close(&json);
	return buf_done(out, &text, err);
}

bool checkpoint_entry_read(struct str detail, struct str time, struct checkpoint_entry *out)
{
	out->time = time;
	if (!scan_find_string(detail, STR("next"), &out->next))
		out->next = STR_EMPTY;
	if (!scan_find_string(detail, STR("once"), &out->once))
		out->once = STR_EMPTY;
	return scan_find_string(detail, STR("node"), &out->node) && entry_is_name(out->node) &&
	       scan_find_string(detail, STR("class"), &out->class_name) && entry_is_name(out->class_name) &&
	       scan_find_i64(detail, STR("head"), &out->head) && out->head >= 0 &&
	       find_hash(detail, STR("hash"), out->hash) &&
	       scan_find_string(detail, STR("key"), &out->key) &&
	       scan_find_string(detail, STR("sig"), &out->sig) && out->next.len < TEXT_MAX;
}

static void add_origin(struct buf *out, struct str node, struct str class_name, struct str event)
{
	buf_printf(out, "sekisho:" STR_FMT "/" STR_FMT " " STR_FMT "\n", STR_ARG(node), STR_ARG(class_name), STR_ARG(event));
}

bool statement_sign(struct buf *detail, struct str node, struct str class_name, const char *event, const struct sign_key *key,
		    struct err *err)
{
	char sig[SIGN_BASE64_LEN + 1];
	struct buf text;
	struct str whole;
	bool ok = true;

	buf_init(&text, RECORD_LINE_MAX);
	if (key) {
		buf_printf(detail, ",\"key\":\"%s\"", sign_key_id(key));
		add_origin(&text, node, class_name, str_from_c(event));
		buf_add(&text, buf_view(detail));
		ok = buf_done(&text, &whole, err) && sign_text(key, whole, sig, err);
		buf_clear(&text);
		if (ok)
			buf_printf(detail, ",\"sig\":\"%s\"", sig);
	}
	buf_add_byte(detail, '}');
	return ok && buf_done(detail, &whole, err);
}

enum statement_result statement_check(struct str detail, struct str event, const struct sign_publics *publics)
{
	const size_t tail_len = sizeof ",\"sig\":\"" - 1 + SIGN_BASE64_LEN + 2;
	struct str node, class_name, key, sig;
	struct buf text;

	if (!scan_find_string(detail, STR("key"), &key) && !scan_find_string(detail, STR("sig"), &sig))
		return STATEMENT_UNSIGNED;
	if (!scan_find_string(detail, STR("key"), &key) || !scan_find_string(detail, STR("sig"), &sig) ||
	    !scan_find_string(detail, STR("node"), &node) || !entry_is_name(node) ||
	    !scan_find_string(detail, STR("class"), &class_name) || !entry_is_name(class_name) || detail.len < tail_len ||
	    sig.ptr != detail.ptr + detail.len - 2 - SIGN_BASE64_LEN)
		return STATEMENT_FORGED;

	const struct sign_public *public = sign_publics_find(publics, key);

	if (!public)
		return STATEMENT_STRANGE;
	buf_init(&text, 2 * RECORD_LINE_MAX);
	add_origin(&text, node, class_name, event);
	buf_add(&text, str_slice(detail, 0, detail.len - tail_len));
	bool ok = !text.failed && sign_check(public, buf_view(&text), sig);

	buf_clear(&text);
	return ok ? STATEMENT_GOOD : STATEMENT_FORGED;
}

bool purged_entry_write(const struct purged_entry *purged, const struct sign_key *key, struct buf *out, struct err *err)
{
	struct json json;

	buf_reset(out);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "node", purged->node);
	json_member_str(&json, "class", purged->class_name);
	json_member_str(&json, "file", purged->file);
	if (purged->first) {
		json_member_i64(&json, "first", purged->first);
		member_hash(&json, "before", purged->before);
	}
	json_member_i64(&json, "last", purged->last);
	member_hash(&json, "hash", purged->hash);
	json_member_str_opt(&json, "reason", purged->reason);
	json_member_str(&json, "keep", purged->keep);
	return statement_sign(out, purged->node, purged->class_name, "purged", key, err);
}

bool purged_entry_read(struct str detail, struct purged_entry *out)
{
	return scan_find_string(detail, STR("node"), &out->node) && scan_find_string(detail, STR("class"), &out->class_name) &&
	       scan_find_string(detail, STR("file"), &out->file) && scan_find_i64(detail, STR("last"), &out->last) &&
	       find_hash(detail, STR("hash"), out->hash) && scan_find_string(detail, STR("keep"), &out->keep);
}

bool erased_entry_write(const struct erased_entry *erased, const struct spans *spans, size_t *at, const struct sign_key *key,
			struct buf *out, struct err *err)
{
	struct json json;

	buf_reset(out);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "node", erased->node);
	json_member_str(&json, "class", erased->class_name);
	json_member_str_opt(&json, "tenant", erased->tenant);
	json_member_str_opt(&json, "id", erased->id);
	json_member_str(&json, "file", erased->file);
	json_member_str_opt(&json, "reason", erased->reason.len > REASON_MAX ? str_slice(erased->reason, 0, REASON_MAX)
									     : erased->reason);
	json_key(&json, "seqs");
	buf_add_byte(out, '"');
	spans_write(spans, at, SEQS_MAX, out);
	buf_add_byte(out, '"');
	return statement_sign(out, erased->node, erased->class_name, "erased", key, err);
}

bool erased_entry_read(struct str detail, struct erased_entry *out, struct str *out_seqs)
{
	return scan_find_string(detail, STR("node"), &out->node) && scan_find_string(detail, STR("class"), &out->class_name) &&
	       scan_find_string(detail, STR("file"), &out->file) && scan_find_string(detail, STR("seqs"), out_seqs);
}

bool restored_entry_write(const struct restored_entry *restored, const struct sign_key *key, struct buf *out, struct err *err)
{
	struct json json;

	buf_reset(out);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "node", restored->node);
	json_member_str(&json, "class", restored->class_name);
	json_member_str(&json, "backup", restored->backup);
	json_member_i64(&json, "last", restored->last);
	member_hash(&json, "hash", restored->hash);
	return statement_sign(out, restored->node, restored->class_name, "restored", key, err);
}

bool restored_entry_read(struct str detail, struct restored_entry *out)
{
	return scan_find_string(detail, STR("node"), &out->node) && scan_find_string(detail, STR("class"), &out->class_name) &&
	       scan_find_string(detail, STR("backup"), &out->backup) && scan_find_i64(detail, STR("last"), &out->last) &&
	       find_hash(detail, STR("hash"), out->hash);
}
