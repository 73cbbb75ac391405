/* sekisho tenant erase, cert verify: the end of a contract, and the paper that says so. */
#include <errno.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/erase_rule.h"
#include "milter/erasure_order.h"
#include "milter/record/note.h"
#include "milter/tool/commands.h"

struct erase_values {
	struct str key, reason, rule;
	struct option_time ended;
	bool is_dry_run, is_cancel, is_pending, is_nothing;
};
#define ERASE(field) offsetof(struct erase_values, field)

static const struct option erase_options[] = {
	{ "--rule", OPTION_TEXT, ERASE(rule), "RULE", NULL,
	  "not now: " ERASE_RULE_WORDS " after the contract's end (default with --ended: relay_log.erase_rule)" },
	{ "--ended", OPTION_SINCE, ERASE(ended), "DATE", NULL, "when the contract ended or will end (default: now)" },
	{ "--pending", OPTION_FLAG, ERASE(is_pending), NULL, NULL, "list what is to be erased by rule, perhaps with --json" },
	{ "--cancel", OPTION_FLAG, ERASE(is_cancel), NULL, NULL, "withdraw what was to be erased by rule" },
	{ "--dry-run", OPTION_FLAG, ERASE(is_dry_run), NULL, NULL, "say what would be erased, and when, and leave it" },
	{ "--nothing", OPTION_FLAG, ERASE(is_nothing), NULL, NULL, "certify it also when nothing is known of NAME (any more)" },
	{ "--operator-key", OPTION_TEXT, ERASE(key), "FILE", NULL,
	  "private key that signs it (default: relay_log.operator_key_file)" },
	{ "--reason", OPTION_PROSE, ERASE(reason), "TEXT", NULL, "why: part of the certificate and of the signed records" },
	{ NULL },
};

/* --- now */

/* Where Redis is used, the embedded store may still know the tenant from before, or from when Redis was away. */
static bool open_own_store(struct tool *tool, struct store **out)
{
	struct config own = *tool->config;
	struct err err;

	*out = NULL;
	own.store_backend = STORE_EMBEDDED;
	if (tool->config->store_backend == STORE_EMBEDDED || (access(own.store_path.ptr, F_OK) != 0 && errno == ENOENT) ||
	    store_open(&own, out, &err))
		return true;
	tool_fail(tool, TOOL_UNKNOWN, "store on this host: %s", err.text);
	return false;
}

/* The one on this host first, or the daemon might still add to Redis what that has counted alone. To be closed: the first. */
static bool open_stores(struct tool *tool, struct erasure *erasure)
{
	if (!tool_store(tool, TOOL_LOOK) || !open_own_store(tool, &erasure->stores[0]))
		return false;
	erasure->stores[1] = tool->store;
	return true;
}

static int fail(struct tool *tool, const struct erasure *erasure, const struct erased *erased, const struct err *err)
{
	return erasure->must_find && erased->is_nothing
		       ? tool_fail(tool, TOOL_NO, "%s; if that is to be certified: --nothing", err->text)
		       : tool_fail(tool, TOOL_UNKNOWN, "%s%s", err->text, erasure->is_dry_run ? "" : "; run it again to finish");
}

static void show_plan(struct tool *tool, const struct erased *erased)
{
	for (size_t i = 0; i < erased->class_count; i++)
		tool_print(tool, "class %s: " STR_FMT " records in " STR_FMT " files would go\n", erased->classes[i].name,
			   STR_ARG(tool_number(tool, erased->classes[i].records)), STR_ARG(tool_number(tool, erased->classes[i].files)));
	tool_print(tool, "store: " STR_FMT "%s entries would go\n", STR_ARG(tool_number(tool, erased->entries)),
		   erased->entries >= 500 ? " or more" : "");
}

