/* sekisho explain: what the gate would say to a message, and by which rule. */
#include <stdio.h>

#include "milter/field.h"
#include "milter/mail/address.h"
#include "milter/reply.h"
#include "milter/tool/commands.h"
#include "milter/tool/explain.h"
#include "milter/tool/settings.h"
#include "milter/tool/tokens.h"
#include "milter/tool/usage.h"

struct explain_values {
	struct str auth, from, daemon, subject, issuer;
	struct option_addr client;
	struct str_list rcpts, header_from, header;
	int64_t size;
	bool tls;
};
#define EXPLAIN(field) offsetof(struct explain_values, field)

static const struct option options[] = {
	{ "--auth", OPTION_TEXT, EXPLAIN(auth), "LOGIN", NULL, "SASL login" },
	{ "--client", OPTION_ADDRESS, EXPLAIN(client), "IP", NULL,
	  "client address; without it the message is handed in on the host itself, as by sendmail(1)" },
	{ "--from", OPTION_PROSE, EXPLAIN(from), "ADDRESS", NULL, "envelope sender; '' is the null sender" },
	{ "--rcpt", OPTION_TEXTS, EXPLAIN(rcpts), "ADDRESS", NULL, "a recipient; may be repeated" },
	{ "--size", OPTION_SIZE, EXPLAIN(size), "SIZE", NULL, "size of the message: 4096, 512KiB, 25MiB" },
	{ "--tls", OPTION_FLAG, EXPLAIN(tls), NULL, NULL, "over TLS" },
	{ "--header-from", OPTION_TEXTS, EXPLAIN(header_from), "ADDRESS", NULL,
	  "address in From or Sender (default: the envelope sender); may be repeated" },
	{ "--header", OPTION_TEXTS, EXPLAIN(header), "NAME:VALUE", NULL,
	  "a field of the header, for the rules of content; may be repeated" },
	{ "--daemon", OPTION_TEXT, EXPLAIN(daemon), "NAME", NULL, "the MTA's {daemon_name}" },
	{ "--cert-subject", OPTION_TEXT, EXPLAIN(subject), "NAME", NULL, "subject of a verified client certificate" },
	{ "--cert-issuer", OPTION_TEXT, EXPLAIN(issuer), "NAME", NULL, "its issuer" },
	{ NULL },
};

/* --- the facts */

static bool bare_list(struct tool *tool, const char *option, const struct str_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (!tool_bare(tool, option, (struct str *)(uintptr_t)&list->items[i]))
			return false;
	return true;
}

static bool learn_fields(struct explain *e, const struct str_list *list)
{
	struct str name, value;

	for (size_t i = 0; i < list->count; i++) {
		if (!str_cut(list->items[i], ':', &name, &value)) {
			tool_usage(e->tool, "--header NAME:VALUE is wanted, as in --header 'Subject: invoice overdue'");
			return false;
		}
		if (!field_keep(&e->tool->arena, str_trim(name), value, &e->facts.content))
			return false;
	}
	return true;
}

/* What a session would have learnt by the end of data. False: said why not. */
static bool learn(struct explain *e, struct explain_values *values)
{
	struct tool *tool = e->tool;
	struct policy_facts *f = &e->facts;

	if (!values->from.ptr || values->rcpts.count == 0) {
		tool_usage(tool, "--from ADDRESS and --rcpt ADDRESS are wanted");
		return false;
	}
	if (!tool_bare(tool, "--from", &values->from) || !bare_list(tool, "--rcpt", &values->rcpts) ||
	    !bare_list(tool, "--header-from", &values->header_from))
		return false;
	e->recipients = values->rcpts;
	e->is_local = !values->client.is_given;
	*f = (struct policy_facts){
		.client = values->client.is_given ? &values->client.addr : NULL,
		.cert_subject = values->subject,
		.cert_issuer = values->issuer,
		.daemon_name = values->daemon,
		.has_tls = values->tls,
		.is_internal = e->is_local,
		.sender = values->from,
		.declared_size = values->size,
		.from = values->header_from.items,
		.from_count = values->header_from.count,
		.has_from = values->header_from.count > 0,
	};
	if (f->from_count == 0 && f->sender.len) {
		f->from = &f->sender;
		f->from_count = 1;
	}
	return learn_fields(e, &values->header) && arena_copy_lower(&tool->arena, values->auth, &f->auth);
}

/* --- telling */

static const char *const action_names[] = { [VERDICT_ACCEPT] = "accept", [VERDICT_DEFER] = "defer",
					    [VERDICT_REJECT] = "reject", [VERDICT_HOLD] = "hold" };

