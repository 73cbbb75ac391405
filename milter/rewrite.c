#include "milter/rewrite.h"

#include "config/base/memory.h"
#include "milter/link/url.h"
#include "milter/mail/mime.h"
#include "milter/rewrite_part.h"

#define MESSAGE_ID_MAX 64              /* octets of a name given in X-Sekisho-Track */
#define NEVER_MAX 16                   /* addresses in List-Unsubscribe that are looked at */

static const struct str steer_name = STR_INIT(REWRITE_STEER_HEADER);

static void note(struct rewrite_result *out, size_t part, const char *why)
{
	if (out->note_count < REWRITE_NOTES_MAX)
		out->notes[out->note_count++] = (struct rewrite_note){ .part = part, .why = why };
}

static bool grow_fields(struct rewrite_result *out)
{
	size_t room = out->field_room ? 2 * out->field_room : 8;
	struct rewrite_field *bigger = arena_array(out->body.arena, room, sizeof *bigger);

	if (!bigger)
		return false;
	if (out->field_count)
		memcpy(bigger, out->fields, out->field_count * sizeof *bigger);
	out->fields = bigger;
	out->field_room = room;
	return true;
}

static bool field_edit(struct rewrite_result *out, enum rewrite_action action, struct str name, size_t nth,
		       struct str value, struct err *err)
{
	if (out->field_count == out->field_room && !grow_fields(out))
		return err_memory(err);
	out->fields[out->field_count++] =
		(struct rewrite_field){ .action = action, .name = name, .nth = nth, .value = value };
	return true;
}

static bool remove_fields(const struct rewrite_message *message, struct str name, struct rewrite_result *out,
			  struct err *err)
{
	size_t count;
	bool ok = true;

	header_find(message->fields, message->field_count, name, &count);
	for (size_t nth = 1; ok && nth <= count; nth++)
		ok = field_edit(out, HEADER_REMOVE, name, nth, STR_EMPTY, err);
	return ok;
}

static const struct header *find(const struct rewrite_message *message, struct str name)
{
	return header_find(message->fields, message->field_count, name, NULL);
}

/* --- what the sender and the header say */

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
			return false;
	return s.len > 0;
}

/* Quotation marks and blanks around a word, and a comment behind it, are how people write. */
static struct str steer_word(struct str s)
{
	s = str_trim(str_slice(s, 0, str_find_byte(s, '(')));
	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		s = str_trim(str_slice(s, 1, s.len - 2));
	return s;
}

static bool says_off(struct str value)
{
	static const struct str words[] = { STR_INIT("off"), STR_INIT("no"), STR_INIT("none"), STR_INIT("false"), STR_INIT("0") };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (str_eq_nocase(value, words[i]))
			return true;
	return false;
}

/* "clicks=off", or "off" alone: both. "readers=off": nothing says whose they were. */
static void steer_off(struct rewrite_job *job, struct str word)
{
	struct str key = STR_EMPTY, value = word;
	bool is_all = !str_cut(word, '=', &key, &value);

	if (!says_off(steer_word(value)))
		return;
	if (is_all || str_eq_nocase(steer_word(key), STR("opens")))
		job->opens = false;
	if (is_all || str_eq_nocase(steer_word(key), STR("clicks")))
		job->clicks = false;
	if (str_eq_nocase(steer_word(key), STR("readers")))
		job->is_anonymous = true;
}

/*
 * "opens=off; clicks=off; id=NAME", in every field of that name. Words that are not known change nothing; but who asks for
 * nothing to be tracked is understood as far as can be: with commas too, and by "off" alone.
 */
static bool read_steering(struct rewrite_job *job, const struct rewrite_message *message, struct err *err)
{
	for (size_t i = 0; i < message->field_count; i++) {
		struct str rest, words, word, key, value;

		if (!str_eq_nocase(message->fields[i].name, steer_name))
			continue;
		if (!header_plain(message->fields[i].value, job->arena, &rest))
			return err_memory(err);
		while (str_next(&rest, ';', &words)) {
			bool is_id = str_cut(words, '=', &key, &value) && str_eq_nocase(str_trim(key), STR("id"));

			if (is_id && is_printable(steer_word(value)) && steer_word(value).len <= MESSAGE_ID_MAX)
				job->token.message = steer_word(value);
			while (!is_id && str_next(&words, ',', &word))
				steer_off(job, word);
		}
	}
	return true;
}

