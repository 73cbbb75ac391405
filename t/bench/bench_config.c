/*
 * bench_config - what many tenants cost: CPU seconds to load them, nanoseconds to find one.
 *
 *   bench_config [TENANTS]        default 100000
 *
 * The same lookups run against a hundredth of the tenants: the ratio says whether the cost grows with their number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/num.h"
#include "config/config_report.h"

#define LOOKUPS 1000000

static double cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static bool write_tenants(const char *path, size_t count, struct err *err)
{
	struct buf text;

	buf_init(&text, CONFIG_FILE_MAX);
	buf_add_c(&text, "plans: {gold: {pool: 10000/day, default_per_login: 500/hour}}\ntenants:\n");
	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "  t%zu: {plan: gold, match: [{auth: \"*@t%zu.example\"}], senders: "
				  "[\"@t%zu.example\"]}\n", i, i, i);

	bool ok = io_replace_file(path, buf_view(&text), 0600, err);

	buf_clear(&text);
	return ok;
}

static struct config *load(const char *path, double *out_seconds)
{
	struct config *config = NULL;
	struct config_report report;
	struct err err;
	double start = cpu_seconds();

	if (!config_load(path, &config, &report)) {
		config_report_first(&report, &err);
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	*out_seconds = cpu_seconds() - start;
	config_report_clear(&report);
	return config;
}

/* Nanoseconds a lookup; every tenant in turn, far apart in memory. */
static double look_up(const struct config *config)
{
	double start = cpu_seconds();
	size_t at = 0;

	for (size_t i = 0; i < LOOKUPS; i++) {
		char login[64];
		int len = snprintf(login, sizeof login, "info@t%zu.example", at);
		struct match_facts facts = { .auth = str_of(login, (size_t)len) };
		enum match_kind by;

		if (!config_match(config, &facts, &by)) {
			fprintf(stderr, "%s: not found\n", login);
			exit(1);
		}
		at = (at + 7919) % config->tenant_count;
	}
	return (cpu_seconds() - start) * 1e9 / LOOKUPS;
}

static double measure(size_t count, double *out_load)
{
	char path[] = "/tmp/sekisho-bench.XXXXXX";
	int fd = mkstemp(path);
	struct err err;

	if (fd < 0 || !write_tenants(path, count, &err)) {
		fprintf(stderr, "cannot write %s\n", path);
		exit(1);
	}
	close(fd);

	struct config *config = load(path, out_load);
	double ns = look_up(config);

	config_free(config);
	unlink(path);
	return ns;
}

int main(int argc, char **argv)
{
	uint64_t count = 100000;
	double load_many, load_few;

	if (argc > 2 || (argc == 2 && (!num_parse_u64(str_from_c(argv[1]), &count) || count < 100 ||
				       count > 1000000))) {
		fprintf(stderr, "usage: bench_config [TENANTS], 100 to 1000000\n");
		return 2;
	}

	double few = measure(count / 100, &load_few), many = measure(count, &load_many);

	printf("load %zu tenants: %.3f s of CPU\n", (size_t)count, load_many);
	printf("find one of %zu: %.0f ns; of %zu: %.0f ns; ratio %.2f\n", (size_t)count, many, (size_t)count / 100,
	       few, many / few);
	return 0;
}