static struct str reply_text(struct tool *tool, const struct verdict *verdict)
{
	char line[REPLY_TEXT_MAX + 32];
	struct reply reply;

	reply_from_verdict(tool->config, verdict, STR_EMPTY, &reply);
	reply_line(&reply, line);
	return tool_text(tool, "%s", line);
}

static struct str tenant_text(struct explain *e, const struct verdict *verdict)
{
	struct tool *tool = e->tool;

	if (!verdict->tenant)
		return STR("nobody's");
	if (e->path.tenant)
		return tool_text(tool, STR_FMT ", whose return path this is", STR_ARG(verdict->tenant->name));
	if (verdict->matched_by == MATCH_KIND_COUNT)
		return tool_text(tool, STR_FMT ", the default tenant: no match rule claims this",
				 STR_ARG(verdict->tenant->name));
	return tool_text(tool, STR_FMT ", by its match rule on %s", STR_ARG(verdict->tenant->name),
			 match_kind_name(verdict->matched_by));
}

/* What stands against the message, in a few words: "over", "not met by neko@example.jp". */
static struct str state_text(struct tool *tool, const struct policy_note *note)
{
	switch (note->reason) {
	case REASON_CONTENT:
		return STR("met");
	case REASON_SUPPRESSED:
		return tool_text(tool, "met by " STR_FMT, STR_ARG(note->scope));
	case REASON_SENDER:
	case REASON_RECIPIENT:
	case REASON_FROM:
		return tool_text(tool, "not met by " STR_FMT, STR_ARG(note->scope.len ? note->scope : STR("what is there")));
	default:
		return STR("over");
	}
}

static struct str note_text(struct tool *tool, const struct policy_note *note)
{
	struct str limit = tool_limit(tool, note->limit);

	if (note->reason == REASON_NONE)
		return tool_text(tool, STR_FMT " reaches %d %% (" STR_FMT " of " STR_FMT "): a warning", STR_ARG(note->rule),
				 note->percent, STR_ARG(tool_number(tool, note->used)), STR_ARG(limit));
	return tool_text(tool, STR_FMT " is " STR_FMT ", but only monitored", STR_ARG(note->rule), STR_ARG(state_text(tool, note)));
}

/* --- each rule */

static const char *const stage_names[] = { "MAIL FROM", "RCPT TO", "DATA", "end of data" };

/*
 * In the order in which they are asked; `setting` is where the tenant says it. A row without a name stands for whatever
 * else may decide at its stage: quotas, and (shown only when it did) the lack of a tenant, a limit of 0, the store.
 */
static const struct rule {
	enum stage stage;
	struct str name;               /* verdict.rule, when it decides */
	const char *setting;
	bool needs_header;             /* and is not asked without --header */
} rules[] = {
	{ STAGE_MAIL, STR_INIT("suspended"), NULL },
	{ STAGE_MAIL, STR_INIT("require_tls"), "require" },
	{ STAGE_MAIL, STR_INIT("require_auth"), "require" },
	{ STAGE_MAIL, STR_INIT("senders"), "senders" },
	{ STAGE_MAIL, STR_INIT("size_max"), "size_max" },
	{ STAGE_MAIL, STR_INIT(""), NULL },
	{ STAGE_RCPT, STR_INIT("recipients"), "recipients" },
	{ STAGE_RCPT, STR_INIT("suppress"), "suppress" },
	{ STAGE_RCPT, STR_INIT("recipients_max"), "recipients_max" },
	{ STAGE_RCPT, STR_INIT(""), NULL },
	{ STAGE_DATA, STR_INIT(""), NULL },
	{ STAGE_EOM, STR_INIT("size_max"), "size_max" },
	{ STAGE_EOM, STR_INIT("content"), "content", true },
	{ STAGE_EOM, STR_INIT("from"), "from" },
	{ STAGE_EOM, STR_INIT(""), NULL },
};
#define RULES (sizeof rules / sizeof *rules)

/* "content" for all of "content:NAME" as well. */
static bool has_name(const struct rule *rule, struct str name)
{
	return str_starts(name, rule->name) && (name.len == rule->name.len || name.ptr[rule->name.len] == ':');
}

static bool is_rule(const struct rule *rule, struct str name)
{
	if (rule->name.len)
		return has_name(rule, name);
	for (size_t i = 0; i < RULES; i++)
		if (rules[i].stage == rule->stage && rules[i].name.len && has_name(&rules[i], name))
			return false;
	return true;
}

