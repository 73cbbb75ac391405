/*
 * bench_record - the relay log against the disk it stands on, in one run.
 *
 *   bench_record append [DIR] [SECONDS]     appends by 1 and by 64 writers, each beside a bare loop that writes and syncs
 *                                           groups of the same size: records/s, latencies, ratios, CPU a record; then the
 *                                           same records sealed
 *   bench_record verify [DIR] [MEGABYTES]   one core, then all
 *   bench_record                            both
 *
 * DIR (default: the present directory) should be where the log will be; what is made there is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "milter/record/sign.h"
#include "milter/record/verify.h"
#include "milter/record/writer.h"

#define WRITERS_MAX 64
#define ROUNDS 3
#define SAMPLES_MAX 400000

static char top[PATH_MAX - 100], class_dir[PATH_MAX], key_file[PATH_MAX], pub_file[PATH_MAX], keyring[PATH_MAX];
static double seconds = 6;

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "bench_record: %s: %s\n", what, err ? err->text : strerror(errno));
	exit(1);
}

static struct str recipients[] = { STR_INIT("taro.yamada@customer.example"), STR_INIT("hanako@another.example.jp") };

static struct record_event typical(void)
{
	return (struct record_event){
		.event = STR("accepted"), .tenant = STR("acme"), .message = STR("01JD6Z5M3Q9V0T8E2R7Y4K1N6B"),
		.queue_id = STR("4XvJ9k2Lz1z1Xb"), .host = STR("mx1.relay.example"), .client = STR("192.0.2.17"),
		.auth = STR("sales@acme.example"), .helo = STR("app7.acme.example"), .tls = STR("TLSv1.3"),
		.from = STR("bounce+01JD6Z5M3Q@mail.acme.example"), .to = recipients, .to_count = 2, .size = 48231, .nrcpt = 2,
		.subject_hash = STR("9f86d081884c7d65"), .verdict = STR("accept"),
	};
}

static struct record_writer *open_writer(const char *key, bool is_sealed)
{
	struct record_writer_config config = { .dir = str_from_c(class_dir), .node = STR("bench"), .key_file = str_from_c(key),
					       .preallocate = 16 << 20, .keyring = str_from_c(keyring), .is_sealed = is_sealed };
	struct record_writer *writer;
	struct err err;

	if (!record_writer_open(&config, &writer, &err))
		die("open", &err);
	return writer;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static void remove_files(void)
{
	nftw(top, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Latencies of one kind, in microseconds; of very many the first. */
struct samples {
	int64_t us[SAMPLES_MAX];
	size_t count;
};

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int64_t percentile(struct samples *samples, double p)
{
	qsort(samples->us, samples->count, sizeof *samples->us, compare);
	return samples->count ? samples->us[(size_t)(p * (double)(samples->count - 1))] : 0;
}

static void add_sample(struct samples *samples, int64_t us)
{
	if (samples->count < SAMPLES_MAX)
		samples->us[samples->count++] = us;
}

struct work {
	pthread_t thread;
	struct record_writer *writer;
	int64_t until_us, done;
	struct samples *samples;
};

static void *append_until(void *arg)
{
	struct work *work = arg;
	struct record_event event = typical();
	struct err err;

	for (int64_t now = clock_mono_us(), begin; now < work->until_us; work->done++) {
		begin = now;
		if (!record_append(work->writer, &event, RECORD_DURABLE, NULL, &err))
			die("append", &err);
		now = clock_mono_us();
		add_sample(work->samples, now - begin);
	}
	return NULL;
}

struct figures {
	double records_s, cpu_us, group;
	double group_bytes;
	struct samples samples;
};

