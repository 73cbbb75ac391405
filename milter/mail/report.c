#include <stdlib.h>

#include "config/base/words.h"
#include "milter/mail/report_json.h"
#include "milter/mail/report_marks.h"
#include "milter/mail/report_reading.h"

#define MARKED_TEXT_MAX 4096           /* octets of a text in which its marks are looked for */
#define SCORE_MIN 5
#define SCORE_MIN_NULL_ONLY 6          /* so does a null sender: answers have it too (RFC 3834), and say "Address not found" */
#define SCORE_MIN_SUBJECT_ONLY 7       /* a Subject alone says little: parcels cannot be delivered, people hand bounces on */
#define SURE 4                         /* what a sentence weighs that speaks of "your message", or is one program's */
#define NESTED_MAX 1
#define HEAD_SURE 5                    /* a null sender and a mailer daemon's name */
#define CODED 3                        /* what an address with a reply beside it weighs then */
#define REPLY_LOOKED_AT 512            /* octets of what is said */

struct report_reader {
	struct phrase_set *marks;
};

bool report_reader_new(struct report_reader **out, struct err *err)
{
	struct report_reader *reader = calloc(1, sizeof *reader);
	struct str *phrases = calloc(report_mark_count, sizeof *phrases);
	bool ok = false;

	if (!reader || !phrases) {
		err_memory(err);
		goto done;
	}
	for (size_t i = 0; i < report_mark_count; i++)
		phrases[i] = report_marks[i].words;
	ok = phrase_set_new(phrases, report_mark_count, &reader->marks, err);
done:
	free(phrases);
	if (ok)
		*out = reader;
	else
		free(reader);
	return ok;
}

void report_reader_free(struct report_reader *reader)
{
	if (!reader)
		return;
	phrase_set_free(reader->marks);
	free(reader);
}

/* --- texts */

struct tally {
	struct reading *r;
	int best, worst;
};

static bool tally_hit(void *arg, uint32_t id, size_t end)
{
	struct tally *t = arg;
	const struct mark *mark = &report_marks[id];

	(void)end;
	t->r->names_goods |= mark->place == MARK_GOODS;
	if (mark->place != MARK_TEXT)
		return true;
	t->r->out->is_delay |= mark->is_delay;
	t->r->names_itself |= mark->is_name;
	if (mark->weight > t->best) {
		t->best = mark->weight;
		t->r->out->evidence = mark->words;
	}
	if (mark->weight < t->worst)
		t->worst = mark->weight;
	if (mark->shape && !t->r->out->shape)
		t->r->out->shape = mark->shape;
	return true;
}

/* What somebody quotes is not what he says: "> This is the mail system at host ...". A sentence may go over lines. */
static void add_unquoted(struct words *words, struct str text)
{
	struct str rest = text, line, said = str_of(text.ptr, 0);

	while (!words->is_full && str_next(&rest, '\n', &line)) {
		bool is_quoted = str_starts(line, STR("> "));

		if (!is_quoted)
			said.len = (size_t)(line.ptr + line.len - said.ptr);
		if (is_quoted || rest.len == 0)
			words_add(words, said);
		if (is_quoted)
			said = str_of(rest.ptr, 0);
	}
}

static bool text_weigh(struct reading *r, struct str text)
{
	size_t max = (text.len < MARKED_TEXT_MAX ? text.len : MARKED_TEXT_MAX) + 4;
	char *folded = arena_alloc(r->arena, max);
	struct words words;
	struct tally t = { .r = r };

	if (!folded)
		return err_memory(r->err);
	words_init(&words, folded, max);
	add_unquoted(&words, text);
	phrase_scan(r->reader->marks, words_view(&words), tally_hit, &t);
	if (t.best + t.worst > r->text_score)
		r->text_score = t.best + t.worst;
	return true;
}

/* Where it is no part of a name, a number or an address. */
static bool stands_alone(struct str words, size_t at)
{
	return at == 0 || !(ascii_is_alnum(words.ptr[at - 1]) || words.ptr[at - 1] == '.' || words.ptr[at - 1] == '+');
}

