#include "milter/mail/outcome.h"

#define HEAD_MAX 400
#define TRADITIONAL_LEN 15             /* "Jun  3 10:00:01" */
#define ISO_DATE_LEN 10                /* "2026-06-03" */

bool outcome_is_queue_id(struct str id)
{
	if (id.len < 5 || id.len > 40)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_is_alnum(id.ptr[i]) && id.ptr[i] != '-' && id.ptr[i] != '.')
			return false;
	return true;
}

/* "<22>": RFC 5424 6.2.1, which daemons that hand on what they received leave in front. */
static struct str priority_skip(struct str line)
{
	size_t n = 1;

	if (line.len == 0 || line.ptr[0] != '<')
		return line;
	while (n < line.len && n < 4 && ascii_is_digit(line.ptr[n]))
		n++;
	return n > 1 && n < line.len && line.ptr[n] == '>' ? str_from(line, n + 1) : line;
}

/* RFC 5424: "1 STAMP HOST PROGRAM PID MSGID DATA REST"; DATA is "-" or in brackets. */
static bool head_read_5424(struct str line, struct outcome_head *out, struct str *out_rest)
{
	struct str ignored, rest = str_from(line, 2);

	if (!str_cut(rest, ' ', &out->stamp, &rest) || !str_cut(rest, ' ', &ignored, &rest) ||
	    !str_cut(rest, ' ', &out->program, &rest) || !str_cut(rest, ' ', &ignored, &rest) || !str_cut(rest, ' ', &ignored, &rest))
		return false;
	if (str_starts(rest, STR("[")))
		rest = str_from(rest, str_find(str_slice(rest, 0, HEAD_MAX), STR("] ")) + 2);
	else if (!str_cut(rest, ' ', &ignored, &rest))
		return false;
	*out_rest = str_from(rest, str_starts(rest, STR("\xef\xbb\xbf")) ? 3 : 0);
	return true;
}

/* journalctl -o short-full writes "Wed 2026-06-03 ...". */
static struct str weekday_skip(struct str line)
{
	bool has_weekday = line.len > 8 && line.ptr[3] == ' ' && ascii_is_digit(line.ptr[7]) && line.ptr[8] == '-';

	return has_weekday ? str_from(line, 4) : line;
}

/* Behind "2026-06-03T10:00:01+09:00", "2026-06-03 10:00:01" or "Jun  3 10:00:01", fractions included. */
static size_t stamp_end(struct str line)
{
	bool is_iso = line.len && ascii_is_digit(line.ptr[0]);
	size_t n = is_iso ? str_find_byte(line, ' ') : TRADITIONAL_LEN;

	if (is_iso && n == ISO_DATE_LEN)
		n += 1 + str_find_byte(str_from(line, n + 1), ' ');
	if (!is_iso && n < line.len && line.ptr[n] == '.')
		n += str_find_byte(str_from(line, n), ' ');
	return n;
}

static bool head_read_3164(struct str line, struct outcome_head *out, struct str *out_rest)
{
	struct str head = str_slice(line, 0, HEAD_MAX);
	size_t end = str_find(head, STR("]: ")), n = stamp_end(line);

	if (end == head.len || n >= line.len || line.ptr[n] != ' ' || !str_cut_last(str_slice(head, 0, end), ' ', &head, &out->program))
		return false;
	out->stamp = str_slice(line, 0, n);
	out->program = str_slice(out->program, 0, str_find_byte(out->program, '['));
	*out_rest = str_from(line, end + 3);
	if (str_starts(*out_rest, STR("[ID ")))        /* Solaris */
		*out_rest = str_from(*out_rest, str_find(str_slice(*out_rest, 0, HEAD_MAX), STR("] ")) + 2);
	return true;
}

