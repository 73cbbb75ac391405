#include "t/lib/unit.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/base/io.h"

#define PATIENCE_S "300"                /* with one test: it only ends what hangs, on any machine and under any sanitizer */

static char dir[PATH_MAX];
static pid_t dir_owner;

/* check looks when a test case is made, which is before anybody could tell it otherwise. */
__attribute__((constructor)) static void be_patient(void)
{
	setenv("CK_DEFAULT_TIMEOUT", PATIENCE_S, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void dir_remove(void)
{
	if (dir[0] && getpid() == dir_owner)
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *unit_dir(void)
{
	if (dir[0])
		return dir;

	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof dir, "%s/sekisho-unit.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		abort();
	dir_owner = getpid();
	atexit(dir_remove);
	return dir;
}

const char *unit_file(const char *name, struct str text)
{
	static char path[PATH_MAX];
	struct err err;

	ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", unit_dir(), name), PATH_MAX);
	ck_assert_msg(io_replace_file(path, text, 0600, &err), "%s", err.text);
	return path;
}

size_t unit_count(struct str text, const char *needle)
{
	size_t n = 0, at;

	while ((at = str_find(text, str_from_c(needle))) < text.len) {
		n++;
		text = str_from(text, at + strlen(needle));
	}
	return n;
}

int unit_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);

	unit_dir();                     /* before the forks, so that all tests share one and the parent removes it */
	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);

	printf("unit: %d passed, %d failed\n", run - failed, failed);
	srunner_free(runner);
	return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static size_t page_round(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) / page * page;
}

static struct str wall(struct str s, bool at_front)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = page_round(s.len);
	char *map = mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		abort();
	char *at = map + page + (at_front ? 0 : room - s.len);

	if (s.len)
		memcpy(at, s.ptr, s.len);
	mprotect(map, page, PROT_NONE);
	mprotect(map + page + room, page, PROT_NONE);
	return str_of(at, s.len);
}

struct str unit_wall(struct str s)
{
	return wall(s, false);
}

struct str unit_wall_front(struct str s)
{
	return wall(s, true);
}

void unit_wall_free(struct str s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t data = (uintptr_t)s.ptr / page * page;

	/* An empty copy stands on the far wall itself when there is no room page between. */
	munmap((void *)(data - page), page_round(s.len) + 2 * page);
}
