#include "milter/maillog_outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/digest.h"
#include "config/base/domain.h"
#include "config/base/json.h"
#include "config/base/memory.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/erasure.h"
#include "milter/failure.h"
#include "milter/record/reader.h"
#include "milter/record/seal.h"
#include "policy/suppress.h"
#include "policy/tally.h"

#define WORK_MAX ((size_t)256 << 10)
#define OUTCOME_MAX ((size_t)64 << 10)
#define REPLY_MAX 1000                 /* of the remote's words, in a record */
#define MAILLOG_RECALL_DAYS 6           /* longer than a queue keeps a message */

static const struct str events[] = {
	[OUTCOME_DELIVERED] = STR_INIT("delivered"), [OUTCOME_DELAYED] = STR_INIT("delayed"),
	[OUTCOME_FAILED] = STR_INIT("failed"),       [OUTCOME_EXPIRED] = STR_INIT("expired"),
};

/* One recipient's outcome on its way. */
struct telling {
	struct maillog_judge *judge;
	struct config *config;
	struct arena arena;
	const struct tenant *tenant;   /* NULL: nobody's, or gone from the configuration */
	struct maillog_message message;
	enum outcome_kind kind;
	struct str queue_id, recipient, status, reply, relay;
	char logged[JST_TIME_LEN + 1]; /* empty: the line's time cannot be read */
	struct bounce_verdict verdict;
	bool is_known;                 /* counted before: a report came first */
};

/* --- said before? */

/* Of all that makes two lines one statement. An outsider must not be able to make two different ones alike. */
static uint64_t identity(struct str event, struct str queue_id, struct str recipient, struct str logged)
{
	const struct str parts[] = { event, queue_id, recipient, logged };
	unsigned char octets[DIGEST_LEN];
	struct digest digest;
	uint64_t id;

	digest_begin(&digest);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		digest_add(&digest, str_of((const char *)&parts[i].len, sizeof parts[i].len));
		digest_add(&digest, parts[i]);
	}
	digest_end(&digest, octets);
	memcpy(&id, octets, sizeof id);
	return id | 1;
}

static uint64_t *row_of(struct maillog_judge *judge, uint64_t id)
{
	return judge->recent[id / 2 % MAILLOG_RECENT_ROWS];
}

static bool was_said(struct maillog_judge *judge, uint64_t id)
{
	const uint64_t *row = row_of(judge, id);

	for (size_t i = 0; i < MAILLOG_RECENT_COLUMNS; i++)
		if (row[i] == id)
			return true;
	return false;
}

/* The oldest of its row makes room. */
static void note_said(struct maillog_judge *judge, uint64_t id)
{
	uint64_t *row = row_of(judge, id);

	if (was_said(judge, id))
		return;
	memmove(row + 1, row, (MAILLOG_RECENT_COLUMNS - 1) * sizeof *row);
	row[0] = id;
}

/* --- judging */

static void judge_words(struct telling *t, struct str said)
{
	const struct bounce_facts facts = {
		.recipient = t->recipient, .diagnostic = t->reply, .text = said, .status = t->status, .remote = t->relay,
		.is_only = true, .is_delay = t->kind == OUTCOME_DELAYED,
	};

	struct rulebook *book = &t->judge->gate->rules;
	struct holding *set = rulebook_acquire(book);

	bounce_judge(rulebook_rules(set), &facts, &t->arena, &t->verdict);
	t->verdict.rule = NULL;                /* a reload may take the rule, not the reason */
	rulebook_release(book, set);
}

static bool is_hard(const struct telling *t)
{
	return t->kind == OUTCOME_FAILED && t->verdict.is_hard;
}

static enum bounce_reason reason_of(const struct telling *t)
{
	return t->kind == OUTCOME_EXPIRED ? BOUNCE_EXPIRED : t->verdict.reason;
}

static bool count_failure(struct telling *t, struct err *err)
{
	const struct failure failure = { .message = str_from_c(t->message.id), .recipient = t->recipient, .reason = reason_of(t),
					 .is_hard = is_hard(t), .by = STR("mail.log"), .sender = str_from_c(t->message.sender) };
	bool first;

	if (!failure_count(t->judge->gate->policy.store, t->config, t->tenant, &failure, &first, err))
		return false;
	t->is_known = !first;
	pulse_note_failed(t->judge->gate->pulse, t->tenant, str_from_c(t->message.sender));
	return true;
}