static bool short_name(struct rewrite_job *job, struct str name, struct str *out, struct err *err)
{
	char octets[8];

	token_short(job->rules->tenant, name, octets);
	return arena_copy(job->arena, str_of(octets, sizeof octets), out) || err_memory(err);
}

/*
 * A message is named by its sender, or by its Message-ID, or by what else makes it itself: a retry has the same. Those of a
 * message for one recipient alone would say who he is.
 */
static bool name_message(struct rewrite_job *job, const struct rewrite_message *message, struct err *err)
{
	static const struct str names[] = { STR_INIT("Date"), STR_INIT("From"), STR_INIT("To"), STR_INIT("Subject") };
	const struct header *id = find(message, STR("Message-ID"));
	struct buf all;
	bool ok;

	if (job->token.message.len)
		return true;
	if (job->is_anonymous && message->recipient.len) {
		job->token.message = STR(REWRITE_ANONYMOUS);
		return true;
	}
	if (id && str_trim(id->value).len)
		return short_name(job, str_trim(id->value), &job->token.message, err);
	buf_init(&all, job->arena->limit);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct header *field = find(message, names[i]);

		if (field)
			buf_add(&all, field->value);
		buf_add_byte(&all, '\n');
	}
	ok = short_name(job, buf_view(&all), &job->token.message, err);
	buf_clear(&all);
	return ok;
}

static bool name_recipient(struct rewrite_job *job, struct str recipient, struct err *err)
{
	struct str lower;

	if (!recipient.len || job->is_anonymous)
		return true;
	if (!arena_copy_lower(job->arena, recipient, &lower))
		return err_memory(err);
	return short_name(job, lower, &job->recipient_tag, err);
}

/* "<https://x.example/\r\n u?a=b>, <mailto:u@x.example>": blanks in brackets are a fold's (RFC 2369 2). */
static bool add_never(struct rewrite_job *job, struct str *never, struct str addresses, struct err *err)
{
	struct str before, address, host;

	while (job->never_count < NEVER_MAX && str_cut(addresses, '<', &before, &addresses) &&
	       str_cut(addresses, '>', &address, &addresses)) {
		struct buf whole, url, page;
		bool ok = true;

		buf_init(&whole, address.len + 1);
		buf_init(&url, address.len * 3 + 16);
		buf_init(&page, address.len * 3 + 16);
		for (size_t i = 0; i < address.len; i++)
			if (address.ptr[i] != ' ')
				buf_add_byte(&whole, address.ptr[i]);
		if (url_destination(buf_view(&whole), NULL, &url, &host)) {
			url_add_page(buf_view(&url), &page);
			ok = !page.failed && arena_copy(job->arena, buf_view(&page), &never[job->never_count++]);
		}
		buf_clear(&whole);
		buf_clear(&url);
		buf_clear(&page);
		if (!ok)
			return err_memory(err);
	}
	return true;
}

/* Where List-Unsubscribe leads is never tracked: its one-click POST passes through no redirector. Long ones come in encoded
 * words from some senders, which RFC 2047 does not allow and readers undo. */
static bool read_never(struct rewrite_job *job, const struct rewrite_message *message, struct err *err)
{
	struct str *never = arena_array(job->arena, NEVER_MAX, sizeof *never);
	struct buf text;
	bool ok = true;

	if (!never)
		return err_memory(err);
	job->never = never;
	buf_init(&text, job->arena->limit);
	for (size_t i = 0; ok && i < message->field_count; i++)
		if (str_eq_nocase(message->fields[i].name, STR("List-Unsubscribe"))) {
			buf_reset(&text);
			header_text(message->fields[i].value, &text);
			ok = text.failed ? err_memory(err) : add_never(job, never, buf_view(&text), err);
		}
	buf_clear(&text);
	return ok;
}