static int erase_now(struct tool *tool, const struct erasure *erasure)
{
	struct erased erased;
	struct buf certificate;
	struct err err;
	bool found;
	int code = TOOL_OK;

	buf_init(&certificate, CERTIFICATE_MAX);
	if (!erasure_run(erasure, &erased, &certificate, &err) ||
	    (!erasure->is_dry_run && !erasure_order_cancel(tool->config, erasure->tenant, &found, &err)))
		code = fail(tool, erasure, &erased, &err);
	else if (erasure->is_dry_run)
		show_plan(tool, &erased);
	else if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("tenant erase"),
							  .tenant = erasure->tenant, .reason = erasure->reason, .count = erased.records }))
		code = TOOL_UNKNOWN;
	else
		buf_add(&tool->out, buf_view(&certificate));
	buf_clear(&certificate);
	return code;
}

/* --- later */

/* Is anything known of the tenant? The daemon would erase, and certify, a name that never was. TOOL_OK, or the exit code. */
static int look_for(struct tool *tool, const struct erasure *erasure)
{
	struct erasure look = *erasure;
	struct erased erased;
	struct err err;
	int code = TOOL_OK;

	look.is_dry_run = look.must_find = true;
	if (!open_stores(tool, &look))
		return TOOL_UNKNOWN;
	if (!erasure_run(&look, &erased, NULL, &err))
		code = fail(tool, &look, &erased, &err);
	store_close(look.stores[0]);
	return code;
}

static int order_it(struct tool *tool, const struct erasure *erasure, const struct erase_values *want, struct str rule_text)
{
	struct erasure_order order = { .tenant = erasure->tenant, .rule = rule_text, .reason = erasure->reason,
				       .ended_us = want->ended.is_given ? want->ended.us : clock_now_us() };
	struct erase_rule rule;
	struct err err;
	int code = TOOL_OK;

	if (!erase_rule_parse(rule_text, &rule))
		return tool_usage(tool, "--rule: " ERASE_RULE_WORDS " wanted, not " STR_FMT, STR_ARG(rule_text));
	if (!want->is_nothing && !config_find_tenant(tool->config, order.tenant))
		code = look_for(tool, erasure);
	if (code != TOOL_OK)
		return code;
	order.due_us = erase_rule_due_us(rule, order.ended_us);
	if (want->is_dry_run) {
		tool_print(tool, STR_FMT " would be erased by " STR_FMT " JST\n", STR_ARG(order.tenant),
			   STR_ARG(tool_time(tool, order.due_us)));
		return TOOL_OK;
	}
	if (!erasure_order_write(tool->config, &order, erasure->key, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("tenant erase --rule"),
						     .tenant = order.tenant, .reason = order.reason, .count = -1 }))
		return TOOL_UNKNOWN;
	tool_print(tool, STR_FMT " will be erased by " STR_FMT " JST; remove it from the configuration before\n", STR_ARG(order.tenant),
		   STR_ARG(tool_time(tool, order.due_us)));
	return TOOL_OK;
}

