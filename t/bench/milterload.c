/* milterload - messages at a milter, straight over its protocol: how many a second, how long each end of message. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/json.h"
#include "config/base/num.h"
#include "t/bench/mta.h"

static const char usage_text[] =
	"usage: milterload [options] SOCKET         SOCKET is unix:/path or inet:port@host\n"
	"  -c N       connections (64)\n"
	"  -m N       messages a connection, on the average: who is ready takes the next (100)\n"
	"  -s SIZE    octets of body (4KiB)\n"
	"  -r N       recipients a message (1)\n"
	"  -l LOGIN   SASL login (user@tenant.test); # becomes the number of the tenant\n"
	"  -f SENDER  envelope sender (user@tenant.test), with # as well\n"
	"  -n N       tenants (1)\n"
	"  -t N       threads, 1 or 2 (1)\n"
	"  -R N       messages a second over all connections (as many as go)\n"
	"  -T TIME    begin no message after this time (60s)\n"
	"  --json     the figures as one JSON object\n"
	"  --probe    print what the milter asks for, as JSON, and send nothing\n";

enum { OPT_JSON = 256, OPT_PROBE, OPT_HELP };

static _Noreturn void usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static size_t number_within(const char *text, size_t max)
{
	uint64_t value;

	if (!num_parse_u64(str_from_c(text), &value) || value < 1 || value > max)
		usage();
	return (size_t)value;
}

static uint32_t percentile(const struct mta_result *result, size_t percent)
{
	if (result->latency_count == 0)
		return 0;
	return result->latency_us[(result->latency_count - 1) * percent / 100];
}

static size_t message_count(const struct mta_result *result)
{
	size_t total = 0;

	for (size_t i = 0; i < MTA_OUTCOME_COUNT; i++)
		total += result->outcomes[i];
	return total;
}

static int64_t milli_per_second(const struct mta_result *result)
{
	return (int64_t)message_count(result) * 1000 * 1000000 / (result->elapsed_us > 0 ? result->elapsed_us : 1);
}

static void print_json(const struct mta_options *options, const struct mta_result *result)
{
	struct buf out;
	struct json json;

	buf_init(&out, (size_t)1 << 16);
	json_init(&json, &out);
	json_object_open(&json);
	json_member_i64(&json, "connections", (int64_t)options->connections);
	json_member_i64(&json, "messages", (int64_t)message_count(result));
	json_key(&json, "seconds");
	json_milli(&json, result->elapsed_us / 1000);
	json_key(&json, "per_second");
	json_milli(&json, milli_per_second(result));
	json_member_i64(&json, "eom_p50_us", percentile(result, 50));
	json_member_i64(&json, "eom_p95_us", percentile(result, 95));
	json_member_i64(&json, "eom_p99_us", percentile(result, 99));
	json_member_i64(&json, "eom_max_us", percentile(result, 100));
	for (size_t i = 0; i < MTA_OUTCOME_COUNT; i++)
		json_member_i64(&json, mta_outcome_names[i], (int64_t)result->outcomes[i]);
	json_member_i64(&json, "recipients_refused", (int64_t)result->recipients_refused);
	json_member_str_opt(&json, "first_refusal", str_from_c(result->first_refusal));
	json_object_close(&json);
	printf(STR_FMT "\n", STR_ARG(buf_view(&out)));
	buf_clear(&out);
}

static double ms(uint32_t us)
{
	return us / 1000.0;
}

static void print_words(const struct mta_options *options, const struct mta_result *result)
{
	printf("%zu messages over %zu connections in %.3f s: %.0f messages/s\n", message_count(result),
	       options->connections, (double)result->elapsed_us / 1e6, (double)milli_per_second(result) / 1000.0);
	printf("end of message: p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, max %.2f ms\n", ms(percentile(result, 50)),
	       ms(percentile(result, 95)), ms(percentile(result, 99)), ms(percentile(result, 100)));
	for (size_t i = 0; i < MTA_OUTCOME_COUNT; i++)
		printf("%s%s %zu", i > 0 ? ", " : "", mta_outcome_names[i], result->outcomes[i]);
	printf("; recipients refused %zu\n", result->recipients_refused);
	if (result->first_refusal[0] != '\0')
		printf("first refusal: %s\n", result->first_refusal);
}

static int probe(struct str socket)
{
	struct mta_offer offer;
	struct err err;
	struct buf out;
	struct json json;

	if (!mta_probe(socket, &offer, &err)) {
		fprintf(stderr, "milterload: %s\n", err.text);
		return 1;
	}
	buf_init(&out, (size_t)1 << 16);
	json_init(&json, &out);
	json_object_open(&json);
	json_member_i64(&json, "version", offer.version);
	json_member_i64(&json, "actions", offer.actions);
	json_member_i64(&json, "steps", offer.steps);
	json_member_str(&json, "symbols", buf_view(&offer.symbols));
	json_object_close(&json);
	printf(STR_FMT "\n", STR_ARG(buf_view(&out)));
	buf_clear(&out);
	buf_clear(&offer.symbols);
	return 0;
}

static void read_options(int argc, char **argv, struct mta_options *options, bool *as_json, bool *as_probe)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, OPT_JSON }, { "probe", no_argument, NULL, OPT_PROBE },
		{ "help", no_argument, NULL, OPT_HELP }, { NULL, 0, NULL, 0 },
	};
	size_t rate = 0;
	int64_t size;

	for (int c; (c = getopt_long(argc, argv, "c:m:s:r:l:f:n:t:R:T:", longs, NULL)) != -1;) {
		switch (c) {
		case 'c': options->connections = number_within(optarg, MTA_CONNECTIONS_MAX); break;
		case 'm': options->messages = number_within(optarg, MTA_MESSAGES_MAX); break;
		case 'r': options->recipients = number_within(optarg, 100000); break;
		case 'n': options->tenants = number_within(optarg, 1000000); break;
		case 't': options->threads = number_within(optarg, MTA_THREADS_MAX); break;
		case 'R': rate = number_within(optarg, 1000000); break;
		case 'l': options->login = str_from_c(optarg); break;
		case 'f': options->sender = str_from_c(optarg); break;
		case 's':
			if (!num_parse_bytes(str_from_c(optarg), &size) || size < 0)
				usage();
			options->size = (size_t)size;
			break;
		case 'T':
			if (!num_parse_duration(str_from_c(optarg), &options->limit_us))
				usage();
			break;
		case OPT_JSON: *as_json = true; break;
		case OPT_PROBE: *as_probe = true; break;
		case OPT_HELP:
			fputs(usage_text, stdout);
			exit(0);
		default: usage();
		}
	}
	if (optind + 1 != argc || options->threads > options->connections ||
	    options->messages > MTA_MESSAGES_MAX / options->connections)
		usage();
	if (rate > 0)
		options->pace_us = (int64_t)options->connections * US_PER_S / (int64_t)rate;
	options->socket = str_from_c(argv[optind]);
}

int main(int argc, char **argv)
{
	struct mta_options options = {
		.connections = 64, .messages = 100, .size = 4096, .recipients = 1, .tenants = 1, .threads = 1,
		.login = STR("user@tenant.test"), .sender = STR("user@tenant.test"), .limit_us = 60 * US_PER_S,
	};
	struct mta_result result;
	struct err err;
	bool as_json = false, as_probe = false, is_broken;

	read_options(argc, argv, &options, &as_json, &as_probe);
	if (as_probe)
		return probe(options.socket);
	if (!mta_run(&options, &result, &err)) {
		fprintf(stderr, "milterload: %s\n", err.text);
		return 1;
	}
	if (as_json)
		print_json(&options, &result);
	else
		print_words(&options, &result);
	is_broken = result.outcomes[MTA_BROKEN] > 0;
	mta_result_clear(&result);
	return is_broken ? 1 : 0;
}
