#include "milter/session.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/late.h"
#include "milter/letter.h"
#include "milter/macros.h"

/* Where a message is. PHASE_NONE: the MTA said this out of order. */
enum phase {
	PHASE_NONE,
	PHASE_READY,                   /* connected, or between messages */
	PHASE_MAIL,                    /* after MAIL FROM: no recipient yet */
	PHASE_RCPT,                    /* after a RCPT TO that passed */
	PHASE_CONTENT,                 /* after DATA: headers and body */
	PHASE_COUNT
};
enum event { EV_MAIL, EV_RCPT, EV_DATA, EV_CONTENT, EV_EOM, EV_COUNT };

static const enum phase next_phase[PHASE_COUNT][EV_COUNT] = {
	[PHASE_READY] = { [EV_MAIL] = PHASE_MAIL },
	[PHASE_MAIL] = { [EV_RCPT] = PHASE_RCPT },
	[PHASE_RCPT] = { [EV_RCPT] = PHASE_RCPT, [EV_DATA] = PHASE_CONTENT },
	[PHASE_CONTENT] = { [EV_CONTENT] = PHASE_CONTENT, [EV_EOM] = PHASE_READY },
};

#define HELO_MAX 255

struct session {
	struct gate *gate;
	struct gate_link link;
	enum phase phase;
	struct session_abilities abilities;
	bool has_client, is_local;
	struct net_addr client;
	char client_text[INET6_ADDRSTRLEN];
	char helo[HELO_MAX + 1];
	struct passage passage;        /* the message under way */
	struct letter letter;          /* its content, when it may change; until session_done */
	struct envelope envelope;      /* what changes in its envelope; until session_done */
	struct returning returning;    /* it comes back to us */
	char record_id[RECORD_ID_LEN + 1];      /* of the message that passed last: the header's value */
};

struct session *session_new(struct gate *gate, const struct session_abilities *abilities)
{
	struct session *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->gate = gate;
	s->abilities = *abilities;
	letter_init(&s->letter);
	envelope_init(&s->envelope);
	returning_init(&s->returning);
	s->phase = PHASE_READY;
	gate_enter(gate, &s->link, s);
	metrics_add(METRIC_SESSIONS, 1);
	metrics_add(METRIC_SESSIONS_TOTAL, 1);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	session_abort(s);
	gate_leave(s->gate, &s->link);
	metrics_add(METRIC_SESSIONS, -1);
	free(s);
}

void session_connect(struct session *s, const struct net_addr *client, bool is_local)
{
	s->is_local = is_local;
	s->has_client = client != NULL;
	if (!client)
		return;
	s->client = *client;
	net_format_addr(client, s->client_text);
}

void session_helo(struct session *s, struct str helo)
{
	struct str kept = str_slice(helo, 0, HELO_MAX);

	memcpy(s->helo, kept.ptr, kept.len);
	s->helo[kept.len] = '\0';
}

static struct peer peer_of(const struct session *s)
{
	return (struct peer){
		.addr = s->has_client ? &s->client : NULL,
		.client = str_from_c(s->client_text),
		.helo = str_from_c(s->helo),
	};
}

static bool step(struct session *s, enum event event)
{
	enum phase next = next_phase[s->phase][event];

	if (next == PHASE_NONE)
		return false;
	s->phase = next;
	return true;
}

static enum session_answer out_of_order(struct reply *reply)
{
	*reply = (struct reply){ .code = 451, .enhanced = "4.5.0", .text = "Commands out of order between MTA and filter" };
	return SESSION_REPLY;
}

static void refund(struct session *s)
{
	struct passage *p = &s->passage;

	if (p->is_charged)
		policy_refund(&s->gate->policy, p->tenant, str_from_c(p->id));
	p->is_charged = false;
}

/* On every path: what is not spent goes back, and recipients that were refused alone come onto the record. */
static void end_message(struct session *s)
{
	struct passage *p = &s->passage;
	struct peer peer = peer_of(s);

	if (!p->config)
		return;
	refund(s);
	passage_record_refused(p, s->gate, &peer);
	passage_end(p);
}

void session_abort(struct session *s)
{
	if (s->phase == PHASE_CONTENT)
		metrics_add(METRIC_MESSAGES_ABORTED, 1);
	end_message(s);
	session_done(s);
	s->phase = PHASE_READY;
}