/* --- which parts */

/* Why a part is nobody's to change; NULL: it may be opened. */
static const char *closed_because(const struct mime *mime, const struct mime_part *part)
{
	if (part->doubt)
		return part->doubt;
	if (part->is_inside_message)
		return "inside a forwarded message";
	for (size_t up = part->parent; up != MIME_NO_PARENT; up = mime->parts[up].parent) {
		const struct mime_part *above = &mime->parts[up];

		if (above->doubt)
			return above->doubt;
		if (str_eq(above->subtype, STR("signed")))
			return "signed";
		if (str_eq(above->subtype, STR("encrypted")))
			return "encrypted";
		if (str_eq(above->subtype, STR("report")))
			return "inside a report";
		if (above->disposition.len && !str_eq(above->disposition, STR("inline")))
			return "inside an attachment";
	}
	return NULL;
}

/* RFC 1864: what is changed would not be what was summed up. */
static bool has_checksum(const struct rewrite_message *message, const struct mime_part *part)
{
	static const struct str name = STR_INIT("Content-MD5");
	struct str rest = part->header;
	struct header field;

	if (part->parent == MIME_NO_PARENT)
		return find(message, name);
	while (header_next(&rest, &field))
		if (str_eq_nocase(field.name, name))
			return true;
	return false;
}

/* A text with a file's name is a file to most readers, wherever its sender wants to have it shown. */
static bool is_shown(const struct rewrite_job *job, const struct mime_part *part)
{
	bool is_text = job->rules->text_links && job->clicks && mime_is(part, STR("text"), STR("plain")) && !part->has_name;

	return (is_text || mime_is(part, STR("text"), STR("html"))) &&
	       (!part->disposition.len || str_eq(part->disposition, STR("inline")));
}

/* Are two parts alternatives of one another, so that only one of them is ever shown? */
static bool are_alternatives(const struct mime *mime, size_t a, size_t b)
{
	while (a != b) {
		size_t *deeper = mime->parts[a].depth >= mime->parts[b].depth ? &a : &b;

		if (mime->parts[*deeper].parent == MIME_NO_PARENT)
			return false;
		*deeper = mime->parts[*deeper].parent;
	}
	return mime_is(&mime->parts[a], STR("multipart"), STR("alternative"));
}

/* --- edits of parts become edits of the message */

static struct str eol_of(struct str body)
{
	size_t lf = str_find_byte(body, '\n');

	return lf < body.len && (lf == 0 || body.ptr[lf - 1] != '\r') ? STR("\n") : STR("\r\n");
}

static const struct str encoding_name = STR_INIT("Content-Transfer-Encoding");

/* The header of the part inside the body says quoted-printable now. */
static bool edit_part_header(struct rewrite_result *out, const struct mime_part *part, struct str body, struct str eol,
			     struct arena *arena, struct err *err)
{
	struct str rest = part->header, line;
	struct header field;
	size_t at = (size_t)(part->header.ptr - body.ptr);

	if (!arena_printf(arena, &line, STR_FMT ": quoted-printable" STR_FMT, STR_ARG(encoding_name), STR_ARG(eol)))
		return err_memory(err);
	while (header_next(&rest, &field))
		if (str_eq_nocase(field.name, encoding_name))
			return edit_add(&out->body, (size_t)(field.line.ptr - body.ptr), field.line.len, line, err);
	return edit_add(&out->body, at + part->header.len, 0, line, err);
}

static bool edit_message_header(struct rewrite_result *out, const struct rewrite_message *message, struct err *err)
{
	bool has = find(message, encoding_name);

	return field_edit(out, has ? HEADER_CHANGE : HEADER_ADD, encoding_name, 1, STR("quoted-printable"), err);
}

