#include "milter/record/verify.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/memory.h"
#include "config/base/num.h"
#include "milter/record/verify_names.h"

#define ARENA_MAX ((size_t)4 << 20)
#define UNSIGNED_MAX_US (2 * HOUR_US)       /* a writer with a key signs at least every hour */

struct run {
	const struct verify_options *options;
	struct verify_report *report;
	char dir[PATH_MAX];
	struct sign_publics publics, operators;
	struct verify_context context;
	struct sign_publics witnesses;
	struct verify_outsides outsides;
	struct verify_days days;       /* those asked for */
	pthread_mutex_t lock;          /* guards what follows */
	size_t next;
	int64_t done, total;           /* octets */
};

enum verify_result verify_worse(enum verify_result a, enum verify_result b)
{
	if (a == VERIFY_OK || b == VERIFY_OK)
		return a == VERIFY_OK ? b : a;
	return a < b ? a : b;
}

const char *verify_result_name(enum verify_result result)
{
	static const char *const names[] = { [VERIFY_OK] = "intact", [VERIFY_TAMPERED] = "altered",
					     [VERIFY_RETENTION] = "retention", [VERIFY_UNKNOWN] = "unknown" };

	return names[result];
}

void verify_report_add(struct verify_report *report, const struct verify_finding *finding)
{
	report->result = verify_worse(report->result, finding->result);
	if (report->finding_count++ >= VERIFY_FINDINGS_MAX)
		return;

	struct verify_finding *copy = &report->findings[report->finding_count - 1];

	*copy = *finding;
	if (!arena_copy(&report->arena, finding->file, &copy->file))
		copy->file = STR_EMPTY;
	if (!arena_copy(&report->arena, finding->text, &copy->text))
		copy->text = STR_EMPTY;
}

void verify_finding_say(struct verify_finding *finding, struct arena *arena, verify_tongue *tongue, const char *fmt, va_list ap)
{
	char text[2 * ERR_TEXT_MAX];

	vsnprintf(text, sizeof text, tongue ? tongue(fmt) : fmt, ap);
	if (!arena_copy(arena, str_from_c(text), &finding->text))
		finding->text = STR_EMPTY;
}

void verify_report_find(struct verify_report *report, enum verify_result result, struct str file, int64_t offset, int64_t seq,
			const char *fmt, ...)
{
	struct verify_finding finding = { result, file, offset, seq, STR_EMPTY };
	va_list ap;

	va_start(ap, fmt);
	verify_finding_say(&finding, &report->arena, report->tongue, fmt, ap);
	va_end(ap);
	verify_report_add(report, &finding);
}

static void find_all(struct verify_report *report, enum verify_result result, const char *text)
{
	verify_report_find(report, result, STR_EMPTY, -1, -1, "%s", report->tongue ? report->tongue(text) : text);
}

static void count_progress(void *arg, int64_t bytes)
{
	struct run *run = arg;

	pthread_mutex_lock(&run->lock);
	run->done += bytes;
	run->options->progress(run->options->progress_arg, run->done, run->total);
	pthread_mutex_unlock(&run->lock);
}

static bool take_files(struct run *run, struct err *err)
{
	const struct verify_options *options = run->options;
	struct record_moment moment;

	if (!record_moment_take(run->dir, &moment, err))
		return false;
	run->days.is_to_end = options->last_day == INT64_MAX;
	run->days.count = run->next = 0;
	run->done = run->total = 0;
	run->days.rows = calloc(moment.count + 1, sizeof *run->days.rows);
	for (size_t i = 0; run->days.rows && i < moment.count; i++) {
		struct record_file name = moment.files[i];
		const struct stat *st = &moment.stats[i];
		bool is_no_file = st->st_ino && !S_ISREG(st->st_mode);

		if (name.day < options->first_day || name.day > options->last_day)
			continue;
		run->days.rows[run->days.count++] = (struct verify_file){ .file = name, .is_last = i + 1 == moment.count, .tongue = options->tongue,
								 .size = is_no_file ? 0 : st->st_size, .inode = st->st_ino, .is_no_file = is_no_file };
	}
	record_moment_clear(&moment);
	return run->days.rows || err_memory(err);
}

static void give_files_back(struct run *run)
{
	for (size_t i = 0; i < run->days.count; i++)
		verify_file_clear(&run->days.rows[i]);
	free(run->days.rows);
	run->days.rows = NULL;
	run->days.count = 0;
}

