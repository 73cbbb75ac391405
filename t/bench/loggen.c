/*
 * loggen - a relay log as a busy relay leaves it, to search and verify in.
 *
 *   loggen DIR NODE DAYS RECORDS [KEY]    so many days up to today, so many records each, in class directory DIR; signed with
 *                                         the private key in the file KEY
 *
 * Messages of 40 tenants to 200 000 recipients of 3 000 domains: accepted, then delivered or failed. Each day has one message with
 * queue id NEEDLE0D, from needle0D@needle.example to needle@recipient.example (D: the day, from 0), and the words
 * "reply of needle 0D". Prints the octets written. Values come from a generator with a fixed seed; ids and salts do not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "milter/record/writer.h"

#define TENANTS 40
#define RECIPIENTS 200000
#define DOMAINS 3000
#define GROUP 500                                   /* records between two waits for the disk */

static uint64_t state = 88172645463325252u;

static unsigned some(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % n;
}

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "loggen: %s: %s\n", what, err->text);
	exit(1);
}

/* One message, as it is filled anew for each. */
struct mail {
	char message[RECORD_ID_LEN + 1], tenant[16], queue_id[20], client[16], login[40], from[80], to[80], detail[100], reply[120],
		outcome[300];
};

#define PUT(field, ...) snprintf(mail->field, sizeof mail->field, __VA_ARGS__)

static void fill(struct mail *mail, int day, bool is_needle)
{
	unsigned tenant = some(TENANTS), user = some(RECIPIENTS), number = some(1000000000);

	record_id_new(clock_now_us(), mail->message);
	PUT(tenant, "tenant%02u", tenant);
	PUT(client, "192.0.%u.%u", 2 + tenant % 4, 1 + some(250));
	PUT(login, "app%u@tenant%02u.example", some(5), tenant);
	PUT(detail, "{\"message_id\":\"<%09u.%u@mail%u.tenant%02u.example>\"}", number, some(100000), some(3), tenant);
	if (is_needle) {
		PUT(queue_id, "NEEDLE%02d", day);
		PUT(from, "needle%02d@needle.example", day);
		PUT(to, "needle@recipient.example");
		PUT(reply, "250 2.0.0 reply of needle %02d", day);
	} else {
		PUT(queue_id, "4X%08XzKq", number);
		PUT(from, "bounce+%08x@mail.tenant%02u.example", number, tenant);
		PUT(to, "user%u@customer%u.example", user, user % DOMAINS);
		PUT(reply, "250 2.0.0 Ok: queued as %08X", some(1u << 31));
	}
}

static void make_accepted(const struct mail *mail, const struct str *to, struct record_event *out)
{
	*out = (struct record_event){
		.event = STR("accepted"), .tenant = str_from_c(mail->tenant), .message = str_from_c(mail->message),
		.queue_id = str_from_c(mail->queue_id), .host = STR("mx1.relay.example"), .client = str_from_c(mail->client),
		.auth = str_from_c(mail->login), .helo = STR("app.tenant.example"), .tls = STR("TLSv1.3"), .from = str_from_c(mail->from),
		.to = to, .to_count = 1, .size = 4000 + some(60000), .nrcpt = 1, .subject_hash = STR("9f86d081884c7d65"),
		.verdict = STR("accept"), .detail = str_from_c(mail->detail),
	};
}

static void make_outcome(struct mail *mail, struct record_event *out)
{
	bool is_failure = some(20) == 0;

	PUT(outcome, is_failure ? "{\"dsn\":\"5.1.1\",\"reply\":\"550 5.1.1 <%.60s>: user unknown\",\"relay\":\"mx.customer.example\","
				  "\"reason\":\"userunknown\",\"hard\":true}"
				: "{\"dsn\":\"2.0.0\",\"reply\":\"%.119s\",\"relay\":\"mx.customer.example[198.51.100.7]:25\"}",
	    is_failure ? mail->to : mail->reply);
	*out = (struct record_event){
		.event = is_failure ? STR("failed") : STR("delivered"), .tenant = str_from_c(mail->tenant),
		.message = str_from_c(mail->message), .queue_id = str_from_c(mail->queue_id), .host = STR("mx1.relay.example"),
		.from = str_from_c(mail->from), .rcpt = str_from_c(mail->to), .outcome = str_from_c(mail->outcome),
	};
}

static void write_day(struct record_writer *writer, int day, int64_t records)
{
	int64_t needle = records / 4 * 2;
	struct mail mail;
	struct err err;

	for (int64_t at = 0; at < records; at++) {
		struct str to;
		struct record_event event;

		if (at % 2 == 0) {
			fill(&mail, day, at == needle);
			to = str_from_c(mail.to);
			make_accepted(&mail, &to, &event);
		} else {
			make_outcome(&mail, &event);
		}
		bool waits = at % GROUP == GROUP - 1 || at + 1 == records;

		if (!record_append(writer, &event, waits ? RECORD_DURABLE : RECORD_QUEUED, NULL, &err))
			die("append", &err);
	}
}

int main(int argc, char **argv)
{
	int64_t days, records, first;
	struct record_writer_state written;
	struct record_writer *writer;
	struct err err;

	if (argc < 5 || !num_parse_i64(str_from_c(argv[3]), &days) || !num_parse_i64(str_from_c(argv[4]), &records) || days < 1 ||
	    records < 4) {
		fprintf(stderr, "usage: loggen DIR NODE DAYS RECORDS [KEY]\n");
		return 2;
	}
	log_open("loggen", LOG_TO_STDERR, LOG_LEVEL_ERROR);
	first = jst_day(clock_now_us()) - days + 1;
	clock_set(jst_day_start_us(first) + 12 * 3600 * US_PER_S);

	const struct record_writer_config config = { .dir = str_from_c(argv[1]), .node = str_from_c(argv[2]),
						     .key_file = argc > 5 ? str_from_c(argv[5]) : STR_EMPTY, .preallocate = 64 << 20 };

	if (!record_writer_open(&config, &writer, &err))
		die("open", &err);
	for (int day = 0; day < days; day++) {
		clock_set(jst_day_start_us(first + day) + 3600 * US_PER_S);
		write_day(writer, day, records);
	}
	record_writer_state(writer, &written);
	record_writer_close(writer);
	printf("%" PRId64 "\n", written.bytes);
	return 0;
}
