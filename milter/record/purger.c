#include "milter/record/purger.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/task.h"
#include "milter/record/files.h"
#include "milter/record/index_build.h"
#include "milter/record/purge.h"
#include "milter/record/seal.h"

#define LOOK_US (60 * US_PER_S)                     /* how often the thread looks at the date */
#define AGAIN_US (600 * US_PER_S)
#define DOUBT_US DAY_US
#define FIRST_WAIT_S 3                         /* so long mail, or a reload, waits for the first purge; the rest goes beside them */

struct purger {
	struct arena arena;
	struct purge_class *classes;
	size_t count;
	struct task task;
	sem_t first;                   /* posted when the first purge is over, well or not */
	int64_t purged_day;            /* the last that the purge was done for; INT64_MIN: none yet */
	int64_t retry_us;              /* monotonic: after a failure not before */
	struct purger_day days;
};

/* --- what day it is */

bool purger_believes(struct purger_day *days, int64_t day, enum timesync sync, int64_t mono_us)
{
	const bool is_likely = days->known == 0 || day <= days->known + 1 || sync != TIMESYNC_NONE;

	if (days->doubted == 0 || day < days->doubted || day > days->doubted + 1)
		days->since_us = mono_us;
	if (!is_likely && mono_us - days->since_us < DOUBT_US) {
		days->doubted = day;
		return false;
	}
	*days = (struct purger_day){ .known = day };
	return true;
}

/* What the header says of the start; 0: no file is a witness. */
static bool last_day_of(const struct purge_class *class, int64_t today, int64_t *out, struct err *err)
{
	int64_t before = 0, last = 0;
	struct record_file *files;
	struct str name;
	char dir[PATH_MAX];
	size_t count;

	if (!record_class_dir(class->config.dir, dir, &name, err))
		return false;
	if (access(dir, F_OK) != 0 && errno == ENOENT) {
		*out = 0;
		return true;
	}
	if (!record_files_list(dir, &files, &count, err))
		return false;
	for (size_t i = 0; i < count && files[i].day < today; i++)
		if (files[i].day != last) {
			before = last;
			last = files[i].day;
		}
	free(files);
	*out = last == before + 1 || before == 0 ? last : before;
	return true;
}

/* A class that cannot be read keeps the others from their purge only where none of them is a witness. */
static bool learn_day(struct purger *purger, int64_t today)
{
	int64_t known = 0, day;
	bool is_whole = true;
	struct err err;

	for (size_t i = 0; i < purger->count; i++) {
		if (last_day_of(&purger->classes[i], today, &day, &err)) {
			known = day > known ? day : known;
		} else {
			log_error("%s", err.text);
			is_whole = false;
		}
	}
	purger->days.known = known;
	return known || is_whole;
}

/* Is it the day to purge for? If not, why is in the log. */
static bool is_day(struct purger *purger, int64_t day)
{
	char date[JST_DATE_LEN + 1], known[JST_DATE_LEN + 1];
	const struct purger_day before = purger->days;

	if (purger->days.known == 0 && !learn_day(purger, day))
		return false;
	if (purger_believes(&purger->days, day, timesync_judge(timesync_error_us()), clock_mono_us()))
		return true;
	jst_format_date(day, date);
	jst_format_date(purger->days.known, known);
	if (before.doubted == 0 || before.since_us != purger->days.since_us)
		log_warn("nothing is purged yet: the clock says %s, the day last known is %s, and the kernel does not call the clock "
			 "synchronised. The date is believed when it is, or has lasted for 24 hours; where the date is right, "
			 "`sekisho log purge` does it now", date, known);
	return false;
}

/* --- what is over its time */

static void tell_log(void *arg, const char *file, int64_t octets)
{
	const struct purge_class *class = arg;

	log_info("purge " STR_FMT "/%s: %" PRId64 " octets", STR_ARG(class->config.dir), file, octets);
}

static bool purge_all(struct purger *purger, int64_t day)
{
	bool ok = true;

	for (size_t i = 0; i < purger->count; i++) {
		struct purge_class *class = &purger->classes[i];
		struct err err;
		int64_t count;

		if (!record_purge(&class->config, class->keep, day, false, tell_log, class, &count, &err)) {
			log_error("%s", err.text);
			ok = false;
		}
	}
	return ok;
}

