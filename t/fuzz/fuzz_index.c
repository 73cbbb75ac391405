/* Any octets as the index of a log file: as they are, and with MACs put right as if their author had the key. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/io.h"
#include "milter/record/index.h"
#include "t/lib/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DAY 20778                              /* 2026-11-21 */
#define NAME "2026-11-21.jsonl"

static const struct record_file file = { DAY, 1 };
static const unsigned char key[INDEX_KEY_LEN] = "the key of t/fuzz/fuzz_index.c!";
static char dir[PATH_MAX], path[PATH_MAX];
static int log_fd = -1;
static off_t log_size;

static void begin(void)
{
	static const char line[] = "{\"seq\":1,\"from\":\"a@x.example\"}\n";
	char log[PATH_MAX + 32], folder[PATH_MAX + 8];

	snprintf(dir, sizeof dir, "%s", unit_dir());
	snprintf(folder, sizeof folder, "%s/.index", dir);
	snprintf(log, sizeof log, "%s/" NAME, dir);
	log_fd = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert(log_fd >= 0 && io_make_dirs(folder, 0700, NULL) && index_path(dir, file, path));
	for (int i = 0; i < 100; i++)
		assert(io_write_all(log_fd, str_from_c(line), log, NULL));
	log_size = lseek(log_fd, 0, SEEK_END);
}

static void put_right(unsigned char *octets, size_t size)
{
	struct index_keys keys;
	uint64_t tail = 0, covered;

	if (size < INDEX_HEAD_LEN)
		return;
	index_keys_make(key, STR(NAME), octets + 32, &keys);
	covered = le64_read(octets + 8);
	if (covered <= (uint64_t)log_size)
		index_tail_mac(&keys, log_fd, (int64_t)covered, &tail);
	le64_write(tail, octets + 48);
	le64_write(siphash(keys.mac, str_of((const char *)octets, INDEX_HEAD_LEN - 8)), octets + INDEX_HEAD_LEN - 8);
}

static void ask(const unsigned char *octets, size_t size)
{
	static const struct { enum index_field field; struct str value; } questions[] = {
		{ INDEX_SENDER, STR_INIT("A@x.example") }, { INDEX_SENDER_DOMAIN, STR_INIT("a@x.example") },
		{ INDEX_CLIENT, STR_INIT("192.0.2.1") }, { INDEX_REFERENCE, STR_INIT("<4Xv@x>") }, { INDEX_RECIPIENT_DOMAIN, STR_INIT("x") },
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct index index;

	assert(fd >= 0 && write(fd, octets, size) == (ssize_t)size && close(fd) == 0);
	if (!index_open(dir, file, key, log_fd, log_size, &index))
		return;
	assert(index.covered <= log_size);
	for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
		struct index_blocks blocks = { 0 };

		if (index_look_up(&index, questions[i].field, questions[i].value, &blocks))
			for (size_t at = 1; at < INDEX_BLOCKS_MAX / 64; at++)
				assert(blocks.bits[at] == 0);           /* the log has one block */
	}
	index_close(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *copy = malloc(size + 1);

	if (log_fd < 0)
		begin();
	if (size)
		memcpy(copy, data, size);
	ask(copy, size);
	put_right(copy, size);
	ask(copy, size);
	free(copy);
	return 0;
}