static struct verify_file *find_file(struct run *run, struct record_file name)
{
	for (size_t i = 0; i < run->days.count; i++)
		if (record_file_cmp(&run->days.rows[i].file, &name) == 0)
			return &run->days.rows[i];
	return NULL;
}

/* First lines, and from them how far each file before is valid. */
static void look_at_files(struct run *run)
{
	for (size_t i = 0; i < run->days.count; i++) {
		verify_file_look(&run->days.rows[i], &run->context);
		run->total += run->days.rows[i].size;
	}
	for (size_t i = 0; i < run->days.count; i++) {
		const struct verify_file *file = &run->days.rows[i];
		struct verify_file *before = file->has_begin && file->previous.part ? find_file(run, file->previous) : NULL;

		/* Only a part says so: lines added to an old day are what they are. */
		if (before && before->file.day == file->file.day && file->previous_end < before->size) {
			before->limit = file->previous_end;
			before->limit_seq = file->after;
			memcpy(before->limit_chain, file->hash, CHAIN_LEN);
		}
	}
}

static void *check_some(void *arg)
{
	struct run *run = arg;

	for (;;) {
		pthread_mutex_lock(&run->lock);
		size_t at = run->next < run->days.count ? run->next++ : SIZE_MAX;

		pthread_mutex_unlock(&run->lock);
		if (at == SIZE_MAX)
			return NULL;
		verify_file_check(&run->days.rows[at], &run->context);
	}
}

static void check_files(struct run *run)
{
	pthread_t threads[VERIFY_THREADS_MAX];
	int wanted = run->options->threads < VERIFY_THREADS_MAX ? run->options->threads : VERIFY_THREADS_MAX,
	    started = 0;

	while (started < wanted - 1 && pthread_create(&threads[started], NULL, check_some, run) == 0)
		started++;
	check_some(run);
	while (started > 0)
		pthread_join(threads[--started], NULL);
}

/* The signed record that says that the file before `file` was removed because its time was over. */
static const struct verify_purged *find_purge(const struct run *run, const struct verify_file *file)
{
	for (size_t i = 0; i < run->days.count; i++)
		for (const struct verify_purged *purged = run->days.rows[i].purged; purged; purged = purged->next)
			if (record_file_cmp(&purged->file, &file->previous) == 0 && purged->last == file->after &&
			    memcmp(purged->hash, file->hash, CHAIN_LEN) == 0)
				return purged;
	return NULL;
}

/* The file before `file` is not there; unless it was purged, that is tampering. */
static void check_missing(const struct run *run, struct verify_file *file, enum verify_result result, int64_t first, int64_t last)
{
	char name[RECORD_NAME_MAX];

	if (find_purge(run, file))
		return;
	record_file_name(file->previous, name);
	if (first <= last)
		verify_file_find(file, result, -1, -1, "%s is missing (records %" PRId64 " to %" PRId64 "): this file continues it, "
				 "and no signed record says that it was purged", name, first, last);
	else
		verify_file_find(file, result, -1, -1,
				 "%s is missing: this file continues it, and no signed record says that it was purged", name);
}

/* The head of what is there: the log's own beginning, or the end of a file that somebody took away. */
static void check_head(struct run *run, struct verify_file *file)
{
	static const unsigned char zero[CHAIN_LEN];

	if (!file->has_begin)
		return;
	if (file->previous.part == 0) {
		run->report->is_from_start = file->after == 0 && memcmp(file->hash, zero, CHAIN_LEN) == 0;
		if (!run->report->is_from_start)
			verify_file_find(file, VERIFY_TAMPERED, 0, -1,
					 "says that it begins the log, but its numbers continue another file");
		return;
	}
	/* An earlier day that was not asked for may be gone for good reason: its purge may be on a day not asked for. */
	if (run->options->first_day > file->previous.day && record_file_cmp(&file->previous, &file->file) < 0)
		return;
	check_missing(run, file, verify_unless_later(&run->days, file->previous.day), 1, file->after);
}

