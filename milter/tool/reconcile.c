#include "milter/tool/reconcile.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/maillog_line.h"

#define ARENA_MAX ((size_t)8 << 30)
#define NEAR_US HOUR_US                /* a record and the lines about its message are no further apart */
#define KIN_LATE_US (60 * US_PER_S)     /* how long after its own last line a message may be said to come from another */
#define EDGE_US (5 * US_PER_S)         /* at both ends of the files, a line may be in the file before or after */
#define DEPTH_MAX 16                   /* new queue ids of one message */

enum origin { ORIGIN_UNKNOWN, ORIGIN_INSIDE, ORIGIN_SMTP, ORIGIN_LOCAL };
enum kin { KIN_NONE, KIN_REPORT, KIN_REQUEUED, KIN_FILTERED, KIN_FORWARDED };

struct reconcile_queue {
	struct reconcile_queue *same, *next;   /* the same slot; in order of appearance */
	struct str id, from_where;     /* client, or uid */
	enum origin origin;
	enum kin kin;
	struct str parent, child;      /* child: sendmail's submission hands it on to its daemon, which shows it to the gate */
	int64_t first_us, last_us;     /* 0: its lines had no time */
	bool is_active, is_done, is_refused, is_probe, has_record;
};

struct reconcile_stray {
	struct reconcile_stray *next;
	struct str queue_id, id;
	int64_t time_us;
};

void reconcile_init(struct reconcile *reconcile, int64_t now_us)
{
	*reconcile = (struct reconcile){ .now_us = now_us };
	arena_init(&reconcile->arena, ARENA_MAX);
	reconcile->last = &reconcile->first;
	reconcile->last_stray = &reconcile->strays;
}

void reconcile_clear(struct reconcile *reconcile)
{
	arena_clear(&reconcile->arena);
	free(reconcile->slots);
}

/* --- queue ids */

static struct reconcile_queue **slot_of(const struct reconcile *reconcile, struct str id)
{
	return &reconcile->slots[(size_t)str_hash(id) & (reconcile->slot_count - 1)];
}

static bool grow(struct reconcile *reconcile)
{
	size_t count = reconcile->slot_count ? reconcile->slot_count * 4 : 1024;
	struct reconcile_queue **slots = calloc(count, sizeof *slots);

	if (!slots)
		return false;
	free(reconcile->slots);
	reconcile->slots = slots;
	reconcile->slot_count = count;
	for (struct reconcile_queue *queue = reconcile->first; queue; queue = queue->next) {
		queue->same = *slot_of(reconcile, queue->id);
		*slot_of(reconcile, queue->id) = queue;
	}
	return true;
}

/* The one of that id that was there latest; NULL: none. */
static struct reconcile_queue *find(const struct reconcile *reconcile, struct str id)
{
	struct reconcile_queue *queue = reconcile->slot_count ? *slot_of(reconcile, id) : NULL;

	while (queue && !str_eq(queue->id, id))
		queue = queue->same;
	return queue;
}

static struct reconcile_queue *add(struct reconcile *reconcile, struct str id)
{
	struct reconcile_queue *queue;
	struct str copy;

	if (reconcile->count == reconcile->slot_count && !grow(reconcile))
		return NULL;
	queue = arena_new(&reconcile->arena, struct reconcile_queue);
	if (!queue || !arena_copy(&reconcile->arena, id, &copy))
		return NULL;
	reconcile->count++;
	queue->id = copy;
	queue->same = *slot_of(reconcile, copy);
	*slot_of(reconcile, copy) = queue;
	*reconcile->last = queue;
	reconcile->last = &queue->next;
	return queue;
}

/* For a line that begins a message: one that is done leaves its id to the next. */
static struct reconcile_queue *begin(struct reconcile *reconcile, struct str id)
{
	struct reconcile_queue *queue = find(reconcile, id);

	return queue && !queue->is_done ? queue : add(reconcile, id);
}

/* --- lines */

