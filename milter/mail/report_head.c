#include "milter/mail/report_head.h"

#include <stddef.h>

#include "config/base/words.h"
#include "milter/mail/charset.h"
#include "milter/mail/header.h"
#include "milter/mail/report_marks.h"
#include "milter/mail/report_parts.h"

#define FOLDED_MAX 512
#define MAILER 3                       /* what only a mailer's name in From, or its Subject, weighs */
#define CONVERSATION 6                 /* what marks in a Subject and a text may add up to */

#define FIELD(name, member) { STR_INIT(name), offsetof(struct report_head, member) }

static const struct { struct str name; size_t at; } fields[] = {
	FIELD("From", from), FIELD("Subject", subject), FIELD("To", to), FIELD("Content-Type", content_type),
	FIELD("Return-Path", return_path), FIELD("X-Failed-Recipients", failed_recipients), FIELD("X-Mailer", mailer),
	FIELD("x-amz-sns-message-id", sns_message_id), FIELD("X-MLServer", list_server),
	FIELD("X-HmXmrOriginalRecipient", complaint_recipient),
	FIELD("Auto-Submitted", auto_submitted), FIELD("List-Id", list_id), FIELD("List-Unsubscribe", list_unsubscribe),
};

static struct str *field_slot(struct report_head *head, struct str name)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (fields[i].name.len == name.len && str_eq_nocase(fields[i].name, name))
			return (struct str *)((char *)head + fields[i].at);
	return NULL;
}

/* The first of each field; several X-Failed-Recipients become one value. */
static void fields_pick(struct str header, struct report_head *out)
{
	struct str line, *slot = NULL;

	while (str_next(&header, '\n', &line)) {
		struct str name, value;

		if (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
			if (slot)
				slot->len = (size_t)(line.ptr + line.len - slot->ptr);
			continue;
		}
		if (slot)
			*slot = str_trim(*slot);
		slot = NULL;
		if (!str_cut(line, ':', &name, &value) || name.len > 40)
			continue;
		slot = field_slot(out, str_trim(name));
		if (slot && slot->ptr)
			slot = NULL;
		if (slot)
			*slot = str_trim(value).len ? str_trim(value) : str_of(value.ptr, 0);
	}
	if (slot)
		*slot = str_trim(*slot);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		slot = (struct str *)((char *)out + fields[i].at);
		if (!slot->ptr)
			*slot = STR_EMPTY;
	}
}

struct tally {
	enum mark_place place;
	int best, worst;
	struct str words;
};

static bool tally_hit(void *arg, uint32_t id, size_t end)
{
	struct tally *t = arg;
	const struct mark *mark = &report_marks[id];

	(void)end;
	if (mark->place != t->place)
		return true;
	if (mark->weight > t->best) {
		t->best = mark->weight;
		t->words = mark->words;
	}
	if (mark->weight < t->worst)
		t->worst = mark->weight;
	return true;
}

static int marks_weigh(const struct phrase_set *marks, enum mark_place place, struct str text, struct str *evidence)
{
	char folded[FOLDED_MAX];
	struct words words;
	struct tally t = { .place = place };

	words_init(&words, folded, sizeof folded);
	words_add(&words, text);
	phrase_scan(marks, words_view(&words), tally_hit, &t);
	if (t.best > 0 && evidence->len == 0)
		*evidence = t.words;
	return t.best + t.worst;
}

/* "MAILER-DAEMON <x@y>": an address is folded away by words_add, so its marks are looked for without the "@". */
static bool from_words(struct str from, struct arena *arena, struct str *out)
{
	char *to = arena_alloc(arena, from.len + 1);

	if (!to)
		return false;
	for (size_t i = 0; i < from.len; i++)
		to[i] = from.ptr[i] == '@' ? ' ' : from.ptr[i];
	*out = str_of(to, from.len);
	return true;
}

