#include "policy/bounce_said.h"

#include "config/base/words.h"

static const char *const command_names[SMTP_COMMAND_COUNT] = {
	"", "CONNECT", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "QUIT",
};

const char *smtp_command_name(enum smtp_command command)
{
	return command_names[command];
}

bool smtp_command_parse(struct str name, enum smtp_command *out)
{
	for (int i = 1; i < SMTP_COMMAND_COUNT; i++) {
		if (str_eq_nocase(str_from_c(command_names[i]), name)) {
			*out = (enum smtp_command)i;
			return true;
		}
	}
	return false;
}

/* RFC 3463 3.1: subject 0 is "other or undefined", whatever follows: Microsoft's 5.0.350 wraps another's reply. */
bool status_is_vague(struct str status)
{
	return status.len < 5 || str_starts(str_from(status, 1), STR(".0."));
}

const struct said_place said_places[] = {
	{ STR_INIT(" error following rcpt command "), SMTP_RCPT }, { STR_INIT(" error following data command "), SMTP_DATA },
	{ STR_INIT(" error following mail command "), SMTP_MAIL },
	{ STR_INIT(" smtp error rcpt to "), SMTP_RCPT }, { STR_INIT(" smtp error dot "), SMTP_DATA },
	{ STR_INIT(" smtp error mail from "), SMTP_MAIL }, { STR_INIT(" smtp error open "), SMTP_CONNECT },
	{ STR_INIT(" for rcpt to command "), SMTP_RCPT }, { STR_INIT(" for text command "), SMTP_DATA },
	{ STR_INIT(" for mail from command "), SMTP_MAIL }, { STR_INIT(" for data command "), SMTP_DATA },
	{ STR_INIT(" in reply to rcpt to "), SMTP_RCPT }, { STR_INIT(" in reply to end of data "), SMTP_DATA },
	{ STR_INIT(" in reply to data "), SMTP_DATA }, { STR_INIT(" in reply to mail from "), SMTP_MAIL },
	{ STR_INIT(" in reply to ehlo "), SMTP_HELO }, { STR_INIT(" in reply to helo "), SMTP_HELO },
	{ STR_INIT(" in reply to starttls "), SMTP_STARTTLS }, { STR_INIT(" in reply to auth "), SMTP_AUTH },
	{ STR_INIT(" after rcpt to "), SMTP_RCPT }, { STR_INIT(" after rcpt command "), SMTP_RCPT },
	{ STR_INIT(" after end of data "), SMTP_DATA }, { STR_INIT(" after pipelined end of data "), SMTP_DATA },
	{ STR_INIT(" after data "), SMTP_DATA }, { STR_INIT(" after pipelined data "), SMTP_DATA },
	{ STR_INIT(" after mail from "), SMTP_MAIL }, { STR_INIT(" after pipelined mail from "), SMTP_MAIL },
	{ STR_INIT(" after pipelined rcpt to "), SMTP_RCPT }, { STR_INIT(" after mail command "), SMTP_MAIL },
	{ STR_INIT(" after initial connection "), SMTP_CONNECT }, { STR_INIT(" after starttls "), SMTP_STARTTLS },
	{ STR_INIT(" remote mail server after ehlo "), SMTP_HELO }, { STR_INIT(" remote mail server after helo "), SMTP_HELO },
	{ STR_INIT(" remote mailer after ehlo "), SMTP_HELO }, { STR_INIT(" remote mailer after helo "), SMTP_HELO },
	{ STR_INIT(" remote server after ehlo "), SMTP_HELO }, { STR_INIT(" remote server after helo "), SMTP_HELO },
	{ STR_INIT(" refused to talk to me "), SMTP_CONNECT },
	{ STR_INIT(" does not like recipient "), SMTP_RCPT }, { STR_INIT(" does not like sender "), SMTP_MAIL },
	{ STR_INIT(" failed after i sent the message "), SMTP_DATA },
	{ STR_INIT(" failed on data command "), SMTP_DATA },
	{ STR_INIT(" but greeting failed "), SMTP_CONNECT },
	{ STR_INIT(" but my name was rejected "), SMTP_HELO },
	{ STR_INIT(" but sender was rejected "), SMTP_MAIL },
	{ STR_INIT(" but connection died "), SMTP_CONNECT },
	{ STR_INIT(" did not like our rcpt to "), SMTP_RCPT },
	{ STR_INIT(" did not like our mail from "), SMTP_MAIL },
	{ STR_INIT(" did not like our data "), SMTP_DATA },
	{ STR_INIT(" did not like our final data "), SMTP_DATA },
	{ STR_INIT(" did not like our ehlo "), SMTP_HELO }, { STR_INIT(" did not like our helo "), SMTP_HELO },
	{ STR_INIT(" smtp rcpt "), SMTP_RCPT }, { STR_INIT(" smtp data "), SMTP_DATA },
	{ STR_INIT(" smtp mail from "), SMTP_MAIL }, { STR_INIT(" step data "), SMTP_DATA },
	{ STR_INIT(" step rcpt "), SMTP_RCPT }, { STR_INIT(" step mail "), SMTP_MAIL },
	{ STR_INIT(" command rcpt to "), SMTP_RCPT }, { STR_INIT(" command mail from "), SMTP_MAIL },
	{ STR_INIT(" command data "), SMTP_DATA }, { STR_INIT(" in rcpt to "), SMTP_RCPT }, { STR_INIT(" in mail from "), SMTP_MAIL },
	{ STR_INIT(" state 14 "), SMTP_RCPT }, { STR_INIT(" state 17 "), SMTP_DATA },
	{ STR_INIT(" state 18 "), SMTP_DATA }, { STR_INIT(" hmailserver sent rcpt "), SMTP_RCPT },
	{ STR_INIT(" hmailserver sent mail "), SMTP_MAIL }, { STR_INIT(" hmailserver sent data "), SMTP_DATA },
	{ STR_INIT(" sent rcpt to "), SMTP_RCPT }, { STR_INIT(" sent mail from "), SMTP_MAIL },
	{ STR_INIT(" sent data "), SMTP_DATA }, { STR_INIT(" when sending rcpt "), SMTP_RCPT },
	{ STR_INIT(" performing the helo handshake "), SMTP_HELO },
	{ STR_INIT(" performing the ehlo handshake "), SMTP_HELO },
	{ STR_INIT(" receiving the initial server greeting "), SMTP_CONNECT },
	{ STR_INIT(" sending mail from "), SMTP_MAIL }, { STR_INIT(" sending rcpt to "), SMTP_RCPT },
	{ STR_INIT(" sending end of data "), SMTP_DATA }, { STR_INIT(" sending message body "), SMTP_DATA },
};
const size_t said_place_count = sizeof said_places / sizeof *said_places;