/* What may be done twice without harm. */
static bool settle_with_store(struct telling *t, struct err *err)
{
	bool was;

	if (!t->tenant)
		return true;
	if (t->kind == OUTCOME_FAILED || t->kind == OUTCOME_EXPIRED)
		return count_failure(t, err);
	if (t->kind != OUTCOME_DELIVERED || t->tenant->suppress == SUPPRESS_MODE_OFF || !t->tenant->suppress_releases)
		return true;
	return suppress_release(t->judge->gate->policy.store, t->tenant->name, t->recipient, &was, err);
}

/* --- the record */

static void write_outcome(const struct telling *t, struct buf *out)
{
	struct json json;

	json_init(&json, out);
	json_object_open(&json);
	json_member_str_opt(&json, "dsn", t->status);
	json_member_str_opt(&json, "reply", str_slice(t->reply, 0, REPLY_MAX));
	json_member_str_opt(&json, "relay", t->relay);
	if (t->kind != OUTCOME_DELIVERED) {
		json_member_str(&json, "reason", str_from_c(bounce_reason_name(reason_of(t))));
		json_member_bool(&json, "hard", is_hard(t));
		if (t->is_known)
			json_member_bool(&json, "known", true);
	}
	json_member_str_opt(&json, "logged", str_from_c(t->logged));
	json_object_close(&json);
}

static struct str class_of(const struct telling *t)
{
	if (!t->tenant)
		return CLASS_RELAY;
	return t->kind == OUTCOME_FAILED || t->kind == OUTCOME_EXPIRED ? config_bounce_class(t->tenant) : t->tenant->record_class;
}

static bool record(struct telling *t, struct err *err)
{
	struct gate *gate = t->judge->gate;
	struct record_writer *log = gate_writer(gate, class_of(t), err);
	struct buf outcome;

	buf_init(&outcome, OUTCOME_MAX);
	write_outcome(t, &outcome);

	struct record_event event = {
		.event = events[t->kind],
		.tenant = str_from_c(t->message.tenant),
		.message = str_from_c(t->message.id),
		.queue_id = t->queue_id,
		.host = str_from_c(gate->node),
		.rcpt = t->recipient,
	};
	bool ok = log && buf_done(&outcome, &event.outcome, err) && record_append(log, &event, RECORD_QUEUED, NULL, err);

	buf_clear(&outcome);
	return ok;
}

/* Before the record: who waits and is not known to wait is not told of when the message expires. */
static bool note_delay(const struct telling *t, struct err *err)
{
	return t->kind != OUTCOME_DELAYED || maillog_map_wait(t->judge->map, t->queue_id, t->recipient, t->status, t->reply) ||
	       err_memory(err);
}

static bool tell(struct telling *t, struct str said, struct err *err)
{
	uint64_t id = identity(events[t->kind], t->queue_id, t->recipient, str_from_c(t->logged));
	struct err late;

	if (was_said(t->judge, id))
		return true;
	if (t->kind == OUTCOME_FAILED || t->kind == OUTCOME_DELAYED)
		judge_words(t, said);
	if (!settle_with_store(t, err) || !note_delay(t, err) || !record(t, err))
		return false;
	note_said(t->judge, id);
	if (t->kind != OUTCOME_DELAYED)
		maillog_map_settle(t->judge->map, t->queue_id, t->recipient);
	metrics_add(METRIC_MAILLOG_OUTCOMES, 1);
	/* Not before the record: a line that comes again would count again. */
	if (t->kind == OUTCOME_DELIVERED && t->tenant &&
	    !tally_delivered(t->judge->gate->policy.store, t->config, t->tenant, str_from_c(t->message.sender), &late))
		log_warn("%s", late.text);
	return true;
}

/* --- lines */

/* Postfix's orig_to is what we were given. sendmail's ctladdr is whose rights count: ours where a program or a file stands. */
static bool given_is_original(const struct maillog_line *line)
{
	const struct outcome *o = &line->outcome;

	return str_find_byte(o->original, '@') < o->original.len &&
	       (line->is_postfix || str_find_byte(o->recipient, '@') == o->recipient.len);
}

