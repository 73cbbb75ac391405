/*
 * syslog - a syslog(3) that writes into a file, for a private Sendmail: the real one tells the host's log everything.
 *
 * Loaded before the C library (LD_PRELOAD). TEST_SYSLOG names the file; it is opened for each line, so that it can be renamed.
 * Lines are as rsyslog writes them by its traditional format.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char path[4096];

/* Sendmail empties its environment before it says the first word. */
__attribute__((constructor)) static void remember(void)
{
	const char *name = getenv("TEST_SYSLOG");

	snprintf(path, sizeof path, "%s", name ? name : "/dev/null");
}

static void put(const char *fmt, va_list ap)
{
	char text[8192], line[9000], stamp[32];
	time_t now = time(NULL);
	int fd, len;

	vsnprintf(text, sizeof text, fmt, ap);
	strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", localtime(&now));
	len = snprintf(line, sizeof line, "%s sm sendmail[%d]: %s\n", stamp, (int)getpid(), text);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	(void)!fchmod(fd, 0666);       /* root writes the first line, its own user the others */
	(void)!write(fd, line, (size_t)len);
	close(fd);
}

void syslog(int priority, const char *fmt, ...)
{
	va_list ap;

	(void)priority;
	va_start(ap, fmt);
	put(fmt, ap);
	va_end(ap);
}

void vsyslog(int priority, const char *fmt, va_list ap)
{
	(void)priority;
	put(fmt, ap);
}

/* What a program calls that was compiled with _FORTIFY_SOURCE. */
void __syslog_chk(int priority, int flag, const char *fmt, ...);
void __syslog_chk(int priority, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)priority;
	(void)flag;
	va_start(ap, fmt);
	put(fmt, ap);
	va_end(ap);
}

void __vsyslog_chk(int priority, int flag, const char *fmt, va_list ap);
void __vsyslog_chk(int priority, int flag, const char *fmt, va_list ap)
{
	(void)priority;
	(void)flag;
	put(fmt, ap);
}
