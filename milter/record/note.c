#include "milter/record/note.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "config/base/digest.h"
#include "config/base/memory.h"
#include "config/base/num.h"

#define DASH "\xe2\x80\x94 "                         /* U+2014, SP */
#define HASH_LEN 4
#define ED25519 "\x01"                              /* signed-note: the type octet of Ed25519 */
#define COSIGNATURE "\x04"                          /* cosignature/v1: of its Ed25519 */
#define TIME_LEN 8
#define TIME_MAX_S UINT64_C(253402300799)           /* 9999-12-31 */
#define COSIGN_LEN (HASH_LEN + TIME_LEN + SIGN_LEN)
#define COSIGN_BASE64_LEN 104                       /* of 76 octets, two "=" */
#define BLOB_LEN (HASH_LEN + SIGN_LEN)
#define BLOB_BASE64_LEN 92                          /* of 68 octets, one "=" */

/* The first octets of SHA-256(name || newline || type || key). */
static void key_hash(struct str name, struct str type, const struct sign_public *public, unsigned char out[HASH_LEN])
{
	unsigned char octets[DIGEST_LEN];
	struct digest digest;

	digest_begin(&digest);
	digest_add(&digest, name);
	digest_add(&digest, STR("\n"));
	digest_add(&digest, type);
	digest_add(&digest, str_of((const char *)public->raw, SIGN_KEY_LEN));
	digest_end(&digest, octets);
	memcpy(out, octets, HASH_LEN);
}

static void add_signature(struct buf *out, struct str name, const struct sign_public *public, struct str sig_base64)
{
	unsigned char blob[BLOB_LEN + 2], base64[BLOB_BASE64_LEN + 1], sig[SIGN_LEN + 2] = { 0 };

	if (sig_base64.len == SIGN_BASE64_LEN)
		EVP_DecodeBlock(sig, (const unsigned char *)sig_base64.ptr, SIGN_BASE64_LEN);
	key_hash(name, STR(ED25519), public, blob);
	memcpy(blob + HASH_LEN, sig, SIGN_LEN);
	EVP_EncodeBlock(base64, blob, BLOB_LEN);
	buf_printf(out, "\n" DASH STR_FMT " %s\n", STR_ARG(name), (const char *)base64);
}

void note_write(const struct checkpoint_entry *checkpoint, const struct sign_public *public, struct buf *out)
{
	char origin[2 * ENTRY_NAME_MAX + 16];

	snprintf(origin, sizeof origin, "sekisho:" STR_FMT "/" STR_FMT, STR_ARG(checkpoint->node), STR_ARG(checkpoint->class_name));
	checkpoint_entry_text(checkpoint, out);
	add_signature(out, str_from_c(origin), public, checkpoint->sig);
}

bool note_sign(struct buf *text, struct str name, const struct sign_key *key, struct err *err)
{
	struct sign_public public = { .id = "" };
	char sig[SIGN_BASE64_LEN + 1];
	struct str whole;

	if (!buf_done(text, &whole, err) || !sign_text(key, whole, sig, err))
		return false;
	memcpy(public.raw, sign_key_public(key), SIGN_KEY_LEN);
	add_signature(text, name, &public, str_from_c(sig));
	return buf_done(text, &whole, err);
}

/* Octets that are `len` long, in their one spelling; `out` has room for all that the text decodes to. */
static bool read_base64(struct str text, size_t len, unsigned char *out)
{
	unsigned char again[COSIGN_BASE64_LEN + 1];

	if (text.len != (len + 2) / 3 * 4 || text.len >= sizeof again ||
	    EVP_DecodeBlock(out, (const unsigned char *)text.ptr, (int)text.len) < 0)
		return false;
	EVP_EncodeBlock(again, out, (int)len);
	return memcmp(again, text.ptr, text.len) == 0;
}

/* "- NAME BASE64": the signature in the base64 that sign_check takes. */
static bool read_signature(struct str line, struct str *out_name, unsigned char out_hash[HASH_LEN],
			   char out_sig[SIGN_BASE64_LEN + 1])
{
	unsigned char blob[BLOB_LEN + 1];
	struct str rest, base64;

	if (!str_starts(line, STR(DASH)))
		return false;
	rest = str_from(line, sizeof DASH - 1);
	if (!str_cut(rest, ' ', out_name, &base64) || !read_base64(base64, BLOB_LEN, blob))
		return false;
	memcpy(out_hash, blob, HASH_LEN);
	EVP_EncodeBlock((unsigned char *)out_sig, blob + HASH_LEN, SIGN_LEN);
	return true;
}

