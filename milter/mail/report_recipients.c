#include "config/base/words.h"
#include "milter/mail/report_reading.h"

struct report_recipient *report_recipient_add(struct reading *r, struct str address)
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

struct report_recipient *report_recipient_find(const struct report *report, struct str address)
{
	for (size_t i = 0; i < report->count; i++)
		if (str_eq_nocase(report->recipients[i].address, address))
			return &report->recipients[i];
	return NULL;
}

static bool has_at(struct str address)
{
	return str_find_byte(address, '@') < address.len;
}

static bool contains_address(struct str field, struct str address)
{
	for (size_t at = 0; at + address.len <= field.len; at++) {
		if (ascii_lower(field.ptr[at]) != ascii_lower(address.ptr[0]) || !str_starts_nocase(str_from(field, at), address) ||
		    words_address(str_from(field, at)) != address.len)       /* a@b.co is not in a@b.com */
			continue;
		char before = at ? field.ptr[at - 1] : ' ';

		if (!ascii_is_alnum(before) && !(before && strchr(".-_+=", before)))      /* nor in bounce+a@b.com */
			return true;
	}
	return false;
}

static bool is_addressee(const struct reading *r, struct str address)
{
	return contains_address(str_slice(r->head.to, 0, 4096), address);
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
	return is_addressee(r, address) || contains_address(str_slice(r->head.from, 0, 4096), address);
}

/* A mail to oneself comes back too. But whoever is told of his full mailbox, or of a virus for him, sent none. */
static bool is_told_only(const struct reading *r, struct str address)
{
	return !r->is_of_program && !r->has_returned && is_addressee(r, address);
}

/* Texts of every language name who wrote the returned message, by a label or in a sentence; in lines only whom it failed for. */
static bool is_writer(const struct reading *r, const struct sighting *it)
{
	return it->kind != SIGHTING_LINE && it->kind != SIGHTING_REPLY &&
	       contains_address(parts_field(r->returned, STR("From")), it->address);
}

/* As long as others may be named; and at last, when nobody was. */
static bool is_passed_over(const struct reading *r, const struct sighting *it, bool is_last)
{
	if (is_last && it->kind <= SIGHTING_REPLY)
		return is_told_only(r, it->address);
	return is_bystander(r, it->address) || (!is_last && is_writer(r, it));
}

/* "Regards, your mail team" stands above it, or "E-mail:" beside it, and no reply below: nobody failed there. */
static bool is_signature(const struct sighting *it, bool is_reply_told)
{
	if (it->kind == SIGHTING_LABEL) {
		struct str label = str_of(it->words.ptr, (size_t)(it->address.ptr - it->words.ptr));

		label = str_trim(label);       /* "Recipient e-mail:" is no signature's */
		is_reply_told &= str_ends_nocase(label, STR("mail:")) && str_find_byte(label, ' ') == label.len;
	} else if (!is_reply_told) {
		return it->is_below_words && str_trim(it->words).len == 0;
	}
	return is_reply_told && !report_has_code(it->words);
}

/* In prose, so that the words begin behind it; a dialogue's are all of it. */
static bool is_told_of(const struct reading *r, const struct sighting *it)
{
	return it->kind == SIGHTING_SENTENCE && it->words.ptr > it->address.ptr && !is_bystander(r, it->address) &&
	       !is_writer(r, it);
}

/* "Your mail to list@a failed with 550 for:", then an address: the paragraph that told leads to him. */
static bool leads_on(struct str between)
{
	struct str rest, line;

	while (between.len && between.ptr[between.len - 1] && strchr(" \t\r\n<*->\"'[(", between.ptr[between.len - 1]))
		between.len--;
	rest = between;
	if (!str_ends(rest, STR(":")) && !str_ends(rest, STR("：")))
		return false;
	while (str_next(&rest, '\n', &line))
		if (str_trim(line).len == 0)
			return false;
	return true;
}

/*
 * Whom to ask: the one address in a line of a text in which a sentence above has told whom the mail failed for ("Your
 * message to a@b could not be delivered: 550 ..."). NULL: there is none such.
 */