static bool tell_outcome(struct telling *t, const struct maillog_line *line, struct err *err)
{
	const struct outcome *o = &line->outcome;
	struct str more = o->more;

	t->kind = o->kind;
	t->status = o->status;
	t->reply = o->reply.len ? o->reply : o->said;
	t->relay = o->remote;
	t->recipient = given_is_original(line) ? o->original : o->recipient;
	do {
		if (!domain_spell(&t->arena, t->recipient, &t->recipient))
			return err_memory(err);
		if (!tell(t, o->said, err))
			return false;
	} while (outcome_next(&more, &t->recipient));
	return true;
}

/* One by one out of the map, so that a line that comes again finds those who were not told of. */
static bool tell_expired(struct telling *t, struct err *err)
{
	struct maillog_open *open;
	bool ok = true;

	t->kind = OUTCOME_EXPIRED;
	while (ok && (open = maillog_map_take(t->judge->map, t->queue_id))) {
		t->recipient = open->recipient;
		t->status = open->status;
		t->reply = open->said;
		ok = tell(t, open->said, err);
		if (ok)
			free(open);
		else
			maillog_map_put(t->judge->map, t->queue_id, open);
	}
	return ok;
}

/* Its mail was still in the MTA's queue when all that was known of the tenant went: what becomes of it is nobody's to keep. */
static bool is_erased(const struct telling *t)
{
	int64_t passed_us;

	return !t->tenant && t->message.tenant[0] && record_id_time(str_from_c(t->message.id), &passed_us) &&
	       erasure_was_done(t->config, str_from_c(t->message.tenant), passed_us);
}

static bool tell_line(struct telling *t, const struct maillog_line *line, struct err *err)
{
	t->queue_id = line->queue_id;
	t->config = config_acquire();
	t->tenant = config_find_tenant(t->config, str_from_c(t->message.tenant));
	arena_init(&t->arena, WORK_MAX);

	bool ok = is_erased(t) || (line->kind == MAILLOG_EXPIRED ? tell_expired(t, err) : tell_outcome(t, line, err));

	arena_clear(&t->arena);
	config_release(t->config);
	return ok;
}

bool maillog_judge_line(struct maillog_judge *judge, struct str text, struct err *err)
{
	struct telling t = { .judge = judge };
	struct maillog_line line;
	int64_t logged_us;

	metrics_add(METRIC_MAILLOG_LINES, 1);
	if (!maillog_line_read(text, &line))
		return true;
	if (maillog_stamp_us(line.stamp, clock_now_us(), &logged_us)) {
		judge->last_stamp_us = logged_us;
		jst_format_time(logged_us, t.logged);
	}
	if (line.kind == MAILLOG_REMOVED) {
		maillog_map_done(judge->map, line.queue_id);
		return true;
	}
	if (line.kind == MAILLOG_REQUEUED) {
		return maillog_map_rename(judge->map, line.old_id, line.queue_id) || err_memory(err);
	}
	if (!maillog_map_find(judge->map, line.queue_id, &t.message)) {
		metrics_add(METRIC_MAILLOG_STRANGERS, 1);
		return true;
	}
	return tell_line(&t, &line, err);
}

/* --- before a restart */

struct recalling {
	struct maillog_judge *judge;
	int64_t since_us;
	struct seal *seal;             /* of the class at hand; NULL: nothing is sealed */
	struct buf opened;             /* a line of it */
	struct arena arena;
	bool is_again;                 /* all classes were read: what a bounce's class says of messages in others */
};

static bool is_outcome(struct str event, enum outcome_kind *out)
{
	for (size_t i = OUTCOME_DELIVERED; i <= OUTCOME_EXPIRED; i++)
		if (str_eq(events[i], event)) {
			*out = (enum outcome_kind)i;
			return true;
		}
	return false;
}

/* It may stand in another class than its message, and the MTA may have used the queue id again since. */
static void recall_end(struct recalling *r, const struct record_event *event)
{
	struct maillog_message message;

	if (maillog_map_find(r->judge->map, event->queue_id, &message) && str_eq(str_from_c(message.id), event->message))
		maillog_map_settle(r->judge->map, event->queue_id, event->rcpt);
}