static bool is_signed_by(struct str text, struct str name, const unsigned char hash[HASH_LEN], const char *sig,
			 const struct sign_publics *publics)
{
	for (size_t i = 0; i < publics->count; i++) {
		unsigned char want[HASH_LEN];

		key_hash(name, STR(ED25519), &publics->keys[i], want);
		if (memcmp(hash, want, HASH_LEN) == 0 && sign_check(&publics->keys[i], text, str_from_c(sig)))
			return true;
	}
	return false;
}

static bool read_text(struct str text, struct note *out)
{
	unsigned char hash[36];
	struct str rest = text, head, base64, time, pair;

	if (!str_cut(rest, '\n', &out->origin, &rest) || !str_cut(rest, '\n', &head, &rest) ||
	    !str_cut(rest, '\n', &base64, &rest) || !str_cut(rest, '\n', &time, &rest))
		return false;
	if (!str_starts(out->origin, STR("sekisho:")) || !str_starts(time, STR("time ")) || base64.len != 44 ||
	    EVP_DecodeBlock(hash, (const unsigned char *)base64.ptr, 44) != 33 || !num_parse_i64(head, &out->head))
		return false;
	pair = str_from(out->origin, sizeof "sekisho:" - 1);
	if (!str_cut_last(pair, '/', &out->node, &out->class_name))
		return false;
	memcpy(out->hash, hash, CHAIN_LEN);
	out->time = str_from(time, 5);
	return entry_is_name(out->node) && entry_is_name(out->class_name) && out->head >= 0;
}

/* Or there was no memory to see one. */
static bool refuse_unsigned(unsigned long shortages, const char *why, struct err *err)
{
	return memory_shortages() == shortages ? err_set(err, ERR_CONFIG, "%s", why) : err_memory(err);
}

bool note_read(struct str file, const struct sign_publics *publics, struct note *out, struct err *err)
{
	unsigned long shortages = memory_shortages();
	size_t end = str_find(file, STR("\n\n"));
	struct str signatures, line, name;
	unsigned char hash[HASH_LEN];
	char sig[SIGN_BASE64_LEN + 1];

	if (end == file.len)
		return err_set(err, ERR_INPUT,
			       "not a checkpoint as `sekisho log checkpoint` prints it: no empty line in it");
	out->text = str_slice(file, 0, end + 1);
	if (!read_text(out->text, out))
		return err_set(err, ERR_INPUT, "not a checkpoint as `sekisho log checkpoint` prints it");
	signatures = str_from(file, end + 2);
	while (str_next(&signatures, '\n', &line))
		if (read_signature(line, &name, hash, sig) && str_eq(name, out->origin) &&
		    is_signed_by(out->text, name, hash, sig, publics))
			return true;
	return refuse_unsigned(shortages, "the checkpoint has no good signature of a key that was given", err);
}

bool note_open(struct str file, const struct sign_publics *publics, struct str *out_text, struct str *out_name, struct err *err)
{
	static const char gap[] = "\n\n" DASH;
	unsigned long shortages = memory_shortages();
	struct str text, signatures, line, name;
	unsigned char hash[HASH_LEN];
	char sig[SIGN_BASE64_LEN + 1];
	size_t end = file.len;

	/* The last such place: the text may have empty lines and dashes of its own. */
	for (size_t at = 0; at < file.len;) {
		size_t hit = at + str_find(str_from(file, at), str_from_c(gap));

		if (hit >= file.len)
			break;
		end = hit;
		at = hit + 1;
	}
	if (end == file.len)
		return err_set(err, ERR_INPUT, "no signed note: there is no signature in it");
	text = str_slice(file, 0, end + 1);
	signatures = str_from(file, end + 2);
	while (str_next(&signatures, '\n', &line)) {
		if (read_signature(line, &name, hash, sig) && is_signed_by(text, name, hash, sig, publics)) {
			*out_text = text;
			*out_name = name;
			return true;
		}
	}
	return refuse_unsigned(shortages, "no good signature of a key that was given", err);
}