/* "No such user", "5.1.1", "192.0.2.1 is blocked", "30 Sorry"; but behind "415" of "415 555 1234" a telephone goes on. */
static bool is_reply_text(struct str s)
{
	size_t n = 0;

	while (n < s.len && ascii_is_digit(s.ptr[n]))
		n++;
	return n == 0 || (n + 1 < s.len && ((s.ptr[n] == '.' && ascii_is_digit(s.ptr[n + 1])) ||
					    (n < 3 && s.ptr[n] == ' ' && ascii_is_alpha(s.ptr[n + 1]))));
}

/* The last group of "550 123 456 or 457": a number stands before it, which is no time and no address of a host. */
static bool ends_number(struct str words, size_t at)
{
	size_t n = at > 1 && words.ptr[at - 1] == ' ' ? at - 1 : 0, end = n;

	while (n > 0 && ascii_is_digit(words.ptr[n - 1]))
		n--;
	return n < end && (n == 0 || words.ptr[n - 1] == ' ');
}

static bool is_reply_code(struct str words, size_t at)
{
	struct str code = str_from(words, at), said = str_from(code, 4);
	const char *c = code.ptr;

	if ((c[0] != '4' && c[0] != '5') || !stands_alone(words, at))
		return false;
	if (str_starts(said, str_slice(code, 0, 4)))    /* "550 550 Blocked": a server handed on another's */
		said = str_from(said, 4);
	return words_enhanced(code) ||
	       (code.len > 3 && c[1] >= '0' && c[1] <= '5' && ascii_is_digit(c[2]) && (c[3] == ' ' || c[3] == '-') &&
		is_reply_text(said) && !ends_number(words, at));
}

bool report_has_code(struct str words)
{
	size_t max = words.len < REPLY_LOOKED_AT ? words.len : REPLY_LOOKED_AT;

	for (size_t i = 0; i < max; i++)
		if (is_reply_code(words, i))
			return true;
	return false;
}

/* In whatever language the rest is: an address, and what a server replied about it. */
static bool is_coded(const struct report_text *text)
{
	for (size_t i = 0; i < text->count; i++)
		if (text->items[i].kind <= SIGHTING_REPLY && report_has_code(text->items[i].words))
			return true;
	return false;
}

/* What only a program writes: the type of a report, a server's reply. */
static bool is_of_program(const struct reading *r)
{
	bool is_one = r->head.is_dsn_report;

	for (size_t i = 0; i < r->text_count && !is_one; i++)
		is_one = is_coded(&r->texts[i]);
	return is_one;
}

static bool text_take(struct reading *r, const struct part *part, size_t *budget)
{
	struct str text;
	struct report_text *it = &r->texts[r->text_count];

	if (!part_decode(part, *budget, r->arena, &text) ||
	    (part->kind == PART_HTML && !part_strip_html(r->arena, text, &text)) ||
	    !report_text_read(text, r->arena, it))
		return err_memory(r->err);
	*budget -= text.len < *budget ? text.len : *budget;
	r->text_count++;
	if (r->out->context.len == 0 || it->text.len > r->out->context.len)
		r->out->context = it->text;
	if (!text_weigh(r, it->text))
		return false;
	if (r->head.score >= HEAD_SURE && r->text_score < CODED && is_coded(it))
		r->text_score = CODED;
	return true;
}

/* --- the whole */

/* The header of the message that came back; empty when none did. */
static struct str returned_header(const struct reading *r)
{
	struct str returned = STR_EMPTY;

	for (size_t i = 0; i < r->parts.count && returned.len == 0; i++)
		if (r->parts.items[i].kind == PART_MESSAGE || r->parts.items[i].kind == PART_HEADERS)
			returned = report_part_returned(&r->parts.items[i]);
	for (size_t t = 0; t < r->text_count && returned.len == 0; t++)
		returned = str_slice(r->texts[t].returned, 0, PARTS_HEADER_MAX);
	return returned;
}

static struct str returned_id(const struct reading *r)
{
	struct str id = parts_field(r->returned, STR("Message-ID"));

	return id.len && id.ptr[0] == '<' ? str_slice(id, 1, str_find_byte(id, '>') - 1) : id;
}

