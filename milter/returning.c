#include "milter/returning.h"

#include "config/base/clock.h"
#include "config/base/domain.h"
#include "config/base/json.h"
#include "config/base/memory.h"
#include "config/base/metrics.h"
#include "milter/failure.h"
#include "milter/returned.h"

#define WORK_MAX ((size_t)16 << 20)    /* RETURNING_CONTENT_MAX read, decoded and judged */
#define OUTCOME_MAX ((size_t)64 << 10)
#define RELAY_MAX 256                  /* of the remote's name, in a record */
#define REPLY_MAX 1000                 /* of the remote's words, in a record */
#define LOOKED_AT_MAX 2000             /* addresses in a message that may be the one it was sent to */

void returning_init(struct returning *r)
{
	*r = (struct returning){ .kind = RETURN_PATH_NONE };
	buf_init(&r->content, RETURNING_CONTENT_MAX);
}

void returning_end(struct returning *r)
{
	buf_clear(&r->content);
	returning_init(r);
}

bool returning_is_on(const struct returning *r)
{
	return r->kind != RETURN_PATH_NONE || r->is_own;
}

/* --- at RCPT */

static enum return_path_kind look(struct gate *gate, const struct config *config, struct str address, struct return_path *out)
{
	struct holding *keys = token_ring_acquire(&gate->tokens);
	enum return_path_kind kind = return_path_look(config, keys ? token_ring_keys(keys) : NULL, address, clock_now_us(), out);

	token_ring_release(&gate->tokens, keys);
	return kind;
}

/* The client sends the others by themselves. */
static bool refuse_mixed(struct verdict *out, const struct passage *p)
{
	*out = (struct verdict){ .action = VERDICT_DEFER, .reason = REASON_RECIPIENTS, .tenant = p->tenant,
				 .rule = POLICY_RULE_RECIPIENTS, .used = 2, .limit = 1 };
	return true;
}

static bool refuse_path(struct verdict *out, enum return_path_kind kind, struct str address)
{
	*out = (struct verdict){ .action = VERDICT_REJECT, .reason = REASON_RETURN_PATH, .rule = POLICY_RULE_RETURN_PATH,
				 .scope = address, .detail = kind == RETURN_PATH_EXPIRED ? STR("it has expired")
											 : STR("this relay never made it") };
	metrics_add(METRIC_RETURNS_REFUSED, 1);
	return true;
}

bool returning_meet(struct returning *r, struct gate *gate, const struct passage *p, struct verdict *out)
{
	bool is_local = p->facts.is_internal;
	unsigned long shortages = memory_shortages();
	struct return_path path;

	if (!p->config->needs_return_path)
		return false;

	struct str address = p->facts.recipients[p->facts.recipient_count - 1];
	enum return_path_kind kind = look(gate, p->config, address, &path);

	if (memory_shortages() != shortages) {          /* forged, or no memory to tell */
		*out = passage_memory_verdict(p);
		return true;
	}
	if (is_local && (kind == RETURN_PATH_FORGED || p->facts.recipient_count > 1))
		r->kind = kind = RETURN_PATH_NONE;      /* local mail cannot be refused here: it is mail like any other */
	if (is_local && kind == RETURN_PATH_EXPIRED)
		kind = RETURN_PATH_GOOD;        /* its queue has outlived the path */
	if (kind == RETURN_PATH_NONE)
		return r->kind != RETURN_PATH_NONE && !is_local && refuse_mixed(out, p);
	if (p->facts.recipient_count > 1)
		return refuse_mixed(out, p);
	if (kind == RETURN_PATH_FORGED || kind == RETURN_PATH_EXPIRED)
		return refuse_path(out, kind, address);
	r->kind = kind;
	r->path = path;
	return true;
}

/* --- content */

void returning_begin(struct returning *r, struct passage *p)
{
	bool is_null = p->facts.sender.len == 0;

	/* Only now: a recipient that follows, or was refused, would have freed the others of their sender's rules. */
	if (r->kind != RETURN_PATH_NONE) {
		p->tenant = r->path.tenant ? r->path.tenant : p->tenant;
		p->is_late = false;
	}

	r->is_own = r->kind == RETURN_PATH_NONE && p->facts.is_internal && is_null && p->config->needs_return_path;
	r->is_kept = returning_is_on(r);
	r->is_machine = is_null;
}