/* --- cosignatures */

static void cosigned_text(const struct note *note, uint64_t time_s, struct buf *out)
{
	buf_init(out, NOTE_MAX + 64);
	buf_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", time_s);
	buf_add(out, note->text);
}

bool note_cosign(struct buf *file, const struct note *note, struct str name, int64_t time_s, const struct sign_key *key,
		 struct err *err)
{
	unsigned char blob[COSIGN_LEN], sig[SIGN_LEN + 2] = { 0 }, base64[COSIGN_BASE64_LEN + 1];
	struct sign_public public = { .id = "" };
	char sig_base64[SIGN_BASE64_LEN + 1];
	struct buf text;
	struct str whole;

	cosigned_text(note, (uint64_t)time_s, &text);

	bool ok = buf_done(&text, &whole, err) && sign_text(key, whole, sig_base64, err);

	buf_clear(&text);
	if (!ok)
		return false;
	memcpy(public.raw, sign_key_public(key), SIGN_KEY_LEN);
	key_hash(name, STR(COSIGNATURE), &public, blob);
	for (int i = 0; i < TIME_LEN; i++)
		blob[HASH_LEN + i] = (unsigned char)((uint64_t)time_s >> (8 * (TIME_LEN - 1 - i)));
	EVP_DecodeBlock(sig, (const unsigned char *)sig_base64, SIGN_BASE64_LEN);
	memcpy(blob + HASH_LEN + TIME_LEN, sig, SIGN_LEN);
	EVP_EncodeBlock(base64, blob, COSIGN_LEN);
	buf_printf(file, DASH STR_FMT " %s\n", STR_ARG(name), (const char *)base64);
	return buf_done(file, &whole, err);
}

static bool read_cosignature(struct str line, struct str *out_name, unsigned char out[COSIGN_LEN + 2])
{
	struct str base64;

	return str_starts(line, STR(DASH)) && str_cut(str_from(line, sizeof DASH - 1), ' ', out_name, &base64) &&
	       read_base64(base64, COSIGN_LEN, out);
}

static bool is_good(const unsigned char blob[COSIGN_LEN], uint64_t time_s, const struct note *note, const struct sign_public *witness)
{
	char sig[SIGN_BASE64_LEN + 1];
	struct buf text;

	EVP_EncodeBlock((unsigned char *)sig, blob + HASH_LEN + TIME_LEN, SIGN_LEN);
	cosigned_text(note, time_s, &text);

	bool ok = sign_check(witness, buf_view(&text), str_from_c(sig));

	buf_clear(&text);
	return ok;
}

static enum note_cosigned judge(const unsigned char blob[COSIGN_LEN], struct str name, const struct note *note,
				const struct sign_publics *witnesses, int64_t *out_time_s)
{
	enum note_cosigned result = NOTE_ALONE;
	unsigned char hash[HASH_LEN];
	uint64_t time_s = 0;

	for (int i = 0; i < TIME_LEN; i++)
		time_s = time_s << 8 | blob[HASH_LEN + i];
	for (size_t i = 0; i < witnesses->count && result != NOTE_COSIGNED; i++) {
		key_hash(name, STR(COSIGNATURE), &witnesses->keys[i], hash);
		if (memcmp(hash, blob, HASH_LEN) == 0)
			result = time_s <= TIME_MAX_S && is_good(blob, time_s, note, &witnesses->keys[i]) ? NOTE_COSIGNED : NOTE_FORGED;
	}
	*out_time_s = (int64_t)time_s;
	return result;
}

enum note_cosigned note_cosigned(struct str file, const struct note *note, const struct sign_publics *witnesses,
				 struct str *out_name, int64_t *out_time_s)
{
	struct str signatures = str_from(file, note->text.len), line, name;
	unsigned char blob[COSIGN_LEN + 2];
	enum note_cosigned result = NOTE_ALONE, one;
	int64_t time_s;

	while (str_next(&signatures, '\n', &line)) {
		one = read_cosignature(line, &name, blob) ? judge(blob, name, note, witnesses, &time_s) : NOTE_ALONE;
		if (one == NOTE_COSIGNED) {
			*out_name = name;
			*out_time_s = time_s;
			return one;
		}
		result = one == NOTE_FORGED ? one : result;
	}
	return result;
}