void session_done(struct session *s)
{
	letter_end(&s->letter);
	envelope_end(&s->envelope);
	returning_end(&s->returning);
}

static const enum metric_id verdict_metrics[] = {
	[VERDICT_ACCEPT] = METRIC_MESSAGES_ACCEPTED,
	[VERDICT_DEFER] = METRIC_MESSAGES_DEFERRED,
	[VERDICT_REJECT] = METRIC_MESSAGES_REJECTED,
	[VERDICT_HOLD] = METRIC_MESSAGES_HELD,
};

/* Refuses now: the reply, and its record, which nobody waits for. */
static enum session_answer refuse(struct session *s, const struct verdict *verdict, struct reply *reply)
{
	struct passage *p = &s->passage;
	struct peer peer = peer_of(s);
	struct str id = passage_next_id(p);
	char line[REPLY_TEXT_MAX + 32];
	struct err err;

	reply_from_verdict(p->config, verdict, id, reply);
	reply_line(reply, line);
	metrics_add(verdict_metrics[verdict->action], 1);

	const struct decision decision = { .action = verdict->action, .id = id, .rule = verdict->rule,
					   .reply = str_from_c(line) };

	if (!passage_record(p, s->gate, &peer, &decision, &err))
		log_error("record of a refusal (%s): %s", line, err.text);
	return SESSION_REPLY;
}

/*
 * What a stage before end of message does with its verdict: go on, refuse, or remember it for end of message (a hold,
 * which lets the message come in whole, and every refusal of a local one).
 */
static enum session_answer settle(struct session *s, struct verdict *verdict, struct reply *reply)
{
	struct passage *p = &s->passage;

	passage_add_notes(p, s->gate, verdict);
	if (p->is_out_of_memory)
		*verdict = passage_memory_verdict(p);
	if (verdict->action == VERDICT_ACCEPT)
		return SESSION_CONTINUE;
	if (verdict->action != VERDICT_HOLD && !s->is_local)
		return refuse(s, verdict, reply);
	passage_remember(p, verdict);
	return SESSION_CONTINUE;
}

enum session_answer session_mail(struct session *s, struct str sender, const struct str *params, size_t param_count,
				 const struct session_macros *macros, struct reply *reply)
{
	struct passage *p = &s->passage;
	struct verdict verdict = { .action = VERDICT_ACCEPT };

	session_abort(s);                       /* MAIL is welcome anywhere: Sendmail sends no abort after an unknown command */
	passage_begin(p, config_acquire());
	step(s, EV_MAIL);
	p->facts.client = s->has_client ? &s->client : NULL;
	p->facts.is_internal = s->is_local;
	macros_note(MACROS_MAIL, macros);
	passage_learn_size(p, params, param_count);
	if (passage_learn(p, macros) && passage_keep_sender(p, sender) && !late_begins(p, s->gate)) {
		passage_identify(p, &s->gate->policy, &verdict);
		passage_postpone(p, &verdict);
	}

	enum session_answer answer = settle(s, &verdict, reply);

	if (answer == SESSION_REPLY) {          /* the MTA begins anew with the next MAIL */
		end_message(s);
		s->phase = PHASE_READY;
	}
	return answer;
}

/* A refused recipient costs the message nothing: it goes on with the others. */
static enum session_answer refuse_recipient(struct session *s, const struct verdict *verdict, struct str recipient,
					    struct reply *reply)
{
	passage_refuse_recipient(&s->passage, verdict, recipient, reply);
	return SESSION_REPLY;
}

enum session_answer session_rcpt(struct session *s, struct str recipient, struct reply *reply)
{
	struct passage *p = &s->passage;
	struct verdict verdict = { .action = VERDICT_ACCEPT };
	struct str bare = recipient;

	if (!step(s, EV_RCPT))
		return out_of_order(reply);
	if (!passage_keep_recipient(p, recipient, &bare, &verdict)) {
		if (p->is_out_of_memory)
			verdict = passage_memory_verdict(p);
		return s->is_local ? settle(s, &verdict, reply) : refuse_recipient(s, &verdict, bare, reply);
	}
	if (!returning_meet(&s->returning, s->gate, p, &verdict)) {
		if (p->postponed.action && p->postponed.action != VERDICT_HOLD)
			verdict = p->postponed;
		else if (!p->is_late)
			policy_on_rcpt(&s->gate->policy, p->config, p->tenant, &p->facts, &p->arena, &verdict);
	}
	if (s->is_local || verdict.action == VERDICT_ACCEPT || verdict.action == VERDICT_HOLD)
		return settle(s, &verdict, reply);
	passage_add_notes(p, s->gate, &verdict);
	passage_drop_recipient(p);
	return refuse_recipient(s, &verdict, bare, reply);
}