/* The first answer of this stage that this rule decided; NULL: none. *out_count: how many it decided. */
static const struct answer *decided_by(const struct explain *e, const struct rule *rule, size_t *out_count)
{
	const struct answer *first = NULL;

	*out_count = 0;
	for (size_t i = 0; i < e->count; i++) {
		const struct answer *answer = &e->answers[i];

		if (answer->stage != rule->stage || answer->verdict.action == VERDICT_ACCEPT ||
		    !is_rule(rule, answer->verdict.rule))
			continue;
		first = first ? first : answer;
		++*out_count;
	}
	return first;
}

/* Limits that are only monitored, and warnings. */
static void add_notes(struct explain *e, const struct rule *rule, struct buf *buf)
{
	for (size_t i = 0; i < e->count; i++)
		for (size_t j = 0; e->answers[i].stage == rule->stage && j < e->answers[i].verdict.note_count; j++) {
			const struct policy_note *note = &e->answers[i].verdict.notes[j];

			if (is_rule(rule, note->rule))
				buf_printf(buf, "; " STR_FMT, STR_ARG(note_text(e->tool, note)));
		}
}

/* A stage that was not reached is not asked, nor what stands behind the rule that refused. */
static bool is_asked(const struct explain *e, const struct rule *rule)
{
	bool is_reached = false;
	size_t count;

	for (size_t i = 0; i < e->count; i++) {
		const struct verdict *v = &e->answers[i].verdict;

		if (e->answers[i].stage != rule->stage)
			continue;
		is_reached = v->reason != REASON_STORE && v->reason != REASON_MEMORY;
	}
	for (const struct rule *before = rules; is_reached && before < rule && rule->stage != STAGE_RCPT; before++) {
		const struct answer *answer = decided_by(e, before, &count);

		if (answer && before->stage == rule->stage && explain_is_refusal(&answer->verdict))
			return false;
	}
	return is_reached;
}

/* Nobody said what is in the header. */
static bool is_untold(const struct explain *e, const struct rule *rule)
{
	return rule->needs_header && !e->facts.content && e->final.verdict.tenant->content_count > 0;
}

static void add_decision(const struct rule *rule, const struct answer *answer, size_t count, struct buf *buf)
{
	const struct verdict *v = &answer->verdict;

	buf_add_c(buf, action_names[v->action]);
	if (rule->stage == STAGE_DATA || rule->stage == STAGE_EOM)
		buf_printf(buf, " by " STR_FMT, STR_ARG(v->rule));
	if (v->scope.len)
		buf_printf(buf, " of " STR_FMT, STR_ARG(v->scope));
	if (answer->recipient.len && !str_eq(answer->recipient, v->scope))
		buf_printf(buf, " " STR_FMT, STR_ARG(answer->recipient));
	if (count > 1)
		buf_printf(buf, " and %zu more", count - 1);
	buf_printf(buf, " [%s]", reply_tag(v->reason));
}

static struct str rule_answer(struct explain *e, const struct rule *rule)
{
	size_t count;
	const struct answer *answer = decided_by(e, rule, &count);
	struct buf buf;
	struct str out;

	if (!answer && (!is_asked(e, rule) || is_untold(e, rule)))
		return STR("not asked");
	buf_init(&buf, 65536);
	if (answer)
		add_decision(rule, answer, count, &buf);
	else
		buf_add_c(&buf, "passes");
	add_notes(e, rule, &buf);
	out = tool_text(e->tool, STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
	return out;
}

static struct str rule_setting(struct explain *e, const struct rule *rule)
{
	size_t count;

	if (rule->setting)
		return setting_text(e->tool, e->final.verdict.tenant, rule->setting);
	if (rule->name.len)
		return decided_by(e, rule, &count) ? STR("yes") : STR("no");
	return rule->stage == STAGE_DATA ? STR("on recipients and messages") : rule->stage == STAGE_EOM ? STR("on bytes") : STR("-");
}

static struct str rule_name(const struct explain *e, const struct rule *rule)
{
	size_t count;
	const struct answer *answer = decided_by(e, rule, &count);

