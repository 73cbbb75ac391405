#include "milter/mail/dsn.h"

#include "config/base/utf8.h"
#include "config/base/words.h"

#define XTEXT_MAX 10                   /* octets of the longest, \x{10FFFF} */

enum field {
	FIELD_NONE,
	FIELD_FINAL, FIELD_ORIGINAL, FIELD_ACTUAL, FIELD_ACTION, FIELD_STATUS, FIELD_REMOTE_MTA, FIELD_DIAGNOSTIC,
	FIELD_CATEGORY,
	FIELD_OF_MESSAGE,              /* from here on: about the message */
	FIELD_REPORTING_MTA = FIELD_OF_MESSAGE, FIELD_ENVELOPE_ID,
};

static const struct { struct str name; enum field field; } fields[] = {
	{ STR_INIT("Final-Recipient"), FIELD_FINAL },
	{ STR_INIT("Original-Recipient"), FIELD_ORIGINAL },
	{ STR_INIT("X-Actual-Recipient"), FIELD_ACTUAL },
	{ STR_INIT("Action"), FIELD_ACTION },
	{ STR_INIT("Status"), FIELD_STATUS },
	{ STR_INIT("Remote-MTA"), FIELD_REMOTE_MTA },
	{ STR_INIT("Diagnostic-Code"), FIELD_DIAGNOSTIC },
	{ STR_INIT("X-PowerMTA-BounceCategory"), FIELD_CATEGORY },
	{ STR_INIT("Reporting-MTA"), FIELD_REPORTING_MTA },
	{ STR_INIT("Original-Envelope-Id"), FIELD_ENVELOPE_ID },
};

static const struct { struct str word; enum dsn_action action; } actions[] = {
	{ STR_INIT("failed"), DSN_FAILED },
	{ STR_INIT("failure"), DSN_FAILED },
	{ STR_INIT("fail"), DSN_FAILED },
	{ STR_INIT("error"), DSN_FAILED },
	{ STR_INIT("expired"), DSN_FAILED },
	{ STR_INIT("delayed"), DSN_DELAYED },
	{ STR_INIT("deferred"), DSN_DELAYED },
	{ STR_INIT("delivered"), DSN_DELIVERED },
	{ STR_INIT("deliverable"), DSN_DELIVERED },
	{ STR_INIT("relayed"), DSN_RELAYED },
	{ STR_INIT("expanded"), DSN_EXPANDED },
};

struct reader {
	struct str rest;
	struct arena *arena;
	struct dsn_report *out;
	struct dsn_recipient now;
	uint32_t seen;                 /* bit set of enum field in `now` */
	size_t room;
	bool is_gap;                   /* a blank line since the last field */
	struct err *err;
};

static enum field field_find(struct str name)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (str_eq_nocase(fields[i].name, name))
			return fields[i].field;
	return FIELD_NONE;
}

/* One field with its folded lines, the folds become one blank. */
static bool value_unfold(struct reader *r, struct str value, struct str *out)
{
	struct str line, folded = value;

	if (r->rest.len == 0 || (r->rest.ptr[0] != ' ' && r->rest.ptr[0] != '\t')) {
		*out = str_trim(value);
		return true;
	}
	while (r->rest.len && (r->rest.ptr[0] == ' ' || r->rest.ptr[0] == '\t') && str_next(&r->rest, '\n', &line))
		folded.len = (size_t)(line.ptr + line.len - folded.ptr);
	folded = str_trim(folded);

	char *to = arena_alloc(r->arena, folded.len + 1);
	size_t n = 0;

	if (!to)
		return err_memory(r->err);
	for (size_t i = 0; i < folded.len; i++) {
		char c = folded.ptr[i];
		bool is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

		if (is_blank && n && to[n - 1] == ' ')
			continue;
		to[n++] = is_blank ? ' ' : c;
	}
	*out = str_of(to, n);
	return true;
}

/* "rfc822; a@b" -> "a@b", and tells the type. A value without a type stays whole. */
static struct str type_cut(struct str value, struct str *out_type)
{
	struct str type, rest;

	*out_type = STR_EMPTY;
	if (!str_cut(value, ';', &type, &rest))
		return value;
	type = str_trim(type);
	if (type.len > 40)
		return value;
	for (size_t i = 0; i < type.len; i++)
		if (!ascii_is_alnum(type.ptr[i]) && !strchr("-_/.", type.ptr[i]))
			return value;
	*out_type = type;
	return str_trim(rest);
}

/* RFC 6533 3: \x{HEX} of utf-8-addr-xtext becomes the character itself. */
static bool xtext_decode(struct reader *r, struct str *s)
{
	if (str_find(*s, STR("\\x{")) == s->len)
		return true;

	char *to = arena_alloc(r->arena, s->len + 1);
	size_t n = 0;

	if (!to)
		return err_memory(r->err);
	for (size_t i = 0; i < s->len;) {
		struct str left = str_from(*s, i);
		size_t end = str_find_byte(str_slice(left, 0, XTEXT_MAX), '}');
		uint32_t c = 0;
		bool ok = str_starts(left, STR("\\x{")) && end > 3 && end < XTEXT_MAX && end < left.len;

		for (size_t k = 3; ok && k < end; k++) {
			ok = ascii_hex(left.ptr[k]) >= 0;
			c = c * 16 + (uint32_t)(ok ? ascii_hex(left.ptr[k]) : 0);
		}
		if (!ok || c == 0 || c > 0x10ffff) {
			to[n++] = s->ptr[i++];
			continue;
		}
		/* at least five octets were read for each character: four always fit */
		n += utf8_put(to + n, c);
		i += end + 1;
	}
	*s = str_of(to, n);
	return true;
}