enum session_answer session_data(struct session *s, const struct session_macros *macros, struct reply *reply)
{
	struct passage *p = &s->passage;
	struct verdict verdict = { .action = VERDICT_ACCEPT };

	if (!step(s, EV_DATA))
		return out_of_order(reply);
	macros_note(MACROS_DATA, macros);
	if (p->queue_id.len == 0)
		passage_keep(p, macros->queue_id, &p->queue_id);
	returning_begin(&s->returning, p);
	/* Held mail has passed the rest, or its release would free what no rule allows. */
	if (p->postponed.action == VERDICT_HOLD && !returning_is_on(&s->returning))
		passage_remember(p, &p->postponed);
	if (p->facts.recipient_count > 0 && !p->is_out_of_memory && !p->is_late && !returning_is_on(&s->returning))
		passage_take_quotas(p, &s->gate->policy, &verdict);

	enum session_answer answer = settle(s, &verdict, reply);

	if (answer == SESSION_REPLY) {
		refund(s);
		s->phase = PHASE_RCPT;          /* the client may try DATA again, or give up */
		return answer;
	}
	if (s->abilities.can_rewrite && passage_may_track(p) && !returning_is_on(&s->returning))
		letter_begin(&s->letter, p->config);
	return answer;
}

void session_header(struct session *s, struct str name, struct str value)
{
	if (!step(s, EV_CONTENT))
		return;
	passage_add_header(&s->passage, name, value);
	late_add_header(&s->passage, s->gate, name, value);
	letter_add_field(&s->letter, name, value);
	returning_add_field(&s->returning, name, value);
}

void session_body(struct session *s, struct str chunk)
{
	if (!step(s, EV_CONTENT))
		return;
	s->passage.octets += (int64_t)chunk.len;
	letter_add_body(&s->letter, chunk);
	returning_add_body(&s->returning, chunk);
}

bool session_take_turn(struct session *s, int64_t wait_us)
{
	return letter_take_turn(&s->letter, wait_us);
}

/* Second wait: quotas on octets. What an earlier stage remembered stands, unless the content is refused outright. */
static void judge_content(struct session *s, struct verdict *verdict)
{
	struct passage *p = &s->passage;

	if (p->is_late && late_judge(p, s->gate))
		s->returning.is_own = false;    /* a user wrote it, and not the MTA */
	*verdict = p->pending;
	if (verdict->action == VERDICT_DEFER || verdict->action == VERDICT_REJECT)
		return;
	if (p->is_out_of_memory) {             /* nothing more is asked, or told, of half a message */
		*verdict = passage_memory_verdict(p);
		return;
	}
	if (returning_is_on(&s->returning)) {
		envelope_return(&s->envelope, s->gate, p, &s->returning, s->abilities.can_readdress, verdict);
		return;
	}
	policy_on_eom(&s->gate->policy, p->config, p->tenant, &p->facts, str_from_c(p->id), &p->arena, verdict);
	passage_add_notes(p, s->gate, verdict);
	if (verdict->action == VERDICT_ACCEPT && p->pending.action == VERDICT_HOLD)
		*verdict = p->pending;
}

/* What becomes of the content, and a word of it for the record. Without keys nothing is tracked (there is no such gate, but
 * for the moment between a reload and a failure to load them). */
static void rewrite_content(struct session *s)
{
	struct passage *p = &s->passage;
	bool is_one = p->facts.recipient_count == 1;
	struct holding *keys = letter_is_kept(&s->letter) && passage_may_track(p) ? token_ring_acquire(&s->gate->tokens) : NULL;

	if (!keys)
		return;
	letter_rewrite(&s->letter, p->tenant, token_ring_keys(keys), is_one ? p->recipients[0] : STR_EMPTY);
	token_ring_release(&s->gate->tokens, keys);
	passage_add_changes(p, s->letter.changes, s->letter.why_not);
}

