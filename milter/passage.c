#include "milter/passage.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/digest.h"
#include "config/base/hex.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "milter/field.h"
#include "milter/mail/address.h"

#define DETAIL_MAX 16384
#define MESSAGE_ID_MAX 998             /* RFC 5322 2.1.1: a line */
#define FROM_MAX 64                    /* addresses of From and Sender that are judged; more is no honest mail */

void passage_begin(struct passage *p, struct config *config)
{
	*p = (struct passage){ .config = config };
	arena_init(&p->arena, (size_t)config->transaction_memory_max);
	record_id_new(clock_now_us(), p->id);
}

void passage_end(struct passage *p)
{
	if (!p->config)
		return;
	arena_clear(&p->arena);
	config_release(p->config);
	p->config = NULL;
}

bool passage_keep(struct passage *p, struct str s, struct str *out)
{
	if (arena_copy(&p->arena, s, out))
		return true;
	p->is_out_of_memory = true;
	return false;
}

void passage_learn_size(struct passage *p, const struct str *params, size_t count)
{
	int64_t size = 0;

	for (size_t i = 0; i < count && p->facts.declared_size == 0; i++)
		if (str_starts_nocase(params[i], STR("SIZE=")) && num_parse_i64(str_from(params[i], 5), &size) && size > 0)
			p->facts.declared_size = size;
}

/* The MTA's word on who this is. A certificate counts only when the MTA says it verified: Sendmail says {verify}=OK,
 * Postfix has no such macro and gives the subject of trusted chains alone. */
bool passage_learn(struct passage *p, const struct session_macros *macros)
{
	struct policy_facts *facts = &p->facts;
	bool is_verified = macros->verify.len == 0 || str_eq(macros->verify, STR("OK"));

	facts->has_tls = macros->tls_version.len > 0;
	if (!arena_copy_lower(&p->arena, macros->auth_authen, &facts->auth)) {
		p->is_out_of_memory = true;
		return false;
	}
	return passage_keep(p, macros->daemon_name, &facts->daemon_name) &&
	       passage_keep(p, macros->tls_version, &p->tls_version) &&
	       passage_keep(p, macros->queue_id, &p->queue_id) &&
	       passage_keep(p, is_verified ? macros->cert_subject : STR_EMPTY, &facts->cert_subject) &&
	       passage_keep(p, is_verified ? macros->cert_issuer : STR_EMPTY, &facts->cert_issuer);
}

struct verdict passage_memory_verdict(const struct passage *p)
{
	return (struct verdict){ .action = VERDICT_DEFER, .reason = REASON_MEMORY, .tenant = p->tenant,
				 .rule = STR("transaction_memory_max"), .limit = p->config->transaction_memory_max };
}

static void refuse_unreadable(const struct passage *p, struct str address, struct verdict *out)
{
	out->action = VERDICT_REJECT;
	out->reason = REASON_ADDRESS;
	out->tenant = p->tenant;
	out->rule = POLICY_RULE_ADDRESS;
	out->scope = address;
}

/* What cannot be read is kept as it was typed, for the record. */
static bool keep_address(struct passage *p, struct str argument, struct str *out, bool *out_is_readable)
{
	struct err err = { .kind = ERR_NONE };

	*out_is_readable = address_parse_path(argument, &p->arena, out, &err);
	if (err.kind == ERR_BUSY) {
		p->is_out_of_memory = true;
		return false;
	}
	return passage_keep(p, *out_is_readable ? *out : str_trim(argument), out);
}

bool passage_keep_sender(struct passage *p, struct str argument)
{
	bool is_readable, ok = keep_address(p, argument, &p->facts.sender, &is_readable);

	p->is_sender_unreadable = !is_readable;
	return ok;
}

void passage_postpone(struct passage *p, struct verdict *verdict)
{
	if (verdict->action == VERDICT_ACCEPT || !p->config->needs_return_path || verdict->matched_by != MATCH_KIND_COUNT ||
	    p->facts.is_internal)
		return;
	p->postponed = *verdict;
	p->postponed.note_count = 0;            /* what is only noted is noted now, and not with each recipient */
	verdict->action = VERDICT_ACCEPT;
}

void passage_remember(struct passage *p, const struct verdict *verdict)
{
	p->facts.is_held |= verdict->action == VERDICT_HOLD;
	if (p->pending.action == 0 || p->pending.action == VERDICT_HOLD)
		p->pending = *verdict;
}

void passage_identify(struct passage *p, const struct policy *policy, struct verdict *verdict)
{
	policy_on_mail(policy, p->config, &p->facts, &p->arena, verdict);
	p->tenant = verdict->tenant;
	p->matched_by = verdict->matched_by;

	bool is_about_sender = verdict->action == VERDICT_ACCEPT || verdict->action == VERDICT_HOLD ||
			       verdict->reason == REASON_SENDER;

	if (p->is_sender_unreadable && is_about_sender)
		refuse_unreadable(p, p->facts.sender, verdict);
}