static void recall_outcome(struct recalling *r, const struct record_line *record, enum outcome_kind kind)
{
	const struct record_event *event = &record->event;
	struct maillog_map *map = r->judge->map;
	struct str logged = STR_EMPTY, status = STR_EMPTY, reply = STR_EMPTY;

	record_peek(event->outcome, STR("logged"), &logged);
	if (record->stamp.time_us >= r->since_us)
		note_said(r->judge, identity(event->event, event->queue_id, event->rcpt, logged));
	if (kind != OUTCOME_DELAYED) {
		recall_end(r, event);
		return;
	}
	record_peek(event->outcome, STR("dsn"), &status);
	record_peek(event->outcome, STR("reply"), &reply);
	maillog_map_wait(map, event->queue_id, event->rcpt, status, reply);
}

/* Most lines are none of these: looked at before they are taken apart. */
static void recall_line(struct recalling *r, struct str line)
{
	struct record_line record;
	enum outcome_kind kind = OUTCOME_DELIVERED;
	struct str event;
	struct err err;
	bool is_passed;

	if (!record_peek(line, STR("event"), &event))
		return;
	is_passed = str_eq(event, STR("accepted")) || str_eq(event, STR("held"));
	if (!is_passed && !is_outcome(event, &kind))
		return;
	arena_reset(&r->arena);
	seal_read_line(r->seal, line, &r->opened, &line);
	if (!record_parse(line, &r->arena, &record, &err) || record.is_erased || record.event.queue_id.len == 0)
		return;
	if (r->is_again && (kind == OUTCOME_FAILED || kind == OUTCOME_EXPIRED))
		recall_end(r, &record.event);
	else if (r->is_again)
		return;
	else if (is_passed)
		maillog_map_add(r->judge->map, record.event.queue_id, record.event.message, record.event.tenant,
				record.event.from);
	else
		recall_outcome(r, &record, kind);
}

static bool recall_class(struct recalling *r, const struct config *config, const struct record_class *class,
			 const _Atomic bool *stop, struct err *err)
{
	int64_t today = jst_day(clock_now_us());
	struct record_reader *reader;
	struct buf dir;
	struct str line;
	bool is_torn, found, ok;

	buf_init(&dir, 8192);
	buf_printf(&dir, STR_FMT "/" STR_FMT "%c", STR_ARG(config->log_dir), STR_ARG(class->name), '\0');
	if (!dir.failed && access(dir.ptr, F_OK) != 0 && errno == ENOENT) {    /* nobody has written this class */
		buf_clear(&dir);
		return true;
	}
	dir.len -= dir.len > 0;
	r->seal = NULL;
	ok = !config->log_keyring.len || seal_open(config->log_keyring, class->name, &r->seal, err);
	ok = ok && record_reader_open(buf_view(&dir), today - MAILLOG_RECALL_DAYS, INT64_MAX, false, &reader, err);
	buf_clear(&dir);
	if (ok) {
		while (!*stop && (ok = record_reader_next(reader, &line, &is_torn, &found, err)) && found)
			if (!is_torn)
				recall_line(r, line);
		record_reader_close(reader);
	}
	seal_close(r->seal);
	return ok;
}

/* Of a tenant whose other records are elsewhere. */
static bool is_apart(const struct config *config, struct str class_name)
{
	for (size_t i = 0; i < config->tenant_count; i++) {
		const struct tenant *tenant = &config->tenants[i];

		if (str_eq(config_bounce_class(tenant), class_name) && !str_eq(tenant->record_class, class_name))
			return true;
	}
	return false;
}

bool maillog_judge_recall(struct maillog_judge *judge, const struct config *config, int64_t since_us, const _Atomic bool *stop,
			  struct err *err)
{
	struct recalling r = { .judge = judge, .since_us = since_us };
	unsigned long shortages = memory_shortages();
	bool ok = true;

	arena_init(&r.arena, (size_t)8 << 20);
	buf_init(&r.opened, 2 * RECORD_LINE_MAX);
	for (size_t i = 0; ok && i < config->class_count && !*stop; i++)
		ok = str_eq(config->classes[i].name, CLASS_OPS) ||
		     recall_class(&r, config, &config->classes[i], stop, err);
	r.is_again = true;
	for (size_t i = 0; ok && i < config->class_count && !*stop; i++)
		ok = !is_apart(config, config->classes[i].name) || recall_class(&r, config, &config->classes[i], stop, err);
	buf_clear(&r.opened);
	arena_clear(&r.arena);
	return ok && (memory_shortages() == shortages || err_memory(err));
}