/* Programs return a message with the fields that programs read; people quote the others. */
static bool has_returned(const struct reading *r)
{
	return parts_field(r->returned, STR("Message-ID")).len || parts_field(r->returned, STR("Received")).len;
}

static bool parts_read(struct reading *r)
{
	size_t budget = REPORT_TEXT_MAX / 2, status_budget = REPORT_TEXT_MAX / 2;
	bool is_returned = false, has_text = false;

	for (size_t i = 0; i < r->parts.count; i++) {
		const struct part *part = &r->parts.items[i];
		struct str text;

		is_returned |= part->kind == PART_MESSAGE || part->kind == PART_HEADERS;
		if (part->kind == PART_STATUS) {
			if (!part_decode(part, status_budget, r->arena, &text))
				return err_memory(r->err);
			status_budget -= text.len < status_budget ? text.len : status_budget;
			if (!report_take_status(r, text))
				return false;
		} else if (part->kind == PART_TEXT && !is_returned) {
			if (!text_take(r, part, &budget))
				return false;
			has_text |= r->texts[r->text_count - 1].count > 0;
		}
	}
	if (!has_text && r->text_count < PARTS_MAX && report_part(r, PART_HTML) && !text_take(r, report_part(r, PART_HTML), &budget))
		return false;
	for (size_t t = 0; t < r->text_count && r->out->count == 0; t++)
		if (r->texts[t].has_fields && !report_take_status(r, r->texts[t].text))
			return false;
	return true;
}

static bool has_line(const struct reading *r)
{
	for (size_t t = 0; t < r->text_count; t++)
		for (size_t i = 0; i < r->texts[t].count; i++)
			if (r->texts[t].items[i].kind == SIGHTING_LINE)
				return true;
	return false;
}

/*
 * Parcels, faxes and forms have a Subject and a sentence of a bounce's too. But they name themselves, and give an address
 * as a detail, not as a line. A word for a mail says nothing: "do not reply to this e-mail".
 */
static bool is_about_mail(const struct reading *r)
{
	return r->is_of_program || r->has_returned || r->text_score >= SURE || has_line(r) ||
	       !(r->names_goods || r->head.names_goods);
}

static bool is_bounce(const struct reading *r, bool has_status)
{
	int score = r->head.score + r->text_score;

	if (has_status)
		return r->head.score >= REPORT_HEAD_MIN;
	if (r->text_score < (r->head.has_bounce_subject ? 2 : 3))
		return r->head.is_dsn_report && r->head.failed_recipients.len;
	if (!r->head.has_sender_evidence)
		return r->head.from.len == 0 && score >= SCORE_MIN_SUBJECT_ONLY;
	if (r->head.has_words)
		return score >= SCORE_MIN && (r->head.is_mailers || is_about_mail(r));
	/* a program's own sentence may be anybody's: "I'm sorry to have to inform you that I have left" */
	return score >= SCORE_MIN_NULL_ONLY &&
	       (r->is_of_program || (r->out->shape && r->has_returned) || (r->names_itself && has_line(r)));
}

static bool bounce_read(struct reading *r)
{
	struct report *out = r->out;
	bool has_status;

	if (!parts_read(r))
		return false;
	r->returned = returned_header(r);
	r->is_of_program = is_of_program(r);
	r->has_returned = has_returned(r);
	has_status = out->count > 0;
	if (!is_bounce(r, has_status) && !r->head.failed_recipients.len) {
		out->count = 0;
		return true;
	}
	if (out->count == 0 && !report_take_named(r))
		return false;
	if (out->count == 0)
		return true;
	out->kind = REPORT_BOUNCE;
	if (!out->shape && str_starts_nocase(r->head.mailer, STR("<SMTP32")))
		out->shape = "imail";
	if (!out->shape)
		out->shape = has_status ? "rfc3464" : "text";
	for (size_t i = 0; i < out->count; i++)
		if (!report_take_words(r, &out->recipients[i]))
			return false;
	out->message_id = returned_id(r);
	return true;
}

static struct str from_domain(struct str from)
{
	size_t at = str_find_byte(from, '@'), end = at + 1;

