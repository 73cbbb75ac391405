#include "milter/mail/report.h"

#include <stdlib.h>

#include "config/base/phrase.h"
#include "config/base/words.h"
#include "milter/mail/arf.h"
#include "milter/mail/report_head.h"
#include "milter/mail/report_json.h"
#include "milter/mail/report_marks.h"
#include "milter/mail/report_parts.h"
#include "milter/mail/report_text.h"

#define MARKED_TEXT_MAX 8192           /* octets of a text in which its marks are looked for */
#define SCORE_MIN 5
#define SCORE_MIN_SUBJECT_ONLY 6       /* a Subject alone says little: parcels cannot be delivered either */
#define NESTED_MAX 1

struct report_reader {
	struct phrase_set *marks;
};

struct reading {
	const struct report_reader *reader;
	struct arena *arena;
	struct report *out;
	struct report_head head;
	struct parts parts;
	struct report_text texts[PARTS_MAX];
	size_t text_count;
	int text_score;
	size_t room;
	struct err *err;
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

bool report_is_likely(const struct report_reader *reader, struct str header, bool is_null_sender, struct arena *arena)
{
	struct report_head head;

	return report_head_read(reader->marks, header, is_null_sender, arena, &head) && head.score >= REPORT_HEAD_MIN;
}

/* --- recipients */

static struct report_recipient *recipient_add(struct reading *r, struct str address)
{
	struct report *out = r->out;

	if (out->count == REPORT_RECIPIENTS_MAX)
		return &out->recipients[out->count - 1];
	if (out->count == r->room) {
		size_t room = r->room ? r->room * 4 : 4;
		struct report_recipient *more = arena_array(r->arena, room, sizeof *more);

		if (!more) {
			err_memory(r->err);
			return NULL;
		}
		if (out->count)
			memcpy(more, out->recipients, out->count * sizeof *more);
		out->recipients = more;
		r->room = room;
	}
	out->recipients[out->count] = (struct report_recipient){ .address = address };
	return &out->recipients[out->count++];
}

static bool has_recipient(const struct report *report, struct str address)
{
	for (size_t i = 0; i < report->count; i++)
		if (str_eq_nocase(report->recipients[i].address, address))
			return true;
	return false;
}

static bool has_at(struct str address)
{
	return str_find_byte(address, '@') < address.len;
}

static bool contains_address(struct str field, struct str address)
{
	for (size_t at = 0; at + address.len <= field.len; at++) {
		if (ascii_lower(field.ptr[at]) != ascii_lower(address.ptr[0]) || !str_starts_nocase(str_from(field, at), address))
			continue;
		char before = at ? field.ptr[at - 1] : ' ';

		if (!ascii_is_alnum(before) && before != '.' && before != '-' && before != '_')
			return true;
	}
	return false;
}

/* Whoever runs the reporting host, and the one who gets the report: hardly whom it failed for. */
static bool is_bystander(const struct reading *r, struct str address)
{
	static const struct str locals[] = {
		STR_INIT("postmaster@"), STR_INIT("mailer-daemon@"), STR_INIT("support@"), STR_INIT("abuse@"), STR_INIT("help@"),
		STR_INIT("helpdesk@"), STR_INIT("noreply@"), STR_INIT("no-reply@"), STR_INIT("hostmaster@"), STR_INIT("admin@"),
	};

	static const struct str list_commands[] = {
		STR_INIT("-ctl"), STR_INIT("-request"), STR_INIT("-admin"), STR_INIT("-owner"), STR_INIT("-help"), STR_INIT("-subscribe"),
	};

	for (size_t i = 0; i < sizeof locals / sizeof *locals; i++)
		if (str_starts_nocase(address, locals[i]))
			return true;
	for (size_t i = 0; i < sizeof list_commands / sizeof *list_commands; i++)
		if (str_ends_nocase(str_slice(address, 0, str_find_byte(address, '@')), list_commands[i]))
			return true;
	return contains_address(str_slice(r->head.to, 0, 4096), address) ||
	       contains_address(str_slice(r->head.from, 0, 4096), address);
}

/* What the texts say about an address: the plainest sighting's words, of equals the longest. */
static struct str words_about(const struct reading *r, struct str address, struct str *out_was)
{
	const struct sighting *best = NULL;