void passage_take_quotas(struct passage *p, const struct policy *policy, struct verdict *verdict)
{
	int64_t start_us = clock_mono_us();

	policy_on_data(policy, p->config, p->tenant, &p->facts, str_from_c(p->id), &p->arena, verdict);
	metrics_observe(METRIC_CHARGE_TIME, clock_mono_us() - start_us);
	p->is_charged = verdict->action == VERDICT_ACCEPT && p->tenant && p->tenant->quota_count > 0;
}

bool passage_may_track(const struct passage *p)
{
	return p->tenant ? config_tenant_tracks(p->tenant) : p->is_late && p->config->needs_rewrite;
}

/* Room for one more in an array that doubles; the old one stays in the arena, which costs at most as much again. */
static bool grow(struct passage *p, struct str **items, size_t count, size_t *room)
{
	if (count < *room)
		return true;

	size_t wanted = *room ? *room * 2 : 8;
	struct str *bigger = arena_array(&p->arena, wanted, sizeof **items);

	if (!bigger) {
		p->is_out_of_memory = true;
		return false;
	}
	if (count)
		memcpy(bigger, *items, count * sizeof **items);
	*items = bigger;
	*room = wanted;
	return true;
}

static bool add_str(struct passage *p, struct str **items, size_t *count, size_t *room, struct str s)
{
	struct str copy;

	if (!grow(p, items, *count, room) || !passage_keep(p, s, &copy))
		return false;
	(*items)[(*count)++] = copy;
	return true;
}

bool passage_keep_recipient(struct passage *p, struct str argument, struct str *out, struct verdict *verdict)
{
	bool is_readable;

	if (!keep_address(p, argument, out, &is_readable) || !grow(p, &p->recipients, p->facts.recipient_count, &p->recipient_room))
		return false;
	if (!is_readable && !p->facts.is_internal) {
		refuse_unreadable(p, *out, verdict);
		return false;
	}
	p->recipients[p->facts.recipient_count++] = *out;
	p->facts.recipients = p->recipients;
	return true;
}

void passage_drop_recipient(struct passage *p)
{
	p->facts.recipient_count--;
}

/* Of From or Sender. */
static void add_from(struct passage *p, struct str value)
{
	struct address_list list;
	struct err err;

	if (!address_parse_list(value, &p->arena, &list, &err)) {
		p->is_out_of_memory = true;
		return;
	}
	p->facts.from_is_broken |= list.is_broken || list.count > FROM_MAX - p->facts.from_count;
	if (list.count > FROM_MAX - p->facts.from_count)
		return;
	for (size_t i = 0; i < list.count; i++)
		add_str(p, &p->from, &p->facts.from_count, &p->from_room, list.items[i]);
	p->facts.from = p->from;
}

static void hash_subject(struct passage *p, struct str value)
{
	unsigned char octets[DIGEST_LEN];

	digest_of(value, octets);
	hex_write(octets, sizeof p->subject_hash / 2, p->subject_hash);
}

/* Only what a rule may ask for: of late mail nobody knows yet whose rules they are. */
static void keep_content(struct passage *p, struct str name, struct str value)
{
	if ((p->tenant || p->is_late) && config_asks_for_header(p->config, p->tenant, name) &&
	    !field_keep(&p->arena, name, value, &p->facts.content))
		p->is_out_of_memory = true;
}

void passage_add_header(struct passage *p, struct str name, struct str value)
{
	p->octets += (int64_t)(name.len + value.len) + 4;      /* ": " and CRLF; folds arrive as bare LF */
	name = str_trim(name);                                  /* RFC 5322 4.5: readers pass over blanks before the colon */
	keep_content(p, name, value);
	if (str_eq_nocase(name, STR("Message-ID")) && p->message_id.len == 0)
		passage_keep(p, str_slice(str_trim(value), 0, MESSAGE_ID_MAX), &p->message_id);
	else if (str_eq_nocase(name, STR("Subject")) && !p->subject_hash[0])
		hash_subject(p, value);
	else if ((p->is_late || (p->tenant && p->tenant->from == FROM_SENDERS)) &&
		 (str_eq_nocase(name, STR("From")) || str_eq_nocase(name, STR("Sender")))) {
		p->facts.has_from |= str_eq_nocase(name, STR("From"));
		add_from(p, value);
	}
}