	if (at == from.len)
		return STR_EMPTY;
	while (end < from.len && (ascii_is_alnum(from.ptr[end]) || from.ptr[end] == '.' || from.ptr[end] == '-'))
		end++;
	return str_slice(from, at + 1, end - at - 1);
}

/* What a person or a program wrote into the message, without transfer encoding: its first text. */
static bool text_of(const struct reading *r, struct str body, struct str *out)
{
	const struct part *text = report_part(r, PART_TEXT);

	*out = body;
	return !text || part_decode(text, REPORT_TEXT_MAX, r->arena, out) || err_memory(r->err);
}

/* A forwarded report with "> " before each line, as mail programs quote: the quoted message. */
static bool quoted_take(struct reading *r, struct str body, struct str *out)
{
	char *to = arena_alloc(r->arena, (body.len < REPORT_TEXT_MAX ? body.len : REPORT_TEXT_MAX) + 1);
	struct str line;
	size_t n = 0;

	if (!to)
		return err_memory(r->err);
	body = str_slice(body, 0, REPORT_TEXT_MAX);
	while (str_next(&body, '\n', &line)) {
		bool is_first = n == 0;

		if (line.len == 0 || line.ptr[0] != '>')
			continue;
		line = str_from(line, line.len > 1 && line.ptr[1] == ' ' ? 2 : 1);
		if (is_first && !str_starts_nocase(line, STR("From:")))
			break;
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		memcpy(to + n, line.ptr, line.len);
		n += line.len;
		to[n++] = '\n';
	}
	*out = str_of(to, n);
	return true;
}

static bool message_read(const struct report_reader *reader, struct str message, bool is_null_sender, int nested,
			 struct arena *arena, struct report *out, struct err *err);

/* A report inside: an appliance that wraps each bounce it sees, a person who forwards one line by line. */
static bool nested_read(struct reading *r, struct str body, int nested)
{
	const struct part *inside = report_part(r, PART_MESSAGE);
	struct str message;

	if (nested >= NESTED_MAX)
		return true;
	if (r->head.is_forward) {
		if (!text_of(r, body, &body) || !quoted_take(r, body, &message))
			return false;
	} else if (inside && r->head.score >= SCORE_MIN && !r->parts.is_digest &&
		   str_starts_nocase(parts_field(report_part_returned(inside), STR("Content-Type")), STR("multipart/report"))) {
		message = inside->body;
	} else {
		return true;
	}
	return message.len == 0 || message_read(r->reader, message, false, nested + 1, r->arena, r->out, r->err);
}

static bool message_read(const struct report_reader *reader, struct str message, bool is_null_sender, int nested,
			 struct arena *arena, struct report *out, struct err *err)
{
	struct reading *r = arena_new(arena, struct reading);
	struct str header, body;

	if (!r)
		return err_memory(err);
	*r = (struct reading){ .reader = reader, .arena = arena, .out = out, .err = err };
	*out = (struct report){ .kind = REPORT_NONE };
	parts_split(message, &header, &body);
	if (!report_head_read(reader->marks, header, is_null_sender, arena, &r->head))
		return err_memory(err);
	if (r->head.score < REPORT_HEAD_MIN && !(r->head.is_forward && nested == 0))
		return true;
	out->subject = r->head.subject;
	out->reporter = from_domain(r->head.from);
	parts_find(header, body, arena, &r->parts);
	if (r->parts.is_digest)
		return true;
	if (r->head.sns_message_id.len && (!text_of(r, body, &body) || !report_json_read(body, arena, out)))
		return err_memory(err);
	if (out->kind == REPORT_NONE && !report_take_complaint(r))
		return false;
	if (out->kind == REPORT_NONE && r->head.score >= REPORT_HEAD_MIN && !bounce_read(r))
		return false;
	return out->kind != REPORT_NONE || nested_read(r, body, nested);
}

bool report_read(const struct report_reader *reader, struct str message, bool is_null_sender, struct arena *arena,
		 struct report *out, struct err *err)
{
	if (str_starts(message, STR("From ")))     /* an mbox line */
		message = str_from(message, str_find_byte(message, '\n') + 1);
	return message_read(reader, message, is_null_sender, 0, arena, out, err);
}