static bool text_decode(const struct report_head *head, struct str value, struct arena *arena, struct str *out)
{
	struct buf text;
	struct str made;

	*out = value = str_slice(value, 0, FOLDED_MAX);
	if (str_find(value, STR("=?")) == value.len)
		return parts_field_text(value, head->content_type, arena, out);
	buf_init(&text, FOLDED_MAX * CHARSET_GROWTH);
	header_text(value, &text);

	bool ok = buf_done(&text, &made, NULL) && arena_copy(arena, made, out);

	buf_clear(&text);
	return ok;
}

/* What people's programs put before the Subject of what they answer or hand on. Forwarded: a bounce quoted in it is read. */
static const struct { struct str word; bool is_forward; } prefixes[] = {
	{ STR_INIT("re"), false }, { STR_INIT("aw"), false }, { STR_INIT("antw"), false }, { STR_INIT("sv"), false },
	{ STR_INIT("vs"), false }, { STR_INIT("odp"), false }, { STR_INIT("r"), false }, { STR_INIT("回复"), false },
	{ STR_INIT("答复"), false }, { STR_INIT("回覆"), false }, { STR_INIT("返信"), false }, { STR_INIT("fwd"), true },
	{ STR_INIT("fw"), true }, { STR_INIT("wg"), false }, { STR_INIT("tr"), false }, { STR_INIT("rv"), false },
	{ STR_INIT("enc"), false }, { STR_INIT("i"), false }, { STR_INIT("vb"), false }, { STR_INIT("vl"), false },
	{ STR_INIT("pd"), false }, { STR_INIT("doorst"), false }, { STR_INIT("转发"), false }, { STR_INIT("轉寄"), false },
	{ STR_INIT("転送"), false },
};

/* "Re:", "WG :", "Re[2]:", "[Fwd: ...]", "(Fwd) ...", "回复：..." */
static void prefix_read(struct report_head *head)
{
	struct str subject = head->subject;

	if (str_starts(subject, STR("[")) || str_starts(subject, STR("(")))
		subject = str_from(subject, 1);
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		struct str tail = str_from(subject, prefixes[i].word.len);

		if (!str_starts_nocase(subject, prefixes[i].word))
			continue;
		if (str_starts(tail, STR("[")))
			tail = str_from(tail, str_find_byte(tail, ']') + 1);
		tail = str_trim(tail);
		if (str_starts(tail, STR(":")) || str_starts(tail, STR("：")) || str_starts(tail, STR(")"))) {
			head->is_handed_on = true;
			head->is_forward = prefixes[i].is_forward;
			return;
		}
	}
}

static bool contains_nocase(struct str s, struct str needle)
{
	for (size_t at = 0; at + needle.len <= s.len; at++)
		if (ascii_lower(s.ptr[at]) == needle.ptr[0] && str_starts_nocase(str_from(s, at), needle))
			return true;
	return false;
}

/* The first bounces of Windows' mail servers name their program only. */
static bool is_mailers_program(struct str mailer)
{
	return contains_nocase(mailer, STR("smtp32")) || contains_nocase(mailer, STR("internet mail service"));
}

static bool path_is_null(struct str path)
{
	return str_eq(path, STR("<>")) || contains_nocase(path, STR("mailer-daemon"));
}

/* "[repo] Mail delivery failed": what people and their programs write to each other about bounces. "[BOUNCE]" is a bounce's. */
static bool is_conversation(const struct report_head *head)
{
	return head->list_id.len || head->list_unsubscribe.len ||
	       (str_starts(head->subject, STR("[")) && !str_starts_nocase(head->subject, STR("[bounce")));
}

/* "[Ticket #123] ...", and not "[EXTERNAL] ..." or "[SPAM] ...", which gateways put before a bounce's Subject. */
static bool is_numbered(struct str subject)
{
	size_t end = str_find_byte(subject, ']');

	for (size_t i = 0; i < end; i++)
		if (ascii_is_digit(subject.ptr[i]) || subject.ptr[i] == '#')
			return true;
	return false;
}