	if (address.len == 0)
		return STR_EMPTY;
	for (size_t t = 0; t < r->text_count; t++)
		for (size_t i = 0; i < r->texts[t].count; i++) {
			const struct sighting *it = &r->texts[t].items[i];

			if (it->kind > SIGHTING_SENTENCE || !str_eq_nocase(it->address, address))
				continue;
			if (it->was.len && out_was->len == 0)
				*out_was = it->was;
			if (!best || it->kind < best->kind || (it->kind == best->kind && it->words.len > best->words.len))
				best = it;
		}
	return best ? best->words : STR_EMPTY;
}

/* The dialogue in which an address was refused, when its own words are somewhere else. */
static struct str dialogue_about(const struct reading *r, struct str address)
{
	for (size_t t = 0; t < r->text_count; t++)
		for (size_t i = 0; i < r->texts[t].count; i++) {
			const struct sighting *it = &r->texts[t].items[i];

			if (it->kind == SIGHTING_REPLY && str_eq_nocase(it->address, address))
				return it->words;
		}
	return STR_EMPTY;
}

static bool words_join(struct arena *arena, struct str a, struct str b, struct str *out)
{
	if (a.len == 0 || b.len == 0) {
		*out = a.len ? a : b;
		return true;
	}
	char *to = arena_alloc(arena, a.len + b.len + 1);

	if (!to)
		return false;
	memcpy(to, a.ptr, a.len);
	to[a.len] = '\n';
	memcpy(to + a.len + 1, b.ptr, b.len);
	*out = str_of(to, a.len + b.len + 1);
	return true;
}

#define WORDS_MAX 2048

static bool recipient_words(struct reading *r, struct report_recipient *it)
{
	struct str own = words_about(r, it->address, &it->original), dialogue;

	if (own.len == 0)
		own = words_about(r, it->original, &it->original);
	dialogue = dialogue_about(r, it->address);
	if (dialogue.ptr >= own.ptr && dialogue.ptr < own.ptr + own.len)
		dialogue = STR_EMPTY;
	if (!words_join(r->arena, str_slice(own, 0, WORDS_MAX), str_slice(dialogue, 0, WORDS_MAX), &it->text) ||
	    !words_join(r->arena, it->text, it->comment, &it->text))
		return err_memory(r->err);
	return true;
}

/* Takes every sighting of one kind; *out_count tells how many are not bystanders. */
static bool sightings_take(struct reading *r, enum sighting_kind kind, bool with_bystanders)
{
	bool only_first = kind >= SIGHTING_SENTENCE;

	for (size_t t = 0; t < r->text_count; t++)
		for (size_t i = 0; i < r->texts[t].count; i++) {
			const struct sighting *it = &r->texts[t].items[i];
			struct report_recipient *added;

			if (it->kind != kind || has_recipient(r->out, it->address) ||
			    (!with_bystanders && is_bystander(r, it->address)))
				continue;
			added = recipient_add(r, it->address);
			if (!added)
				return false;
			if (only_first)
				return true;
		}
	return true;
}

static bool recipients_from_text(struct reading *r)
{
	for (int pass = 0; pass < 2 && r->out->count == 0; pass++)
		for (int kind = SIGHTING_LINE; kind <= SIGHTING_MENTION && r->out->count == 0; kind++)
			if (!sightings_take(r, (enum sighting_kind)kind, pass == 1 && kind <= SIGHTING_TO))
				return false;
	return true;
}

static bool recipients_from_header(struct reading *r)
{
	struct str rest = r->head.failed_recipients, piece;

	while (str_next(&rest, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.len && piece.ptr[0] == '<')
			piece = str_slice(piece, 1, str_find_byte(piece, '>') - 1);
		if (words_address(piece) == piece.len && piece.len && !has_recipient(r->out, piece) && !recipient_add(r, piece))
			return false;
	}
	return true;
}

/* "... because they are not accepting mail from a@b:" and bare names; the domain is the reporter's. */
static bool recipients_from_names(struct reading *r)
{
	struct str names[32], address;
	size_t count = 0;

	if (r->out->reporter.len == 0)
		return true;
	for (size_t t = 0; t < r->text_count && count == 0; t++) {
		count = report_text_names(r->texts[t].text, STR("not accepting mail from"), names, 32);
		if (count == 0)
			count = report_text_names(r->texts[t].text, STR("was undeliverable to the following"), names, 32);
	}
	for (size_t i = 0; i < count; i++) {
		if (has_at(names[i]))
			continue;
		if (!arena_printf(r->arena, &address, STR_FMT "@" STR_FMT, STR_ARG(names[i]), STR_ARG(r->out->reporter)))
			return err_memory(r->err);
		if (!recipient_add(r, address))
			return false;
	}
	return true;
}

/* --- delivery status */

static struct str status_address(const struct dsn_recipient *dsn, struct str *out_original)
{
	struct str all[3] = { dsn->final, dsn->actual, dsn->original }, best = STR_EMPTY;

