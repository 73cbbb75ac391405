/*
 * planted - preloaded into a program under test: the n-th call of a kind fails, as a shared file says (PLANTED_FILE).
 *
 * The file holds a `struct planted`, which t/e2e/lib/planted.py writes. Calls on a file count only when its path begins
 * with `place`; sockets, memory and threads have no place. A call that is to fail is not made.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, ALLOCATE = 16, RENAME = 32, UNLINK = 64, CONNECT = 128, MEMORY = 256, THREAD = 512, SPAWN = 1024, ANYWHERE = 2048 };

struct planted {
	_Atomic int64_t kinds;         /* which calls count; 0: none. Written last */
	_Atomic int64_t error;         /* errno */
	_Atomic int64_t countdown;     /* to the first that fails */
	_Atomic int64_t times;         /* how many fail in a row */
	_Atomic int64_t failed;        /* how many did */
	char place[216];
};
_Static_assert(sizeof(struct planted) == 256, "t/e2e/lib/planted.py packs it so");

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *old, size_t n);

static struct planted *planted;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("PLANTED_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof *planted, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		planted = map;
	close(fd);
}

static int is_counted(int kind)
{
	return planted && (atomic_load(&planted->kinds) & kind);
}

static int is_due(void)
{
	if (atomic_fetch_sub(&planted->countdown, 1) > 1 || atomic_fetch_sub(&planted->times, 1) <= 0)
		return 0;
	atomic_fetch_add(&planted->failed, 1);
	errno = (int)atomic_load(&planted->error);
	return 1;
}

static int at_place(const char *path)
{
	return strncmp(path, planted->place, strlen(planted->place)) == 0;
}

static int fails(enum kind kind)
{
	return is_counted(kind) && is_due();
}

static int fails_at(enum kind kind, const char *path)
{
	return is_counted(kind) && at_place(path) && is_due();
}

/* A file without a name any more is named "... (deleted)", and so still begins as it did. */
static int fails_on(enum kind kind, int fd)
{
	char link[64], path[PATH_MAX];
	int before = errno;

	if (!is_counted(kind))
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof path - 1);

	errno = before;
	if (len < 0)
		return 0;
	path[len] = '\0';
	return at_place(path) && is_due();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENS(name)                                                                                    \
	int name(const char *path, int flags, ...)                                                     \
	{                                                                                              \
		va_list ap;                                                                            \
		va_start(ap, flags);                                                                   \
		mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;           \
		va_end(ap);                                                                            \
		return fails_at(OPEN, path) ? -1 : REAL(name)(path, flags, mode);                      \
	}
OPENS(open)
OPENS(open64)

#define RETURNS(kind, type, name, arguments, values)                                                   \
	type name arguments                                                                            \
	{                                                                                              \
		return fails_on(kind, fd) ? -1 : REAL(name) values;                                    \
	}
RETURNS(READ, ssize_t, read, (int fd, void *data, size_t n), (fd, data, n))
RETURNS(READ, ssize_t, pread, (int fd, void *data, size_t n, off_t at), (fd, data, n, at))
RETURNS(READ, ssize_t, pread64, (int fd, void *data, size_t n, off64_t at), (fd, data, n, at))
RETURNS(WRITE, ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
RETURNS(WRITE, ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
RETURNS(WRITE, ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
RETURNS(WRITE, ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n))
RETURNS(WRITE, ssize_t, pwritev, (int fd, const struct iovec *parts, int n, off_t at), (fd, parts, n, at))
RETURNS(WRITE, ssize_t, pwritev64, (int fd, const struct iovec *parts, int n, off64_t at), (fd, parts, n, at))
RETURNS(WRITE, int, ftruncate, (int fd, off_t size), (fd, size))
RETURNS(WRITE, int, ftruncate64, (int fd, off64_t size), (fd, size))
RETURNS(SYNC, int, fsync, (int fd), (fd))
RETURNS(SYNC, int, fdatasync, (int fd), (fd))
RETURNS(ALLOCATE, int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
RETURNS(ALLOCATE, int, fallocate64, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n))

int rename(const char *from, const char *to) { return fails_at(RENAME, to) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return fails_at(UNLINK, path) ? -1 : REAL(unlink)(path); }
int connect(int fd, const struct sockaddr *to, socklen_t len) { return fails(CONNECT) ? -1 : REAL(connect)(fd, to, len); }

/* MEMORY: the program's own allocations. ANYWHERE: those of its libraries too, but not libmilter's, which leaves out what it
 * has no memory for (a macro, and nobody is logged in any more) and tells nobody. */
static int is_meant(const void *caller)
{
	Dl_info own, program;

	if (!dladdr(caller, &own))
		return 0;
	if (is_counted(ANYWHERE))
		return !strstr(own.dli_fname, "libmilter");
	return dladdr((const void *)getauxval(AT_ENTRY), &program) && own.dli_fbase == program.dli_fbase;
}

#define NO_MEMORY (is_counted(MEMORY | ANYWHERE) && is_meant(__builtin_return_address(0)) && is_due())

void *malloc(size_t n) { return NO_MEMORY ? NULL : __libc_malloc(n); }
void *calloc(size_t count, size_t n) { return NO_MEMORY ? NULL : __libc_calloc(count, n); }
void *realloc(void *old, size_t n) { return NO_MEMORY ? NULL : __libc_realloc(old, n); }

/* OpenSSL keeps its own: it does not survive a refusal at its beginning. */
int CRYPTO_set_mem_functions(void *allocate, void *grow, void *release)
{
	(void)allocate;
	(void)grow;
	(void)release;
	return 0;
}

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	return fails(THREAD) ? EAGAIN : REAL(pthread_create)(out, attributes, run, argument);
}

int posix_spawn(pid_t *out, const char *path, const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attributes,
		char *const argv[], char *const environment[])
{
	return fails(SPAWN) ? EAGAIN : REAL(posix_spawn)(out, path, files, attributes, argv, environment);
}