static double cpu_us(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void run_writers(int count, bool is_sealed, double run_s, struct figures *out)
{
	static struct work work[WRITERS_MAX];
	struct record_writer *writer = open_writer("", is_sealed);
	struct record_writer_state before, after;
	int64_t begin = clock_mono_us(), records = 0;
	double cpu = cpu_us();

	record_writer_state(writer, &before);
	for (int i = 0; i < count; i++) {
		struct samples *samples = calloc(1, sizeof *samples);

		work[i] = (struct work){ .writer = writer, .until_us = begin + (int64_t)(run_s * 1e6), .samples = samples };
		if (!samples || pthread_create(&work[i].thread, NULL, append_until, &work[i]) != 0)
			die("thread", NULL);
	}
	for (int i = 0; i < count; i++) {
		pthread_join(work[i].thread, NULL);
		records += work[i].done;
		for (size_t at = 0; at < work[i].samples->count; at++)
			add_sample(&out->samples, work[i].samples->us[at]);
		free(work[i].samples);
	}
	double took = (double)(clock_mono_us() - begin);

	record_writer_state(writer, &after);
	record_writer_close(writer);
	out->records_s = (double)records / took * 1e6;
	out->cpu_us = (cpu_us() - cpu) / (double)records;
	out->group = (double)records / (double)(after.groups - before.groups);
	out->group_bytes = (double)(after.bytes - before.bytes) / (double)(after.groups - before.groups);
}

/* The bare loop: the same number of octets a group into preallocated space, nothing else. */
static void run_raw(const struct figures *like, double run_s, struct figures *out)
{
	char path[PATH_MAX];
	size_t n = (size_t)like->group_bytes;
	char *octets = malloc(n);

	snprintf(path, sizeof path, "%s/raw", top);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || !octets)
		die(path, NULL);
	memset(octets, 'x', n);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 256 << 20) != 0)
		die("fallocate", NULL);

	int64_t begin = clock_mono_us(), until = begin + (int64_t)(run_s * 1e6), groups = 0, now = begin;

	while (now < until) {
		int64_t was = now;

		if (write(fd, octets, n) != (ssize_t)n || fdatasync(fd) != 0)
			die(path, NULL);
		now = clock_mono_us();
		add_sample(&out->samples, now - was);
		groups++;
	}
	out->records_s = (double)groups * like->group / (double)(now - begin) * 1e6;
	close(fd);
	unlink(path);
	free(octets);
}

static void compare_with_raw(int writers)
{
	struct figures *ours = calloc(1, sizeof *ours), *raw = calloc(1, sizeof *raw);
	double ours_s = 0, raw_s = 0;

	if (!ours || !raw)
		die("memory", NULL);
	for (int round = 0; round < ROUNDS; round++) {
		run_writers(writers, false, seconds / 4 / ROUNDS, ours);
		run_raw(ours, seconds / 4 / ROUNDS, raw);
		ours_s += ours->records_s;
		raw_s += raw->records_s;
	}
	printf("append, %2d writers: %8.0f records/s, raw group commit of the same bytes %8.0f, ratio %.2f (at least 0.50)\n", writers,
	       ours_s / ROUNDS, raw_s / ROUNDS, ours_s / raw_s);
	printf("  groups of %.1f records, %.0f octets; CPU %.1f us a record\n", ours->group, ours->group_bytes, ours->cpu_us);
	int64_t ours50 = percentile(&ours->samples, 0.5), ours99 = percentile(&ours->samples, 0.99);
	int64_t raw50 = percentile(&raw->samples, 0.5), raw99 = percentile(&raw->samples, 0.99);

	printf("  latency p50 %" PRId64 " us, p99 %" PRId64 " us; write and fdatasync of such a group p50 %" PRId64 ", p99 %" PRId64
	       "; ratios %.2f, %.2f\n", ours50, ours99, raw50, raw99, (double)ours50 / (double)raw50, (double)ours99 / (double)raw99);
	free(ours);
	free(raw);
}