static void purge_today(struct purger *purger)
{
	int64_t day = jst_day(clock_now_us());
	bool ok = is_day(purger, day) && purge_all(purger, day);

	purger->purged_day = ok ? day : purger->purged_day;
	purger->retry_us = ok ? 0 : clock_mono_us() + (purger->days.doubted ? LOOK_US : AGAIN_US);
}

/* An index takes seconds of a core, and mail goes first. Where a sandbox forbids it, it is as patient as the others. */
static void be_patient(void)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
}

/* Until the day is another: the purge comes first. */
static bool has_time(void *arg, const char *name, int64_t bytes, int64_t index_bytes)
{
	struct purger *purger = arg;

	log_debug("index of %s: %" PRId64 " octets of %" PRId64, name, index_bytes, bytes);
	return !task_is_stopping(&purger->task) && jst_day(clock_now_us()) == purger->purged_day;
}

/* What was finished since, and what an erasure took. A search does without meanwhile. */
static void index_all(struct purger *purger)
{
	for (size_t i = 0; i < purger->count; i++) {
		const struct record_writer_config *config = &purger->classes[i].config;
		struct index_work work;
		struct str class_name;
		char dir[PATH_MAX];
		struct seal *seal = NULL;
		struct err err;

		if (!record_class_dir(config->dir, dir, &class_name, &err) ||
		    (config->keyring.len && !seal_open(config->keyring, class_name, &seal, &err)) ||
		    !index_update(dir, seal, false, has_time, purger, &work, &err))
			log_warn("%s", err.text);
		else if (work.built)
			log_info("indexed %s: %" PRId64 " files, %" PRId64 " octets", dir, work.built, work.bytes);
		seal_close(seal);
	}
}

/* Looks at the date each minute rather than sleeping until midnight: a clock may be set. */
static void run_purger(void *arg)
{
	struct purger *purger = arg;

	be_patient();
	purge_today(purger);
	sem_post(&purger->first);
	do {
		if (jst_day(clock_now_us()) == purger->purged_day)
			purger->days.doubted = 0;   /* the clock was set back */
		while (jst_day(clock_now_us()) != purger->purged_day && clock_mono_us() >= purger->retry_us && !task_is_stopping(&purger->task))
			purge_today(purger);
		index_all(purger);
	} while (task_wait(&purger->task, LOOK_US));
}

static bool copy_classes(struct purger *purger, const struct purge_class *classes, size_t count)
{
	purger->classes = arena_array(&purger->arena, count, sizeof *classes);
	if (!purger->classes)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct record_writer_config *config = &purger->classes[i].config;

		purger->classes[i] = classes[i];
		if (!arena_copy(&purger->arena, config->dir, &config->dir) ||
		    !arena_copy(&purger->arena, config->node, &config->node) ||
		    !arena_copy(&purger->arena, config->key_file, &config->key_file) ||
		    !arena_copy(&purger->arena, config->keyring, &config->keyring))
			return false;
	}
	purger->count = count;
	return true;
}

/* A promise that was made a tenth as long is thousands of files, and somebody may hold a class: neither keeps mail waiting. */
static void await_first(struct purger *purger)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FIRST_WAIT_S;
	while (sem_clockwait(&purger->first, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
		;
}

bool purger_start(const struct purge_class *classes, size_t count, struct purger **out, struct err *err)
{
	struct purger *purger = calloc(1, sizeof *purger);

	if (!purger)
		return err_memory(err);
	arena_init(&purger->arena, 1 << 20);
	purger->purged_day = INT64_MIN;
	sem_init(&purger->first, 0, 0);
	if (!(copy_classes(purger, classes, count) || err_memory(err)) ||
	    !task_start(&purger->task, "purge", run_purger, purger, err)) {
		sem_destroy(&purger->first);
		arena_clear(&purger->arena);
		free(purger);
		return false;
	}
	await_first(purger);                        /* or who looks meanwhile finds much of it overdue */
	*out = purger;
	return true;
}

void purger_stop(struct purger *purger)
{
	if (!purger)
		return;
	task_stop(&purger->task);
	sem_destroy(&purger->first);
	arena_clear(&purger->arena);
	free(purger);
}
