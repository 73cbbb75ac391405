/*
 * sekisho explain: what the gate would say to a message, and why. It asks the policy the same four questions as a
 * session does, of a store that cannot be changed.
 */
#include <stdio.h>

#include "milter/mail/address.h"
#include "milter/reply.h"
#include "milter/tool/commands.h"
#include "milter/tool/peephole.h"

struct explain_values {
	struct str auth, from, daemon, subject, issuer;
	struct option_addr client;
	struct str_list rcpts, header_from;
	int64_t size;
	bool tls;
};
#define EXPLAIN(field) offsetof(struct explain_values, field)

static const struct option options[] = {
	{ "--auth", OPTION_TEXT, EXPLAIN(auth), "LOGIN", NULL, "SASL login" },
	{ "--client", OPTION_ADDRESS, EXPLAIN(client), "IP", NULL,
	  "client address; without it the message is handed in on the host itself, as by sendmail(1)" },
	{ "--from", OPTION_TEXT, EXPLAIN(from), "ADDRESS", NULL, "envelope sender; '' is the null sender" },
	{ "--rcpt", OPTION_TEXTS, EXPLAIN(rcpts), "ADDRESS", NULL, "a recipient; may be repeated" },
	{ "--size", OPTION_SIZE, EXPLAIN(size), "SIZE", NULL, "size of the message: 4096, 512KiB, 25MiB" },
	{ "--tls", OPTION_FLAG, EXPLAIN(tls), NULL, NULL, "over TLS" },
	{ "--header-from", OPTION_TEXTS, EXPLAIN(header_from), "ADDRESS", NULL,
	  "address in From or Sender (default: the envelope sender); may be repeated" },
	{ "--daemon", OPTION_TEXT, EXPLAIN(daemon), "NAME", NULL, "the MTA's {daemon_name}" },
	{ "--cert-subject", OPTION_TEXT, EXPLAIN(subject), "NAME", NULL, "subject of a verified client certificate" },
	{ "--cert-issuer", OPTION_TEXT, EXPLAIN(issuer), "NAME", NULL, "its issuer" },
	{ NULL },
};

/* --- asking, as a session does */

enum stage { STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_EOM, STAGE_COUNT };
static const char *const stage_names[] = { "MAIL FROM", "RCPT TO", "DATA", "end of data" };

/* What one question was answered. */
struct answer {
	enum stage stage;
	struct str recipient;
	struct verdict verdict;
};

struct asking {
	struct tool *tool;
	struct policy policy;
	struct policy_facts facts;
	bool is_local;
	struct str *recipients;
	struct answer *answers;
	size_t count;
	struct answer final;           /* what the sender hears in the end */
};

static bool is_refusal(const struct verdict *v)
{
	return v->action == VERDICT_DEFER || v->action == VERDICT_REJECT;
}

/* A refusal outweighs a hold, and the first of a kind stands. True: the session would go on. */
static bool settle(struct asking *a, enum stage stage, struct str recipient, const struct verdict *verdict)
{
	struct answer *answer = &a->answers[a->count++];

	*answer = (struct answer){ stage, recipient, *verdict };
	if (verdict->action == VERDICT_ACCEPT)
		return true;
	if (a->final.verdict.action == VERDICT_ACCEPT || (a->final.verdict.action == VERDICT_HOLD && is_refusal(verdict)))
		a->final = *answer;
	a->facts.is_held |= verdict->action == VERDICT_HOLD;
	return !is_refusal(verdict) || a->is_local;
}

/* Refused recipients are left out, and the message goes on with the others. False: none is left. */
static bool ask_recipients(struct asking *a, const struct tenant *tenant, const struct str_list *rcpts)
{
	struct answer before = a->final;
	struct verdict verdict;

	for (size_t i = 0; i < rcpts->count; i++) {
		a->recipients[a->facts.recipient_count++] = rcpts->items[i];
		policy_on_rcpt(&a->policy, a->tool->config, tenant, &a->facts, &a->tool->arena, &verdict);
		if (!settle(a, STAGE_RCPT, rcpts->items[i], &verdict))
			a->facts.recipient_count--;
	}
	if (a->facts.recipient_count == 0)
		return false;
	if (!a->is_local)
		a->final = before;
	return true;
}

