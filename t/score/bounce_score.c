/*
 * bounce_score - reads every sample of a bounce corpus and says how much of it was understood.
 *
 * The corpus (folder named by the first argument, else $srcdir/../shared/corpus/bounces) has expected.jsonl and
 * expected-log.jsonl beside its folders of messages and mail.log; its README.md says what each member means. Without a
 * corpus the test is skipped. It fails when a figure falls below what the program promises, or when a sample that is cut at
 * every 97th octet is an error instead of an answer or none; a sanitizer's build sees what is read beyond the cut.
 */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/io.h"
#include "milter/mail/outcome.h"
#include "milter/returned.h"

#define SKIPPED 77
#define CUT_STEP 97
#define ANSWERS_MAX 4000
#define FILE_LIMIT ((size_t)64 << 20)

struct answer {
	char file[128], recipient[320], reason[32], status[24];
	bool is_hard, is_taken;
};

struct ratio {
	const char *name;
	int good, all;
	double promised;               /* per cent; 0: only told */
};

struct scores {
	struct ratio recall, precision, reason, hard, status;
	int false_positives, messages, cuts, cut_errors;
};

static struct answer answers[ANSWERS_MAX];
static size_t answer_count;
static struct report_reader *reader;
static struct bounce_rules *rules;
static bool is_verbose;

static void answer_add(const char *file, struct str recipient, const struct bounce_verdict *verdict)
{
	struct answer *it = &answers[answer_count];

	if (answer_count == ANSWERS_MAX || verdict->reason == BOUNCE_DELIVERED)
		return;
	answer_count++;
	*it = (struct answer){ .is_hard = verdict->is_hard };
	snprintf(it->file, sizeof it->file, "%s", file);
	snprintf(it->recipient, sizeof it->recipient, STR_FMT, STR_ARG(recipient));
	snprintf(it->reason, sizeof it->reason, "%s", bounce_reason_name(verdict->reason));
	snprintf(it->status, sizeof it->status, STR_FMT, STR_ARG(verdict->status));
}

static void message_read(const char *file, struct str message)
{
	struct arena arena;
	struct returned returned;
	struct err err;

	arena_init(&arena, (size_t)16 << 20);
	if (!returned_judge(reader, rules, message, false, &arena, &returned, &err))
		printf("%s: %s\n", file, err.text);
	else
		for (size_t i = 0; i < returned.report.count; i++)
			answer_add(file, returned.report.recipients[i].address, &returned.verdicts[i]);
	arena_clear(&arena);
}

static void cuts_read(const char *file, struct str message, struct scores *scores)
{
	for (size_t len = 0; len < message.len; len += CUT_STEP) {
		char *copy = malloc(len + (len == 0));
		struct arena arena;
		struct returned returned;
		struct err err = { 0 };

		arena_init(&arena, (size_t)16 << 20);
		if (copy)
			memcpy(copy, message.ptr, len);
		if (!copy || !returned_judge(reader, rules, str_of(copy, len), false, &arena, &returned, &err)) {
			printf("%s, cut at %zu: %s\n", file, len, copy ? err.text : "out of memory");
			scores->cut_errors++;
		}
		scores->cuts++;
		arena_clear(&arena);
		free(copy);
	}
}

static void folder_read(const char *corpus, const char *folder, struct scores *scores)
{
	char path[1024];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "%s/%s", corpus, folder);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct buf message;
		struct err err;

		if (!str_ends(str_from_c(entry->d_name), STR(".eml")))
			continue;
		snprintf(path, sizeof path, "%s/%s/%s", corpus, folder, entry->d_name);
		buf_init(&message, FILE_LIMIT);
		if (io_read_file(path, &message, &err)) {
			message_read(entry->d_name, buf_view(&message));
			cuts_read(entry->d_name, buf_view(&message), scores);
		}
		scores->messages++;
		buf_clear(&message);
	}
	if (dir)
		closedir(dir);
}