static const struct sighting *helper_of(const struct reading *r, const struct report_text *text)
{
	const struct sighting *told = NULL, *helper = NULL;
	struct str between;
	const char *end;

	for (size_t i = 0; i < text->count; i++) {
		const struct sighting *it = &text->items[i];
		bool is_line = it->kind == SIGHTING_LINE || it->kind == SIGHTING_LABEL;

		if (is_line && (helper || !told))
			return NULL;
		if (is_line)
			helper = it;
		else if (!told && is_told_of(r, it))
			told = it;
	}
	if (!helper)
		return NULL;
	end = told->address.ptr + told->address.len;
	between = str_of(end, (size_t)(helper->address.ptr - end));
	return !leads_on(between) && is_signature(helper, report_has_code(between)) ? helper : NULL;
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

static size_t name_length(struct str s)
{
	size_t n = 0;

	while (n < s.len && (ascii_is_alnum(s.ptr[n]) || s.ptr[n] == '.' || s.ptr[n] == '-'))
		n++;
	return n;
}

/* "[192.0.2.1]", "[2001:db8::1]" */
static bool begins_with_ip(struct str s)
{
	size_t n = 1;

	while (n < s.len && (ascii_is_digit(s.ptr[n]) || (s.ptr[n] && strchr("abcdefABCDEF:.", s.ptr[n]))))
		n++;
	return n > 1 && n < s.len && s.ptr[0] == '[' && s.ptr[n] == ']';
}

/* "Client host a.example[192.0.2.1] blocked", "your host a.example [192.0.2.1] is listed": who was refused. */
static bool is_refused_host(struct str before)
{
	static const struct str words[] = {
		STR_INIT("client"), STR_INIT("your"), STR_INIT("sending"), STR_INIT("sender"), STR_INIT("from"),
	};

	before = str_trim(before);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (str_ends_nocase(before, words[i]))
			return true;
	return false;
}

/* "host mx.example[192.0.2.1] said: ..." (Postfix), "host mx.example [192.0.2.1]" (Exim): who refused. Empty: nobody is named. */
static struct str host_in(struct str text)
{
	static const struct str lead = STR_INIT("host");

	for (size_t at = str_find(text, lead); at < text.len; at += str_find(str_from(text, at), lead)) {
		bool is_word = at == 0 || !ascii_is_alnum(text.ptr[at - 1]);

		at += lead.len;

		struct str rest = str_from(text, at), host = str_trim(rest);
		size_t n = host.ptr > rest.ptr && is_word ? name_length(host) : 0;

		if (n && begins_with_ip(str_trim(str_from(host, n))) && !is_refused_host(str_slice(text, 0, at - lead.len)))
			return str_slice(host, 0, n);
	}
	return STR_EMPTY;
}

bool report_take_words(struct reading *r, struct report_recipient *it)
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
	if (r->out->count == 1 && it->text.len == it->comment.len && r->text_count)
		it->text = str_slice(r->out->context, 0, WORDS_MAX);   /* nobody else is spoken of */
	if (it->remote.len == 0)
		it->remote = host_in(str_slice(it->text, 0, WORDS_MAX));
	return true;
}

/* Takes every sighting of one kind; of sentences and mentions the first. */
static bool sightings_take(struct reading *r, enum sighting_kind kind, bool is_last)
{
	bool only_first = kind >= SIGHTING_SENTENCE;

	for (size_t t = 0; t < r->text_count; t++) {
		const struct sighting *helper = is_last ? NULL : helper_of(r, &r->texts[t]);

		for (size_t i = 0; i < r->texts[t].count; i++) {
			const struct sighting *it = &r->texts[t].items[i];
			struct report_recipient *added;

			if (it->kind != kind || it == helper || report_recipient_find(r->out, it->address) ||
			    is_passed_over(r, it, is_last))
				continue;
			added = report_recipient_add(r, it->address);
			if (!added)
				return false;
			if (only_first)
				return true;
		}
	}
	return true;
}

/* The plainest kind of sighting that occurs. What only a sentence says needs a text that is surely a report. */
static bool recipients_from_text(struct reading *r)
{
	int last = r->text_score >= 4 ? SIGHTING_MENTION : r->text_score >= 3 ? SIGHTING_TO : SIGHTING_REPLY;

	for (int kind = SIGHTING_LINE; kind <= last && r->out->count == 0; kind++)
		if (!sightings_take(r, (enum sighting_kind)kind, false))
			return false;
	for (int kind = SIGHTING_LINE; kind <= last && kind <= SIGHTING_SENTENCE && r->out->count == 0; kind++)
		if (!sightings_take(r, (enum sighting_kind)kind, true))
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
		if (words_address(piece) == piece.len && piece.len && !report_recipient_find(r->out, piece) && !report_recipient_add(r, piece))
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
		if (!report_recipient_add(r, address))
			return false;
	}
	return true;
}

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

bool report_take_status(struct reading *r, struct str text)
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
	if (r->out->queue_id.len == 0)
		r->out->queue_id = parts_field(text, STR("X-Postfix-Queue-ID"));
	for (size_t i = 0; i < dsn.count; i++) {
		const struct dsn_recipient *from = &dsn.recipients[i];
		struct str original, address = status_address(from, &original);

		if (address.len == 0)
			address = failed_recipient(r, i);
		if (!has_at(address) && address.len && r->out->reporter.len &&
		    !arena_printf(r->arena, &address, STR_FMT "@" STR_FMT, STR_ARG(address), STR_ARG(r->out->reporter)))
			return err_memory(r->err);
		if (address.len == 0)
			continue;

		struct report_recipient *it = report_recipient_find(r->out, address);

		/* once for each, and of "expanded", then "failed", the failure */
		if (it && (it->action == DSN_FAILED || from->action != DSN_FAILED))
			continue;
		if (!it && !(it = report_recipient_add(r, address)))
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

bool report_take_named(struct reading *r)
{
	return recipients_from_header(r) && (r->out->count > 0 || recipients_from_names(r)) &&
	       (r->out->count > 0 || recipients_from_text(r));
}