	return rule->name.len ? rule->name : answer && rule->stage <= STAGE_RCPT ? answer->verdict.rule : STR("quotas");
}

/* Without a tenant there are no rules but that; and for what comes back none is asked. */
static bool is_shown(const struct explain *e, const struct rule *rule)
{
	size_t count;

	if (e->returns != RETURN_PATH_NONE)
		return false;

	if (rule->name.len == 0 && rule->stage <= STAGE_RCPT)
		return decided_by(e, rule, &count) != NULL;
	return e->final.verdict.tenant != NULL;
}

static void write_rules(struct explain *e)
{
	static const struct column columns[] = {
		{ "STAGE", COLUMN_LEFT }, { "RULE", COLUMN_LEFT }, { "SETTING", COLUMN_FOLD }, { "ANSWER", COLUMN_FOLD },
	};
	enum stage shown = STAGE_COUNT;
	struct table table;
	bool is_empty = true;

	table_init(&table, &e->tool->arena, columns, 4);
	for (const struct rule *rule = rules; rule < rules + RULES; rule++) {
		if (!is_shown(e, rule))
			continue;
		table_add(&table, (struct str[]){ shown == rule->stage ? STR("") : str_from_c(stage_names[rule->stage]),
						  rule_name(e, rule), rule_setting(e, rule), rule_answer(e, rule) });
		shown = rule->stage;
		is_empty = false;
	}
	if (is_empty)
		return;
	tool_print(e->tool, "\n");
	tool_table(e->tool, &table);
}

/* --- the whole answer */

static int64_t left_of(const struct quota_state *state)
{
	return state->limit == LIMIT_NONE ? LIMIT_NONE : state->used < state->limit ? state->limit - state->used : 0;
}

static void write_quotas(struct explain *e)
{
	static const struct column columns[] = {
		{ "QUOTA", COLUMN_FOLD }, { "WHOSE", COLUMN_FOLD }, { "USED", COLUMN_RIGHT }, { "LIMIT", COLUMN_RIGHT },
		{ "LEFT", COLUMN_RIGHT }, { "FITS", COLUMN_LEFT }, { "ROOM AGAIN (JST)", COLUMN_LEFT },
	};
	struct tool *tool = e->tool;
	struct table table;

	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < e->state_count; i++) {
		const struct quota_state *s = &e->states[i];

		table_add(&table, (struct str[]){ s->quota->name, s->scope.len ? s->scope : STR("tenant"), tool_number(tool, s->used),
						  usage_limit(tool, s->limit, s->is_halved, s->is_warming), tool_limit(tool, left_of(s)),
						  s->is_over ? STR("no") : STR("yes"),
						  str_slice(tool_time(tool, s->used ? s->resets_us : 0), 0, 16) });
	}
	tool_print(tool, "\n");
	tool_table(tool, &table);
}

/* As envelope_sign (milter/envelope.h). */
static bool is_signed(const struct explain *e)
{
	const struct verdict *v = &e->final.verdict;

	return (v->action == VERDICT_ACCEPT || v->action == VERDICT_HOLD) && v->tenant && v->tenant->return_domain.len &&
	       e->facts.sender.len && !str_eq_nocase(address_domain(e->facts.sender), v->tenant->return_domain);
}

static void write_person(struct explain *e)
{
	const struct verdict *v = &e->final.verdict;
	struct tool *tool = e->tool;

	tool_field(tool, "Tenant", STR_FMT, STR_ARG(tenant_text(e, v)));
	tool_field(tool, "Verdict", "%s%s%s", action_names[v->action], v->action == VERDICT_ACCEPT ? "" : " at ",
		   v->action == VERDICT_ACCEPT ? "" : stage_names[e->is_local ? STAGE_EOM : e->final.stage]);
	tool_field(tool, "Reply", STR_FMT, STR_ARG(reply_text(tool, v)));
	if (e->path.tenant)
		tool_field(tool, "Returns", "message %s; a bounce is counted; %s", e->path.path.message,
			   setting_text(tool, e->path.tenant, "return_path").ptr);
	else if (e->returns == RETURN_PATH_ROLE)
		tool_field(tool, "Returns", "nothing; complaints are counted that name a message");
	else if (is_signed(e))
		tool_field(tool, "Sender", "becomes a return path " STR_FMT, STR_ARG(setting_text(tool, v->tenant, "return_path")));
	write_rules(e);
	if (e->state_count)
		write_quotas(e);
	tool_print(tool, "\nNothing was taken. A real reply ends in (ref ...): see `sekisho log show`.\n");
}