struct entry {
	struct reconcile *reconcile;
	struct outcome_head head;
	int64_t time_us;               /* 0: not known */
};

static bool touch(const struct entry *entry, struct reconcile_queue *queue)
{
	if (!queue)
		return false;
	if (entry->time_us && (queue->first_us == 0 || entry->time_us < queue->first_us))
		queue->first_us = entry->time_us;
	if (entry->time_us > queue->last_us)
		queue->last_us = entry->time_us;
	return true;
}

static bool arrive(const struct entry *entry, enum origin origin, struct str from_where)
{
	struct reconcile_queue *queue = begin(entry->reconcile, entry->head.queue_id);

	if (!touch(entry, queue))
		return false;
	if (origin > queue->origin)
		queue->origin = origin;
	return !from_where.len ||
	       arena_copy(&entry->reconcile->arena, str_slice(from_where, 0, 200), &queue->from_where);
}

static bool activate(const struct entry *entry)
{
	struct reconcile_queue *queue = begin(entry->reconcile, entry->head.queue_id);

	if (!touch(entry, queue))
		return false;
	entry->reconcile->active += !queue->is_active;
	queue->is_active = true;
	return true;
}

/* Its own lines, "removed" too, can all stand before the one that says where it came from: bounce(8) and smtp(8) write
 * theirs when cleanup(8) has answered. An id that is used again is another message, and much later. */
static bool was_begotten(const struct entry *entry, const struct reconcile_queue *queue, enum kin kin)
{
	return queue->kin == KIN_NONE && queue->origin == (kin == KIN_FILTERED ? ORIGIN_SMTP : ORIGIN_INSIDE) &&
	       entry->time_us - queue->last_us < KIN_LATE_US;
}

/* Another queue id comes from this one. */
static bool beget(const struct entry *entry, struct str id, enum kin kin, struct str parent)
{
	struct reconcile_queue *queue = find(entry->reconcile, id);

	if (!queue || (queue->is_done && !was_begotten(entry, queue, kin)))
		queue = begin(entry->reconcile, id);
	if (!queue)
		return false;
	queue->kin = kin;
	return arena_copy(&entry->reconcile->arena, parent, &queue->parent);
}

/* "client=mx[192.0.2.1], orig_queue_id=ID, ...": the value of such a member behind the first comma. */
static bool find_member(struct str rest, struct str name, struct str *out)
{
	struct str piece;

	while (str_next(&rest, ',', &piece)) {
		piece = str_trim(piece);
		if (str_starts(piece, name)) {
			*out = str_from(piece, name.len);
			return true;
		}
	}
	return false;
}

static bool read_smtpd(const struct entry *entry)
{
	struct str rest = entry->head.rest, parent;

	if (!str_starts(rest, STR("client=")))
		return true;
	if (find_member(rest, STR("orig_queue_id="), &parent) && !beget(entry, entry->head.queue_id, KIN_FILTERED, parent))
		return false;
	return arrive(entry, ORIGIN_SMTP, str_slice(str_from(rest, 7), 0, str_find_byte(str_from(rest, 7), ',')));
}

static bool read_pickup(const struct entry *entry)
{
	struct str rest = entry->head.rest, left, old;

	if (!str_starts(rest, STR("uid=")))
		return true;
	if (str_cut_last(rest, ' ', &left, &old) && str_starts(old, STR("orig_id=")) &&
	    !beget(entry, entry->head.queue_id, KIN_REQUEUED, str_from(old, 8)))
		return false;
	return arrive(entry, ORIGIN_LOCAL, str_slice(rest, 0, str_find_byte(rest, ' ')));
}

static bool read_cleanup(const struct entry *entry)
{
	struct str rest = entry->head.rest;
	struct reconcile_queue *queue;

	if (str_starts(rest, STR("message-id=")) || str_starts(rest, STR("resent-message-id=")))
		return arrive(entry, ORIGIN_INSIDE, STR_EMPTY);
	queue = find(entry->reconcile, entry->head.queue_id);
	if (queue && (str_starts(rest, STR("milter-reject:")) || str_starts(rest, STR("milter-discard:")) ||
		      str_starts(rest, STR("reject:")) || str_starts(rest, STR("discard:"))))
		queue->is_refused = true;
	return true;
}