	for (size_t i = 0; i < 3 && !has_at(best); i++)
		if (has_at(all[i]) || best.len == 0)
			best = all[i];
	*out_original = has_at(dsn->original) && !str_eq_nocase(dsn->original, best) ? dsn->original : STR_EMPTY;
	return best;
}

/* n-th address of X-Failed-Recipients, for a status that names a pipe or a file. */
static struct str failed_recipient(const struct reading *r, size_t n)
{
	struct str rest = str_slice(r->head.failed_recipients, 0, 8192), piece = STR_EMPTY;

	for (size_t i = 0; i <= n; i++)
		if (!str_next(&rest, ',', &piece))
			return STR_EMPTY;
	piece = str_trim(piece);
	return words_address(piece) == piece.len ? piece : STR_EMPTY;
}

static bool status_take(struct reading *r, struct str text)
{
	struct dsn_report dsn;
	struct err why;

	if (!dsn_parse(text, r->arena, &dsn, &why)) {
		if (dsn.reporting_mta.len)
			r->out->reporter = dsn.reporting_mta;
		return why.kind == ERR_INPUT || err_memory(r->err);
	}
	if (dsn.reporting_mta.len)
		r->out->reporter = str_slice(dsn.reporting_mta, 0, str_find_byte(dsn.reporting_mta, ' '));
	for (size_t i = 0; i < dsn.count; i++) {
		const struct dsn_recipient *from = &dsn.recipients[i];
		struct str original, address = status_address(from, &original);

		if (address.len == 0)
			address = failed_recipient(r, i);
		if (!has_at(address) && address.len && r->out->reporter.len &&
		    !arena_printf(r->arena, &address, STR_FMT "@" STR_FMT, STR_ARG(address), STR_ARG(r->out->reporter)))
			return err_memory(r->err);
		if (address.len == 0 || has_recipient(r->out, address))
			continue;

		struct report_recipient *it = recipient_add(r, address);

		if (!it)
			return false;
		it->original = original;
		it->action = from->action;
		it->status = from->status;
		it->remote = str_slice(from->remote_mta, 0, str_find_byte(from->remote_mta, ' '));
		it->category = from->category.len ? from->category : str_eq_nocase(from->diagnostic_type, STR("x-unix"))
			       ? from->diagnostic_type : STR_EMPTY;
		it->diagnostic = from->diagnostic;
		it->comment = from->comment;
	}
	return true;
}

/* --- texts */

struct tally {
	struct reading *r;
	int best;
};

static bool tally_hit(void *arg, uint32_t id, size_t end)
{
	struct tally *t = arg;
	const struct mark *mark = &report_marks[id];

	(void)end;
	if (mark->place != MARK_TEXT)
		return true;
	t->r->out->is_delay |= mark->is_delay;
	if (mark->weight > t->best) {
		t->best = mark->weight;
		t->r->out->evidence = mark->words;
	}
	if (mark->shape && !t->r->out->shape)
		t->r->out->shape = mark->shape;
	return true;
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
	words_add(&words, text);
	phrase_scan(r->reader->marks, words_view(&words), tally_hit, &t);
	if (t.best > r->text_score)
		r->text_score = t.best;
	return true;
}

/* Tags go, those that end a line end it, the few references that occur in addresses become characters. */
static bool html_strip(struct arena *arena, struct str html, struct str *out)
{
	static const struct { struct str name; char c; } references[] = {
		{ STR_INIT("&lt;"), '<' }, { STR_INIT("&gt;"), '>' }, { STR_INIT("&amp;"), '&' }, { STR_INIT("&quot;"), '"' },
		{ STR_INIT("&#39;"), '\'' }, { STR_INIT("&nbsp;"), ' ' }, { STR_INIT("&#64;"), '@' }, { STR_INIT("&#43;"), '+' },
	};
	static const struct str inline_tags[] = {
		STR_INIT("<a "), STR_INIT("</a"), STR_INIT("<b>"), STR_INIT("</b"), STR_INIT("<i>"), STR_INIT("</i"), STR_INIT("<span"),
		STR_INIT("</span"), STR_INIT("<font"), STR_INIT("</font"), STR_INIT("<strong"), STR_INIT("</strong"), STR_INIT("<em"),
		STR_INIT("</em"),
	};
	char *to = arena_alloc(arena, html.len + 1);
	size_t n = 0;

	if (!to)
		return false;
	for (size_t at = 0; at < html.len;) {
		struct str left = str_from(html, at);

		if (left.ptr[0] == '<') {
			bool is_inline = false, is_hidden = str_starts_nocase(left, STR("<style")) || str_starts_nocase(left, STR("<script"));

			for (size_t i = 0; i < sizeof inline_tags / sizeof *inline_tags; i++)
				is_inline |= str_starts_nocase(left, inline_tags[i]);
			if (!is_inline)
				to[n++] = '\n';
			at += is_hidden ? str_find(left, STR("</")) + 1 : str_find_byte(left, '>') + 1;
			continue;
		}
		if (left.ptr[0] == '&') {
			size_t i = 0, known = sizeof references / sizeof *references;

			while (i < known && !str_starts_nocase(left, references[i].name))
				i++;
			if (i < known) {
				to[n++] = references[i].c;
				at += references[i].name.len;
				continue;
			}
		}
		to[n++] = left.ptr[0];
		at++;
	}
	*out = str_of(to, n);
	return true;
}

static bool text_take(struct reading *r, const struct part *part, size_t *budget)
{
	struct str text;
	struct report_text *it = &r->texts[r->text_count];

	if (!part_decode(part, *budget, r->arena, &text) ||
	    (part->kind == PART_HTML && !html_strip(r->arena, text, &text)) ||
	    !report_text_read(text, r->arena, it))
		return err_memory(r->err);
	*budget -= text.len < *budget ? text.len : *budget;
	r->text_count++;
	if (r->out->context.len == 0 || it->text.len > r->out->context.len)
		r->out->context = it->text;
	return text_weigh(r, it->text);
}

/* --- complaints */

static bool complaint_add(struct reading *r, struct str address)
{
	if (address.len == 0 || words_address(address) != address.len || has_recipient(r->out, address))
		return true;
	return recipient_add(r, address) != NULL;
}

/* The one recipient in the returned message's To, when its reporter hid nobody. */
static struct str returned_recipient(struct str returned)
{
	struct str to = parts_field(returned, STR("X-HmXmrOriginalRecipient"));