static void ask(struct asking *a, const struct explain_values *values)
{
	const struct config *config = a->tool->config;
	struct arena *arena = &a->tool->arena;
	struct verdict verdict;

	policy_on_mail(&a->policy, config, &a->facts, arena, &verdict);
	a->final = (struct answer){ .stage = STAGE_EOM, .verdict = { .action = VERDICT_ACCEPT, .tenant = verdict.tenant,
								      .matched_by = verdict.matched_by } };

	const struct tenant *tenant = verdict.tenant;
	enum match_kind matched_by = verdict.matched_by;
	bool goes_on = settle(a, STAGE_MAIL, STR_EMPTY, &verdict) && ask_recipients(a, tenant, &values->rcpts);

	if (goes_on) {
		policy_on_data(&a->policy, config, tenant, &a->facts, STR("explain"), arena, &verdict);
		goes_on = settle(a, STAGE_DATA, STR_EMPTY, &verdict);
	}
	/* A local message is refused at its end, by what was found before. */
	if (goes_on && !is_refusal(&a->final.verdict)) {
		a->facts.size = values->size;
		policy_on_eom(&a->policy, config, tenant, &a->facts, STR("explain"), arena, &verdict);
		settle(a, STAGE_EOM, STR_EMPTY, &verdict);
	}
	a->final.verdict.tenant = tenant;
	a->final.verdict.matched_by = matched_by;
}

/* --- the facts */

static bool bare(struct tool *tool, const char *option, struct str *address)
{
	struct err err;

	if (address_parse_path(*address, &tool->arena, address, &err))
		return true;
	tool_usage(tool, "%s: %s", option, err.text);
	return false;
}

static bool bare_list(struct tool *tool, const char *option, const struct str_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (!bare(tool, option, (struct str *)(uintptr_t)&list->items[i]))
			return false;
	return true;
}

