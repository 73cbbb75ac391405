#include "milter/mail/outcome.h"

/* "Jun  3 10:00:01 mx1 postfix/smtp[4001]: QUEUEID: rest", or with an RFC 3339 time: the program, the id and the rest. */
static bool head_read(struct str line, struct outcome *out, struct str *out_rest)
{
	size_t end = str_find(line, STR("]: ")), begin;
	struct str id;

	if (end == line.len || end > 200)
		return false;
	begin = end;
	while (begin && line.ptr[begin - 1] != ' ')
		begin--;
	out->program = str_slice(line, begin, end - begin);
	out->program = str_slice(out->program, 0, str_find_byte(out->program, '['));
	*out_rest = str_from(line, end + 3);
	if (str_starts(*out_rest, STR("[ID ")))        /* Solaris */
		*out_rest = str_from(*out_rest, str_find(*out_rest, STR("] ")) + 2);
	if (!str_cut(*out_rest, ':', &id, out_rest) || id.len < 5 || id.len > 40)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_is_alnum(id.ptr[i]) && id.ptr[i] != '-' && id.ptr[i] != '.')
			return false;
	out->queue_id = id;
	*out_rest = str_trim(*out_rest);
	return true;
}

/* "Jun  3 10:00:01 mx1 postfix/smtpd[4001]: " or "2026-06-03T10:00:01+09:00 mx1 ...": no header field begins so. */
bool outcome_is_log(struct str line)
{
	static const char months[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
	size_t pid_end = str_find(line, STR("]: ")), pid = pid_end;
	bool is_dated;

	if (pid_end == line.len || pid_end > 200 || line.len < 20)
		return false;
	while (pid && ascii_is_digit(line.ptr[pid - 1]))
		pid--;
	is_dated = ascii_is_digit(line.ptr[0]) && line.ptr[4] == '-' && line.ptr[7] == '-';
	for (size_t i = 0; i + 4 < sizeof months; i += 4)
		is_dated |= str_starts(line, str_of(months + i, 4));
	return is_dated && pid && pid < pid_end && line.ptr[pid - 1] == '[';
}

/* name=value up to the next comma; an address in brackets may hold one. */
static bool field_find(struct str rest, struct str name, struct str *out)
{
	for (size_t at = 0; at + name.len < rest.len; at++) {
		struct str left = str_from(rest, at);
		size_t end;

		if (!str_starts(left, name) || (at && rest.ptr[at - 1] != ' ' && rest.ptr[at - 1] != ','))
			continue;
		left = str_from(left, name.len);
		end = left.len && left.ptr[0] == '<' ? str_find_byte(left, '>') : 0;
		end += str_find_byte(str_from(left, end), ',');
		*out = str_trim(str_slice(left, 0, end));
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
	{ STR_INIT("softbounced"), OUTCOME_DELAYED },
};

static bool postfix_read(struct str rest, struct outcome *out)
{
	size_t at = str_find(rest, STR(", status="));
	struct str status = str_from(rest, at + 9), word;

	if (at == rest.len)
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
static bool sendmail_read(struct str rest, struct str fields, struct outcome *out)
{
	size_t at = str_find(rest, STR(", stat=")), reply = str_find(fields, STR(", reply="));
	bool is_fine = out->status.len == 0 || out->status.ptr[0] == '2';

	if (at == rest.len)
		return false;
	out->said = str_trim(str_from(rest, at + 7));
	if (reply < fields.len)
		out->reply = str_from(fields, reply + 8);
	if (is_fine && str_starts_nocase(out->said, STR("sent")))
		out->kind = OUTCOME_DELIVERED;
	else if (str_starts_nocase(out->said, STR("queued")))
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
	size_t from = str_find(rest, STR(">, ")), at;
	struct str tail = str_from(rest, from);

	at = str_find(tail, STR(", status="));
	if (at == tail.len)
		at = str_find(tail, STR(", stat="));
	return str_slice(rest, 0, from + at);
}

bool outcome_read(struct str line, struct outcome *out)
{
	struct str rest, value, fields;

	*out = (struct outcome){ .kind = OUTCOME_NONE };
	line = str_slice(line, 0, OUTCOME_LINE_MAX);
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (!head_read(line, out, &rest) || !str_starts(rest, STR("to=")))
		return false;
	fields = fields_of(rest);
	if (!field_find(fields, STR("to="), &value))
		return false;
	out->recipient = address_bare(value);
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
	return postfix_read(rest, out) || sendmail_read(rest, fields, out);
}