static int cancel(struct tool *tool, struct str tenant)
{
	struct err err;
	bool found;

	if (!erasure_order_cancel(tool->config, tenant, &found, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (!found)
		return tool_fail(tool, TOOL_NO, STR_FMT " was not to be erased by rule", STR_ARG(tenant));
	if (!tool_record(tool, &(struct tool_trace){ .event = STR("access"), .command = STR("tenant erase --cancel"), .tenant = tenant,
						     .count = -1 }))
		return TOOL_UNKNOWN;
	tool_print(tool, STR_FMT " stays\n", STR_ARG(tenant));
	return TOOL_OK;
}

static void write_orders_json(struct tool *tool, const struct erasure_order *orders, size_t count)
{
	struct json *json = &tool->json;

	json_array_open(json);
	for (const struct erasure_order *order = orders; order < orders + count; order++) {
		json_object_open(json);
		json_member_str(json, "file", order->file);
		json_member_bool(json, "signed", order->is_good);
		if (order->is_good) {
			json_member_str(json, "tenant", order->tenant);
			json_member_str(json, "rule", order->rule);
			tool_json_time(tool, "ended", order->ended_us);
			tool_json_time(tool, "due", order->due_us);
			json_member_str_opt(json, "reason", order->reason);
			json_member_bool(json, "configured", config_find_tenant(tool->config, order->tenant));
		}
		json_object_close(json);
	}
	json_array_close(json);
	buf_add_byte(&tool->out, '\n');
}

static int list_pending(struct tool *tool)
{
	struct erasure_order *orders;
	struct err err;
	size_t count;

	if (!erasure_orders_read(tool->config, &tool->arena, &orders, &count, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	if (tool->is_json)
		write_orders_json(tool, orders, count);
	for (size_t i = 0; i < count; i++) {
		if (!orders[i].is_good)
			tool_print(tool, STR_FMT ": not signed with the operator's key: it will not be carried out\n",
				   STR_ARG(orders[i].file));
		else
			tool_print(tool, STR_FMT "  by " STR_FMT " JST (" STR_FMT ")%s\n", STR_ARG(orders[i].tenant),
				   STR_ARG(tool_time(tool, orders[i].due_us)), STR_ARG(orders[i].rule),
				   config_find_tenant(tool->config, orders[i].tenant) ? ", still in the configuration" : "");
	}
	if (count == 0)
		tool_print(tool, "Nothing is to be erased by rule.\n");
	return TOOL_OK;
}

/* --- which of them */

static int erase_or_order(struct tool *tool, struct erasure *erasure, const struct erase_values *want, struct str rule)
{
	if (rule.len)
		return order_it(tool, erasure, want, rule);

	if (!open_stores(tool, erasure))
		return TOOL_UNKNOWN;
	int code = erase_now(tool, erasure);

	store_close(erasure->stores[0]);
	return code;
}

static int run_with_key(struct tool *tool, const struct erase_values *want)
{
	struct erasure erasure = { .config = tool->config, .tenant = tool->operands.items[0], .is_dry_run = want->is_dry_run,
				   .must_find = !want->is_nothing && !want->is_dry_run,
				   .reason = want->reason.ptr ? want->reason : STR_EMPTY };
	struct str rule = want->rule.ptr ? want->rule : want->ended.is_given ? tool->config->erase_rule : STR_EMPTY;
	struct sign_key *key = NULL;
	struct err err;

	if (!entry_is_name(erasure.tenant) || erasure.tenant.len > 64 || !erasure_is_line(erasure.reason))
		return tool_usage(tool, "NAME is one that a tenant can have, and the reason is one line");
	if (want->ended.is_given && rule.len == 0)
		return tool_usage(tool, "--ended needs --rule, or relay_log.erase_rule in the configuration");
	if (!rule.len && !want->is_dry_run && config_find_tenant(tool->config, erasure.tenant))
		return tool_fail(tool, TOOL_NO, STR_FMT " is still in the configuration; remove it there and reload first, or its next "
				 "message is recorded again", STR_ARG(erasure.tenant));
	if (!want->is_dry_run && !erasure_key(tool->config, want->key.ptr ? want->key : STR_EMPTY, &key, &err))
		return tool_fail(tool, err.kind == ERR_CONFIG ? TOOL_NO : TOOL_UNKNOWN, "%s", err.text);
	erasure.key = key;
	int code = erase_or_order(tool, &erasure, want, rule);

	sign_key_free(key);
	return code;
}

static int run_erase(struct tool *tool, const void *values)
{
	const struct erase_values *want = values;

	if (tool->is_json && !want->is_pending)
		return tool_usage(tool, "--json goes with --pending alone: a certificate has a form of its own");
	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (want->is_pending)
		return list_pending(tool);
	if (tool->operands.count == 0)
		return tool_usage(tool, "whom? NAME is missing");
	if (!tool_ops(tool))
		return TOOL_UNKNOWN;
	return want->is_cancel ? cancel(tool, tool->operands.items[0]) : run_with_key(tool, want);
}

const struct tool_command command_tenant_erase = {
	.name = "tenant erase",
	.operands = "[NAME]",
	.operands_max = 1,
	.summary = "erase all that is known of a former tenant",
	.about = "Erases a tenant that is no longer in the configuration: its records in every class (only their numbers and hashes "
		 "stay, so that the log still verifies), its key where the log is sealed, its counters, suppressions and suspensions. "
		 "Writes a certificate in English and Japanese, signed with the operator's key, to standard output; `cert verify` "
		 "checks it. Run again it erases what is new. What becomes of its mail that the MTA still has is not recorded any more. With "
		 "--rule it is the daemon that does so, once it is time; of a NAME that is not in the configuration something must be known.",
	.options = erase_options,
	.values_size = sizeof(struct erase_values),
	.has_json = true,
	.examples = "sekisho tenant erase acme --reason \"contract ended 2026-11-30\" > acme.cert\n"
		    "sekisho tenant erase acme --rule next-month-10 --ended 2026-11-20\n"
		    "sekisho tenant erase --pending",
	.ok = "erased, and the certificate written; or put down for later",
	.no = "it is still in the configuration, nothing is known of it, or there is no operator key",
	.unknown = "not all of it could be looked at, erased or put down for later: run it again",
	.run = run_erase,
};

/* --- cert verify */

struct cert_values {
	struct str key, lang;
};

static const struct option cert_options[] = {
	{ "--key", OPTION_TEXT, offsetof(struct cert_values, key), "FILE", NULL,
	  "public key (default: operator_key_file of the configuration with .pub)" },
	TOOL_LANG_OPTION(offsetof(struct cert_values, lang)),
	{ NULL },
};

static void write_cert_json(struct tool *tool, struct str name, struct str text, const char *why)
{
	json_object_open(&tool->json);
	json_member_str(&tool->json, "certificate", tool->operands.items[0]);
	json_member_str(&tool->json, "result", *why ? STR("bad") : STR("good"));
	json_member_str_opt(&tool->json, "why", str_from_c(why));
	json_member_str_opt(&tool->json, "signed_as", name);
	json_member_str_opt(&tool->json, "text", text);
	json_object_close(&tool->json);
	buf_add_byte(&tool->out, '\n');
}

static int check_certificate(struct tool *tool, struct str key, struct buf *file)
{
	struct sign_publics *publics = arena_new(&tool->arena, struct sign_publics);
	struct str text, name;
	struct err err;

	if (!publics || !sign_publics_load(key.ptr, publics, &err) || !io_read_file(tool->operands.items[0].ptr, file, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", publics ? err.text : "out of memory");
	bool is_good = note_open(buf_view(file), publics, &text, &name, &err);

	if (tool->is_json)
		write_cert_json(tool, is_good ? name : STR_EMPTY, is_good ? text : STR_EMPTY, is_good ? "" : err.text);
	if (!is_good)
		return tool_fail(tool, TOOL_NO, STR_FMT ": %s", STR_ARG(tool->operands.items[0]),
				 tool_word(tool, err.text));
	tool_print(tool, STR_FMT "\n", STR_ARG(text));
	tool_print(tool, "Good: signed as " STR_FMT "\n", STR_ARG(name));
	return TOOL_OK;
}

static int run_cert(struct tool *tool, const void *values)
{
	const struct cert_values *want = values;
	struct buf file;
	struct str key;

	tool->is_japanese = tool_is_japanese(want->lang);
	if (!want->key.ptr && !tool_config(tool))
		return TOOL_UNKNOWN;
	if (!want->key.ptr && tool->config->operator_key_file.len == 0)
		return tool_fail(tool, TOOL_UNKNOWN, "relay_log.operator_key_file is none; --key names the public key that it is signed with");
	key = want->key.ptr ? want->key : tool_text(tool, STR_FMT ".pub", STR_ARG(tool->config->operator_key_file));
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
		 "of the operator alone.",
	.options = cert_options,
	.values_size = sizeof(struct cert_values),
	.has_json = true,
	.examples = "sekisho cert verify --key operator.key.pub acme.cert",
	.ok = "signed, and not altered",
	.no = "altered, or signed with another key",
	.unknown = "a file could not be read",
	.run = run_cert,
};
