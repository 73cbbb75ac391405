#include "milter/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "milter/bell.h"
#include "milter/inspect.h"
#include "milter/notify.h"
#include "milter/record/files.h"
#include "milter/silence.h"

#define LOOK_US (5 * US_PER_S)
#define OVERDUE_LOOK_US (600 * US_PER_S)           /* that one reads directories */
#define OVERDUE_US HOUR_US                         /* as record_verify has it */
#define TEXT_MAX INSPECT_TEXT_MAX

struct watch {
	struct gate *gate;
	struct inspect *inspect;
	struct silence silence;
	struct record_writer_state states[GATE_CLASSES_MAX];     /* at this look */
	size_t count;
	int64_t failures, damages;     /* of all classes, at the look before */
	int64_t overdue_looked_us;
	char overdue[TEXT_MAX];        /* empty: nothing is */

	struct task task;
};

/* Each says in `text` what is wrong; false: nothing. */

static bool verify_is_wrong(struct watch *watch, const struct config *config, char text[TEXT_MAX])
{
	(void)config;
	return inspect_is_wrong(watch->inspect, text);
}

/* "one; another" */
static void add_words(char text[TEXT_MAX], const char *words)
{
	size_t len = strlen(text);

	snprintf(text + len, TEXT_MAX - len, "%s%s", len ? "; " : "", words);
}

static bool has_gap(struct watch *watch, const struct config *config, char text[TEXT_MAX])
{
	int64_t failures = 0, damages = 0, was_failures = watch->failures, was_damages = watch->damages;
	bool is_behind = false;

	(void)config;
	for (size_t i = 0; i < watch->count; i++) {
		failures += watch->states[i].failures;
		damages += watch->states[i].damages;
		is_behind |= watch->states[i].is_behind;
	}
	watch->failures = failures;
	watch->damages = damages;
	text[0] = '\0';
	if (failures > was_failures)
		snprintf(text, TEXT_MAX, "%" PRId64 " records could not be written", failures - was_failures);
	if (is_behind)
		add_words(text, "what nobody waits for stays in memory until the disk takes it");
	if (damages > was_damages)
		add_words(text, "lines that had been written are damaged or gone");
	return text[0] != '\0';
}

static bool disk_is_low(struct watch *watch, const struct config *config, char text[TEXT_MAX])
{
	struct statvfs fs;

	/* Asked here: what a writer knows is as old as its last record. */
	if (statvfs(watch->gate->log_dir, &fs) != 0 || fs.f_blocks == 0)
		return false;

	int percent = (int)((unsigned __int128)fs.f_bavail * 100 / fs.f_blocks);

	snprintf(text, TEXT_MAX, "%.400s: %d %% of the disk is free", watch->gate->log_dir, percent);
	return percent < config->disk_warn_percent || fs.f_bavail == 0;
}

static bool clock_is_off(struct watch *watch, const struct config *config, char text[TEXT_MAX])
{
	const struct record_writer_state *state = watch->states;

	(void)config;
	snprintf(text, TEXT_MAX, "the clock is %s: it may be off by %" PRId64 " ms", state->clock, state->clock_error_us / 1000);
	return watch->count && !str_eq(str_from_c(state->clock), STR("ok"));
}

/* False: it could not be seen. */
static bool look_for_overdue(const struct config *config, const struct record_class *class, char text[TEXT_MAX])
{
	char dir[PATH_MAX], name[RECORD_NAME_MAX];
	struct record_file *files = NULL;
	size_t count = 0;
	bool found = false;

	snprintf(dir, sizeof dir, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(class->name));
	if (!record_files_list(dir, &files, &count, NULL))
		return access(dir, F_OK) != 0 && errno == ENOENT;
	for (size_t i = 0; i < count && !found; i++) {
		found = clock_now_us() >= jst_day_start_us(retention_purge_day(class->keep, files[i].day)) + OVERDUE_US;
		record_file_name(files[i], name);
		if (found)
			snprintf(text, TEXT_MAX, "%.300s/%s should have been purged", dir, name);
	}
	free(files);
	return true;
}

static bool purge_is_overdue(struct watch *watch, const struct config *config, char text[TEXT_MAX])
{
	int64_t now_us = clock_mono_us();

	if (watch->overdue_looked_us == 0 || now_us - watch->overdue_looked_us >= OVERDUE_LOOK_US) {
		char found[TEXT_MAX] = "";
		bool is_known = true;

		for (size_t i = 0; i < config->class_count && !found[0]; i++)
			is_known &= look_for_overdue(config, &config->classes[i], found);
		watch->overdue_looked_us = now_us;
		if (is_known || found[0])
			memcpy(watch->overdue, found, TEXT_MAX);
	}
	memcpy(text, watch->overdue, TEXT_MAX);
	return text[0] != '\0';
}