static bool take_edits(struct rewrite_result *out, const struct rewrite_message *message, const struct mime_part *part,
		       const struct rewrite_part *done, struct str eol, struct arena *arena, struct err *err)
{
	size_t shift = (size_t)(part->body.ptr - message->body.ptr);

	if (done->to_qp && !(part->parent == MIME_NO_PARENT ? edit_message_header(out, message, err) :
							       edit_part_header(out, part, message->body, eol, arena, err)))
		return false;
	for (size_t i = 0; i < done->edits.count; i++) {
		const struct edit *edit = &done->edits.items[i];

		if (!edit_add(&out->body, shift + edit->at, edit->len, edit->with, err))
			return false;
	}
	out->links += done->links;
	out->pixels += done->pixels;
	out->parts += done->edits.count > 0;
	return true;
}

static bool rewrite_parts(struct rewrite_job *job, const struct rewrite_message *message, const struct mime *mime,
			  struct rewrite_result *out, struct err *err)
{
	struct str eol = eol_of(message->body);
	size_t pixel_part = SIZE_MAX;          /* the last that was given one: what is no alternative to it is shown beside it */

	for (size_t i = 0; i < mime->count; i++) {
		const struct mime_part *part = &mime->parts[i];
		struct rewrite_part done;
		const char *why;

		if (!is_shown(job, part))
			continue;
		why = has_checksum(message, part) ? "a checksum of its own (Content-MD5)" : closed_because(mime, part);
		if (!why) {
			bool wants_pixel =
				job->opens && (pixel_part == SIZE_MAX || are_alternatives(mime, pixel_part, i));

			if (!rewrite_part(job, part, wants_pixel, eol, &done, err) ||
			    !take_edits(out, message, part, &done, eol, job->arena, err))
				return false;
			if (done.has_pixel && wants_pixel)
				pixel_part = i;
			why = done.why_not;
		}
		if (why)
			note(out, i, why);
	}
	return true;
}

/* --- the message */

struct rewrite_rules rewrite_rules_of(const struct tenant *tenant, const struct token_keys *keys)
{
	return (struct rewrite_rules){
		.tenant = tenant->name,
		.host = tenant->tracking_host,
		.opens = tenant->tracks_opens,
		.clicks = tenant->tracks_clicks,
		.is_anonymous = tenant->is_anonymous,
		.text_links = tenant->tracks_text,
		.list_unsubscribe = tenant->adds_list_unsubscribe,
		.on_signed = tenant->on_signed,
		.keys = keys,
	};
}

static bool add_unsubscribe(struct rewrite_job *job, const struct rewrite_message *message, struct rewrite_result *out,
			    struct err *err)
{
	struct token token = job->token;
	struct buf value;
	struct str text;
	bool ok;

	if (!job->rules->list_unsubscribe || !message->recipient.len || message->recipient.len > TOKEN_TEXT_MAX ||
	    find(message, STR("List-Unsubscribe")))
		return true;
	token.purpose = TOKEN_UNSUBSCRIBE;
	token.recipient = message->recipient;
	buf_init(&value, TOKEN_MAX);
	buf_printf(&value, "<https://" STR_FMT "/u/", STR_ARG(job->rules->host));
	ok = token_seal(job->sealer, &token, job->rules->host, &value, err);
	buf_add_byte(&value, '>');
	ok = ok && (arena_copy(job->arena, buf_view(&value), &text) || err_memory(err));
	/* A field that would have to be folded inside the address is not added. */
	if (ok && value.len < REWRITE_LINE_MAX - 20)   /* a Post that is there means nothing without the other */
		ok = field_edit(out, HEADER_ADD, STR("List-Unsubscribe"), 1, text, err) &&
		     remove_fields(message, STR("List-Unsubscribe-Post"), out, err) &&
		     field_edit(out, HEADER_ADD, STR("List-Unsubscribe-Post"), 1, STR("List-Unsubscribe=One-Click"), err);
	buf_clear(&value);
	return ok;
}

static const struct str signature_name = STR_INIT("DKIM-Signature");

static bool signature_forbids(const struct rewrite_rules *rules, const struct rewrite_message *message)
{
	return rules->on_signed != SIGNED_STRIP && rules->on_signed != SIGNED_REWRITE && find(message, signature_name);
}