/* What is over the ceiling is not needed, and so only memory can fail. */
static void keep(struct returning *r, struct str octets)
{
	buf_add(&r->content, str_slice(octets, 0, RETURNING_CONTENT_MAX - r->content.len));
}

void returning_add_field(struct returning *r, struct str name, struct str value)
{
	if (!r->is_kept)
		return;
	r->is_machine |= str_eq_nocase(name, STR("Auto-Submitted")) && !str_starts_nocase(value, STR("no"));
	keep(r, name);
	keep(r, STR(": "));
	keep(r, value);
	keep(r, STR("\n"));
}

/* An empty line stands before the first octet of the body. */
void returning_add_body(struct returning *r, struct str chunk)
{
	if (!r->is_kept)
		return;
	if (!r->has_body)
		keep(r, STR("\n"));
	r->has_body = true;
	keep(r, chunk);
}

/* --- whose is it? */

/* One report that is being told. */
struct telling {
	struct returning *r;
	struct gate *gate;
	struct passage *p;
	struct arena arena;
	struct returned returned;
	struct return_path path;       /* tenant NULL: a queue id said which message it is */
	const struct tenant *tenant;
	struct str message, queue_id;
	struct str sender;             /* of that message; empty: unknown */
	struct str marks;              /* of those it was sent to */
	bool has_told_unknown;
	bool has_news;                 /* something was counted */
};

static struct str content_of(const struct telling *t)
{
	return buf_view(&t->r->content);
}

static bool is_address_byte(char c)
{
	return ascii_is_alnum(c) || (c && strchr("._+-=/!#$%&'*?^`{|}~", c));
}

/* The next thing that looks like an address, from *at on. */
static bool next_address(struct str text, size_t *at, struct str *out)
{
	while (*at < text.len) {
		size_t middle = *at + str_find_byte(str_from(text, *at), '@'), begin = middle, end = middle + 1;

		if (middle == text.len)
			break;
		while (begin > *at && middle - begin < 64 && is_address_byte(text.ptr[begin - 1]))
			begin--;
		while (end < text.len && end - middle < 254 &&
		       (ascii_is_alnum(text.ptr[end]) || text.ptr[end] == '-' || text.ptr[end] == '.'))
			end++;
		*at = end;
		if (begin == middle || end == middle + 1)
			continue;
		*out = str_slice(text, begin, end - begin);
		return true;
	}
	return false;
}

/* A path that stands in the message: in Original-Mail-From, in the Return-Path of what was returned. */
static bool look_inside(struct telling *t)
{
	struct str text = content_of(t), address;
	size_t at = 0;

	for (int looked = 0; looked < LOOKED_AT_MAX && next_address(text, &at, &address); looked++) {
		enum return_path_kind kind;

		if (address.len <= PATH_LOCAL_LEN || address.ptr[PATH_LOCAL_LEN] != '@')
			continue;
		kind = look(t->gate, t->p->config, address, &t->path);
		if (kind == RETURN_PATH_GOOD || kind == RETURN_PATH_EXPIRED)    /* complaints take their time */
			return true;
	}
	t->path.tenant = NULL;
	return false;
}

static bool find_queue_id(struct telling *t, struct err *err)
{
	struct maillog_message found;
	struct str queue_id = t->returned.report.queue_id;

	if (queue_id.len == 0 || !t->gate->queue_ids || !maillog_map_find(t->gate->queue_ids, queue_id, &found))
		return true;
	t->tenant = config_find_tenant(t->p->config, str_from_c(found.tenant));
	t->queue_id = queue_id;
	return (arena_copy(&t->arena, str_from_c(found.id), &t->message) &&
		arena_copy(&t->arena, str_from_c(found.sender), &t->sender)) ||
	       err_memory(err);
}