static bool read_qmgr(const struct entry *entry)
{
	struct str rest = entry->head.rest;
	struct reconcile_queue *queue;

	if (str_eq(rest, STR("removed"))) {
		queue = find(entry->reconcile, entry->head.queue_id);
		if (queue)
			queue->is_done = touch(entry, queue);
		return true;
	}
	if (!str_starts(rest, STR("from=<")) || !str_ends(rest, STR(" (queue active)")))
		return true;
	if (!activate(entry))
		return false;
	queue = find(entry->reconcile, entry->head.queue_id);
	queue->is_probe = str_starts(rest, STR("from=<double-bounce@"));
	return true;
}

/* "sender non-delivery notification: ID" */
static bool read_bounce(const struct entry *entry)
{
	struct str words, id;

	return !str_cut_last(entry->head.rest, ' ', &words, &id) || !str_ends(words, STR("notification:")) ||
	       beget(entry, id, KIN_REPORT, entry->head.queue_id);
}

/* "to=<a>, ..., relay=127.0.0.1[127.0.0.1]:10024, ..., status=sent (250 2.0.0 from MTA(..): 250 Ok: queued as ID)", and
 * "status=sent (forwarded as ID)" of local(8), which alone says so of itself. */
static bool read_delivery(const struct entry *entry, struct str program)
{
	static const struct str here[] = { STR_INIT("127.0.0.1["), STR_INIT("localhost["), STR_INIT("::1["), STR_INIT("[127.0.0.1]"),
					   STR_INIT("[::1]") };
	struct str rest = entry->head.rest, left, id, relay;
	bool is_here = false, is_forwarded = str_ends(program, STR("/local")) || str_ends(program, STR("/virtual"));

	if (!str_starts(rest, STR("to=<")) || !str_cut_last(rest, ' ', &left, &id) || !str_ends(id, STR(")")))
		return true;
	id.len--;
	if (is_forwarded && str_ends(left, STR("status=sent (forwarded as")))
		return beget(entry, id, KIN_FORWARDED, entry->head.queue_id);
	if (!str_ends(left, STR("queued as")) || !find_member(str_from(rest, str_find(rest, STR(">, "))), STR("relay="), &relay))
		return true;
	for (size_t i = 0; i < sizeof here / sizeof *here; i++)
		is_here |= str_starts(relay, here[i]);
	return !is_here || beget(entry, id, KIN_FILTERED, entry->head.queue_id);
}

/* By the last word of "postfix/smtpd", "postfix/submission/smtpd". */
static bool read_postfix(const struct entry *entry)
{
	static const struct { struct str name; bool (*read)(const struct entry *entry); } daemons[] = {
		{ STR_INIT("/smtpd"), read_smtpd }, { STR_INIT("/pickup"), read_pickup }, { STR_INIT("/cleanup"), read_cleanup },
		{ STR_INIT("/qmgr"), read_qmgr }, { STR_INIT("/bounce"), read_bounce }, { STR_INIT("/qmqpd"), read_smtpd },
	};

	for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++)
		if (str_ends(entry->head.program, daemons[i].name))
			return daemons[i].read(entry);
	return read_delivery(entry, entry->head.program);
}

/* "to=a@b, ..., relay=[127.0.0.1] [127.0.0.1], ..., stat=Sent (ID Message accepted for delivery)" */
static bool read_handing_on(const struct entry *entry)
{
	struct str rest = entry->head.rest, relay, id;
	struct reconcile_queue *queue = find(entry->reconcile, entry->head.queue_id);
	size_t at = str_find(rest, STR(", stat=Sent ("));

	if (!queue || at == rest.len || !find_member(str_slice(rest, 0, at), STR("relay="), &relay) ||
	    (!str_starts(relay, STR("[127.0.0.1]")) && !str_starts(relay, STR("localhost"))))
		return true;
	id = str_from(rest, at + 13);
	id = str_slice(id, 0, str_find_byte(id, ' '));
	return !outcome_is_queue_id(id) || arena_copy(&entry->reconcile->arena, id, &queue->child);
}