/* What personal_data: sealed costs whoever appends. */
static void compare_sealed(int writers)
{
	struct figures *plain = calloc(1, sizeof *plain), *sealed = calloc(1, sizeof *sealed);
	double plain_s = 0, sealed_s = 0, plain_cpu = 0, sealed_cpu = 0;

	if (!plain || !sealed)
		die("memory", NULL);
	for (int round = 0; round < ROUNDS; round++) {
		run_writers(writers, false, seconds / 4 / ROUNDS, plain);
		run_writers(writers, true, seconds / 4 / ROUNDS, sealed);
		plain_s += plain->records_s;
		sealed_s += sealed->records_s;
		plain_cpu += plain->cpu_us / ROUNDS;
		sealed_cpu += sealed->cpu_us / ROUNDS;
	}
	printf("append sealed, %2d writers: %8.0f records/s, plain %8.0f, ratio %.2f; CPU %.1f us a record, plain %.1f\n", writers,
	       sealed_s / ROUNDS, plain_s / ROUNDS, sealed_s / plain_s, sealed_cpu, plain_cpu);
	free(plain);
	free(sealed);
}

static void bench_append(void)
{
	compare_with_raw(1);
	compare_with_raw(WRITERS_MAX);
	compare_sealed(1);
	compare_sealed(WRITERS_MAX);
}

/* Fills a log without waiting for each record. */
static void fill(int64_t octets)
{
	struct record_writer *writer = open_writer(key_file, false);
	struct record_writer_state state = { 0 };
	struct record_event event = typical();
	struct err err;

	while (state.bytes < octets) {
		for (int i = 0; i < 1000; i++)
			if (!record_append(writer, &event, i < 999 ? RECORD_QUEUED : RECORD_DURABLE, NULL, &err))
				die("append", &err);
		record_writer_state(writer, &state);
	}
	record_writer_close(writer);
}

static void verify_with(int threads, const char *words)
{
	struct verify_options options = { .dir = str_from_c(class_dir), .public_key_file = str_from_c(pub_file),
					  .first_day = INT64_MIN, .last_day = INT64_MAX, .threads = threads };
	struct verify_report report;
	struct err err;
	int64_t begin = clock_mono_us();
	double cpu = cpu_us();

	if (!record_verify(&options, &report, &err))
		die("verify", &err);
	double took = (double)(clock_mono_us() - begin);

	cpu = cpu_us() - cpu;
	printf("verify, %s: %.0f MB/s, %.0f MB for each second of CPU; %" PRId64 " records in %" PRId64 " files, result %d\n", words,
	       (double)report.bytes / took, (double)report.bytes / cpu, report.records, report.files, report.result);
	verify_report_clear(&report);
}

static void bench_verify(int64_t octets)
{
	int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
	int64_t now = clock_now_us();

	for (int day = 0; day < 4; day++) {
		clock_set(now + day * DAY_US);
		fill(octets / 4);
	}
	clock_set(0);
	verify_with(1, "one core (at least 500 MB/s)");
	verify_with(1, "one core, once more");
	verify_with(cores, "all cores");
}

int main(int argc, char **argv)
{
	struct err err;
	char id[SIGN_ID_LEN + 1];
	double number = argc > 3 ? strtod(argv[3], NULL) : 0;

	bool appends = argc < 2 || strcmp(argv[1], "append") == 0, verifies = argc < 2 || strcmp(argv[1], "verify") == 0;

	if (!appends && !verifies) {
		fprintf(stderr, "usage: bench_record append|verify [DIR] [SECONDS|MEGABYTES]\n");
		return 2;
	}
	log_open("bench_record", LOG_TO_STDERR, LOG_LEVEL_ERROR);
	snprintf(top, sizeof top, "%s/bench_record.XXXXXX", argc > 2 ? argv[2] : ".");
	if (!mkdtemp(top))
		die(top, NULL);
	snprintf(class_dir, sizeof class_dir, "%s/relay", top);
	snprintf(key_file, sizeof key_file, "%s/key", top);
	snprintf(keyring, sizeof keyring, "%s/keyring", top);
	snprintf(pub_file, sizeof pub_file, "%s/key.pub", top);
	if (!sign_key_new(key_file, id, &err))
		die("key", &err);
	seconds = number > 0 ? number : seconds;
	if (appends)
		bench_append();
	if (verifies)
		bench_verify((int64_t)(number > 0 ? number : 400) * 1000000);
	remove_files();
	return 0;
}