static bool is_silent(struct watch *watch, const struct config *config, char text[TEXT_MAX])
{
	int64_t records = 0;

	for (size_t i = 0; i < watch->count; i++)
		if (!str_eq(str_from_c(watch->gate->classes[i].name), CLASS_OPS))
			records += watch->states[i].records;

	bool is_wrong = silence_look(&watch->silence, clock_now_us(), records, metrics_read(METRIC_MAILLOG_STRANGERS),
				     config->alarm_silence_us);
	char since[JST_TIME_LEN + 1];

	jst_format_time(watch->silence.last_us, since);
	snprintf(text, TEXT_MAX, "no mail was recorded since %.19s JST, and there should be some", since);
	return is_wrong;
}

static const struct alarm {
	const char *name;
	bool is_shock;
	bool (*is_wrong)(struct watch *watch, const struct config *config, char text[TEXT_MAX]);
} alarms[] = {
	{ "verify", false, verify_is_wrong },
	{ "gap", true, has_gap },
	{ "disk", false, disk_is_low },
	{ "clock", false, clock_is_off },
	{ "overdue", false, purge_is_overdue },
	{ "silence", false, is_silent },
};
#define ALARMS (sizeof alarms / sizeof *alarms)

/* --- telling */

static const char *const calls[] = { [BELL_RAISED] = "raised", [BELL_AGAIN] = "again", [BELL_OVER] = "over" };

static void write_alarm(struct json *json, const struct alarm *alarm, enum bell_call call, const char *text)
{
	json_member_str(json, "alarm", str_from_c(alarm->name));
	json_member_str(json, "state", str_from_c(calls[call]));
	if (call != BELL_OVER)
		json_member_str(json, "text", str_from_c(text));
}

static void record_alarm(struct watch *watch, const struct alarm *alarm, enum bell_call call, const char *text)
{
	struct buf detail;
	struct json json;

	buf_init(&detail, NOTIFY_MAX);
	json_init(&json, &detail);
	json_object_open(&json);
	write_alarm(&json, alarm, call, text);
	json_object_close(&json);
	gate_record(watch->gate, STR("alarm"), STR_EMPTY, &detail);
	buf_clear(&detail);
}

static void tell(struct watch *watch, const struct config *config, const struct alarm *alarm, enum bell_call call, const char *text)
{
	char time[JST_TIME_LEN + 1];
	struct buf object;
	struct json json;

	jst_format_time(clock_now_us(), time);
	buf_init(&object, NOTIFY_MAX);
	json_init(&json, &object);
	json_object_open(&json);
	json_member_str(&json, "event", STR("alarm"));
	json_member_str(&json, "time", str_from_c(time));
	json_member_str(&json, "node", str_from_c(watch->gate->node));
	write_alarm(&json, alarm, call, text);
	json_object_close(&json);
	notify_tell(config->alarm_command, &object);
	buf_clear(&object);
}

static void ring(struct watch *watch, const struct config *config, size_t at, struct bell *bell, bool is_wrong, const char *text)
{
	enum bell_call call = bell_look(bell, is_wrong, alarms[at].is_shock, clock_mono_us(), config->alarm_again_us);

	if (call == BELL_QUIET)
		return;
	if (call == BELL_OVER)
		log_info("alarm %s is over", alarms[at].name);
	else
		log_error("alarm %s: %s", alarms[at].name, text);
	metrics_add(METRIC_ALARMS, call == BELL_RAISED);
	record_alarm(watch, &alarms[at], call, text);
	tell(watch, config, &alarms[at], call, text);
}

/* --- looking */

static void read_states(struct watch *watch)
{
	pthread_mutex_lock(&watch->gate->lock);
	watch->count = watch->gate->class_count;
	pthread_mutex_unlock(&watch->gate->lock);
	for (size_t i = 0; i < watch->count; i++)
		record_writer_state(watch->gate->classes[i].writer, &watch->states[i]);
}

static void look(struct watch *watch, struct bell bells[ALARMS])
{
	struct config *config = config_acquire();
	char text[TEXT_MAX] = "";
	int64_t active = 0;

	read_states(watch);
	for (size_t i = 0; i < ALARMS; i++) {
		bool is_wrong = alarms[i].is_wrong(watch, config, text);

		active += is_wrong;
		ring(watch, config, i, &bells[i], is_wrong, text);
	}
	metrics_set(METRIC_ALARMS_ACTIVE, active);
	config_release(config);
}

static void run(void *arg)
{
	struct watch *watch = arg;
	struct bell bells[ALARMS] = { 0 };

	do
		look(watch, bells);
	while (task_wait(&watch->task, LOOK_US));
}

/* --- start and stop */

bool watch_start(struct gate *gate, const struct config *config, struct watch **out, struct err *err)
{
	struct watch *watch = calloc(1, sizeof *watch);

	*out = NULL;
	if (!watch)
		return err_memory(err);
	watch->gate = gate;
	if (inspect_start(gate, config, &watch->inspect, err)) {
		if (task_start(&watch->task, "alarms", run, watch, err)) {
			*out = watch;
			return true;
		}
	}
	inspect_stop(watch->inspect);
	free(watch);
	return false;
}

void watch_stop(struct watch *watch)
{
	if (!watch)
		return;
	task_stop(&watch->task);
	inspect_stop(watch->inspect);
	free(watch);
}