/* What Yahoo writes behind a reply. */
static enum smtp_command command_in_brackets(struct str text)
{
	static const struct said_place brackets[] = {
		{ STR_INIT("[RCPT_TO]"), SMTP_RCPT }, { STR_INIT("[MAIL_FROM]"), SMTP_MAIL }, { STR_INIT("[EOB]"), SMTP_DATA },
		{ STR_INIT("[DATA]"), SMTP_DATA }, { STR_INIT("[BODY]"), SMTP_DATA }, { STR_INIT("[CONNECT]"), SMTP_CONNECT },
	};

	for (size_t i = 0; i < sizeof brackets / sizeof *brackets; i++)
		if (str_find(text, brackets[i].words) < text.len)
			return brackets[i].command;
	return SMTP_UNKNOWN;
}

static enum smtp_command command_of_line(struct str line)
{
	static const struct { struct str verb; enum smtp_command command; } verbs[] = {
		{ STR_INIT("rcpt"), SMTP_RCPT }, { STR_INIT("data"), SMTP_DATA }, { STR_INIT("mail"), SMTP_MAIL },
		{ STR_INIT("ehlo"), SMTP_HELO }, { STR_INIT("helo"), SMTP_HELO }, { STR_INIT("."), SMTP_DATA },
		{ STR_INIT("starttls"), SMTP_STARTTLS }, { STR_INIT("auth"), SMTP_AUTH }, { STR_INIT("quit"), SMTP_QUIT },
	};

	line = str_trim(line);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_starts_nocase(line, verbs[i].verb))
			return verbs[i].command;
	return SMTP_UNKNOWN;
}