/* What nothing was changed of is still what was signed. */
static bool strip_signatures(const struct rewrite_rules *rules, const struct rewrite_message *message, size_t fields_before,
			     struct rewrite_result *out, struct err *err)
{
	return rules->on_signed != SIGNED_STRIP || !(out->body.count || out->field_count > fields_before) ||
	       remove_fields(message, signature_name, out, err);
}

static bool rewrite_with(struct rewrite_job *job, const struct rewrite_message *message, struct rewrite_result *out,
			 struct err *err)
{
	struct mime mime;

	if (!name_message(job, message, err) || !name_recipient(job, message->recipient, err) ||
	    !read_never(job, message, err))
		return false;
	out->message = job->token.message;
	if (!add_unsubscribe(job, message, out, err))
		return false;
	if (!job->opens && !job->clicks)
		return true;
	if (!mime_scan(message->fields, message->field_count, message->body, job->arena, &mime, err))
		return false;
	if (mime.is_cut)
		note(out, 0, "too many or too deep parts");
	return rewrite_parts(job, message, &mime, out, err);
}

static bool rewrite_all(struct rewrite_job *job, const struct rewrite_message *message, struct rewrite_result *out, struct err *err)
{
	unsigned long shortages = memory_shortages();
	size_t fields_before = out->field_count;
	bool ok = token_sealer_new(job->rules->keys, &job->sealer, err);

	ok = ok && rewrite_with(job, message, out, err) && strip_signatures(job->rules, message, fields_before, out, err);
	token_sealer_free(job->sealer);
	/* All of it or nothing: what seemed to be no link may have been one. */
	return ok && (memory_shortages() == shortages || err_memory(err));
}

bool rewrite_message(const struct rewrite_rules *rules, const struct rewrite_message *message, struct arena *arena,
		     struct rewrite_result *out, struct err *err)
{
	struct rewrite_job job = {
		.rules = rules,
		.arena = arena,
		.token = { .tenant = rules->tenant, .day = message->day },
		.opens = rules->opens,
		.clicks = rules->clicks,
		.is_anonymous = rules->is_anonymous,
	};

	*out = (struct rewrite_result){ .links = 0 };
	edit_init(&out->body, arena);
	if (!read_steering(&job, message, err) || !remove_fields(message, steer_name, out, err))
		return false;
	if (!rules->keys)
		return true;
	if (signature_forbids(rules, message)) {
		note(out, 0, "signed with DKIM");
		return true;
	}
	return rewrite_all(&job, message, out, err);
}

/* --- as it leaves */

/* What is to be done to the n-th field of the message; NULL: nothing. */
static const struct rewrite_field *change_of(const struct rewrite_message *message, const struct rewrite_result *result,
					     size_t n)
{
	size_t nth = 0;

	if (result->field_count)
		header_find(message->fields, n + 1, message->fields[n].name, &nth);
	for (size_t i = 0; i < result->field_count; i++) {
		const struct rewrite_field *change = &result->fields[i];

		if (change->action != HEADER_ADD && change->nth == nth && str_eq_nocase(change->name, message->fields[n].name))
			return change;
	}
	return NULL;
}

static void add_field(struct str name, struct str value, struct str eol, struct buf *out)
{
	buf_add(out, name);
	buf_add(out, STR(": "));
	buf_add(out, value);
	buf_add(out, eol);
}

void rewrite_render(const struct rewrite_message *message, const struct rewrite_result *result, struct str blank,
		    struct buf *out)
{
	struct str eol =
		message->field_count && str_ends(message->fields[0].line, STR("\r\n")) ? STR("\r\n") : STR("\n");

	for (size_t i = 0; i < message->field_count; i++) {
		const struct header *field = &message->fields[i];
		const struct rewrite_field *change = change_of(message, result, i);

		if (!change)
			buf_add(out, field->line);
		else if (change->action == HEADER_CHANGE)
			add_field(field->name, change->value, eol, out);
	}
	for (size_t i = 0; i < result->field_count; i++)
		if (result->fields[i].action == HEADER_ADD)
			add_field(result->fields[i].name, result->fields[i].value, eol, out);
	buf_add(out, blank);
	edit_apply(message->body, &result->body, out);
}