static bool read_sendmail(const struct entry *entry)
{
	struct str rest = entry->head.rest, id, words, relay = STR_EMPTY;
	struct reconcile_queue *queue;

	if (str_starts(rest, STR("from="))) {
		bool is_known = find_member(rest, STR("relay="), &relay);

		return arrive(entry, is_known && str_ends(relay, STR("@localhost")) ? ORIGIN_LOCAL : ORIGIN_SMTP, relay) && activate(entry);
	}
	if (str_starts(rest, STR("to=")))
		return read_handing_on(entry);
	if (str_starts(rest, STR("clone "))) {
		id = str_slice(str_from(rest, 6), 0, str_find_byte(str_from(rest, 6), ','));
		return beget(entry, id, KIN_FORWARDED, entry->head.queue_id);
	}
	if (str_cut(rest, ':', &id, &words) && outcome_is_queue_id(id) &&
	    (str_starts(words, STR(" DSN: ")) || str_starts(words, STR(" sender notify: ")) || str_starts(words, STR(" postmaster notify: ")) ||
	     str_starts(words, STR(" return to sender: "))))
		return beget(entry, id, KIN_REPORT, entry->head.queue_id);
	queue = find(entry->reconcile, entry->head.queue_id);
	if (queue && str_starts(rest, STR("Milter")) && (str_find(rest, STR("reject=")) < rest.len || str_ends(rest, STR("discard"))))
		queue->is_refused = true;
	return true;
}

bool reconcile_line(struct reconcile *reconcile, struct str line)
{
	struct entry entry = { .reconcile = reconcile };

	reconcile->lines++;
	if (!outcome_head_read(line, &entry.head))
		return true;
	if (maillog_stamp_us(entry.head.stamp, reconcile->now_us, &entry.time_us)) {
		if (reconcile->first_us == 0 || entry.time_us < reconcile->first_us)
			reconcile->first_us = entry.time_us;
		if (entry.time_us > reconcile->last_us)
			reconcile->last_us = entry.time_us;
	}
	return entry.head.is_postfix ? read_postfix(&entry) : read_sendmail(&entry);
}

/* --- records */

/* Of several that had that id, the one that was there at the time. */
static struct reconcile_queue *find_at(const struct reconcile *reconcile, struct str id, int64_t time_us)
{
	struct reconcile_queue *queue = reconcile->slot_count ? *slot_of(reconcile, id) : NULL;

	for (; queue; queue = queue->same)
		if (str_eq(queue->id, id) && (queue->first_us == 0 || (time_us >= queue->first_us - NEAR_US && time_us <= queue->last_us + NEAR_US)))
			return queue;
	return NULL;
}

bool reconcile_record(struct reconcile *reconcile, struct str queue_id, struct str id, int64_t time_us, bool has_passed)
{
	struct reconcile_queue *queue = find_at(reconcile, queue_id, time_us);
	struct reconcile_stray *stray;

	if (queue) {
		reconcile->records += !queue->has_record;
		queue->has_record = true;
		return true;
	}
	if (!has_passed || reconcile->first_us == 0 || time_us < reconcile->first_us + EDGE_US || time_us > reconcile->last_us - EDGE_US)
		return true;
	stray = arena_new(&reconcile->arena, struct reconcile_stray);
	if (!stray || !arena_copy(&reconcile->arena, queue_id, &stray->queue_id) || !arena_copy(&reconcile->arena, id, &stray->id))
		return false;
	stray->time_us = time_us;
	*reconcile->last_stray = stray;
	reconcile->last_stray = &stray->next;
	return true;
}

/* --- what follows */