static void log_read(const char *corpus)
{
	char path[1024], id[128];
	struct buf text;
	struct str rest, line;
	struct err err;
	struct arena arena;

	snprintf(path, sizeof path, "%s/mail.log", corpus);
	buf_init(&text, FILE_LIMIT);
	if (!io_read_file(path, &text, &err))
		printf("%s\n", err.text);
	rest = buf_view(&text);
	arena_init(&arena, (size_t)16 << 20);
	while (str_next(&rest, '\n', &line)) {
		struct outcome outcome;
		struct bounce_verdict verdict;

		if (!outcome_read(line, &outcome) || outcome.kind == OUTCOME_DELIVERED)
			continue;
		struct bounce_facts facts = {
			.recipient = outcome.recipient, .diagnostic = outcome.reply, .text = outcome.said, .status = outcome.status,
			.remote = outcome.remote, .is_delay = outcome.kind != OUTCOME_FAILED,
		};

		bounce_judge(rules, &facts, &arena, &verdict);
		snprintf(id, sizeof id, STR_FMT, STR_ARG(outcome.queue_id));
		answer_add(id, outcome.recipient, &verdict);
		arena_reset(&arena);
	}
	arena_clear(&arena);
	buf_clear(&text);
}

/* --- against what is expected */

static bool list_has(const json_t *list, const char *text)
{
	size_t i;
	const json_t *item;

	json_array_foreach(list, i, item)
		if (str_eq_nocase(str_from_c(json_string_value(item)), str_from_c(text)))
			return true;
	return false;
}

