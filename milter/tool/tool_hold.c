/* sekisho hold: the mail that policy put on hold, listed, let go at the rate that is allowed, or thrown away. */
#include "config/base/clock.h"
#include "config/base/memory.h"
#include "milter/tool/commands.h"
#include "milter/tool/held.h"

#define WAITS_MAX 256                  /* tenants, logins ... that have no room now; beyond, each message asks for itself */

struct hold_values {
	struct queue_options mta;
	struct str_list ids;
	struct str reason;
	int64_t older_us, count;
	bool is_auto, is_dry_run, is_all;
};
#define HOLD(field) offsetof(struct hold_values, field)

static const struct option list_options[] = { QUEUE_OPTIONS(HOLD(mta)), { NULL } };

static const struct option release_options[] = {
	{ "--auto", OPTION_FLAG, HOLD(is_auto), NULL, NULL, "as much as the tenant's quotas have room for, and take it from them" },
	{ "--id", OPTION_TEXTS, HOLD(ids), "ID", NULL, "this message alone, by queue id or reference; may be repeated" },
	{ "--older", OPTION_DURATION, HOLD(older_us), "DURATION", NULL, "what has been held for longer, alone" },
	{ "--count", OPTION_COUNT, HOLD(count), "N", NULL, "at most so many, the oldest first" },
	{ "--dry-run", OPTION_FLAG, HOLD(is_dry_run), NULL, NULL, "say what would go, and leave it" },
	{ "--reason", OPTION_PROSE, HOLD(reason), "TEXT", NULL, "why, for the record" },
	QUEUE_OPTIONS(HOLD(mta)),
	{ NULL },
};

static const struct option drop_options[] = {
	{ "--all", OPTION_FLAG, HOLD(is_all), NULL, NULL, "everything of this tenant" },
	{ "--id", OPTION_TEXTS, HOLD(ids), "ID", NULL, "this message alone, by queue id or reference; may be repeated" },
	{ "--older", OPTION_DURATION, HOLD(older_us), "DURATION", NULL, "what has been held for longer, alone" },
	{ "--count", OPTION_COUNT, HOLD(count), "N", NULL, "at most so many, the oldest first" },
	{ "--dry-run", OPTION_FLAG, HOLD(is_dry_run), NULL, NULL, "say what would go, and leave it" },
	{ "--reason", OPTION_PROSE, HOLD(reason), "TEXT", NULL, "why, for the record" },
	QUEUE_OPTIONS(HOLD(mta)),
	{ NULL },
};

/* --- which of them */

static bool has_id(const struct held *held, struct str id)
{
	return str_eq(held->entry->id, id) || str_eq_nocase(held->message, id);
}

static bool is_named(const struct held *held, struct str_list ids)
{
	for (size_t i = 0; i < ids.count; i++)
		if (has_id(held, ids.items[i]))
			return true;
	return ids.count == 0;
}

static bool is_meant(const struct held *held, const struct hold_values *want, int64_t now_us)
{
	return is_named(held, want->ids) && (!want->older_us || now_us - held->entry->arrived_us > want->older_us);
}

static struct str tenant_wanted(const struct tool *tool)
{
	return tool->operands.count ? tool->operands.items[0] : STR_EMPTY;
}

/* Configuration, tenant and MTA, and for a change the hand, while this is still root. TOOL_OK, or the exit code. */
static int begin(struct tool *tool, const struct hold_values *want, struct queue_mta *mta, struct hand **out_hand)
{
	struct str tenant = tenant_wanted(tool);
	struct err err;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	if (tenant.len && !tool_tenant(tool, tenant))
		return TOOL_NO;
	if (!queue_find(tool, &want->mta, mta, &err) || (out_hand && !hand_open(mta, out_hand, &err)))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	return TOOL_OK;
}

static bool look(struct tool *tool, const struct queue_mta *mta, struct held_list *out)
{
	struct err err;

	if (held_read(tool, mta, tenant_wanted(tool), out, &err))
		return true;
	tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	return false;
}

/* --- showing */