/* Without a tenant afterwards: nobody knows whose it is. */
static bool find_message(struct telling *t, struct err *err)
{
	bool is_complaint = t->returned.report.kind == REPORT_COMPLAINT;
	struct err ignored;

	if (t->r->is_own)
		return find_queue_id(t, err);
	if (t->r->kind == RETURN_PATH_GOOD)
		t->path = t->r->path;
	else if (!is_complaint || !look_inside(t))
		return true;
	t->tenant = t->path.tenant;
	t->message = str_from_c(t->path.path.message);
	if (t->tenant->guards_senders && !return_path_sender(t->gate->policy.store, &t->path, &t->arena, &t->sender, &ignored))
		t->sender = STR_EMPTY;         /* its guard learns less, the tenant's nothing less */
	return true;
}

/* --- about whom is it? */

static struct str sent_to(const struct telling *t, struct str address)
{
	return address.len && return_path_was_sent_to(&t->path, t->marks, address) ? address : STR_EMPTY;
}

/* A forwarder's report names an address that we never heard of; the returned message may still say to whom we sent it. */
static struct str sent_to_inside(const struct telling *t)
{
	struct str text = content_of(t), address;
	size_t at = 0;

	for (int looked = 0; looked < LOOKED_AT_MAX && next_address(text, &at, &address); looked++)
		if (return_path_was_sent_to(&t->path, t->marks, address))
			return address;
	return STR_EMPTY;
}

/* The recipient as we know it; empty: not to be told. */
static struct str our_recipient(const struct telling *t, const struct report_recipient *it)
{
	struct str found;

	if (!t->path.tenant)
		return str_find_byte(it->original, '@') < it->original.len ? it->original : it->address;
	found = sent_to(t, it->original);
	if (found.len == 0)
		found = sent_to(t, it->address);
	return found.len || !return_path_is_single(&t->path) ? found : sent_to_inside(t);
}

/* --- telling */

static void write_outcome(const struct telling *t, size_t i, struct str recipient, bool is_known, struct buf *out)
{
	const struct report_recipient *it = &t->returned.report.recipients[i];
	const struct bounce_verdict *verdict = &t->returned.verdicts[i];
	struct json json;

	json_init(&json, out);
	json_object_open(&json);
	json_member_str_opt(&json, "dsn", verdict->status);
	json_member_str_opt(&json, "reply", str_slice(verdict->said, 0, REPLY_MAX));
	json_member_str_opt(&json, "relay", str_slice(it->remote, 0, RELAY_MAX));
	json_member_str(&json, "reason", str_from_c(bounce_reason_name(verdict->reason)));
	json_member_bool(&json, "hard", verdict->is_hard);
	if (is_known)
		json_member_bool(&json, "known", true);
	if (!str_eq_nocase(recipient, it->address))
		json_member_str_opt(&json, "final", it->address);
	json_member_str_opt(&json, "shape", str_from_c(t->returned.report.shape));
	json_member_str(&json, "report", str_of(t->p->id, RECORD_ID_LEN));
	json_object_close(&json);
}

static bool record(struct telling *t, struct str event_name, size_t i, struct str recipient, bool is_known, struct err *err)
{
	bool is_end = !str_eq(event_name, STR("delayed"));
	struct record_writer *log = gate_writer(t->gate, is_end ? config_bounce_class(t->tenant) : t->tenant->record_class, err);
	struct buf outcome;

	buf_init(&outcome, OUTCOME_MAX);
	write_outcome(t, i, recipient, is_known, &outcome);

	struct record_event event = {
		.event = event_name,
		.tenant = t->tenant->name,
		.message = t->message,
		.queue_id = t->queue_id,
		.host = str_from_c(t->gate->node),
		.rcpt = recipient,
	};
	bool ok = log && buf_done(&outcome, &event.outcome, err) && record_append(log, &event, RECORD_QUEUED, NULL, err);

	buf_clear(&outcome);
	return ok;
}