	if (to.len == 0)
		to = parts_field(returned, STR("To"));
	if (str_find_byte(to, ',') < to.len)
		return STR_EMPTY;
	if (str_find_byte(to, '<') < to.len) {
		to = str_from(to, str_find_byte(to, '<') + 1);
		to = str_slice(to, 0, str_find_byte(to, '>'));
	}
	return words_address(to) == to.len ? to : STR_EMPTY;
}

static struct str part_returned(const struct part *part)
{
	struct str header, body;

	if (part->kind == PART_HEADERS)
		return part->body;
	parts_split(part->body, &header, &body);
	return header;
}

static const struct part *part_find(const struct reading *r, enum part_kind kind)
{
	for (size_t i = 0; i < r->parts.count; i++)
		if (r->parts.items[i].kind == kind)
			return &r->parts.items[i];
	return NULL;
}

static bool complaint_read(struct reading *r)
{
	const struct part *feedback = part_find(r, PART_FEEDBACK), *returned = part_find(r, PART_MESSAGE);
	struct str text, header = STR_EMPTY;
	struct arf_report arf = { .feedback_type = STR("abuse") };

	if (!returned)
		returned = part_find(r, PART_HEADERS);
	if (returned)
		header = part_returned(returned);
	if (feedback) {
		if (!part_decode(feedback, REPORT_TEXT_MAX, r->arena, &text))
			return err_memory(r->err);
		if (!arf_parse(text, &arf, NULL))
			return true;
	} else if (parts_field(header, STR("X-HmXmrOriginalRecipient")).len == 0 && r->head.complaint_recipient.len == 0) {
		return true;
	}
	r->out->kind = REPORT_COMPLAINT;
	r->out->shape = feedback ? "arf" : "jmrp";
	r->out->evidence = arf.feedback_type;
	r->out->feedback_type = arf.feedback_type;
	for (size_t i = 0; i < arf.count; i++)
		if (!complaint_add(r, arf.recipients[i]))
			return false;
	if (r->out->count == 0 && !complaint_add(r, r->head.complaint_recipient))
		return false;
	if (r->out->count == 0 && !complaint_add(r, returned_recipient(header)))
		return false;
	return r->out->count > 0 || recipient_add(r, STR_EMPTY) != NULL;
}

/* --- the whole */

static void returned_read(struct reading *r)
{
	struct str returned = STR_EMPTY, id;

	for (size_t i = 0; i < r->parts.count && returned.len == 0; i++)
		if (r->parts.items[i].kind == PART_MESSAGE || r->parts.items[i].kind == PART_HEADERS)
			returned = part_returned(&r->parts.items[i]);
	for (size_t t = 0; t < r->text_count && returned.len == 0; t++)
		returned = str_slice(r->texts[t].returned, 0, PARTS_HEADER_MAX);
	id = parts_field(returned, STR("Message-ID"));
	if (id.len && id.ptr[0] == '<')
		id = str_slice(id, 1, str_find_byte(id, '>') - 1);
	r->out->message_id = id;
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
			if (!status_take(r, text))
				return false;
		} else if (part->kind == PART_TEXT && !is_returned) {
			if (!text_take(r, part, &budget))
				return false;
			has_text |= r->texts[r->text_count - 1].count > 0;
		}
	}
	if (!has_text && r->text_count < PARTS_MAX && part_find(r, PART_HTML) && !text_take(r, part_find(r, PART_HTML), &budget))
		return false;
	for (size_t t = 0; t < r->text_count && r->out->count == 0; t++)
		if (r->texts[t].has_fields && !status_take(r, r->texts[t].text))
			return false;
	return true;
}