static void write_json(struct tool *tool, const struct held *held, const char *what, const struct verdict *why)
{
	struct json *json = &tool->json;

	json_init(json, &tool->out);
	json_object_open(json);
	json_member_str_opt(json, "done", str_from_c(what));
	if (why)
		json_member_str(json, "waits_for", why->rule);
	json_member_str(json, "queue_id", held->entry->id);
	json_member_str(json, "tenant", held->tenant);
	json_member_str(json, "message", held->message);
	tool_json_time(tool, "since", held->since_us);
	json_member_str(json, "from", held->entry->sender);
	json_key(json, "to");
	json_array_open(json);
	for (size_t i = 0; i < held->entry->recipient_count; i++)
		json_str(json, held->entry->recipients[i]);
	json_array_close(json);
	json_member_i64(json, "size", held->entry->size);
	json_member_str(json, "rule", held->rule);
	json_member_str(json, "reply", held->reply);
	json_object_close(json);
	buf_add_byte(&tool->out, '\n');
}

static void write_table(struct tool *tool, const struct held_list *list)
{
	static const struct column columns[] = {
		{ "QUEUE ID", COLUMN_LEFT }, { "TENANT", COLUMN_FOLD }, { "SINCE (JST)", COLUMN_LEFT }, { "FROM", COLUMN_FOLD },
		{ "TO", COLUMN_RIGHT }, { "RULE", COLUMN_FOLD },
	};
	struct table table;

	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < list->count; i++) {
		const struct held *held = &list->items[i];

		table_add(&table, (struct str[]){ held->entry->id, held->tenant,
						  str_slice(tool_time(tool, held->since_us), 0, 16), held->entry->sender,
						  tool_number(tool, (int64_t)held->entry->recipient_count), held->rule });
	}
	tool_table(tool, &table);
}

static int run_list(struct tool *tool, const void *values)
{
	struct held_list list;
	struct queue_mta mta;
	int code = begin(tool, values, &mta, NULL);

	if (code != TOOL_OK)
		return code;
	if (!look(tool, &mta, &list))
		return TOOL_UNKNOWN;
	for (size_t i = 0; tool->is_json && i < list.count; i++)
		write_json(tool, &list.items[i], "", NULL);
	if (list.count)
		write_table(tool, &list);
	tool_print(tool, "%zu message%s held\n", list.count, list.count == 1 ? "" : "s");
	if (list.strangers && tool->operands.count == 0)
		tool_print(tool, "%zu more on hold, not by the gate\n", list.strangers);
	return TOOL_OK;
}

/* --- letting go, throwing away */

/* Who has no room: what comes later from the same must not pass what came before. */
struct waiting {
	struct str tenant, scope;      /* scope empty: the tenant as a whole */
};

struct hold_run {
	struct tool *tool;
	const struct hold_values *want;
	enum queue_verb verb;
	struct hand *hand;             /* NULL: a dry run */
	struct record_writer *log;
	struct str log_class;
	struct waiting waiting[WAITS_MAX];
	size_t waiting_count;
	int64_t done, left, failed;
};

static const char *const verb_events[] = { [QUEUE_RELEASE] = "released", [QUEUE_DROP] = "dropped" };

static bool must_wait(const struct hold_run *run, const struct held *held)
{
	for (size_t i = 0; i < run->waiting_count; i++) {
		const struct waiting *w = &run->waiting[i];

		if (str_eq(w->tenant, held->tenant) &&
		    (w->scope.len == 0 || str_eq_nocase(w->scope, held->auth) || str_eq_nocase(w->scope, held->entry->sender) ||
		     str_eq(w->scope, held->client)))
			return true;
	}
	return false;
}

/* What can never fit makes nobody wait; it goes by hand. */
static void note_waiting(struct hold_run *run, const struct held *held, const struct verdict *why)
{
	if (why->reason != REASON_NEVER && run->waiting_count < WAITS_MAX)
		run->waiting[run->waiting_count++] = (struct waiting){ held->tenant, why->scope };
}

static void tell(struct hold_run *run, const struct held *held, const char *what, const struct verdict *why)
{
	struct tool *tool = run->tool;

	if (tool->is_json)
		write_json(tool, held, what, why);
	else
		tool_print(tool, "%s " STR_FMT " of " STR_FMT ", from <" STR_FMT ">%s" STR_FMT "\n", what, STR_ARG(held->entry->id),
			   STR_ARG(held->tenant), STR_ARG(held->entry->sender), why ? ": no room in " : "",
			   STR_ARG(why ? why->rule : STR_EMPTY));
}

/* The log of the tenant's class: messages come ordered by age, so it may change from one to the next. */
static bool open_log(struct hold_run *run, struct str class_name, struct err *err)
{
	struct record_writer_config writer = tool_log_config(run->tool, class_name);

	writer.key_file = STR_EMPTY;            /* the daemon signs what is added here */
	if (run->log && str_eq(run->log_class, class_name))
		return true;
	record_writer_close(run->log);
	run->log = NULL;
	run->log_class = class_name;
	return record_writer_open(&writer, &run->log, err);
}

