#include "milter/letterbox.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/num.h"
#include "config/net.h"
#include "milter/mail/base64.h"

#define LINE_MAX_OCTETS 1000           /* RFC 5321 4.5.3.1.5: a reply line has 512 */
#define MAIL_MAX ((size_t)256 << 10)
#define SAID_MAX 200

void letterbox_name(char out[LETTERBOX_SENDER_MAX + 1])
{
	unsigned char secret[12];
	size_t at = (size_t)snprintf(out, LETTERBOX_SENDER_MAX + 1, "sekisho-");

	/* Without randomness (it blocks early at boot alone) the gate does not know its own mail; it knows nobody else's either. */
	if (getrandom(secret, sizeof secret, 0) != sizeof secret) {
		out[0] = '\0';
		return;
	}
	hex_write(secret, sizeof secret, out + at);
	out[at + 2 * sizeof secret] = '\0';
}

/* --- the dialogue */

struct talk {
	int fd;
	struct str server;
	int64_t timeout_us;            /* of a step */
	char line[LINE_MAX_OCTETS];
};

static bool connect_to(struct talk *t, struct err *err)
{
	const struct timeval wait = { .tv_sec = t->timeout_us / US_PER_S, .tv_usec = t->timeout_us % US_PER_S };
	struct sockaddr_storage address;
	socklen_t address_len;

	if (!net_parse_listen(t->server, &address, &address_len))
		return err_set(err, ERR_CONFIG, "notify.server: " STR_FMT " is no ADDRESS:PORT", STR_ARG(t->server));
	t->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return err_errno(err, ERR_BUSY, "socket");
	setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);    /* connect(2) keeps to it too */
	return connect(t->fd, (struct sockaddr *)&address, address_len) == 0 || err_errno(err, ERR_BUSY, "connecting");
}

/* Until there is something to read; each octet has what the ones before it have left of the step's time. */
static bool wait_octet(struct talk *t, int64_t until_us, struct err *err)
{
	struct pollfd in = { .fd = t->fd, .events = POLLIN };

	for (int64_t left_us; (left_us = until_us - clock_mono_us()) > 0;) {
		int ready = poll(&in, 1, (int)(left_us / 1000) + 1);

		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return err_errno(err, ERR_BUSY, "waiting");
	}
	return err_set(err, ERR_BUSY, "no answer in time");
}

static bool read_line(struct talk *t, int64_t until_us, struct str *out, struct err *err)
{
	for (size_t n = 0; n < sizeof t->line;) {
		if (!wait_octet(t, until_us, err))
			return false;

		ssize_t got = recv(t->fd, t->line + n, 1, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(err, ERR_BUSY, "reading");
		if (got == 0)
			return err_set(err, ERR_BUSY, "the server hung up");
		if (t->line[n++] != '\n')
			continue;
		*out = str_trim(str_of(t->line, n));
		return true;
	}
	return err_set(err, ERR_BUSY, "an answer without end");
}

#define REPLY_LINES_MAX 100

/* The last line of a reply; `want` is its first digit. */
static bool hear(struct talk *t, char want, const char *to_what, struct err *err)
{
	struct str line = STR_EMPTY;
	int64_t until_us = clock_mono_us() + t->timeout_us;

	for (int i = 0; i < REPLY_LINES_MAX; i++) {
		if (!read_line(t, until_us, &line, err))
			return err_wrap(err, "after %s", to_what);
		if (line.len >= 3 && !(line.len > 3 && line.ptr[3] == '-'))
			break;
	}
	if (line.len >= 3 && line.ptr[0] == want)
		return true;
	line = str_slice(line, 0, SAID_MAX);
	return err_set(err, ERR_BUSY, "it answers %s with " STR_FMT, to_what, STR_ARG(line));
}

static bool say(struct talk *t, struct str text, char want, const char *what, struct err *err)
{
	return io_write_all(t->fd, text, "SMTP server", err) && hear(t, want, what, err);
}

static bool say_path(struct talk *t, const char *command, struct str local, struct str domain, struct err *err)
{
	struct buf line;
	struct str text;

	buf_init(&line, LINE_MAX_OCTETS);
	buf_printf(&line, "%s:<" STR_FMT "%s" STR_FMT ">\r\n", command, STR_ARG(local), domain.len ? "@" : "", STR_ARG(domain));

	bool ok = buf_done(&line, &text, err) && say(t, text, '2', command, err);

	buf_clear(&line);
	return ok;
}

/* --- the letter */

static void write_date(struct buf *out)
{
	char date[64];
	time_t now = (time_t)((clock_now_us() + JST_OFFSET_US) / US_PER_S);
	struct tm tm;

	if (gmtime_r(&now, &tm) && strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0900", &tm))
		buf_printf(out, "Date: %s\r\n", date);
}

/* Any UTF-8, whatever it is, in lines of 76: nothing in it can end the letter or a header. */
static void write_body(struct str text, struct buf *out)
{
	buf_add(out, STR("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
	base64_encode(text, STR("\r\n"), out);
	buf_add(out, STR(".\r\n"));
}

static void write_letter(const struct letterbox_mail *mail, struct buf *out)
{
	buf_printf(out, "From: Sekisho on " STR_FMT " <" STR_FMT ">\r\nTo: ", STR_ARG(mail->node), STR_ARG(mail->from));
	for (size_t i = 0; i < mail->to.count; i++)
		buf_printf(out, "%s" STR_FMT, i ? ",\r\n " : "", STR_ARG(mail->to.items[i]));
	buf_add(out, STR("\r\nSubject: =?utf-8?B?"));
	base64_encode(str_slice(mail->subject, 0, 42), STR_EMPTY, out);   /* RFC 2047 2: 75 octets a word */
	buf_add(out, STR("?=\r\n"));
	write_date(out);
	buf_add(out, STR("Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"));
	write_body(mail->text, out);
}

static bool deliver(struct talk *t, const struct letterbox_mail *mail, struct str letter, struct err *err)
{
	struct str local, domain = STR_EMPTY, text;
	struct buf helo;
	bool ok;

	str_cut_last(mail->from, '@', &local, &domain);
	buf_init(&helo, LINE_MAX_OCTETS);
	buf_printf(&helo, "HELO " STR_FMT "\r\n", STR_ARG(mail->node));
	ok = buf_done(&helo, &text, err) && hear(t, '2', "our call", err) && say(t, text, '2', "HELO", err) &&
	     say_path(t, "MAIL FROM", mail->own_sender.len ? mail->own_sender : local, domain, err);
	buf_clear(&helo);
	for (size_t i = 0; ok && i < mail->to.count; i++)
		ok = say_path(t, "RCPT TO", mail->to.items[i], STR_EMPTY, err);
	return ok && say(t, STR("DATA\r\n"), '3', "DATA", err) && say(t, letter, '2', "the letter", err);
}

bool letterbox_send(struct str server, const struct letterbox_mail *mail, int64_t timeout_us, struct err *err)
{
	struct talk talk = { .fd = -1, .server = server, .timeout_us = timeout_us };
	struct buf letter;
	struct str text;
	struct err ignored;
	bool ok;

	buf_init(&letter, MAIL_MAX);
	write_letter(mail, &letter);
	ok = buf_done(&letter, &text, err) && connect_to(&talk, err) && deliver(&talk, mail, text, err);
	if (ok)
		io_write_all(talk.fd, STR("QUIT\r\n"), "SMTP server", &ignored);
	if (talk.fd >= 0)
		close(talk.fd);
	buf_clear(&letter);
	return ok || err_wrap(err, "mail by " STR_FMT, STR_ARG(server));
}