bool outcome_head_read(struct str line, struct outcome_head *out)
{
	struct str rest;
	bool is_read;

	line = str_slice(line, 0, OUTCOME_LINE_MAX);
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	line = weekday_skip(priority_skip(line));
	is_read = str_starts(line, STR("1 ")) ? head_read_5424(line, out, &rest) : head_read_3164(line, out, &rest);
	if (!is_read || !str_cut(rest, ':', &out->queue_id, &rest) || !outcome_is_queue_id(out->queue_id))
		return false;
	out->is_postfix = str_find_byte(out->program, '/') < out->program.len;
	out->rest = str_trim(rest);
	return true;
}

/* What only digits, and these where they stand, may fill: "2026-06-03T10:00" or "Jun  3 10:00:01". */
static bool is_dated(struct str line, const char *form)
{
	for (size_t i = 0; form[i]; i++) {
		bool is_digit = i < line.len && (ascii_is_digit(line.ptr[i]) || (form[i] == '_' && line.ptr[i] == ' '));

		if (i >= line.len || (form[i] == '0' || form[i] == '_' ? !is_digit : form[i] != '.' && form[i] != line.ptr[i]))
			return false;
	}
	return true;
}

/* By its stamp: no header field begins so. */
bool outcome_is_log(struct str line)
{
	static const char months[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
	struct str bare = priority_skip(line);

	if (bare.len < line.len && str_starts(bare, STR("1 ")))
		bare = str_from(bare, 2);
	bare = weekday_skip(bare);
	for (size_t i = 0; i + 4 < sizeof months; i += 4)
		if (str_starts(bare, str_of(months + i, 4)))
			return is_dated(bare, "... _0 00:00:00");
	return is_dated(bare, "0000-00-00.00:00:00");
}

/* Up to the comma that ends an address or a value; one within <> or "" does not. */
static size_t value_end(struct str s)
{
	char close = s.len == 0 ? '\0' : s.ptr[0] == '<' ? '>' : s.ptr[0] == '"' ? '"' : '\0';
	size_t end = close ? 1 + str_find_byte(str_from(s, 1), close) : 0;

	return end + str_find_byte(str_from(s, end), ',');
}

/* name=value up to the next comma. */
static bool field_find(struct str rest, struct str name, struct str *out)
{
	for (size_t at = 0; at + name.len < rest.len; at++) {
		struct str left = str_from(rest, at);

		if (!str_starts(left, name) || (at && rest.ptr[at - 1] != ' ' && rest.ptr[at - 1] != ','))
			continue;
		left = str_from(left, name.len);
		*out = str_trim(str_slice(left, 0, value_end(left)));
		return true;
	}
	return false;
}

static struct str address_bare(struct str s)
{
	if (s.len && s.ptr[0] == '<')
		return str_slice(s, 1, str_find_byte(s, '>') - 1);
	return s;
}

/* sendmail: "to=<a>,<b>,c@d, delay=...": a comma before a blank ends the list. */
bool outcome_next(struct str *more, struct str *out_recipient)
{
	struct str one = str_from(*more, 1);
	size_t end = value_end(one);

	if (more->len < 2 || more->ptr[0] != ',' || one.ptr[0] == ' ')
		return false;
	*out_recipient = address_bare(str_slice(one, 0, end));
	*more = str_from(one, end);
	return true;
}

/* "host mx.example.jp[192.0.2.1] said: 550 ... (in reply to RCPT TO command)": what stands behind "said:". */
static struct str reply_of(struct str said)
{
	static const struct str leads[] = { STR_INIT(" said: "), STR_INIT("refused to talk to me: ") };

	for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
		size_t at = str_find(said, leads[i]);

		if (at < said.len)
			return str_from(said, at + leads[i].len);
	}
	return STR_EMPTY;
}

static const struct { struct str word; enum outcome_kind kind; } postfix_words[] = {
	{ STR_INIT("sent"), OUTCOME_DELIVERED }, { STR_INIT("deferred"), OUTCOME_DELAYED }, { STR_INIT("bounced"), OUTCOME_FAILED },
	{ STR_INIT("expired"), OUTCOME_EXPIRED }, { STR_INIT("undeliverable"), OUTCOME_FAILED },
	{ STR_INIT("SOFTBOUNCE"), OUTCOME_DELAYED },   /* soft_bounce = yes */
};

