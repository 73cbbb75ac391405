/*
 * timeshift - preloaded into a server under test: its wall clock is moved by what a shared file says, in microseconds.
 *
 * Only what Redis asks for is shown moved: gettimeofday and CLOCK_REALTIME. The kernel vouches for what is shown.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict tv, void *restrict zone);
int clock_gettime(clockid_t id, struct timespec *ts);

static const _Atomic int64_t *shift_us;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("TIMESHIFT_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof *shift_us, PROT_READ, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		shift_us = map;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int result = (int)syscall(SYS_clock_gettime, id, ts);

	if (result == 0 && id == CLOCK_REALTIME && shift_us) {
		int64_t ns = ts->tv_nsec + atomic_load(shift_us) % 1000000 * 1000;

		ts->tv_sec += atomic_load(shift_us) / 1000000 + ns / 1000000000;
		ts->tv_nsec = ns % 1000000000;
	}
	return result;
}

int adjtimex(struct timex *state)
{
	*state = (struct timex){ .maxerror = 900 };
	return TIME_OK;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