/* The message's first queue id with a record, over those that it had before. */
static bool is_recorded(const struct reconcile *reconcile, const struct reconcile_queue *queue)
{
	for (int depth = 0; queue && depth < DEPTH_MAX; depth++) {
		if (queue->has_record || queue->kin == KIN_REPORT)
			return true;
		if (queue->kin == KIN_NONE)
			return false;
		queue = find_at(reconcile, queue->parent, queue->first_us);
	}
	return false;
}

/* In the language of the answer. */
static const char *say(const struct reconcile *reconcile, const char *english) __attribute__((format_arg(2)));
static const char *say(const struct reconcile *reconcile, const char *english)
{
	return reconcile->tongue ? reconcile->tongue(english) : english;
}

static void explain(const struct reconcile *reconcile, const struct reconcile_queue *queue, int64_t log_begin_us, char text[400],
		    bool *out_explained)
{
	static const char *const kins[] = { [KIN_REPORT] = "the MTA's own report about", [KIN_REQUEUED] = "requeued, before it was",
					    [KIN_FILTERED] = "back from a content filter, before it was",
					    [KIN_FORWARDED] = "forwarded by an alias, before it was" };
	bool is_kin = queue->kin != KIN_NONE && is_recorded(reconcile, queue);
	const struct reconcile_queue *child = queue->child.len ? find_at(reconcile, queue->child, queue->last_us) : NULL;

	*out_explained = true;
	if (is_kin)
		snprintf(text, 400, "%s " STR_FMT, say(reconcile, kins[queue->kin]), STR_ARG(queue->parent));
	else if (child && is_recorded(reconcile, child))
		snprintf(text, 400, say(reconcile, "handed on to the MTA's daemon as " STR_FMT), STR_ARG(queue->child));
	else if (queue->is_probe && queue->origin <= ORIGIN_INSIDE)
		snprintf(text, 400, "%s", say(reconcile, "an address probe or a double bounce of the MTA's own"));
	else if (queue->first_us && queue->first_us < log_begin_us)
		snprintf(text, 400, "%s", say(reconcile, "it came before the relay log's first record"));
	else if (queue->origin == ORIGIN_UNKNOWN && queue->kin == KIN_NONE)
		snprintf(text, 400, "%s", say(reconcile, "it came before these files begin"));
	else
		*out_explained = false;
	if (*out_explained)
		return;
	if (queue->kin != KIN_NONE)
		snprintf(text, 400, say(reconcile, "NO RECORD: %s " STR_FMT ", which has none either"), say(reconcile, kins[queue->kin]),
			 STR_ARG(queue->parent));
	else if (queue->origin == ORIGIN_SMTP)
		snprintf(text, 400, say(reconcile, "NO RECORD: it came by SMTP from " STR_FMT " and went round the gate"),
			 STR_ARG(queue->from_where));
	else if (queue->origin == ORIGIN_LOCAL)
		snprintf(text, 400, say(reconcile, "NO RECORD: handed in on this host (" STR_FMT ") and not shown to the gate: see non_smtpd_milters"),
			 STR_ARG(queue->from_where));
	else
		snprintf(text, 400, "%s", say(reconcile, "NO RECORD: made by the MTA itself, and no line says from what"));
}

void reconcile_conclude(struct reconcile *reconcile, int64_t log_begin_us, reconcile_fn *tell, void *arg)
{
	char text[400];

	for (const struct reconcile_queue *queue = reconcile->first; queue; queue = queue->next) {
		struct reconcile_item item = { .queue_id = queue->id, .time_us = queue->first_us };

		if (!queue->is_active || queue->has_record || queue->is_refused)
			continue;
		explain(reconcile, queue, log_begin_us, text, &item.is_explained);
		item.reason = str_from_c(text);
		tell(arg, &item);
	}
	for (const struct reconcile_stray *stray = reconcile->strays; stray; stray = stray->next)
		tell(arg, &(struct reconcile_item){ stray->queue_id, stray->id, stray->time_us, false,
						    str_from_c(say(reconcile, "NO MESSAGE: the gate let it pass, and the MTA's log does not know it")) });
}