/* `tail`: what stands behind the fields. */
static bool postfix_read(struct str tail, struct outcome *out)
{
	struct str status = str_from(tail, 9), word;

	if (!str_starts(tail, STR(", status=")))
		return false;
	word = str_slice(status, 0, str_find_byte(status, ' '));
	for (size_t i = 0; i < sizeof postfix_words / sizeof *postfix_words; i++)
		if (str_eq(postfix_words[i].word, word))
			out->kind = postfix_words[i].kind;
	out->said = str_trim(str_from(status, word.len));
	if (out->said.len >= 2 && out->said.ptr[0] == '(' && str_ends(out->said, STR(")")))
		out->said = str_slice(out->said, 1, out->said.len - 2);
	out->reply = reply_of(out->said);
	return out->kind != OUTCOME_NONE;
}

/* "..., dsn=5.0.0, reply=554 5.7.1 Rejected, stat=Service unavailable": newer ones say the remote's words by themselves. These
 * may hold ", stat=Sent": nothing is sent whose dsn says otherwise. */
static bool sendmail_read(struct str tail, struct str fields, struct outcome *out)
{
	size_t reply = str_find(fields, STR(", reply="));
	bool is_fine = out->status.len == 0 || out->status.ptr[0] == '2';

	if (!str_starts(tail, STR(", stat=")))
		return false;
	out->said = str_trim(str_from(tail, 7));
	if (reply < fields.len)
		out->reply = str_from(fields, reply + 8);
	if (is_fine && str_starts_nocase(out->said, STR("sent")))
		out->kind = OUTCOME_DELIVERED;
	else if (str_starts_nocase(out->said, STR("queued")) || str_starts_nocase(out->said, STR("quarantined")))
		out->kind = OUTCOME_NONE;
	else if (out->status.len && out->status.ptr[0] == '4')
		out->kind = OUTCOME_DELAYED;
	else if (str_starts_nocase(out->said, STR("deferred")))
		out->kind = OUTCOME_DELAYED;
	else
		out->kind = OUTCOME_FAILED;
	return out->kind != OUTCOME_NONE;
}

/* What stands before ", status=" or ", stat=": a stranger's words come behind it, and in the address before. */
static struct str fields_of(struct str rest)
{
	size_t from = 3 + value_end(str_from(rest, 3)), at;    /* "to=" */
	struct str tail = str_from(rest, from);

	at = str_find(tail, STR(", status="));
	if (at == tail.len)
		at = str_find(tail, STR(", stat="));
	return str_slice(rest, 0, from + at);
}

bool outcome_read(struct str line, struct outcome *out)
{
	struct outcome_head head;
	struct str rest, value, fields;

	*out = (struct outcome){ .kind = OUTCOME_NONE, .more = STR_EMPTY };
	if (!outcome_head_read(line, &head) || !str_starts(head.rest, STR("to=")))
		return false;
	out->program = head.program;
	out->queue_id = head.queue_id;
	rest = head.rest;
	fields = fields_of(rest);
	if (!field_find(fields, STR("to="), &value))
		return false;
	out->recipient = address_bare(value);
	out->more = head.is_postfix ? STR_EMPTY : str_from(fields, (size_t)(value.ptr - fields.ptr) + value.len);
	if (field_find(fields, STR("orig_to="), &value) || field_find(fields, STR("ctladdr="), &value))
		out->original = address_bare(value);
	if (field_find(fields, STR("relay="), &value)) {
		size_t n = 0;

		while (n < value.len && value.ptr[n] != '[' && value.ptr[n] != ' ')
			n++;
		out->remote = str_slice(value, 0, n);
	}
	if (field_find(fields, STR("dsn="), &value))
		out->status = value;
	rest = str_from(rest, fields.len);
	return postfix_read(rest, out) || sendmail_read(rest, fields, out);
}