/* Third wait: no message passes, or is held, before its record is on disk. */
static bool record_passage(struct session *s, const struct verdict *verdict, struct str id, struct str reply,
			   struct verdict *out_instead)
{
	struct peer peer = peer_of(s);
	const struct decision decision = { .action = verdict->action, .id = id, .rule = verdict->rule, .reply = reply };
	struct err err;

	if (passage_record(&s->passage, s->gate, &peer, &decision, &err))
		return true;
	log_error("relay record of message %s: %s", s->passage.id, err.text);
	*out_instead = (struct verdict){ .action = VERDICT_DEFER, .tenant = s->passage.tenant,
					 .reason = err.kind == ERR_FULL ? REASON_RECORD_FULL : REASON_RECORD };
	return false;
}

static enum session_answer pass(struct session *s, const struct verdict *verdict, struct str id,
				struct session_changes *out)
{
	struct passage *p = &s->passage;
	const struct rewrite_result *changes = s->letter.changes;

	if (verdict->action == VERDICT_ACCEPT && p->is_charged) {
		policy_settle(&s->gate->policy, p->tenant, str_from_c(p->id));
		p->is_charged = false;          /* spent; what is held goes back */
	}
	metrics_add(verdict_metrics[verdict->action], 1);
	metrics_add(METRIC_RECIPIENTS_ACCEPTED, (int64_t)p->facts.recipient_count);
	memcpy(s->record_id, id.ptr, RECORD_ID_LEN);
	*out = (struct session_changes){
		.record_id = str_of(s->record_id, RECORD_ID_LEN),
		.fields = changes ? changes->fields : NULL,
		.field_count = changes ? changes->field_count : 0,
		.envelope = &s->envelope,
		.submit_count = p->submit_count,
		.steer_count = s->abilities.can_rewrite && p->tenant ? letter_steer_left(&s->letter) : 0,
		.has_body = letter_has_new_body(&s->letter),
	};
	if (s->envelope.is_discarded)
		return SESSION_DISCARD;
	return verdict->action == VERDICT_HOLD ? SESSION_HOLD : SESSION_CONTINUE;
}

static bool is_passing(const struct verdict *verdict)
{
	return verdict->action == VERDICT_ACCEPT || verdict->action == VERDICT_HOLD;
}

/* Only a hold has something to say: why, and since when. */
static enum session_answer record_and_pass(struct session *s, const struct verdict *verdict,
					   struct session_changes *out, struct reply *reply)
{
	struct str id = passage_next_id(&s->passage), text = STR_EMPTY;
	char line[REPLY_TEXT_MAX + 32];
	struct verdict instead;

	if (verdict->action == VERDICT_HOLD) {
		reply_from_verdict(s->passage.config, verdict, id, reply);
		reply_line(reply, line);
		text = str_from_c(line);
	}
	if (!record_passage(s, verdict, id, text, &instead))
		return refuse(s, &instead, reply);
	return pass(s, verdict, id, out);
}

/* Judge, rewrite, record, reply. */
enum session_answer session_eom(struct session *s, const struct session_macros *macros, struct session_changes *out,
				struct reply *reply)
{
	struct passage *p = &s->passage;
	struct verdict verdict;
	int64_t start_us = clock_mono_us();

	*out = (struct session_changes){ .record_id = STR_EMPTY };
	if (!step(s, EV_EOM))
		return out_of_order(reply);
	macros_note(MACROS_EOM, macros);
	if (macros->queue_id.len && !str_eq(macros->queue_id, p->queue_id))
		passage_keep(p, macros->queue_id, &p->queue_id);
	p->facts.size = s->abilities.sees_body ? p->octets : 0;

	judge_content(s, &verdict);
	if (is_passing(&verdict))
		rewrite_content(s);
	if (is_passing(&verdict) && s->abilities.can_readdress)
		envelope_sign(&s->envelope, s->gate, p);
	if (is_passing(&verdict) && p->is_out_of_memory)
		verdict = passage_memory_verdict(p);

	enum session_answer answer = is_passing(&verdict) ? record_and_pass(s, &verdict, out, reply)
							  : refuse(s, &verdict, reply);

	end_message(s);
	metrics_observe(METRIC_EOM_TIME, clock_mono_us() - start_us);
	return answer;
}

bool session_next_chunk(struct session *s, struct str *out)
{
	return letter_next_chunk(&s->letter, out);
}