/* What a session would have learnt by the end of message. False: said why not. */
static bool learn(struct asking *a, struct explain_values *values)
{
	struct tool *tool = a->tool;
	struct policy_facts *f = &a->facts;

	if (!values->from.ptr || values->rcpts.count == 0) {
		tool_usage(tool, "--from ADDRESS and --rcpt ADDRESS are wanted");
		return false;
	}
	if (!bare(tool, "--from", &values->from) || !bare_list(tool, "--rcpt", &values->rcpts) ||
	    !bare_list(tool, "--header-from", &values->header_from))
		return false;
	a->is_local = !values->client.is_given;
	*f = (struct policy_facts){
		.client = values->client.is_given ? &values->client.addr : NULL,
		.cert_subject = values->subject,
		.cert_issuer = values->issuer,
		.daemon_name = values->daemon,
		.has_tls = values->tls,
		.is_internal = a->is_local,
		.sender = values->from,
		.declared_size = values->size,
		.from = values->header_from.items,
		.from_count = values->header_from.count,
	};
	if (f->from_count == 0 && f->sender.len) {
		f->from = &f->sender;
		f->from_count = 1;
	}
	a->recipients = arena_array(&tool->arena, values->rcpts.count, sizeof *a->recipients);
	a->answers = arena_array(&tool->arena, values->rcpts.count + 3, sizeof *a->answers);
	f->recipients = a->recipients;
	return (a->recipients && a->answers && arena_copy_lower(&tool->arena, values->auth, &f->auth)) ||
	       tool_fail(tool, TOOL_UNKNOWN, "out of memory") == TOOL_OK;
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

static struct str tenant_text(struct tool *tool, const struct verdict *verdict)
{
	if (!verdict->tenant)
		return STR("nobody's");
	if (verdict->matched_by == MATCH_KIND_COUNT)
		return tool_text(tool, STR_FMT ", the default tenant: no match rule claims this", STR_ARG(verdict->tenant->name));
	return tool_text(tool, STR_FMT ", by its match rule on %s", STR_ARG(verdict->tenant->name),
			 match_kind_name(verdict->matched_by));
}

static struct str note_text(struct tool *tool, const struct policy_note *note)
{
	struct str limit = tool_limit(tool, note->limit);

	if (note->reason == REASON_NONE)
		return tool_text(tool, STR_FMT " reaches %d %% (" STR_FMT " of " STR_FMT "): a warning", STR_ARG(note->rule),
				 note->percent, STR_ARG(tool_number(tool, note->used)), STR_ARG(limit));
	return tool_text(tool, STR_FMT " is over, but only monitored", STR_ARG(note->rule));
}

static struct str rule_text(struct tool *tool, const struct answer *answer)
{
	const struct verdict *v = &answer->verdict;
	struct buf buf;
	struct str out;

	buf_init(&buf, 65536);
	if (answer->recipient.len)
		buf_printf(&buf, STR_FMT ": ", STR_ARG(answer->recipient));
	if (v->action == VERDICT_ACCEPT)
		buf_add_c(&buf, "passes");
	else
		buf_printf(&buf, "%s, by %s" STR_FMT "%s" STR_FMT " [%s]", action_names[v->action],
			   v->period.len ? "quota " : "", STR_ARG(v->rule), v->scope.len ? " of " : "", STR_ARG(v->scope),
			   reply_tag(v->reason));
	for (size_t i = 0; i < v->note_count; i++)
		buf_printf(&buf, "; " STR_FMT, STR_ARG(note_text(tool, &v->notes[i])));
	if (v->was_store_gone)
		buf_add_c(&buf, "; the store is gone, on_store_failure: accept");
	out = tool_text(tool, STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
	return out;
}

static const char *const asked[] = {
	[STAGE_MAIL] = "tenant, suspended, TLS, login, senders, size",
	[STAGE_RCPT] = "recipients_max",
	[STAGE_DATA] = "quotas on recipients and messages",
	[STAGE_EOM] = "size, From and Sender, quotas on bytes",
};

static void write_answers(struct tool *tool, const struct asking *a)
{
	static const struct column columns[] = { { "STAGE", COLUMN_LEFT }, { "ASKED", COLUMN_FOLD }, { "ANSWER", COLUMN_FOLD } };
	struct table table;
	bool is_reached[STAGE_COUNT] = { false };

	table_init(&table, &tool->arena, columns, 3);
	for (size_t i = 0; i < a->count; i++) {
		const struct answer *answer = &a->answers[i];

		table_add(&table, (struct str[]){ str_from_c(stage_names[answer->stage]), str_from_c(asked[answer->stage]),
						  rule_text(tool, answer) });
		is_reached[answer->stage] = true;
	}
	for (size_t i = 0; i < STAGE_COUNT; i++)
		if (!is_reached[i])
			table_add(&table, (struct str[]){ str_from_c(stage_names[i]), str_from_c(asked[i]), STR("not reached") });
	tool_print(tool, "\n");
	tool_table(tool, &table);
}

static int64_t left_of(const struct quota_state *state)
{
	return state->limit == LIMIT_NONE ? LIMIT_NONE : state->used < state->limit ? state->limit - state->used : 0;
}

static void write_quotas(struct tool *tool, const struct quota_state *states, size_t count)
{
	static const struct column columns[] = {
		{ "QUOTA", COLUMN_FOLD }, { "WHOSE", COLUMN_FOLD }, { "USED", COLUMN_RIGHT }, { "LIMIT", COLUMN_RIGHT },
		{ "LEFT", COLUMN_RIGHT }, { "FITS", COLUMN_LEFT }, { "ROOM AGAIN (JST)", COLUMN_LEFT },
	};
	struct table table;

	table_init(&table, &tool->arena, columns, sizeof columns / sizeof *columns);
	for (size_t i = 0; i < count; i++) {
		const struct quota_state *s = &states[i];

		table_add(&table, (struct str[]){ s->quota->name, s->scope.len ? s->scope : STR("tenant"), tool_number(tool, s->used),
						  tool_limit(tool, s->limit), tool_limit(tool, left_of(s)),
						  s->is_over ? STR("no") : STR("yes"),
						  str_slice(tool_time(tool, s->used ? s->resets_us : 0), 0, 16) });
	}
	tool_print(tool, "\n");
	tool_table(tool, &table);
}

static void write_person(struct tool *tool, const struct asking *a, const struct quota_state *states, size_t count)
{
	const struct verdict *v = &a->final.verdict;

	tool_field(tool, "Tenant", STR_FMT, STR_ARG(tenant_text(tool, v)));
	tool_field(tool, "Verdict", "%s%s%s", action_names[v->action], v->action == VERDICT_ACCEPT ? "" : " at ",
		   v->action == VERDICT_ACCEPT ? "" : stage_names[a->is_local ? STAGE_EOM : a->final.stage]);
	tool_field(tool, "Reply", STR_FMT, STR_ARG(reply_text(tool, v)));
	write_answers(tool, a);
	if (count)
		write_quotas(tool, states, count);
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

static void write_json(struct tool *tool, const struct asking *a, const struct quota_state *states, size_t count)
{
	struct json *json = &tool->json;
	const struct verdict *v = &a->final.verdict;

	json_object_open(json);
	json_member_str_opt(json, "tenant", v->tenant ? v->tenant->name : STR_EMPTY);
	json_member_str_opt(json, "matched_by", v->matched_by == MATCH_KIND_COUNT ? STR_EMPTY
								   : str_from_c(match_kind_name(v->matched_by)));
	json_member_str(json, "verdict", str_from_c(action_names[v->action]));
	json_member_str_opt(json, "rule", v->rule);
	json_member_str(json, "reply", reply_text(tool, v));
	json_key(json, "stages");
	json_array_open(json);
	for (size_t i = 0; i < a->count; i++)
		write_answer_json(tool, &a->answers[i]);
	json_array_close(json);
	json_key(json, "quotas");
	json_array_open(json);
	for (size_t i = 0; i < count; i++) {
		json_object_open(json);
		json_member_str(json, "quota", states[i].quota->name);
		json_member_str_opt(json, "key", states[i].scope);
		json_member_i64(json, "used", states[i].used);
		if (states[i].limit != LIMIT_NONE) {
			json_member_i64(json, "limit", states[i].limit);
			json_member_i64(json, "left", left_of(&states[i]));
		}
		json_member_bool(json, "fits", !states[i].is_over);
		tool_json_time(tool, "room_again", states[i].used ? states[i].resets_us : 0);
		json_object_close(json);
	}
	json_array_close(json);
	json_object_close(json);
	buf_add_byte(&tool->out, '\n');
}

static int run(struct tool *tool, const void *values)
{
	static struct quota_state states[QUOTA_STATES_MAX];
	struct explain_values given = *(const struct explain_values *)values;
	struct asking a = { .tool = tool };
	struct peephole peephole;
	struct err err;
	size_t count = 0;

	if (!learn(&a, &given))
		return TOOL_USAGE;
	if (!tool_config(tool) || !tool_store(tool, TOOL_LOOK))
		return TOOL_UNKNOWN;
	peephole_init(&peephole, tool->store);
	a.policy = (struct policy){ .store = &peephole.store, .node = tool->config->node };
	ask(&a, &given);
	/* What is left is asked for the whole message, whatever became of it. */
	a.facts.recipients = given.rcpts.items;
	a.facts.recipient_count = given.rcpts.count;
	if (a.final.verdict.tenant &&
	    !policy_peek(&a.policy, tool->config, a.final.verdict.tenant, &a.facts, &tool->arena, states, &count, &err))
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	(tool->is_json ? write_json : write_person)(tool, &a, states, count);
	return a.final.verdict.action == VERDICT_ACCEPT ? TOOL_OK : TOOL_NO;
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