static bool tell_failure(struct telling *t, size_t i, struct str recipient, bool is_complaint, struct err *err)
{
	const struct bounce_verdict *verdict = &t->returned.verdicts[i];
	const struct failure failure = {
		.message = t->message,
		.recipient = recipient,
		.reason = is_complaint ? BOUNCE_FEEDBACK : verdict->reason,
		.is_hard = !is_complaint && verdict->is_hard,
		.by = is_complaint ? STR("arf") : STR("dsn"),
		.sender = t->sender,
	};
	bool first;

	if (recipient.len == 0 && t->has_told_unknown)
		return true;
	t->has_told_unknown |= recipient.len == 0;
	if (!failure_count(t->gate->policy.store, t->p->config, t->tenant, &failure, &first, err) ||
	    !record(t, is_complaint ? STR("complained") : STR("bounced"), i, recipient, !first, err))
		return false;
	t->has_news |= first;
	metrics_add(is_complaint ? METRIC_RETURNS_COMPLAINTS : METRIC_RETURNS_BOUNCES, 1);
	return true;
}

static bool tell_recipient(struct telling *t, size_t i, struct err *err)
{
	const struct report *report = &t->returned.report;
	const struct report_recipient *it = &report->recipients[i];
	struct str recipient = our_recipient(t, it);

	if (report->kind == REPORT_COMPLAINT)
		return tell_failure(t, i, recipient, true, err);
	if (it->action == DSN_DELIVERED || it->action == DSN_RELAYED || it->action == DSN_EXPANDED)
		return true;
	if (returned_is_delay(report, it))
		return recipient.len == 0 || record(t, STR("delayed"), i, recipient, false, err);
	return tell_failure(t, i, recipient, false, err);
}

/* As it was written down when it was sent. */
static bool spell(struct telling *t, struct report_recipient *it, struct err *err)
{
	return (domain_spell(&t->arena, it->address, &it->address) && domain_spell(&t->arena, it->original, &it->original)) ||
	       err_memory(err);
}

static bool tell(struct telling *t, struct err *err)
{
	bool ok = !t->path.tenant || return_path_marks(t->gate->policy.store, &t->path, &t->arena, &t->marks, err);

	for (size_t i = 0; ok && i < t->returned.report.count; i++)
		ok = spell(t, &t->returned.report.recipients[i], err) && tell_recipient(t, i, err);
	if (t->has_news)
		pulse_note_failed(t->gate->pulse, t->tenant, t->sender);
	return ok;
}

static bool judge(struct telling *t, struct err *err)
{
	struct rulebook *book = &t->gate->rules;
	struct holding *rules = rulebook_acquire(book);
	unsigned long shortages = memory_shortages();
	bool ok = returned_judge(book->reader, rulebook_rules(rules), content_of(t), t->p->facts.sender.len == 0, &t->arena,
				 &t->returned, err);

	if (ok && t->returned.report.kind != REPORT_NONE) {
		t->r->is_machine = true;
		ok = find_message(t, err);
	}
	/* Without memory nothing in it seems to be a report, or one of ours. */
	ok = ok && (memory_shortages() == shortages || err_memory(err)) && (!t->tenant || tell(t, err));
	rulebook_release(book, rules);
	return ok;
}

bool returning_read(struct returning *r, struct gate *gate, struct passage *p, struct err *err)
{
	struct telling t = { .r = r, .gate = gate, .p = p };
	struct str content;

	if (!r->is_kept)
		return true;
	arena_init(&t.arena, WORK_MAX);

	bool ok = buf_done(&r->content, &content, err) && (content.len == 0 || judge(&t, err));

	arena_clear(&t.arena);
	buf_clear(&r->content);
	r->is_kept = false;
	return ok;
}

bool returning_fate(const struct returning *r, struct gate *gate, struct arena *arena, enum returned_mail *out_fate,
		    struct str *out, struct err *err)
{
	*out = STR_EMPTY;
	*out_fate = RETURNED_ACCEPT;
	if (r->kind != RETURN_PATH_GOOD)
		return true;
	*out_fate = r->path.tenant->returned_mail;
	if (*out_fate == RETURNED_DISCARD && !r->is_machine)
		*out_fate = RETURNED_SENDER;
	return *out_fate != RETURNED_SENDER || return_path_sender(gate->policy.store, &r->path, arena, out, err);
}
