#define OPENSSL_API_COMPAT 0x10100000L /* see config/base/digest.c */
#include "policy/store_redis_call.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/memory.h"

#define CALL_MAX ((size_t)64 << 20)
#define SHA_HEX 40

static void put_word(struct buf *out, struct str word)
{
	buf_printf(out, "$%zu\r\n", word.len);
	buf_add(out, word);
	buf_add(out, STR("\r\n"));
}

void redis_put_words(struct buf *out, const struct str *words, size_t count)
{
	buf_printf(out, "*%zu\r\n", count);
	for (size_t i = 0; i < count; i++)
		put_word(out, words[i]);
}

/* By this name a server knows a script it has seen. */
static void script_name(enum redis_script script, char out[SHA_HEX + 1])
{
	struct str text = redis_script_text(script);
	unsigned char digest[SHA_DIGEST_LENGTH];
	SHA_CTX ctx;

	SHA1_Init(&ctx);
	SHA1_Update(&ctx, text.ptr, text.len);
	SHA1_Final(digest, &ctx);
	hex_write(digest, SHA_HEX / 2, out);
	out[SHA_HEX] = '\0';
}

static char script_names[SCRIPT_COUNT_OF][SHA_HEX + 1];

static void name_all(void)
{
	for (int i = 0; i < SCRIPT_COUNT_OF; i++)
		script_name((enum redis_script)i, script_names[i]);
}

static void put_call(struct buf *out, const struct redis_words *words, size_t *out_script_end)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char keys[24];

	if (words->script == SCRIPT_NONE) {
		redis_put_words(out, words->words, words->count);
		return;
	}
	pthread_once(&once, name_all);
	buf_printf(out, "*%zu\r\n", words->count + 3);
	put_word(out, STR("EVALSHA"));
	put_word(out, str_from_c(script_names[words->script]));
	*out_script_end = out->len;
	snprintf(keys, sizeof keys, "%zu", words->key_count);
	put_word(out, str_from_c(keys));
	for (size_t i = 0; i < words->count; i++)
		put_word(out, words->words[i]);
}

/* A command's first word is its name, its second the key. */
static int slot_of(const struct redis_words *words)
{
	if (words->script != SCRIPT_NONE)
		return words->key_count ? redis_key_slot(words->words[0]) : -1;
	return words->count > 1 ? redis_key_slot(words->words[1]) : -1;
}

struct redis_call *redis_call_new(const struct redis_words *words)
{
	struct redis_call *call = memory_calloc(1, sizeof *call);
	pthread_condattr_t attr;
	struct buf bytes;

	if (!call)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&call->done, &attr);
	pthread_condattr_destroy(&attr);
	buf_init(&bytes, CALL_MAX);
	put_call(&bytes, words, &call->script_end);
	call->bytes = bytes.ptr;
	call->len = bytes.len;
	call->script = (int)words->script;
	call->slot = slot_of(words);
	call->made_us = clock_mono_us();
	atomic_init(&call->node, -1);
	call->undo = words->undo ? redis_call_new(words->undo) : NULL;
	if (!bytes.failed && (call->undo || !words->undo))
		return call;
	redis_call_free(call);
	return NULL;
}

void redis_call_free(struct redis_call *call)
{
	if (!call)
		return;
	redis_call_free(call->undo);
	if (call->reply)
		freeReplyObject(call->reply);
	pthread_cond_destroy(&call->done);
	free(call->bytes);
	free(call);
}

bool redis_call_spell_out(struct redis_call *call)
{
	struct str whole = str_of(call->bytes, call->len), count, rest;
	struct buf bytes;

	if (call->script_end == 0 || !str_cut(whole, '\n', &count, &rest))
		return false;
	buf_init(&bytes, CALL_MAX);
	buf_add(&bytes, count);
	buf_add_byte(&bytes, '\n');
	put_word(&bytes, STR("EVAL"));
	put_word(&bytes, redis_script_text((enum redis_script)call->script));
	buf_add(&bytes, str_from(whole, call->script_end));
	if (bytes.failed) {
		buf_clear(&bytes);
		return false;
	}
	free(call->bytes);
	call->bytes = bytes.ptr;
	call->len = bytes.len;
	call->script_end = 0;
	return true;
}
