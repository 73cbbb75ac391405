/* sekisho tenant erase, cert verify: the end of a contract, and the paper that says so. */
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/record/erase.h"
#include "milter/record/note.h"
#include "milter/tool/commands.h"

#define CERTIFICATE_MAX ((size_t)64 << 10)
#define KEYS_AT_ONCE 1000

struct erase_values {
	struct str key, reason;
};
#define ERASE(field) offsetof(struct erase_values, field)

static const struct option erase_options[] = {
	{ "--operator-key", OPTION_TEXT, ERASE(key), "FILE", NULL,
	  "Ed25519 private key that signs instead of the log key (made by `key new FILE`)" },
	{ "--reason", OPTION_TEXT, ERASE(reason), "TEXT", NULL, "why: part of the certificate and of the signed records" },
	{ NULL },
};

struct erasure {
	struct tool *tool;
	struct str tenant, reason;
	struct sign_key *key;
	struct buf text;               /* the certificate */
	struct str keys[KEYS_AT_ONCE];
	size_t key_count;
	int64_t entries;               /* removed from the store */
};

/* --- the log */

static bool erase_class(struct erasure *e, struct str class_name, struct err *err)
{
	const struct record_writer_config writer = tool_log_config(e->tool, class_name);
	const struct erase_request request = { .tenant = e->tenant, .reason = e->reason, .signer = e->key };
	struct erase_result result;

	if (!record_erase(&writer, &request, &result, err))
		return false;
	buf_printf(&e->text, "class " STR_FMT ": %lld records in %lld files\n", STR_ARG(class_name), (long long)result.records,
		   (long long)result.files);
	return true;
}

/* --- the store */

static bool take_key(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct erasure *e = arg;

	(void)value;
	(void)expires_us;
	if (arena_copy(&e->tool->arena, key, &e->keys[e->key_count]))
		e->key_count++;
	return e->key_count < KEYS_AT_ONCE;
}

/* Counters, charges, suppressions, suspensions: everything under the tenant's prefix. */
static bool erase_store(struct erasure *e, struct err *err)
{
	struct store *st = e->tool->store;
	struct str prefix = tool_text(e->tool, "sekisho:{" STR_FMT "}:", STR_ARG(e->tenant));

	do {
		e->key_count = 0;
		if (!st->ops->scan(st, prefix, take_key, e, err))
			return false;
		for (size_t i = 0; i < e->key_count; i++)
			if (!st->ops->put(st, e->keys[i], STR_EMPTY, 0, err))
				return false;
		e->entries += (int64_t)e->key_count;
	} while (e->key_count == KEYS_AT_ONCE);
	buf_printf(&e->text, "store: %lld entries\n", (long long)e->entries);
	return true;
}

/* --- the paper */

static void write_head(struct erasure *e)
{
	char time[JST_TIME_LEN + 1];

	jst_format_time(clock_now_us(), time);
	buf_printf(&e->text, "Certificate of erasure / 消去証明書\nrelay " STR_FMT "\ntenant " STR_FMT "\ntime %s\n",
		   STR_ARG(e->tool->config->node), STR_ARG(e->tenant), time);
	if (e->reason.len)
		buf_printf(&e->text, "reason " STR_FMT "\n", STR_ARG(e->reason));
}

static void write_words(struct erasure *e)
{
	buf_add_c(&e->text,
		  "\nEverything that this relay recorded or counted about the tenant named above, as listed, was erased: of its records only "
		  "numbers and salted hashes remain, so that it can be shown that nothing else was removed with them. Backups and the "
		  "mail server's own log are not part of this.\n"
		  "\n上記のテナントについて本中継ノードが記録・集計した情報は、記載のとおりすべて消去されました。残るのは、他の記録が失われていないことを"
		  "示すための連番とソルト付きハッシュ値のみです。バックアップおよびメールサーバー自身のログは対象外です。\n");
}

static bool make_certificate(struct erasure *e, struct err *err)
{
	struct str name = tool_text(e->tool, "sekisho:" STR_FMT "/erasure", STR_ARG(e->tool->config->node)), text;

	write_words(e);
	if (!note_seal(&e->text, name, e->key, err) || !buf_done(&e->text, &text, err))
		return false;
	buf_add(&e->tool->out, text);
	return true;
}

static bool erase_all(struct erasure *e, struct err *err)
{
	const struct config *config = e->tool->config;

	write_head(e);
	/* Class ops holds no customer's data, and who looked at whose records is to stay. */
	for (size_t i = 0; i < config->class_count; i++)
		if (!str_eq(config->classes[i].name, STR("ops")) && !erase_class(e, config->classes[i].name, err))
			return false;
	return erase_store(e, err) && make_certificate(e, err);
}

