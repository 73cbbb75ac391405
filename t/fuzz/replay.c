/*
 * replay - run a fuzz target over its corpus, and over what a little damage makes of it.
 *
 * Each file of t/fuzz/corpus/NAME (the program's name after "fuzz_") is given whole, cut at every octet (a large one at
 * some) and altered replay_rounds times by a generator with a fixed seed, always against an unreadable page. Of a large corpus,
 * which libFuzzer wrote, each file gets fewer rounds. A target has libFuzzer's entry, so the same file goes further without
 * this one: make fuzz.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/buf.h"
#include "config/base/io.h"
#include "t/lib/unit.h"

#define REPLAY_CUTS_MAX 2048
#define REPLAY_FILE_MAX ((size_t)1 << 20)
#define REPLAY_FILES 100               /* so many get all their rounds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target whose runs take milliseconds says a smaller one. */
extern const int replay_rounds;
const int replay_rounds __attribute__((weak)) = 2000;

static size_t runs;
static int rounds;                     /* of each file */

static void run(struct str input)
{
	struct str walled = unit_wall(input);

	LLVMFuzzerTestOneInput((const uint8_t *)walled.ptr, walled.len);
	unit_wall_free(walled);
	runs++;
}

/* At every octet, or at so many of them as there are rounds. */
static void run_cuts(struct str input)
{
	size_t step = 1 + input.len / (size_t)rounds;

	for (size_t len = 0; len < input.len && len < REPLAY_CUTS_MAX; len += step)
		run(str_slice(input, 0, len));
}

/* Octets that mean something to one parser or another, and any other one time in four. */
static char some_octet(struct str input)
{
	static const char telling[] = "<>@,;:.\"()[]\\ \r\n\t=?%&{}'/-\0";

	if (rand() % 4 == 0)
		return (char)(rand() & 0xff);
	return rand() % 2 && input.len ? input.ptr[(size_t)rand() % input.len] : telling[(size_t)rand() % sizeof telling];
}

static void run_altered(struct str input, char *room)
{
	for (int round = 0; round < rounds && input.len; round++) {
		memcpy(room, input.ptr, input.len);
		for (int n = rand() % 8; n >= 0; n--)
			room[(size_t)rand() % input.len] = some_octet(input);
		run(str_of(room, input.len));
	}
}

static bool replay_file(const char *dir, const char *name)
{
	char path[4096 + 258];
	struct buf file;
	struct err err;

	buf_init(&file, REPLAY_FILE_MAX);
	snprintf(path, sizeof path, "%s/%s", dir, name);

	bool ok = io_read_file(path, &file, &err);
	struct str input = buf_view(&file);
	char *room = malloc(input.len + 1);

	if (ok && room) {
		run(input);
		run_cuts(input);
		run_altered(input, room);
	} else {
		fprintf(stderr, "%s: %s\n", path, ok ? "out of memory" : err.text);
	}
	free(room);
	buf_clear(&file);
	return ok;
}

static int rounds_of(const char *dir)
{
	DIR *corpus = opendir(dir);
	int files = 0;

	while (corpus && readdir(corpus))
		files++;
	if (corpus)
		closedir(corpus);
	return files <= REPLAY_FILES ? replay_rounds : replay_rounds * REPLAY_FILES / files;
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *name = strstr(argv[0], "fuzz_");
	char dir[4096];
	size_t files = 0;
	bool ok = true;

	(void)argc;
	while (name && strstr(name + 1, "fuzz_"))
		name = strstr(name + 1, "fuzz_");
	snprintf(dir, sizeof dir, "%s/t/fuzz/corpus/%s", srcdir ? srcdir : ".", name ? name + strlen("fuzz_") : "");

	rounds = rounds_of(dir);

	DIR *corpus = opendir(dir);

	srand(1);
	for (struct dirent *entry; corpus && (entry = readdir(corpus));) {
		if (entry->d_name[0] == '.')
			continue;
		files++;
		ok &= replay_file(dir, entry->d_name);
	}
	if (corpus)
		closedir(corpus);
	printf("%s: %zu files, %zu inputs\n", name ? name : argv[0], files, runs);
	return ok && files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