/*
 * Who stands in the return path waits for an answer: a person who writes about a bounce, or hands one on, even if his
 * name is a mailer's (a postmaster, a newsletter from bounces@). Some mailers do so too, and say who they are.
 */
static bool is_person(const struct report_head *head, int of_from, int of_subject)
{
	return head->return_path.len && !path_is_null(head->return_path) &&
	       (head->is_handed_on || of_from <= 0 || (of_from < MAILER && of_subject <= 0)) && !head->is_dsn_report &&
	       !head->is_feedback_report && !head->failed_recipients.len && !head->sns_message_id.len && !head->list_server.len;
}

/*
 * RFC 3834: a program answers for a person, who is away, wants proof of a human, or has left. Bounces say the same of
 * themselves; but those come from a mailer, or have its words in the Subject and not those of a ticket system, which
 * answers what it was sent. "(rejected)" is what a Sieve script says that turns mail away (RFC 5429 2.2).
 */
static bool is_answer(const struct report_head *head, int of_from)
{
	bool is_bounce_subject = head->has_bounce_subject && !(is_conversation(head) && (head->list_id.len || is_numbered(head->subject)));

	return of_from <= 0 && !is_bounce_subject && !head->failed_recipients.len && !head->is_dsn_report &&
	       !head->is_feedback_report && str_starts_nocase(head->auto_submitted, STR("auto-replied")) &&
	       !contains_nocase(head->auto_submitted, STR("rejected"));
}

static void type_weigh(struct report_head *head)
{
	struct str type = head->content_type;
	bool is_multipart = str_starts_nocase(type, STR("multipart/"));

	head->is_dsn_report = is_multipart && contains_nocase(type, STR("delivery-status"));
	head->is_feedback_report = is_multipart && contains_nocase(type, STR("feedback-report"));
	if (head->is_dsn_report || head->is_feedback_report)
		head->score += 4;
	if (str_starts_nocase(type, STR("multipart/digest")))
		head->score -= 4;
}

bool report_head_read(const struct phrase_set *marks, struct str header, bool is_null_sender, struct arena *arena,
		      struct report_head *out)
{
	struct str from;
	int of_from, of_subject;

	*out = (struct report_head){ .score = 0, .evidence = STR_EMPTY };
	fields_pick(header, out);
	if (!text_decode(out, out->from, arena, &out->from) || !text_decode(out, out->subject, arena, &out->subject) ||
	    !from_words(out->from, arena, &from))
		return false;
	type_weigh(out);
	of_from = marks_weigh(marks, MARK_FROM, from, &out->evidence);
	of_subject = marks_weigh(marks, MARK_SUBJECT, out->subject, &out->evidence);
	prefix_read(out);
	if (out->is_handed_on)
		of_subject = of_subject < 0 ? of_subject : 0;
	out->score += of_from + of_subject;
	out->has_words = of_from > 0 || of_subject > 0;
	out->has_bounce_subject = of_subject >= 2;
	if (out->failed_recipients.len)
		out->score += 4;
	if (is_null_sender || path_is_null(out->return_path))
		out->score += 2;
	if (is_mailers_program(out->mailer))
		out->score += 3;
	out->is_mailers = of_from > 0 || of_subject >= MAILER || is_mailers_program(out->mailer) ||
			  str_find_byte(out->from, '@') == out->from.len;
	out->names_goods = out->has_words && marks_weigh(marks, MARK_GOODS, out->subject, &out->evidence) > 0;
	if (out->sns_message_id.len || out->list_server.len)
		out->score += 2;
	out->has_sender_evidence = of_from > 0 || is_null_sender || path_is_null(out->return_path) ||
				   out->failed_recipients.len || out->is_dsn_report || out->is_feedback_report || out->list_server.len;
	if ((!out->has_sender_evidence && is_conversation(out)) || (!is_null_sender && is_person(out, of_from, of_subject)))
		out->score -= CONVERSATION;
	if (is_answer(out, of_from))
		out->score -= CONVERSATION;
	return true;
}