/* A line break in the reason would make lines of its own in the certificate. */
static bool is_one_line(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static int erase_with_key(struct tool *tool, const struct erase_values *want, struct erasure *e)
{
	struct err err;
	int code = TOOL_OK;

	buf_init(&e->text, CERTIFICATE_MAX);
	if (!erase_all(e, &err))
		code = tool_fail(tool, TOOL_UNKNOWN, "%s; run it again to finish", err.text);
	else if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("tenant erase"),
							  .tenant = e->tenant, .reason = want->reason, .count = -1 }))
		code = TOOL_UNKNOWN;
	buf_clear(&e->text);
	return code;
}

static int run_erase(struct tool *tool, const void *values)
{
	const struct erase_values *want = values;
	static struct erasure e;
	struct str file;
	struct err err;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	e = (struct erasure){ .tool = tool, .tenant = tool->operands.items[0],
			      .reason = want->reason.ptr ? want->reason : STR_EMPTY };
	if (config_find_tenant(tool->config, e.tenant))
		return tool_fail(tool, TOOL_NO, STR_FMT " is still in the configuration; remove it there and reload first, or its next "
				 "message is recorded again", STR_ARG(e.tenant));
	if (e.tenant.len == 0 || !is_one_line(e.tenant) || !is_one_line(e.reason))
		return tool_usage(tool, "name and reason are one line each");
	if (!tool_ops(tool) || !tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	file = want->key.ptr ? want->key : tool->config->log_key_file;
	if (file.len == 0)
		return tool_fail(tool, TOOL_NO, "there is no key to sign with: relay_log.key_file is none, and no --operator-key");
	if (!sign_key_load(tool_text(tool, STR_FMT, STR_ARG(file)).ptr, &e.key, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);

	int code = erase_with_key(tool, want, &e);

	sign_key_free(e.key);
	return code;
}

const struct tool_command command_tenant_erase = {
	.name = "tenant erase",
	.operands = "NAME",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "erase all that is known of a former tenant",
	.about = "Erases a tenant that is no longer in the configuration: its records in every class (only their numbers and hashes "
		 "stay, so that the log still verifies), its counters, suppressions and suspensions. Writes a certificate in "
		 "English and Japanese, signed, to standard output; `cert verify` checks it. Run again it erases what is new.",
	.options = erase_options,
	.values_size = sizeof(struct erase_values),
	.examples = "sekisho tenant erase acme --reason \"contract ended 2026-11-30\" > acme.cert",
	.ok = "erased, and the certificate written",
	.no = "it is still in the configuration, or there is no key",
	.unknown = "not all of it could be erased: run it again",
	.run = run_erase,
};

/* --- cert verify */

struct cert_values {
	struct str key;
};

static const struct option cert_options[] = {
	{ "--key", OPTION_TEXT, offsetof(struct cert_values, key), "FILE", NULL,
	  "public key (default: key_file of the configuration with .pub)" },
	{ NULL },
};

static int check_certificate(struct tool *tool, struct str key, struct buf *file)
{
	struct sign_publics *publics = arena_new(&tool->arena, struct sign_publics);
	struct str text, name;
	struct err err;

	if (!publics || !sign_publics_load(key.ptr, publics, &err) || !io_read_file(tool->operands.items[0].ptr, file, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", publics ? err.text : "out of memory");
	if (!note_open(buf_view(file), publics, &text, &name, &err))
		return tool_fail(tool, TOOL_NO, STR_FMT ": %s", STR_ARG(tool->operands.items[0]), err.text);
	tool_print(tool, STR_FMT "\nGood: signed as " STR_FMT "\n", STR_ARG(text), STR_ARG(name));
	return TOOL_OK;
}

static int run_cert(struct tool *tool, const void *values)
{
	const struct cert_values *want = values;
	struct buf file;
	struct str key;

	if (!want->key.ptr && !tool_config(tool))
		return TOOL_UNKNOWN;
	key = want->key.ptr ? want->key : tool_text(tool, STR_FMT ".pub", STR_ARG(tool->config->log_key_file));
	buf_init(&file, CERTIFICATE_MAX);

	int code = check_certificate(tool, key, &file);

	buf_clear(&file);
	return code;
}

const struct tool_command command_cert_verify = {
	.name = "cert verify",
	.operands = "FILE",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "is this certificate of erasure a real one?",
	.about = "Checks the signature of a certificate that `tenant erase` wrote, and prints what was signed. Needs the public key "
		 "alone: the log's, or the operator's where one was used.",
	.options = cert_options,
	.values_size = sizeof(struct cert_values),
	.examples = "sekisho cert verify --key relay-log.key.pub acme.cert",
	.ok = "signed, and not altered",
	.no = "altered, or signed with another key",
	.unknown = "a file could not be read",
	.run = run_cert,
};