/* Once: there is room for RECORD_ACTIONS_MAX, and what was done to the content comes last. False: it is there already. */
static bool add_action(struct passage *p, struct str action)
{
	for (size_t i = 0; i < p->action_count; i++)
		if (str_eq(p->actions[i], action))
			return false;
	add_str(p, &p->actions, &p->action_count, &p->action_room, action);
	return true;
}

bool passage_add_action(struct passage *p, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return add_action(p, str_from_c(text));
}

void passage_add_notes(struct passage *p, const struct gate *gate, const struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->note_count; i++) {
		const struct policy_note *note = &verdict->notes[i];
		struct str tenant = p->tenant ? p->tenant->name : STR_EMPTY;

		if (note->reason == REASON_NONE) {
			log_warn("tenant %.*s: quota %.*s at %d %% (%lld of %lld)", STR_ARG(tenant), STR_ARG(note->rule),
				 note->percent, (long long)note->used, (long long)note->limit);
			passage_add_action(p, "warn:%.*s:%d", STR_ARG(note->rule), note->percent);
			warned_note(gate->warned, p->config, tenant, note);
			continue;
		}
		/* Of many recipients the first. */
		if (passage_add_action(p, "monitor:%.*s", STR_ARG(note->rule)))
			log_info("tenant %.*s: %.*s would have been refused [%s] (monitor)", STR_ARG(tenant), STR_ARG(note->rule),
				 reply_tag(note->reason));
	}
	if (verdict->was_store_gone)
		add_action(p, STR("quota:open"));
	if (verdict->was_store_local)
		add_action(p, STR("quota:local"));
	if (verdict->was_halved)
		add_action(p, STR("quota:halved"));
	if (verdict->was_store_shared)
		add_action(p, STR("quota:shared"));
}

static bool has_field(const struct rewrite_result *changes, enum rewrite_action action, struct str name)
{
	for (size_t i = 0; i < changes->field_count; i++)
		if (changes->fields[i].action == action && str_eq_nocase(changes->fields[i].name, name))
			return true;
	return false;
}

void passage_add_changes(struct passage *p, const struct rewrite_result *changes, const char *why_not)
{
	if (why_not)
		passage_add_action(p, "left:%s", why_not);
	if (!changes)
		return;
	if (changes->pixels)
		add_action(p, STR("opens"));
	if (changes->links)
		passage_add_action(p, "clicks:%zu", changes->links);
	if (has_field(changes, HEADER_ADD, STR("List-Unsubscribe")))
		add_action(p, STR("unsubscribe"));
	if (has_field(changes, HEADER_REMOVE, STR("DKIM-Signature")))
		add_action(p, STR("signature:stripped"));
	for (size_t i = 0; i < changes->note_count; i++) {
		const struct rewrite_note *note = &changes->notes[i];

		if (note->part)
			passage_add_action(p, "left:part %zu: %s", note->part, note->why);
		else
			passage_add_action(p, "left:%s", note->why);
	}
}

struct str passage_next_id(struct passage *p)
{
	if (!p->is_id_used) {
		p->is_id_used = true;
		return str_of(p->id, RECORD_ID_LEN);
	}
	record_id_new(clock_now_us(), p->later_id);
	return str_of(p->later_id, RECORD_ID_LEN);
}

/* Rows by verdict_action. */
static const struct {
	struct str event, verdict;
	enum record_wait wait;
	enum traffic_kind traffic;
} outcomes[] = {
	[VERDICT_ACCEPT] = { STR_INIT("accepted"), STR_INIT("accept"), RECORD_DURABLE, TRAFFIC_ACCEPTED },
	[VERDICT_DEFER] = { STR_INIT("deferred"), STR_INIT("defer"), RECORD_QUEUED, TRAFFIC_DEFERRED },
	[VERDICT_REJECT] = { STR_INIT("rejected"), STR_INIT("reject"), RECORD_QUEUED, TRAFFIC_REJECTED },
	[VERDICT_HOLD] = { STR_INIT("held"), STR_INIT("hold"), RECORD_DURABLE, TRAFFIC_HELD },
};

static void write_detail(const struct passage *p, const struct decision *decision, struct buf *out)
{
	struct json json;

	json_init(&json, out);
	json_object_open(&json);
	json_member_str_opt(&json, "message_id", p->message_id);
	if (p->tenant)
		json_member_str(&json, "matched_by", str_from_c(match_kind_name(p->matched_by)));
	if (decision->rcpt_count)
		json_member_i64(&json, "refused", decision->rcpt_count);
	json_object_close(&json);
}

/* How much came so is looked at later. */
static void note_passed(const struct passage *p, struct gate *gate)
{
	if (p->tenant)
		pulse_note_passed(gate->pulse, p->tenant, p->facts.sender, p->facts.auth, p->facts.client,
				  (int64_t)p->facts.recipient_count);
}