static void write_answer_json(struct tool *tool, const struct answer *answer)
{
	struct json *json = &tool->json;
	const struct verdict *v = &answer->verdict;

	json_object_open(json);
	json_member_str(json, "stage", str_from_c(stage_names[answer->stage]));
	json_member_str_opt(json, "recipient", answer->recipient);
	json_member_str(json, "verdict", str_from_c(action_names[v->action]));
	json_member_str_opt(json, "rule", v->rule);
	json_member_str_opt(json, "key", v->scope);
	json_key(json, "notes");
	json_array_open(json);
	for (size_t i = 0; i < v->note_count; i++)
		json_str(json, note_text(tool, &v->notes[i]));
	json_array_close(json);
	json_object_close(json);
}

static void write_state_json(struct tool *tool, const struct quota_state *state)
{
	struct json *json = &tool->json;

	json_object_open(json);
	json_member_str(json, "quota", state->quota->name);
	json_member_str_opt(json, "key", state->scope);
	json_member_i64(json, "used", state->used);
	if (state->limit != LIMIT_NONE) {
		json_member_i64(json, "limit", state->limit);
		json_member_i64(json, "left", left_of(state));
	}
	if (state->is_halved)
		json_member_bool(json, "halved", true);
	if (state->is_warming)
		json_member_bool(json, "warm_up", true);
	json_member_bool(json, "fits", !state->is_over);
	tool_json_time(tool, "room_again", state->used ? state->resets_us : 0);
	json_object_close(json);
}

static void write_json(struct explain *e)
{
	struct tool *tool = e->tool;
	struct json *json = &tool->json;
	const struct verdict *v = &e->final.verdict;

	json_object_open(json);
	json_member_str_opt(json, "tenant", v->tenant ? v->tenant->name : STR_EMPTY);
	json_member_str_opt(json, "matched_by", v->matched_by == MATCH_KIND_COUNT ? STR_EMPTY
								   : str_from_c(match_kind_name(v->matched_by)));
	json_member_str(json, "verdict", str_from_c(action_names[v->action]));
	json_member_str_opt(json, "rule", v->rule);
	json_member_str(json, "reply", reply_text(tool, v));
	if (is_signed(e))
		json_member_str(json, "return_path", v->tenant->return_domain);
	if (e->path.tenant)
		json_member_str(json, "returned_message", str_from_c(e->path.path.message));
	json_key(json, "stages");
	json_array_open(json);
	for (size_t i = 0; i < e->count; i++)
		write_answer_json(tool, &e->answers[i]);
	json_array_close(json);
	json_key(json, "quotas");
	json_array_open(json);
	for (size_t i = 0; i < e->state_count; i++)
		write_state_json(tool, &e->states[i]);
	json_array_close(json);
	json_object_close(json);
	buf_add_byte(&tool->out, '\n');
}

/* Keys only where a recipient may be a return path: who asks about other mail need not be allowed to read them. */
static bool find_keys(struct explain *e, struct token_keys **out)
{
	for (size_t i = 0; i < e->recipients.count && !*out; i++) {
		struct str domain;

		if (!arena_copy_lower(&e->tool->arena, address_domain(e->recipients.items[i]), &domain))
			return false;
		if (config_is_return_domain(e->tool->config, domain) && !(*out = tokens_keys(e->tool)))
			return false;
	}
	e->keys = *out;
	return true;
}

static int run(struct tool *tool, const void *values)
{
	struct explain_values given = *(const struct explain_values *)values;
	struct explain e = { .tool = tool };
	struct token_keys *keys = NULL;
	struct err err;

	if (!learn(&e, &given))
		return TOOL_USAGE;
	if (!tool_config(tool) || !tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	if (!find_keys(&e, &keys))
		return TOOL_UNKNOWN;

	bool ok = explain_ask(&e, &err);

	token_keys_free(keys);
	if (!ok)
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	(tool->is_json ? write_json : write_person)(&e);
	return e.final.verdict.action == VERDICT_ACCEPT ? TOOL_OK : TOOL_NO;
}

const struct tool_command command_explain = {
	.name = "explain",
	.operands = "",
	.summary = "what would the gate say to this message, and why",
	.about = "Tells whose a message would be, what each stage of the SMTP session would answer and by which rule, the exact "
		 "reply, and what is left of each quota. Takes nothing from any quota.",
	.options = options,
	.values_size = sizeof(struct explain_values),
	.has_json = true,
	.examples = "sekisho explain --auth bob@acme.example --client 192.0.2.7 --tls \\\n"
		    "    --from bob@acme.example --rcpt alice@example.jp --size 20KiB",
	.ok = "it would be accepted",
	.no = "it would be deferred, rejected or held",
	.unknown = "configuration or store cannot be read",
	.run = run,
};