/* `file` against the one before it that holds anything. */
static void check_joint(const struct run *run, struct verify_file *before, struct verify_file *file)
{
	if (!file->has_begin)
		return;
	if (record_file_cmp(&file->previous, &before->file) != 0) {
		if (file->previous.part == 0)
			verify_file_find(file, VERIFY_TAMPERED, 0, -1, "says that it begins the log, but %s is there before it",
					 before->name);
		else
			check_missing(run, file, verify_unless_unread(&run->days, file->previous.day),
				      before->is_unread ? INT64_MAX : before->last_seq + 1, file->after);
		return;
	}
	if (before->is_unread)
		return;                             /* that was said */
	if (file->after > before->last_seq)
		verify_file_find(before, VERIFY_TAMPERED, before->size, -1, "records %" PRId64 " to %" PRId64
				 " are missing at its end: %s continues after them", before->last_seq + 1, file->after, file->name);
	else if (file->after < before->last_seq)
		verify_file_find(before, VERIFY_TAMPERED, -1, -1, "goes on to record %" PRId64 ", but %s continues after %" PRId64
				 ": records were put in", before->last_seq, file->name, file->after);
	else if (memcmp(file->hash, before->chain, CHAIN_LEN) != 0)
		verify_file_find(file, VERIFY_TAMPERED, 0, file->after + 1, "does not continue %s: one of the two was altered",
				 before->name);
	else if (!file->is_unread && before->end_numbers && file->head_numbers && before->end_numbers != file->head_numbers)
		verify_file_find(file, VERIFY_TAMPERED, 0, file->after + 1, "the tenants' numbers that it begins with are not those with "
				 "which %s ends", before->name);
}

static void check_order(struct run *run)
{
	struct verify_file *before = NULL;
	const char *named = NULL;                   /* the one-time key that is to sign the next checkpoint */
	bool is_restored = false;                   /* since the last one */

	for (size_t i = 0; i < run->days.count; i++) {
		struct verify_file *file = &run->days.rows[i];

		if (file->records == 0 && !file->has_begin && !file->is_unread)
			continue;                   /* empty: made, and never written to */
		if (before)
			check_joint(run, before, file);
		else
			check_head(run, file);
		if (before && (before->is_unread || file->is_unread || !verify_continues(before, file)))
			named = NULL;               /* what named it may be among what is missing */
		if (file->first_once.text.len) {
			file->first_once.is_restored |= is_restored;
			verify_file_check_once(file, str_from_c(named), &file->first_once);
			named = file->next;
			is_restored = false;
		}
		is_restored |= file->is_restored;
		before = file;
	}
}

/* What all files say of the lines of one. */
static bool gather(const struct run *run, const struct verify_file *file, bool is_due, struct spans *out)
{
	bool ok = true;

	for (size_t i = 0; i < run->days.count; i++)
		for (const struct verify_declared *some = run->days.rows[i].declared; some; some = some->next)
			for (size_t n = 0; ok && record_file_cmp(&some->file, &file->file) == 0 && n < some->seqs.count; n++)
				if (some->is_due || !is_due)
					ok = spans_add(out, some->seqs.rows[n].first, some->seqs.rows[n].last);
	spans_sort(out);
	return ok;
}

/* Every erased line must be declared by a signed record, here or in a later file. */
static void check_declared(struct run *run, struct verify_file *file, const struct spans *declared)
{
	enum verify_result result = declared ? verify_unless_later(&run->days, file->file.day) : VERIFY_UNKNOWN;

	for (size_t at = 0; at < file->erased_seqs.count; at++) {
		struct span span = file->erased_seqs.rows[at];

		if (!declared || !spans_cover(declared, span))
			verify_file_find(file, result, -1, span.first, "records %" PRId64 " to %" PRId64
					 " were erased, and no signed record among those looked at declares all of them", span.first, span.last);
	}
}

/* A line that is to be gone and stands there. Its chain value is the same either way. */
static void check_due(struct verify_file *file, const struct spans *due)
{
	spans_sort(&file->erased_seqs);
	for (size_t at = 0; file->records && !file->is_unread && at < due->count; at++) {
		struct span span = due->rows[at];

		span.first = span.first > file->first_seq ? span.first : file->first_seq;
		span.last = span.last < file->last_seq ? span.last : file->last_seq;
		if (span.first > span.last || spans_cover(&file->erased_seqs, span))
			continue;
		verify_file_find(file, VERIFY_RETENTION, -1, span.first, "records that a signed record declares erased are still there, the first "
				 "of them between %" PRId64 " and %" PRId64 ": the erasure was not finished, or an old copy of the file was put "
				 "back", span.first, span.last);
		return;
	}
}