static bool record(struct hold_run *run, const struct held *held, struct err *err)
{
	unsigned long shortages = memory_shortages();
	struct tool *tool = run->tool;
	struct buf detail;
	struct json json;

	buf_init(&detail, 8192);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "by", run->want->is_auto ? STR("sekisho hold release --auto") : tool_actor(tool));
	json_member_str_opt(&json, "reason", run->want->reason.ptr ? run->want->reason : STR_EMPTY);
	json_object_close(&json);

	struct record_event event = {
		.event = str_from_c(verb_events[run->verb]),
		.tenant = held->tenant,
		.message = held->message,
		.queue_id = held->entry->id,
		.host = tool->config->node,
		.from = held->entry->sender,
		.to = held->entry->recipients,
		.to_count = held->entry->recipient_count < RECORD_TO_MAX ? held->entry->recipient_count : RECORD_TO_MAX,
		.nrcpt = (int64_t)held->entry->recipient_count,
	};
	bool ok = buf_done(&detail, &event.detail, err) && open_log(run, held->class_name, err) &&
		  record_append(run->log, &event, RECORD_DURABLE, NULL, err);

	if (detail.failed && memory_shortages() == shortages)
		err_set(err, ERR_INPUT, "a reason that long has no room");
	buf_clear(&detail);
	return ok;
}

/* Paid for, recorded, then done: what fails behind the record has been paid for and costs nothing the next time. */
static void do_one(struct hold_run *run, struct held *held)
{
	const struct tenant *tenant = config_find_tenant(run->tool->config, held->tenant);
	struct verdict why;
	struct err err;

	if (run->want->is_auto && (!tenant || must_wait(run, held) || !held_charge(run->tool, tenant, held, &why))) {
		run->left++;
		if (tenant && !must_wait(run, held)) {
			note_waiting(run, held, &why);
			tell(run, held, "waits:", &why);
		}
		return;
	}
	if (!run->hand) {
		tell(run, held, run->verb == QUEUE_RELEASE ? "would release" : "would drop", NULL);
		run->done++;
		return;
	}
	if (!record(run, held, &err)) {
		held_refund(run->tool, tenant, held);
	} else if (hand_do(run->hand, run->verb, held->entry->id, &err)) {
		tell(run, held, verb_events[run->verb], NULL);
		run->done++;
		return;
	}
	tool_fail(run->tool, TOOL_OK, STR_FMT ": %s", STR_ARG(held->entry->id), err.text);
	run->failed++;
}

/* A slip of the pen, another tenant's, or gone already. */
static bool tell_strangers(struct tool *tool, struct str_list ids, const struct held_list *list)
{
	bool is_any = false;

	for (size_t i = 0, at; i < ids.count; i++) {
		for (at = 0; at < list->count && !has_id(&list->items[at], ids.items[i]);)
			at++;
		if (at < list->count)
			continue;
		tool_fail(tool, TOOL_OK, "no mail%s" STR_FMT " that the gate holds has the id " STR_FMT, tool->operands.count ? " of " : "",
			  STR_ARG(tool->operands.count ? tool->operands.items[0] : STR_EMPTY), STR_ARG(ids.items[i]));
		is_any = true;
	}
	return is_any;
}

static int do_all(struct hold_run *run, const struct held_list *list)
{
	struct tool *tool = run->tool;
	int64_t now_us = clock_now_us(), most = run->want->count ? run->want->count : INT64_MAX;
	bool has_strangers = tell_strangers(tool, run->want->ids, list);

	for (size_t i = 0; i < list->count && run->done < most; i++)
		if (is_meant(&list->items[i], run->want, now_us))
			do_one(run, &list->items[i]);
	record_writer_close(run->log);
	/* A dry run took one after the other, so that it says what would really fit. */
	for (size_t i = 0; !run->hand && i < list->count; i++)
		held_refund(tool, config_find_tenant(tool->config, list->items[i].tenant), &list->items[i]);
	tool_print(tool, "%lld %s%s", (long long)run->done, run->hand ? "" : "would be ", verb_events[run->verb]);
	if (run->left)
		tool_print(tool, ", %lld wait for room", (long long)run->left);
	tool_print(tool, run->failed ? ", %lld failed\n" : "\n", (long long)run->failed);
	if (run->failed)
		return TOOL_UNKNOWN;
	return !has_strangers && (run->done || run->want->is_auto) ? TOOL_OK : TOOL_NO;
}