/* "<<< 550 no", "Out: 550 no" of Postfix, which is the server there, "Mon 10:00:01: <-- 550 no" of MDaemon. */
static bool turn_read(struct str line, bool *out_is_reply, struct str *out_said)
{
	static const struct { struct str mark; bool is_reply, is_behind_time; } turns[] = {
		{ STR_INIT(">>>"), false, false }, { STR_INIT("<<<"), true, false }, { STR_INIT("Out: "), true, false },
		{ STR_INIT("In: "), false, false }, { STR_INIT("--> "), false, true }, { STR_INIT("<-- "), true, true },
	};

	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
		size_t at = str_find(line, turns[i].mark);

		if (at == line.len || (at && !turns[i].is_behind_time))
			continue;
		*out_is_reply = turns[i].is_reply;
		*out_said = str_from(line, at + turns[i].mark.len);
		while (out_said->len && out_said->ptr[0] == '>')
			*out_said = str_from(*out_said, 1);
		*out_said = str_trim(*out_said);
		return true;
	}
	return false;
}

/* A dialogue: the last ">>> COMMAND" (or "In: COMMAND") before the first reply that refuses. */
static enum smtp_command command_by_dialogue(struct str text)
{
	enum smtp_command last = SMTP_UNKNOWN;
	bool was_command_head = false;
	struct str line;

	while (str_next(&text, '\n', &line)) {
		struct str head = str_trim(line), said;
		bool is_reply;

		if (was_command_head && head.len)
			return command_of_line(head);
		was_command_head = str_find(head, STR("SMTP command")) < head.len;
		while (head.len && head.ptr[0] == '>' && !str_starts(head, STR(">>>")))
			head = str_trim(str_from(head, 1));
		if (!turn_read(head, &is_reply, &said))
			continue;
		if (!is_reply)
			last = command_of_line(said);
		else if (last != SMTP_UNKNOWN && words_reply(said) >= 400 && !(last == SMTP_HELO && words_reply(said) / 10 == 50))
			return last;        /* who does not know EHLO is asked by HELO */
	}
	return SMTP_UNKNOWN;
}

static bool is_word_before(struct str text, size_t at)
{
	return at && (ascii_is_alnum(text.ptr[at - 1]) || text.ptr[at - 1] == '.' || text.ptr[at - 1] == ':' ||
		      text.ptr[at - 1] == '/' || text.ptr[at - 1] == '@' || text.ptr[at - 1] == '_');
}

static void codes_read(struct str text, struct said *out)
{
	struct str joined = STR_EMPTY, alone = STR_EMPTY, vague = STR_EMPTY;
	size_t reply_end = 0;
	bool has_reply_end = false;

	for (size_t at = 0; at < text.len; at++) {
		struct str left = str_from(text, at);
		int reply;
		size_t n;

		if (!ascii_is_digit(text.ptr[at]) || (is_word_before(text, at) && !(at && text.ptr[at - 1] == ':')))
			continue;
		n = words_enhanced(left);
		if (n && left.ptr[0] != '2') {
			struct str status = str_slice(left, 0, n);
			bool is_joined = has_reply_end && at - reply_end <= 4;

			if (status_is_vague(status))
				vague = vague.len ? vague : status;
			else if (is_joined && joined.len == 0)
				joined = status;
			else if (alone.len == 0)
				alone = status;
			at += n - 1;
			continue;
		}
		reply = words_reply(left);
		if (reply >= 400 && reply < 600) {
			if (out->reply == 0)
				out->reply = reply;
			reply_end = at + 3;
			has_reply_end = true;
		}
		while (at + 1 < text.len && ascii_is_digit(text.ptr[at + 1]))
			at++;
	}
	out->status = joined.len ? joined : alone.len ? alone : vague;
}

void said_read(struct str text, struct said *out)
{
	*out = (struct said){ .status = STR_EMPTY };
	text = str_slice(text, 0, SAID_MAX);
	codes_read(text, out);
	out->command = command_in_brackets(text);
	if (out->command == SMTP_UNKNOWN)
		out->command = command_by_dialogue(text);
}

struct str said_reply_of(struct str text)
{
	text = str_slice(text, 0, SAID_MAX);
	for (size_t at = 0; at < text.len; at++) {
		struct str left = str_from(text, at);
		size_t end;

		if ((left.ptr[0] != '4' && left.ptr[0] != '5') || is_word_before(text, at))
			continue;
		if (words_reply(left) < 400 && !words_enhanced(left))
			continue;
		end = str_find(left, STR("\n\n"));
		if (end == left.len)
			end = str_find(left, STR("\r\n\r\n"));
		return str_slice(left, 0, end);
	}
	return text;
}