/* What names a mailbox in the value, or nothing: `system;<>`, a pipe, a file. A bare local part counts. */
static bool address_read(struct reader *r, struct str value, struct str *out)
{
	struct str type, s = type_cut(value, &type);

	*out = STR_EMPTY;
	if (!xtext_decode(r, &s))
		return false;
	if (s.len && s.ptr[0] == '<')
		s = str_trim(str_from(s, 1));
	if (s.len && (s.ptr[0] == '|' || s.ptr[0] == '/' || s.ptr[0] == ':' || str_starts(s, STR("\"|"))))
		return true;
	s = str_slice(s, 0, str_find_byte(s, '>'));
	if (s.len && s.ptr[0] == '"')  /* a quoted local part: blanks belong to it */
		*out = str_find(s, STR("\"@")) < s.len ? s : STR_EMPTY;
	else
		*out = str_slice(s, 0, str_find_byte(s, ' '));
	return true;
}

static enum dsn_action action_read(struct str value)
{
	size_t n = 0;

	while (n < value.len && ascii_is_alpha(value.ptr[n]))
		n++;
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (str_eq_nocase(actions[i].word, str_slice(value, 0, n)))
			return actions[i].action;
	return DSN_ACTION_NONE;
}

/* "5.1.1 (why)", "5.1.1", "5.0." (read as 5.0.0), "553 words". */
static void status_read(struct str value, struct dsn_recipient *out)
{
	size_t n = words_enhanced(value);

	if (n == 0 && (str_starts(value, STR("5.0.")) || str_starts(value, STR("4.0.")))) {
		out->status = value.ptr[0] == '5' ? STR("5.0.0") : STR("4.0.0");
		return;
	}
	out->status = str_slice(value, 0, n);
	out->comment = str_trim(str_from(value, n));
}

static bool recipient_finish(struct reader *r)
{
	bool has_recipient = r->now.final.len || r->now.original.len || r->now.actual.len;
	bool has_field = (r->seen & (1U << FIELD_FINAL | 1U << FIELD_ORIGINAL)) != 0;

	if (r->now.action == DSN_ACTION_NONE && str_starts(r->now.status, STR("2.")))
		r->now.action = DSN_DELIVERED;
	if (has_recipient || (has_field && r->now.action != DSN_ACTION_NONE)) {
		if (r->out->count == DSN_RECIPIENTS_MAX) {
			r->out->dropped++;
		} else {
			if (r->out->count == r->room) {
				size_t room = r->room ? r->room * 4 : 4;
				struct dsn_recipient *more = arena_array(r->arena, room, sizeof *more);

				if (!more)
					return err_memory(r->err);
				if (r->out->count)
					memcpy(more, r->out->recipients, r->out->count * sizeof *more);
				r->out->recipients = more;
				r->room = room;
			}
			r->out->recipients[r->out->count++] = r->now;
		}
	}
	r->now = (struct dsn_recipient){ .action = DSN_ACTION_NONE };
	r->seen = 0;
	return true;
}

/* A group ends where a field comes a second time, or after a gap once it names somebody and what became of him. */
static bool starts_group(const struct reader *r, enum field field)
{
	uint32_t whole = 1U << FIELD_ACTION | 1U << FIELD_STATUS;

	if (r->seen & 1U << field)
		return true;
	return r->is_gap && (r->seen & (1U << FIELD_FINAL | 1U << FIELD_ORIGINAL)) && (r->seen & whole);
}

static bool field_take(struct reader *r, enum field field, struct str value)
{
	struct str type;

	if (field >= FIELD_OF_MESSAGE) {
		if (field == FIELD_REPORTING_MTA)
			r->out->reporting_mta = type_cut(value, &type);
		return true;
	}
	if (starts_group(r, field) && !recipient_finish(r))
		return false;
	r->seen |= 1U << field;
	switch (field) {
	case FIELD_FINAL:
		return address_read(r, value, &r->now.final);
	case FIELD_ORIGINAL:
		return address_read(r, value, &r->now.original);
	case FIELD_ACTUAL:
		return address_read(r, value, &r->now.actual);
	case FIELD_ACTION:
		r->now.action = action_read(value);
		return true;
	case FIELD_STATUS:
		status_read(value, &r->now);
		return true;
	case FIELD_REMOTE_MTA:
		r->now.remote_mta = type_cut(value, &type);
		return true;
	case FIELD_DIAGNOSTIC:
		r->now.diagnostic = type_cut(value, &r->now.diagnostic_type);
		return true;
	case FIELD_CATEGORY:
		r->now.category = value;
		return true;
	default:
		return true;
	}
}

bool dsn_parse(struct str text, struct arena *arena, struct dsn_report *out, struct err *err)
{
	struct reader r = { .rest = text, .arena = arena, .out = out, .err = err };
	struct str line, name, value;

	*out = (struct dsn_report){ .reporting_mta = STR_EMPTY };
	while (str_next(&r.rest, '\n', &line)) {
		if (str_trim(line).len == 0) {
			r.is_gap = true;
			continue;
		}
		if (!str_cut(line, ':', &name, &value))
			continue;
		enum field field = field_find(str_trim(name));

		if (field == FIELD_NONE)
			continue;
		if (!value_unfold(&r, value, &value) || !field_take(&r, field, value))
			return false;
		r.is_gap = false;
	}
	if (!recipient_finish(&r))
		return false;
	if (out->count == 0)
		return err_set(err, ERR_INPUT, "delivery status without a recipient");
	return true;
}