static bool is_bounce(const struct reading *r, bool has_status)
{
	int score = r->head.score + r->text_score;

	if (has_status)
		return r->head.score >= REPORT_HEAD_MIN;
	if (r->text_score < 2)
		return r->head.is_dsn_report && r->head.failed_recipients.len;
	return score >= (r->head.has_sender_evidence ? SCORE_MIN : SCORE_MIN_SUBJECT_ONLY);
}

static bool bounce_read(struct reading *r)
{
	struct report *out = r->out;
	bool has_status;

	if (!parts_read(r))
		return false;
	has_status = out->count > 0;
	if (!is_bounce(r, has_status) && !r->head.failed_recipients.len) {
		out->count = 0;
		return true;
	}
	if (out->count == 0 && (!recipients_from_header(r) || (out->count == 0 && !recipients_from_names(r)) ||
				(out->count == 0 && !recipients_from_text(r))))
		return false;
	if (out->count == 0)
		return true;
	out->kind = REPORT_BOUNCE;
	if (!out->shape)
		out->shape = has_status ? "rfc3464" : "text";
	for (size_t i = 0; i < out->count; i++) {
		if (!recipient_words(r, &out->recipients[i]))
			return false;
		if (out->count == 1 && out->recipients[i].text.len == out->recipients[i].comment.len && r->text_count)
			out->recipients[i].text = str_slice(out->context, 0, WORDS_MAX);
	}
	returned_read(r);
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
	const struct part *inside = part_find(r, PART_MESSAGE);
	struct str message;

	if (nested >= NESTED_MAX)
		return true;
	if (r->head.is_forward) {
		if (!quoted_take(r, body, &message))
			return false;
	} else if (inside && r->head.score >= SCORE_MIN && !r->parts.is_digest &&
		   str_starts_nocase(parts_field(part_returned(inside), STR("Content-Type")), STR("multipart/report"))) {
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
	parts_find(header, body, &r->parts);
	if (r->parts.is_digest)
		return true;
	if (r->head.sns_message_id.len && !report_json_read(body, arena, out))
		return err_memory(err);
	if (out->kind == REPORT_NONE && !complaint_read(r))
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
