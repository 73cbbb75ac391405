#include "config/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 2048

static struct {
	const char *ident;
	enum log_target target;
	enum log_level level;
} sink = { .level = LOG_LEVEL_INFO };

static const struct {
	int priority;
	const char *word;
} levels[] = {
	[LOG_LEVEL_ERROR] = { LOG_ERR, "error: " },
	[LOG_LEVEL_WARN] = { LOG_WARNING, "warning: " },
	[LOG_LEVEL_INFO] = { LOG_INFO, "" },
	[LOG_LEVEL_DEBUG] = { LOG_DEBUG, "debug: " },
};

void log_open(const char *ident, enum log_target target, enum log_level level)
{
	sink.ident = ident;
	sink.target = target;
	sink.level = level;
	if (target == LOG_TO_SYSLOG)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

static void make_printable(const char *in, char out[LINE_MAX_OCTETS])
{
	size_t at = 0;

	for (; *in && at + 5 < LINE_MAX_OCTETS; in++) {
		unsigned char c = (unsigned char)*in;

		if (c < 0x20 || c == 0x7f)
			at += (size_t)snprintf(out + at, LINE_MAX_OCTETS - at, "\\x%02x", c);
		else
			out[at++] = (char)c;
	}
	out[at] = '\0';
}

static void write_line(enum log_level level, const char *fmt, va_list ap)
{
	char raw[LINE_MAX_OCTETS], line[LINE_MAX_OCTETS], out[LINE_MAX_OCTETS + 64];

	if (level > sink.level)
		return;
	vsnprintf(raw, sizeof raw, fmt, ap);
	make_printable(raw, line);
	if (sink.target == LOG_TO_SYSLOG) {
		syslog(levels[level].priority, "%s%s", levels[level].word, line);
		return;
	}

	int len = snprintf(out, sizeof out, "%s%s%s%s\n", sink.ident ? sink.ident : "", sink.ident ? ": " : "",
			   levels[level].word, line);
	/* One write a line, so that threads do not mix theirs. Nowhere is left to report a failing stderr. */
	if (write(STDERR_FILENO, out, (size_t)len) < 0)
		return;
}

#define LOG_FUNCTION(name, level)                    \
	void name(const char *fmt, ...)              \
	{                                            \
		va_list ap;                          \
                                                     \
		va_start(ap, fmt);                   \
		write_line(level, fmt, ap);          \
		va_end(ap);                          \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