static bool is_followed(const struct passage *p, enum record_wait wait)
{
	return wait == RECORD_DURABLE && !p->is_returned;
}

/* What passes is known by its queue id before its record says so: what the MTA's log says of it is about this message. */
static bool note_queue_id(const struct passage *p, struct gate *gate, const struct record_event *event, enum record_wait wait,
			  struct err *err)
{
	return !is_followed(p, wait) ||
	       maillog_map_add(gate->queue_ids, event->queue_id, event->message, event->tenant, event->from) || err_memory(err);
}

static bool append(const struct passage *p, struct gate *gate, struct record_writer *log, const struct record_event *event,
		   enum record_wait wait, struct err *err)
{
	if (record_append(log, event, wait, NULL, err))
		return true;
	if (is_followed(p, wait) && gate->queue_ids)
		maillog_map_done(gate->queue_ids, event->queue_id);
	return false;
}

bool passage_record(struct passage *p, struct gate *gate, const struct peer *peer, const struct decision *decision,
		    struct err *err)
{
	struct buf detail;

	buf_init(&detail, DETAIL_MAX);
	write_detail(p, decision, &detail);

	struct record_event event = {
		.event = outcomes[decision->action].event,
		.tenant = p->tenant ? p->tenant->name : STR_EMPTY,
		.id = decision->id,
		.message = str_of(p->id, RECORD_ID_LEN),
		.queue_id = p->queue_id,
		.host = str_from_c(gate->node),
		.client = peer->client,
		.auth = p->facts.auth,
		.helo = peer->helo,
		.tls = p->tls_version,
		.from = p->facts.sender,
		.to = p->recipients,
		.to_count = p->facts.recipient_count < RECORD_TO_MAX ? p->facts.recipient_count : RECORD_TO_MAX,
		.size = p->facts.size,
		.nrcpt = (int64_t)p->facts.recipient_count,
		.subject_hash = str_from_c(p->subject_hash),
		.verdict = outcomes[decision->action].verdict,
		.rule = decision->rule,
		.reply = decision->reply,
		.actions = p->actions,
		.action_count = p->action_count,
		.rcpt = decision->rcpt,
	};
	struct record_writer *log = gate_writer(gate, p->tenant ? p->tenant->record_class : CLASS_RELAY, err);
	bool is_ready = log && buf_done(&detail, &event.detail, err) &&
			note_queue_id(p, gate, &event, outcomes[decision->action].wait, err);
	bool ok = is_ready && append(p, gate, log, &event, outcomes[decision->action].wait, err);

	buf_clear(&detail);
	if (!is_ready)                          /* what the log itself refuses, it counts */
		metrics_add(METRIC_RECORD_FAILURES, 1);
	if (!ok)
		return false;
	/* A message counts once: as what became of it, which comes first, or else as its first refusal. */
	if (decision->rcpt_count == 0 || (!p->is_counted && decision == &p->refusals[0].decision)) {
		traffic_note(gate->traffic, event.tenant, outcomes[decision->action].traffic, event.nrcpt);
		p->is_counted = true;
	}
	if (is_followed(p, outcomes[decision->action].wait))
		note_passed(p, gate);
	return true;
}

static struct refusal *refusal_by(struct passage *p, const struct verdict *verdict)
{
	struct refusal *refusal = p->refusals, *end = refusal + p->refusal_count;

	while (refusal < end && (refusal->decision.action != verdict->action || !str_eq(refusal->decision.rule, verdict->rule)))
		refusal++;
	if (refusal < end)
		return refusal;
	if (p->refusal_count == PASSAGE_REFUSALS_MAX)
		return end - 1;
	p->refusal_count++;
	record_id_new(clock_now_us(), refusal->id);
	refusal->decision = (struct decision){ .action = verdict->action, .id = str_of(refusal->id, RECORD_ID_LEN),
					       .rule = verdict->rule };
	return refusal;
}

void passage_refuse_recipient(struct passage *p, const struct verdict *verdict, struct str recipient, struct reply *out)
{
	struct decision *decision = &refusal_by(p, verdict)->decision;
	char line[REPLY_TEXT_MAX + 32];

	reply_from_verdict(p->config, verdict, decision->id, out);
	if (decision->rcpt_count++ > 0)
		return;
	reply_line(out, line);
	passage_keep(p, str_slice(recipient, 0, ADDRESS_MAX), &decision->rcpt);
	passage_keep(p, str_from_c(line), &decision->reply);
}

void passage_record_refused(struct passage *p, struct gate *gate, const struct peer *peer)
{
	struct err err;

	for (size_t i = 0; i < p->refusal_count; i++)
		if (!passage_record(p, gate, peer, &p->refusals[i].decision, &err))
			log_error("record of refused recipients: %s", err.text);
	p->refusal_count = 0;
}
