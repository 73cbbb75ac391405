/* bench_bounce - returned mail read and judged: how many a second on one core, and is the time linear in the size. */
#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "config/base/io.h"
#include "config/base/num.h"
#include "milter/returned.h"

static const char usage_text[] =
	"usage: bench_bounce [-T TIME] FOLDER...\n"
	"Reads every file of the folders into memory, then judges them again and again for TIME (2s). Prints mails and\n"
	"megabytes a second, the same for headers alone (what mail that is no bounce costs), and the time of bounces of 1, 16\n"
	"and 100 MB as a ratio to that of 1 MB.\n";

#define MESSAGES_MAX 4000
#define MESSAGE_MEMORY ((size_t)16 << 20)

static struct buf messages[MESSAGES_MAX];
static size_t message_count, message_octets;
static struct report_reader *reader;
static struct bounce_rules *rules;

static void folder_read(const char *folder)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	char path[4096 + 258];
	struct err err;

	while (dir && (entry = readdir(dir)) && message_count < MESSAGES_MAX) {
		struct buf *message = &messages[message_count];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		buf_init(message, (size_t)64 << 20);
		if (!io_read_file(path, message, &err)) {
			fprintf(stderr, "%s\n", err.text);
			continue;
		}
		message_octets += message->len;
		message_count++;
	}
	if (dir)
		closedir(dir);
}

static size_t judge(struct str message, struct arena *arena)
{
	struct returned returned;
	size_t count = 0;

	if (returned_judge(reader, rules, message, false, arena, &returned, NULL))
		count = returned.report.count;
	arena_reset(arena);
	return count;
}

/* Of this process on its core, whatever else the machine does. */
static int64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static double seconds_since(int64_t from_us)
{
	return (double)(cpu_us() - from_us) / 1e6;
}

static void corpus_run(double limit_s)
{
	struct arena arena;
	int64_t from = cpu_us();
	size_t rounds = 0, found = 0;

	arena_init(&arena, MESSAGE_MEMORY);
	for (; seconds_since(from) < limit_s; rounds++)
		for (size_t i = 0; i < message_count; i++)
			found += judge(buf_view(&messages[i]), &arena);
	double took = seconds_since(from);

	printf("corpus   %8.0f mails/s  %7.1f MB/s  (%zu mails, %zu recipients a round)\n", (double)(rounds * message_count) / took,
	       (double)rounds * (double)message_octets / took / 1e6, message_count, rounds ? found / rounds : 0);
	arena_clear(&arena);
}

static void headers_run(double limit_s)
{
	static const struct str header = STR_INIT(
		"Received: from a.example (a.example [192.0.2.1])\n\tby mx.example.jp (Postfix) with ESMTPS id 4E576B032\n"
		"\tfor <neko@example.jp>; Thu, 29 Apr 2010 23:34:45 +0900 (JST)\nDKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\n"
		"\td=example.com; s=s1; h=from:to:subject:date; bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;\n\tb=AAAA\n"
		"From: Neko Nyaan <neko@example.com>\nTo: Mike <mike@example.jp>\nSubject: The newsletter of April\n"
		"Date: Thu, 29 Apr 2010 23:34:45 +0900\nMessage-ID: <1@example.com>\nMIME-Version: 1.0\n"
		"Content-Type: multipart/alternative; boundary=\"b\"\nList-Unsubscribe: <https://example.com/u/1>\n\n");
	struct arena arena;
	int64_t from = cpu_us();
	size_t done = 0, found = 0;

	arena_init(&arena, MESSAGE_MEMORY);
	while (seconds_since(from) < limit_s)
		for (int i = 0; i < 1000; i++, done++)
			found += judge(header, &arena);
	printf("headers  %8.0f mails/s  (ordinary mail, %zu taken for a bounce)\n", (double)done / seconds_since(from), found);
	arena_clear(&arena);
}

/* A bounce of n octets: either a long text before the status, or a long message behind it. */
static double large_run(size_t n, bool in_front)
{
	static const char line[] = "The quick brown cat jumps over <the@lazy.example> dog, 550 times a day.\n";
	struct buf message;
	struct arena arena;
	int64_t from;
	int rounds = n < (size_t)4 << 20 ? 16 : 1;

	buf_init(&message, n + 4096);
	buf_add_c(&message, "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: a@b.example\nSubject: Undelivered Mail Returned to Sender\n"
			    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n");
	while (in_front && message.len < n)
		buf_add_c(&message, line);
	buf_add_c(&message, "--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822;neko@example.jp\nAction: failed\nStatus: 5.1.1\n\n"
			    "--b\nContent-Type: message/rfc822\n\nTo: neko@example.jp\n\n");
	while (!in_front && message.len < n)
		buf_add_c(&message, line);
	buf_add_c(&message, "--b--\n");
	arena_init(&arena, MESSAGE_MEMORY);
	from = cpu_us();
	for (int i = 0; i < rounds; i++)
		if (judge(buf_view(&message), &arena) != 1)
			printf("a bounce of %zu octets was not read\n", n);

	double took = seconds_since(from) / rounds;

	arena_clear(&arena);
	buf_clear(&message);
	return took;
}

static void large_print(bool in_front)
{
	size_t mb = (size_t)1 << 20;
	double one = large_run(mb, in_front), sixteen = large_run(16 * mb, in_front), hundred = large_run(100 * mb, in_front);

	printf("%s  1 MB %.2f ms, 16 MB %.2f ms (%.1f times), 100 MB %.1f ms (%.1f times)\n", in_front ? "in front" : "behind  ", one * 1e3,
	       sixteen * 1e3, sixteen / one, hundred * 1e3, hundred / one);
}

int main(int argc, char **argv)
{
	struct config_report report;
	double limit_s = 2;
	int option;

	while ((option = getopt(argc, argv, "T:")) != -1) {
		int64_t us;

		if (option != 'T' || !num_parse_duration(str_from_c(optarg), &us)) {
			fputs(usage_text, stderr);
			return 2;
		}
		limit_s = (double)us / 1e6;
	}
	config_report_init(&report);
	if (!bounce_rules_load_default(&rules, &report) || !report_reader_new(&reader, NULL))
		return 1;
	config_report_clear(&report);
	for (int i = optind; i < argc; i++)
		folder_read(argv[i]);
	if (message_count)
		corpus_run(limit_s);
	headers_run(limit_s / 4);
	large_print(true);
	large_print(false);
	for (size_t i = 0; i < message_count; i++)
		buf_clear(&messages[i]);
	report_reader_free(reader);
	bounce_rules_free(rules);
	return 0;
}