/* Neither is a file there that was removed. */
static void check_removed(struct run *run, const struct verify_file *file)
{
	for (const struct verify_purged *purged = file->purged; purged; purged = purged->next) {
		struct verify_file *there = find_file(run, purged->file);

		if (there && purged->time_us + VERIFY_LATE_US <= run->context.now_us)
			verify_file_find(there, VERIFY_RETENTION, -1, -1, "a signed record (%" PRId64 ") declares it purged, and it is there: the purge "
					 "was not finished, or an old copy was put back", purged->seq);
	}
}

static void check_erasures(struct run *run)
{
	for (size_t i = 0; i < run->days.count; i++) {
		struct verify_file *file = &run->days.rows[i];
		struct spans declared = { 0 }, due = { 0 };
		bool ok = gather(run, file, false, &declared);

		if (!gather(run, file, true, &due))
			find_all(run->report, VERIFY_UNKNOWN, "out of memory for erased records");
		check_declared(run, file, ok ? &declared : NULL);
		check_due(file, &due);
		check_removed(run, file);
		spans_clear(&declared);
		spans_clear(&due);
	}
}

/* Kept as long as promised, to the second by what the records say, and no longer, to the hour. */
static void check_retention(struct run *run)
{
	const struct verify_options *options = run->options;
	int64_t now_us = clock_now_us();

	for (size_t i = 0; i < run->days.count; i++) {
		struct verify_file *file = &run->days.rows[i];

		for (const struct verify_purged *purged = file->purged; purged; purged = purged->next) {
			char name[RECORD_NAME_MAX];

			record_file_name(purged->file, name);
			if (purged->time_us < jst_day_start_us(retention_purge_day(options->keep, purged->file.day)))
				verify_file_find(file, VERIFY_RETENTION, -1, purged->seq,
						 "EARLY: %s was purged before its time was over", name);
		}
		if (now_us >= jst_day_start_us(retention_purge_day(options->keep, file->file.day)) + VERIFY_LATE_US)
			verify_file_find(file, VERIFY_RETENTION, -1, -1,
					 "OVERDUE: its time is over, and it is still there");
	}
}

static int64_t count_purged(const struct verify_file *file)
{
	int64_t count = 0;

	for (const struct verify_purged *purged = file->purged; purged; purged = purged->next)
		count++;
	return count;
}

static void add_file(struct verify_report *report, const struct verify_file *file)
{
	report->files++;
	report->bytes += file->size;
	report->result = verify_worse(report->result, file->worst);
	for (size_t i = 0; i < file->finding_count && i < VERIFY_FINDINGS_MAX && file->findings; i++)
		verify_report_add(report, &file->findings[i]);
	if (file->finding_count && !file->findings)
		find_all(report, file->worst, "there is no memory for what was found in a file");
	else if (file->finding_count > VERIFY_FINDINGS_MAX)
		report->finding_count += file->finding_count - VERIFY_FINDINGS_MAX;
	if (file->records == 0)
		return;
	if (report->records == 0) {
		report->first_seq = file->first_seq;
		report->first_time_us = file->first_time_us;
	}
	report->last_seq = file->last_seq;
	if (file->last_time_us)
		report->last_time_us = file->last_time_us;
	report->records += file->records;
	report->checkpoints += file->checkpoints;
	if (file->last_checkpoint_seq)
		report->last_checkpoint_seq = file->last_checkpoint_seq;
	report->erased += file->erased;
	report->recovered += file->recovered;
	report->restored += file->restored;
	report->purged += count_purged(file);
}

/* What the signatures cover. */
static void judge_signatures(struct run *run)
{
	struct verify_report *report = run->report;
	int64_t signed_us = 0;

	for (size_t i = 0; i < run->days.count; i++)
		if (run->days.rows[i].last_checkpoint_us)
			signed_us = run->days.rows[i].last_checkpoint_us;
	report->unsigned_records = report->checkpoints ? report->last_seq - report->last_checkpoint_seq : report->records;
	if (report->records == 0)
		find_all(report, VERIFY_UNKNOWN, "there are no records");
	else if (report->checkpoints == 0)
		find_all(report, VERIFY_UNKNOWN, "no checkpoint with a good signature: the records follow from each other, but whoever "
						 "can write the files could have made them");
	else if (report->last_time_us - signed_us > UNSIGNED_MAX_US)
		find_all(report, VERIFY_UNKNOWN, "the last records span more than two hours without a checkpoint: they may have been "
						 "put there by somebody without the key");
}

