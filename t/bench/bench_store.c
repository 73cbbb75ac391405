/* bench_store - quota decisions at a store: how many a second, how long each. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "policy/store.h"

static const char usage_text[] =
	"usage: bench_store [options] DIRECTORY | -R ADDRESS\n"
	"  -R ADDRESS Redis at host:port or unix:/path, not the embedded store\n"
	"  -c N       threads (64)\n"
	"  -k N       quotas taken by a message, 1 to 9 (2)\n"
	"  -l N       the limit of each (1000000000)\n"
	"  -n N       tenants (100)\n"
	"  -T TIME    how long (2s)\n"
	"  -N N       or so many decisions a thread; one thread visits every tenant in turn\n"
	"  -r N       of 100 charges, so many are given back (5)\n"
	"Prints one line: threads, quotas, decisions a second, microseconds p50 p99 max\n";

#define TAKES_MAX 9
#define SAMPLES_MAX 200000             /* a thread */

static struct {
	struct store *st;
	size_t takes, tenants;
	int64_t limit;
	int64_t until_us;
	size_t most;                   /* decisions a thread */
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
				     .limit = job.limit, .cost = 1, .is_enforced = true };
}

/* What goes along with a message's charge: a mark of each quota, its tenant's suspension and its recipient's suppression. */
struct beside {
	struct store_mark marks[TAKES_MAX];
	int64_t marked[TAKES_MAX];
	struct str asked[2];
	char keys[TAKES_MAX + 2][128];
};

static struct str put_key(char key[128], const char *tenant, const char *rest, size_t number)
{
	return str_of(key, (size_t)snprintf(key, 128, "sekisho:{%s}:%s%zu", tenant, rest, number));
}

static void not_there(void *arg, size_t index, struct str value)
{
	(void)arg, (void)index, (void)value;
}

static void fill_beside(struct beside *beside, const char *tenant, size_t n, struct store_charge *charge)
{
	for (size_t i = 0; i < charge->count; i++)
		beside->marks[i] = (struct store_mark){ .key = put_key(beside->keys[i], tenant, "over:q", i), .take = i,
							.reaches = STORE_REFUSED };
	beside->asked[0] = put_key(beside->keys[TAKES_MAX], tenant, "suspended:", 0);
	beside->asked[1] = put_key(beside->keys[TAKES_MAX + 1], tenant, "suppress:somebody@example.test:", n);
	charge->marks = beside->marks;
	charge->mark_count = charge->count;
	charge->asked = beside->asked;
	charge->asked_count = 2;
	charge->on_found = not_there;
	charge->is_barred = true;
}

static bool decide(const struct worker *worker, size_t n, struct err *err)
{
	char tenant[32], id[48], keys[TAKES_MAX][128];
	struct store_take takes[TAKES_MAX];
	struct store_taken taken[TAKES_MAX];
	struct beside beside;
	struct store_charged charged = { .taken = taken, .marked = beside.marked };
	size_t at = (n * 7919 + worker->number * 104729) % job.tenants;

	snprintf(tenant, sizeof tenant, "t%zu", at);
	for (size_t i = 0; i < job.takes; i++)
		fill_take(&takes[i], i, tenant, (unsigned int)(n % 10), keys[i]);

	int len = snprintf(id, sizeof id, "bench-%zu-%zu", worker->number, n);
	struct store_charge charge = { .tenant = str_from_c(tenant), .id = str_of(id, (size_t)len), .takes = takes,
				       .count = job.takes };

	/* An embedded store is not asked along with the charge. */
	if (job.st->ops->may_have)
		fill_beside(&beside, tenant, n, &charge);
	if (!job.st->ops->charge(job.st, &charge, &charged, err))
		return false;
	return n % 100 >= job.refund_percent || job.st->ops->refund(job.st, charge.tenant, charge.id, err);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct err err;

	while (worker->done < job.most && clock_mono_us() < job.until_us) {
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
	job.limit = 1000000000;
	job.refund_percent = 5;
	job.most = SIZE_MAX;
	for (int option; (option = getopt(argc, argv, "c:k:l:n:N:T:r:R:")) != -1;) {
		if (option == 'c')
			threads = number_within(optarg, 1, 1000);
		else if (option == 'k')
			job.takes = (size_t)number_within(optarg, 1, TAKES_MAX);
		else if (option == 'l')
			job.limit = number_within(optarg, 1, LIMIT_NONE);
		else if (option == 'n')
			job.tenants = (size_t)number_within(optarg, 1, 10000000);
		else if (option == 'N') {
			job.most = (size_t)number_within(optarg, 1, 100000000);
			time_us = 3600 * US_PER_S;
		} else if (option == 'r')
			job.refund_percent = (unsigned int)number_within(optarg, 0, 100);
		else if (option == 'R')
			address = str_from_c(optarg);
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