static int change(struct tool *tool, const struct hold_values *want, enum queue_verb verb)
{
	struct hold_run run = { .tool = tool, .want = want, .verb = verb };
	struct held_list list;
	struct queue_mta mta;
	int code = begin(tool, want, &mta, want->is_dry_run ? NULL : &run.hand);

	if (code != TOOL_OK)
		return code;
	if (!look(tool, &mta, &list) || (list.count && run.hand && !tool_ops(tool)) || (want->is_auto && !tool_store(tool, TOOL_CHANGE)))
		code = TOOL_UNKNOWN;
	else
		code = do_all(&run, &list);
	hand_close(run.hand);
	return code;
}

static int run_release(struct tool *tool, const void *values)
{
	const struct hold_values *want = values;

	if (!want->is_auto && tool->operands.count == 0 && want->ids.count == 0)
		return tool_usage(tool, "whose mail? A tenant, --id, or --auto for everybody's");
	return change(tool, want, QUEUE_RELEASE);
}

static int run_drop(struct tool *tool, const void *values)
{
	const struct hold_values *want = values;

	if (want->ids.count == 0 && !want->older_us && !want->is_all)
		return tool_usage(tool,
				  "which of it? --id, --older or --all: what is dropped is gone, and nobody is told");
	return change(tool, want, QUEUE_DROP);
}

const struct tool_command command_hold_list = {
	.name = "hold list",
	.operands = "[TENANT]",
	.operands_max = 1,
	.summary = "mail that policy holds in the MTA's queue",
	.about = "Lists the mail that the gate put on hold, of one tenant or all, the oldest first. Which tenant's a message is, and "
		 "why it is held, comes from the relay log; what somebody else put on hold is counted and left alone. Sendmail's "
		 "quarantine can be looked at by root alone.",
	.options = list_options,
	.values_size = sizeof(struct hold_values),
	.has_json = true,
	.examples = "sekisho hold list\nsekisho hold list acme --json | jq -r .queue_id",
	.ok = "listed",
	.no = "there is no such tenant",
	.unknown = "the queue, the configuration or the log cannot be read",
	.run = run_list,
};

const struct tool_command command_hold_release = {
	.name = "hold release",
	.operands = "[TENANT]",
	.operands_max = 1,
	.summary = "let held mail go, all or at the allowed rate",
	.about = "Lets held mail go, by postsuper(1) or sendmail(8), which is root's to do. By hand it goes whatever the quotas say, and "
		 "costs nothing. With --auto each message, the oldest first, is taken from its tenant's quotas as if it came now, "
		 "and goes only where it fits: run every minute (contrib/systemd/sekisho-hold.timer) it lets out what was held for "
		 "a quota at the rate that the quota allows, and nothing of a tenant that is suspended. What is larger than a whole "
		 "limit never fits, and waits for a person. A message that was let go does not come to the gate again. Each leaves "
		 "a record \"released\".",
	.options = release_options,
	.values_size = sizeof(struct hold_values),
	.has_json = true,
	.examples = "sudo sekisho hold release acme\nsudo sekisho hold release --id 4dBq1z0Nl2zXj --reason 'ticket 4711'\n"
		    "sudo sekisho hold release --auto",
	.ok = "released; with --auto: as much as there is room for, perhaps nothing",
	.no = "there is no such tenant, or nothing of it is held, or not all that --id says",
	.unknown = "something could not be released or recorded; the rest was",
	.run = run_release,
};

const struct tool_command command_hold_drop = {
	.name = "hold drop",
	.operands = "TENANT",
	.operands_min = 1,
	.operands_max = 1,
	.summary = "throw held mail away, without a word to anybody",
	.about = "Removes held mail of a tenant from the MTA's queue, which is root's to do. Neither sender nor recipient is told: the "
		 "record \"dropped\", with who did it and why, is all that remains.",
	.options = drop_options,
	.values_size = sizeof(struct hold_values),
	.has_json = true,
	.examples = "sudo sekisho hold drop acme --older 5d --reason 'stolen account'\nsudo sekisho hold drop acme --all --dry-run",
	.ok = "dropped",
	.no = "there is no such tenant, or nothing that is meant is held, or not all that --id says",
	.unknown = "something could not be dropped or recorded; the rest was",
	.run = run_drop,
};