/* Between what could be read before it and behind it there is a file that could not. */
static bool may_be_unread(const struct run *run, int64_t seq)
{
	bool is_unread = false;

	for (size_t i = 0; i < run->days.count; i++) {
		const struct verify_file *file = &run->days.rows[i];

		if (file->records && file->first_seq > seq)
			break;
		is_unread = file->is_unread || (is_unread && file->records == 0);
	}
	return is_unread;
}

static void check_outsides(struct run *run)
{
	for (size_t i = 0; i < run->outsides.count; i++) {
		struct verify_outside *outside = &run->outsides.rows[i];

		outside->is_ours = run->options->node.len == 0 || str_eq(outside->node, run->options->node) ||
				   verify_has_name(&run->days, outside->node);
		outside->is_unread = may_be_unread(run, outside->head);
	}
	verify_outside_judge(&run->outsides, run->options, run->report);
}

static void conclude(struct run *run)
{
	verify_names(&run->days, run->options->node);
	check_order(run);
	check_erasures(run);
	if (run->options->has_retention)
		check_retention(run);
	for (size_t i = 0; i < run->days.count; i++)
		add_file(run->report, &run->days.rows[i]);
	judge_signatures(run);
	check_outsides(run);
}

static bool load_publics(struct str file, struct sign_publics *out, struct err *err)
{
	char path[PATH_MAX];

	if (file.len >= sizeof path)
		return err_set(err, ERR_INPUT, "a path is too long");
	snprintf(path, sizeof path, STR_FMT, STR_ARG(file));
	return sign_publics_load(path, out, err);
}

static bool load_keys(struct run *run, struct err *err)
{
	const struct verify_options *options = run->options;

	if (!load_publics(options->public_key_file, &run->publics, err) ||
	    (options->witness_key_file.len && !load_publics(options->witness_key_file, &run->witnesses, err)))
		return false;
	if (options->operator_key_file.len)
		return load_publics(options->operator_key_file, &run->operators, err);
	run->operators = run->publics;
	return true;
}

static bool take_options(struct run *run, struct err *err)
{
	const struct verify_options *options = run->options;

	if (options->dir.len >= sizeof run->dir)
		return err_set(err, ERR_INPUT, "a path is too long");
	snprintf(run->dir, sizeof run->dir, STR_FMT, STR_ARG(options->dir));
	run->context = (struct verify_context){
		.dir = run->dir, .class_name = options->class_name, .publics = &run->publics,
		.operators = &run->operators, .is_operator_known = options->operator_key_file.len > 0,
		.outsides = &run->outsides, .level = options->level,
		.no_personal_data = options->no_personal_data, .progress = options->progress ? count_progress : NULL,
		.progress_arg = run, .stop = options->stop, .now_us = clock_now_us(),
	};
	return load_keys(run, err) && verify_outside_read(&run->outsides, options, &run->publics,
							  options->witness_key_file.len ? &run->witnesses : NULL, run->report, err);
}

static bool has_moved(const struct run *run)
{
	for (size_t i = 0; i < run->days.count; i++)
		if (run->days.rows[i].is_moved)
			return true;
	return false;
}

/* A purge or an erasure that comes meanwhile makes it another log: from the start, then. */
static bool look(struct run *run, struct err *err)
{
	for (int n = 1;; n++) {
		if (!take_files(run, err))
			return false;
		look_at_files(run);
		check_files(run);
		if (n == RECORD_MOMENT_TRIES || !has_moved(run))
			return true;
		give_files_back(run);
	}
}

bool record_verify(const struct verify_options *options, struct verify_report *out, struct err *err)
{
	unsigned long shortages = memory_shortages();
	struct run *run = calloc(1, sizeof *run);

	*out = (struct verify_report){ .result = run ? VERIFY_OK : VERIFY_UNKNOWN, .tongue = options->tongue };
	arena_init(&out->arena, ARENA_MAX);
	if (!run)
		return err_memory(err);
	run->options = options;
	run->report = out;
	pthread_mutex_init(&run->lock, NULL);

	/* What a file lacks for want of memory it says itself. */
	bool ok = take_options(run, err) && (memory_shortages() == shortages || err_memory(err)) && look(run, err);

	shortages = memory_shortages();
	if (ok)
		conclude(run);
	ok = ok && (memory_shortages() == shortages || err_memory(err));
	if (!ok)
		out->result = VERIFY_UNKNOWN;
	give_files_back(run);
	pthread_mutex_destroy(&run->lock);
	free(run);
	return ok;
}

void verify_report_clear(struct verify_report *report)
{
	arena_clear(&report->arena);
}