static const char *member(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

static struct answer *answer_find(const json_t *row)
{
	for (size_t i = 0; i < answer_count; i++) {
		struct answer *it = &answers[i];

		if (it->is_taken || !str_eq(str_from_c(it->file), str_from_c(member(row, "file"))))
			continue;
		if (str_eq_nocase(str_from_c(it->recipient), str_from_c(member(row, "recipient"))) ||
		    list_has(json_object_get(row, "alt"), it->recipient))
			return it;
	}
	return NULL;
}

static void count(struct ratio *ratio, bool good, const char *file, const char *got)
{
	ratio->all++;
	ratio->good += good;
	if (!good && is_verbose)
		printf("  %s: %s: %s\n", file, ratio->name, got);
}

static void row_score(const json_t *row, struct scores *scores)
{
	const char *file = member(row, "file");
	const json_t *hard = json_object_get(row, "hard");
	struct answer *it;

	if (json_is_null(json_object_get(row, "recipient"))) {
		for (size_t i = 0; i < answer_count; i++)
			if (str_eq(str_from_c(answers[i].file), str_from_c(file))) {
				scores->false_positives++;
				printf("  %s: no bounce, taken for one\n", file);
				return;
			}
		return;
	}
	it = answer_find(row);
	if (!it && json_is_true(json_object_get(row, "optional")))
		return;
	count(&scores->recall, it != NULL, file, "missing");
	if (!it)
		return;
	it->is_taken = true;
	if (json_is_array(json_object_get(row, "reasons")))
		count(&scores->reason, list_has(json_object_get(row, "reasons"), it->reason), file, it->reason);
	if (json_is_boolean(hard))
		count(&scores->hard, json_is_true(hard) == it->is_hard, file, it->is_hard ? "hard" : "soft");
	if (json_is_array(json_object_get(row, "statuses")))
		count(&scores->status, list_has(json_object_get(row, "statuses"), it->status), file, it->status);
}

static bool rows_score(const char *corpus, const char *name, struct scores *scores)
{
	char path[1024];
	struct buf text;
	struct str rest, line;
	struct err err;
	bool ok;

	snprintf(path, sizeof path, "%s/%s", corpus, name);
	buf_init(&text, FILE_LIMIT);
	ok = io_read_file(path, &text, &err);
	rest = buf_view(&text);
	while (ok && str_next(&rest, '\n', &line)) {
		json_t *row = json_loadb(line.ptr, line.len, 0, NULL);

		if (row)
			row_score(row, scores);
		json_decref(row);
	}
	for (size_t i = 0; i < answer_count; i++)
		count(&scores->precision, answers[i].is_taken, answers[i].file, answers[i].recipient);
	buf_clear(&text);
	return ok;
}

static int ratio_print(const struct ratio *ratio)
{
	double percent = ratio->all ? 100.0 * ratio->good / ratio->all : 0;
	bool ok = ratio->promised <= 0 || percent >= ratio->promised;

	printf("  %-10s %4d of %4d  %5.1f %%", ratio->name, ratio->good, ratio->all, percent);
	if (ratio->promised > 0)
		printf("  (promised %.0f %%)%s", ratio->promised, ok ? "" : "  TOO LOW");
	printf("\n");
	return !ok;
}

static int scores_print(const char *title, const struct scores *scores)
{
	int failed = 0;

	printf("%s\n", title);
	failed += ratio_print(&scores->recall);
	failed += ratio_print(&scores->precision);
	failed += ratio_print(&scores->reason);
	failed += ratio_print(&scores->hard);
	failed += ratio_print(&scores->status);
	printf("  false positives %d\n", scores->false_positives);
	return failed + scores->false_positives;
}

static bool rules_load(void)
{
	struct config_report report;
	struct err err = { .text = "" };
	bool ok;

	config_report_init(&report);
	ok = bounce_rules_load_default(&rules, &report) && report_reader_new(&reader, &err);
	if (!ok)
		printf("%s\n", err.text);
	config_report_clear(&report);
	return ok;
}

int main(int argc, char **argv)
{
	static const char *const folders[] = { "sisimai", "extra", "robust", "nonbounce" };
	struct scores mail = { { "recall", 0, 0, 98 }, { "precision", 0, 0, 99 }, { "reason", 0, 0, 95 }, { "hard/soft", 0, 0, 99 },
			       { "status", 0, 0, 0 }, 0, 0, 0, 0 };
	struct scores log = { { "recall", 0, 0, 0 }, { "precision", 0, 0, 0 }, { "reason", 0, 0, 94 }, { "hard/soft", 0, 0, 0 },
			      { "status", 0, 0, 0 }, 0, 0, 0, 0 };
	const char *srcdir = getenv("srcdir");
	char corpus[512];
	int failed = 0;

	snprintf(corpus, sizeof corpus, "%s/../shared/corpus/bounces", srcdir ? srcdir : ".");
	for (int i = 1; i < argc; i++) {
		if (str_eq(str_from_c(argv[i]), STR("-v")))
			is_verbose = true;
		else
			snprintf(corpus, sizeof corpus, "%s", argv[i]);
	}
	if (!rules_load())
		return EXIT_FAILURE;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		folder_read(corpus, folders[i], &mail);
	if (mail.messages == 0) {
		printf("bounce-score: skipped: there is no corpus in %s\n", corpus);
		failed = SKIPPED;
		goto done;
	}
	printf("%d messages\n", mail.messages);
	if (rows_score(corpus, "expected.jsonl", &mail))
		failed += scores_print("mail", &mail);
	answer_count = 0;
	log_read(corpus);
	if (rows_score(corpus, "expected-log.jsonl", &log))
		failed += scores_print("log lines", &log);
	printf("cut at every %dth octet\n  %d messages, %d errors\n", CUT_STEP, mail.cuts, mail.cut_errors);
	failed += mail.cut_errors > 0;
	printf("bounce-score: %d passed, %d failed\n", 7 - (failed > 7 ? 7 : failed), failed);
	failed = failed ? EXIT_FAILURE : EXIT_SUCCESS;
done:
	report_reader_free(reader);
	bounce_rules_free(rules);
	return failed;
}
