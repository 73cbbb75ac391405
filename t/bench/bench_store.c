/* bench_store - quota decisions at a store: how many a second, how long each. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "policy/store_redis_script.h"
#include "policy/store.h"

static const char usage_text[] =
	"usage: bench_store [options] DIRECTORY | -R ADDRESS\n"
	"  -R ADDRESS Redis at host:port or unix:/path, not the embedded store\n"
	"  -S         print the script that decides, for redis-benchmark, and do nothing\n"
	"  -c N       threads (64)\n"
	"  -k N       quotas taken by a message, 1 to 9 (2)\n"
	"  -n N       tenants (100)\n"
	"  -T TIME    how long (2s)\n"
	"  -r N       of 100 charges, so many are given back (5)\n"
	"Prints one line: threads, quotas, decisions a second, microseconds p50 p99 max\n";

#define TAKES_MAX 9
#define SAMPLES_MAX 200000             /* a thread */

static struct {
	struct store *st;
	size_t takes, tenants;
	int64_t until_us;
	unsigned int refund_percent;
} job;

struct worker {
	pthread_t thread;
	size_t number, done, sample_count;
	uint32_t *samples;             /* microseconds */
};

static _Noreturn void usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static int64_t number_within(const char *text, int64_t min, int64_t max)
{
	int64_t value;

	if (!num_parse_i64(str_from_c(text), &value) || value < min || value > max)
		usage();
	return value;
}

/* Three scopes by three windows. */
static void fill_take(struct store_take *take, size_t row, const char *tenant, unsigned int scope, char key[128])
{
	static const struct { enum quota_window window; enum calendar_unit calendar; int64_t period_us; } windows[3] = {
		{ WINDOW_ROLLING, CALENDAR_NONE, 3600 * US_PER_S },
		{ WINDOW_CALENDAR, CALENDAR_DAY, 0 },
		{ WINDOW_BURST, CALENDAR_NONE, 60 * US_PER_S },
	};
	int len = snprintf(key, 128, "sekisho:{%s}:quota:q%zu:%u", tenant, row, row < 3 ? 0 : scope);

	*take = (struct store_take){ .key = str_of(key, (size_t)len), .window = windows[row % 3].window,
				     .calendar = windows[row % 3].calendar, .period_us = windows[row % 3].period_us,
				     .limit = 1000000000, .cost = 1, .is_enforced = true };
}

static bool decide(const struct worker *worker, size_t n, struct err *err)
{
	char tenant[32], id[48], keys[TAKES_MAX][128];
	struct store_take takes[TAKES_MAX];
	struct store_taken taken[TAKES_MAX];
	struct store_charged charged = { .taken = taken };
	size_t at = (n * 7919 + worker->number * 104729) % job.tenants;

	snprintf(tenant, sizeof tenant, "t%zu", at);
	for (size_t i = 0; i < job.takes; i++)
		fill_take(&takes[i], i, tenant, (unsigned int)(n % 10), keys[i]);

	int len = snprintf(id, sizeof id, "bench-%zu-%zu", worker->number, n);
	struct store_charge charge = { .tenant = str_from_c(tenant), .id = str_of(id, (size_t)len), .takes = takes,
				       .count = job.takes };

	if (!job.st->ops->charge(job.st, &charge, &charged, err))
		return false;
	return n % 100 >= job.refund_percent || job.st->ops->refund(job.st, charge.tenant, charge.id, err);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct err err;

	while (clock_mono_us() < job.until_us) {
		int64_t begin_us = clock_mono_us();

		if (!decide(worker, worker->done, &err)) {
			fprintf(stderr, "bench_store: %s\n", err.text);
			exit(1);
		}
		if (worker->sample_count < SAMPLES_MAX)
			worker->samples[worker->sample_count++] = (uint32_t)(clock_mono_us() - begin_us);
		worker->done++;
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(struct worker *workers, size_t count, int64_t took_us)
{
	uint32_t *all = calloc(count * SAMPLES_MAX, sizeof *all);
	size_t samples = 0, done = 0;

	if (!all)
		exit(1);
	for (size_t i = 0; i < count; i++) {
		memcpy(all + samples, workers[i].samples, workers[i].sample_count * sizeof *all);
		samples += workers[i].sample_count;
		done += workers[i].done;
	}
	qsort(all, samples, sizeof *all, by_value);
	printf("threads %zu quotas %zu decisions/s %.0f p50 %" PRIu32 " p99 %" PRIu32 " max %" PRIu32 "\n", count,
	       job.takes, (double)done / (double)took_us * 1e6, all[samples / 2], all[samples * 99 / 100],
	       all[samples - 1]);
	free(all);
}

static void run(size_t threads, int64_t time_us)
{
	struct worker *workers = calloc(threads, sizeof *workers);
	int64_t begin_us = clock_mono_us();

	if (!workers)
		exit(1);
	job.until_us = begin_us + time_us;
	for (size_t i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .number = i, .samples = calloc(SAMPLES_MAX, sizeof(uint32_t)) };
		if (!workers[i].samples || pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			exit(1);
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	report(workers, threads, clock_mono_us() - begin_us);
	for (size_t i = 0; i < threads; i++)
		free(workers[i].samples);
	free(workers);
}

int main(int argc, char **argv)
{
	struct config config = { .store_backend = STORE_EMBEDDED, .store_size_max = INT64_C(4) << 30 };
	int64_t threads = 64, time_us = 2 * US_PER_S;
	struct str address = STR_EMPTY;
	struct err err;

	job.takes = 2;
	job.tenants = 100;
	job.refund_percent = 5;
	for (int option; (option = getopt(argc, argv, "c:k:n:T:r:R:S")) != -1;) {
		if (option == 'c')
			threads = number_within(optarg, 1, 1000);
		else if (option == 'k')
			job.takes = (size_t)number_within(optarg, 1, TAKES_MAX);
		else if (option == 'n')
			job.tenants = (size_t)number_within(optarg, 1, 10000000);
		else if (option == 'r')
			job.refund_percent = (unsigned int)number_within(optarg, 0, 100);
		else if (option == 'R')
			address = str_from_c(optarg);
		else if (option == 'S')
			return fputs(redis_script_text(SCRIPT_CHARGE).ptr, stdout) < 0;
		else if (option != 'T' || !num_parse_duration(str_from_c(optarg), &time_us))
			usage();
	}
	if (optind + (address.len == 0) != argc)
		usage();
	if (address.len) {
		config.store_backend = STORE_REDIS;
		config.on_store_failure = STORE_FAILURE_DEFER;
		config.redis_addresses = (struct str_list){ .items = &address, .count = 1 };
		config.store_timeout_us = 5 * US_PER_S;
	} else {
		config.store_path = str_from_c(argv[optind]);
	}
	if (!store_open(&config, &job.st, &err)) {
		fprintf(stderr, "bench_store: %s\n", err.text);
		return 1;
	}
	run((size_t)threads, time_us);
	store_close(job.st);
	return 0;
}
