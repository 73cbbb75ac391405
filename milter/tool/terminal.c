#include "milter/tool/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "config/base/clock.h"

/* The second screen, no cursor, no wrapping; and all of it back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[?7h\033[0m\033[?25h\033[?1049l"
#define FRAME_MAX ((size_t)4 << 20)

struct terminal {
	int signals;
	sigset_t before;
	bool was_resized;
	struct buf shown, next;        /* the frame that is on the screen, and what is sent for the new one */
};

/* For handlers and exit: they know no terminal but this. */
static struct termios cooked;
static volatile sig_atomic_t is_raw;

/* --- in and out */

static void put(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void leave(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	put(LEAVE, sizeof LEAVE - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &cooked);
}

static void enter(void)
{
	struct termios raw = cooked;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);       /* ^C and ^Z stay signals */
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	put(ENTER, sizeof ENTER - 1);
	is_raw = 1;
}

/* A fault of our own: the terminal first, then what would have happened anyway (SA_RESETHAND). */
static void on_fault(int number)
{
	leave();
	raise(number);
}

static void watch_faults(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGXCPU, SIGPIPE, SIGALRM };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigaction(faults[i], &action, NULL);
}

bool terminal_open(struct terminal **out, struct err *err)
{
	static const int asked[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };
	const char *kind = getenv("TERM");
	struct terminal *t;
	sigset_t set;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &cooked) != 0)
		return err_set(err, ERR_INPUT, "input and output are no terminal");
	if (!kind || !*kind || strcmp(kind, "dumb") == 0)
		return err_set(err, ERR_INPUT, "this terminal (TERM=%s) has no cursor that could be moved", kind ? kind : "");
	t = calloc(1, sizeof *t);
	if (!t)
		return err_memory(err);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
		sigaddset(&set, asked[i]);
	sigprocmask(SIG_BLOCK, &set, &t->before);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (t->signals < 0) {
		err_errno(err, ERR_BUSY, "signalfd");
		sigprocmask(SIG_SETMASK, &t->before, NULL);
		free(t);
		return false;
	}
	buf_init(&t->shown, FRAME_MAX);
	buf_init(&t->next, FRAME_MAX);
	atexit(leave);
	watch_faults();
	enter();
	*out = t;
	return true;
}

void terminal_close(struct terminal *t)
{
	if (!t)
		return;
	leave();
	close(t->signals);
	sigprocmask(SIG_SETMASK, &t->before, NULL);
	buf_clear(&t->shown);
	buf_clear(&t->next);
	free(t);
}

void terminal_size(const struct terminal *t, size_t *out_rows, size_t *out_columns)
{
	struct winsize size;
	bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;

	(void)t;
	*out_rows = !is_known ? 24 : size.ws_row < TERMINAL_ROWS_MAX ? size.ws_row : TERMINAL_ROWS_MAX;
	*out_columns = !is_known ? 80 : size.ws_col < TERMINAL_COLUMNS_MAX ? size.ws_col : TERMINAL_COLUMNS_MAX;
}

/* --- drawing */

static struct str take_line(struct str *rest)
{
	struct str line = STR_EMPTY;

	str_next(rest, '\n', &line);
	return line;
}

void terminal_draw(struct terminal *t, struct str frame)
{
	struct str old = buf_view(&t->shown), new = frame;
	size_t rows, columns;

	terminal_size(t, &rows, &columns);
	buf_reset(&t->next);
	if (t->was_resized || old.len == 0)
		buf_add_c(&t->next, "\033[2J");
	for (size_t row = 0; row < rows; row++) {
		struct str was = take_line(&old), is = take_line(&new);

		if (str_eq(was, is) && !t->was_resized)
			continue;
		buf_printf(&t->next, "\033[%zuH", row + 1);
		buf_add(&t->next, is);
		buf_add_c(&t->next, "\033[0m\033[K");
	}
	put(t->next.ptr, t->next.len);
	t->was_resized = false;
	buf_reset(&t->shown);
	buf_add(&t->shown, frame);
}

/* --- waiting */

static int pause_here(struct terminal *t)
{
	leave();
	raise(SIGSTOP);
	enter();
	t->was_resized = true;
	return TERMINAL_RESIZED;
}

static int read_signal(struct terminal *t)
{
	struct signalfd_siginfo info;

	if (read(t->signals, &info, sizeof info) != sizeof info)
		return 0;
	if (info.ssi_signo == SIGTSTP)
		return pause_here(t);
	t->was_resized |= info.ssi_signo == SIGWINCH;
	return info.ssi_signo == SIGWINCH ? TERMINAL_RESIZED : TERMINAL_END;
}

/* A cursor key comes as several octets at once; any other such run is no key of ours. */
static int read_key(void)
{
	static const struct {
		struct str text;
		int key;
	} rows[] = { { STR_INIT("\033[A"), TERMINAL_UP },	 { STR_INIT("\033OA"), TERMINAL_UP },
		     { STR_INIT("\033[B"), TERMINAL_DOWN },	 { STR_INIT("\033OB"), TERMINAL_DOWN },
		     { STR_INIT("\033[5~"), TERMINAL_PAGE_UP }, { STR_INIT("\033[6~"), TERMINAL_PAGE_DOWN } };
	char text[32];
	ssize_t n = read(STDIN_FILENO, text, sizeof text);

	if (n <= 0)
		return n < 0 && errno == EINTR ? 0 : TERMINAL_END;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(rows[i].text, str_of(text, (size_t)n)))
			return rows[i].key;
	return text[0] == '\033' ? 0 : (unsigned char)text[n - 1];
}

int terminal_wait(struct terminal *t, int64_t until_us)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = t->signals, .events = POLLIN },
					{ .fd = STDIN_FILENO, .events = POLLIN } };
		int64_t left_us = until_us - clock_mono_us();
		int got = 0;

		if (left_us <= 0)
			return TERMINAL_TIME;
		if (poll(fds, 2, (int)(left_us / 1000) + 1) < 0 && errno != EINTR)
			return TERMINAL_END;
		if (fds[0].revents)
			got = read_signal(t);
		else if (fds[1].revents)
			got = read_key();
		if (got)
			return got;
	}
}
